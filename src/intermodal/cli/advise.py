"""``intermodal advise``: recommend a kind of model for a task, with its cost, before any request is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from intermodal.cli.arguments.report_options import html_option, svg_option
from intermodal.cli.arguments.request_options import money, seconds, split_list, with_conditions
from intermodal.core.request import ASPECTS, OBJECTIVES, TIERS

if TYPE_CHECKING:
    from intermodal.cost_model.token_counts import CountablePart

EPILOG = """\b
Examples
  intermodal advise --in pdf,image --out text --requests 10000/day
  intermodal advise --in audio --prompt "Is the caller angry?" --audio 90s
  intermodal advise --in image --shows text --keep layout --svg advice.svg
  intermodal advise --in pdf --pdf 30p --scanned --hardware 24GB --hardware-price 2500 --requests 500/day
  intermodal advise --in audio,image --private audio --local --json
  intermodal advise --in image --shows scene --out scores --labels "damaged,whole" --requests 50k/day
  intermodal advise --in audio --out transcript --translate en --requests 500/day
  intermodal advise --in text --requests 20000/month --region eu --retention no-training
"""


@click.command(epilog=EPILOG)
@click.option(
    "--in", "takes", multiple=True, required=True, metavar="KINDS", help="What goes in: text, image, audio, video, pdf."
)
@click.option(
    "--out",
    "makes",
    default="text",
    show_default=True,
    metavar="KINDS",
    help="What comes out, the answer first: text, json, transcript, scores, speech, embedding, image.",
)
@click.option("--requests", default="", metavar="N/day", help="How often: 10000/day, 50k/month.")
@click.option("--prompt", default="", metavar="TEXT", help="The question; its words determine what has to be kept.")
@click.option("--text", "texts", multiple=True, metavar="WORDS", help="Size of a text, as 500words or 3000chars.")
@click.option("--image", "images", multiple=True, metavar="WxH[:DETAIL]", help="Size of an image; repeatable.")
@click.option("--audio", "sounds", multiple=True, metavar="TIME", help="Length of a recording, as 60s or 1m30s.")
@click.option(
    "--video",
    "films",
    multiple=True,
    metavar="TIME[@FPS][:WxH]",
    help="Length of a video, with frames per second and size: 60s@1:1280x720.",
)
@click.option("--pdf", "pdfs", multiple=True, metavar="PAGESp", help="Number of pages of a PDF, as 10p.")
@click.option("--out-tokens", type=click.IntRange(1), default=None, metavar="N", help="Length of an answer.")
@click.option("--shows", type=click.Choice(["text", "scene"]), default=None, help="What images show.")
@click.option("--scanned", is_flag=True, help="Pages have no text layer.")
@click.option("--figures", is_flag=True, help="Pages have figures beside their text.")
@click.option("--verbatim", is_flag=True, help="Speak the text itself, without answering it.")
@click.option(
    "--objective",
    type=click.Choice(OBJECTIVES),
    default="default",
    show_default=True,
    help="What to prefer among the routes that are allowed.",
)
@click.option("--at-least", type=click.Choice(TIERS), default=None, help="Strength floor; rejects weaker routes.")
@click.option("--max-cost", type=money, default=None, metavar="USD", help="Money limit for one request.")
@click.option("--latency", type=seconds, default=None, metavar="SECONDS", help="Time limit for one request.")
@click.option("--private", multiple=True, metavar="KINDS", help="Kinds that may not leave the machine.")
@click.option(
    "--release",
    type=split_list,
    multiple=True,
    metavar="LIST",
    help="What may leave although it is derived from them: audio:text",
)
@click.option(
    "--keep", type=split_list, multiple=True, metavar="ASPECTS", help=f"What must be kept: {', '.join(ASPECTS)}."
)
@click.option("--language", default="", metavar="CODE", help="Language of the speech.")
@click.option("--translate", default="", metavar="CODE", help="Language that speech is turned into (en, de, …).")
@click.option(
    "--labels", type=split_list, multiple=True, metavar="LIST", help="Labels to tell apart, with --out scores."
)
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Consider this host only; repeatable.")
@with_conditions("commercial, or licence of the config")
@click.option(
    "--waiting/--nobody-waits",
    "waits",
    default=None,
    help="Whether a person waits for each answer, so that seconds count beside money.  [default: money alone ranks "
    "with --requests, and the choice for waiting is shown beside it]",
)
@click.option("--local", is_flag=True, help="Nothing leaves this machine: no hosts are considered.")
@click.option(
    "--hardware",
    default="",
    metavar="WORDS",
    help='Hardware that models may run on: 24GB of memory, 2x24GB for two GPUs, "RTX 4090", 2xH100, 8cores.  '
    "[default: this machine]",
)
@click.option("--users", type=click.IntRange(1, 1024), default=None, metavar="N",
              help="Requests that your own server answers at the same time.  [default: 1]")  # fmt: skip
@click.option("--hardware-price", type=money, default=None, metavar="USD", help="Price of one such machine.")
@click.option(
    "--life",
    "life_months",
    type=click.FloatRange(min=1),
    default=None,
    metavar="MONTHS",
    help="Months that the machine is used.  [default: 36]",
)
@click.option(
    "--power", type=click.FloatRange(min=0), default=None, metavar="WATTS", help="Power that the machine draws."
)
@click.option("--kwh", type=money, default=None, metavar="USD", help="Price of a kilowatt-hour.")
@svg_option("Draw the decision and cost against volume")
@html_option("A page with the chart and every number")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def advise(**options: Any) -> None:
    """Recommend a language model or a broader one for a task, with its cost.

    The requests are hypothetical: no host is contacted and none needs consent. The planner chooses as for real
    requests, among all hosts of the snapshot and whatever fits on the stated hardware.
    """  # fmt: skip
    from intermodal.advisor.advise import advice_for
    from intermodal.cli.arguments.files import (
        OutputFile,
        check_output_files,
        check_standard_output,
        write_picture,
    )
    from intermodal.cli.rendering.json_document import print_document

    picture, page = options.pop("svg_file"), options.pop("html_file")
    as_json = options.pop("as_json")
    check_standard_output(picture, as_json=as_json)
    check_output_files((OutputFile("--svg", picture, "svg"), OutputFile("--html", page, "html")), ())
    parts = _pieces(options)
    takes, makes = options.pop("takes"), options.pop("makes")
    for name in ("keep", "release", "regions", "labels"):
        options[name] = [each for some in options[name] for each in some]
    options["regions"] = options["regions"] or None
    advice = advice_for(takes, makes, parts=parts, **options)
    if picture:
        from intermodal.charts.advice import svg

        write_picture(picture, svg(advice))
    if page:
        from intermodal.charts.advice import page as as_page

        write_picture(page, as_page(advice))
    if picture == "-":
        return
    if as_json:
        from intermodal.advisor.advice import document

        print_document("advise", document(advice))
    else:
        click.echo(str(advice))


def _pieces(options: dict[str, Any]) -> tuple[CountablePart, ...]:
    """Return the sizes that the options state."""
    from intermodal.cost_model import token_counts as as_piece

    return (
        *map(as_piece.parse_text_length, options.pop("texts")), *map(as_piece.image, options.pop("images")),
        *map(as_piece.audio, options.pop("sounds")), *map(as_piece.video, options.pop("films")),
        *map(as_piece.pdf, options.pop("pdfs")),
    )  # fmt: skip
