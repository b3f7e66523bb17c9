"""``intermodal rerank``: rank passages of files by relevance; results go to stdout, progress to stderr."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from intermodal.client.async_client import AsyncClient
    from intermodal.concurrency.sync_bridge import SyncBridge
    from intermodal.retrieval.passage_ranking import RerankResult

EPILOG = """\b
Examples
  intermodal rerank "how much is the rent?" lease.pdf
  intermodal rerank "who leads the office in Oslo?" notes.txt minutes.md --top 3
  grep -h office *.txt | intermodal rerank "when did Oslo open?" -    # a line, a passage
  intermodal rerank "notice period" lease.pdf --json
"""
SHOWN = 100  # the most characters of a passage that are shown


@click.command(epilog=EPILOG)
@click.argument("query")
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option(
    "-k",
    "--top",
    type=click.IntRange(1, 10_000),
    default=10,
    show_default=True,
    metavar="N",
    help="How many passages to show.",
)
@click.option("-m", "--model", default="", metavar="NAME", help="The reranker.  [default: the best]")
@click.option("-q", "--quiet", is_flag=True, help="Only the answer: no progress, no notes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def rerank(**options: Any) -> None:
    """Rank the passages of FILES by how well they answer QUERY: pages of documents, paragraphs of texts, or lines of
    standard input (-).

    An encoder reads the query with each passage: on this machine, or at a host with consent that ranks passages,
    whichever is better by money and seconds. If there is none, embeddings are compared on this machine, which is
    coarser. No language model is needed.
    """  # fmt: skip
    from intermodal.client.async_client import AsyncClient
    from intermodal.concurrency.sync_bridge import SyncBridge

    client, bridge = AsyncClient(), SyncBridge()
    try:
        ranked = _rank(bridge, client, options)
    finally:
        bridge.close(client.aclose)
    _show(ranked, options)


def _rank(bridge: SyncBridge, client: AsyncClient, options: dict[str, Any]) -> RerankResult:
    """Rank the passages while a progress bar moves."""
    from intermodal.cli.rendering.progress import ProgressBar

    files = [file for file in options["files"] if file != "-"]
    lines: list[str] = []
    if "-" in options["files"]:
        with click.open_file("-", encoding="utf-8", errors="replace") as stream:
            lines = [line.strip() for line in stream if line.strip()]
    with ProgressBar("Read passages", quiet=options["quiet"]) as bar:
        search = partial(
            client.rerank,
            options["query"],
            lines,
            files=files,
            top=options["top"],
            model=options["model"],
            progress=bar,
        )
        return bridge.run(search)


def _show(ranked: RerankResult, options: dict[str, Any]) -> None:
    if options["as_json"]:
        from intermodal.cli.rendering.json_document import print_document

        print_document("rerank", ranked)
    else:
        for each in ranked.results:
            text = " ".join(each.passage.text.split())
            page = f", page {each.passage.page}" if each.passage.page else ""
            where = f"{click.format_filename(each.passage.file)}{page}: " if each.passage.file else ""
            click.echo(f"{each.score:.3f}  {where}{text[:SHOWN]}{'…' if len(text) > SHOWN else ''}")
    if options["quiet"] or options["as_json"]:
        return
    for note in notes(ranked):
        click.echo(note, err=True)


def notes(ranked: RerankResult) -> list[str]:
    """Return the notes that are shown with the passages.

    They state the model, the seconds, the cost with a language model, and what was left out.
    """
    from intermodal.plans import numbers

    read = numbers.with_noun(ranked.read, "passage")
    method = (
        "read with the query" if ranked.by == "reranker" else "compared by vectors, which is coarser than reading both"
    )
    price = "its price is not known" if ranked.cost is None else f"${numbers.plain_money(ranked.cost)}"
    host_note = f"; sent to {ranked.host}" if ranked.host else ""
    order = "a score orders them, no probability"
    found = [f"\n{read} {method} by {ranked.endpoint} in {ranked.seconds:.2g} s ({price}){host_note}; {order}"]
    if ranked.beside is not None:
        figures = numbers.money(ranked.beside.cost)
        if ranked.beside.seconds is not None and ranked.beside.seconds.known:
            figures += f", {numbers.seconds(ranked.beside.seconds)}"
        found.append(f"beside it: {ranked.beside.endpoint} ({figures})")
    other = ranked.verdict.language_model
    kind = "an encoder is enough" if ranked.by == "reranker" else "an embedding model is enough"
    cost_remark = ""
    if other is not None and other.endpoint and other.seconds is not None:
        price = f"{numbers.money(other.cost)}, {numbers.seconds(other.seconds)}"
        cost_remark = f"; a language model that reads it all: {other.endpoint} ({price})"
    elif other is not None and other.kept_out:
        cost_remark = f"; no language model is open that reads it all: {other.kept_out}"
    found.append(f"{kind}, no language model is needed to find passages{cost_remark}")
    if ranked.passages > ranked.read:
        left = ranked.passages - ranked.read
        found.append(f"note: {left:,} more share fewer words with the query, or are empty, and were not read")
    if ranked.cut:
        found.append(f"note: {numbers.with_noun(ranked.cut, 'passage')} longer than is read of one, and cut")
    if ranked.query_cut:
        found.append("note: the query is longer than half of what the model reads, and was cut")
    found += [f"note: {name} has no text of its own, and was left out" for name in ranked.without_text]
    return found
