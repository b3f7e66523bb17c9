"""Schemas of response bodies and stream events. A test checks that responses contain nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import msgspec

from intermodal.core.content import KINDS
from intermodal.gateway.openapi.request_schemas import (
    ANYTHING,
    FLAG,
    SIGNED,
    TEXT,
    WHOLE,
    Schema,
    enum,
    list_of,
    object_of,
    one_of,
    or_null,
    ref,
    tagged,
)
from intermodal.plans.plan import Plan
from intermodal.prompts.prompt_file import ArgumentKind
from intermodal.protocols.errors.responses import ERROR_TYPES

_NUMBER: Schema = {"type": "number"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TEXTS = list_of(TEXT)
_KINDS = list_of(enum(*KINDS))


def _exact(*, but: Iterable[str] = (), **fields: Schema) -> Schema:
    """Return a closed object schema; every field is required except those in ``but``."""
    left = set(but)
    made: Schema = {"type": "object", "properties": fields, "additionalProperties": False}
    return {**made, "required": [name for name in fields if name not in left]}


def _open(*, but: Iterable[str] = (), **fields: Schema) -> Schema:
    """Return an object schema as ``_exact`` does, but open: hosts of this protocol may add fields, which
    are passed on.
    """
    return {**_exact(but=but, **fields), "additionalProperties": True}


_SEND = _exact(what=TEXT, host=TEXT, zone=TEXT, **{"from": TEXT})
_EVIDENCE = _exact(
    but=("file", "page", "line", "at", "text"), field=TEXT, status=enum("found", "unverified", "unchecked"), file=TEXT,
    page=_COUNT, line=_COUNT, at=_NUMBER, text=TEXT,
)  # fmt: skip
RUN_METADATA = _exact(
    but=("replanned", "evidence"), plan=TEXT, route=TEXT, planned=TEXT, summary=TEXT, loses=_TEXTS,
    sends=list_of(_SEND),
    cost={"type": ["number", "null"], "description": "USD; null if unknown."}, attempts=_COUNT, seconds=_NUMBER,
    notes=_TEXTS, replanned=_TEXTS, evidence=list_of(_EVIDENCE),
)  # fmt: skip
RUN_METADATA["description"] = (
    "The route of the answer: its plan, endpoint, losses, cost, and the data that left this machine."
)
_RUN_METADATA = ref("Told")

# ---- OpenAI's chat -------------------------------------------------------------------------------------

_CALL = _exact(
    but=("extra_content",), id=TEXT, type={"const": "function"}, function=_exact(name=TEXT, arguments=TEXT),
    extra_content=SIGNED,
)  # fmt: skip
_AUDIO = {"id": TEXT, "expires_at": WHOLE, "data": TEXT}
_DELTA = object_of(
    open=True, role={"const": "assistant"}, content=TEXT, refusal=TEXT, reasoning_content=TEXT, audio=_exact(**_AUDIO),
    tool_calls=list_of(object_of(
        ["index", "function"], index=_COUNT, id=TEXT, type={"const": "function"},
        function=object_of(name=TEXT, arguments=TEXT), extra_content=SIGNED,
    )),
)  # fmt: skip
_CHAT_USAGE = _open(
    but=("prompt_tokens_details", "completion_tokens_details"), prompt_tokens=_COUNT, completion_tokens=_COUNT,
    total_tokens=_COUNT, prompt_tokens_details={"type": "object"}, completion_tokens_details={"type": "object"},
        intermodal=_RUN_METADATA,
)  # fmt: skip
_PROBABLE = or_null({"type": "object"})
CHAT: Mapping[str, Schema] = {
    "ChatCompletion": _open(
        id=TEXT, object={"const": "chat.completion"}, created=WHOLE, model=TEXT, usage=_CHAT_USAGE,
        choices=list_of(_open(
            but=("logprobs",), index=_COUNT, finish_reason=TEXT, logprobs=_PROBABLE,
            message=_open(
                but=("refusal", "reasoning_content", "tool_calls", "audio"), role={"const": "assistant"},
                content=or_null(TEXT), refusal=TEXT, reasoning_content=TEXT, tool_calls=list_of(_CALL),
                audio=_exact(**_AUDIO, transcript=TEXT),
            ),
        )),
    ),
    "ChatChunk": _open(
        but=("usage",), id=TEXT, object={"const": "chat.completion.chunk"}, created=WHOLE, model=TEXT,
            usage=_CHAT_USAGE,
        choices=list_of(_open(but=("logprobs",), index=_COUNT, delta=_DELTA, logprobs=_PROBABLE,
            finish_reason=or_null(TEXT))),
    ),
}  # fmt: skip

# ---- OpenAI's responses --------------------------------------------------------------------------------

_STATUS = enum("in_progress", "completed", "incomplete")
_ITEM: Schema = {"anyOf": [
    _open(
        type={"const": "message"}, id=TEXT, status=_STATUS, role={"const": "assistant"}, content=list_of({"anyOf": [
            _open(
                type={"const": "output_text"}, text=TEXT, annotations=list_of(ANYTHING), logprobs=list_of(ANYTHING)
            ),
            _open(type={"const": "refusal"}, refusal=TEXT),
        ]}),
    ),
    _open(type={"const": "function_call"}, id=TEXT, status=_STATUS, call_id=TEXT, name=TEXT, arguments=TEXT),
    tagged("reasoning"),
]}  # fmt: skip
_RESPONSE_USAGE = _open(
    input_tokens=_COUNT, input_tokens_details=_open(cached_tokens=_COUNT, cache_write_tokens=_COUNT),
        output_tokens=_COUNT,
    output_tokens_details=_open(reasoning_tokens=_COUNT), total_tokens=_COUNT, intermodal=_RUN_METADATA,
)  # fmt: skip
_RESPONSE = _open(
    id=TEXT, object={"const": "response"}, created_at=WHOLE, model=TEXT,
    status=enum("in_progress", "completed", "incomplete", "failed"), output=list_of(_ITEM),
    error=or_null(_exact(but=("intermodal",), code=TEXT, message=TEXT, intermodal=ref("Failed"))),
    incomplete_details=or_null(_open(reason=TEXT)),
        instructions=or_null(TEXT),
    metadata={"type": "object"}, parallel_tool_calls=FLAG, tool_choice=ANYTHING, tools=list_of(ANYTHING),
    temperature=or_null(_NUMBER), top_p=or_null(_NUMBER), max_output_tokens=or_null(WHOLE),
    usage=or_null(_RESPONSE_USAGE),
)  # fmt: skip


_EVENTS: set[str] = set()


def _event(*kinds: str, **fields: Schema) -> Schema:
    _EVENTS.update(kinds)
    return _open(type=enum(*kinds), sequence_number=_COUNT, **fields)


_PLACE: dict[str, Schema] = {"item_id": TEXT, "output_index": _COUNT}
_INSIDE: dict[str, Schema] = {**_PLACE, "content_index": _COUNT}
_SUMMARY: dict[str, Schema] = {**_PLACE, "summary_index": _COUNT}
_PROBABLES = list_of(ANYTHING)
RESPONSES: Mapping[str, Schema] = {
    "Response": _RESPONSE,
    "ResponseEvent": {"anyOf": [
        _event(*(f"response.{state}" for state in ("created", "in_progress", "completed", "incomplete", "failed")),
               response=ref("Response")),
        _event("response.output_item.added", "response.output_item.done", output_index=_COUNT, item=_ITEM),
        _event("response.content_part.added", "response.content_part.done", **_INSIDE, part={"type": "object"}),
        _event("response.output_text.delta", **_INSIDE, delta=TEXT, logprobs=_PROBABLES),
        _event("response.output_text.done", **_INSIDE, text=TEXT, logprobs=_PROBABLES),
        _event("response.refusal.delta", "response.reasoning_text.delta", **_INSIDE, delta=TEXT),
        _event("response.refusal.done", **_INSIDE, refusal=TEXT),
        _event("response.reasoning_text.done", **_INSIDE, text=TEXT),
        _event("response.reasoning_summary_part.added", "response.reasoning_summary_part.done", **_SUMMARY,
               part={"type": "object"}),
        _event("response.reasoning_summary_text.delta", **_SUMMARY, delta=TEXT),
        _event("response.reasoning_summary_text.done", **_SUMMARY, text=TEXT),
        _event("response.function_call_arguments.delta", **_PLACE, delta=TEXT),
        _event("response.function_call_arguments.done", **_PLACE, arguments=TEXT, name=TEXT),
        object_of(["type"], open=True, type={"type": "string", "not": enum(*sorted(_EVENTS))}),
    ]},
}  # fmt: skip

# ---- Anthropic's messages ------------------------------------------------------------------------------

_BLOCK: Schema = {"anyOf": [
    _open(type={"const": "text"}, text=TEXT), _open(type={"const": "thinking"}, thinking=TEXT, signature=TEXT),
    _open(type={"const": "tool_use"}, id=TEXT, name=TEXT, input={"type": "object"}),
    object_of(["type"], open=True, type={"type": "string", "not": enum("text", "thinking", "tool_use")}),
]}  # fmt: skip
_MESSAGE_USAGE = object_of(
    ["input_tokens", "output_tokens"], open=True, input_tokens=_COUNT, output_tokens=_COUNT,
    cache_read_input_tokens=_COUNT, cache_creation_input_tokens=_COUNT,
    output_tokens_details=_open(thinking_tokens=_COUNT), intermodal=_RUN_METADATA,
)  # fmt: skip
_END_USAGE: Schema = {**_MESSAGE_USAGE, "required": ["output_tokens"]}  # input usage is reported at the beginning
_END: dict[str, Schema] = {
    "stop_reason": or_null(TEXT),
    "stop_sequence": or_null(TEXT),
    "stop_details": {"type": "object"},
}
_MESSAGE = _open(
    but=("stop_details",), id=TEXT, type={"const": "message"}, role={"const": "assistant"}, model=TEXT,
    content=list_of(_BLOCK), usage=_MESSAGE_USAGE, **_END,
)  # fmt: skip
_GROWTH: Schema = {"anyOf": [
    _open(type={"const": "text_delta"}, text=TEXT), _open(type={"const": "thinking_delta"}, thinking=TEXT),
    _open(type={"const": "signature_delta"}, signature=TEXT), _open(type={"const": "input_json_delta"},
        partial_json=TEXT),
]}  # fmt: skip
MESSAGES: Mapping[str, Schema] = {
    "MessageAnswer": _MESSAGE,
    "MessageEvent": {"anyOf": [
        _open(type={"const": "message_start"}, message=ref("MessageAnswer")),
        _open(type={"const": "content_block_start"}, index=_COUNT, content_block=_BLOCK),
        _open(type={"const": "content_block_delta"}, index=_COUNT, delta=_GROWTH),
        _open(type={"const": "content_block_stop"}, index=_COUNT),
        _open(type={"const": "message_delta"}, delta=_open(but=("stop_details",), **_END), usage=_END_USAGE),
        _open(type={"const": "message_stop"}),
        _open(type={"const": "ping"}),
        ref("AnthropicError"),
    ]},
    "TokenCount": _exact(input_tokens=_COUNT, intermodal=_exact(low=_NUMBER, high=_NUMBER, basis=TEXT, plan=TEXT)),
}  # fmt: skip

# ---- Ollama's ------------------------------------------------------------------------------------------

_OLLAMA_MESSAGE = object_of(
    ["role", "content"], open=True, role={"const": "assistant"}, content=TEXT, thinking=TEXT,
    tool_calls=list_of(_open(id=TEXT, function=_exact(index=_COUNT, name=TEXT, arguments={"type": "object"}))),
)  # fmt: skip
_DETAILS = object_of(
    ["family"], format=TEXT, family=TEXT, families=or_null(_TEXTS), parameter_size=TEXT, quantization_level=TEXT
)
_LISTED: dict[str, Schema] = {"name": TEXT, "model": TEXT, "size": _COUNT, "digest": TEXT, "details": _DETAILS}
OLLAMA: Mapping[str, Schema] = {
    "OllamaAnswer": object_of(
        ["model", "created_at", "message", "done"], open=True, model=TEXT,
        created_at={"type": "string", "format": "date-time"}, message=_OLLAMA_MESSAGE,
        logprobs=list_of(ANYTHING), done=FLAG,
        done_reason=TEXT, prompt_eval_count=_COUNT, eval_count=_COUNT, intermodal=_RUN_METADATA,
    ),
    "OllamaGenerated": object_of(
        ["model", "created_at", "response", "done"], open=True, model=TEXT,
        created_at={"type": "string", "format": "date-time"}, response=TEXT, thinking=TEXT, logprobs=list_of(ANYTHING),
        done=FLAG, done_reason=TEXT, prompt_eval_count=_COUNT, eval_count=_COUNT, intermodal=_RUN_METADATA,
    ),
    "OllamaGeneratedLine": one_of(ref("OllamaGenerated"), ref("OllamaError")),
    "OllamaEmbeddings": _exact(
        but=("total_duration",), model=TEXT, embeddings=list_of(list_of(_NUMBER)), total_duration=_COUNT,
        prompt_eval_count=_COUNT, intermodal=_RUN_METADATA,
    ),
    "OllamaLine": one_of(ref("OllamaAnswer"), ref("OllamaError")),
    "OllamaTags": _exact(models=list_of(_exact(modified_at=TEXT, **_LISTED))),
    "OllamaRunning": _exact(models=list_of(_exact(context_length=or_null(WHOLE), **_LISTED))),
    "OllamaShown": _exact(
        modelfile=TEXT, parameters=TEXT, template=TEXT, modified_at=TEXT, details=_DETAILS,
            model_info={"type": "object"},
        capabilities=_TEXTS,
    ),
    "OllamaVersion": _exact(version=TEXT, intermodal=TEXT),
}  # fmt: skip

# ---- one thing made of another, models, plans, health --------------------------------------------------

_SEGMENT = _exact(
    id=_COUNT, seek=_COUNT, start=_NUMBER, end=_NUMBER, text=TEXT, tokens=list_of(WHOLE), temperature=_NUMBER,
    avg_logprob=_NUMBER, compression_ratio=_NUMBER, no_speech_prob=_NUMBER,
)  # fmt: skip
_ARGUMENT = _exact(
    but=("default",), name=TEXT, kind=enum(*get_args(ArgumentKind)), many=FLAG, required=FLAG, type=TEXT,
    description=TEXT, default=ANYTHING, schema=or_null({"type": "object"}),
)  # fmt: skip


def _words_of(task: str) -> Schema:
    """Return the schema of a transcript: the text alone, or with timed segments."""
    return {"anyOf": [
        _exact(text=TEXT, usage=_HEARD),
        _exact(task={"const": task}, language=TEXT, duration=_NUMBER, text=TEXT, segments=list_of(_SEGMENT),
            usage=_HEARD),
    ]}  # fmt: skip


_HEARD = _exact(type={"const": "duration"}, seconds=_NUMBER, intermodal=_RUN_METADATA)
OTHERS: Mapping[str, Schema] = {
    "Embeddings": _exact(
        object={"const": "list"}, model=TEXT, usage=_exact(prompt_tokens=_COUNT, total_tokens=_COUNT,
            intermodal=_RUN_METADATA),
        data=list_of(_exact(object={"const": "embedding"}, index=_COUNT, embedding=one_of(
            list_of(_NUMBER), {"type": "string", "description": "float32, little-endian, in base64."}))),
    ),
    "Pictures": _exact(
        created=WHOLE, data=list_of(_exact(but=("revised_prompt",), b64_json=TEXT, revised_prompt=TEXT)),
        usage=_exact(input_tokens=_COUNT, output_tokens=_COUNT, total_tokens=_COUNT, intermodal=_RUN_METADATA),
    ),
    "Reranked": _exact(
        id=TEXT, object={"const": "list"}, model=TEXT, results=list_of(_exact(
            but=("document",), index=_COUNT, relevance_score=_NUMBER, document=_exact(text=TEXT))),
        usage=_exact(prompt_tokens=_COUNT, total_tokens=_COUNT),
        meta=_exact(tokens=_exact(input_tokens=_COUNT, output_tokens=_COUNT)),
    ),
    "Transcription": _words_of("transcribe"),
    "Translation": _words_of("translate"),
    "Model": _exact(
        id=TEXT, object={"const": "model"}, created=WHOLE, owned_by=TEXT, name=TEXT, context_length=or_null(WHOLE),
        architecture=_exact(input_modalities=_KINDS, native_input_modalities=_KINDS, output_modalities=_TEXTS),
        pricing=or_null(_exact(prompt=TEXT, completion=TEXT)), endpoints=_TEXTS,
    ),
    "Models": _exact(object={"const": "list"}, data=list_of(ref("Model")), first_id=or_null(TEXT),
        last_id=or_null(TEXT),
        has_more={"const": False}),
    "Prompt": _exact(
        id=TEXT, object={"const": "prompt"}, name=TEXT, description=TEXT, format=TEXT, file=TEXT, version=TEXT,
        model=or_null(TEXT), input_modalities=_KINDS, arguments=list_of(_ARGUMENT), more_arguments=FLAG,
        output_schema=or_null({"type": "object"}), error=or_null(ref("UnreadablePrompt")),
    ),
    "Prompts": _exact(object={"const": "list"}, data=list_of(ref("Prompt")),
        unreadable=list_of(ref("UnreadablePrompt"))),
    "UnreadablePrompt": {
        **_exact(file=TEXT, line=or_null(_COUNT), message=TEXT, kept=FLAG),
        "description": "A file that cannot be used as it is now, or not be rendered. `kept`: its prompts are served as "
        "they were before.",
    },
    "PlanDocument": _exact(kind={"const": "intermodal.plan"}, version={"const": 1}, plan=ref("Plan"), text=TEXT),
    "Alive": _exact(status={"const": "ok"}),
    "Ready": _exact(
        but=("checks",), status=enum("ready", "not ready", "stopping"), checks=_exact(media=FLAG, store=FLAG,
            endpoints=FLAG)
    ),
}  # fmt: skip

# ---- errors --------------------------------------------------------------------------------------------

ERRORS: Mapping[str, Schema] = {
    "Failed": _exact(plan=or_null(TEXT), route=TEXT, cost=or_null(_NUMBER), attempts=_COUNT, seconds=_NUMBER),
    "OpenAIError": _exact(error=_exact(but=("intermodal",), message=TEXT, type=enum(*sorted(ERROR_TYPES["openai"])),
                                   param={"type": "null"}, code=or_null(TEXT), intermodal=ref("Failed"))),
    "AnthropicError": _exact(type={"const": "error"}, error=_exact(
        but=("intermodal",), type=enum(*sorted(ERROR_TYPES["anthropic"])), message=TEXT, intermodal=ref("Failed")
    )),
    "OllamaError": _exact(but=("intermodal",), error=TEXT, intermodal=ref("Failed")),
}  # fmt: skip


def response_schemas() -> dict[str, Schema]:
    """Return all schemas, including those of a plan, which are generated from its types."""
    _, plan = msgspec.json.schema_components([Plan], ref_template="#/components/schemas/{name}")
    for made in plan.values():
        _plain(made)
    return {"Told": RUN_METADATA, **CHAT, **RESPONSES, **MESSAGES, **OLLAMA, **OTHERS, **ERRORS, **plan}


def _plain(made: dict[str, Any]) -> None:
    """Keep a type's docstring up to its list of attributes, and drop defaults, which are left out on the wire."""
    made.pop("title", None)
    if "description" in made:
        made["description"] = " ".join(
            inspect.cleandoc(made["description"]).partition("\n\n")[0].replace("``", "`").split()
        )
    if not made.get("required"):
        made.pop("required", None)
