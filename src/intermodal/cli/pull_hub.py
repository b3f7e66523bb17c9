"""``intermodal pull hf:...``: models of a hub, sized before they are fetched, pinned afterwards."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from intermodal.local.weights.lockfile import LockedModel
    from intermodal.local.weights.store import WeightsStore
    from intermodal.local_models.hub_pull import HubPull
    from intermodal.plans.machine import Machine


class PullOptions(NamedTuple):
    """What is asked of a pull beside the names: as the options of the command are called. ``sums`` by file."""

    update: bool = False
    force: bool = False
    dry_run: bool = False
    accept_unpinned: bool = False
    sums: Mapping[str, str] = MappingProxyType({})
    quiet: bool = False


def of_hub(store: WeightsStore, name: str) -> bool:
    """Whether a name is a repository, a row of one, or what was pulled of one."""
    if name.startswith("hf:"):
        return True
    shipped = next((row for row in store.shipped() if row.name == name), None)
    return bool(shipped.hub) if shipped is not None else any(model.name == name for model in store.lock.models())


def fetch_models(store: WeightsStore, names: list[str], asked: PullOptions) -> list[dict[str, Any]]:
    """Pull models of a hub, one after the other; all are sized before the first is fetched.

    Raises DoesNotFit for one that does not fit, unless ``--force``; else as ``hub_pull`` and ``pull_model``.
    """
    from intermodal.local_models.fit import this_machine

    machine = this_machine(os.environ)
    whole = store.present()
    plans: list[tuple[str, HubPull | None]] = []
    for name in names:
        taken = frozenset(plan.model.name for _, plan in plans if plan is not None)
        plans.append((name, _plan(store, name, machine, asked, taken)))
    done = []
    for name, plan in plans:
        if plan is None:
            done.append(_here(store, name, whole, dry_run=asked.dry_run))
            continue
        if not asked.quiet:
            _tell(plan)
        if asked.dry_run:
            done.append({**_document(store, plan), "pulled": False})
            continue
        _check(plan, force=asked.force, quiet=asked.quiet)
        _fetch(store, plan, asked)
        done.append({**_document(store, plan), "pulled": True})
    return done


def _plan(
    store: WeightsStore, name: str, machine: Machine, asked: PullOptions, taken: frozenset[str]
) -> HubPull | None:
    """What is to be fetched; None where it is here, whole and as pinned. A dry run changes nothing of what is here."""
    import anyio

    from intermodal.errors import WeightsError
    from intermodal.local_models.hub_pull import find_pinned, hub_pull

    async def planned() -> HubPull:
        return await hub_pull(name, store, machine, os.environ, update=asked.update, taken=taken)

    before = find_pinned(name, store)
    if before is None or asked.update:
        plan = anyio.run(planned)
        same = before is not None and before.sums() == plan.model.sums()
        if not (same and store.path(plan.model.name) is not None and anyio.run(store.verify, plan.model.name)):
            return plan
        if not asked.dry_run:
            store.lock.put(plan.model)  # the same bytes at another commit
        if not asked.quiet:
            click.echo(f"{plan.model.name}: the newest already, at {plan.model.revision[:12]}", err=True)
        return None
    if store.path(before.name) is None:
        return None if _by_hand(store, before, quiet=asked.quiet, dry_run=asked.dry_run) else anyio.run(planned)
    if not anyio.run(store.verify, before.name):
        if not asked.quiet:
            again = "would be" if asked.dry_run else "is"
            click.echo(f"{before.name}: damaged since it was pulled; what is wrong {again} fetched again", err=True)
        if not asked.dry_run:
            store.invalidate(before.name)
        return anyio.run(planned)
    try:
        plan = anyio.run(planned)
    except WeightsError as error:
        if not asked.quiet:
            click.echo(
                f"{before.name}: here, as pinned; the hub was asked whether it moved: {error.worded('command line')}",
                err=True,
            )
        return None
    if plan.moved and not asked.quiet:
        click.echo(_moved(plan), err=True)
    return None


def _by_hand(store: WeightsStore, model: LockedModel, *, quiet: bool, dry_run: bool) -> bool:
    """Take what is pinned from the folder of the user's own, where it has all of it: no hub is needed then."""
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


def _tell(plan: HubPull) -> None:
    """What would be fetched, why that, and whether it fits."""
    from intermodal.cli.rendering.tables import size
    from intermodal.local_models.fit_text import pace_lines

    model = plan.model
    eyes = f", with its projector {model.projector}" if model.projector else ""
    main = model.main or ", ".join(file.name for file in model.files if file.name.endswith(".onnx"))
    files = (
        "" if len(model.files) < 3 and (model.projector or len(model.files) == 1) else f" in {len(model.files)} files"
    )
    click.echo(
        f"{model.name}: {main}{eyes}, {size(model.size)}{files}, of {model.repo} at {model.revision[:12]}",
        err=True,
    )
    if plan.why:
        click.echo(f"{model.name}: {plan.why}", err=True)
    click.echo(f"{model.name}: {_sentence(plan)}", err=True)
    for line in pace_lines(plan.report) if plan.report is not None else ():
        click.echo(f"{model.name}: {line.strip()}", err=True)
    if plan.moved:
        click.echo(_moved(plan), err=True)


def _sentence(plan: HubPull) -> str:
    """Whether it fits, with the two numbers."""
    from intermodal.local_models.fit_text import SAID, gib, verdict
    from intermodal.sizing.accelerators import GIB

    if plan.report is not None:
        return verdict(plan.report)
    does = ", ".join(plan.model.traits.tasks)
    room = f"{plan.room / GIB:.1f} GiB are free"
    return f"{SAID[plan.verdict]}: needs {gib(plan.needed)} GiB, and {room}; {does} by {plan.model.runtime}"


def _moved(plan: HubPull) -> str:
    model = plan.model
    return (
        f"{model.name}: {model.asked} of {model.repo} is at {plan.moved[:12]} now, and {model.revision[:12]} is "
        f"pinned; to take it: intermodal pull {model.name} --update"
    )


def _check(plan: HubPull, *, force: bool, quiet: bool) -> None:
    from intermodal.cli.pull import unless_forced
    from intermodal.local_models.hub_pull import check_fits

    with unless_forced(plan.model.name, force=force, quiet=quiet):
        check_fits(plan)


def _fetch(store: WeightsStore, plan: HubPull, asked: PullOptions) -> None:
    import anyio

    from intermodal.cli.pull import PullProgress
    from intermodal.local.embedded.availability import install_command
    from intermodal.local_models.hub_pull import row_of

    model = plan.model
    bar = PullProgress(row_of(plan, store), quiet=asked.quiet, told=set())

    async def go() -> None:
        await store.pull_model(model, bar.show, sums=asked.sums, accept_unpinned=asked.accept_unpinned)

    try:
        anyio.run(go)
    finally:
        bar.close()
    if asked.quiet:
        return
    what = f"checked against the hub's SHA-256, pinned at {model.revision[:12]}"
    if model.runtime != "llama":
        what = f"{what}; the small files, of which it has no sum, as they came"
    click.echo(f"{model.name}: here, {what if model.pinned else 'its sums recorded as they came'}", err=True)
    if todo := install_command(model.runtime):
        click.echo(f"{model.name}: what runs it is not here: {todo}", err=True)
    click.echo(f"{model.name}: {_next(plan)}", err=True)


def _next(plan: HubPull) -> str:
    """The command that uses it."""
    model, labels = plan.model, plan.model.traits.labels
    if model.runtime == "contrastive":
        return f'try: intermodal find "a red star" ~/Pictures --model {model.name}'
    if "text-ranking" in model.traits.tasks:
        return f'try: intermodal rerank "a question" notes.txt --model {model.name}'
    if labels:
        return f'try: intermodal ask --labels "{",".join(labels[:4])}" "a text" --model {model.name}'
    if model.runtime == "encoder":
        return f'try: intermodal ask --output scores --labels "good,bad" "It is [MASK]." --model {model.name}'
    if model.traits.embeds:
        return f"to have vectors of it: intermodal up {model.name}"
    if model.traits.sees:
        return f'try: intermodal ask "What is in the picture?" photo.jpg --model {model.name}'
    return f'try: intermodal ask "What is a GGUF file?" --model {model.name}'


def _document(store: WeightsStore, plan: HubPull) -> dict[str, Any]:
    from intermodal.local_models.fit_document import plain_amount

    model = plan.model
    check = plan.report.placed.tightest if plan.report is not None else None
    path = store.path(model.name) if any(row.name == model.name for row in store.rows()) else None
    return {
        "name": model.name, "path": str(path) if path is not None else None, "repository": model.repo,
        "revision": model.revision, "asked": model.asked, "moved": plan.moved or None,
        "quantization": model.quantization or None, "why": plan.why or None, "size": model.size,
        "files": [{"path": file.path, "size": file.size, "sha256": file.sha256 or None} for file in model.files],
        "projector": model.projector or None, "licence": model.licence or None, "verdict": plan.verdict,
        "sentence": _sentence(plan), "memory": plain_amount(plan.needed),
        "room": check.room if check is not None else plan.room or None,
        "decode": plain_amount(plan.report.pace.decode) if plan.report is not None else None,
        "runtime": model.runtime, "labels": list(model.traits.labels),
        "sees": model.traits.sees, "hears": model.traits.hears, "embeds": model.traits.embeds,
    }  # fmt: skip


def _here(store: WeightsStore, said: str, whole: frozenset[str], *, dry_run: bool) -> dict[str, Any]:
    """Of what is here, or is brought by hand; ``whole``: names of what was here before."""
    from intermodal.local_models.hub_pull import find_pinned

    model = find_pinned(said, store)
    if model is None:
        raise AssertionError("what is here was pinned")
    path = store.path(model.name)
    return {
        "name": model.name, "path": str(path) if path is not None else None, "repository": model.repo,
        "revision": model.revision, "pulled": model.name not in whole and not dry_run,
    }  # fmt: skip
