"""Model names as policies, overrides that tighten a policy and never loosen it, and the defaults of a chat.

    openai/gpt-5-mini          that model, with conversions for input it cannot take
    prompt:NAME                a prompt file (``prompt_files.py``)
    auto                       the most suitable model, within the config's limits
    policy:NAME                ``[policies.NAME]`` of the config

Overrides are headers (``x-intermodal-max-cost: 0.01``) or a field of the body (``"intermodal": {"max_cost": 0.01}``).
Consent, releases and hosts are the config's alone: a client that could widen them would decide for its owner.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from intermodal.catalog.model_names import find_by_name
from intermodal.client import answer_schema as schemas
from intermodal.concurrency.offload import LONG, offload
from intermodal.config.tables import AUTO, POLICY, PROMPT, REQUEST_DEFAULTS
from intermodal.core.content import Value
from intermodal.core.request import (
    LICENCES,
    RETENTIONS,
    TIERS,
    ZONES,
    Aspect,
    Evidence,
    JsonOutput,
    Objective,
    Policy,
    Streaming,
    Tier,
    Zone,
)
from intermodal.errors import UnknownModel
from intermodal.executor.api import json_answer
from intermodal.gateway.http1.http_types import POLICY_HEADER, GatewayRequest, HttpLimits
from intermodal.gateway.quotas.authentication import model_refusal
from intermodal.gateway.quotas.quota_types import VirtualKey
from intermodal.gateway.requests.body_limits import (
    LARGE_BODY,
    MAX_DEPTH,
    MAX_FIELDS,
    MAX_VALUES,
    check_values,
    is_deeper,
)
from intermodal.json_schema import BudgetExhausted
from intermodal.protocols.calls import ChatCall
from intermodal.protocols.errors.responses import RequestRefused
from intermodal.protocols.framing.inline_media import ExtractedBody, extract_media
from intermodal.protocols.framing.json_body import utf8_error
from intermodal.protocols.framing.surrogates import first_lone_surrogate

if TYPE_CHECKING:
    from intermodal.client.async_client import AsyncClient
    from intermodal.config.config_file import Config
    from intermodal.gateway.server_client import ServerClient


# ---- chat defaults ----------------------------------------------------------------------------------
#
# Defaults and checks that are applied to a chat before planning, on either path.


def with_default_limit(call: ChatCall, config: Config) -> ChatCall:
    """Apply the configured ``max_tokens`` if the client sets none.

    Without a limit the size of an answer is unbounded. Reasoning tokens may come on top of the limit.
    """
    if call.sampling.max_tokens is not None:
        return call
    sampling = replace(call.sampling, max_tokens=config.serve.max_tokens, room_for_thought=True)
    return replace(call, sampling=sampling)


async def check_output(output: JsonOutput) -> JsonOutput:
    """Check the schema of a requested JSON output before anything is paid for, and allow the answer to be truncated.

    Clients check why an answer ended. Raises SchemaInvalid, also for a schema that takes too much work to process.
    """
    try:
        await json_answer.run_bounded(partial(schemas.check_schema, output.schema))
    except BudgetExhausted as error:
        raise schemas.schema_too_large(error) from None
    return replace(output, whole=False)


# ---- request policy ---------------------------------------------------------------------------------

LATEST_TAG = ":latest"
MAX_NAME_LENGTH = 400  # characters of a model name and of a header value: errors repeat both
_LISTS = frozenset({"private", "keep"})
# Fields by which other servers let a caller choose the upstream, its key, or a template.
FORBIDDEN_FIELDS = frozenset({
    "api_base", "base_url", "api_key", "api_version", "custom_llm_provider", "custom_host", "extra_headers", "headers",
    "organization", "vertex_credentials", "aws_access_key_id", "proxy", "chat_template", "grammar_file", "lora_path",
})  # fmt: skip


class PolicyOverrides(Value, forbid_unknown_fields=True):
    """The fields of a policy that a request may override; each as in ``Policy``."""

    objective: Objective | None = None
    at_least: Tier | None = None
    max_cost: float | None = None
    deadline: float | None = None
    farthest: Zone | None = None
    private: tuple[str, ...] = ()
    keep: tuple[Aspect, ...] = ()
    language: str = ""
    pay_twice: bool | None = None
    stream: Streaming | None = None
    evidence: Evidence | None = None


async def body_fields(request: GatewayRequest, limits: HttpLimits, most: int = MAX_VALUES) -> dict[str, msgspec.Raw]:
    """Return the undecoded fields of a body; in ``messages`` and ``input`` a placeholder stands for each large medium.

    Raises RequestRefused for a body that selects an upstream, holds a template, or has more than ``most`` values.
    """
    return await offload(len(request.body) > LONG, _fields_of, request, most, limits.text)


def _fields_of(request: GatewayRequest, most: int, text: int) -> dict[str, msgspec.Raw]:
    check_values(request, most, text)
    body = extract_media(request.body)
    try:
        found = msgspec.json.decode(body.text, type=dict[str, msgspec.Raw])
        if body.lifted and any(map(body.is_placeholder, found)):  # a name that looks like an image
            body = ExtractedBody(request.body)
            found = msgspec.json.decode(body.text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _unreadable(request.body) from None
    if len(found) > MAX_FIELDS:
        raise RequestRefused(
            f"the body has more than {MAX_FIELDS:,} fields", status=400, todo="send those that the API has"
        )
    for name in found:
        check_field_allowed(name)
    if is_deeper(MAX_DEPTH, body.text):
        raise _too_deep()
    if body.lifted:
        return {
            name: raw if name in _CONVERSATION_FIELDS else msgspec.Raw(b"".join(body.restore(memoryview(raw))))
            for name, raw in found.items()
        }
    return found


def check_field_allowed(name: str) -> None:
    """Raise RequestRefused for a field that no request may set."""
    if name in FORBIDDEN_FIELDS:
        raise RequestRefused(
            f"a request may not set {name}", status=400, todo="the server's config says where calls go"
        )


_CONVERSATION_FIELDS = frozenset({"messages", "input"})


def _too_deep() -> RequestRefused:
    what = f"the body has more than {MAX_DEPTH} objects and arrays in each other"
    return RequestRefused(what, status=400, todo="send what is nested that deep as a text")


def _unreadable(body: bytes) -> RequestRefused:
    """Return the error that states why a body cannot be parsed."""
    if problem := utf8_error(body):
        return RequestRefused(f"the body has {problem}", status=400)
    if len(body) <= LARGE_BODY and is_deeper(MAX_DEPTH, body):  # parsers stop at this depth, too
        return _too_deep()
    half = first_lone_surrogate(body) if len(body) <= LARGE_BODY else ""  # larger searches block
    if half:
        todo = "escape both halves of a character, and cut texts between whole ones"
        return RequestRefused(f"the body has half a character: {half} without its other half", status=400, todo=todo)
    return RequestRefused("the body is not a JSON object", status=400)


def policy_overrides(headers: Mapping[str, str], fields: Mapping[str, msgspec.Raw]) -> tuple[PolicyOverrides, ...]:
    """Return the overrides of headers and body; both apply. Raises RequestRefused for an invalid one."""
    by_header: dict[str, Any] = {}
    for name, value in headers.items():
        if name.startswith(POLICY_HEADER):
            key = name.removeprefix(POLICY_HEADER).replace("-", "_")
            by_header[key] = [item.strip() for item in value.split(",") if item.strip()] if key in _LISTS else value
    by_body: dict[str, Any] = {}
    if "intermodal" in fields:
        try:
            by_body = msgspec.json.decode(fields["intermodal"], type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            problem = utf8_error(fields["intermodal"])
            raise RequestRefused(
                f"the field intermodal {f'has {problem}' if problem else 'is no object'}", status=400
            ) from None
    return tuple(_convert_overrides(given) for given in (by_header, by_body) if given)


def _convert_overrides(fields: Mapping[str, Any]) -> PolicyOverrides:
    for key in fields:
        if key not in PolicyOverrides.__struct_fields__:
            raise RequestRefused(
                f"a request may not set intermodal's {key}", status=400,
                todo=f"it may set {', '.join(PolicyOverrides.__struct_fields__)}",
            )  # fmt: skip
    try:
        overrides = msgspec.convert(fields, PolicyOverrides, strict=False)
    except msgspec.ValidationError as error:
        from intermodal.catalog.validation_messages import describe_expected

        text, _, path = str(error).partition(" - at `$.")
        name = path.rstrip("`")
        raise RequestRefused(
            f"intermodal's {name}: {describe_expected(text, PolicyOverrides, name)}", status=400
        ) from None
    if any(len(each) > MAX_NAME_LENGTH for each in (overrides.language, *overrides.private)):
        raise RequestRefused(f"a value has at most {MAX_NAME_LENGTH} characters", status=400)
    for name in ("max_cost", "deadline"):
        value = getattr(overrides, name)
        if value is not None and not 0 <= value < float("inf"):
            raise RequestRefused(f"{name} must be 0 or more", status=400)
    return overrides


def without_latest_tag(model: str, client: AsyncClient) -> str:
    """Return the model name without Ollama's ``:latest``, unless a model of that full name exists."""
    if not model.endswith(LATEST_TAG) or len(model) > MAX_NAME_LENGTH or model in client.config.serve.aliases:
        return model
    if model.startswith(POLICY):
        is_policy = model.removeprefix(POLICY) in client.config.policies
    elif model.startswith(PROMPT):
        is_policy = False
    else:
        is_policy = bool(find_by_name(client.catalog, model))
    return model if is_policy else model.removesuffix(LATEST_TAG)


def _requested_names(model: str, client: AsyncClient) -> tuple[str, str]:
    """Return the requested name without ``:latest``, and the name that it is an alias of, or itself."""
    model = without_latest_tag(model, client)
    return model, client.config.serve.aliases.get(model, model)


def prompt_name(model: str, client: AsyncClient) -> str:
    """Return the prompt that a model name or alias refers to; "" for none."""
    _, name = _requested_names(model, client)
    return name.removeprefix(PROMPT) if name.startswith(PROMPT) else ""


def policy_for_model(model: str, client: AsyncClient) -> Policy:
    """Return the policy that a model name stands for. Raises UnknownModel for a policy that does not exist."""
    config, model = client.config, without_latest_tag(model, client)
    if not model:  # an empty name means auto
        raise RequestRefused("the body names no model", status=400, todo=f"see /v1/models, or ask for {AUTO}")
    if len(model) > MAX_NAME_LENGTH:  # errors repeat it
        raise UnknownModel(f"no model has a name of more than {MAX_NAME_LENGTH} letters", todo="see /v1/models")
    name = config.serve.aliases.get(model, model)
    defaults = {name: getattr(config, name) for name in REQUEST_DEFAULTS}
    usual = Policy(max_cost_stated=config.max_cost_stated, streaming=config.serve.streaming, **defaults)
    if name == AUTO:
        return config.policies.get(AUTO, usual)
    if name.startswith(PROMPT):  # chats resolve prompt files before this point
        raise UnknownModel(f"{name[:200]} is a prompt file, which answers chats", todo="ask for a model")
    if not name.startswith(POLICY):
        return replace(usual, model=name)
    policy_name = name.removeprefix(POLICY)
    if policy_name in config.policies:
        return config.policies[policy_name]
    near = get_close_matches(policy_name, config.policies, 1)
    names_text = ", ".join(config.policies) or "none"
    todo = f"did you mean {POLICY}{near[0]}?" if near else f"policies are: {names_text}"
    raise UnknownModel(f"there is no policy named {policy_name}", todo=todo)


def is_plainly_allowed(key: VirtualKey, model: str, client: ServerClient) -> bool:
    """Return True if the key allows this model or policy by name, without a catalog lookup."""
    return not key.is_restricted or key.allows_any(*_requested_names(model, client))


async def check_model_allowed(key: VirtualKey, model: str, client: ServerClient) -> None:
    """Raise RequestRefused (403) unless the key allows this model or policy by the requested name.

    A key that allows a model allows it at every host, but not the reverse. A short name is not an alias of a model: it
    may refer to a different model tomorrow.
    """
    if is_plainly_allowed(key, model, client):
        return
    model, name = _requested_names(model, client)
    model_policy = Policy(model=name)
    await client.look_up(model_policy)
    endpoint = client.catalog_for(model_policy).by_id.get(name)
    found = model_refusal(key, model, name, *((endpoint.model.id,) if endpoint is not None else ()))
    if found is not None:
        raise RequestRefused(found.words, status=found.status, code=found.code)


def intersect_policies(policy: Policy, other: Policy) -> Policy:
    """Return the policy that allows what both policies allow. Raises RequestRefused if they allow nothing in common.

    A default cost limit yields to a stated one.
    """
    objectives = {each.objective for each in (policy, other)} - {"default"}
    if len(objectives) > 1:
        objectives_text = " and ".join(sorted(objectives))
        raise RequestRefused(
            f"the prompt and the policy have different objectives: {objectives_text}", status=400, todo="take another"
        )
    regions = policy.regions or other.regions
    if policy.regions and other.regions:
        regions = tuple(each for each in policy.regions if each in other.regions)
        if not regions:
            raise RequestRefused(
                "the prompt and the policy have no region in common", status=400, todo="take another policy"
            )
    costs = [each.max_cost for each in (policy, other) if each.max_cost_stated]
    tiers = [each.at_least for each in (policy, other) if each.at_least is not None]
    waits = [each.deadline for each in (policy, other) if each.deadline is not None]
    resends = [each.resends for each in (policy, other) if each.resends is not None]
    return replace(
        policy,
        resends=min(resends, default=None),
        objective=next(iter(objectives), "default"),
        at_least=max(tiers, key=TIERS.index) if tiers else None,
        max_cost=min(costs, default=policy.max_cost),
        max_cost_stated=bool(costs),
        deadline=min(waits, default=None),
        farthest=min(policy.farthest, other.farthest, key=ZONES.index),
        private=tuple(dict.fromkeys((*policy.private, *other.private))),
        release=tuple(dict.fromkeys((*_common_releases(policy, other), *_common_releases(other, policy)))),
        keep=tuple(dict.fromkeys((*policy.keep, *other.keep))),
        language=policy.language or other.language,
        translate=policy.translate or other.translate,
        pay_twice=policy.pay_twice and other.pay_twice,
        explore=policy.explore and other.explore,
        licence=max(policy.licence, other.licence, key=LICENCES.index),
        regions=regions,
        retention=max(policy.retention, other.retention, key=RETENTIONS.index),
        streaming="buffered" if "buffered" in (policy.streaming, other.streaming) else "live",
    )


def _common_releases(policy: Policy, other: Policy) -> tuple[str, ...]:
    """Return the releases of ``policy`` that ``other`` releases too or does not keep private."""
    return tuple(
        each for each in policy.release if each in other.release or each.partition(":")[0] not in other.private
    )


def apply_overrides(policy: Policy, overrides: tuple[PolicyOverrides, ...]) -> Policy:
    """Return the policy tightened by the overrides.

    Raises RequestRefused for an override that would loosen the policy or undo an earlier one: headers may be set by an
    intermediate proxy, which the body must not undo.
    """
    language, evidence = policy.language, policy.evidence
    for each in reversed(overrides):  # neither value is tighter than the other: the header's holds
        language, evidence = each.language or language, each.evidence or evidence
    for each in overrides:
        policy = _apply_override(policy, each)
    return replace(policy, language=language, evidence=evidence)


def _apply_override(policy: Policy, overrides: PolicyOverrides) -> Policy:
    if overrides.objective not in (None, policy.objective) and policy.objective != "default":
        raise RequestRefused(
            f"the objective is {policy.objective} already, and a request may not change it", status=400
        )
    if overrides.pay_twice and not policy.pay_twice:
        raise RequestRefused("the policy does not pay twice, and a request may not loosen that", status=400)
    if overrides.stream == "live" and policy.streaming != "live":
        what = "the policy buffers answers, and a request may not change that"
        raise RequestRefused(what, status=400)
    if overrides.evidence == "retry" and policy.evidence != "retry":
        raise RequestRefused(f"the policy has evidence {policy.evidence}, and a request may not set retry", status=400)
    tiers = [tier for tier in (policy.at_least, overrides.at_least) if tier is not None]
    waits = [seconds for seconds in (policy.deadline, overrides.deadline) if seconds is not None]
    return replace(
        policy,
        objective=overrides.objective or policy.objective,
        at_least=max(tiers, key=TIERS.index) if tiers else None,
        max_cost=policy.max_cost if overrides.max_cost is None else min(policy.max_cost, overrides.max_cost),
        max_cost_stated=policy.max_cost_stated or overrides.max_cost is not None,
        deadline=min(waits) if waits else None,
        farthest=min(policy.farthest, overrides.farthest or policy.farthest, key=ZONES.index),
        private=tuple(dict.fromkeys((*policy.private, *overrides.private))),
        keep=tuple(dict.fromkeys((*policy.keep, *overrides.keep))),
        streaming=overrides.stream or policy.streaming,
        evidence=overrides.evidence or policy.evidence,
        pay_twice=policy.pay_twice if overrides.pay_twice is None else overrides.pay_twice,
    )
