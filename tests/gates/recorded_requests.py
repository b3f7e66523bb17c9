"""What the vendors' own clients send, recorded: each call's path, content type and body, byte by byte."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import Any, NamedTuple

import anthropic
import httpx
import httpx2
import ollama
import openai

from intermodal.testing.images import png

TOOL = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}


class Recorded(NamedTuple):
    path: str
    kind: str
    body: bytes


def recorded() -> list[Recorded]:
    """One of everything that has a body."""
    found: list[Recorded] = []

    def keep(request: Any) -> Any:
        found.append(Recorded(request.url.path, request.headers.get("content-type", ""), request.read()))
        return of.Response(500)

    of: Any
    for of, calls in ((httpx, _openai), (httpx2, _anthropic), (httpx, _ollama)):
        transport = of.MockTransport(keep)
        with of.Client(transport=transport) as http:
            for call in calls(http, transport):
                with suppress(openai.OpenAIError, anthropic.AnthropicError, ollama.ResponseError):
                    call()
    return found


def _openai(http: Any, _: Any) -> list[Callable[[], Any]]:
    client: Any = openai.OpenAI(base_url="http://gateway/v1", api_key="none", http_client=http, max_retries=0)
    picture = "data:image/png;base64," + base64.b64encode(png("a fake")).decode()
    sound = base64.b64encode(b"RIFF$\0\0\0WAVEfmt ").decode()
    model, chat = "cloud/strong", client.chat.completions
    turns: list[Any] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [
            {"type": "text", "text": "Wie wird das Wetter in 東京?"},
            {"type": "image_url", "image_url": {"url": picture, "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQK"}},
        ]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Tokyo"}'}}
        ]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]  # fmt: skip
    tools: list[Any] = [{"type": "function", "function": {"name": "weather", "description": "it", "parameters": TOOL}}]
    schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": TOOL, "strict": True}}
    return [
        lambda: chat.create(model=model, messages=turns, tools=tools, tool_choice="auto", temperature=0.5, seed=7),
        lambda: chat.create(
            model=model, messages=[*turns[:1], {"role": "user", "content": "hi"}], stream=True, stop=["end"],
            stream_options={"include_usage": True}, max_completion_tokens=20, response_format=schema,
            extra_body={"intermodal": {"max_cost": 0.01, "keep": ["layout"]}},
        ),
        lambda: client.responses.create(
            model=model, instructions="Be brief.", stream=True, max_output_tokens=30,
            input=[{"role": "user", "content": [{"type": "input_text", "text": "hi"},
                                                {"type": "input_image", "image_url": picture, "detail": "auto"}]}],
            text={"format": {"type": "json_schema", "name": "a", "schema": TOOL}},
        ),
        lambda: client.embeddings.create(model=model, input=["one", "two"], encoding_format="base64"),
        lambda: client.audio.speech.create(model=model, voice="alloy", input="Hello.", response_format="wav"),
        lambda: client.images.generate(model=model, prompt="a fox", n=1, size="1024x1024"),
        lambda: client.audio.transcriptions.create(
            model=model, file=("call.wav", BytesIO(b"RIFF$\0\0\0WAVEfmt "), "audio/wav"), language="en",
            response_format="verbose_json",
        ),
        lambda: client.post("/explain", cast_to=object, body={"model": model, "messages": turns}),
    ]  # fmt: skip


def _anthropic(http: Any, _: Any) -> list[Callable[[], Any]]:
    client: Any = anthropic.Anthropic(base_url="http://gateway", api_key="none", http_client=http, max_retries=0)
    turns: list[Any] = [
        {"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
            {"type": "text", "text": "What is it?"},
        ]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}},
        ]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "sun"}]},
    ]  # fmt: skip
    tools: list[Any] = [{"name": "weather", "description": "it", "input_schema": TOOL}]
    return [
        lambda: client.messages.create(
            model="cloud/strong", max_tokens=50, system="Be brief.", messages=turns, tools=tools, stop_sequences=["x"],
            stream=True,
        ),
        lambda: client.messages.count_tokens(model="cloud/strong", messages=turns, tools=tools),
    ]  # fmt: skip


def _ollama(_: Any, transport: Any) -> list[Callable[[], Any]]:
    client: Any = ollama.Client(host="http://gateway", transport=transport)
    return [
        lambda: client.show("cloud/strong"),
        lambda: client.chat(
            model="cloud/strong", stream=False, options={"temperature": 0.1, "num_predict": 20}, format=TOOL,
            messages=[{"role": "user", "content": "hi", "images": [b"\x89PNG\r\n\x1a\n"]}],
            tools=[{"type": "function", "function": {"name": "weather", "description": "it", "parameters": TOOL}}],
        ),
    ]  # fmt: skip
