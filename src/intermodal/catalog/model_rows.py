"""Model rows as written in ``data/models/*.toml``. The snapshot may fill in what a row omits.

Each value has a source: that of the row, or for a tier its own. ``checked`` is the date on which the source was opened;
without a date the row is unverified, and is shown as such.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from intermodal.catalog.default_speeds import SIZE_UNKNOWN
from intermodal.catalog.types import (
    Adaptation,
    Evidence,
    LicencePermission,
    Model,
    Objective,
    OutputKind,
    Strength,
    Task,
    TrainingData,
)
from intermodal.core.content import Kind, Value
from intermodal.core.request import TIERS, Tier

# Assumed strength by number of parameters. A proxy, and labelled as one.
_TIER_BY_PARAMETERS: tuple[tuple[float, Tier], ...] = ((1e9, "tiny"), (5e9, "small"), (20e9, "medium"))
_EXPERTS_BESIDE = re.compile(r"\s*\d+e(?![a-z0-9])", re.IGNORECASE)
_NAMED_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)\s?([bm])(?![a-z0-9])", re.IGNORECASE)


class ModelRow(Value, forbid_unknown_fields=True):
    """A model, as written in a file.

    ``tier`` applies to each of its tasks, as a proxy unless ``tier_level`` states better evidence. ``learned_from``:
    the amount and kind of training data, and whether it was labelled, in words; ``language_range``: its source's
    statement on languages if it does not list them (``languages`` would restrict plans, and stays empty then). Plans
    use neither.

    The fields are those of ``catalog.types.Model``; () and None mean that this row does not state them.
    """

    id: str
    name: str = ""
    tasks: tuple[Task, ...] = ()
    input: tuple[Kind, ...] = ()
    output: tuple[OutputKind, ...] = ()
    objective: tuple[Objective, ...] = ()
    trained_on: tuple[TrainingData, ...] = ()
    adaptation: Adaptation | Literal[""] = ""
    parameters: float | None = None
    active: float | None = None
    context: int | None = None
    max_output: int | None = None
    languages: tuple[str, ...] = ()
    translates: tuple[str, ...] = ()
    learned_from: str = ""
    language_range: str = ""
    tokenizer: str = ""
    image_tokens: str = ""
    labels: tuple[str, ...] = ()
    independent: bool = False
    marks: tuple[str, ...] = ()
    tier: Tier | None = None
    tier_level: Literal["proxy", "benchmark", "measured"] = "proxy"
    tier_source: str = ""
    licence: str = ""
    permits: LicencePermission | Literal[""] = ""
    source: str = ""
    checked: str = ""

    def contradiction(self) -> str:
        """Return a description of a contradiction within the row; "" if there is none."""
        if self.active is not None and self.parameters is not None and self.active > self.parameters:
            return f"active is {self.active:g}, more than its {self.parameters:g} parameters"
        if self.checked and not self.source:
            return "checked has a day, and there is no source that was opened"
        return find_contradiction(self.tasks, self.input, self.output, self.context, self.max_output)

    def model(self) -> Model:
        tasks = self.tasks or ("text-generation",)
        return Model(
            id=self.id,
            name=self.name or self.id,
            tasks=tasks,
            input=self.input or ("text",),
            output=self.output or ("text",),
            objective=self.objective,
            trained_on=self.trained_on,
            adaptation=self.adaptation,
            parameters=self.parameters,
            active=self.active,
            context=self.context,
            max_output=self.max_output,
            languages=self.languages,
            translates=self.translates,
            tokenizer=self.tokenizer,
            image_tokens=self.image_tokens,
            labels=self.labels,
            independent=self.independent,
            marks=self.marks,
            strength=self._strength(tasks),
            licence=self.licence,
            permits=self.permits,
            evidence=Evidence(level="declared", source=self.source, checked=self.checked),
        )

    def _strength(self, tasks: tuple[Task, ...]) -> tuple[Strength, ...]:
        tier, source = self.tier, self.tier_source
        if tier is None:
            tier, source = tier_by_size(self.parameters or size_in_name(self.id), self.active)
        evidence = Evidence(level=self.tier_level, source=source, checked=self.checked)
        return tuple(Strength(task=task, tier=tier, evidence=evidence) for task in tasks)


# Inputs and outputs that a task requires; a row that states otherwise contradicts itself.
_TASKS_NEED: dict[Task, tuple[tuple[Kind, ...], tuple[OutputKind, ...]]] = {
    "automatic-speech-recognition": (("audio",), ("text",)),
    "audio-text-to-text": (("audio",), ("text",)),
    "image-text-to-text": (("image",), ("text",)),
    "image-to-text": (("image",), ("text",)),
    "text-to-speech": (("text",), ("audio",)),
    "feature-extraction": ((), ("embedding",)),
    "text-generation": (("text",), ("text",)),
    "text-to-image": (("text",), ("image",)),
    "text-to-video": (("text",), ("video",)),
    "text-ranking": (("text",), ("scores",)),
    "text-classification": (("text",), ("scores",)),
}


def find_contradiction(
    tasks: tuple[Task, ...],
    input: tuple[Kind, ...],
    output: tuple[OutputKind, ...],
    context: int | None,
    most: int | None,
) -> str:
    """Return a description of a contradiction between values of one row; "" if there is none.

    () and None mean that a value is not stated.
    """
    for name, limit in (("context", context), ("max_output", most)):
        if limit is not None and limit < 1:
            return f"{name} is {limit}, and must be 1 or more"
    if context is not None and most is not None and most > context:
        return f"max_output is {most:,}, more than the context of {context:,}"
    for task in tasks:
        goes_in, comes_out = _TASKS_NEED.get(task, ((), ()))
        lacking: list[str] = [kind for kind in goes_in if input and kind not in input]
        lacking += [output_kind for output_kind in comes_out if output and output_kind not in output]
        if lacking:
            return f"its tasks have {task}, and its {'input' if lacking[0] in goes_in else 'output'} no {lacking[0]}"
    return ""


@lru_cache(8_192)
def size_in_name(name: str) -> float | None:
    """Return the number of parameters in a model's name ("qwen3-8b"); None if it has none.

    The first of several numbers is the total ("30b-a3b"). Next to a number of experts ("17b-16e") it is the number of
    active parameters, from which the total does not follow.
    """
    found = _NAMED_SIZE.search(name.replace("-", " ").replace("_", " ").replace(":", " ").replace("/", " "))
    if found is None or _EXPERTS_BESIDE.match(found.string, found.end()):
        return None
    return float(found[1]) * (1e9 if found[2].lower() == "b" else 1e6)


def tier_by_size(parameters: float | None, active: float | None = None) -> tuple[Tier, str]:
    """Return a tier from parameters alone, and its basis in words.

    The tier is ``small`` if nothing is known, and at most ``large``. A mixture of experts is rated at most one tier
    above a dense model of its active size: knowledge grows with all parameters, reasoning with the active ones.
    """
    if parameters is None:
        return "small", SIZE_UNKNOWN
    place = _tier_index(parameters)
    if active is not None and active < parameters:
        return TIERS[
            min(place, _tier_index(active) + 1)
        ], f"{_parameters_text(parameters)}, {_parameters_text(active)} active"
    return TIERS[place], _parameters_text(parameters)


def _tier_index(parameters: float) -> int:
    largest: Tier = "large"
    return TIERS.index(next((tier for limit, tier in _TIER_BY_PARAMETERS if parameters < limit), largest))


def _parameters_text(parameters: float) -> str:
    return f"{parameters / 1e9:g}B" if parameters >= 1e9 else f"{parameters / 1e6:g}M"
