"""OpenAI's responses API as a fake speaks it, from the published reference."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any

from intermodal.testing import images
from intermodal.testing.attempts import Attempt
from intermodal.testing.protocols import FakeAnswer, FakeProtocol, FakeRefusal, RequestContents, sse

ENCRYPTED = "Z0FBQUFBQmZha2U="  # what a fake thought


class Responses(FakeProtocol):
    def understand(self, attempt: Attempt, found: RequestContents) -> bool:
        if attempt.path != "/v1/responses":
            raise FakeRefusal(404, "not_found_error", "Invalid URL")
        tree = attempt.json
        attempt.model = tree["model"]
        given = tree["input"]
        for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
            self._item(item, found)
        return tree.get("stream") is True

    def _item(self, item: Mapping[str, Any], found: RequestContents) -> None:
        kind = item.get("type", "message")
        if kind == "function_call_output":
            found.texts.append(item["output"])
        elif kind == "reasoning":
            if item["encrypted_content"] != ENCRYPTED:
                raise FakeRefusal(400, "invalid_request_error", "The encrypted content could not be verified")
        elif kind == "message":
            content = item["content"]
            if isinstance(content, str):
                found.texts.append(content)
            else:
                for part in content:
                    self._part(part, found, item["role"])
        elif kind != "function_call":
            raise FakeRefusal(400, "invalid_request_error", f"Invalid value: '{kind}'")

    def _part(self, part: Mapping[str, Any], found: RequestContents, role: str) -> None:
        if part["type"] == ("output_text" if role == "assistant" else "input_text"):
            found.texts.append(part["text"])
        elif part["type"] in ("input_image", "input_file"):
            uri = part["image_url"] if part["type"] == "input_image" else part["file_data"]
            data = re.fullmatch(r"data:([a-z/]+);base64,(.*)", uri, re.DOTALL)
            if data is None:
                raise FakeRefusal(400, "invalid_request_error", "Invalid data URI")
            found.media(data[1], data[2])
        elif part["type"] == "input_audio":
            found.media("audio/wav", part["input_audio"]["data"])
        else:
            raise FakeRefusal(400, "invalid_request_error", f"Invalid value: '{part['type']}'")

    def limit(self, attempt: Attempt) -> int | None:
        found: int | None = attempt.json.get("max_output_tokens")
        return found

    def whole(self, attempt: Attempt, said: FakeAnswer) -> Any:
        for tool in attempt.json.get("tools") or ():
            if tool["type"] == "image_generation" and attempt.json.get("tool_choice") == {"type": tool["type"]}:
                return self._drawn(attempt, said, tool)
        return self._response(attempt, said, list(self._items(said)))

    def _drawn(self, attempt: Attempt, said: FakeAnswer, tool: Mapping[str, Any]) -> Any:
        """What the tool of that name draws; a fake draws PNG, whatever is wished."""
        if said.reason == "refusal":
            refusal = {"type": "refusal", "refusal": said.text}
            item = {"type": "message", "id": "msg_fake", "role": "assistant", "status": "completed"}
            return self._response(attempt, said, [{**item, "content": [refusal]}])
        picture = b64encode(images.png(attempt.text, tool.get("size", ""))).decode()
        call = {"type": "image_generation_call", "id": "ig_fake", "status": "completed", "result": picture,
                "output_format": "png", "revised_prompt": attempt.text}  # fmt: skip
        words = len(attempt.text.split())
        used = {"input_tokens": words, "input_tokens_details": {"text_tokens": words, "image_tokens": 0},
                "output_tokens": images.TOKENS, "total_tokens": words + images.TOKENS}  # fmt: skip
        reply = self._response(attempt, said, [call])
        return {**reply, "tool_usage": {"image_gen": used, "web_search": {"num_requests": 0}}}

    def stream(self, attempt: Attempt, said: FakeAnswer) -> Iterator[bytes]:
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": self._response(attempt, said, [], "in_progress")}
        ]
        items = list(self._items(said))
        for place, item in enumerate(items):
            at = {"output_index": place, "item_id": item["id"]}
            events.append({"type": "response.output_item.added", "output_index": place, "item": self._empty(item)})
            if item["type"] == "message":
                inside = {**at, "content_index": 0}
                part = item["content"][0]
                events.append({"type": "response.content_part.added", **inside, "part": {**part, "text": ""}})
                for token in said.tokens:
                    events.append({"type": "response.output_text.delta", **inside, "delta": token, "logprobs": []})
                events.append({"type": "response.output_text.done", **inside, "text": said.text, "logprobs": []})
                events.append({"type": "response.content_part.done", **inside, "part": part})
            elif item["type"] == "function_call":
                text = item["arguments"]
                for piece in (text[:3], text[3:]):
                    events.append({"type": "response.function_call_arguments.delta", **at, "delta": piece})
                done = {"arguments": text, "name": item["name"]}
                events.append({"type": "response.function_call_arguments.done", **at, **done})
            else:
                events.append(
                    {"type": "response.reasoning_summary_text.delta", **at, "summary_index": 0, "delta": said.thought}
                )
            events.append({"type": "response.output_item.done", "output_index": place, "item": item})
        whole = self._response(attempt, said, items)
        events.append({"type": f"response.{whole['status']}", "response": whole})
        for number, event in enumerate(events):
            yield sse({**event, "sequence_number": number}, event["type"])

    def _items(self, said: FakeAnswer) -> Iterator[dict[str, Any]]:
        if said.thought:
            summary = [{"type": "summary_text", "text": said.thought}]
            yield {"type": "reasoning", "id": "rs_fake", "summary": summary, "encrypted_content": ENCRYPTED}
        if said.tokens:
            text = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
            yield {"type": "message", "id": "msg_fake", "role": "assistant", "status": "completed", "content": [text]}
        for number, (name, arguments) in enumerate(said.calls):
            yield {
                "type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "name": name,
                "arguments": json.dumps(arguments), "status": "completed",
            }  # fmt: skip

    def _empty(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """An item before anything of it was said."""
        none: dict[str, dict[str, Any]] = {
            "message": {"content": [], "status": "in_progress"},
            "function_call": {"arguments": "", "status": "in_progress"},
            "reasoning": {"summary": []},
        }
        return {**item, **none[item["type"]]}

    def _response(self, attempt: Attempt, said: FakeAnswer, items: list[Any], status: str = "") -> dict[str, Any]:
        cut = {"length": "max_output_tokens", "refusal": "content_filter"}.get(said.reason)
        usage = {
            "input_tokens": attempt.input_tokens, "output_tokens": attempt.output_tokens,
            "total_tokens": attempt.input_tokens + attempt.output_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        }  # fmt: skip
        return {
            "id": "resp_fake", "object": "response", "created_at": 1700000000, "model": attempt.model,
            "status": status or ("incomplete" if cut else "completed"), "error": None,
            "incomplete_details": {"reason": cut} if cut and not status else None, "output": items,
            "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "usage": None if status else usage,
        }  # fmt: skip
