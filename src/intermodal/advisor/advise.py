"""``intermodal.advise``: advice for this machine, today's snapshot and the measurements of earlier runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Unpack, cast

import msgspec

from intermodal.advisor.advice import Advice
from intermodal.advisor.candidate_catalog import candidate_catalog
from intermodal.advisor.decision import decide as advise_on
from intermodal.advisor.options import AdviseOptions, make_question
from intermodal.advisor.question import PROMPT, AdviceQuestion
from intermodal.client.request_builder import with_options
from intermodal.concurrency.sync_bridge import SyncBridge
from intermodal.config.config_file import Config, data_dir, load_config, snapshot_file
from intermodal.core.hints import setting
from intermodal.core.today import today
from intermodal.errors import UsageError
from intermodal.local.hardware.machine import machine_snapshot
from intermodal.plans.facts import QuestionFacts
from intermodal.plans.statistics import Statistics
from intermodal.questions.question_reader import QuestionReader
from intermodal.store.database import Store
from intermodal.store.measured_strengths import strengths


@with_options(AdviseOptions)
def advise(
    takes: str | Iterable[str], makes: str | Iterable[str] = "text", *, config: Config | None = None,
    env: Mapping[str, str] | None = None, **options: Unpack[AdviseOptions],
) -> Advice:  # fmt: skip
    """Return the kind of model that hypothetical requests need, and the cost. No host is contacted.

    Args:
        takes: input kinds: "text", "image", "audio", "video", "pdf".
        makes: outputs: "text", "json", "transcript", "scores", "speech", "embedding", "image"; if several, the answer
            first.
        config: the user's own servers and limits; read from the config file if None.
        env: environment for folders; ``os.environ`` if None.
        options: see :class:`intermodal.advisor.options.AdviseOptions`.

    Raises:
        UsageError: the options are invalid or contradict each other.
        NoRoute: no available model answers such a request; ``reasons`` say why.
    """
    return advice_for(takes, makes, config=config, env=env, **options)


def advice_for(
    takes: str | Iterable[str], makes: str | Iterable[str] = "text", *, config: Config | None = None,
    env: Mapping[str, str] | None = None, **options: Unpack[AdviseOptions],
) -> Advice:  # fmt: skip
    """Return the same as ``advise``, with errors that name command-line options."""
    env = os.environ if env is None else env
    config = load_config(env) if config is None else config
    stated = {key: value for key, value in options.items() if value is not None}
    usual = {"licence": config.licence if config.licence_stated else "commercial", "regions": config.regions}
    stated = {**usual, "retention": config.retention, **stated}
    question = make_question(takes, makes, machine_snapshot(), **cast("AdviseOptions", stated))
    question = msgspec.structs.replace(
        question,
        hosts=_trusted_hosts(question.hosts, config),
        trusted=config.trusted_hosts,
        time_value=config.time_value,
        question_facts=_prompt_needs(question),
    )
    as_of = today()
    found = candidate_catalog(
        question.hardware, as_of, user=config.hosts, hosts=question.hosts, policy=question.policy,
        measured=strengths(data_dir(env)), own_snapshot=snapshot_file(env),
    )  # fmt: skip
    # Measurements made here do not apply to stated hardware.
    return advise_on(question, found, as_of, Statistics() if question.hardware.stated else _measured_strengths(env))


def _trusted_hosts(named: tuple[str, ...], config: Config) -> tuple[str, ...]:
    """Return the hosts to consider. Raises UsageError if a named one is not trusted by the config."""
    for name in named if config.trusted_hosts else ():
        if name not in config.trusted_hosts:
            raise UsageError(
                f"trusted_hosts of the config does not have {name}", where=setting("host"), todo="add it there"
            )
    return named or config.trusted_hosts


def _prompt_needs(question: AdviceQuestion) -> QuestionFacts | None:
    """Return what the prompt needs of the media, according to the sentence model.

    Returns None for the default prompt, without the sentence model, or if it is undecided.
    """
    if question.prompt == PROMPT:
        return None

    async def told() -> QuestionFacts | None:
        reader = QuestionReader()
        try:
            return await reader.needs(question.prompt, question.takes)
        finally:
            await reader.close()

    bridge = SyncBridge()
    try:
        return bridge.run(told)
    finally:
        bridge.close()


def _measured_strengths(env: Mapping[str, str]) -> Statistics:
    store = Store(data_dir(env) / "store.sqlite3")
    try:
        return store.statistics()
    finally:
        store.close()
