"""Remedies: the fix for a rejection, with the names of this request if known."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from intermodal.catalog.types import Endpoint
from intermodal.core.hints import ALIASES, PULL_LIST, action, command, consent_to, hint
from intermodal.core.request import TIERS
from intermodal.planner.catalog_index import EndpointGroup
from intermodal.planner.eligibility.eligible_endpoints import EndpointRejection
from intermodal.planner.planning_case import PlanningCase
from intermodal.plans.plan import Rejected

MAX_NAMED_HOSTS = 2  # maximum number of hosts named in a remedy
_LIST_MODELS = action("intermodal models", http="see /v1/models")
_LIST_MODELS_AND_ALIASES = action("intermodal models", http=f"see /v1/models{ALIASES}")
_DEFAULTS = command("intermodal pull --defaults")
_DEFAULTS_DO = frozenset({"text", "json", "transcript"})  # outputs of the models that it brings
_PAGES = action(hint("choose pages ({pages})"), http="send fewer pages")
_REMEDIES: dict[str, str] = {
    "named": hint("name another model ({}), or none", _LIST_MODELS),
    "not_ready": hint("install what is missing ({} for the small models; intermodal doctor)", _DEFAULTS),
    "consent": hint("or pull the small local models: {}", _DEFAULTS),
    "zone": hint("drop {local}, or add a nearer host"),
    "privacy": hint("release the text ({release}), or add a stronger local model (intermodal pull)"),
    "keep": "keep fewer aspects, or allow a host whose models take such parts (intermodal hosts add)",
    "labelled": "allow a host whose models see (intermodal hosts add), or a local one (intermodal up, ollama)",
    "rationed": hint("let free tiers in: {free-tiers}"),
    "floor": hint("lower {at-least}, or add a stronger model (intermodal pull, intermodal hosts add)"),
    "context": "give less text, or allow a model with a longer context",
    "memory": "free some memory, or use a smaller model",
    "unknown_price": hint("give the host's price in intermodal.toml, or drop {max-cost}"),
    "max_cost": hint("raise {max-cost}"),
    "deadline": hint("raise {deadline}, or allow a shorter answer ({max-tokens})"),
    "schema": "do without strict: then it is asked for in words and checked; or allow a host that forces schemas",
    "images": "send fewer images",
    "language": hint("allow a speech recognition model for this language ({}, intermodal hosts add)", PULL_LIST),
    "translation": hint(
        "leave {translate} out, or have a language model translate a transcript ({output=}), by one that is pulled or "
        "allowed: {}, intermodal hosts add",
        "transcript",
        PULL_LIST,
    ),
    "pages": _PAGES,
}


def remedy(case: PlanningCase, row: Rejected, refused: Iterable[EndpointRejection], cause: str) -> str:
    """Return the fix for the nearest miss. ``cause``: its rule; for a named model, the rule behind it."""
    general = _REMEDIES.get(row.rule, "run intermodal doctor to see what is available")
    if cause == "schema":
        return _REMEDIES[cause]
    if row.rule == "consent" and (case.output not in _DEFAULTS_DO or case.into or case.translating):
        return _local_instead(case)
    if row.rule == "named" and row.reason.startswith("no consent"):
        return hint("or name another model ({})", _LIST_MODELS_AND_ALIASES)
    if row.rule == "context" and any(bundle.kind == "document" for bundle in case.bundles):
        return hint("{}, or allow a model with a longer context", _PAGES)
    if row.rule == "context" and case.request.tools:
        return "send fewer tools or less text, or allow a model with a longer context"
    if row.rule == "language":
        return _transcriber(case, row) or general
    helps = _HELPS.get(row.rule)
    hosts = hosts_without_consent(case, refused, lambda group: helps(case, group)) if helps is not None else ()
    if not 0 < len(hosts) <= MAX_NAMED_HOSTS:
        return general
    asked_less = {"keep": "keep fewer aspects, or ", "floor": hint("lower {at-least}, or ")}.get(row.rule, "")
    return hint("{}allow a host: {}", asked_less, consent_to(*hosts))


def _local_instead(case: PlanningCase) -> str:
    """Return how to get an output on this machine that the default models do not have."""
    if case.output == "image":
        return "or use a diffusion model of your own (docs/drawing.md)"
    return hint("or pull a local model: {}", PULL_LIST)


def _transcriber(case: PlanningCase, row: Rejected) -> str:
    """Return the fix if transcribers do not support the spoken language: the smallest one to fetch that does.

    If no language is stated, it may be the one that the transcriber supports. A false statement makes it produce
    nonsense, so stating it is advised only under its condition.
    """
    spoken_languages = case.languages
    transcribers = [
        endpoint
        for group in case.index.groups
        if "transcribe" in group.jobs
        for endpoint in group.members
        if not endpoint.ready and endpoint.todo and _supports_languages(endpoint, spoken_languages)
    ]
    fetch_command = (
        command(min(transcribers, key=lambda transcriber: (transcriber.memory.mid, transcriber.id)).todo)
        if transcribers
        else ""
    )
    refusing = next((case.index.group_of[name].first for name in row.endpoints if name in case.index.group_of), None)
    if spoken_languages or refusing is None or not refusing.model.languages:
        return fetch_command
    language = refusing.model.languages[0]
    claimed = hint("if it is {}: {language=}", _LANGUAGES.get(language, language), language)
    return hint("{}; otherwise {}", claimed, fetch_command) if fetch_command else claimed


def _supports_languages(endpoint: Endpoint, spoken_languages: frozenset[str]) -> bool:
    return not endpoint.model.languages or (
        bool(spoken_languages) and spoken_languages <= frozenset(endpoint.model.languages)
    )


# English names of languages with monolingual transcribers.
_LANGUAGES: dict[str, str] = {"en": "English", "fr": "French", "de": "German", "es": "Spanish", "zh": "Chinese"}


def hosts_without_consent(
    case: PlanningCase, refused: Iterable[EndpointRejection], helps: Callable[[EndpointGroup], bool]
) -> tuple[str, ...]:
    """Return the hosts that lack only consent and have a suitable endpoint."""
    groups = [case.index.group_of[name] for row in refused if row.rule == "consent" for name in row.ids]
    return tuple(sorted({group.first.host.id for group in groups if helps(group)}))


def _accepts_all_inputs(case: PlanningCase, group: EndpointGroup) -> bool:
    return {bundle.kind for bundle in case.bundles} <= group.inputs and case.job in group.jobs


_HELPS: dict[str, Callable[[PlanningCase, EndpointGroup], bool]] = {
    "keep": _accepts_all_inputs,
    "modality": _accepts_all_inputs,
    "labelled": _accepts_all_inputs,
    "floor": lambda case, group: group.strongest >= TIERS.index(case.policy.at_least or "medium"),
}
