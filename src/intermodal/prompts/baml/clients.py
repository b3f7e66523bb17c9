"""A ``client<llm>`` as what it can be here: a preference for a model, and how the answer is drawn.

Hosts, keys and what follows a failure are the config's and the plan's. What is not taken over is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from intermodal.prompts import wishes
from intermodal.prompts.baml.declarations import Block, Text
from intermodal.prompts.file import Finding
from intermodal.prompts.source import Front
from intermodal.request import Sampling, Settings

# How BAML calls who serves a model -> how the catalog calls who makes it; others are looked up by the model alone.
_MAKERS = {
    "openai": "openai", "openai-responses": "openai", "azure-openai": "openai", "anthropic": "anthropic",
    "google-ai": "google", "vertex-ai": "google",
}  # fmt: skip
_CONNECTION = frozenset(
    (
        "model", "api_key", "base_url", "default_role", "allowed_roles", "remap_roles", "headers", "strategy",
        "supports_streaming", "media_url_handler", "resource_name", "deployment_id", "api_version", "project_id",
        "location", "region", "credentials", "allowed_role_metadata", "finish_reason_allow_list", "http",
    )
)  # fmt: skip
# Clients of several others, and what is said of them.
_SEVERAL = {
    "fallback": "fallback asks for {first} first; after it come the plan's own fallbacks, not {others}",
    "round-robin": "round-robin is not taken over: {first} is asked for, not {others} in turn",
}
_MOST_DEEP = 5


class Wanted(NamedTuple):
    """``model``: "" where the client names none that can be looked up."""

    model: str = ""
    sampling: Sampling = Sampling()
    settings: Settings = Settings()
    findings: tuple[Finding, ...] = ()


def wanted(said: Any, line: int, blocks: Mapping[str, Block], where: str) -> Wanted:
    """What a function's ``client`` asks for. ``line``: where the function says so; ``where``: its file.

    Raises PromptError for a setting with a wrong value.
    """
    if isinstance(said, Text):
        return Wanted(model=_called(*said.split("/", 1))) if "/" in said else Wanted(model=str(said))
    found: list[str] = []
    block = _first(str(said or ""), blocks, found, 0)
    if block is None:
        return Wanted(findings=_findings(found, line))
    options = block.settings.get("options")
    options = options if isinstance(options, Mapping) else {}
    model = str(options.get("model") or "")
    if model.startswith("env."):
        found.append(f"{model} is not followed: variables are not read")
        model = ""
    if options.get("base_url"):
        found.append(f"base_url of client {block.name} is not read: hosts are those of the config")
    drawn = {name: value for name, value in options.items() if name not in _CONNECTION}
    front = Front(name=where, value=drawn, lines={(): line})
    sampling, settings, unread = wishes.sampling(drawn, front, ())
    provider = str(block.settings.get("provider") or "")
    reported = (*_findings(found, line), *(Finding(each.level, line, each.what, each.todo) for each in unread))
    return Wanted(_called(provider, model) if model else "", sampling, settings, reported)


def _first(name: str, blocks: Mapping[str, Block], found: list[str], depth: int) -> Block | None:
    """The client that is asked first, and in ``found`` what is not done as the file says."""
    block = blocks.get(name)
    if block is None or block.kind != "client":
        return None
    if policy := block.settings.get("retry_policy"):
        found.append(f"retry_policy {policy} is not taken over: the client's own retries are")
    provider = str(block.settings.get("provider") or "").removeprefix("baml-")
    if provider not in _SEVERAL:
        return block
    options = block.settings.get("options")
    strategy = options.get("strategy") if isinstance(options, Mapping) else None
    names = [str(each) for each in strategy] if isinstance(strategy, list) else []
    if not names or depth > _MOST_DEEP:
        return None
    if names[1:]:
        found.append(_SEVERAL[provider].format(first=names[0], others=", ".join(names[1:])))
    if isinstance(strategy, list) and isinstance(strategy[0], Text) and "/" in strategy[0]:
        provider, _, model = strategy[0].partition("/")
        settings = {"provider": provider, "options": {"model": model}}
        return Block(kind="client", name=names[0], line=block.line, settings=settings)
    return _first(names[0], blocks, found, depth + 1)


def _called(provider: str, model: str) -> str:
    maker = _MAKERS.get(provider)
    return f"{maker}/{model}" if maker and "/" not in model else model


def _findings(found: list[str], line: int) -> tuple[Finding, ...]:
    return tuple(Finding("warning", line, each) for each in found)
