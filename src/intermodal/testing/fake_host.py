"""The fake host: an OpenAI-compatible HTTP server in a thread.

Its faults are listed in tables by name. Its speech is one beep for each word, so that a test can count the words, and
its tool calls have the form of OpenAI's reference.
"""

from __future__ import annotations

import io
import json
import math
import re
import select
import socket
import struct
import threading
import time
import wave
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, cast

from intermodal.catalog.types import Endpoint, Evidence, Host, Model, Price, Strength, Task
from intermodal.core.content import Kind
from intermodal.core.request import Tier, Zone
from intermodal.testing import images
from intermodal.testing.attempts import Answer, Attempt, Likely, duration, echo, understand, vector_of

# Faults that replace an answer: name -> (status, body).
REFUSALS: Mapping[str, tuple[int, dict[str, Any]]] = {
    "limited": (429, {"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}),
    "quota": (429, {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota",
                              "code": "insufficient_quota"}}),
    "unavailable": (503, {"error": {"message": "Service unavailable", "type": "server_error"}}),
    "overloaded": (529, {"error": {"message": "Overloaded", "type": "overloaded_error"}}),
    "broken": (500, {"error": {"message": "Internal error", "type": "server_error"}}),
    "gateway": (502, {"error": {"message": "Bad gateway"}}),
    "key": (401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}),
    "context": (400, {"error": {"message": "This model's maximum context length is 64 tokens. However, your messages "
                                           "resulted in 9000 tokens.", "code": "context_length_exceeded"}}),
    "policy": (400, {"error": {"message": "Your request was rejected by our safety system",
                               "code": "content_policy_violation"}}),
    "wrong": (400, {"error": {"message": "Unsupported value: 'temperature' does not support 3", "type":
                              "invalid_request_error", "param": "temperature", "code": "unsupported_value"}}),
    "unprocessable": (422, {"detail": [{"type": "missing", "loc": ["body", "seed"], "msg": "Field required"}]}),
    "redirect": (307, {"error": {"message": "moved"}}),
}  # fmt: skip
# Refusals for which the host may charge: it worked before it failed.
MAYBE_PAID = frozenset({"broken", "gateway"})
# Faults in the middle of an answer; the number is how many tokens come before the fault.
CUTS: Mapping[str, str] = {
    "cut": "the connection closes (FIN)",
    "reset": "the connection is reset (RST)",
    "end": "the reply ends in good order, without finish reason or [DONE]",
    "stall": "nothing comes any more, the connection stays open",
    "inband": "an error event instead of the next token",
    "malformed": "half a JSON document, then the end",
}
# Faults in the way an answer is sent; the answer itself is complete.
MANNERS: Mapping[str, str] = {
    "nodone": "no [DONE] at the end",
    "open": "no [DONE], and the connection stays open",
    "split": "one byte at a time",
    "pings": "comment lines between the events",
    "json": "one JSON document although a stream was asked for",
    "slow": "the number's seconds pass before the first byte",
    "silent": "the request is taken and never answered",
    "gone": "the request is taken and the connection closed",
    "blind": "a message with an image is refused, the way llama.cpp does",
}
NUMBERS: Mapping[str, float] = {"limited": 1.0, "slow": 0.2}  # default numbers of faults whose number is left out
_IN_NAME = re.compile(r"fault-([a-z]+)(?:-(\d+(?:\.\d+)?))?(?:-x(\d+))?$")


@dataclass(frozen=True)
class Fault:
    """One fault. It affects ``times`` requests (None: all); the meaning of ``number`` depends on ``name``."""

    name: str
    number: float | None = None
    times: int | None = None

    def __post_init__(self) -> None:
        if self.name not in {*REFUSALS, *CUTS, *MANNERS}:
            raise ValueError(f"no fault is called {self.name!r}; there are {sorted({*REFUSALS, *CUTS, *MANNERS})}")

    @property
    def value(self) -> float:
        return NUMBERS.get(self.name, 0.0) if self.number is None else self.number


def in_name(model: str) -> Fault | None:
    """Return the fault that a model's name asks for: ``any/thing-fault-NAME[-NUMBER][-xTIMES]``."""
    found = _IN_NAME.search(model)
    if found is None:
        return None
    name, number, times = found.groups()
    return Fault(name, float(number) if number else None, int(times) if times else None)


class FakeHost:
    """Run the fake host. Use it as a context manager; ``base_url`` is the address for clients.

    Args:
        answer: the answer of the chat, or a function of the :class:`Attempt` that returns it.
        transcript: the transcript of a recording, in the same two forms.
        likely: probabilities of the first word of an answer, for requests that ask for them, in the same two forms; the
            likeliest word is then the answer of the chat. None: the host reports no probabilities.
        models: the names that ``GET /models`` lists; requests for any other name are answered as well.
        fault: a fault that affects every request (see :class:`Fault`), besides faults in a model's name.
        key: the API key; if it is set, requests without it get a 401.
        prices: USD per million input and output tokens.

    ``cached`` may be set to the number of tokens of each prompt that the host reports as cached. ``calls`` may be set
    to the tools that the chat calls after its words, or to a function of the :class:`Attempt`. ``pictures`` is the
    largest number of images that it draws for one request.
    """

    def __init__(
        self,
        answer: Answer = echo,
        *,
        transcript: Answer = "hello from the fake host",
        likely: Likely | None = None,
        models: tuple[str, ...] = ("fake/model",),
        fault: Fault | None = None,
        key: str = "",
        prices: tuple[float, float] = (1.0, 2.0),
    ) -> None:
        self.answer = answer
        self.transcript = transcript
        self.likely = likely
        self.calls: Calls = ()
        self.models = models
        self.fault = fault
        self.key = key
        self.pictures = 10
        self.input_price, self.output_price = prices
        self.cached = 0
        self.attempts: list[Attempt] = []
        self.stopping = threading.Event()
        self._hits: dict[str, int] = {}
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def bill(self) -> float:
        """Return the cost in USD of all paid attempts, as this host calculates it."""
        return sum(map(self.cost, self.attempts))

    def cost(self, attempt: Attempt) -> float:
        """Return the amount in USD that this host charges for one attempt."""
        tokens = attempt.input_tokens * self.input_price + attempt.output_tokens * self.output_price
        return tokens / 1e6 if attempt.paid else 0.0

    def now(self) -> float:
        """Return the milliseconds since the host started."""
        return (time.monotonic() - self._began) * 1000

    def endpoint(
        self,
        model: str = "fake/model",
        *,
        host: str = "fake",
        input: tuple[Kind, ...] = ("text",),
        tier: Tier = "medium",
        zone: Zone = "internet",
        context: int | None = 8192,
    ) -> Endpoint:
        """Return a chat endpoint at this host, in the form that a catalog has."""
        seeing: tuple[Task, ...] = ("image-text-to-text",) if "image" in input else ()
        tasks: tuple[Task, ...] = ("text-generation", *seeing)
        strength = Strength(task="text-generation", tier=tier, evidence=Evidence(level="declared", source="a fake"))
        return Endpoint(
            id=f"{host}:{model}",
            model=Model(
                id=model,
                tasks=tasks,
                input=input,
                context=context,
                strength=(strength,),
            ),
            host=Host(
                id=host,
                base_url=self.base_url,
                zone=zone,
                auth="bearer" if self.key else "none",
                key_env="FAKE_API_KEY" if self.key else "",
                forced_json=True,
            ),
            served_as=model,
            input=input,
            context=context,
            price=Price(input_mtok=self.input_price, output_mtok=self.output_price),
        )

    def next_fault(self, model: str) -> Fault | None:
        """Return the fault that affects this request, and count the request."""
        fault = in_name(model) or self.fault
        if fault is None:
            return None
        with self._lock:
            hits = self._hits[model] = self._hits.get(model, 0) + 1
        return fault if fault.times is None or hits <= fault.times else None

    def close(self) -> None:
        """Stop the server and close all connections."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()

    def __enter__(self) -> FakeHost:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    fake: FakeHost

    def __init__(self, *arguments: Any) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(*arguments)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.discard(request)

    def hang_up(self) -> None:
        until = time.monotonic() + 1
        while self.connections and time.monotonic() < until:
            for connection in tuple(self.connections):
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            time.sleep(0.002)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the error: a client that hangs up is a subject of tests, not a failure of this server."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def fake(self) -> FakeHost:
        return cast("_Server", self.server).fake

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        rows = [{"id": name, "object": "model", "owned_by": "fake"} for name in self.fake.models]
        found = self.path == "/v1/models"
        self._send_json(200 if found else 404, {"object": "list", "data": rows} if found else {"error": "not found"})

    def do_POST(self) -> None:
        fake = self.fake
        began = fake.now()
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        key = headers.get("authorization", "")
        if key:
            headers["authorization"] = "(seen)"
        attempt = Attempt(path=self.path, headers=headers, key=bool(key), body=body, began=began)
        fake.attempts.append(attempt)
        try:
            self._answer(attempt, good_key=not fake.key or key == f"Bearer {fake.key}")
        except (BrokenPipeError, ConnectionResetError):
            attempt.client_left = attempt.client_left or fake.now()
        finally:
            attempt.ended = fake.now()

    def _answer(self, attempt: Attempt, *, good_key: bool) -> None:
        fake = self.fake
        handle = {
            "/v1/chat/completions": self._chat,
            "/v1/audio/transcriptions": self._transcription,
            "/v1/audio/translations": self._transcription,
            "/v1/audio/speech": self._speech,
            "/v1/embeddings": self._embeddings,
            "/v1/images/generations": self._pictures,
            "/v1/images/edits": self._pictures,
            "/v1/rerank": self._ranking,
            "/v2/rerank": self._ranking,
            "/rerank": self._ranking,
        }.get(attempt.path)
        try:
            understand(attempt)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return self._refuse(attempt, 400, {"error": {"message": f"not understood: {type(error).__name__}"}})
        if not good_key:
            return self._refuse(attempt, *REFUSALS["key"])
        if handle is None:
            return self._refuse(attempt, 404, {"error": {"message": "no such path"}})
        fault = fake.next_fault(attempt.model)
        attempt.fault = fault.name if fault else ""
        if fault and fault.name in REFUSALS:
            attempt.paid = fault.name in MAYBE_PAID
            return self._refuse(attempt, *REFUSALS[fault.name], fault=fault)
        if fault and fault.name == "blind" and attempt.images:
            message = "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
            return self._refuse(attempt, 500, {"error": {"code": 500, "message": message, "type": "server_error"}})
        attempt.paid = True
        if fault and fault.name == "gone":
            self.close_connection = True
            return None
        if fault and fault.name in ("slow", "silent"):
            self._hold(attempt, fault.value if fault.name == "slow" else None)
        if "image" in ((attempt.json or {}).get("modalities") or ()):
            return self._send_image(attempt, fault)
        return handle(attempt, fault)

    def _refuse(self, attempt: Attempt, status: int, body: dict[str, Any], *, fault: Fault | None = None) -> None:
        attempt.status = status
        extra = {}
        if fault and fault.name == "limited":
            extra["retry-after"] = f"{fault.value:g}"
        if fault and fault.name == "redirect":
            extra["location"] = f"{self.fake.base_url}/elsewhere"
        self._send_json(status, body, extra)

    # ---- the services

    def _chat(self, attempt: Attempt, fault: Fault | None) -> None:
        answer = self.fake.answer
        words = answer if isinstance(answer, str) else answer(attempt)
        likely = self._likely(attempt)
        words = max(likely, key=likely.__getitem__) if likely else words
        tokens = re.findall(r"\s*\S+|\s+$", words)
        limit = attempt.json.get("max_tokens") or attempt.json.get("max_completion_tokens")
        reason = "stop"
        if limit is not None and len(tokens) > limit:
            tokens, reason = tokens[:limit], "length"
        calls = self.fake.calls(attempt) if callable(self.fake.calls) else self.fake.calls
        reason = "tool_calls" if calls else reason
        attempt.status = 200
        attempt.output_tokens = len(tokens)
        if attempt.json.get("stream") is True and not (fault and fault.name == "json"):
            return self._stream(attempt, tokens, reason, fault, calls)
        message: dict[str, Any] = {"role": "assistant", "content": "".join(tokens)}
        if calls:
            message |= {"content": "".join(tokens) or None, "tool_calls": message_tool_calls(calls)}
        if "audio" in attempt.json.get("modalities", ()):
            sound = b64encode(wav(beeps("".join(tokens)))).decode()
            message = {"role": "assistant", "content": None, "audio": {"data": sound, "transcript": "".join(tokens)}}
        reply = _head(attempt, "chat.completion") | {
            "choices": [{"index": 0, "message": message, "finish_reason": reason, **self._logprobs(attempt, likely)}],
            "usage": _usage(attempt, self.fake.cached),
        }
        if fault and fault.name in CUTS:
            return self._cut_document(attempt, json.dumps(reply).encode(), fault)
        return self._send_json(200, reply)

    def _transcription(self, attempt: Attempt, fault: Fault | None) -> None:
        transcript = self.fake.transcript
        text = transcript if isinstance(transcript, str) else transcript(attempt)
        attempt.status = 200
        attempt.output_tokens = len(text.split())
        seconds = duration(attempt.audios[0])
        reply: dict[str, Any] = {"text": text, "usage": {"type": "duration", "seconds": seconds}}
        if attempt.form.get("response_format") == "verbose_json":
            segment = {"id": 0, "start": 0.0, "end": seconds, "text": f" {text}"}
            task = "translate" if attempt.path.endswith("translations") else "transcribe"
            reply |= {"task": task, "language": "english", "duration": seconds, "segments": [segment]}
        if fault and fault.name in CUTS:
            return self._cut_document(attempt, json.dumps(reply).encode(), fault)
        return self._send_json(200, reply)

    def _likely(self, attempt: Attempt) -> Mapping[str, float]:
        """Return the probability of each first word; nothing if it was not requested or the host does not report it."""
        if not attempt.json.get("logprobs") or self.fake.likely is None:
            return {}
        return self.fake.likely(attempt) if callable(self.fake.likely) else self.fake.likely

    def _logprobs(self, attempt: Attempt, likely: Mapping[str, float]) -> dict[str, Any]:
        if not likely:
            return {}
        likeliest = max(likely, key=likely.__getitem__)
        return {"logprobs": logprobs(likely, likeliest, attempt.json.get("top_logprobs", 0))}

    def _speech(self, attempt: Attempt, fault: Fault | None) -> None:
        """Send one beep for each word. A WAV file states, as those of real hosts do, that its length is unknown."""
        form = attempt.json.get("response_format", "mp3")
        if not attempt.json["voice"] or len(attempt.text) > 4096:
            return self._refuse(attempt, 400, {"error": {"message": "string too long, or no voice"}})
        file = as_streamed_wav(wav(beeps(attempt.text))) if form == "wav" else mp3(attempt.text)
        attempt.status = 200
        if fault and fault.name in CUTS:
            return self._cut_document(attempt, file, fault)
        return self._send(200, "audio/wav" if form == "wav" else "audio/mpeg", file)

    def _ranking(self, attempt: Attempt, fault: Fault | None) -> None:
        """Send the documents, the best first, each scored by the share of the query's words that it contains.

        The reply has the form of the endpoints of Cohere, vLLM and llama.cpp, or the form of TEI's.
        """
        query, *documents = (set(re.findall(r"\w+", text.lower())) for text in attempt.texts)
        scores = [len(query & words) / max(1, len(query)) for words in documents]
        order = sorted(range(len(scores)), key=lambda at: -scores[at])
        attempt.status, score_name = 200, "score" if "texts" in attempt.json else "relevance_score"
        rows = [{"index": at, score_name: scores[at]} for at in order]
        tokens = attempt.input_tokens
        reply: Any = rows if "texts" in attempt.json else {
            "id": "rerank-1", "model": attempt.model, "results": rows,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }  # fmt: skip
        if fault and fault.name in CUTS:
            return self._cut_document(attempt, json.dumps(reply).encode(), fault)
        return self._send_json(200, reply)

    def _send_image(self, attempt: Attempt, fault: Fault | None) -> None:
        """Return an image of one colour in the answer of a chat, in the form that OpenRouter uses."""
        picture = b64encode(images.png(attempt.texts[-1])).decode()
        attempt.status, attempt.output_tokens = 200, images.TOKENS
        image = {"type": "image_url", "index": 0, "image_url": {"url": f"data:image/png;base64,{picture}"}}
        message = {"role": "assistant", "content": "Here it is.", "refusal": None, "images": [image]}
        reply = {
            "id": "gen-1", "object": "chat.completion", "created": 1700000000, "model": attempt.model,
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {
                "prompt_tokens": attempt.input_tokens, "completion_tokens": images.TOKENS,
                "total_tokens": attempt.input_tokens + images.TOKENS,
                "completion_tokens_details": {"image_tokens": images.TOKENS},
            },
        }  # fmt: skip
        if fault and fault.name in CUTS:
            return self._cut_document(attempt, json.dumps(reply).encode(), fault)
        return self._send_json(200, reply)

    def _pictures(self, attempt: Attempt, fault: Fault | None) -> None:
        """Send images of one colour each; the colour depends on the words."""
        fields = attempt.json or attempt.form
        count, words = min(int(fields.get("n", 1)), self.fake.pictures), attempt.texts[-1]
        drawn_images = [images.png(words, fields.get("size", ""), number) for number in range(count)]
        attempt.status, attempt.output_tokens = 200, images.TOKENS * count
        pictures = images.TOKENS * len(attempt.images)
        token_details = {"text_tokens": attempt.input_tokens - pictures, "image_tokens": pictures}
        reply: dict[str, Any] = {
            "created": 1700000000,
            "data": [{"b64_json": b64encode(each).decode()} for each in drawn_images],
            "output_format": "png",
            "usage": {
                "input_tokens": attempt.input_tokens, "output_tokens": attempt.output_tokens,
                "total_tokens": attempt.input_tokens + attempt.output_tokens, "input_tokens_details": token_details,
            },
        }  # fmt: skip
        if fault and fault.name in CUTS:
            return self._cut_document(attempt, json.dumps(reply).encode(), fault)
        return self._send_json(200, reply)

    def _embeddings(self, attempt: Attempt, fault: Fault | None) -> None:
        rows = [
            {"object": "embedding", "index": index, "embedding": vector_of(text)}
            for index, text in enumerate(attempt.texts)
        ]
        attempt.status = 200
        usage = {"prompt_tokens": attempt.input_tokens, "total_tokens": attempt.input_tokens}
        reply = {"object": "list", "data": rows, "model": attempt.model, "usage": usage}
        if fault and fault.name in CUTS:
            return self._cut_document(attempt, json.dumps(reply).encode(), fault)
        return self._send_json(200, reply)

    # ---- how it is sent

    def _stream(self, attempt: Attempt, tokens: list[str], reason: str, fault: Fault | None, calls: Made) -> None:
        name = fault.name if fault else ""
        stop_at = int(fault.number or 0) if fault and name in CUTS else len(tokens)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self._event(attempt, {"role": "assistant", "content": ""}, None, name)
        speaks = "audio" in attempt.json.get("modalities", ())
        for token in tokens[:stop_at]:
            if speaks:
                sound = b64encode(beeps(token)).decode()
                self._event(attempt, {"audio": {"data": sound}}, None, name)
                self._event(attempt, {"audio": {"transcript": token}}, None, name)
            else:
                self._event(attempt, {"content": token}, None, name, self._logprobs(attempt, self._likely(attempt)))
        if name in CUTS:
            attempt.output_tokens = min(stop_at, len(tokens))
            return self._cut_stream(attempt, name)
        for delta in stream_tool_calls(calls):
            self._event(attempt, delta, None, name)
        self._event(attempt, {}, reason, name)
        options = attempt.json.get("stream_options") or {}
        if options.get("include_usage"):
            last = {"choices": [], "usage": _usage(attempt, self.fake.cached)}
            self._chunk(_sse(_head(attempt, "chat.completion.chunk") | last), name)
        if name not in ("nodone", "open"):
            self._chunk(b"data: [DONE]\n\n", name)
        if name == "open":
            self._hold(attempt, None)
        self._chunk(b"")
        return None

    def _event(
        self, attempt: Attempt, delta: dict[str, Any], reason: str | None, manner: str, more: Any = None
    ) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, **(more or {})}
        event = _sse(_head(attempt, "chat.completion.chunk") | {"choices": [choice]})
        self._chunk(b": ping\n\n" + event if manner == "pings" else event, manner)

    def _chunk(self, data: bytes, manner: str = "") -> None:
        pieces = [data[at : at + 1] for at in range(len(data))] if manner == "split" else [data]
        for piece in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def _cut_stream(self, attempt: Attempt, name: str) -> None:
        if name == "inband":
            self._chunk(_sse({"error": {"message": "the provider failed", "type": "server_error", "code": 500}}))
        elif name == "malformed":
            self._chunk(b'data: {"choices":[{"delta":{"cont\n\n')
        elif name == "stall":
            self._hold(attempt, None)
        if name == "reset":
            self._reset()
        elif name != "cut":
            self._chunk(b"")
        self.close_connection = True

    def _cut_document(self, attempt: Attempt, body: bytes, fault: Fault) -> None:
        """Send only the first half of a document, whatever the number of the fault."""
        half = body[: len(body) // 2]
        whole = fault.name in ("end", "malformed", "inband")
        if fault.name == "inband":
            half = b'{"error": {"message": "the provider failed", "type": "server_error", "code": 500}}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(half) if whole else len(body)))
        self.end_headers()
        self.wfile.write(half)
        if fault.name == "stall":
            self._hold(attempt, None)
        if fault.name == "reset":
            self._reset()
        self.close_connection = True

    def _send_json(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, "application/json", json.dumps(body).encode(), headers)

    def _send(self, status: int, kind: str, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _hold(self, attempt: Attempt, seconds: float | None) -> None:
        """Wait for a number of seconds (None: without end), but notice when the client hangs up."""
        fake = self.fake
        until = None if seconds is None else time.monotonic() + seconds
        while not fake.stopping.is_set() and (until is None or time.monotonic() < until):
            readable, _, _ = select.select([self.connection], [], [], 0.005)
            if readable:
                try:
                    left = self.connection.recv(1, socket.MSG_PEEK) == b""
                except OSError:
                    left = True
                if left:
                    attempt.client_left = fake.now()
                    self.close_connection = True
                    raise BrokenPipeError
                time.sleep(0.005)

    def _reset(self) -> None:
        """Close the connection so that the client gets a reset: set the linger time to zero seconds."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(self.connection.detach())
        self.close_connection = True


def _head(attempt: Attempt, kind: str) -> dict[str, Any]:
    return {"id": "fake-1", "object": kind, "created": 1700000000, "model": attempt.model}


def _usage(attempt: Attempt, cached: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "prompt_tokens": attempt.input_tokens,
        "completion_tokens": attempt.output_tokens,
        "total_tokens": attempt.input_tokens + attempt.output_tokens,
    }
    if cached:
        found["prompt_tokens_details"] = {"cached_tokens": min(cached, attempt.input_tokens)}
    return found


def _sse(tree: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(tree).encode() + b"\n\n"


# ---- speech -----------------------------------------------------------------------------------------


RATE = 24_000  # Hz
BEEP, REST = 0.08, 0.02  # seconds
_LEAST = -30.0  # reported instead of the logarithm of 0


def beeps(text: str) -> bytes:
    """Return signed 16-bit samples at ``RATE``: a tenth of a second for each word."""
    beep = b"".join(
        struct.pack("<h", round(9000 * math.sin(2 * math.pi * 440 * place / RATE))) for place in range(int(RATE * BEEP))
    )
    return (beep + b"\0\0" * int(RATE * REST)) * len(re.findall(r"\S+", text))


def wav(pcm: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(pcm)
    return file.getvalue()


def as_streamed_wav(file: bytes) -> bytes:
    """Return the WAV file as a host sends it before the length is known: with all bits of the sizes set."""
    return file[:4] + b"\xff\xff\xff\xff" + file[8:40] + b"\xff\xff\xff\xff" + file[44:]


def mp3(text: str) -> bytes:
    """Return the start of an MP3 frame and silence: enough for the format to be recognised, but not playable."""
    return b"\xff\xfb\x90\xc4" + bytes(413) * max(1, len(text.split()))


def logprobs(likely: Mapping[str, float], likeliest: str, most: int) -> dict[str, Any]:
    """Return OpenAI's block of probabilities for one word: at most ``most`` entries, the likeliest first."""
    rows = sorted(likely.items(), key=lambda pair: -pair[1])[:most]
    entries = [
        {"token": word, "bytes": list(word.encode()), "logprob": math.log(share) if share > 0 else _LEAST}
        for word, share in rows
    ]
    own = math.log(likely[likeliest]) if likely.get(likeliest, 0) > 0 else _LEAST
    return {
        "content": [{"token": likeliest, "bytes": list(likeliest.encode()), "logprob": own, "top_logprobs": entries}]
    }


# ---- tool calls -------------------------------------------------------------------------------------


Made = tuple[tuple[str, Mapping[str, Any]], ...]
"""Name and arguments of each tool that is called."""
Calls = Made | Callable[[Attempt], Made]


def until_answered(*calls: tuple[str, Mapping[str, Any]]) -> Calls:
    """Return the behaviour of a model with tools: it calls them, and answers in text once a result comes last."""
    return lambda attempt: () if attempt.json["messages"][-1]["role"] == "tool" else calls


def message_tool_calls(tool_calls: Made) -> list[dict[str, Any]]:
    """Return the ``tool_calls`` field of a message."""
    return [
        {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for number, (name, arguments) in enumerate(tool_calls)
    ]


def stream_tool_calls(tool_calls: Made) -> Iterator[dict[str, Any]]:
    """Yield the deltas of a stream: the first has the name, and two more have the arguments."""
    for index, call in enumerate(message_tool_calls(tool_calls)):
        arguments = call["function"]["arguments"]
        head = {**call, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield {"tool_calls": [{"index": index, **head}]}
        for piece in (arguments[:3], arguments[3:]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
