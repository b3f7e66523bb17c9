"""The keys of a workload document, as types for Python callers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from intermodal.core.request import Aspect, Objective, Tier


class Requests(TypedDict, total=False):
    """The rate: ``per_day``, on ``days`` days per month (365 / 12 by default), or ``per_month``."""

    per_day: float
    per_month: float
    days: float


class PartKeys(TypedDict, total=False):
    """A part of the request, with its properties.

    Exactly one of ``image`` ("1024x1024:high"), ``audio`` ("1m30s"), ``video`` ("10s@1:640x360"), ``pdf`` ("10p"),
    ``letters`` (characters of a text) and ``file`` (a real file).
    """

    image: str
    audio: str
    video: str
    pdf: str
    letters: int
    file: str | os.PathLike[str]
    name: str
    count: int
    text_density: float
    letters_per_page: int
    scanned: bool
    silent: bool


class OutputKeys(TypedDict, total=False):
    """The output, and the length of the answer."""

    kind: Literal["text", "json", "transcript", "speech", "embedding", "scores"]
    tokens: int
    max_tokens: int
    schema: Mapping[str, Any]
    labels: Sequence[str]


class PolicyKeys(TypedDict, total=False):
    """The limits of a plan, as in ``Policy``.

    ``max_cost``: unlimited by default. ``local``: nothing leaves this machine.
    """

    objective: Objective
    at_least: Tier
    model: str
    host: str
    hosts: Sequence[str]
    local: bool
    keep: Sequence[Aspect]
    private: Sequence[str]
    release: Sequence[str]
    max_cost: float
    deadline: float
    time_value: float
    language: str
    batch: bool
    cached: int


class PlanKeys(PolicyKeys, total=False):
    """A plan to be billed: its name, and its own settings."""

    name: str


class WorkloadKeys(TypedDict, total=False):
    """The argument of ``client.cost``: the keys of a workload document (docs/cost.md).

    Attributes:
        name: for tables and the chart. as_of: the day of the prices, as "2026-11-25"; today by default.
        policy: defaults of the plans.
    """

    name: str
    as_of: str
    requests: Requests
    prompt: str
    system: str
    parts: Sequence[PartKeys]
    output: OutputKeys
    policy: PolicyKeys
    plans: Sequence[PlanKeys]
