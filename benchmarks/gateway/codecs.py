"""What reading costs on the direct path: a client's chat and a host's reply, in each of the four APIs.

    python benchmarks/gateway/codecs.py
    python benchmarks/gateway/codecs.py --rounds 30 --src OTHER/src      two builds with the same modules, in turns

Prints microseconds of processor time (the least of all rounds), which a busy machine changes little.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

CALLS = 300
QUESTION = "What does the caller want, and does the invoice agree with it?"
SYSTEM = "You are a careful assistant. " * 20
TURNS = [
    {"role": "user", "content": QUESTION}, {"role": "assistant", "content": "Yes, it does."},
    {"role": "user", "content": f"{QUESTION} Why?"},
]  # fmt: skip
CHATS: dict[str, dict[str, Any]] = {
    "openai_chat": {"messages": [{"role": "system", "content": SYSTEM}, *TURNS], "max_tokens": 100},
    "anthropic": {"system": SYSTEM, "messages": TURNS, "max_tokens": 100},
    "ollama": {"messages": [{"role": "system", "content": SYSTEM}, *TURNS]},
    "openai_responses": {"instructions": SYSTEM, "input": TURNS, "max_output_tokens": 100},
}
REPLIES: dict[str, dict[str, Any]] = {
    "openai_chat": {
        "id": "c", "object": "chat.completion", "created": 1, "model": "h",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": QUESTION}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
    },
    "anthropic": {
        "id": "m", "type": "message", "role": "assistant", "model": "h", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": QUESTION}], "usage": {"input_tokens": 10, "output_tokens": 20},
    },
    "ollama": {
        "model": "h", "created_at": "2026-11-30T00:00:00Z", "message": {"role": "assistant", "content": QUESTION},
        "done": True, "done_reason": "stop", "prompt_eval_count": 10, "eval_count": 20,
    },
    "openai_responses": {
        "id": "resp_0123456789012345", "object": "response", "created_at": 1, "status": "completed", "model": "h",
        "output": [{
            "type": "message", "id": "msg_01234567890123456789", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": QUESTION, "annotations": [], "logprobs": []}],
        }],
        "usage": {
            "input_tokens": 10, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 30,
        },
    },
}  # fmt: skip


class Sizes:
    """Sizes of texts, each measured once."""

    def __init__(self, sizes: Callable[..., Any]) -> None:
        self._make, self._known = sizes, dict[str, Any]()

    def sizes_of(self, text: str) -> Any:
        if text not in self._known:
            self._known[text] = self._make((len(text),), len(text), None, len(text))
        return self._known[text]

    def question(self, text: str, *, pictured: bool) -> tuple[object, ...]:
        return (len(text) > 80, pictured)


def chat_of(read: Callable[..., Any], body_of: Callable[[bytes], Any], body: bytes, measure: Sizes) -> Any:
    return read(body_of(body), "owner", measure)


def steps() -> dict[str, Callable[[], Any]]:
    """Return what is measured."""
    parsed_chat = import_module("intermodal.protocols.parsed_chat")
    extraction = import_module("intermodal.protocols.framing.inline_media")
    measure = Sizes(parsed_chat.TextSizes)
    found: dict[str, Callable[[], Any]] = {}
    for name, chat in CHATS.items():
        passthrough = import_module(f"intermodal.protocols.{name}.passthrough")
        body = json.dumps({"model": "m", "stream": True, **chat}).encode()
        reply = json.dumps(REPLIES[name]).encode()
        found[f"{name}: a chat of four messages"] = partial(
            chat_of, passthrough.chat_of, extraction.ExtractedBody, body, measure
        )
        found[f"{name}: a whole reply"] = partial(passthrough.read, reply)
    for name, step in found.items():
        if step() is None:
            raise SystemExit(f"{name} is not read")
    return found


def measured() -> dict[str, float]:
    """Return microseconds of processor time of each step."""
    found: dict[str, float] = {}
    for name, step in steps().items():
        best = float("inf")
        for _ in range(5):
            start = time.thread_time()
            for _ in range(CALLS):
                step()
            best = min(best, (time.thread_time() - start) / CALLS * 1e6)
        found[name] = best
    return found


def of_build(source: str) -> dict[str, float]:
    """Return the same, of the build in a folder."""
    command = [sys.executable, __file__, "--once"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": source}, capture_output=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--src", default="", help="another build")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.once:
        print(json.dumps(measured()))
        return
    ours = os.path.join(os.path.dirname(__file__), "..", "..", "src")
    rounds = [(of_build(ours), of_build(args.src) if args.src else {}) for _ in range(args.rounds)]
    for name in rounds[0][0]:
        here = min(found[name] for found, _ in rounds)
        line = f"{name:42}{here:8.2f} us"
        if args.src:
            there = min(found[name] for _, found in rounds)
            line += f"{there:10.2f} us there{here / there:8.2f}x"
        print(line)


if __name__ == "__main__":
    main()
