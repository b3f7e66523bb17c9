"""Defaults and checks that are applied to a chat before planning, on either path."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from intermodal.client import answer_schema as schemas
from intermodal.core.request import JsonOutput
from intermodal.executor.api import json_answer
from intermodal.json_schema import BudgetExhausted
from intermodal.protocols.calls import ChatCall

if TYPE_CHECKING:
    from intermodal.config.config_file import Config


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
