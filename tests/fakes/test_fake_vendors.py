"""The fake vendors, asked by the vendors' own published clients: what they say is what those clients understand."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest

from intermodal.testing import FakeVendor
from intermodal.testing.fake_vendor import Name

PNG = b"\x89PNG not really"
CALLS: tuple[tuple[str, Mapping[str, Any]], ...] = (("weather", {"city": "Zürich"}), ("clock", {}))


class Heard(NamedTuple):
    """What a client understood."""

    text: str
    thought: str
    calls: list[tuple[str, dict[str, Any]]]
    tokens: tuple[int, int]


def by_anthropic(vendor: FakeVendor, stream: bool) -> Heard:
    from anthropic import Anthropic

    with Anthropic(base_url=vendor.address, api_key=vendor.key, max_retries=0) as client:
        image = {"type": "base64", "media_type": "image/png", "data": b64encode(PNG).decode()}
        content = [{"type": "image", "source": image}, {"type": "text", "text": "what is it"}]
        given: dict[str, Any] = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": content}]}
        if stream:
            with client.messages.stream(**given) as events:
                message = events.get_final_message()
        else:
            message = client.messages.create(**given)
    blocks: list[Any] = list(message.content)
    return Heard(
        "".join(block.text for block in blocks if block.type == "text"),
        "".join(block.thinking for block in blocks if block.type == "thinking"),
        [(block.name, block.input) for block in blocks if block.type == "tool_use"],
        (message.usage.input_tokens, message.usage.output_tokens),
    )


def by_google(vendor: FakeVendor, stream: bool) -> Heard:
    from google import genai
    from google.genai import types

    client = genai.Client(api_key=vendor.key, http_options=types.HttpOptions(base_url=vendor.address))
    contents = [types.Part.from_bytes(data=PNG, mime_type="image/png"), types.Part.from_text(text="what is it")]
    try:
        if stream:
            replies = list(client.models.generate_content_stream(model="m", contents=contents))  # type: ignore[arg-type]
        else:
            replies = [client.models.generate_content(model="m", contents=contents)]  # type: ignore[arg-type]
    finally:
        client.close()
    parts = [part for reply in replies for part in reply.candidates[0].content.parts]  # type: ignore[index,union-attr]
    usage: Any = replies[-1].usage_metadata
    return Heard(
        "".join(part.text or "" for part in parts if not part.thought),
        "".join(part.text or "" for part in parts if part.thought),
        [(part.function_call.name or "", part.function_call.args or {}) for part in parts if part.function_call],
        (usage.prompt_token_count, usage.candidates_token_count),
    )


def by_ollama(vendor: FakeVendor, stream: bool) -> Heard:
    from ollama import Client

    client = Client(host=vendor.address, headers={"authorization": f"Bearer {vendor.key}"})
    messages = [{"role": "user", "content": "what is it", "images": [PNG]}]
    try:
        replies: list[Any] = (
            list(client.chat(model="m", messages=messages, stream=True))
            if stream
            else [client.chat(model="m", messages=messages)]
        )
    finally:
        client._client.close()
    calls = [call for reply in replies for call in reply.message.tool_calls or ()]
    return Heard(
        "".join(reply.message.content or "" for reply in replies),
        "".join(reply.message.thinking or "" for reply in replies),
        [(call.function.name, dict(call.function.arguments)) for call in calls],
        (replies[-1].prompt_eval_count, replies[-1].eval_count),
    )


def by_openai(vendor: FakeVendor, stream: bool) -> Heard:
    from openai import OpenAI

    with OpenAI(base_url=vendor.base_url, api_key=vendor.key, max_retries=0) as client:
        image = {
            "type": "input_image",
            "detail": "auto",
            "image_url": f"data:image/png;base64,{b64encode(PNG).decode()}",
        }
        content = [image, {"type": "input_text", "text": "what is it"}]
        given: dict[str, Any] = {"model": "m", "input": [{"role": "user", "content": content}]}
        if stream:
            with client.responses.stream(**given) as events:
                reply: Any = events.get_final_response()
        else:
            reply = client.responses.create(**given)
    return Heard(
        reply.output_text,
        "".join(part.text for item in reply.output if item.type == "reasoning" for part in item.summary),
        [(item.name, json.loads(item.arguments)) for item in reply.output if item.type == "function_call"],
        (reply.usage.input_tokens, reply.usage.output_tokens),
    )


CLIENTS: dict[Name, Callable[[FakeVendor, bool], Heard]] = {
    "anthropic": by_anthropic,
    "gemini": by_google,
    "ollama": by_ollama,
    "openai-responses": by_openai,
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", CLIENTS)
def test_the_vendor_s_own_client_understands_words_thoughts_calls_and_counts(name: Name, stream: bool) -> None:
    with FakeVendor(name, "A small crane.", thought="Hm, a bird.", calls=CALLS, key="k") as vendor:
        heard = CLIENTS[name](vendor, stream)
    assert heard == Heard("A small crane.", "Hm, a bird.", [(name, dict(args)) for name, args in CALLS], (88, 3))
    (attempt,) = vendor.attempts
    assert attempt.images == (PNG,)
    assert attempt.text == "what is it"
    assert attempt.key
    assert not {"k", "Bearer k"} & set(attempt.headers.values())


@pytest.mark.parametrize("name", CLIENTS)
def test_without_its_key_it_answers_nobody(name: Name) -> None:
    with FakeVendor(name, key="right") as vendor:
        wrong = FakeVendor(name, key="wrong")
        wrong._server.server_close()
        wrong._server = vendor._server
        with pytest.raises(Exception, match=r"(?i)valid"):
            CLIENTS[name](wrong, False)
    assert not vendor.attempts[0].paid
