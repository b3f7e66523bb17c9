"""Advice over the world as it is: this machine, today, the snapshot here, what was measured and what runs took."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Unpack

from intermodal.advising.advice import Advice
from intermodal.advising.advise import advise
from intermodal.advising.offers import offers
from intermodal.advising.options import AdviseOptions, make_question
from intermodal.config import Config, data_dir, snapshot_file
from intermodal.plans.statistics import Statistics
from intermodal.runtimes.machine import snapshot
from intermodal.store.measured import strengths


def advice_on(
    takes: str | Iterable[str], makes: str, config: Config, env: Mapping[str, str], learned: Callable[[], Statistics],
    **options: Unpack[AdviseOptions],
) -> Advice:  # fmt: skip
    """Gather what advice needs, and give it. ``learned`` is asked for what earlier runs took.

    Raises:
        UsageError: the question makes no sense.
        NoRoute: nothing that could be had answers such a request.
    """
    question = make_question(takes, makes, snapshot(), **options)
    as_of, own = datetime.now(UTC).date().isoformat(), snapshot_file(env)
    found = offers(
        question.hardware, as_of, user=config.hosts, hosts=question.hosts, measured=strengths(data_dir(env)),
        own_snapshot=own,
    )  # fmt: skip
    # What runs took here says nothing of hardware that is not here.
    return advise(question, found, as_of, Statistics() if question.hardware.stated else learned())
