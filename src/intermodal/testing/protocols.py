"""Vendors' own protocols for a fake vendor, written from the published references. No part of ``protocols/`` is used.

A fake protocol parses a request and writes an answer. It is as strict as the vendor: it refuses a request without a
required header or field, or with a thinking block that differs from the one it sent.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from intermodal.testing import images
from intermodal.testing import images as testing_images
from intermodal.testing.attempts import Attempt

SIGNATURE = "c2lnbmVkIGJ5IGEgZmFrZQ=="  # the signature on the reasoning of a fake
UNSIGNED = "skip_thought_signature_validator"  # the placeholder that Google accepts


class FakeRefusal(Exception):
    """Report that the vendor would refuse this request; ``status`` and ``code`` are the vendor's."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True)
class FakeAnswer:
    """The answer of a fake. ``calls`` are names and arguments; ``reason`` is "stop", "length", "tools" or "refusal"."""

    tokens: tuple[str, ...]
    reason: str = "stop"
    thought: str = ""
    calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()

    @property
    def text(self) -> str:
        return "".join(self.tokens)


@dataclass
class RequestContents:
    """The contents of a request, each kind in order."""

    texts: list[str] = field(default_factory=list)
    images: list[bytes] = field(default_factory=list)
    audios: list[bytes] = field(default_factory=list)
    videos: list[bytes] = field(default_factory=list)
    documents: list[bytes] = field(default_factory=list)

    def into(self, attempt: Attempt) -> None:
        attempt.texts, attempt.images = tuple(self.texts), tuple(self.images)
        attempt.audios, attempt.videos = tuple(self.audios), tuple(self.videos)
        attempt.documents = tuple(self.documents)

    def media(self, kind: str, data: str) -> None:
        """Add a medium; ``kind`` is its media type, and ``data`` its bytes in base64."""
        of = "document" if kind == "application/pdf" else kind.partition("/")[0]
        if of not in ("image", "audio", "video", "document"):
            raise ValueError(kind)
        getattr(self, f"{of}s").append(b64decode(data, validate=True))


class FakeProtocol:
    """The protocol of one vendor. ``keys`` are the headers that may carry the API key, each with its value's prefix."""

    keys: ClassVar[Mapping[str, str]] = {"authorization": "Bearer "}
    stream_type: ClassVar[str] = "text/event-stream"
    root: ClassVar[str] = "/v1"  # the path of base_url

    def understand(self, attempt: Attempt, contents: RequestContents) -> bool:
        """Fill in what arrived, and return whether a stream is wanted.

        Raises FakeRefusal, ValueError, KeyError or TypeError.
        """
        raise NotImplementedError

    def limit(self, attempt: Attempt) -> int | None:
        """Return how many tokens the answer may have."""
        raise NotImplementedError

    def whole_reply(self, attempt: Attempt, answer: FakeAnswer) -> Any:
        raise NotImplementedError

    def stream(self, attempt: Attempt, answer: FakeAnswer) -> Iterator[bytes]:
        raise NotImplementedError

    def vectors(self, attempt: Attempt, vectors: list[list[float]]) -> Any:
        raise NotImplementedError

    def error(self, status: int, code: str, message: str) -> Any:
        return {"error": {"message": message, "type": code, "code": code}}


def sse(tree: Mapping[str, Any], name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(tree).encode() + b"\n\n"


# ---- Anthropic ----------------------------------------------------------------------------------


class Anthropic(FakeProtocol):
    keys: ClassVar = {"x-api-key": "", "authorization": "Bearer "}
    _reasons: ClassVar = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use", "refusal": "refusal"}

    def understand(self, attempt: Attempt, contents: RequestContents) -> bool:
        tree = attempt.json
        if attempt.path != "/v1/messages":
            raise FakeRefusal(404, "not_found_error", "Not found")
        version = attempt.headers.get("anthropic-version")
        if version not in ("2023-06-01", "2026-10-21"):
            raise FakeRefusal(400, "invalid_request_error", "anthropic-version: header is required")
        for name in ("temperature", "top_p", "top_k"):
            if name in tree and version != "2023-06-01":
                raise FakeRefusal(400, "invalid_request_error", f"{name}: Extra inputs are not permitted")
        if not isinstance(tree["max_tokens"], int):
            raise FakeRefusal(400, "invalid_request_error", "max_tokens: Field required")
        attempt.model = tree["model"]
        system = tree.get("system") or []
        contents.texts += [system] if isinstance(system, str) else [block["text"] for block in system]
        for message in tree["messages"]:
            if message["role"] not in ("user", "assistant"):
                raise FakeRefusal(400, "invalid_request_error", "messages: Unexpected role")
            content = message["content"]
            for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
                self._block(block, contents)
        return tree.get("stream") is True

    def _block(self, block: Mapping[str, Any], contents: RequestContents) -> None:
        if block["type"] == "text":
            if not block["text"].strip():
                raise FakeRefusal(400, "invalid_request_error", "messages: text content blocks must be non-empty")
            contents.texts.append(block["text"])
        elif block["type"] in ("image", "document"):
            contents.media(block["source"]["media_type"], block["source"]["data"])
        elif block["type"] == "tool_result":
            content = block.get("content") or ""
            if isinstance(content, str):
                contents.texts.append(content)
            else:
                for inner in content:
                    self._block(inner, contents)
        elif block["type"] == "thinking" and block["signature"] != SIGNATURE:
            raise FakeRefusal(400, "invalid_request_error", "Invalid `signature` in `thinking` block")
        elif block["type"] == "tool_use" and not isinstance(block["input"], dict):
            raise FakeRefusal(400, "invalid_request_error", "tool_use.input: Input should be a valid dictionary")

    def limit(self, attempt: Attempt) -> int | None:
        return int(attempt.json["max_tokens"])

    def whole_reply(self, attempt: Attempt, answer: FakeAnswer) -> Any:
        blocks = [start for start, _ in self._blocks(answer, whole=True)]
        usage = {**self._input_counts(attempt), "output_tokens": attempt.output_tokens}
        end = {"stop_reason": self._reasons[answer.reason], "stop_sequence": None, "usage": usage}
        return {**self._head(attempt), "content": blocks, **end}

    def stream(self, attempt: Attempt, answer: FakeAnswer) -> Iterator[bytes]:
        usage = {**self._input_counts(attempt), "output_tokens": 1}
        message = {**self._head(attempt), "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        events: list[dict[str, Any]] = [{"type": "message_start", "message": message}, {"type": "ping"}]
        for index, (start, deltas) in enumerate(self._blocks(answer, whole=False)):
            events.append({"type": "content_block_start", "index": index, "content_block": start})
            events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
            events.append({"type": "content_block_stop", "index": index})
        end = {"stop_reason": self._reasons[answer.reason], "stop_sequence": None}
        events.append({"type": "message_delta", "delta": end, "usage": {"output_tokens": attempt.output_tokens}})
        for event in (*events, {"type": "message_stop"}):
            yield sse(event, event["type"])

    def _blocks(self, answer: FakeAnswer, *, whole: bool) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        if answer.thought:
            start = {"type": "thinking", "thinking": answer.thought if whole else "",
                     "signature": SIGNATURE if whole else ""}  # fmt: skip
            yield (
                start,
                [
                    {"type": "thinking_delta", "thinking": answer.thought},
                    {"type": "signature_delta", "signature": SIGNATURE},
                ],
            )
        if answer.tokens:
            deltas = [{"type": "text_delta", "text": token} for token in answer.tokens]
            yield {"type": "text", "text": answer.text if whole else ""}, deltas
        for number, (name, arguments) in enumerate(answer.calls):
            block: dict[str, Any] = {
                "type": "tool_use",
                "id": f"toolu_{number}",
                "name": name,
                "input": arguments if whole else {},
            }
            text = json.dumps(arguments)
            yield block, [{"type": "input_json_delta", "partial_json": part} for part in (text[:3], text[3:])]

    def _head(self, attempt: Attempt) -> dict[str, Any]:
        return {"id": "msg_fake", "type": "message", "role": "assistant", "model": attempt.model}

    def _input_counts(self, attempt: Attempt) -> dict[str, Any]:
        return {"input_tokens": attempt.input_tokens, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}

    def error(self, status: int, code: str, message: str) -> Any:
        word = {"key": "authentication_error"}.get(code, code)
        return {"type": "error", "error": {"type": word, "message": message}, "request_id": "req_fake"}


# ---- Gemini -------------------------------------------------------------------------------------


class Gemini(FakeProtocol):
    root = "/v1beta"
    keys: ClassVar = {"x-goog-api-key": ""}
    _reasons: ClassVar = {"stop": "STOP", "length": "MAX_TOKENS", "tools": "STOP", "refusal": "SAFETY"}

    def understand(self, attempt: Attempt, contents: RequestContents) -> bool:
        path = re.fullmatch(
            r"/v1(?:beta)?/models/([^:]+):(generateContent|streamGenerateContent\?alt=sse|embedContent|batchEmbedContents)",
            attempt.path,
        )
        if path is None:
            raise FakeRefusal(404, "NOT_FOUND", "model is not found for API version v1beta")
        attempt.model = path[1]
        tree = attempt.json
        if "mbedContent" in path[2]:
            for request in tree["requests"] if path[2].startswith("batch") else (tree,):
                if path[2].startswith("batch") and request["model"] != f"models/{path[1]}":
                    raise FakeRefusal(400, "INVALID_ARGUMENT", "the model of a request is not that of the path")
                before = len(contents.texts)
                for part in request["content"]["parts"]:
                    self._part(part, contents, is_answer=False)
                contents.texts[before:] = ["\n".join(contents.texts[before:])]  # one vector for all texts together
            return False
        for part in tree.get("systemInstruction", {"parts": []})["parts"]:
            contents.texts.append(part["text"])
        for content in tree["contents"]:
            if content["role"] not in ("user", "model"):
                raise FakeRefusal(400, "INVALID_ARGUMENT", "Please use a valid role: user, model.")
            self._check_signatures(content["parts"])
            for part in content["parts"]:
                self._part(part, contents, is_answer=content["role"] == "model")
        return path[2].startswith("stream")

    def _check_signatures(self, parts: list[Any]) -> None:
        """Check that the first of several parallel calls has its signature, or the placeholder for one."""
        signatures = [part.get("thoughtSignature", "") for part in parts if "functionCall" in part]
        if not signatures:
            return
        if signatures[0] == UNSIGNED:
            signatures[0] = SIGNATURE
        if signatures[0] != SIGNATURE or not {*signatures} <= {SIGNATURE, ""}:
            raise FakeRefusal(400, "INVALID_ARGUMENT", "Function call is missing a thought_signature")

    def _part(self, part: Mapping[str, Any], contents: RequestContents, *, is_answer: bool) -> None:
        if "inlineData" in part:
            data = part["inlineData"]  # either spelling of the field, and either alphabet of base64
            kind = data.get("mimeType") or data["mime_type"]
            contents.media(kind, data["data"].replace("-", "+").replace("_", "/"))
        elif "functionResponse" in part:
            contents.texts.append(json.dumps(part["functionResponse"]["response"]))
        elif "functionCall" not in part and not (is_answer and part.get("thought")):
            contents.texts.append(part["text"])

    def limit(self, attempt: Attempt) -> int | None:
        found: int | None = attempt.json.get("generationConfig", {}).get("maxOutputTokens")
        return found

    def whole_reply(self, attempt: Attempt, answer: FakeAnswer) -> Any:
        if (
            "IMAGE" in attempt.json.get("generationConfig", {}).get("responseModalities", ())
            and answer.reason == "stop"
        ):
            return self._image_part(attempt)
        return self._reply(attempt, self._parts(answer), self._reasons[answer.reason])

    def _image_part(self, attempt: Attempt) -> Any:
        picture = {"mimeType": "image/png", "data": b64encode(testing_images.png(attempt.text)).decode()}
        attempt.output_tokens = testing_images.TOKENS
        reply = self._reply(attempt, [{"text": "Here it is."}, {"inlineData": picture}], "STOP")
        reply["usageMetadata"]["candidatesTokensDetails"] = [{"modality": "IMAGE", "tokenCount": testing_images.TOKENS}]
        return reply

    def vectors(self, attempt: Attempt, vectors: list[list[float]]) -> Any:
        if attempt.path.endswith(":embedContent"):
            return {"embedding": {"values": vectors[0]}}
        return {"embeddings": [{"values": vector} for vector in vectors]}

    def stream(self, attempt: Attempt, answer: FakeAnswer) -> Iterator[bytes]:
        *parts, last = self._parts(answer) or [{"text": ""}]
        for part in parts:
            yield sse(self._reply(attempt, [part], ""))
        yield sse(self._reply(attempt, [last], self._reasons[answer.reason]))

    def _parts(self, answer: FakeAnswer) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = [{"text": answer.thought, "thought": True}] if answer.thought else []
        parts += [{"text": token} for token in answer.tokens]
        for number, (name, arguments) in enumerate(answer.calls):
            call = {"functionCall": {"name": name, "args": arguments}}
            parts.append(call if number else {**call, "thoughtSignature": SIGNATURE})
        return parts

    def _reply(self, attempt: Attempt, parts: list[dict[str, Any]], reason: str) -> dict[str, Any]:
        finish = {"finishReason": reason} if reason else {}
        token_details = [("TEXT", attempt.input_tokens)]
        return {
            "candidates": [{"content": {"role": "model", "parts": parts}, "index": 0, **finish}],
            "usageMetadata": {
                "promptTokenCount": attempt.input_tokens, "candidatesTokenCount": attempt.output_tokens,
                "totalTokenCount": attempt.input_tokens + attempt.output_tokens,
                "promptTokensDetails": [{"modality": kind, "tokenCount": count} for kind, count in token_details],
            },
            "modelVersion": attempt.model, "responseId": "fake",
        }  # fmt: skip

    def error(self, status: int, code: str, message: str) -> Any:
        if code == "key":
            status, code, message = 400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."
        return {"error": {"code": status, "message": message, "status": code}}


# ---- Ollama -------------------------------------------------------------------------------------


class Ollama(FakeProtocol):
    stream_type, root = "application/x-ndjson", ""
    _reasons: ClassVar = {"stop": "stop", "length": "length", "tools": "stop", "refusal": "stop"}

    def understand(self, attempt: Attempt, contents: RequestContents) -> bool:
        tree = attempt.json
        attempt.model = tree["model"]
        if attempt.path == "/api/embed":
            given_input = tree["input"]
            contents.texts += [given_input] if isinstance(given_input, str) else given_input
            return False
        if attempt.path != "/api/chat":
            raise FakeRefusal(404, "", "404 page not found")
        for message in tree["messages"]:
            contents.texts.append(message["content"])
            for image in message.get("images", ()):
                if image.startswith("data:"):
                    raise FakeRefusal(400, "", "illegal base64 data at input byte 4")
                data = b64decode(image, validate=True)
                (contents.audios if data[:4] == b"RIFF" and data[8:12] == b"WAVE" else contents.images).append(data)
            for call in message.get("tool_calls", ()):
                if not isinstance(call["function"]["arguments"], dict):
                    raise FakeRefusal(400, "", "json: cannot unmarshal string into Go struct field")
        return tree.get("stream", True) is True

    def vectors(self, attempt: Attempt, vectors: list[list[float]]) -> Any:
        return {"model": attempt.model, "embeddings": vectors, "prompt_eval_count": attempt.input_tokens}

    def limit(self, attempt: Attempt) -> int | None:
        found: int | None = attempt.json.get("options", {}).get("num_predict")
        return found

    def whole_reply(self, attempt: Attempt, answer: FakeAnswer) -> Any:
        return {**self._head(attempt), "message": self._message(answer.text, answer), **self._end(attempt, answer)}

    def stream(self, attempt: Attempt, answer: FakeAnswer) -> Iterator[bytes]:
        if answer.thought:
            yield self._line(attempt, {"role": "assistant", "content": "", "thinking": answer.thought})
        for token in answer.tokens:
            yield self._line(attempt, {"role": "assistant", "content": token})
        if answer.calls:
            yield self._line(attempt, self._message("", FakeAnswer(tokens=(), calls=answer.calls)))
        end = {"message": {"role": "assistant", "content": ""}, **self._end(attempt, answer)}
        yield json.dumps({**self._head(attempt), **end}).encode() + b"\n"

    def _line(self, attempt: Attempt, message: Mapping[str, Any]) -> bytes:
        return json.dumps({**self._head(attempt), "message": message, "done": False}).encode() + b"\n"

    def _message(self, text: str, answer: FakeAnswer) -> dict[str, Any]:
        thinking = {"thinking": answer.thought} if answer.thought else {}
        calls = [{"function": {"name": name, "arguments": arguments}} for name, arguments in answer.calls]
        return {"role": "assistant", "content": text, **thinking, **({"tool_calls": calls} if calls else {})}

    def _head(self, attempt: Attempt) -> dict[str, Any]:
        return {"model": attempt.model, "created_at": "2026-11-25T00:00:00Z"}

    def _end(self, attempt: Attempt, answer: FakeAnswer) -> dict[str, Any]:
        return {
            "done": True, "done_reason": self._reasons[answer.reason], "total_duration": 5, "load_duration": 1,
            "prompt_eval_count": attempt.input_tokens, "prompt_eval_duration": 1, "eval_count": attempt.output_tokens,
            "eval_duration": 1,
        }  # fmt: skip

    def error(self, status: int, code: str, message: str) -> Any:
        return {"error": message}


# ---- OpenAI's responses -----------------------------------------------------------------------------


ENCRYPTED = "Z0FBQUFBQmZha2U="  # encrypted reasoning of a fake


class Responses(FakeProtocol):
    def understand(self, attempt: Attempt, contents: RequestContents) -> bool:
        if attempt.path != "/v1/responses":
            raise FakeRefusal(404, "not_found_error", "Invalid URL")
        tree = attempt.json
        attempt.model = tree["model"]
        given_input = tree["input"]
        for item in [{"role": "user", "content": given_input}] if isinstance(given_input, str) else given_input:
            self._item(item, contents)
        return tree.get("stream") is True

    def _item(self, item: Mapping[str, Any], contents: RequestContents) -> None:
        kind = item.get("type", "message")
        if kind == "function_call_output":
            contents.texts.append(item["output"])
        elif kind == "reasoning":
            if item["encrypted_content"] != ENCRYPTED:
                raise FakeRefusal(400, "invalid_request_error", "The encrypted content could not be verified")
        elif kind == "message":
            content = item["content"]
            if isinstance(content, str):
                contents.texts.append(content)
            else:
                for part in content:
                    self._part(part, contents, item["role"])
        elif kind != "function_call":
            raise FakeRefusal(400, "invalid_request_error", f"Invalid value: '{kind}'")

    def _part(self, part: Mapping[str, Any], contents: RequestContents, role: str) -> None:
        if part["type"] == ("output_text" if role == "assistant" else "input_text"):
            contents.texts.append(part["text"])
        elif part["type"] in ("input_image", "input_file"):
            uri = part["image_url"] if part["type"] == "input_image" else part["file_data"]
            data = re.fullmatch(r"data:([a-z/]+);base64,(.*)", uri, re.DOTALL)
            if data is None:
                raise FakeRefusal(400, "invalid_request_error", "Invalid data URI")
            contents.media(data[1], data[2])
        elif part["type"] == "input_audio":
            contents.media("audio/wav", part["input_audio"]["data"])
        else:
            raise FakeRefusal(400, "invalid_request_error", f"Invalid value: '{part['type']}'")

    def limit(self, attempt: Attempt) -> int | None:
        found: int | None = attempt.json.get("max_output_tokens")
        return found

    def whole_reply(self, attempt: Attempt, answer: FakeAnswer) -> Any:
        for tool in attempt.json.get("tools") or ():
            if tool["type"] == "image_generation" and attempt.json.get("tool_choice") == {"type": tool["type"]}:
                return self._image_item(attempt, answer, tool)
        return self._response(attempt, answer, list(self._items(answer)))

    def _image_item(self, attempt: Attempt, answer: FakeAnswer, tool: Mapping[str, Any]) -> Any:
        """Return the image that the image tool draws; a fake always draws PNG, whatever format is requested."""
        if answer.reason == "refusal":
            refusal = {"type": "refusal", "refusal": answer.text}
            item = {"type": "message", "id": "msg_fake", "role": "assistant", "status": "completed"}
            return self._response(attempt, answer, [{**item, "content": [refusal]}])
        picture = b64encode(images.png(attempt.text, tool.get("size", ""))).decode()
        call = {"type": "image_generation_call", "id": "ig_fake", "status": "completed", "result": picture,
                "output_format": "png", "revised_prompt": attempt.text}  # fmt: skip
        words = len(attempt.text.split())
        used = {"input_tokens": words, "input_tokens_details": {"text_tokens": words, "image_tokens": 0},
                "output_tokens": images.TOKENS, "total_tokens": words + images.TOKENS}  # fmt: skip
        reply = self._response(attempt, answer, [call])
        return {**reply, "tool_usage": {"image_gen": used, "web_search": {"num_requests": 0}}}

    def stream(self, attempt: Attempt, answer: FakeAnswer) -> Iterator[bytes]:
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": self._response(attempt, answer, [], "in_progress")}
        ]
        items = list(self._items(answer))
        for place, item in enumerate(items):
            at = {"output_index": place, "item_id": item["id"]}
            events.append({"type": "response.output_item.added", "output_index": place, "item": self._empty(item)})
            if item["type"] == "message":
                inside = {**at, "content_index": 0}
                part = item["content"][0]
                events.append({"type": "response.content_part.added", **inside, "part": {**part, "text": ""}})
                for token in answer.tokens:
                    events.append({"type": "response.output_text.delta", **inside, "delta": token, "logprobs": []})
                events.append({"type": "response.output_text.done", **inside, "text": answer.text, "logprobs": []})
                events.append({"type": "response.content_part.done", **inside, "part": part})
            elif item["type"] == "function_call":
                text = item["arguments"]
                for piece in (text[:3], text[3:]):
                    events.append({"type": "response.function_call_arguments.delta", **at, "delta": piece})
                fields = {"arguments": text, "name": item["name"]}
                events.append({"type": "response.function_call_arguments.done", **at, **fields})
            else:
                events.append(
                    {"type": "response.reasoning_summary_text.delta", **at, "summary_index": 0, "delta": answer.thought}
                )
            events.append({"type": "response.output_item.done", "output_index": place, "item": item})
        whole = self._response(attempt, answer, items)
        events.append({"type": f"response.{whole['status']}", "response": whole})
        for number, event in enumerate(events):
            yield sse({**event, "sequence_number": number}, event["type"])

    def _items(self, answer: FakeAnswer) -> Iterator[dict[str, Any]]:
        if answer.thought:
            summary = [{"type": "summary_text", "text": answer.thought}]
            yield {"type": "reasoning", "id": "rs_fake", "summary": summary, "encrypted_content": ENCRYPTED}
        if answer.tokens:
            text = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
            yield {"type": "message", "id": "msg_fake", "role": "assistant", "status": "completed", "content": [text]}
        for number, (name, arguments) in enumerate(answer.calls):
            yield {
                "type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "name": name,
                "arguments": json.dumps(arguments), "status": "completed",
            }  # fmt: skip

    def _empty(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return an item without its content."""
        none: dict[str, dict[str, Any]] = {
            "message": {"content": [], "status": "in_progress"},
            "function_call": {"arguments": "", "status": "in_progress"},
            "reasoning": {"summary": []},
        }
        return {**item, **none[item["type"]]}

    def _response(self, attempt: Attempt, answer: FakeAnswer, items: list[Any], status: str = "") -> dict[str, Any]:
        cut = {"length": "max_output_tokens", "refusal": "content_filter"}.get(answer.reason)
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
