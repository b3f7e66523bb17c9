"""How well each label fits a picture, by a contrastive model, the way that kind of model wants to be asked.

It was trained on pictures and their captions, so a label becomes a caption, by the template that was published with the
model. Cosines are multiplied with the scale that it learned. CLIP tells which of the captions fits best, so its scores
are together 1; SigLIP judges each pair by itself, so none of them may fit, or several. Of several pictures, and of the
frames of a film, the mean counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from intermodal import errors
from intermodal.catalog.types import Endpoint
from intermodal.events import Note, StepFinished
from intermodal.executor.drivers.interface import CallJob, ContrastiveScale
from intermodal.executor.outputs.captions import caption
from intermodal.executor.outputs.vector_math import softmax
from intermodal.executor.preparation.model_inputs import ImageInput
from intermodal.executor.preparation.part_inputs import measure_work
from intermodal.executor.route_run import RouteRun
from intermodal.plans.step import Call


async def score_pictures(run: RouteRun, step: Call, endpoint: Endpoint, labels: tuple[str, ...]) -> tuple[float, ...]:
    """The score of every label, over all pictures that there are."""
    stands_for = await run.stands_for(step, endpoint)
    pictures = tuple(piece for found in stands_for.values() for piece in found if isinstance(piece, ImageInput))
    if not pictures:
        raise errors.InputEmpty(
            "there is no picture to hold the labels against", todo="give a picture, or a film with pictures",
            step=step.id,
        )  # fmt: skip
    captions = tuple(map(caption, labels))
    done = await run.do(
        CallJob(step=step, endpoint=endpoint, pictures=pictures, labels=captions, work=measure_work(pictures))
    )
    await run.state.emit(StepFinished(actual=done.actual))
    matching = done.made.contrastive
    assert matching is not None
    if matching.cut:
        what = f"{matching.cut} of the labels are longer than {endpoint.id} reads, and were cut"
        await run.state.emit(Note(text=what, step=step.id, warns=True))
    seen, said = done.made.vectors[: len(pictures)], done.made.vectors[len(pictures) :]
    each = [pair_scores(vector, said, matching) for vector in seen]
    return tuple(sum(column) / len(each) for column in zip(*each, strict=True))


def pair_scores(
    picture: Sequence[float], captions: Sequence[Sequence[float]], matching: ContrastiveScale
) -> tuple[float, ...]:
    """Scores of captions at one picture; vectors of length 1.

    >>> scored((1.0, 0.0), [(1.0, 0.0), (0.0, 1.0)], Matching(loss="softmax", scale=0.0))
    (0.5, 0.5)
    """
    logits = [
        matching.scale * sum(float(a) * float(b) for a, b in zip(picture, each, strict=True)) + matching.bias
        for each in captions
    ]
    if matching.loss == "sigmoid":
        return tuple(1 / (1 + math.exp(-max(-500.0, min(500.0, logit)))) for logit in logits)
    return softmax(logits)
