"""``intermodal find``: search images by text or by an image; results go to stdout, progress to stderr."""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intermodal.cli.arguments.report_options import html_option

if TYPE_CHECKING:
    from intermodal.client.verbs import SearchClient
    from intermodal.concurrency.sync_bridge import SyncBridge
    from intermodal.retrieval.image_search import FindResult, ImageFinder

EPILOG = """\b
Examples
  intermodal find "a dog on a beach" ~/Pictures
  intermodal find "an invoice" scans/ --top 3 --html found.html
  intermodal find photo.jpg ~/Pictures            # images that look like this one
  intermodal find "a bar chart" a.png b.png --json
  intermodal find --forget                        # remove the index
"""
SIDE = 200  # the longest side of a thumbnail in pixels
# Allocations between two runs of the garbage collector: more than a search among 10,000 known images makes, whose
# objects form no cycles. The usual threshold costs such a search a tenth of its time.
_GC_THRESHOLD = 100_000


@click.command(epilog=EPILOG)
@click.argument("query", required=False, default="")
@click.argument("paths", nargs=-1, type=click.Path())
@click.option(
    "-k",
    "--top",
    type=click.IntRange(1, 10_000),
    default=10,
    show_default=True,
    metavar="N",
    help="How many images to show.",
)
@click.option("-m", "--model", default="", metavar="NAME", help="The contrastive model.  [default: the strongest here]")
@html_option("Write a self-contained page with thumbnails")
@click.option("--forget", is_flag=True, help="Remove the index of images and exit.")
@click.option("-q", "--quiet", is_flag=True, help="Only the answer: no progress, no notes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def find(**options: Any) -> None:
    """Find images in PATHS (files, and folders with all below them) by QUERY: words, or an image file.

    A contrastive model on this machine embeds each image once. Embeddings are cached, so a later search reads no
    known image. A score ranks images; it is not a probability. Nothing leaves this machine.
    """  # fmt: skip
    from intermodal.cli.arguments.files import OutputFile, check_output_files
    from intermodal.client.verbs import SearchClient

    if options["forget"]:
        _report_forgotten(SearchClient().vectors.delete_cache(), as_json=options["as_json"])
        return
    if not options["query"] or not options["paths"]:
        missing = "QUERY" if not options["query"] else "PATHS"
        raise click.UsageError(f"missing argument '{missing}'", click.get_current_context())
    check_output_files((OutputFile("--html", options["html_file"], "html"),), options["paths"])
    client = SearchClient()
    finder = client.finder(options["model"])
    gc.freeze()  # a search makes many objects, and the collector need not look through the modules and the catalog
    gc.set_threshold(_GC_THRESHOLD)
    try:
        found = finder.find_known(options["query"], options["paths"], top=options["top"])
        if found is None or options["html_file"]:
            found = _with_model(client, finder, options)
    finally:
        finder.close()
    _show(found, options)


def _with_model(client: SearchClient, finder: ImageFinder, options: dict[str, Any]) -> FindResult:
    """Search with a model, which needs an event loop."""
    from intermodal.concurrency.sync_bridge import SyncBridge

    bridge = SyncBridge()
    try:
        found = _search(bridge, finder, options)
        if options["html_file"]:
            _write_page(bridge, finder, found, Path(options["html_file"]))
    finally:
        bridge.close(client.aclose)
    return found


def _search(bridge: SyncBridge, finder: ImageFinder, options: dict[str, Any]) -> FindResult:
    """Search while a progress bar moves for images that the model has not seen before."""
    from intermodal.cli.rendering.progress import ProgressBar

    with ProgressBar("Look at images", quiet=options["quiet"]) as bar:

        def progress(number: int, total: int, file: str) -> None:
            bar(number, total, Path(file).name)

        return bridge.run(
            partial(finder.find, options["query"], options["paths"], top=options["top"], progress=progress)
        )


def _show(find_result: FindResult, options: dict[str, Any]) -> None:
    if options["as_json"]:
        from intermodal.cli.rendering.json_document import print_document

        print_document("find", find_result)
    else:
        for each in find_result.nearest:
            click.echo(f"{each.score:.3f}  {click.format_filename(each.file)}")
    if options["quiet"] or options["as_json"]:
        return
    from intermodal.plans.numbers import with_noun

    image_count = with_noun(find_result.pictures, "image")
    what = f"{image_count} compared by {find_result.endpoint}, {find_result.looked_at:,} looked at now"
    click.echo(f"\n{what}; a score orders them and is no probability", err=True)
    if find_result.pictures:
        alternative = f"a model that sees would be asked about each of {with_noun(find_result.pictures, 'image')}"
        enough = "a contrastive model is enough, no language model is needed to find images"
        click.echo(f"{enough}: words and images share one space, $0 on this machine; {alternative}", err=True)
    for out in find_result.left_out[:5]:
        click.echo(f"note: {click.format_filename(out.file)} {out.why}, and was left out", err=True)
    if len(find_result.left_out) > 5:
        click.echo(f"note: {len(find_result.left_out) - 5:,} more files were left out (--json lists them)", err=True)
    if find_result.cut:
        click.echo("note: the query is longer than the model reads, and was cut", err=True)


def _write_page(bridge: SyncBridge, finder: ImageFinder, find_result: FindResult, path: Path) -> None:
    from intermodal.charts.html import search_page
    from intermodal.files.atomic_file import write_private_file

    async def thumbnails() -> list[tuple[bytes, str]]:
        return [await finder.thumbnail(each.file, SIDE) for each in find_result.nearest]

    page = search_page(find_result, bridge.run(thumbnails))
    write_private_file(path.absolute(), page.encode("utf-8", "replace"))


def _report_forgotten(existed: bool, *, as_json: bool) -> None:
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document("find.forget", {"forgotten": existed})
    else:
        click.echo("the index of images is removed" if existed else "there was no index of images")
