"""A ``client<llm>`` as models in order of preference, sampling, and the number of retries.

Hosts, keys and what else follows a failure are the config's and the plan's. What is not taken over becomes a finding.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace as with_fields
from typing import Any, NamedTuple

from intermodal.content import Role
from intermodal.prompts import prompt_options
from intermodal.prompts.baml.declarations import Declaration, QuotedText
from intermodal.prompts.prompt_file import PromptFinding
from intermodal.prompts.source_text import FrontMatter
from intermodal.request import Sampling, Settings

# How BAML calls who serves a model -> how the catalog calls who makes it; others are looked up by the model alone.
_MAKERS = {
    "openai": "openai", "openai-responses": "openai", "azure-openai": "openai", "anthropic": "anthropic",
    "google-ai": "google", "vertex-ai": "google",
}  # fmt: skip
# By whom BAML's own clients take words before the first role for the system's; elsewhere they are the user's.
_OPENING: Mapping[str, Role] = dict.fromkeys(
    ("openai", "openai-generic", "openai-responses", "azure-openai", "openrouter", "ollama"), "system"
)
_CONNECTION = frozenset(
    (
        "model", "api_key", "base_url", "default_role", "allowed_roles", "remap_roles", "headers", "strategy",
        "supports_streaming", "media_url_handler", "resource_name", "deployment_id", "api_version", "project_id",
        "location", "region", "credentials", "allowed_role_metadata", "finish_reason_allow_list", "http",
    )
)  # fmt: skip
_NESTED = ("generationConfig", "inference_configuration")  # where Google's clients and Bedrock's have their settings
_MOST_DEEP = 5


class ClientSettings(NamedTuple):
    """``models``: in the order in which they are asked for. ``opening``: the role of words before the first one that a
    prompt names. ``options``: of the policy, by its names."""

    models: tuple[str, ...] = ()
    opening: Role = "user"
    sampling: Sampling = Sampling()
    settings: Settings = Settings()
    options: Mapping[str, Any] = {}
    findings: tuple[PromptFinding, ...] = ()


def client_settings(said: Any, line: int, blocks: Mapping[str, Declaration], where: str) -> ClientSettings:
    """What a function's ``client`` asks for. ``line``: where the function says so; ``where``: its file.

    Raises PromptError for a setting with a wrong value.
    """
    read = _Reader(blocks, where)
    models = tuple(dict.fromkeys(read.models(said)))
    said_drawn = {name: value for name, value in read.first.items() if name not in _CONNECTION}
    nested = [said_drawn.pop(name) for name in _NESTED if isinstance(said_drawn.get(name), Mapping)]
    drawn = {**said_drawn, **{name: value for each in nested for name, value in each.items()}}
    sampling, settings, unread = prompt_options.sampling(
        drawn, FrontMatter(name=where, value=drawn, lines={(): line}), ()
    )
    found = (PromptFinding("warning", line, each) for each in dict.fromkeys(read.found))
    more = (with_fields(each, line=line) for each in unread)
    opening: Role = "system" if (read.opening or _OPENING.get(read.provider)) == "system" else "user"
    return ClientSettings(models, opening, sampling, settings, read.options, (*found, *more))


class _Reader:
    """Follows a client to the models that it names.

    Attributes:
        first: options of the client that is asked first, provider: of it, opening: the role that it says for words
            before the first role. options: of the policy. found: what is not done as it says.
    """

    def __init__(self, blocks: Mapping[str, Declaration], where: str) -> None:
        self._blocks = blocks
        self._where = where
        self.first: Mapping[str, Any] = {}
        self.provider = self.opening = ""
        self.options: dict[str, Any] = {}
        self.found: list[str] = []
        self._read_first = False

    def models(self, said: Any, depth: int = 0) -> Iterator[str]:
        """Models of a client, by its name or written out (``"openai/gpt-4o"``), in the order in which it asks them."""
        if isinstance(said, QuotedText):
            if not self._read_first:
                self._read_first, self.provider = True, said.partition("/")[0]
            yield _called(*said.split("/", 1)) if "/" in said else str(said)
            return
        block = self._blocks.get(str(said or ""))
        if block is None or block.kind != "client" or depth > _MOST_DEEP:
            return
        if policy := block.settings.get("retry_policy"):
            self._retries(str(policy))
        options = block.settings.get("options")
        options = options if isinstance(options, Mapping) else {}
        provider = str(block.settings.get("provider") or "").removeprefix("baml-")
        if provider in _SEVERAL:
            yield from self._several(block, provider, options, depth)
            return
        if not self._read_first:
            self.first, self._read_first, self.provider = options, True, provider
            self.opening = str(options.get("default_role") or "")
        model = str(options.get("model") or "")
        if options.get("base_url"):
            self.found.append(f"base_url of client {block.name} is not read: hosts are those of the config")
        if model.startswith("env."):
            self.found.append(f"{model} is not followed: variables are not read")
        elif model:
            yield _called(provider, model)

    def _several(self, block: Declaration, provider: str, options: Mapping[str, Any], depth: int) -> Iterator[str]:
        strategy = options.get("strategy")
        inner = strategy if isinstance(strategy, list) else []
        if len(inner) > 1:
            self.found.append(f"{provider} {block.name} ({self._place(block)}): {_SEVERAL[provider]}")
        for each in inner:
            yield from self.models(each, depth + 1)

    def _retries(self, name: str) -> None:
        """``max_retries`` of the outermost policy bounds resends; how long is waited between them is not its to say."""
        block = self._blocks.get(name)
        if block is None or block.kind != "retry_policy":
            return
        most = block.settings.get("max_retries")
        if type(most) is int and most >= 0:
            self.options.setdefault("resends", most)
        if block.settings.get("strategy"):
            what = "waits are not taken over: as long as the host asks, else up to 1 s, 2 s, 4 s, 8 s"
            self.found.append(f"retry_policy {name} ({self._place(block)}): its {what}")

    def _place(self, block: Declaration) -> str:
        name = os.path.basename(block.file or self._where)
        return f"{name}:{block.line}"


# Clients of several others, and what is said of them.
_SEVERAL = {
    "fallback": "the first that can be had answers; where it fails meanwhile, the plan's own fallbacks follow",
    "round-robin": "they do not take turns: the first that can be had answers",
}


def _called(provider: str, model: str) -> str:
    maker = _MAKERS.get(provider)
    return f"{maker}/{model}" if maker and "/" not in model else model
