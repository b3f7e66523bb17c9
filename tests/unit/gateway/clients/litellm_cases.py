"""LiteLLM as a client, as its documentation uses it. A program of its own: importing it takes seconds, and it leaves
threads and connections behind. ``player.py`` says how it is spoken to."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

HELLO = [{"role": "user", "content": "hello"}]
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "Weather of a place.",
                 "parameters": {"type": "object", "properties": {"place": {"type": "string"}}}},
}  # fmt: skip


def loopback_only(event: str, given: tuple[Any, ...]) -> None:
    """Sockets reach this machine only, and no other name is looked up, as in the tests themselves."""
    asked = given[0] if event == "socket.getaddrinfo" else None
    if event == "socket.connect" and isinstance(given[1], tuple):
        asked = given[1][0]
    if asked not in (None, "127.0.0.1", "::1", "localhost"):
        raise ConnectionError(f"LiteLLM asked for {asked}")


sys.addaudithook(loopback_only)
lines, sys.stdout = sys.stdout, sys.stderr  # it prints
import litellm  # noqa: E402

litellm.num_retries = 0


def completion(model: str, url: str, **more: Any) -> Any:
    more.setdefault("messages", HELLO)
    return litellm.completion(model=model, api_base=url, api_key="none", **more)


def text(model: str, url: str) -> Any:
    made = completion(model, url)
    [choice] = made.choices
    return {"text": choice.message.content, "finish": choice.finish_reason, "tokens": made.usage.completion_tokens}


def text_awaited(model: str, url: str) -> Any:
    """By its other HTTP client, a stream beside it."""

    async def both() -> list[str]:
        asked: dict[str, Any] = {"model": model, "api_base": url, "api_key": "none", "messages": HELLO}
        made, chunks = await asyncio.gather(litellm.acompletion(**asked), litellm.acompletion(**asked, stream=True))
        return [made.choices[0].message.content, "".join([c.choices[0].delta.content or "" async for c in chunks])]

    return asyncio.run(both())


def stream(model: str, url: str) -> Any:
    chunks = list(completion(model, url, stream=True, stream_options={"include_usage": True}))
    whole = litellm.stream_chunk_builder(chunks, messages=HELLO)
    pieces = [piece for chunk in chunks if chunk.choices and (piece := chunk.choices[0].delta.content)]
    return {"pieces": pieces, "text": whole.choices[0].message.content, "finish": whole.choices[0].finish_reason,
            "tokens": whole.usage.completion_tokens}  # fmt: skip


def tools(model: str, url: str, stream: bool) -> Any:
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Bonn?"}]
    made = completion(model, url, messages=messages, tools=[WEATHER], stream=stream)
    if stream:
        made = litellm.stream_chunk_builder(list(made), messages=messages)
    message = made.choices[0].message
    [call] = message.tool_calls
    messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    last = completion(model, url, messages=messages, tools=[WEATHER])
    return {"name": call.function.name, "arguments": json.loads(call.function.arguments),
            "finish": made.choices[0].finish_reason, "text": last.choices[0].message.content}  # fmt: skip


def media(model: str, url: str, parts: list[Any]) -> Any:
    content = [{"type": "text", "text": "What is this about?"}, *parts]
    return completion(model, url, messages=[{"role": "user", "content": content}]).choices[0].message.content


def parsed(model: str, url: str) -> Any:
    from pydantic import BaseModel

    class Place(BaseModel):
        city: str
        people: int

    made = completion(model, url, response_format=Place)
    return Place.model_validate_json(made.choices[0].message.content).model_dump()


def vectors(model: str, url: str, texts: list[str]) -> Any:
    made = litellm.embedding(model=model, api_base=url, api_key="none", input=texts)
    return {"vectors": [row["embedding"] for row in made.data], "tokens": made.usage.prompt_tokens}


def transcript(model: str, url: str, path: str) -> Any:
    with open(path, "rb") as file:
        return litellm.transcription(model=model, api_base=url, api_key="none", file=file).text


def speech(model: str, url: str) -> Any:
    made = litellm.speech(model=model, api_base=url, api_key="none", input="Hi.", voice="alloy", response_format="wav")
    return made.content[:4].decode()


def responses(model: str, url: str) -> Any:
    made = litellm.responses(model=model, api_base=url, api_key="none", input="hello")
    events = list(litellm.responses(model=model, api_base=url, api_key="none", input="hello", stream=True))
    return {"text": made.output_text, "last": str(events[-1].type.value)}


def error(model: str, url: str) -> Any:
    try:
        completion(model, url)
    except Exception as failed:
        return {"kind": type(failed).__name__, "status": getattr(failed, "status_code", None), "message": str(failed)}
    return None


EVERY: tuple[Callable[..., Any], ...] = (
    text, text_awaited, stream, tools, media, parsed, vectors, transcript, speech, responses, error,
)  # fmt: skip
CASES = {each.__name__: each for each in EVERY}

for line in sys.stdin:
    given = json.loads(line)
    try:
        told = {"made": CASES[given.pop("case")](**given)}
    except Exception:
        told = {"failed": traceback.format_exc()}
    print(json.dumps(told), file=lines, flush=True)
os._exit(0)  # what it has running in the background takes seconds to end
