"""``serve --check``: reports problems of a config before clients find them. No request is sent to any host.

Level ``wrong`` is a mistake in the config. Level ``note`` is a current state (a model that is not pulled, a host
without a key) that may be intended.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from intermodal.catalog.model_names import resolve_name
from intermodal.catalog.validation_messages import is_safe_to_echo
from intermodal.client.async_client import AsyncClient, plan_from
from intermodal.config.api_keys import find_key
from intermodal.config.config_file import Config, key_location
from intermodal.config.tables import AUTO, POLICY, PROMPT
from intermodal.core.content import Text, Value
from intermodal.core.request import Message, Policy, Request
from intermodal.errors import IntermodalError, UnknownModel
from intermodal.gateway.endpoints.models import callable_endpoints
from intermodal.gateway.quotas.quota_types import ANONYMOUS, VirtualKey
from intermodal.gateway.requests.request_policy import policy_for_model
from intermodal.gateway.workers.sockets import bind_failure, find_bind_error
from intermodal.protocols.errors.responses import RequestRefused

if TYPE_CHECKING:
    from intermodal.gateway.context import GatewayContext
    from intermodal.gateway.server_client import ServerClient


class ConfigFinding(Value):
    """One finding: ``where`` it is (with the line if it is in the config), ``what`` is wrong, and ``todo``, the fix."""

    level: Literal["wrong", "note"]
    where: str
    what: str
    todo: str = ""


class ServedName(Value):
    """A name other than a model's that clients may request, and the endpoint that would answer it; "" if none would."""

    name: str
    stands_for: str
    answers: str


async def check_names(context: GatewayContext) -> tuple[list[ServedName], list[ConfigFinding]]:
    """Plan a one-word chat for ``auto``, each policy and each alias; an alias of a prompt file is only looked up."""
    client = context.client
    config = client.config
    wanted_names: dict[str, tuple[str | int, ...]] = {AUTO: ()}
    wanted_names |= {f"{POLICY}{name}": ("policies", name) for name in config.policies}
    wanted_names |= {alias: ("serve", "aliases", alias) for alias in config.serve.aliases}
    problems, found = [], []
    for name, key in wanted_names.items():
        answers = ""
        where = key_location(config.path, key) if key else name
        target = config.serve.aliases.get(name, name)
        if target in config.serve.aliases and target != name:
            what = f"alias {name} stands for {target}, which is an alias itself"
            found.append(ConfigFinding(level="wrong", where=where, what=what, todo="write what that stands for"))
        else:
            try:
                if target.startswith(PROMPT):
                    await context.prompts.find(target.removeprefix(PROMPT), ANONYMOUS)
                    continue
                answers = await _answering(client, name)
            except UnknownModel as error:
                wording = error.wording_for("command line")
                found.append(
                    ConfigFinding(level="wrong", where=where, what=f"{name}: {wording.what}", todo=wording.todo)
                )
            except RequestRefused as error:
                found.append(ConfigFinding(level="wrong", where=where, what=f"{name}: {error}"))
            except IntermodalError as error:
                what = f"{name} answers no chat now: {error.wording_for('http').what}"
                found.append(ConfigFinding(level="note", where=where, what=what))
        problems.append(ServedName(name=name, stands_for=target, answers=answers))
    return problems, found


async def _answering(client: AsyncClient, name: str) -> str:
    """Return the endpoint that would answer a one-word chat. Raises whatever planning raises."""
    words = Message(role="user", parts=(Text(text="hello"),))
    prepared = await client.prepare(Request(messages=(words,), policy=policy_for_model(name, client)))
    return plan_from(prepared.inputs).chosen.endpoint


async def check_prompt_folder(context: GatewayContext) -> list[ConfigFinding]:
    """Report a prompt folder that cannot be read."""
    config, folder = context.client.config, context.prompts.folder
    if folder is None:
        return []
    stated_folder = config.path if str(folder.path) == config.serve.prompts else ""
    where = key_location(config.path, ("serve", "prompts")) if stated_folder else f"--prompts {folder.path}"
    try:
        await context.prompts.start()
    except IntermodalError as error:
        wording = error.wording_for("command line")
        return [ConfigFinding(level="wrong", where=where, what=f"{wording.where}: {wording.what}", todo=wording.todo)]
    return []


def check_prompt_files(context: GatewayContext) -> list[ConfigFinding]:
    """Report unusable prompt files, and the findings of their parsers."""
    folder = context.prompts.folder
    if folder is None:
        return []
    found = [
        ConfigFinding(level="wrong", where=f"{each.file}:{each.line}" if each.line else each.file, what=each.error,
                todo=each.todo)
        for each in folder.unreadable
    ]  # fmt: skip
    for loaded_prompt in folder.prompts.values():
        for each in loaded_prompt.file.findings:
            level: Literal["wrong", "note"] = "wrong" if each.level == "error" else "note"
            found.append(
                ConfigFinding(level=level, where=f"{loaded_prompt.place}:{each.line}", what=each.what, todo=each.todo)
            )
    return list(dict.fromkeys(found))


def check_address(config: Config, host: str, port: int) -> Iterator[ConfigFinding]:
    """Report an address that cannot be bound or is already in use, possibly by this gateway."""
    error = find_bind_error(host, port)
    if error is None:
        return
    wording = bind_failure(error, host, port).wording_for("command line")
    is_configured = host == config.serve.host and bool(config.path)
    where = key_location(config.path, ("serve", "host")) if is_configured else f"--host {host}"
    what = f"{wording.where}: {wording.what}"
    if error.errno == errno.EADDRINUSE:
        yield ConfigFinding(
            level="note", where=where, what=what, todo="stop what listens there, unless it is this gateway"
        )
    else:
        yield ConfigFinding(level="wrong", where=where, what=what, todo=wording.todo)


def check_host_keys(client: AsyncClient) -> Iterator[ConfigFinding]:
    """Report permitted hosts that have no API key."""
    config = client.config
    own_hosts = {row.id for row in config.hosts}
    hosts = {endpoint.host.id: endpoint.host for endpoint in client.catalog.endpoints}
    for name in sorted(own_hosts | set(config.consent)):
        host = hosts.get(name)
        if host is None or host.auth == "none" or find_key(host, client.env):
            continue
        variable = host.key_env if is_safe_to_echo(host.key_env) else "the variable that key_env names"
        missing = f"{variable} is not set" if host.key_env else "the keyring holds none"
        yield ConfigFinding(
            level="note", where=key_location(config.path, ("hosts", name) if name in own_hosts else ("consent",)),
            what=f"host {name} has no key: {missing}",
            todo="set it where the gateway is started, or ask for another host",
        )  # fmt: skip


def check_shadowing_aliases(client: AsyncClient) -> Iterator[ConfigFinding]:
    """Report aliases that shadow a model of the same name."""
    known_names = {name for endpoint in callable_endpoints(client.catalog) for name in (endpoint.id, endpoint.model.id)}
    for alias, target in client.config.serve.aliases.items():
        if alias in known_names and alias != target:
            yield ConfigFinding(
                level="note", where=key_location(client.config.path, ("serve", "aliases", alias)),
                what=f"alias {alias} is called as a model that can be asked here: who asks for it gets {target}",
                todo="call the alias otherwise, unless that is meant",
            )  # fmt: skip


def check_rate_limits(client: AsyncClient) -> Iterator[ConfigFinding]:
    """Report rate limits of endpoints that do not exist."""
    known = client.catalog.by_id
    for name in client.config.serve.rates:
        if name not in known:
            near = get_close_matches(name, known, 1)
            yield ConfigFinding(
                level="wrong", where=key_location(client.config.path, ("serve", "rates", name)),
                what=f"there is no endpoint {name}",
                todo=f"did you mean {near[0]}?" if near else "see: intermodal models",
            )  # fmt: skip


def _unknown(client: ServerClient, name: str) -> str:
    """Return why a name that a key allows matches nothing; "" if it matches. Prefixes count as matching."""
    if name == AUTO or name.endswith("*") or name.startswith(PROMPT) or name in client.config.serve.aliases:
        return ""
    if name.startswith(POLICY):
        return "it is a policy, and no model"
    try:
        resolve_name(client.catalog_for(Policy(model=name)), name)
    except UnknownModel as error:
        return error.wording_for("command line").what
    return ""


def check_virtual_keys(client: ServerClient, virtual_keys: tuple[VirtualKey, ...]) -> Iterator[ConfigFinding]:
    """Report keys that allow models or policies that do not exist."""
    for key in virtual_keys:
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
