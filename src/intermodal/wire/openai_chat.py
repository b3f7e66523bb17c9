"""OpenAI chat completions, as dozens of hosts speak it. Request: ``encode_request``; reply: ``Decoder``.

Source: OpenAI's OpenAPI document for ``POST /chat/completions``; deviations of other servers are named
where they are handled. ``decode_request(b"".join(encoded.segments)) == normalise(call, host)`` always.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, assert_never

import msgspec

from intermodal.catalog.nouns import Host
from intermodal.content import Role
from intermodal.request import JsonOutput, Sampling, TextOutput
from intermodal.wire._json import BodyWriter, loads, whole
from intermodal.wire.call import (
    ChatCall,
    Encoded,
    NotExpressible,
    WireAudio,
    WireImage,
    WireMessage,
    WirePart,
    WireText,
)
from intermodal.wire.openai_reply import Decoder
from intermodal.wire.schemas import bounded, rooted

__all__ = ["IMAGE_TYPES", "PATH", "QUIRKS", "WIRE", "Decoder", "decode_request", "encode_request", "normalise"]

WIRE = "OpenAI chat"
PATH = "/chat/completions"
MAX_STOP = 4
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})

# What a Host.quirks word means to this wire.
QUIRKS: Mapping[str, str] = {
    "max_completion_tokens": "the length limit is called max_completion_tokens (OpenAI's reasoning models)",
    "no_stream_options": "stream_options is refused, so no usage comes with a stream",
    "strict_subset": "a schema is forced strictly only within OpenAI's subset; others are sent as not strict",
    "no_audio": "input_audio parts are refused",
    "bounded_schema": "strings and arrays without a limit are forced with one (schemas.bounded); answers are checked "
    "against the schema as it was given",
}
_JSON = (("content-type", "application/json"), ("accept", "text/event-stream, application/json"))


# ---- the request -------------------------------------------------------------------------------


def encode_request(call: ChatCall, host: Host) -> Encoded:
    """The call in bytes. Raises NotExpressible for what this wire or host has no words for."""
    _check(call, host)
    call = normalise(call, host)
    body = BodyWriter()
    body.raw('{"model":')
    body.value(call.model)
    body.raw(',"messages":[')
    for number, message in enumerate(call.messages):
        body.raw("," if number else "")
        _write_message(body, message)
    body.raw("]")
    for name, value in _settings(call, host).items():
        body.raw(f',"{name}":')
        body.value(value)
    body.raw("}")
    return Encoded(path=PATH, headers=_JSON, segments=body.segments())


def normalise(call: ChatCall, host: Host) -> ChatCall:
    """The call as this wire can say it: what ``decode_request`` gives back.

    Parts that are all text become one (many chat templates take only a string); an output that the
    host cannot force becomes text (the prompt asks for it instead, and a check follows).
    """
    output = call.output
    if isinstance(output, JsonOutput) and host.forced_json:
        schema = rooted(output.schema)
        schema = bounded(schema) if "bounded_schema" in host.quirks else schema
        output = JsonOutput(schema=schema, name=_schema_name(output.name))
    else:
        output = TextOutput()
    sampling = msgspec.structs.replace(call.sampling, stop=tuple(map(whole, call.sampling.stop)))
    return msgspec.structs.replace(
        call,
        model=whole(call.model),
        messages=tuple(WireMessage(role=message.role, parts=_joined(message.parts)) for message in call.messages),
        output=output,
        sampling=sampling,
    )


def _joined(parts: tuple[WirePart, ...]) -> tuple[WirePart, ...]:
    texts = [whole(part.text) for part in parts if isinstance(part, WireText)]
    if len(texts) == len(parts):
        return (WireText(text="\n\n".join(texts)),)
    return tuple(WireText(text=whole(part.text)) if isinstance(part, WireText) else part for part in parts)


def _schema_name(name: str) -> str:
    """Names are limited to 64 of ``a-zA-Z0-9_-``."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64] or "answer"


def _check(call: ChatCall, host: Host) -> None:
    if not isinstance(call.output, (TextOutput, JsonOutput)):
        raise NotExpressible.of("an output that is not text", WIRE, where=host.id)
    if len(call.sampling.stop) > MAX_STOP:
        raise NotExpressible.of(f"more than {MAX_STOP} stop words", WIRE, where=host.id, todo="give fewer")
    images = 0
    for message in call.messages:
        if message.role == "tool":
            raise NotExpressible.of("a tool result", WIRE, where=host.id)
        for part in message.parts:
            if not isinstance(part, WireText) and message.role != "user":
                raise NotExpressible.of(f"{_name(part)} in a {message.role} message", WIRE, where=host.id)
            if isinstance(part, WireImage):
                images += 1
                if part.media_type not in IMAGE_TYPES:
                    raise NotExpressible.of(f"an image of type {part.media_type}", WIRE, where=host.id)
            if isinstance(part, WireAudio) and "no_audio" in host.quirks:
                raise NotExpressible.of("audio", WIRE, where=host.id, todo="transcribe it first")
    if host.max_images is not None and images > host.max_images:
        raise NotExpressible.of(f"{images} images (at most {host.max_images})", WIRE, where=host.id, todo="send fewer")


def _name(part: WirePart) -> str:
    return {"WireImage": "an image", "WireAudio": "audio"}.get(type(part).__name__, "text")


def _write_message(body: BodyWriter, message: WireMessage) -> None:
    body.raw(f'{{"role":"{message.role}","content":')
    only = message.parts[0]
    if len(message.parts) == 1 and isinstance(only, WireText):
        body.value(only.text)
    else:
        body.raw("[")
        for number, part in enumerate(message.parts):
            body.raw("," if number else "")
            _write_part(body, part)
        body.raw("]")
    body.raw("}")


def _write_part(body: BodyWriter, part: WirePart) -> None:
    if isinstance(part, WireText):
        body.raw('{"type":"text","text":')
        body.value(part.text)
        body.raw("}")
    elif isinstance(part, WireImage):
        # A data URI and never a URL: a host must not be made to fetch what a user named.
        body.raw(f'{{"type":"image_url","image_url":{{"url":"data:{part.media_type};base64,')
        body.base64(part.data)
        # "auto" is everybody's default, and some servers refuse the field.
        body.raw('"}}' if part.detail == "auto" else f'","detail":"{part.detail}"}}}}')
    elif isinstance(part, WireAudio):
        body.raw('{"type":"input_audio","input_audio":{"data":"')
        body.base64(part.data)
        body.raw(f'","format":"{part.format}"}}}}')
    else:
        assert_never(part)


def _settings(call: ChatCall, host: Host) -> dict[str, Any]:
    sampling = call.sampling
    limit = "max_completion_tokens" if "max_completion_tokens" in host.quirks else "max_tokens"
    settings: dict[str, Any] = {
        limit: sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
    }
    if isinstance(call.output, JsonOutput):
        strict = "strict_subset" not in host.quirks or within_strict_subset(call.output.schema)
        answer = {"name": call.output.name, "strict": strict, "schema": call.output.schema}
        settings["response_format"] = {"type": "json_schema", "json_schema": answer}
    if call.stream:
        settings["stream"] = True
        if "no_stream_options" not in host.quirks:
            settings["stream_options"] = {"include_usage": True}
    return {name: value for name, value in settings.items() if value is not None}


def within_strict_subset(schema: Mapping[str, Any]) -> bool:
    """Whether OpenAI's strict mode takes this schema: an object at the root, and every object closed
    with all its properties required. Source: the "Supported schemas" section of its structured outputs guide."""
    return schema.get("type") == "object" and "anyOf" not in schema and _closed(schema)


_UNSUPPORTED = frozenset({"allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas"})


def _closed(node: Any) -> bool:
    if isinstance(node, list):
        return all(map(_closed, node))
    if not isinstance(node, Mapping):
        return True
    if _UNSUPPORTED & node.keys():
        return False
    properties = node.get("properties", {})
    closed = node.get("additionalProperties") is False and set(node.get("required", ())) == set(properties)
    if (node.get("type") == "object" or properties) and not closed:
        return False
    inside = [*properties.values(), *node.get("$defs", {}).values(), *node.get("anyOf", ()), node.get("items")]
    return all(map(_closed, inside))


# ---- the request, read back --------------------------------------------------------------------


def decode_request(body: bytes) -> ChatCall:
    """The call a body says. Raises ValueError for a body that is none."""
    tree = loads(body)
    if not isinstance(tree, dict) or not isinstance(tree.get("messages"), list):
        raise ValueError("no messages")
    try:
        return ChatCall(
            model=tree["model"],
            messages=tuple(map(_read_message, tree["messages"])),
            output=_read_output(tree.get("response_format")),
            sampling=Sampling(
                max_tokens=tree.get("max_completion_tokens", tree.get("max_tokens")),
                temperature=tree.get("temperature"),
                top_p=tree.get("top_p"),
                stop=_read_stop(tree.get("stop")),
                seed=tree.get("seed"),
            ),
            stream=tree.get("stream") is True,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a chat request ({type(error).__name__})") from None


def _read_stop(stop: Any) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(stop or ())


def _read_output(wanted: Any) -> TextOutput | JsonOutput:
    if not wanted or wanted.get("type") != "json_schema":
        return TextOutput()
    return JsonOutput(schema=wanted["json_schema"]["schema"], name=wanted["json_schema"]["name"])


def _read_message(message: Any) -> WireMessage:
    role: Role = message["role"]
    content = message["content"]
    if isinstance(content, str):
        return WireMessage(role=role, parts=(WireText(text=content),))
    return WireMessage(role=role, parts=tuple(map(_read_part, content)))


def _read_part(part: Any) -> WirePart:
    kind = part["type"]
    if kind == "text":
        return WireText(text=part["text"])
    if kind == "input_audio":
        audio = part["input_audio"]
        return WireAudio(data=b64decode(audio["data"], validate=True), format=audio["format"])
    if kind != "image_url":
        raise ValueError(f"unknown part {kind!r}")
    image = part["image_url"]
    head, comma, data = image["url"].partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        raise ValueError("an image that is not a data URI")
    media_type = head.removeprefix("data:").removesuffix(";base64")
    return WireImage(data=b64decode(data, validate=True), media_type=media_type, detail=image.get("detail", "auto"))
