"""Requests made from a prompt file (``ask --prompt``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from intermodal.cli.arguments.request_options import policy_options
from intermodal.errors import UsageError

if TYPE_CHECKING:
    from intermodal.client import PreparedRequest
    from intermodal.config import Config
    from intermodal.events import Result
    from intermodal.plans.plan import Plan
    from intermodal.prompts.prompt_file import PromptFile
    from intermodal.sync_client import Client

# What a prompt file says itself, by the names of ``ask``'s parameters.
_OF_THE_FILE = ("prompt", "files", "schema_file", "output_kind", "form", "voice", "verbatim", "labels", "size", "count",
                "quality", "negative", "steps", "system")  # fmt: skip


def plan_prompt_file(client: Client, given: Mapping[str, Any]) -> tuple[PreparedRequest, Plan, PromptFile]:
    """The request of a prompt file and its arguments, the plan for it, and the file."""
    import msgspec

    from intermodal.prompts.argument_values import parse_assignments
    from intermodal.request_builder import next_turn

    for name in _OF_THE_FILE:
        if given[name]:
            said = {"prompt": "a question", "files": "files"}.get(name, f"--{name.removesuffix('_file')}")
            raise UsageError(f"the prompt file says {said} itself", where="--prompt", todo="give --arg NAME=VALUE")
    prompt = client.prompt(given["prompt_file"], **stated_policy(given, client.asynchronous.config))
    last = client.asynchronous.store.last_conversation() if given["go_on"] else None
    if given["go_on"] and last is None:
        raise UsageError("there is no conversation to continue", where="--continue", todo="ask something first")
    args = parse_assignments(prompt.file, given["arguments"])
    request = prompt.request_with(args, history=last.messages if last else ())
    if last is not None:
        request = next_turn(msgspec.structs.replace(request, previous_endpoint=last.endpoint), last.policy)
    prepared, plan, notes = prompt.plan_request(request)
    if not (given["quiet"] or given["as_json"]):
        for note in notes:
            click.echo(f"file: {note}", err=True)
    return prepared, plan, prompt.file


def with_value(file: PromptFile, result: Result) -> Result:
    """The result with the value that the file's own parser reads off the answer, where its format has one.

    Raises OutputInvalid where it finds none.
    """
    import msgspec

    if file.parser is None:
        return result
    value = file.value(result)
    return result if isinstance(value, str) else msgspec.structs.replace(result, data=value)


def stated_policy(given: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """Options of the policy that somebody wrote: a prompt file's own wishes hold where nobody did."""
    empty = ("", (), None, "default")
    return {name: value for name, value in policy_options(given, config).items() if value not in empty}
