"""Images and papers that a tool gave back: over every wire they reach the model, after the results they came with."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from tests.protocols.calls import read_back

from intermodal.catalog.types import Host
from intermodal.core.content import ToolCall, ToolResult
from intermodal.protocols.anthropic import codec as anthropic_codec
from intermodal.protocols.calls import ChatCall, WireDocument, WireImage, WireMessage, WireText
from intermodal.protocols.gemini import codec as gemini_codec
from intermodal.protocols.ollama import codec as ollama_codec
from intermodal.protocols.openai_chat import codec as openai_chat_codec
from intermodal.protocols.openai_responses import codec as openai_responses_codec

HOST = Host(id="h")
PNG, PDF = b"\x89PNG\r\n\x1a\n....", b"%PDF-1.7 ...."


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# Two tools were called at once, and each gave something to look at, as each vendor's reference says it.
ANTHROPIC = {"model": "m", "max_tokens": 9, "messages": [
    {"role": "user", "content": "?"},
    {"role": "assistant", "content": [
        {"type": "tool_use", "id": "a", "name": "shot", "input": {}},
        {"type": "tool_use", "id": "b", "name": "page", "input": {}}]},
    {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "a", "content": [
            {"type": "text", "text": "taken"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": b64(PNG)}}]},
        {"type": "tool_result", "tool_use_id": "b", "content": [
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": b64(PDF)}}]},
        {"type": "text", "text": "well?"}]},
]}  # fmt: skip
RESPONSES = {"model": "m", "input": [
    {"role": "user", "content": "?"},
    {"type": "function_call", "call_id": "a", "name": "shot", "arguments": "{}"},
    {"type": "function_call", "call_id": "b", "name": "page", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "a", "output": [
        {"type": "input_text", "text": "taken"},
        {"type": "input_image", "image_url": "data:image/png;base64," + b64(PNG)}]},
    {"type": "function_call_output", "call_id": "b", "output": [
        {"type": "input_file", "filename": "", "file_data": "data:application/pdf;base64," + b64(PDF)}]},
    {"role": "user", "content": "well?"},
]}  # fmt: skip
GEMINI = {"contents": [
    {"role": "user", "parts": [{"text": "?"}]},
    {"role": "model", "parts": [
        {"functionCall": {"id": "a", "name": "shot", "args": {}}},
        {"functionCall": {"id": "b", "name": "page", "args": {}}}]},
    {"role": "user", "parts": [
        {"functionResponse": {"id": "a", "name": "shot", "response": {"output": "taken"},
                              "parts": [{"inlineData": {"mimeType": "image/png", "data": b64(PNG)}}]}},
        {"functionResponse": {"id": "b", "name": "page", "response": {"output": ""},
                              "parts": [{"inlineData": {"mimeType": "application/pdf", "data": b64(PDF)}}]}},
        {"text": "well?"}]},
]}  # fmt: skip
ASKED = ChatCall(model="m", messages=(
    WireMessage(role="user", parts=(WireText(text="?"),)),
    WireMessage(role="assistant", parts=(ToolCall(id="a", name="shot", arguments="{}"),
                                         ToolCall(id="b", name="page", arguments="{}"))),
    WireMessage(role="tool", parts=(ToolResult(id="a", text="taken"), ToolResult(id="b", text=""))),
    WireMessage(role="user", parts=(WireImage(data=PNG), WireDocument(data=PDF), WireText(text="well?"))),
))  # fmt: skip
ASKED_BY: dict[str, tuple[Any, dict[str, Any], str]] = {
    "anthropic": (anthropic_codec, ANTHROPIC, ""),
    "openai_responses": (openai_responses_codec, RESPONSES, ""),
    "gemini": (gemini_codec, GEMINI, "/models/m:generateContent"),
}


@pytest.mark.parametrize("name", ASKED_BY)
def test_what_came_with_results_is_what_the_user_shows_next(name: str) -> None:
    codec, tree, path = ASKED_BY[name]
    assert read_back(codec, json.dumps(tree).encode(), path).messages == ASKED.messages


@pytest.mark.parametrize(
    "wire", [anthropic_codec, gemini_codec, ollama_codec, openai_chat_codec, openai_responses_codec]
)
def test_every_wire_sends_it_on_with_no_message_between_the_results(wire: Any) -> None:
    """A server refuses a conversation in which something stands between a call and its results."""
    call = ASKED
    if wire is ollama_codec:  # it takes no paper
        last = WireMessage(role="user", parts=(WireImage(data=PNG), WireText(text="well?")))
        call = ChatCall(model="m", messages=(*ASKED.messages[:3], last))
    encoded = wire.encode_request(call, HOST)
    body = b"".join(encoded.segments)
    back = read_back(wire, body, encoded.path)
    roles = [message.role for message in back.messages]
    assert "tool" in roles and roles[-1] == "user"
    assert roles.index("tool") - 1 == roles.index("assistant")
    assert "user" not in roles[roles.index("tool") : len(roles) - 1]
    shown = [part for part in back.messages[-1].parts if isinstance(part, (WireImage, WireDocument))]
    assert [part.data for part in shown] == ([PNG] if wire is ollama_codec else [PNG, PDF])
    assert b64(PNG).encode() in body


def test_the_vendors_types_know_these_conversations() -> None:
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
    from google.genai import types
    from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
    from tests.protocols.published import strictly

    strictly(MessageCreateParamsNonStreaming).validate_python(ANTHROPIC)
    strictly(ResponseCreateParamsNonStreaming).validate_python(RESPONSES)
    for content in GEMINI["contents"]:
        types.Content.model_validate(content)
