"""What each wire can say and read, found out by asking it: the table "Feature by feature" of docs/protocols.md.

A feature is a call that is encoded and read back, or a vendor's reply that is decoded. A wire that neither says a
wish nor refuses it fails here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from tests.protocols.calls import WIRES, Wire

from intermodal import errors
from intermodal.catalog.types import Host
from intermodal.core.content import Reasoning, ToolCall, ToolResult
from intermodal.core.request import JsonOutput, Sampling, Tool
from intermodal.protocols.calls import (
    ChatCall,
    EmbeddingCall,
    EncodedRequest,
    Finish,
    ImageCall,
    NotExpressible,
    SpeechCall,
    TokenLogprobs,
    TranscriptionCall,
    WireAudio,
    WireDocument,
    WireEvent,
    WireImage,
    WireMedia,
    WireMessage,
    WireText,
    WireVideo,
)
from intermodal.protocols.conversation import collect_turn
from intermodal.protocols.openai_media import embeddings as openai_media_embeddings
from intermodal.protocols.openai_media import images as openai_media_images
from intermodal.protocols.openai_media import speech, transcription

YES, NO, NONE, PLAIN, QUIRK = "yes", "no", "–", "without detail", "by its row"
COLUMNS = (
    "chat", "responses", "messages", "generateContent", "Ollama", "embeddings", "audio", "images",
)  # fmt: skip
CHATS = {"openai_chat": "chat", "openai_responses": "responses", "anthropic": "messages",
         "gemini": "generateContent", "ollama": "Ollama"}  # fmt: skip
HOST = Host(id="h", forced_json=True)

# ---- what is said --------------------------------------------------------------------------------

_ASKED = WireMessage(role="user", parts=(WireText(text="Which?"),))
_CALLED = (ToolCall(id="c1", name="f", arguments='{"n":1}'), ToolCall(id="c2", name="f", arguments='{"n":2}'))
_ANSWERS = (ToolResult(id="c1", text="one"), ToolResult(id="c2", text="two"))
_SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def _chat(*messages: WireMessage, **more: Any) -> ChatCall:
    return ChatCall(model="m", messages=messages or (_ASKED,), **more)


def _shown(*media: WireMedia) -> ChatCall:
    return _chat(WireMessage(role="user", parts=(WireText(text="Which?"), *media)))


def _said(parts: tuple[Any, ...]) -> WireMessage:
    return WireMessage(role="assistant", parts=parts)


def _results(parts: tuple[Any, ...]) -> WireMessage:
    return WireMessage(role="tool", parts=parts)


def _parts(call: ChatCall, kind: type[Any]) -> list[Any]:
    return [part for message in call.messages for part in message.parts if isinstance(part, kind)]


def _roles(call: ChatCall) -> list[str]:
    return [message.role for message in call.messages]


# Ollama has one place for images and sound; their first bytes tell them apart.
_SOUND = b"RIFF\x00\x00\x00\x00WAVE"
_TOOL = Tool(name="f", description="d", schema=_SCHEMA)
# A call, and what of it has to be read back.
SAID: Mapping[str, tuple[ChatCall, Callable[[ChatCall], Any]]] = {
    "text": (_chat(), lambda call: _parts(call, WireText)),
    "images, with detail": (
        _shown(WireImage(data=b"i", detail="low")), lambda call: [part.data for part in _parts(call, WireImage)],
    ),
    "audio": (_shown(WireAudio(data=_SOUND)), lambda call: [part.data for part in _parts(call, WireAudio)]),
    "video": (_shown(WireVideo(data=b"v")), lambda call: [part.data for part in _parts(call, WireVideo)]),
    "PDF": (_shown(WireDocument(data=b"d")), lambda call: [part.data for part in _parts(call, WireDocument)]),
    "system": (_chat(WireMessage(role="system", parts=(WireText(text="Be brief."),)), _ASKED), _roles),
    "several turns": (_chat(_ASKED, _said((WireText(text="That."),)), _ASKED), _roles),
    "definitions of tools": (
        _chat(tools=(_TOOL,)), lambda call: [(tool.name, tool.description, tool.schema) for tool in call.tools],
    ),
    "calls of tools": (
        _chat(_ASKED, _said(_CALLED[:1]), _results(_ANSWERS[:1]), tools=(_TOOL,)),
        lambda call: [(part.name, part.arguments) for part in _parts(call, ToolCall)],
    ),
    "results of tools": (
        _chat(_ASKED, _said(_CALLED[:1]), _results(_ANSWERS[:1]), tools=(_TOOL,)),
        lambda call: [part.text for part in _parts(call, ToolResult)],
    ),
    "tools side by side": (
        _chat(_ASKED, _said(_CALLED), _results(_ANSWERS), tools=(_TOOL,)),
        lambda call: (
            [(part.name, part.arguments) for part in _parts(call, ToolCall)],
            [part.text for part in _parts(call, ToolResult)],
        ),
    ),
    "one tool at a time": (_chat(tools=(_TOOL,), parallel_tools=False), lambda call: call.parallel_tools),
    "a schema is forced": (
        _chat(output=JsonOutput(schema=_SCHEMA)),
        lambda call: call.output.schema if isinstance(call.output, JsonOutput) else None,
    ),
    "stop": (_chat(sampling=Sampling(stop=("END",))), lambda call: call.sampling.stop),
    "seed": (_chat(sampling=Sampling(seed=7)), lambda call: call.sampling.seed),
    "log-probabilities": (_chat(candidates=2), lambda call: call.candidates),
}  # fmt: skip


def _says(wire: Wire, feature: str) -> str:
    call, of = SAID[feature]
    try:
        encoded: EncodedRequest = wire.module.encode_request(call, HOST)
    except NotExpressible as refused:
        assert not refused.sent and refused.part
        return NO
    back = wire.decode(b"".join(encoded.segments), encoded)
    assert of(back) == of(call), f"{wire.name} leaves out {feature} in silence"
    if feature == "images, with detail" and _parts(back, WireImage)[0].detail != "low":
        return PLAIN
    return YES


# ---- what is read: replies as the vendors' references have them ----------------------------------


def _sse(*trees: Any) -> bytes:
    return "".join(
        (f"event: {tree['type']}\n" if "type" in tree else "") + f"data: {json.dumps(tree)}\n\n" for tree in trees
    ).encode()


def _choice(reason: str | None, **delta: Any) -> dict[str, Any]:
    logprobs = delta.pop("logprobs", None)
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": logprobs}]}


def _response(**more: Any) -> dict[str, Any]:
    return {"type": "response.completed", "response": {"object": "response", "status": "completed", "error": None,
                                                       "output": [], **more}}  # fmt: skip


def _message(reason: str, *blocks: dict[str, Any], **usage: Any) -> bytes:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
    tail = {"stop_reason": reason, "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 2, **usage}}
    return json.dumps({**head, "content": list(blocks), **tail}).encode()


def _candidate(*parts: dict[str, Any], reason: str = "STOP", **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "finishReason": reason, **more}]}


def _line(**message: Any) -> dict[str, Any]:
    return {"model": "m", "created_at": "2026-11-25T00:00:00Z", "done": False,
            "message": {"role": "assistant", "content": "", **message}}  # fmt: skip


def _lines(*trees: dict[str, Any]) -> bytes:
    end = {**_line(), "done": True, "done_reason": "stop", "prompt_eval_count": 9, "eval_count": 2}
    return "".join(f"{json.dumps(tree)}\n" for tree in (*trees, end)).encode()


_TOP = [{"token": "yes", "logprob": -0.1}, {"token": "no", "logprob": -2.5}]
_TOKEN = {"token": "yes", "logprob": -0.1, "top_logprobs": _TOP}
_SEALED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2VhbGVk"}
_PARTED = {"text_tokens": 4, "image_tokens": 5}
# Per wire: a thought with what has to go back, probabilities, a full usage, a refusal. None where the reply of that
# API has no place for it.
READ: Mapping[str, Mapping[str, tuple[bytes, str] | bytes | None]] = {
    "openai_chat": {
        "reasoning": (_sse(_choice(None, reasoning_content="Deep thought."), _choice("stop", content="a")), "Deep th"),
        "probabilities": _sse(_choice("stop", content="yes", logprobs={"content": [_TOKEN]})),
        "usage": _sse(_choice("stop", content="a"),
                      {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2,
                                                "prompt_tokens_details": _PARTED}}),
        "refusal": _sse(_choice("content_filter", refusal="No.")),
    },
    "openai_responses": {
        "reasoning": (
            _sse({"type": "response.output_item.done", "output_index": 0, "item": _SEALED}, _response()), "c2VhbGVk",
        ),
        "probabilities": _sse({"type": "response.output_text.delta", "output_index": 0, "delta": "yes",
                               "logprobs": [_TOKEN]}, _response()),
        "usage": _sse(_response(usage={
            "input_tokens": 9, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 11})),
        "refusal": _sse({"type": "response.refusal.delta", "output_index": 0, "delta": "No."}, _response()),
    },
    "anthropic": {
        "reasoning": (_message("end_turn", {"type": "thinking", "thinking": "Deep.", "signature": "c2ln"}), "c2ln"),
        "probabilities": None,
        "usage": _message("end_turn", cache_read_input_tokens=1, cache_creation_input_tokens=1),
        "refusal": _message("refusal"),
    },
    "gemini": {
        "reasoning": (_sse(_candidate({"text": "a", "thoughtSignature": "c2ln"})), "c2ln"),
        "probabilities": _sse(_candidate({"text": "yes"}, logprobsResult={"topCandidates": [
            {"candidates": [{"token": "yes", "logProbability": -0.1}, {"token": "no", "logProbability": -2.5}]}]})),
        "usage": _sse({**_candidate({"text": "a"}), "usageMetadata": {
            "promptTokenCount": 9, "candidatesTokenCount": 2,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 4}, {"modality": "IMAGE", "tokenCount": 5}]}}),
        "refusal": _sse(_candidate(reason="SAFETY")),
    },
    "ollama": {
        "reasoning": (_lines(_line(thinking="Deep thought.")), "Deep thought."),
        "probabilities": _lines({**_line(content="yes"), "logprobs": [_TOKEN]}),
        "usage": _lines(),
        "refusal": None,
    },
}  # fmt: skip


def _events(wire: Wire, reply: bytes) -> list[WireEvent]:
    decoder = wire.module.Decoder("h:m")
    return [*decoder.feed(reply), *decoder.close()]


def _goes_back(wire: Wire, reply: tuple[bytes, str]) -> str:
    """A thought is kept where the turn it came in, sent again, has it letter by letter."""
    body, kept = reply
    said = collect_turn(_events(wire, body)).parts
    assert kept in str(said) or _parts(_chat(_said(said)), Reasoning), f"{wire.name} does not read what was thought"
    for answer, quirks in ((YES, ()), *((QUIRK, (quirk,)) for quirk in getattr(wire.module, "QUIRKS", ()))):
        host = Host(id="h", forced_json=True, quirks=quirks)
        sent = b"".join(wire.module.encode_request(_chat(_ASKED, _said(said), _ASKED), host).segments)
        if kept.encode() in sent:
            return answer
    return NO


def _chat_column(wire: Wire) -> dict[str, str]:
    column = {feature: _says(wire, feature) for feature in SAID}
    reply = READ[wire.name]
    thought, told, used, refused = (reply[key] for key in ("reasoning", "probabilities", "usage", "refusal"))
    assert isinstance(thought, tuple) and isinstance(used, bytes)
    column["reasoning kept as it came"] = _goes_back(wire, thought)
    if column["log-probabilities"] == YES:
        assert isinstance(told, bytes)
        assert TokenLogprobs(words=(("yes", -0.1), ("no", -2.5))) in _events(wire, told)
    usage = collect_turn(_events(wire, used)).usage
    assert usage.input_tokens
    column["usage by modality"] = YES if usage.input_by_modality else NO
    if refused is None:
        column["a refusal as an end"] = NO
    else:
        assert isinstance(refused, bytes)
        assert _events(wire, refused)[-1] == Finish(reason="content_filter")
        column["a refusal as an end"] = YES
    return column


# ---- the wires that do not chat ------------------------------------------------------------------

# Their calls have these fields and no more: what is not among them cannot even be asked for. A new one is to be
# put into the columns below.
FIELDS: Mapping[type[msgspec.Struct], set[str]] = {
    EmbeddingCall: {"model", "texts", "dimensions", "media"},
    TranscriptionCall: {"model", "data", "media_type", "language", "prompt", "into"},
    SpeechCall: {"model", "text", "voice", "format"},
    ImageCall: {"model", "prompt", "images", "mask", "size", "count", "seed", "steps", "guidance", "sampler",
                  "strength", "negative", "quality", "format", "writes"},
}  # fmt: skip


def _holds(encode: Callable[[], EncodedRequest], *words: bytes) -> str:
    try:
        body = b"".join(encode().segments)
    except NotExpressible:
        return NO
    assert all(word in body for word in words)
    return YES


def _embeddings() -> dict[str, str]:
    def media(*given: WireMedia) -> str:
        call = EmbeddingCall(model="m", texts=(), media=given)
        return _holds(lambda: openai_media_embeddings.encode_request(call, HOST), b"base64")

    counted = openai_media_embeddings.decode_reply(
        b'{"data":[{"index":0,"embedding":[1.0]}],"usage":{"prompt_tokens":9,"total_tokens":9}}', "h:m"
    )
    assert counted.usage.input_tokens == 9
    return {
        "text": _holds(lambda: openai_media_embeddings.encode_request(EmbeddingCall(model="m", texts=("Which",)), HOST),
                       b"Which"),
        "images, with detail": media(WireImage(data=b"i")),
        "audio": media(WireAudio(data=_SOUND)),
        "video": media(WireVideo(data=b"v")),
        "PDF": media(WireDocument(data=b"d")),
        "usage by modality": YES if counted.usage.input_by_modality else NO,
    }  # fmt: skip


def _audio() -> dict[str, str]:
    usage = {"type": "tokens", "input_tokens": 9, "input_token_details": {"text_tokens": 4, "audio_tokens": 5}}
    heard = transcription.decode_reply(json.dumps({"text": "hello", "usage": usage}).encode(), "h:m")
    heard_call = TranscriptionCall(model="m", data=b"RIFF?")
    return {
        "text": _holds(lambda: speech.encode_request(SpeechCall(model="m", text="Which"), HOST), b"Which"),
        "audio": _holds(lambda: transcription.encode_request(heard_call, HOST), b"RIFF?"),
        "usage by modality": YES if heard.usage.input_by_modality else NO,
    }


def _images() -> dict[str, str]:
    def asked(host: Host = HOST, **more: Any) -> Callable[[], EncodedRequest]:
        return lambda: openai_media_images.encode_request(ImageCall(model="m", prompt="a crane", **more), host)

    reply = {"data": [{"b64_json": "iVBORw=="}], "usage": {"input_tokens": 9, "input_tokens_details": _PARTED}}
    made = openai_media_images.decode_reply(json.dumps(reply).encode(), "h:m")
    knows = Host(id="h", quirks=("image_seed",))
    seed = _holds(asked(seed=7), b"seed")
    try:
        openai_media_images.decode_reply(b'{"error":{"message":"no","code":"moderation_blocked"}}', "h:m")
        refusal = NO
    except errors.ContentRefused:
        refusal = YES
    return {
        "text": _holds(asked(), b"a crane"),
        # An edit takes images, and no word for how closely they are looked at.
        "images, with detail": PLAIN if _holds(asked(images=(WireImage(data=b"i?"),)), b"i?") == YES else NO,
        "seed": seed if seed == YES else QUIRK if _holds(asked(knows, seed=7), b'"seed":7') == YES else NO,
        "usage by modality": YES if made.usage.input_by_modality else NO,
        "a refusal as an end": refusal,
    }


# ---- the table -----------------------------------------------------------------------------------

_BACK = "test_a_turn_with_thoughts_refusal_and_calls_goes_back_with_all_of_its_words"
_REQUEST, _REFUSES = "test_every_protocol_request.py", "test_every_protocol_says_or_refuses.py"
# Every feature, and the file and the test in it that hold it to more than one example.
TESTED: Mapping[str, tuple[str, str]] = {
    "text": (_REQUEST, "test_decoding_gives_back_the_normalised_call"),
    "images, with detail": (_REQUEST, "test_decoding_gives_back_the_normalised_call"),
    "audio": (_REQUEST, "test_media_are_segments_of_their_own_or_are_refused_by_name"),
    "video": (_REQUEST, "test_media_are_segments_of_their_own_or_are_refused_by_name"),
    "PDF": (_REQUEST, "test_media_are_segments_of_their_own_or_are_refused_by_name"),
    "system": (_REQUEST, "test_decoding_gives_back_the_normalised_call"),
    "several turns": (_REQUEST, "test_decoding_gives_back_the_normalised_call"),
    "definitions of tools": (_REFUSES, "test_a_wish_is_said_or_refused"),
    "calls of tools": (_REFUSES, _BACK),
    "results of tools": ("test_media_in_results.py", "test_every_wire_sends_it_on_with_no_message_between_the_results"),
    "tools side by side": (_REFUSES, _BACK),
    "one tool at a time": (_REFUSES, "test_a_wish_is_said_or_refused"),
    "a schema is forced": (_REFUSES, "test_a_wish_is_said_or_refused"),
    "reasoning kept as it came": (_REFUSES, _BACK),
    "stop": (_REFUSES, "test_a_wish_is_said_or_refused"),
    "seed": (_REFUSES, "test_a_wish_is_said_or_refused"),
    "log-probabilities": (_REFUSES, "test_a_wish_is_said_or_refused"),
    "usage by modality": ("openai_chat/test_reply.py", "test_usage_by_modality_is_read_and_nonsense_left_out"),
    "a refusal as an end": ("test_every_protocol_server.py", "test_a_refusal_is_told_in_its_own_words"),
}  # fmt: skip


def columns() -> dict[str, dict[str, str]]:
    """What every wire answers, by the heading of its column."""
    chats = {CHATS[wire.name]: _chat_column(wire) for wire in WIRES}
    return {**chats, "embeddings": _embeddings(), "audio": _audio(), "images": _images()}


def table() -> str:
    """The table as docs/protocols.md has it."""
    found = columns()
    lines = [f"| | {' | '.join(COLUMNS)} | tested in |", f"|---{'|---' * len(COLUMNS)}|---|"]
    for feature, (file, _) in TESTED.items():
        cells = (found[column].get(feature, NONE) for column in COLUMNS)
        lines.append(f"| {feature} | {' | '.join(cells)} | `{file}` |")
    return "\n".join(lines) + "\n"
