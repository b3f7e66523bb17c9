"""What is added to a chat, and checked of it, before it is planned, on either path."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from intermodal import answer_schema as schemas
from intermodal.executor.api import json_answer
from intermodal.json_schema import BudgetExhausted
from intermodal.protocols.calls import ChatCall
from intermodal.request import JsonOutput

if TYPE_CHECKING:
    from intermodal.config import Config


def with_default_limit(call: ChatCall, config: Config) -> ChatCall:
    """Apply the configured ``max_tokens`` if the client sets none.

    Without a limit the size of an answer is unbounded. Thinking has room on top.
    """
    if call.sampling.max_tokens is not None:
        return call
    sampling = replace(call.sampling, max_tokens=config.serve.max_tokens, room_for_thought=True)
    return replace(call, sampling=sampling)


async def check_output(output: JsonOutput) -> JsonOutput:
    """Return the output a client asks for, which may be cut, as clients look why an answer ended.

    Its schema is checked before anything is paid for. Raises SchemaInvalid, also for one that takes too much work to
    read.
    """
    try:
        await json_answer.run_bounded(partial(schemas.check_schema, output.schema))
    except BudgetExhausted as error:
        raise schemas.schema_too_large(error) from None
    return replace(output, whole=False)
