"""The options of ``advise``, as types for Python callers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypedDict

from intermodal.core.request import Licence, Objective, Retention, Tier
from intermodal.cost_model.token_counts import CountablePart

ImageContent = Literal["text", "scene"]
Size = float | tuple[int, int]


class AdviseOptions(TypedDict, total=False):
    """The options of ``advise`` besides inputs and outputs.

    Attributes:
        sizes: of inputs, by kind: characters of a text, (width, height) of an image, seconds of audio or video, pages
            of a pdf. parts: the same as pieces, of which there may be several per kind. Kinds without a size have
            defaults, which are shown.
        prompt: the question; its words determine the aspects to keep and the length of the answer. out_tokens: sets
            that length.
        requests: rate, as "10000/day"; a number is per month. max_cost: USD per request. latency: seconds per request.
        private: kinds that may not leave the machine. release, keep, language, at_least, objective: as in ``Policy``.
        hosts: the only hosts to consider. local: consider no hosts.
        licence: "commercial" (the default) or "any". regions, retention: as in ``Policy``.
        waits: whether a person waits for each answer, so that seconds count besides money. By default they count if no
            number of requests is stated; for a monthly bill money decides, and the choice for waiting is named as well.
        hardware: "24GB", "2x24GB 16cores", "RTX 4090", "2xH100"; by default this machine. users: requests that an own
            server answers at once. hardware_price: USD per machine.
        life_months: months of use. power: watts. kwh: USD per kWh.
        translate: the target language for speech. labels: to be scored.
        shows: content of images, "text" or "scene". scanned: pages without a text layer. figures: pages with drawings.
        verbatim: speak the text itself.
    """

    sizes: Mapping[str, Size]
    parts: Iterable[CountablePart]
    prompt: str
    out_tokens: int | None
    requests: str | float
    max_cost: float | None
    latency: float | None
    private: Iterable[str]
    release: Iterable[str]
    keep: Iterable[str]
    language: str
    translate: str
    labels: Iterable[str]
    at_least: Tier | None
    objective: Objective
    hosts: Iterable[str]
    licence: Licence
    regions: Iterable[str]
    retention: Retention
    waits: bool | None
    local: bool
    hardware: str
    users: int | None
    hardware_price: float | None
    life_months: float | None
    power: float | None
    kwh: float | None
    shows: ImageContent | None
    scanned: bool
    figures: bool
    verbatim: bool
