"""Schemas of request bodies. The endpoints' own tables define which fields exist; this module defines their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

import msgspec

from intermodal.config.tables import PROMPT
from intermodal.core.request import SAMPLERS, PictureFormat, Quality
from intermodal.gateway.endpoints import media
from intermodal.gateway.endpoints.rerank import RERANK_FIELDS
from intermodal.gateway.requests.request_policy import FORBIDDEN_FIELDS, PolicyOverrides
from intermodal.protocols.client_apis import (
    ANTHROPIC_MESSAGES,
    OLLAMA_CHAT,
    OLLAMA_GENERATE,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
)
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
    made: Schema = {"type": "object", "properties": fields, "additionalProperties": open}
    needed = list(required)
    return {**made, "required": needed} if needed else made


def list_of(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def one_of(*schemas: Schema, **more: Any) -> Schema:
    return {"anyOf": list(schemas), **more}


def or_null(schema: Schema) -> Schema:
    """Return a schema that also accepts null, which clients send for omitted fields."""
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return one_of(schema, {"type": "null"})


def enum(*values: str) -> Schema:
    return {"enum": list(values)}


def tagged(kind: str, **fields: Schema) -> Schema:
    """Return an object schema with a constant ``type``."""
    return object_of(["type", *fields], open=True, type={"const": kind}, **fields)


def _media() -> Schema:
    return {"type": "string", "description": "A data URI in base64, or an address that may be fetched."}


# ---- parts that the doors share ------------------------------------------------------------------------

_SCHEMA = {"type": "object", "description": "A JSON Schema."}
_SOUND = object_of(["data", "format"], open=True, data=TEXT, format=enum("wav", "mp3"))
_FORMAT = object_of(
    ["type"], open=True, type=enum("text", "json_object", "json_schema"), json_schema={"type": "object"},
    schema=_SCHEMA, name=TEXT,
)  # fmt: skip
_CHOICE = one_of(enum("auto", "none", "required"), {"type": "object"}, {"type": "null"})
_FUNCTION = {"name": TEXT, "description": or_null(TEXT), "parameters": or_null(_SCHEMA), "strict": or_null(FLAG)}
SIGNED = object_of(open=True, google=object_of(open=True, thought_signature=TEXT))
SIGNED["description"] = (
    "Google's signature of the reasoning before the call. Sent back with it, it outlives the gateway."
)
_CALL = object_of(
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

_IMAGES = or_null(list_of({"type": "string", "description": "A picture or a recording in base64."}))
SHARED: Mapping[str, Schema] = {
    "Wishes": OVERRIDES,
    "ChatPart": {"anyOf": [
        tagged("text", text=TEXT), tagged("refusal", refusal=TEXT),
        tagged("image_url", image_url=one_of(_media(), object_of(["url"], open=True, url=_media(),
            detail=or_null(TEXT)))),
        tagged("input_audio", input_audio=one_of(TEXT, _SOUND)),
        tagged("input_video", input_video=object_of(["data"], open=True, data=TEXT)),
        tagged("video_url", video_url=object_of(["url"], open=True, url=_media())),
        tagged("file", file=object_of(["file_data"], open=True, file_data=TEXT, filename=or_null(TEXT))),
        tagged("document_url", document_url=_media()),
    ]},
    "ChatMessage": object_of(
        ["role"], open=True, role=enum(*ROLES), name=TEXT,
        content=one_of(TEXT, list_of(ref("ChatPart")), {"type": "null"}),
        refusal=or_null(TEXT), reasoning_content=or_null(TEXT), tool_calls=or_null(list_of(_CALL)), tool_call_id=TEXT,
        audio=or_null(object_of(open=True, transcript=TEXT)),
        function_call=or_null(object_of(["name", "arguments"], open=True, name=TEXT, arguments=TEXT)),
    ),
    "ChatTool": object_of(
        ["function"], open=True, type={"const": "function"}, function=object_of(["name"], open=True, **_FUNCTION)
    ),
    "ResponsePart": {"anyOf": [
        *(tagged(kind, text=TEXT) for kind in ("input_text", "output_text", "text")), tagged("refusal", refusal=TEXT),
        tagged("input_image", image_url=_media()), tagged("input_audio", input_audio=_SOUND),
        object_of(["type"], open=True, type={"const": "input_file"}, file_data=TEXT, file_url=TEXT,
            filename=or_null(TEXT)),
    ]},
    "ResponseItem": {"anyOf": [
        object_of(["role", "content"], open=True, type={"const": "message"}, role=enum(*ITEM_ROLES),
                  content=one_of(TEXT, list_of(ref("ResponsePart")))),
        tagged("function_call", call_id=TEXT, name=TEXT, arguments=TEXT),
        tagged("function_call_output", call_id=TEXT, output=one_of(TEXT, list_of(ref("ResponsePart")))),
        tagged("reasoning"), tagged("item_reference", id=TEXT),
    ]},
    "ResponseTool": object_of(["name"], open=True, type={"const": "function"}, **_FUNCTION),
    "MessageSource": {"anyOf": [
        tagged("base64", media_type=TEXT, data=TEXT), tagged("url", url=TEXT), tagged("text", data=TEXT),
    ]},
    "MessageBlock": {
        "description": "A block of a type that is not listed is the vendor's own, and goes back as it came.",
        "anyOf": [
            tagged("text", text=TEXT), tagged("image", source=ref("MessageSource")), tagged("document",
                source=ref("MessageSource")),
            tagged("tool_use", id=TEXT, name=TEXT, input={"type": "object"}), tagged("thinking", thinking=TEXT),
            tagged("tool_result", tool_use_id=TEXT),
            object_of(["type"], open=True, type={"type": "string", "not": enum(
                "text", "image", "document", "tool_use", "thinking", "tool_result")}),
        ],
    },
    "Message": object_of(
        ["role", "content"], open=True, role=enum("user", "assistant", "system"),
        content=one_of(TEXT, list_of(ref("MessageBlock"))),
    ),
    "MessageTool": object_of(
        ["name", "input_schema"], open=True, type={"const": "custom"}, name=TEXT, description=or_null(TEXT),
            input_schema=_SCHEMA
    ),
    "OllamaMessage": object_of(
        ["role"], open=True, role=enum("system", "user", "assistant", "tool"), content=or_null(TEXT),
        images=_IMAGES,
        thinking=or_null(TEXT), tool_calls=or_null(list_of({"type": "object"})), tool_call_id=TEXT, tool_name=TEXT,
    ),
}  # fmt: skip

# ---- fields --------------------------------------------------------------------------------------------

_NUMBER = or_null({"type": "number"})
_LIMIT = or_null({"type": "integer", "minimum": 1})
_NOT_KEPT: Schema = {"description": "Nothing is kept here, so it may not be said.", "enum": [None, "", False]}
_COMMON: Mapping[str, Schema] = {
    "model": {"type": "string", "minLength": 1, "maxLength": 400,
        "description": "A model, `auto`, `policy:NAME`, `prompt:NAME`, or an alias of the config."},
    "intermodal": ref("Wishes"), "stream": or_null(FLAG), "user": or_null(TEXT),
        "metadata": or_null({"type": "object"}),
    "temperature": _NUMBER, "top_p": _NUMBER, "seed": or_null(WHOLE), "store": or_null(FLAG),
    "max_tokens": _LIMIT, "parallel_tool_calls": or_null(FLAG), "tool_choice": _CHOICE,
}  # fmt: skip
_STOP = one_of(TEXT, list_of(TEXT), {"type": "null"})
_SETTINGS: Mapping[str, Schema] = {
    "top_k": or_null(WHOLE), "min_p": _NUMBER, "typical_p": _NUMBER, "presence_penalty": _NUMBER,
    "frequency_penalty": _NUMBER, "repeat_penalty": _NUMBER,
}  # fmt: skip
_THINK = one_of(FLAG, TEXT, {"type": "null"})
_OLLAMA_FORMAT = one_of(enum("", "json"), _SCHEMA, {"type": "null"})
_OLLAMA_OPTIONS = or_null(object_of(
    open=True, num_predict=or_null(WHOLE), temperature=_NUMBER, top_p=_NUMBER, stop=_STOP, seed=or_null(WHOLE),
    num_ctx=or_null(WHOLE), **_SETTINGS,
))  # fmt: skip
_OPENAIS: Mapping[str, Schema] = {"prompt_cache_key": or_null(TEXT), "safety_identifier": or_null(TEXT)}
_VARIABLES: Schema = {
    "type": ["object", "null"],
    "description": "Arguments of a prompt file, by name: JSON; media as a data URI, an address, or a part of media.",
}
_FILE: Schema = {"type": "string", "contentMediaType": "application/octet-stream"}
_HEARD: dict[str, Schema] = {
    "model": _COMMON["model"], "user": TEXT, "file": {**_FILE, "description": "A recording, or a film."},
    "response_format": enum(*TRANSCRIPT_FORMATS), "timestamp_granularities[]": enum("segment"),
    "stream": enum("false"),
}  # fmt: skip
_DRAWN: Mapping[str, Schema] = {
    "n": {"type": "integer", "minimum": 1, "maximum": 10},
    "size": {"type": "string", "pattern": "^(auto|[1-9][0-9]{0,4}x[1-9][0-9]{0,4})$"},
    "quality": enum("", "auto", "standard", "hd", *get_args(Quality)),
    "output_format": enum("", *get_args(PictureFormat)), "response_format": enum("b64_json"),
    "steps": WHOLE, "guidance": {"type": "number"}, "sampler": enum("", *SAMPLERS), "negative_prompt": TEXT,
}  # fmt: skip
_PROMPT: Mapping[str, Schema] = {
    "prompt_id": {"type": ["string", "null"], "description": "A prompt file of the server's: GET /v1/prompts."},
    "prompt_version": or_null(TEXT), "prompt_variables": _VARIABLES,
}  # fmt: skip
FIELDS: Mapping[str, Mapping[str, Schema]] = {
    "ChatRequest": {
        **_COMMON, **_SETTINGS, **_OPENAIS, **_PROMPT, "reasoning_effort": or_null(TEXT), "verbosity": or_null(TEXT),
        "logit_bias": or_null({"type": "object"}), "repetition_penalty": _NUMBER, "min_tokens": or_null(WHOLE),
        "functions": or_null(list_of(object_of(["name"], open=True, **_FUNCTION))),
        "function_call": one_of(enum("auto", "none"), object_of(["name"], open=True, name=TEXT), {"type": "null"}),
        "messages": list_of(ref("ChatMessage")), "tools": or_null(list_of(ref("ChatTool"))),
        "n": {"enum": [1, None]}, "max_completion_tokens": _LIMIT, "stop": _STOP, "response_format": or_null(_FORMAT),
        "random_seed": or_null(WHOLE),
        "stream_options": or_null(object_of(open=True, include_usage=or_null(FLAG))),
        "modalities": or_null(list_of(enum("text", "audio"))),
        "audio": or_null(object_of(["format", "voice"], open=True, format=enum("wav", "mp3", "pcm16"), voice=TEXT)),
    },
    "ResponsesRequest": {
        **_COMMON, **_OPENAIS, **_PROMPT, "input": one_of(TEXT, list_of(ref("ResponseItem"))),
        "tools": or_null(list_of(ref("ResponseTool"))),
        "instructions": or_null(TEXT), "max_output_tokens": _LIMIT, "include": or_null(list_of(TEXT)),
        "text": or_null(object_of(open=True, format=or_null(_FORMAT), verbosity=or_null(TEXT))),
        "reasoning": or_null(object_of(
            open=True, effort=or_null(TEXT), summary=or_null(TEXT), generate_summary=or_null(TEXT),
            context=or_null(TEXT),
        )),
        "previous_response_id": _NOT_KEPT, "conversation": _NOT_KEPT,
        "prompt": or_null(object_of(["id"], open=True, id=TEXT, version=or_null(TEXT), variables=_VARIABLES)),
    },
    "MessagesRequest": {
        **_COMMON, **_PROMPT, "messages": list_of(ref("Message")), "tools": or_null(list_of(ref("MessageTool"))),
        "cache_control": or_null({"type": "object"}), "top_k": _SETTINGS["top_k"],
        "thinking": or_null(object_of(["type"], open=True, type=TEXT, budget_tokens=WHOLE)),
        "system": one_of(TEXT, list_of(tagged("text", text=TEXT)), {"type": "null"}),
            "stop_sequences": or_null(list_of(TEXT)),
        "tool_choice": or_null(object_of(["type"], open=True, type=enum("auto", "any", "tool", "none"), name=TEXT)),
        "output_config": or_null(object_of(open=True, effort=or_null(TEXT), format=or_null(object_of(
            ["schema"], open=True, schema=_SCHEMA)))),
    },
    "OllamaChatRequest": {
        **_COMMON, **_PROMPT, "messages": list_of(ref("OllamaMessage")), "tools": or_null(list_of(ref("ChatTool"))),
        "format": _OLLAMA_FORMAT, "options": _OLLAMA_OPTIONS, "think": _THINK,
    },
    "OllamaGenerateRequest": {
        **_COMMON, **_PROMPT, "prompt": or_null(TEXT), "system": or_null(TEXT), "images": _IMAGES,
        "format": _OLLAMA_FORMAT,
        "options": _OLLAMA_OPTIONS, "think": _THINK, "raw": {"enum": [False, None]}, "template": {"enum": ["", None]},
        "suffix": {"enum": ["", None]}, "context": {"enum": [[], None]},
    },
    "OllamaEmbedRequest": {
        **_COMMON, "input": one_of(TEXT, list_of(TEXT, minItems=1, maxItems=MAX_TEXTS)), "truncate": or_null(FLAG),
        "dimensions": {"type": "null"},
    },
    "EmbeddingsRequest": {
        **_COMMON, "input": one_of(
            TEXT, list_of(TEXT, minItems=1, maxItems=MAX_TEXTS), list_of(WHOLE, minItems=1),
            list_of(list_of(WHOLE, minItems=1), minItems=1, maxItems=MAX_TEXTS),
        ),
        "encoding_format": or_null(enum(*get_args(Encoding))), "dimensions": {"type": "null"},
    },
    "SpeechRequest": {
        **_COMMON, "input": TEXT, "voice": or_null({"type": "string",
            "description": "A name that the model knows, or `default`."}),
        "response_format": or_null(enum("mp3", "wav")), "speed": {"enum": [1, None]}, "stream_format": enum("audio"),
    },
    "PicturesRequest": {
        **_COMMON, **{name: or_null(schema) for name, schema in _DRAWN.items()}, "prompt": TEXT,
        "stream": {"enum": [False, None]},
    },
    "PictureEditsRequest": {
        **_DRAWN, "model": _COMMON["model"], "user": _COMMON["user"], "prompt": TEXT,
        "image": {**_FILE, "description": "A picture to start from; several are sent as `image[]`."},
        "image[]": list_of(_FILE),
        "mask": {**_FILE, "description": "Transparent, or white, where the one picture may change; as large as it."},
        "seed": WHOLE, "strength": {"type": "number"}, "stream": enum("false", ""),
    },
    "RerankRequest": {
        **_COMMON, "query": {"type": "string", "pattern": "\\S"}, "top_n": or_null({"type": "integer", "minimum": 1}),
        "return_documents": or_null(FLAG),
        "documents": list_of(one_of(TEXT, object_of(["text"], open=True, text=TEXT)), minItems=1,
            maxItems=MAX_DOCUMENTS),
    },
    "TranscriptionRequest": {"language": {"type": "string", "description": "ISO 639-1."}, **_HEARD},
    "TranslationRequest": _HEARD,
}  # fmt: skip
ACCEPTED_FIELDS: Mapping[str, frozenset[str]] = {
    "ChatRequest": OPENAI_CHAT.takes, "ResponsesRequest": OPENAI_RESPONSES.takes,
        "MessagesRequest": ANTHROPIC_MESSAGES.takes,
    "OllamaChatRequest": OLLAMA_CHAT.takes, "OllamaGenerateRequest": OLLAMA_GENERATE.takes,
        "OllamaEmbedRequest": media.EMBED_FIELDS,
    "EmbeddingsRequest": media.EMBEDDINGS_FIELDS, "SpeechRequest": media.SPEECH_FIELDS,
    "PicturesRequest": media.IMAGES_FIELDS, "TranscriptionRequest": media.TRANSCRIPTION_FIELDS,
    "TranslationRequest": media.TRANSLATION_FIELDS, "PictureEditsRequest": media.EDITS_FIELDS,
    "RerankRequest": RERANK_FIELDS,
}  # fmt: skip
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "ChatRequest": ("model", "messages"), "ResponsesRequest": ("model", "input"),
    "MessagesRequest": ("model", "messages", "max_tokens"), "OllamaChatRequest": ("model", "messages"),
    "OllamaGenerateRequest": ("model",), "OllamaEmbedRequest": ("model", "input"),
    "EmbeddingsRequest": ("model", "input"), "SpeechRequest": ("model", "input"), "PicturesRequest": ("model",
        "prompt"),
    "PictureEditsRequest": ("model", "prompt"), "RerankRequest": ("model", "query", "documents"),
    "TranscriptionRequest": ("model", "file"), "TranslationRequest": ("model", "file"),
}  # fmt: skip
# Requests that a prompt file can state completely, and the field that is required without one.
_RENDERED: Mapping[str, str] = {
    "ChatRequest": "messages", "ResponsesRequest": "input", "MessagesRequest": "messages",
    "OllamaChatRequest": "messages", "OllamaGenerateRequest": "",
}  # fmt: skip


def _requires_input_or_prompt(field: str) -> Schema:
    """Return the schema of required content: messages or input, or the name of a prompt."""
    usual: Schema = {"required": ["model", field] if field else ["model"]}
    if field == "messages":
        usual["properties"] = {field: {"minItems": 1}}
    named = [{"required": ["prompt_id"], "properties": {"prompt_id": {"type": "string"}}}]
    if field == "input":
        named.append({"required": ["prompt"], "properties": {"prompt": {"type": "object"}}})
    return {"anyOf": [usual, *named, {"required": ["model"], "properties": {"model": {"pattern": f"^{PROMPT}"}}}]}


def request_schemas() -> dict[str, Schema]:
    """Return a schema for each kind of body, with the fields that its endpoint accepts.

    Other fields are ignored and named in the response.
    """
    made = {}
    for name, takes in ACCEPTED_FIELDS.items():
        fields = {field: FIELDS[name][field] for field in sorted(takes)}
        rendered = _RENDERED.get(name)
        needed = (
            _NEEDS[name] if rendered is None else [each for each in _NEEDS[name] if each not in ("model", rendered)]
        )
        made[name] = {
            **object_of(needed, open=True, **fields),
            **({} if rendered is None else _requires_input_or_prompt(rendered)),
            "description": "Fields besides these are not understood. The answer's `x-intermodal-ignored` names them, "
            "and fields that the host which answers has no word for.",
            "not": {"anyOf": [{"required": [field]} for field in sorted(FORBIDDEN_FIELDS)]},
        }
    made["PictureEditsRequest"]["anyOf"] = [{"required": [name]} for name in ("image", "image[]")]
    count = {name: schema for name, schema in made["MessagesRequest"].items() if name != "required"}
    return {
        **SHARED, **made, "CountTokensRequest": count,
        "ExplainRequest": one_of(
            ref("ChatRequest"), ref("ResponsesRequest"), ref("MessagesRequest"), ref("OllamaChatRequest"),
            ref("OllamaGenerateRequest"),
        ),
        "ShowRequest": {**object_of(open=True, model=TEXT, name=TEXT), "anyOf": [
            object_of([field], open=True, **{field: {"type": "string", "minLength": 1}}) for field in ("model", "name")
        ]},
    }  # fmt: skip
