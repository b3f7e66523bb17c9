"""How well each label fits a text, by an encoder's own head, the way that kind of model wants to be asked: it is given
the text and nothing else, and says all that it knows.

A head was trained for its labels and knows no others. Of labels of which one holds, the scores of all are together 1;
where some alone were asked for, the others have what is missing, and a note says so. A head of labels that are judged
by themselves gives each its own chance. A long text goes in by windows, and that is said.
"""

from __future__ import annotations

from intermodal import errors
from intermodal.catalog.encoder_heads import label_indices, unknown_labels
from intermodal.catalog.types import Endpoint
from intermodal.events import Note, StepFinished
from intermodal.executor.drivers.interface import CallJob, HeadScores
from intermodal.executor.route_run import RouteRun
from intermodal.hints import hint
from intermodal.plans.step import Call
from intermodal.plans.verdict import joined_names


async def score_by_head(
    run: RouteRun, step: Call, endpoint: Endpoint, text: str, labels: tuple[str, ...]
) -> dict[str, float]:
    """The scores of these labels, in their order; of all that the head has where none are given."""
    masked = endpoint.model.fills_masks
    done = await run.do(CallJob(step=step, endpoint=endpoint, text=text, labels=labels if masked else ()))
    await run.state.emit(StepFinished(actual=done.actual))
    told = done.made.told
    assert told is not None
    for what in _windows(told, endpoint):
        await run.state.emit(Note(text=what, step=step.id, warns=told.cut))
    if masked or not labels:
        return dict(told.scores)
    known = tuple(label for label, _ in told.scores)
    if gone := unknown_labels(labels, known):
        verb = "is no label" if len(gone) == 1 else "are no labels"
        raise errors.CallError(
            f"{joined_names(gone)} {verb} of its head, which knows {joined_names(known)}", where=endpoint.id,
            todo=hint("give labels that it knows, or let another model score ({model})"), step=step.id,
        )  # fmt: skip
    found = {label: told.scores[at][1] for label, at in zip(labels, label_indices(labels, known), strict=True)}
    rest = [label for label, _ in told.scores if label.casefold() not in {each.strip().casefold() for each in labels}]
    together = sum(score for _, score in told.scores)
    if rest and abs(together - 1.0) < 1e-3:
        what = (
            f"its head knows {joined_names(rest)}, too, which have {max(0.0, together - sum(found.values())):.3f} of it"
        )
        await run.state.emit(Note(text=what, step=step.id))
    return found


def _windows(told: HeadScores, endpoint: Endpoint) -> list[str]:
    """What is said of a text that is longer than the model reads at once."""
    if told.cut:
        return [f"the text is longer than {told.windows} windows of {endpoint.id}, and was cut there"]
    if told.windows > 1:
        what = f"the text is longer than {endpoint.id} reads at once"
        return [f"{what}: {told.windows} windows were read, and count together"]
    return []


__all__ = ["score_by_head"]
