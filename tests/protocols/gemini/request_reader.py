"""Reads a generateContent request back, for the tests of its codec: the gateway does not serve this protocol."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote

from intermodal.core.content import Opaque, Reasoning, ToolCall, ToolResult
from intermodal.core.request import JsonOutput, Sampling, TextOutput, Tool, ToolChoice
from intermodal.protocols.calls import ChatCall, WireMessage, WirePart, WireText
from intermodal.protocols.conversation import merge_neighbours
from intermodal.protocols.framing.inline_media import decode_base64
from intermodal.protocols.framing.json_body import dumps
from intermodal.protocols.gemini.thought_signatures import FIELD, OWN, signature_block
from intermodal.protocols.request_fields import read_settings
from intermodal.protocols.request_validation import media_part, read_request, require_list, require_text

_PATH = re.compile(r"/models/(?P<model>[^:]*):(?P<verb>streamGenerateContent|generateContent)(\?alt=sse)?$")
_CHOICES: Mapping[str, ToolChoice] = {"AUTO": "auto", "NONE": "none", "ANY": "required"}


def decode_request(body: bytes, path: str) -> ChatCall:
    """Return the call in a body and its path. Raises ValueError if they contain none."""
    found = _PATH.search(path)
    if found is None:
        raise ValueError("not a path of generateContent")
    read = partial(_chat_call_of, model=unquote(found["model"]), stream=found["verb"].startswith("stream"))
    return read_request(body, "a generateContent request", read)


def _chat_call_of(tree: dict[str, Any], *, model: str, stream: bool) -> ChatCall:
    messages: list[WireMessage] = []
    instruction = tree.get("systemInstruction") or {"parts": ()}
    system = "\n\n".join(require_text(part["text"], "a text") for part in instruction["parts"])
    if system:
        messages.append(WireMessage(role="system", parts=(WireText(text=system),)))
    for content in require_list(tree["contents"], "contents"):
        messages += _read_content(content)
    config = tree.get("generationConfig") or {}
    schema = config.get("responseJsonSchema")
    calling = (tree.get("toolConfig") or {}).get("functionCallingConfig") or {"mode": "AUTO"}
    return ChatCall(
        model=model,
        messages=merge_neighbours(messages),
        output=TextOutput() if schema is None else JsonOutput(schema=schema),
        sampling=Sampling(
            max_tokens=config.get("maxOutputTokens"),
            temperature=config.get("temperature"),
            top_p=config.get("topP"),
            stop=tuple(config.get("stopSequences") or ()),
            seed=config.get("seed"),
        ),
        settings=read_settings(tree, "gemini"),
        stream=stream,
        candidates=config.get("logprobs") or 0 if config.get("responseLogprobs") else 0,
        tools=tuple(
            Tool(
                name=tool["name"],
                description=tool.get("description") or "",
                schema=tool.get("parametersJsonSchema", {"type": "object", "properties": {}}),
            )
            for tools in tree.get("tools") or ()
            for tool in tools["functionDeclarations"]
        ),
        tool_choice=_CHOICES[calling["mode"]],
    )


def _read_content(content: Any) -> Iterator[WireMessage]:
    parts = require_list(content["parts"], "parts")
    if content.get("role") == "model":
        yield WireMessage(
            role="assistant", parts=tuple(part for content_part in parts for part in _read_user_part(content_part))
        )
        return
    results = tuple(_read_result(part["functionResponse"]) for part in parts if "functionResponse" in part)
    # Media of a result go into the user's next message.
    result_media = [
        part for content_part in parts for part in (content_part.get("functionResponse") or {}).get("parts") or ()
    ]
    user_parts = tuple(_read_model_part(part) for part in (*result_media, *parts) if "functionResponse" not in part)
    if results:
        yield WireMessage(role="tool", parts=results)
    if user_parts:
        yield WireMessage(role="user", parts=user_parts)


def _read_result(result: Any) -> ToolResult:
    response = result["response"]
    text = response.get("error", response.get("output"))
    text = text if isinstance(text, str) else dumps(response).decode()
    return ToolResult(id=result["id"], text=text, is_error="error" in response)


def _read_model_part(part: Any) -> WirePart:
    if "text" in part:
        return WireText(text=require_text(part["text"], "a text"))
    data = part["inlineData"]
    return media_part(data["mimeType"].replace("audio/mp3", "audio/mpeg"), decode_base64(data["data"]))


def _read_user_part(part: Any) -> Iterator[WirePart]:
    signature = part.get(FIELD) or ""
    if part.get("thought"):
        yield Reasoning(text=part["text"], signature=signature)
        return
    if signature:
        yield signature_block(signature)
    if "functionCall" in part:
        call = part["functionCall"]
        yield ToolCall(id=call["id"], name=call["name"], arguments=dumps(call.get("args") or {}).decode())
    elif "text" in part:
        if part["text"]:
            yield WireText(text=part["text"])
    else:
        yield Opaque(wire=OWN, body=dumps(part).decode())
