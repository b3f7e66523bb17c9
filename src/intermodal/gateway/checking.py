"""What a config would make of the gateway, found out before anybody asks: each name is planned for, nothing is sent.

``wrong`` is what can never be as it is written; ``note`` what is so today (a model that is not pulled, a host without a
key) and may be meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Literal

from intermodal.client import AsyncClient, plan_from
from intermodal.config import placed
from intermodal.content import Text, Value
from intermodal.errors import IntermodalError, UnknownModel
from intermodal.gateway.ledger.nouns import VirtualKey
from intermodal.gateway.naming import AUTO, POLICY, policy_of
from intermodal.request import Message, Request


class Finding(Value):
    """``where`` it stands, with its line where it is in the config; ``what`` is so, and what ``todo``."""

    level: Literal["wrong", "note"]
    where: str
    what: str
    todo: str = ""


class Name(Value):
    """A name that clients may ask for besides those of models, and who would answer a chat; "" for nobody."""

    name: str
    stands_for: str
    answers: str


async def names(client: AsyncClient) -> tuple[list[Name], list[Finding]]:
    """``auto``, policies and aliases, each planned for with a word."""
    config = client.config
    wanted: dict[str, tuple[str | int, ...]] = {AUTO: ()}
    wanted |= {f"{POLICY}{name}": ("policies", name) for name in config.policies}
    wanted |= {alias: ("serve", "aliases", alias) for alias in config.serve.aliases}
    made, found = [], []
    for name, key in wanted.items():
        answers = ""
        where = placed(config.path, key) if key else name
        meant = config.serve.aliases.get(name, name)
        if meant in config.serve.aliases and meant != name:
            what = f"alias {name} stands for {meant}, which is an alias itself"
            found.append(Finding(level="wrong", where=where, what=what, todo="write what that stands for"))
        else:
            try:
                answers = await _answering(client, name)
            except UnknownModel as error:
                found.append(Finding(level="wrong", where=where, what=f"{name}: {error.what}", todo=error.todo))
            except IntermodalError as error:
                found.append(Finding(level="note", where=where, what=f"{name} answers no chat now: {error.what}"))
        made.append(Name(name=name, stands_for=meant, answers=answers))
    return made, found


async def _answering(client: AsyncClient, name: str) -> str:
    """The endpoint that would answer a word. Raises what planning raises."""
    words = Message(role="user", parts=(Text(text="hello"),))
    prepared = await client.prepare(Request(messages=(words,), policy=policy_of(name, client.config)))
    return plan_from(prepared.inputs).chosen.endpoint


def rates(client: AsyncClient) -> Iterator[Finding]:
    """Rates of endpoints that nobody knows hold for nobody."""
    known = client.catalog.by_id
    for name in client.config.serve.rates:
        if name not in known:
            near = get_close_matches(name, known, 1)
            yield Finding(
                level="wrong", where=placed(client.config.path, ("serve", "rates", name)),
                what=f"there is no endpoint {name}",
                todo=f"did you mean {near[0]}?" if near else "see: intermodal models",
            )  # fmt: skip


def keys(client: AsyncClient, known: tuple[VirtualKey, ...]) -> Iterator[Finding]:
    """Keys that may ask for policies that are not there."""
    for key in known:
        for name in key.policies:
            if key.revoked is None and not name.endswith("*") and name not in client.config.policies:
                yield Finding(
                    level="note", where=f"key {key.name}",
                        what=f"it may ask for {POLICY}{name}, which is not in the config",
                    todo=f"add [policies.{name}], or: intermodal keys set {key.name} --policy NAME",
                )  # fmt: skip
