"""How clients and hosts of a wire speak in ``both_paths.py``: what is asked, and what a client makes of the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from tests.unit.gateway.gateway_server import sse

QUESTION = "What is the capital of France?"


@dataclass(frozen=True)
class WireProtocol:
    """A protocol that client and host both speak. ``versioned``: a host's address ends in the version."""

    protocol: str
    path: str
    asked: Mapping[str, Any]
    answer: Callable[[httpx.Response], Any]
    versioned: bool = True


def counted_apart(usage: Mapping[str, Any], read: str, made: str) -> dict[str, int]:
    """Of what was read and of what was made: what came from a cache, what went into it, what was thought."""
    found = {name: (usage.get(read) or {}).get(name) or 0 for name in ("cached_tokens", "cache_write_tokens")}
    return {**found, "reasoning_tokens": (usage.get(made) or {}).get("reasoning_tokens") or 0}


def _about(told: Mapping[str, Any]) -> Any:
    return {name: value for name, value in told.items() if name not in ("plan", "seconds")}


# ---- OpenAI's responses --------------------------------------------------------------------------------


def _failed(error: Mapping[str, Any] | None) -> Any:
    return None if error is None else {**error, "intermodal": _about(error["intermodal"])}


def _response(found: httpx.Response) -> Any:
    if not found.headers.get("content-type", "").startswith("text/event-stream"):
        tree = found.json()
        return {"error": _failed(tree["error"])} if isinstance(tree.get("error"), dict) else _made(tree)
    stream = sse(found.text)
    kinds = [event["type"] for event in stream.events]
    numbers = [event["sequence_number"] for event in stream.events if "sequence_number" in event]
    assert numbers == sorted(set(numbers)), "clients know events by their numbers"
    assert kinds[:2] == ["response.created", "response.in_progress"]
    last = stream.events[-1]["response"]
    told = "".join(event["delta"] for event in stream.events if event["type"] == "response.output_text.delta")
    made = {"told": told, "end": kinds[-1], "comments": stream.comments, "error": _failed(last["error"])}
    if last["error"] is not None:
        return made
    done = [event["item"] for event in stream.events if event["type"] == "response.output_item.done"]
    added = [event["output_index"] for event in stream.events if event["type"] == "response.output_item.added"]
    assert added == list(range(len(done))) and [item["id"] for item in done] == [item["id"] for item in last["output"]]
    return {
        **made, "done": list(map(_item, done)), "made": _made(last),
        "models": {event["response"]["model"] for event in stream.events if "response" in event},
    }  # fmt: skip


def _made(tree: Mapping[str, Any]) -> Any:
    usage = tree["usage"]
    counts = {name: usage[name] for name in ("input_tokens", "output_tokens", "total_tokens")}
    return {
        "model": tree["model"], "object": tree["object"], "status": tree["status"], "error": _failed(tree["error"]),
        "incomplete": tree["incomplete_details"], "output": list(map(_item, tree["output"])),
        "usage": {
            **counts, **counted_apart(usage, "input_tokens_details", "output_tokens_details"),
            "intermodal": _about(usage["intermodal"]),
        },
    }  # fmt: skip


def _item(item: Mapping[str, Any]) -> Any:
    if item["type"] == "message":
        parts = [{name: part[name] for name in part if name in ("type", "text", "refusal")} for part in item["content"]]
        return {"role": item["role"], "content": parts, "status": item["status"]}
    if item["type"] == "function_call":
        return {name: item[name] for name in ("call_id", "name", "arguments")}
    thought = [part["text"] for part in (*item.get("summary", ()), *(item.get("content") or ()))]
    return {"type": item["type"], "encrypted": item.get("encrypted_content"), "thought": thought}


# ---- Ollama's chat -------------------------------------------------------------------------------------


def _ollama(found: httpx.Response) -> Any:
    if not found.headers.get("content-type", "").startswith("application/x-ndjson"):
        tree = found.json()
        return _failed(tree) if "error" in tree else {"said": _numbered(tree["message"]), **_end(tree)}
    lines = list(map(json.loads, found.text.splitlines()))
    said: dict[str, Any] = {"content": "", "thinking": "", "tool_calls": []}
    error = next((_failed(line) for line in lines if "error" in line), None)
    lines = [line for line in lines if "error" not in line]
    for line in lines:
        for name, none in (("content", ""), ("thinking", ""), ("tool_calls", [])):
            said[name] += line["message"].get(name) or none
    ended = bool(lines) and lines[-1]["done"]
    models = {line["model"] for line in lines}
    return {"said": _numbered(said), "error": error, "models": models, **(_end(lines[-1]) if ended else {"end": None})}


def _numbered(said: dict[str, Any]) -> dict[str, Any]:
    """Ids that were made for calls as their numbers."""
    for number, call in enumerate(said.get("tool_calls") or ()):
        call["id"] = re.sub("call_[0-9a-f]{24}", f"call_{number}", call["id"])
    return said


def _end(tree: Mapping[str, Any]) -> dict[str, Any]:
    names = ("model", "done", "done_reason", "prompt_eval_count", "eval_count")
    return {"end": {name: tree.get(name) for name in names}, "intermodal": _about(tree["intermodal"])}


# ---- Anthropic's messages ------------------------------------------------------------------------------


def _message(found: httpx.Response) -> Any:
    if not found.headers.get("content-type", "").startswith("text/event-stream"):
        tree = found.json()
        if tree["type"] == "error":
            return {"error": _failed(tree["error"])}
        said = "".join(map(_words, tree["content"]))
        return {"model": tree["model"], "said": said, "why": _why(tree), "usage": _counted(tree["usage"])}
    stream = sse(found.text)
    kinds = [event["type"] for event in stream.events]
    ends = [event for event in stream.events if event["type"] == "message_delta"]
    told = [_words(event["delta"]) for event in stream.events if event["type"] == "content_block_delta"]
    error = next((_failed(event["error"]) for event in stream.events if event["type"] == "error"), None)
    begun = [event["message"] for event in stream.events if event["type"] == "message_start"]
    first = begun[0]["usage"] if begun else {}
    return {
        "models": {message["model"] for message in begun},
        "told": "".join(told), "why": [_why(event["delta"]) for event in ends], "error": error,
        "usage": [_counted({**first, **event["usage"]}) for event in ends], "ended": kinds[-1],
    }  # fmt: skip


def _words(block: Mapping[str, Any]) -> str:
    """The words of a block or of a delta, whatever they are."""
    names = ("text", "thinking", "signature", "partial_json")
    return next((block[name] for name in names if block.get(name)), "") or json.dumps(block.get("input", ""))


def _why(end: Mapping[str, Any]) -> Any:
    return end["stop_reason"], end["stop_sequence"], (end.get("stop_details") or {}).get("explanation")


def _counted(usage: Mapping[str, Any]) -> Any:
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return {**{name: usage.get(name) or 0 for name in names}, "intermodal": _about(usage["intermodal"])}


RESPONSES = WireProtocol("openai-responses", "/v1/responses", {"input": QUESTION, "max_output_tokens": 50}, _response)
LINES = WireProtocol(
    "ollama", "/api/chat", {
        "messages": [{"role": "user", "content": QUESTION}], "options": {"num_predict": 50}, "stream": False,
    }, _ollama, versioned=False,
)  # fmt: skip
MESSAGES = WireProtocol(
    "anthropic", "/v1/messages", {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 50}, _message
)
