"""``intermodal estimate``: the tokens and cost of a call before it is made, for real or hypothetical inputs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intermodal.errors import InputMissing, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from intermodal.client.estimates import Estimate
    from intermodal.core.quantity import Quantity
    from intermodal.cost_model.token_counts import CountablePart

EPILOG = """\b
Examples
  intermodal estimate --model gpt-4o --image 1024x1024:high
  intermodal estimate --model gemini-2.5-flash --video 10s@1:640x360 --audio 10s --pdf 10p
  intermodal estimate --model gpt-4.1-mini --image 1800x2400 --date 2026-05-01
  intermodal estimate --model gpt-4o-mini --text question.txt invoice.png --out-tokens 200 --json
"""


@click.command(epilog=EPILOG)
@click.argument("files", nargs=-1, type=click.Path())
@click.option("--model", "name", required=True, metavar="NAME", help="vendor/model, host:vendor/model or a short name.")
@click.option("--date", "day", default="", metavar="YYYY-MM-DD", help="Use the rules and prices of this day.")
@click.option("--text", "texts", multiple=True, metavar="FILE", help="A text file, - for standard input; repeatable.")
@click.option("--image", "images", multiple=True, metavar="WxH[:DETAIL]", help="A hypothetical image; repeatable.")
@click.option("--audio", "sounds", multiple=True, metavar="TIME", help="A hypothetical recording, as 10s or 1m30s.")
@click.option(
    "--video", "films", multiple=True, metavar="TIME[@FPS][:WxH]", help="A hypothetical video, as 10s@1:640x360."
)
@click.option("--pdf", "pdfs", multiple=True, metavar="PAGESp", help="A hypothetical PDF, as 10p.")
@click.option("--out-tokens", type=click.IntRange(0), default=None, metavar="N", help="Tokens of the answer.")
@click.option(
    "--out-image", "drawings", multiple=True, metavar="WxH[:QUALITY]", help="An image that the model generates."
)
@click.option("--out-audio", "speeches", multiple=True, metavar="TIME", help="Speech that the model generates.")
@click.option(
    "--cached", type=click.IntRange(0), default=0, metavar="N", help="Input tokens read from the prompt cache."
)
@click.option("--batch", is_flag=True, help="Use batch prices.")
@click.option("--chat", is_flag=True, help="Add the chat template's own tokens, a range.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def estimate(**options: Any) -> None:
    """Count the tokens of real FILES and hypothetical parts for a model, with their cost. Contacts no host.

    Every count states its method, the rule's source and its date. What is not published is a range or unknown.
    """
    from intermodal.catalog.shipped_rows import shipped_families
    from intermodal.client.estimates import estimate as estimate_of
    from intermodal.client.estimates import find_priced_model, parse_day, rules_of
    from intermodal.config.config_file import load_config

    day = parse_day(options["day"])
    imagined = _hypothetical_parts(options)
    if not imagined and not options["texts"] and not options["files"]:
        raise UsageError("nothing to count", todo="name a file, or imagine one: --image 1024x1024")
    if [*options["texts"], *options["files"]].count("-") > 1:
        raise UsageError("standard input can be read once", where="-", todo="write - for one text or for one file")
    _check_files(options["files"])
    subject = find_priced_model(options["name"], load_config(os.environ), os.environ)
    rules = rules_of(subject, shipped_families(), day)
    pieces = (*_open_given_parts(options, rules.rules.get("text", "")), *imagined)
    cost_estimate = estimate_of(subject, rules, pieces, date=day, batch=options["batch"], cached=options["cached"])
    if options["as_json"]:
        from intermodal.cli.rendering.json_document import print_document

        print_document("estimate", document(cost_estimate))
    else:
        _echo(cost_estimate, rules.rules.get("text", ""))


def _check_files(files: Iterable[str]) -> None:
    """Raise InputMissing for a sentence where a file is expected, as ``ask`` takes one."""
    for file in files:
        if " " in file.strip() and "://" not in file and not Path(file).exists():
            todo = "check the path; to count words: echo WORDS | intermodal estimate --text -"
            raise InputMissing("there is no such file", where=file, todo=todo)


def _hypothetical_parts(options: Mapping[str, Any]) -> tuple[CountablePart, ...]:
    """Return the hypothetical parts that the options describe, the inputs before the outputs."""
    from intermodal.cost_model import token_counts as as_piece
    from intermodal.cost_model.token_counts import CountablePart

    pieces = [
        *map(as_piece.image, options["images"]), *map(as_piece.audio, options["sounds"]),
        *map(as_piece.video, options["films"]), *map(as_piece.pdf, options["pdfs"]),
    ]  # fmt: skip
    if options["chat"]:
        pieces.append(CountablePart(kind="framing", name="chat template"))
    pieces += [*map(as_piece.parse_generated_image, options["drawings"]), *map(as_piece.speech, options["speeches"])]
    if options["out_tokens"] is not None:
        pieces.append(
            CountablePart(kind="output", name=f"output {options['out_tokens']:,}", tokens=options["out_tokens"])
        )
    return tuple(pieces)


def _open_given_parts(options: Mapping[str, Any], vocabulary: str) -> list[CountablePart]:
    """Return the given texts and files, opened as for a request; words are counted if their vocabulary is present."""
    found: list[CountablePart] = []
    if not options["texts"] and not options["files"]:
        return found
    from intermodal.client.estimates import token_counter, with_token_count
    from intermodal.cost_model.token_counts import CountablePart
    from intermodal.media.fetch import read_text_file

    counter = token_counter(vocabulary, os.environ)
    for path in options["texts"]:
        words = _read_piped() if path == "-" else read_text_file(path)
        found.append(with_token_count(CountablePart(kind="text", name=path), words, vocabulary, counter))
    if options["files"]:
        import anyio

        from intermodal.cli.arguments.request_options import source_of
        from intermodal.client.estimates import open_files, piece

        opened_files = anyio.run(open_files, tuple(map(source_of, options["files"])))
        for part in opened_files.facts.parts:
            countable = piece(part)
            text = part.kind == "text"
            found.append(
                with_token_count(countable, opened_files.text(part.index), vocabulary, counter) if text else countable
            )
    return found


def _read_piped() -> str:
    from intermodal.cli.arguments.request_options import read_stdin
    from intermodal.media.sniff import read_text

    return read_text(read_stdin(), "standard input")


def document(cost_estimate: Estimate) -> dict[str, Any]:
    """Return an estimate as JSON, with whole tokens, null if unknown."""
    parts = [
        {
            "kind": part.piece.kind,
            "tokens": _levels(part.tokens, whole_numbers=True),
            "basis": part.refused or part.tokens.basis,
            "source": part.source,
        }
        for part in cost_estimate.count.parts
    ]
    evidence = cost_estimate.said_by
    return {
        "model": cost_estimate.model,
        "reading": cost_estimate.reading or None,
        "endpoint": cost_estimate.endpoint or None,
        "date": cost_estimate.date,
        "parts": parts,
        "tokens": _levels(cost_estimate.count.tokens, whole_numbers=True),
        "usd": _levels(cost_estimate.usd, whole_numbers=False),
        "price_source": {"name": evidence.source, "checked": evidence.checked or None}
        if evidence is not None
        else None,
        "price_conflicts": [{"name": c.by, "since": c.since or None, "usd": c.usd} for c in cost_estimate.conflicts],
        "rejected": cost_estimate.rejected or None,
    }


def _levels(quantity: Quantity, *, whole_numbers: bool) -> dict[str, Any]:
    if not quantity.known:
        return {"low": None, "mid": None, "high": None, "exactness": "unknown"}
    low, mid, high = quantity.low, quantity.mid, quantity.high
    if whole_numbers:
        low, mid, high = round(low), round(mid), round(high)
    return {"low": low, "mid": mid, "high": high, "exactness": quantity.certainty}


def _echo(cost_estimate: Estimate, vocabulary: str) -> None:
    from intermodal.cli.rendering.tables import echo_table
    from intermodal.cost_model.usage_price import TOKENS_TIMES_PRICE
    from intermodal.plans import numbers

    click.echo(f"{cost_estimate.model}  by the rules of {cost_estimate.date}")
    click.echo(f"{cost_estimate.reading}\n" if cost_estimate.reading else "")
    rows = [
        (
            part.piece.name or part.piece.kind,
            "refused" if part.refused else numbers.count(part.tokens),
            (part.refused or part.tokens.basis) + (f" ({part.source})" if part.source else ""),
        )
        for part in cost_estimate.count.parts
    ]
    echo_table(("part", "tokens", "method and source"), rows)
    click.echo(f"\ntokens  {numbers.count(cost_estimate.count.tokens)}")
    where = f"  at {cost_estimate.endpoint}" if cost_estimate.endpoint else ""
    if cost_estimate.said_by is not None:
        click.echo(f"money   {numbers.money(cost_estimate.usd)}{where}, {cost_estimate.said_by.citation}")
        if cost_estimate.usd.basis != TOKENS_TIMES_PRICE:
            click.echo(f"        {cost_estimate.usd.basis}")
    else:
        click.echo(f"money   unknown{where}  {cost_estimate.usd.basis}")
    for each in cost_estimate.conflicts:
        since = f", from {each.since}" if each.since else ""
        click.echo(f"        but {each.by}: ${numbers.plain_money(each.usd)}{since}")
    if cost_estimate.rejected:
        click.echo(f"rejected: {cost_estimate.rejected}")
    if vocabulary and any(
        part.piece.kind == "text" and part.piece.tokens is None for part in cost_estimate.count.parts
    ):
        from intermodal.local.tokenizers import byte_pair

        if vocabulary in byte_pair.ENCODINGS:
            click.echo(f"for an exact count of text: {byte_pair.install_hint(vocabulary)}", err=True)
