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
from intermodal.request import JsonOutput, Sampling, SpeechOutput, TextOutput
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
    WireVideo,
)
from intermodal.wire.openai_reply import Decoder
from intermodal.wire.schemas import bounded, rooted

__all__ = ["IMAGE_TYPES", "PATH", "QUIRKS", "WIRE", "Decoder", "decode_request", "encode_request", "normalise"]

WIRE = "OpenAI chat"
PATH = "/chat/completions"
MAX_STOP = 4
MAX_CANDIDATES = 20  # next words with probabilities; llama.cpp gives as many as are asked for
DEFAULT_VOICE = "alloy"
SPEECH_RATE = 24_000  # Hz, of pcm16: signed 16-bit, little-endian, mono
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})

# What a Host.quirks word means to this wire.
QUIRKS: Mapping[str, str] = {
    "max_completion_tokens": "the length limit is called max_completion_tokens (OpenAI's reasoning models)",
    "no_stream_options": "stream_options is refused, so no usage comes with a stream",
    "strict_subset": "a schema is forced strictly only within OpenAI's subset; others are sent as not strict",
    "no_audio": "input_audio parts are refused",
    "no_logprobs": "the probabilities of words are not told",
    "many_logprobs": f"more than {MAX_CANDIDATES} of them may be asked for",
    "grammar": "an answer can be bound by a grammar in GBNF (llama.cpp)",
    "no_video": "video parts are refused",
    "video_url": "a video goes as a video_url part (vLLM and its relatives), not as llama.cpp's input_video",
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
        _write_message(body, message, host)
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
    elif isinstance(output, SpeechOutput):
        # A stream is always pcm16: every other format is refused there. Whoever asked packs it.
        form = "wav" if call.stream else output.format
        output = SpeechOutput(format=form, voice=whole(output.voice) or DEFAULT_VOICE)
    else:
        output = TextOutput()
    sampling = msgspec.structs.replace(call.sampling, stop=tuple(map(whole, call.sampling.stop)))
    return msgspec.structs.replace(
        call,
        model=whole(call.model),
        messages=tuple(WireMessage(role=message.role, parts=_joined(message.parts, host)) for message in call.messages),
        output=output,
        sampling=sampling,
        grammar=whole(call.grammar) if "grammar" in host.quirks else "",
    )


def _joined(parts: tuple[WirePart, ...], host: Host) -> tuple[WirePart, ...]:
    texts = [whole(part.text) for part in parts if isinstance(part, WireText)]
    if len(texts) == len(parts):
        return (WireText(text="\n\n".join(texts)),)
    return tuple(_sayable(part, host) for part in parts)


def _sayable(part: WirePart, host: Host) -> WirePart:
    if isinstance(part, WireText):
        return WireText(text=whole(part.text))
    if isinstance(part, WireVideo) and "video_url" not in host.quirks:
        return WireVideo(data=part.data)  # input_video has no field for its type
    return part


def _schema_name(name: str) -> str:
    """Names are limited to 64 of ``a-zA-Z0-9_-``."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64] or "answer"


def _check(call: ChatCall, host: Host) -> None:
    if not isinstance(call.output, (TextOutput, JsonOutput, SpeechOutput)):
        raise NotExpressible.of("an output that is neither text nor speech", WIRE, where=host.id)
    if call.candidates and "no_logprobs" in host.quirks:
        raise NotExpressible.of("the probabilities of words", WIRE, where=host.id, todo="ask a host that tells them")
    if call.candidates > MAX_CANDIDATES and "many_logprobs" not in host.quirks:
        raise NotExpressible.of(f"more than {MAX_CANDIDATES} candidates for a word", WIRE, where=host.id)
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
            if isinstance(part, WireVideo) and "no_video" in host.quirks:
                raise NotExpressible.of("video", WIRE, where=host.id, todo="send frames of it")
    if host.max_images is not None and images > host.max_images:
        raise NotExpressible.of(f"{images} images (at most {host.max_images})", WIRE, where=host.id, todo="send fewer")


def _name(part: WirePart) -> str:
    return {"WireImage": "an image", "WireAudio": "audio", "WireVideo": "video"}.get(type(part).__name__, "text")


def _write_message(body: BodyWriter, message: WireMessage, host: Host) -> None:
    body.raw(f'{{"role":"{message.role}","content":')
    only = message.parts[0]
    if len(message.parts) == 1 and isinstance(only, WireText):
        body.value(only.text)
    else:
        body.raw("[")
        for number, part in enumerate(message.parts):
            body.raw("," if number else "")
            _write_part(body, part, host)
        body.raw("]")
    body.raw("}")


def _write_part(body: BodyWriter, part: WirePart, host: Host) -> None:
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
    elif isinstance(part, WireVideo):
        _write_video(body, part, host)
    else:
        assert_never(part)


def _write_video(body: BodyWriter, part: WireVideo, host: Host) -> None:
    if "video_url" in host.quirks:
        body.raw(f'{{"type":"video_url","video_url":{{"url":"data:{part.media_type};base64,')
    else:
        body.raw('{"type":"input_video","input_video":{"data":"')
    body.base64(part.data)
    body.raw('"}}')


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
    if isinstance(call.output, SpeechOutput):
        settings["modalities"] = ["text", "audio"]
        settings["audio"] = {"voice": call.output.voice, "format": "pcm16" if call.stream else call.output.format}
    if call.candidates:
        settings |= {"logprobs": True, "top_logprobs": call.candidates}
    settings["grammar"] = call.grammar or None
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
            output=_read_output(tree),
            sampling=Sampling(
                max_tokens=tree.get("max_completion_tokens", tree.get("max_tokens")),
                temperature=tree.get("temperature"),
                top_p=tree.get("top_p"),
                stop=_read_stop(tree.get("stop")),
                seed=tree.get("seed"),
            ),
            stream=tree.get("stream") is True,
            candidates=tree.get("top_logprobs", 0) if tree.get("logprobs") else 0,
            grammar=tree.get("grammar", ""),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a chat request ({type(error).__name__})") from None


def _read_stop(stop: Any) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(stop or ())


def _read_output(tree: Any) -> TextOutput | JsonOutput | SpeechOutput:
    if "audio" in tree.get("modalities", ()):
        audio = tree["audio"]
        return SpeechOutput(format="wav" if audio["format"] == "pcm16" else audio["format"], voice=audio["voice"])
    wanted = tree.get("response_format")
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
    if kind == "input_video":
        return WireVideo(data=b64decode(part["input_video"]["data"], validate=True))
    if kind not in ("image_url", "video_url"):
        raise ValueError(f"unknown part {kind!r}")
    head, comma, data = part[kind]["url"].partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        raise ValueError(f"{kind} without a data URI")
    media_type = head.removeprefix("data:").removesuffix(";base64")
    body = b64decode(data, validate=True)
    if kind == "video_url":
        return WireVideo(data=body, media_type=media_type)
    return WireImage(data=body, media_type=media_type, detail=part[kind].get("detail", "auto"))
