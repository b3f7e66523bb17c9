"""Schemas of request and response bodies.

The endpoints' own tables define which fields a request has; this module defines their values.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import msgspec

from intermodal.client_apis import (
    ANTHROPIC_MESSAGES,
    OLLAMA_CHAT,
    OLLAMA_GENERATE,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
)
from intermodal.config.tables import PROMPT
from intermodal.core.content import KINDS
from intermodal.core.request import SAMPLERS, ImageFormat, Quality
from intermodal.gateway.endpoints import media
from intermodal.gateway.endpoints.rerank import RERANK_FIELDS
from intermodal.gateway.requests.request_policy import FORBIDDEN_FIELDS, PolicyOverrides
from intermodal.plans.plan import Plan
from intermodal.prompts.prompt_file import ArgumentKind
from intermodal.protocols.errors.responses import ERROR_TYPES
from intermodal.protocols.openai_chat.server import ROLES
from intermodal.protocols.openai_media.server import MAX_TEXTS, TRANSCRIPT_FORMATS, Encoding
from intermodal.protocols.openai_responses.server import ROLES as ITEM_ROLES
from intermodal.protocols.rerank import MAX_DOCUMENTS

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
ANYTHING: Schema = {}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def object_of(required: Iterable[str] = (), *, open: bool = False, **fields: Schema) -> Schema:
    """Return an object schema. ``open``: additional fields are allowed."""
    schema: Schema = {"type": "object", "properties": fields, "additionalProperties": open}
    needed = list(required)
    return {**schema, "required": needed} if needed else schema


def list_of(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def any_of_schemas(*schemas: Schema, **more: Any) -> Schema:
    return {"anyOf": list(schemas), **more}


def nullable(schema: Schema) -> Schema:
    """Return a schema that also accepts null, which clients send for omitted fields."""
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return any_of_schemas(schema, {"type": "null"})


def enum(*values: str) -> Schema:
    return {"enum": list(values)}


def variant(kind: str, **fields: Schema) -> Schema:
    """Return an object schema with a constant ``type``."""
    return object_of(["type", *fields], open=True, type={"const": kind}, **fields)


def _media() -> Schema:
    return {"type": "string", "description": "A base64 data URI, or a URL that may be fetched."}


# ---- parts that the doors share ------------------------------------------------------------------------

_SCHEMA = {"type": "object", "description": "A JSON Schema."}
_SOUND = object_of(["data", "format"], open=True, data=TEXT, format=enum("wav", "mp3"))
_FORMAT = object_of(
    ["type"], open=True, type=enum("text", "json_object", "json_schema"), json_schema={"type": "object"},
    schema=_SCHEMA, name=TEXT,
)  # fmt: skip
_CHOICE = any_of_schemas(enum("auto", "none", "required"), {"type": "object"}, {"type": "null"})
_FUNCTION = {"name": TEXT, "description": nullable(TEXT), "parameters": nullable(_SCHEMA), "strict": nullable(FLAG)}
SIGNATURE = object_of(open=True, google=object_of(open=True, thought_signature=TEXT))
SIGNATURE["description"] = (
    "Google's signature of the reasoning before the call. Sent back with it, it outlives the gateway."
)
_SENT_CALL = object_of(
    ["id", "function"], open=True, id=TEXT, type={"const": "function"}, extra_content=ANYTHING,
    function=object_of(["name", "arguments"], open=True, name=TEXT, arguments=TEXT),
)  # fmt: skip


def _override_schemas() -> tuple[Schema, dict[str, Schema]]:
    """Return the schema of the field ``intermodal``, which may tighten a policy, and the schemas of its fields."""
    (top,), parts = msgspec.json.schema_components([PolicyOverrides], ref_template="{name}")
    found: Schema = parts[top["$ref"]]
    for field in found["properties"].values():
        kinds = [kind for kind in field.pop("anyOf", ()) if kind != {"type": "null"}]
        field |= kinds[0] if kinds else {}
        field.pop("default", None)
    for name in ("max_cost", "deadline"):
        found["properties"][name]["minimum"] = 0
    found.pop("title")
    found.pop("required", None)
    found["description"] = (
        "Tightens the policy of this request, and never loosens it; so do the headers of these names."
    )
    return found, found["properties"]


OVERRIDES, OVERRIDE_FIELDS = _override_schemas()

_IMAGES = nullable(list_of({"type": "string", "description": "An image or audio in base64."}))
SHARED: Mapping[str, Schema] = {
    "PolicyOverrides": OVERRIDES,
    "ChatPart": {"anyOf": [
        variant("text", text=TEXT), variant("refusal", refusal=TEXT),
        variant("image_url", image_url=any_of_schemas(_media(), object_of(["url"], open=True, url=_media(),
            detail=nullable(TEXT)))),
        variant("input_audio", input_audio=any_of_schemas(TEXT, _SOUND)),
        variant("input_video", input_video=object_of(["data"], open=True, data=TEXT)),
        variant("video_url", video_url=object_of(["url"], open=True, url=_media())),
        variant("file", file=object_of(["file_data"], open=True, file_data=TEXT, filename=nullable(TEXT))),
        variant("document_url", document_url=_media()),
    ]},
    "ChatMessage": object_of(
        ["role"], open=True, role=enum(*ROLES), name=TEXT,
        content=any_of_schemas(TEXT, list_of(ref("ChatPart")), {"type": "null"}),
        refusal=nullable(TEXT), reasoning_content=nullable(TEXT), tool_calls=nullable(list_of(_SENT_CALL)),
        tool_call_id=TEXT,
        audio=nullable(object_of(open=True, transcript=TEXT)),
        function_call=nullable(object_of(["name", "arguments"], open=True, name=TEXT, arguments=TEXT)),
    ),
    "ChatTool": object_of(
        ["function"], open=True, type={"const": "function"}, function=object_of(["name"], open=True, **_FUNCTION)
    ),
    "ResponsePart": {"anyOf": [
        *(variant(kind, text=TEXT) for kind in ("input_text", "output_text", "text")), variant("refusal", refusal=TEXT),
        variant("input_image", image_url=_media()), variant("input_audio", input_audio=_SOUND),
        object_of(["type"], open=True, type={"const": "input_file"}, file_data=TEXT, file_url=TEXT,
            filename=nullable(TEXT)),
    ]},
    "ResponseItem": {"anyOf": [
        object_of(["role", "content"], open=True, type={"const": "message"}, role=enum(*ITEM_ROLES),
                  content=any_of_schemas(TEXT, list_of(ref("ResponsePart")))),
        variant("function_call", call_id=TEXT, name=TEXT, arguments=TEXT),
        variant("function_call_output", call_id=TEXT, output=any_of_schemas(TEXT, list_of(ref("ResponsePart")))),
        variant("reasoning"), variant("item_reference", id=TEXT),
    ]},
    "ResponseTool": object_of(["name"], open=True, type={"const": "function"}, **_FUNCTION),
    "MessageSource": {"anyOf": [
        variant("base64", media_type=TEXT, data=TEXT), variant("url", url=TEXT), variant("text", data=TEXT),
    ]},
    "MessageBlock": {
        "description": "A block of an unlisted type is the vendor's own, and is returned unchanged.",
        "anyOf": [
            variant("text", text=TEXT), variant("image", source=ref("MessageSource")), variant("document",
                source=ref("MessageSource")),
            variant("tool_use", id=TEXT, name=TEXT, input={"type": "object"}), variant("thinking", thinking=TEXT),
            variant("tool_result", tool_use_id=TEXT),
            object_of(["type"], open=True, type={"type": "string", "not": enum(
                "text", "image", "document", "tool_use", "thinking", "tool_result")}),
        ],
    },
    "Message": object_of(
        ["role", "content"], open=True, role=enum("user", "assistant", "system"),
        content=any_of_schemas(TEXT, list_of(ref("MessageBlock"))),
    ),
    "MessageTool": object_of(
        ["name", "input_schema"], open=True, type={"const": "custom"}, name=TEXT, description=nullable(TEXT),
            input_schema=_SCHEMA
    ),
    "OllamaMessage": object_of(
        ["role"], open=True, role=enum("system", "user", "assistant", "tool"), content=nullable(TEXT),
        images=_IMAGES,
        thinking=nullable(TEXT), tool_calls=nullable(list_of({"type": "object"})), tool_call_id=TEXT, tool_name=TEXT,
    ),
}  # fmt: skip

# ---- fields --------------------------------------------------------------------------------------------

_MAYBE_NUMBER = nullable({"type": "number"})
_LIMIT = nullable({"type": "integer", "minimum": 1})
_EMPTY_FIELD: Schema = {"description": "Must be empty: nothing is stored here.", "enum": [None, "", False]}
_COMMON: Mapping[str, Schema] = {
    "model": {"type": "string", "minLength": 1, "maxLength": 400,
        "description": "A model, `auto`, `policy:NAME`, `prompt:NAME`, or an alias of the config."},
    "intermodal": ref("PolicyOverrides"), "stream": nullable(FLAG), "user": nullable(TEXT),
        "metadata": nullable({"type": "object"}),
    "temperature": _MAYBE_NUMBER, "top_p": _MAYBE_NUMBER, "seed": nullable(WHOLE), "store": nullable(FLAG),
    "max_tokens": _LIMIT, "parallel_tool_calls": nullable(FLAG), "tool_choice": _CHOICE,
}  # fmt: skip
_STOP = any_of_schemas(TEXT, list_of(TEXT), {"type": "null"})
_SETTINGS: Mapping[str, Schema] = {
    "top_k": nullable(WHOLE), "min_p": _MAYBE_NUMBER, "typical_p": _MAYBE_NUMBER, "presence_penalty": _MAYBE_NUMBER,
    "frequency_penalty": _MAYBE_NUMBER, "repeat_penalty": _MAYBE_NUMBER,
}  # fmt: skip
_THINK = any_of_schemas(FLAG, TEXT, {"type": "null"})
_OLLAMA_FORMAT = any_of_schemas(enum("", "json"), _SCHEMA, {"type": "null"})
_OLLAMA_OPTIONS = nullable(object_of(
    open=True, num_predict=nullable(WHOLE), temperature=_MAYBE_NUMBER, top_p=_MAYBE_NUMBER, stop=_STOP,
    seed=nullable(WHOLE),
    num_ctx=nullable(WHOLE), **_SETTINGS,
))  # fmt: skip
_OPENAIS: Mapping[str, Schema] = {"prompt_cache_key": nullable(TEXT), "safety_identifier": nullable(TEXT)}
_VARIABLES: Schema = {
    "type": ["object", "null"],
    "description": "Arguments of a prompt file, by name: JSON; media as a data URI, a URL, or a media part.",
}
_FILE: Schema = {"type": "string", "contentMediaType": "application/octet-stream"}
_TRANSCRIPTION_FORM: dict[str, Schema] = {
    "model": _COMMON["model"], "intermodal": _COMMON["intermodal"], "user": TEXT,
    "file": {**_FILE, "description": "An audio or video file."},
    "response_format": enum(*TRANSCRIPT_FORMATS), "timestamp_granularities[]": enum("segment"),
    "stream": enum("false"),
}  # fmt: skip
_IMAGE_FIELDS: Mapping[str, Schema] = {
    "n": {"type": "integer", "minimum": 1, "maximum": 10},
    "size": {"type": "string", "pattern": "^(auto|[1-9][0-9]{0,4}x[1-9][0-9]{0,4})$"},
    "quality": enum("", "auto", "standard", "hd", *get_args(Quality)),
    "output_format": enum("", *get_args(ImageFormat)), "response_format": enum("b64_json"),
    "steps": WHOLE, "guidance": {"type": "number"}, "sampler": enum("", *SAMPLERS), "negative_prompt": TEXT,
}  # fmt: skip
_PROMPT: Mapping[str, Schema] = {
    "prompt_id": {"type": ["string", "null"], "description": "A prompt file; GET /v1/prompts lists them."},
    "prompt_version": nullable(TEXT), "prompt_variables": _VARIABLES,
}  # fmt: skip
FIELDS: Mapping[str, Mapping[str, Schema]] = {
    "ChatRequest": {
        **_COMMON, **_SETTINGS, **_OPENAIS, **_PROMPT, "reasoning_effort": nullable(TEXT), "verbosity": nullable(TEXT),
        "logit_bias": nullable({"type": "object"}), "repetition_penalty": _MAYBE_NUMBER, "min_tokens": nullable(WHOLE),
        "functions": nullable(list_of(object_of(["name"], open=True, **_FUNCTION))),
        "function_call": any_of_schemas(
            enum("auto", "none"), object_of(["name"], open=True, name=TEXT), {"type": "null"}
        ),
        "messages": list_of(ref("ChatMessage")), "tools": nullable(list_of(ref("ChatTool"))),
        "n": {"enum": [1, None]}, "max_completion_tokens": _LIMIT, "stop": _STOP, "response_format": nullable(_FORMAT),
        "random_seed": nullable(WHOLE),
        "stream_options": nullable(object_of(open=True, include_usage=nullable(FLAG))),
        "modalities": nullable(list_of(enum("text", "audio"))),
        "audio": nullable(object_of(["format", "voice"], open=True, format=enum("wav", "mp3", "pcm16"), voice=TEXT)),
    },
    "ResponsesRequest": {
        **_COMMON, **_OPENAIS, **_PROMPT, "input": any_of_schemas(TEXT, list_of(ref("ResponseItem"))),
        "tools": nullable(list_of(ref("ResponseTool"))),
        "instructions": nullable(TEXT), "max_output_tokens": _LIMIT, "include": nullable(list_of(TEXT)),
        "text": nullable(object_of(open=True, format=nullable(_FORMAT), verbosity=nullable(TEXT))),
        "reasoning": nullable(object_of(
            open=True, effort=nullable(TEXT), summary=nullable(TEXT), generate_summary=nullable(TEXT),
            context=nullable(TEXT),
        )),
        "previous_response_id": _EMPTY_FIELD, "conversation": _EMPTY_FIELD,
        "prompt": nullable(object_of(["id"], open=True, id=TEXT, version=nullable(TEXT), variables=_VARIABLES)),
    },
    "MessagesRequest": {
        **_COMMON, **_PROMPT, "messages": list_of(ref("Message")), "tools": nullable(list_of(ref("MessageTool"))),
        "cache_control": nullable({"type": "object"}), "top_k": _SETTINGS["top_k"],
        "thinking": nullable(object_of(["type"], open=True, type=TEXT, budget_tokens=WHOLE)),
        "system": any_of_schemas(TEXT, list_of(variant("text", text=TEXT)), {"type": "null"}),
            "stop_sequences": nullable(list_of(TEXT)),
        "tool_choice": nullable(object_of(["type"], open=True, type=enum("auto", "any", "tool", "none"), name=TEXT)),
        "output_config": nullable(object_of(open=True, effort=nullable(TEXT), format=nullable(object_of(
            ["schema"], open=True, schema=_SCHEMA)))),
    },
    "OllamaChatRequest": {
        **_COMMON, **_PROMPT, "messages": list_of(ref("OllamaMessage")), "tools": nullable(list_of(ref("ChatTool"))),
        "format": _OLLAMA_FORMAT, "options": _OLLAMA_OPTIONS, "think": _THINK,
    },
    "OllamaGenerateRequest": {
        **_COMMON, **_PROMPT, "prompt": nullable(TEXT), "system": nullable(TEXT), "images": _IMAGES,
        "format": _OLLAMA_FORMAT,
        "options": _OLLAMA_OPTIONS, "think": _THINK, "raw": {"enum": [False, None]}, "template": {"enum": ["", None]},
        "suffix": {"enum": ["", None]}, "context": {"enum": [[], None]},
    },
    "OllamaEmbedRequest": {
        **_COMMON, "input": any_of_schemas(TEXT, list_of(TEXT, minItems=1, maxItems=MAX_TEXTS)),
        "truncate": nullable(FLAG),
        "dimensions": {"type": "null"},
    },
    "EmbeddingsRequest": {
        **_COMMON, "input": any_of_schemas(
            TEXT, list_of(TEXT, minItems=1, maxItems=MAX_TEXTS), list_of(WHOLE, minItems=1),
            list_of(list_of(WHOLE, minItems=1), minItems=1, maxItems=MAX_TEXTS),
        ),
        "encoding_format": nullable(enum(*get_args(Encoding))), "dimensions": {"type": "null"},
    },
    "SpeechRequest": {
        **_COMMON, "input": TEXT, "voice": nullable({"type": "string",
            "description": "A voice of the model, or `default`."}),
        "response_format": nullable(enum("mp3", "wav")), "speed": {"enum": [1, None]}, "stream_format": enum("audio"),
    },
    "ImagesRequest": {
        **_COMMON, **{name: nullable(schema) for name, schema in _IMAGE_FIELDS.items()}, "prompt": TEXT,
        "stream": {"enum": [False, None]},
    },
    "ImageEditsRequest": {
        **_IMAGE_FIELDS, "model": _COMMON["model"], "intermodal": _COMMON["intermodal"], "user": _COMMON["user"],
        "prompt": TEXT,
        "image": {**_FILE, "description": "An input image; send several as `image[]`."},
        "image[]": list_of(_FILE),
        "mask": {**_FILE, "description": "Transparent or white where the input image may change; of the same size."},
        "seed": WHOLE, "strength": {"type": "number"}, "stream": enum("false", ""),
    },
    "RerankRequest": {
        **_COMMON, "query": {"type": "string", "pattern": "\\S"}, "top_n": nullable({"type": "integer", "minimum": 1}),
        "return_documents": nullable(FLAG),
        "documents": list_of(any_of_schemas(TEXT, object_of(["text"], open=True, text=TEXT)), minItems=1,
            maxItems=MAX_DOCUMENTS),
    },
    "TranscriptionRequest": {"language": {"type": "string", "description": "ISO 639-1."}, **_TRANSCRIPTION_FORM},
    "TranslationRequest": _TRANSCRIPTION_FORM,
}  # fmt: skip
ACCEPTED_FIELDS: Mapping[str, frozenset[str]] = {
    "ChatRequest": OPENAI_CHAT.takes, "ResponsesRequest": OPENAI_RESPONSES.takes,
        "MessagesRequest": ANTHROPIC_MESSAGES.takes,
    "OllamaChatRequest": OLLAMA_CHAT.takes, "OllamaGenerateRequest": OLLAMA_GENERATE.takes,
        "OllamaEmbedRequest": media.EMBED_FIELDS,
    "EmbeddingsRequest": media.EMBEDDINGS_FIELDS, "SpeechRequest": media.SPEECH_FIELDS,
    "ImagesRequest": media.IMAGES_FIELDS, "TranscriptionRequest": media.TRANSCRIPTION_FIELDS,
    "TranslationRequest": media.TRANSLATION_FIELDS, "ImageEditsRequest": media.EDITS_FIELDS,
    "RerankRequest": RERANK_FIELDS,
}  # fmt: skip
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "ChatRequest": ("model", "messages"), "ResponsesRequest": ("model", "input"),
    "MessagesRequest": ("model", "messages", "max_tokens"), "OllamaChatRequest": ("model", "messages"),
    "OllamaGenerateRequest": ("model",), "OllamaEmbedRequest": ("model", "input"),
    "EmbeddingsRequest": ("model", "input"), "SpeechRequest": ("model", "input"), "ImagesRequest": ("model",
        "prompt"),
    "ImageEditsRequest": ("model", "prompt"), "RerankRequest": ("model", "query", "documents"),
    "TranscriptionRequest": ("model", "file"), "TranslationRequest": ("model", "file"),
}  # fmt: skip
# Requests that a prompt file can state completely, and the field that is required without one.
_PROMPT_FILE_FIELDS: Mapping[str, str] = {
    "ChatRequest": "messages", "ResponsesRequest": "input", "MessagesRequest": "messages",
    "OllamaChatRequest": "messages", "OllamaGenerateRequest": "",
}  # fmt: skip


def _requires_input_or_prompt(field: str) -> Schema:
    """Return the schema of required content: messages or input, or the name of a prompt."""
    usual: Schema = {"required": ["model", field] if field else ["model"]}
    if field == "messages":
        usual["properties"] = {field: {"minItems": 1}}
    by_prompt_id = [{"required": ["prompt_id"], "properties": {"prompt_id": {"type": "string"}}}]
    if field == "input":
        by_prompt_id.append({"required": ["prompt"], "properties": {"prompt": {"type": "object"}}})
    return {
        "anyOf": [usual, *by_prompt_id, {"required": ["model"], "properties": {"model": {"pattern": f"^{PROMPT}"}}}]
    }


def request_schemas() -> dict[str, Schema]:
    """Return a schema for each kind of body, with the fields that its endpoint accepts.

    Other fields are ignored and named in the response.
    """
    schemas = {}
    for name, takes in ACCEPTED_FIELDS.items():
        fields = {field: FIELDS[name][field] for field in sorted(takes)}
        rendered = _PROMPT_FILE_FIELDS.get(name)
        needed = (
            _NEEDS[name] if rendered is None else [each for each in _NEEDS[name] if each not in ("model", rendered)]
        )
        schemas[name] = {
            **object_of(needed, open=True, **fields),
            **({} if rendered is None else _requires_input_or_prompt(rendered)),
            "description": "Other fields are ignored. The header `x-intermodal-ignored` of the answer names them, and "
            "fields that the answering host does not support.",
            "not": {"anyOf": [{"required": [field]} for field in sorted(FORBIDDEN_FIELDS)]},
        }
    schemas["ImageEditsRequest"]["anyOf"] = [{"required": [name]} for name in ("image", "image[]")]
    count = {name: schema for name, schema in schemas["MessagesRequest"].items() if name != "required"}
    return {
        **SHARED, **schemas, "CountTokensRequest": count,
        "ExplainRequest": any_of_schemas(
            ref("ChatRequest"), ref("ResponsesRequest"), ref("MessagesRequest"), ref("OllamaChatRequest"),
            ref("OllamaGenerateRequest"),
        ),
        "ShowRequest": {**object_of(open=True, model=TEXT, name=TEXT), "anyOf": [
            object_of([field], open=True, **{field: {"type": "string", "minLength": 1}}) for field in ("model", "name")
        ]},
    }  # fmt: skip


# ---- response schemas -------------------------------------------------------------------------------
#
# Schemas of response bodies and stream events. A test checks that responses contain nothing else.

_NUMBER: Schema = {"type": "number"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TEXTS = list_of(TEXT)
_KINDS = list_of(enum(*KINDS))


def _closed_object(*, but: Iterable[str] = (), **fields: Schema) -> Schema:
    """Return a closed object schema; every field is required except those in ``but``."""
    left = set(but)
    schema: Schema = {"type": "object", "properties": fields, "additionalProperties": False}
    return {**schema, "required": [name for name in fields if name not in left]}


def _open(*, but: Iterable[str] = (), **fields: Schema) -> Schema:
    """Return an object schema as ``_closed_object`` does, but open: hosts of this protocol may add fields, which
    are passed on.
    """
    return {**_closed_object(but=but, **fields), "additionalProperties": True}


_SEND = _closed_object(what=TEXT, host=TEXT, zone=TEXT, **{"from": TEXT})
_EVIDENCE = _closed_object(
    but=("file", "page", "line", "at", "text"), field=TEXT, status=enum("found", "unverified", "unchecked"), file=TEXT,
    page=_COUNT, line=_COUNT, at=_NUMBER, text=TEXT,
)  # fmt: skip
RUN_METADATA = _closed_object(
    but=("replanned", "evidence", "unreported"), plan=TEXT, route=TEXT, planned=TEXT, summary=TEXT, loses=_TEXTS,
    sends=list_of(_SEND),
    cost={"type": ["number", "null"], "description": "USD; null if unknown."}, attempts=_COUNT, seconds=_NUMBER,
    notes=_TEXTS, replanned=_TEXTS, evidence=list_of(_EVIDENCE),
    unreported={
        **list_of(enum("input_tokens", "output_tokens")),
        "description": "Counts that the host did not report: where the usage has 0 for them, they are unknown.",
    },
)  # fmt: skip
RUN_METADATA["description"] = (
    "The route of the answer: its plan, endpoint, losses, cost, and the data that left this machine."
)
_RUN_METADATA = ref("Told")

# ---- OpenAI's chat -------------------------------------------------------------------------------------

_CALL = _closed_object(
    but=("extra_content",), id=TEXT, type={"const": "function"}, function=_closed_object(name=TEXT, arguments=TEXT),
    extra_content=SIGNATURE,
)  # fmt: skip
_AUDIO = {"id": TEXT, "expires_at": WHOLE, "data": TEXT}
_DELTA = object_of(
    open=True, role={"const": "assistant"}, content=TEXT, refusal=TEXT, reasoning_content=TEXT,
    audio=_closed_object(**_AUDIO),
    tool_calls=list_of(object_of(
        ["index", "function"], index=_COUNT, id=TEXT, type={"const": "function"},
        function=object_of(name=TEXT, arguments=TEXT), extra_content=SIGNATURE,
    )),
)  # fmt: skip
_CHAT_USAGE = _open(
    but=("prompt_tokens_details", "completion_tokens_details"), prompt_tokens=_COUNT, completion_tokens=_COUNT,
    total_tokens=_COUNT, prompt_tokens_details={"type": "object"}, completion_tokens_details={"type": "object"},
        intermodal=_RUN_METADATA,
)  # fmt: skip
_PROBABLE = nullable({"type": "object"})
CHAT: Mapping[str, Schema] = {
    "ChatCompletion": _open(
        id=TEXT, object={"const": "chat.completion"}, created=WHOLE, model=TEXT, usage=_CHAT_USAGE,
        choices=list_of(_open(
            but=("logprobs",), index=_COUNT, finish_reason=TEXT, logprobs=_PROBABLE,
            message=_open(
                but=("refusal", "reasoning_content", "tool_calls", "audio"), role={"const": "assistant"},
                content=nullable(TEXT), refusal=TEXT, reasoning_content=TEXT, tool_calls=list_of(_CALL),
                audio=_closed_object(**_AUDIO, transcript=TEXT),
            ),
        )),
    ),
    "ChatChunk": _open(
        but=("usage",), id=TEXT, object={"const": "chat.completion.chunk"}, created=WHOLE, model=TEXT,
            usage=_CHAT_USAGE,
        choices=list_of(_open(but=("logprobs",), index=_COUNT, delta=_DELTA, logprobs=_PROBABLE,
            finish_reason=nullable(TEXT))),
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
    variant("reasoning"),
]}  # fmt: skip
_RESPONSE_USAGE = _open(
    input_tokens=_COUNT, input_tokens_details=_open(cached_tokens=_COUNT, cache_write_tokens=_COUNT),
        output_tokens=_COUNT,
    output_tokens_details=_open(reasoning_tokens=_COUNT), total_tokens=_COUNT, intermodal=_RUN_METADATA,
)  # fmt: skip
_RESPONSE = _open(
    id=TEXT, object={"const": "response"}, created_at=WHOLE, model=TEXT,
    status=enum("in_progress", "completed", "incomplete", "failed"), output=list_of(_ITEM),
    error=nullable(_closed_object(but=("intermodal",), code=TEXT, message=TEXT, intermodal=ref("Failed"))),
    incomplete_details=nullable(_open(reason=TEXT)),
        instructions=nullable(TEXT),
    metadata={"type": "object"}, parallel_tool_calls=FLAG, tool_choice=ANYTHING, tools=list_of(ANYTHING),
    temperature=nullable(_NUMBER), top_p=nullable(_NUMBER), max_output_tokens=nullable(WHOLE),
    usage=nullable(_RESPONSE_USAGE),
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
    "stop_reason": nullable(TEXT),
    "stop_sequence": nullable(TEXT),
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
    "TokenCount": _closed_object(
        input_tokens=_COUNT, intermodal=_closed_object(low=_NUMBER, high=_NUMBER, basis=TEXT, plan=TEXT)
    ),
}  # fmt: skip

# ---- Ollama's ------------------------------------------------------------------------------------------

_OLLAMA_MESSAGE = object_of(
    ["role", "content"], open=True, role={"const": "assistant"}, content=TEXT, thinking=TEXT,
    tool_calls=list_of(_open(id=TEXT, function=_closed_object(index=_COUNT, name=TEXT, arguments={"type": "object"}))),
)  # fmt: skip
_DETAILS = object_of(
    ["family"], format=TEXT, family=TEXT, families=nullable(_TEXTS), parameter_size=TEXT, quantization_level=TEXT
)
_OLLAMA_MODEL_FIELDS: dict[str, Schema] = {
    "name": TEXT,
    "model": TEXT,
    "size": _COUNT,
    "digest": TEXT,
    "details": _DETAILS,
}
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
    "OllamaGeneratedLine": any_of_schemas(ref("OllamaGenerated"), ref("OllamaError")),
    "OllamaEmbeddings": _closed_object(
        but=("total_duration",), model=TEXT, embeddings=list_of(list_of(_NUMBER)), total_duration=_COUNT,
        prompt_eval_count=_COUNT, intermodal=_RUN_METADATA,
    ),
    "OllamaLine": any_of_schemas(ref("OllamaAnswer"), ref("OllamaError")),
    "OllamaTags": _closed_object(models=list_of(_closed_object(modified_at=TEXT, **_OLLAMA_MODEL_FIELDS))),
    "OllamaRunning": _closed_object(
        models=list_of(_closed_object(context_length=nullable(WHOLE), **_OLLAMA_MODEL_FIELDS))
    ),
    "OllamaShown": _closed_object(
        modelfile=TEXT, parameters=TEXT, template=TEXT, modified_at=TEXT, details=_DETAILS,
            model_info={"type": "object"},
        capabilities=_TEXTS,
    ),
    "OllamaVersion": _closed_object(version=TEXT, intermodal=TEXT),
}  # fmt: skip

# ---- one thing made of another, models, plans, health --------------------------------------------------

_SEGMENT = _closed_object(
    id=_COUNT, seek=_COUNT, start=_NUMBER, end=_NUMBER, text=TEXT, tokens=list_of(WHOLE), temperature=_NUMBER,
    avg_logprob=_NUMBER, compression_ratio=_NUMBER, no_speech_prob=_NUMBER,
)  # fmt: skip
_ARGUMENT = _closed_object(
    but=("default",), name=TEXT, kind=enum(*get_args(ArgumentKind)), many=FLAG, required=FLAG, type=TEXT,
    description=TEXT, default=ANYTHING, schema=nullable({"type": "object"}),
)  # fmt: skip


def _transcript_schema(task: str) -> Schema:
    """Return the schema of a transcript: the text alone, or with timed segments."""
    return {"anyOf": [
        _closed_object(text=TEXT, usage=_DURATION_USAGE),
        _closed_object(task={"const": task}, language=TEXT, duration=_NUMBER, text=TEXT, segments=list_of(_SEGMENT),
            usage=_DURATION_USAGE),
    ]}  # fmt: skip


_DURATION_USAGE = _closed_object(type={"const": "duration"}, seconds=_NUMBER, intermodal=_RUN_METADATA)
OTHERS: Mapping[str, Schema] = {
    "Embeddings": _closed_object(
        object={"const": "list"}, model=TEXT, usage=_closed_object(prompt_tokens=_COUNT, total_tokens=_COUNT,
            intermodal=_RUN_METADATA),
        data=list_of(_closed_object(object={"const": "embedding"}, index=_COUNT, embedding=any_of_schemas(
            list_of(_NUMBER), {"type": "string", "description": "float32, little-endian, in base64."}))),
    ),
    "Images": _closed_object(
        created=WHOLE, data=list_of(_closed_object(but=("revised_prompt",), b64_json=TEXT, revised_prompt=TEXT)),
        usage=_closed_object(input_tokens=_COUNT, output_tokens=_COUNT, total_tokens=_COUNT, intermodal=_RUN_METADATA),
    ),
    "Reranked": _closed_object(
        id=TEXT, object={"const": "list"}, model=TEXT, results=list_of(_closed_object(
            but=("document",), index=_COUNT, relevance_score=_NUMBER, document=_closed_object(text=TEXT))),
        usage=_closed_object(
            but=("intermodal",), prompt_tokens=_COUNT, total_tokens=_COUNT,
            intermodal=_closed_object(unreported=list_of(enum("input_tokens"))),
        ),
        meta=_closed_object(tokens=_closed_object(input_tokens=_COUNT, output_tokens=_COUNT)),
    ),
    "Transcription": _transcript_schema("transcribe"),
    "Translation": _transcript_schema("translate"),
    "Model": _closed_object(
        id=TEXT, object={"const": "model"}, created=WHOLE, owned_by=TEXT, name=TEXT, context_length=nullable(WHOLE),
        architecture=_closed_object(input_modalities=_KINDS, native_input_modalities=_KINDS, output_modalities=_TEXTS),
        pricing=nullable(_closed_object(prompt=TEXT, completion=TEXT)), endpoints=_TEXTS,
    ),
    "Models": _closed_object(object={"const": "list"}, data=list_of(ref("Model")), first_id=nullable(TEXT),
        last_id=nullable(TEXT),
        has_more={"const": False}),
    "Prompt": _closed_object(
        id=TEXT, object={"const": "prompt"}, name=TEXT, description=TEXT, format=TEXT, file=TEXT, version=TEXT,
        model=nullable(TEXT), input_modalities=_KINDS, arguments=list_of(_ARGUMENT), more_arguments=FLAG,
        output_schema=nullable({"type": "object"}), error=nullable(ref("UnreadablePrompt")),
    ),
    "Prompts": _closed_object(object={"const": "list"}, data=list_of(ref("Prompt")),
        unreadable=list_of(ref("UnreadablePrompt"))),
    "UnreadablePrompt": {
        **_closed_object(file=TEXT, line=nullable(_COUNT), message=TEXT, kept=FLAG),
        "description": "A file with an error. `kept`: the prompts of its last version without one are still served.",
    },
    "PlanDocument": _closed_object(
        kind={"const": "intermodal.plan"}, version={"const": 1}, plan=ref("Plan"), text=TEXT
    ),
    "Alive": _closed_object(status={"const": "ok"}),
    "Ready": _closed_object(
        but=("checks",), status=enum("ready", "not ready", "stopping"), checks=_closed_object(media=FLAG, store=FLAG,
            endpoints=FLAG)
    ),
}  # fmt: skip

# ---- errors --------------------------------------------------------------------------------------------

ERRORS: Mapping[str, Schema] = {
    "Failed": _closed_object(plan=nullable(TEXT), route=TEXT, cost=nullable(_NUMBER), attempts=_COUNT, seconds=_NUMBER),
    "OpenAIError": _closed_object(error=_closed_object(but=("intermodal",), message=TEXT,
                                   type=enum(*sorted(ERROR_TYPES["openai"])),
                                   param={"type": "null"}, code=nullable(TEXT), intermodal=ref("Failed"))),
    "AnthropicError": _closed_object(type={"const": "error"}, error=_closed_object(
        but=("intermodal",), type=enum(*sorted(ERROR_TYPES["anthropic"])), message=TEXT, intermodal=ref("Failed")
    )),
    "OllamaError": _closed_object(but=("intermodal",), error=TEXT, intermodal=ref("Failed")),
}  # fmt: skip


def response_schemas() -> dict[str, Schema]:
    """Return all schemas, including those of a plan, which are generated from its types."""
    _, plan = msgspec.json.schema_components([Plan], ref_template="#/components/schemas/{name}")
    for definition in plan.values():
        _strip_docstring(definition)
    return {"Told": RUN_METADATA, **CHAT, **RESPONSES, **MESSAGES, **OLLAMA, **OTHERS, **ERRORS, **plan}


def _strip_docstring(definition: dict[str, Any]) -> None:
    """Keep a type's docstring up to its list of attributes, and drop defaults, which are left out on the wire."""
    definition.pop("title", None)
    if "description" in definition:
        definition["description"] = " ".join(
            inspect.cleandoc(definition["description"]).partition("\n\n")[0].replace("``", "`").split()
        )
    if not definition.get("required"):
        definition.pop("required", None)
