"""What a config would make of the gateway, found out before anybody asks: each name is planned for, nothing is sent.

``wrong`` is what can never be as it is written; ``note`` what is so today (a model that is not pulled, a host without a
key) and may be meant.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from intermodal.api_keys import find_key
from intermodal.catalog.model_names import resolve_name
from intermodal.catalog.validation_messages import is_safe_to_echo
from intermodal.client import AsyncClient, plan_from
from intermodal.config import placed
from intermodal.config_tables import AUTO, POLICY, PROMPT
from intermodal.content import Text, Value
from intermodal.errors import IntermodalError, UnknownModel
from intermodal.gateway.endpoints.models import callable_endpoints
from intermodal.gateway.quotas.quota_types import ANONYMOUS, VirtualKey
from intermodal.gateway.requests.request_policy import policy_for_model
from intermodal.gateway.workers.sockets import bind_failure, find_bind_error
from intermodal.protocols.errors.responses import RequestRefused
from intermodal.request import Message, Policy, Request

if TYPE_CHECKING:
    from intermodal.gateway.server import Gateway
    from intermodal.gateway.server_client import ServerClient


class ConfigFinding(Value):
    """``where`` it stands, with its line where it is in the config; ``what`` is so, and what ``todo``."""

    level: Literal["wrong", "note"]
    where: str
    what: str
    todo: str = ""


class ServedName(Value):
    """A name that clients may ask for besides those of models, and who would answer a chat; "" for nobody."""

    name: str
    stands_for: str
    answers: str


async def check_names(gateway: Gateway) -> tuple[list[ServedName], list[ConfigFinding]]:
    """``auto``, policies and aliases, each planned for with a word. An alias of a prompt file is looked up."""
    client = gateway.client
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
            found.append(ConfigFinding(level="wrong", where=where, what=what, todo="write what that stands for"))
        else:
            try:
                if meant.startswith(PROMPT):
                    await gateway.prompts.find(meant.removeprefix(PROMPT), ANONYMOUS)
                    continue
                answers = await _answering(client, name)
            except UnknownModel as error:
                said = error.worded("command line")
                found.append(ConfigFinding(level="wrong", where=where, what=f"{name}: {said.what}", todo=said.todo))
            except RequestRefused as error:
                found.append(ConfigFinding(level="wrong", where=where, what=f"{name}: {error}"))
            except IntermodalError as error:
                what = f"{name} answers no chat now: {error.worded('http').what}"
                found.append(ConfigFinding(level="note", where=where, what=what))
        made.append(ServedName(name=name, stands_for=meant, answers=answers))
    return made, found


async def _answering(client: AsyncClient, name: str) -> str:
    """The endpoint that would answer a word. Raises what planning raises."""
    words = Message(role="user", parts=(Text(text="hello"),))
    prepared = await client.prepare(Request(messages=(words,), policy=policy_for_model(name, client)))
    return plan_from(prepared.inputs).chosen.endpoint


async def check_prompt_folder(gateway: Gateway) -> list[ConfigFinding]:
    """Read the folder of prompt files. What is found is that it cannot be read."""
    config, folder = gateway.client.config, gateway.prompts.folder
    if folder is None:
        return []
    stated = config.path if str(folder.path) == config.serve.prompts else ""
    where = placed(config.path, ("serve", "prompts")) if stated else f"--prompts {folder.path}"
    try:
        await gateway.prompts.start()
    except IntermodalError as error:
        said = error.worded("command line")
        return [ConfigFinding(level="wrong", where=where, what=f"{said.where}: {said.what}", todo=said.todo)]
    return []


def check_prompt_files(gateway: Gateway) -> list[ConfigFinding]:
    """Files of that folder that cannot be used, or of which their reader has to say something."""
    folder = gateway.prompts.folder
    if folder is None:
        return []
    found = [
        ConfigFinding(level="wrong", where=f"{each.file}:{each.line}" if each.line else each.file, what=each.error,
                todo=each.todo)
        for each in folder.unreadable
    ]  # fmt: skip
    for kept in folder.prompts.values():
        for each in kept.file.findings:
            level: Literal["wrong", "note"] = "wrong" if each.level == "error" else "note"
            found.append(ConfigFinding(level=level, where=f"{kept.place}:{each.line}", what=each.what, todo=each.todo))
    return list(dict.fromkeys(found))


def check_address(gateway: Gateway) -> Iterator[ConfigFinding]:
    """An address nobody can listen at, and one where somebody does: perhaps this very gateway, which is to be told of
    its new config."""
    error = find_bind_error(gateway.host, gateway.port)
    if error is None:
        return
    config, said = gateway.client.config, bind_failure(error, gateway.host, gateway.port).worded("command line")
    stated = gateway.host == config.serve.host and bool(config.path)
    where = placed(config.path, ("serve", "host")) if stated else f"--host {gateway.host}"
    what = f"{said.where}: {said.what}"
    if error.errno == errno.EADDRINUSE:
        yield ConfigFinding(
            level="note", where=where, what=what, todo="stop what listens there, unless it is this gateway"
        )
    else:
        yield ConfigFinding(level="wrong", where=where, what=what, todo=said.todo)


def check_host_keys(client: AsyncClient) -> Iterator[ConfigFinding]:
    """Hosts that may be asked, and whose key is not there."""
    config = client.config
    mine = {row.id for row in config.hosts}
    hosts = {endpoint.host.id: endpoint.host for endpoint in client.catalog.endpoints}
    for name in sorted(mine | set(config.consent)):
        host = hosts.get(name)
        if host is None or not host.key_env or find_key(host, client.env):
            continue
        variable = host.key_env if is_safe_to_echo(host.key_env) else "the variable that key_env names"
        yield ConfigFinding(
            level="note", where=placed(config.path, ("hosts", name) if name in mine else ("consent",)),
            what=f"host {name} has no key: {variable} is not set",
            todo="set it where the gateway is started, or ask for another host",
        )  # fmt: skip


def check_shadowing_aliases(client: AsyncClient) -> Iterator[ConfigFinding]:
    """Aliases that are called as a model that can be asked now: who asks for that model gets another."""
    there = {name for endpoint in callable_endpoints(client.catalog) for name in (endpoint.id, endpoint.model.id)}
    for alias, meant in client.config.serve.aliases.items():
        if alias in there and alias != meant:
            yield ConfigFinding(
                level="note", where=placed(client.config.path, ("serve", "aliases", alias)),
                what=f"alias {alias} is called as a model that can be asked here: who asks for it gets {meant}",
                todo="call the alias otherwise, unless that is meant",
            )  # fmt: skip


def check_rate_limits(client: AsyncClient) -> Iterator[ConfigFinding]:
    """Rates of endpoints that nobody knows hold for nobody."""
    known = client.catalog.by_id
    for name in client.config.serve.rates:
        if name not in known:
            near = get_close_matches(name, known, 1)
            yield ConfigFinding(
                level="wrong", where=placed(client.config.path, ("serve", "rates", name)),
                what=f"there is no endpoint {name}",
                todo=f"did you mean {near[0]}?" if near else "see: intermodal models",
            )  # fmt: skip


def _unknown(client: ServerClient, name: str) -> str:
    """Why a key that may ask for a name has nothing of it; "" where it has. Who begins so may be there tomorrow."""
    if name == AUTO or name.endswith("*") or name.startswith(PROMPT) or name in client.config.serve.aliases:
        return ""
    if name.startswith(POLICY):
        return "it is a policy, and no model"
    try:
        resolve_name(client.catalog_for(Policy(model=name)), name)
    except UnknownModel as error:
        return error.worded("command line").what
    return ""


def check_virtual_keys(client: ServerClient, known: tuple[VirtualKey, ...]) -> Iterator[ConfigFinding]:
    """Keys that may ask for models and policies that are not there."""
    for key in known:
        for name in key.models if key.revoked is None else ():
            what = _unknown(client, name)
            if what:
                yield ConfigFinding(
                    level="note", where=f"key {key.name}", what=f"it may ask for {name}: {what}",
                    todo=f"see: intermodal models, and: intermodal keys set {key.name} --model NAME",
                )  # fmt: skip
        for name in key.policies:
            if key.revoked is None and not name.endswith("*") and name not in client.config.policies:
                yield ConfigFinding(
                    level="note", where=f"key {key.name}",
                        what=f"it may ask for {POLICY}{name}, which is not in the config",
                    todo=f"add [policies.{name}], or: intermodal keys set {key.name} --policy NAME",
                )  # fmt: skip
