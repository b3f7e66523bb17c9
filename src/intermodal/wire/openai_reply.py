"""The reply to an OpenAI chat completion: a stream of server-sent events, or one JSON document.

The decoder ends in exactly one :class:`Finish` or :class:`Error`. A stream that stops without a finish
reason or ``[DONE]`` was cut; selling its text as an answer would be a lie.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

from intermodal import errors
from intermodal.wire import status
from intermodal.wire._json import count, loads
from intermodal.wire.call import (
    Candidates,
    Error,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    SpeechDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
    WireEvent,
)
from intermodal.wire.sse import LineTooLong, SseEvent, SseReader

MAX_DOCUMENT = 64 << 20  # bytes of a reply that is not a stream

# Hosts' words for why the answer ended -> OpenTelemetry GenAI's.
FINISH_REASONS: Mapping[str, str] = {
    "stop": "stop", "eos": "stop", "end_turn": "stop", "stop_sequence": "stop", "complete": "stop",
    "length": "length", "max_tokens": "length", "model_length": "length", "max_output_tokens": "length",
    "content_filter": "content_filter", "safety": "content_filter", "refusal": "content_filter",
    "tool_calls": "tool_call", "function_call": "tool_call", "tool_use": "tool_call",
}  # fmt: skip
_PADDED = re.compile(r"[^=]+={0,2}")
_BLANK = b"\xef\xbb\xbf \t\r\n"  # what may stand before the first byte that means something


class Decoder:
    """Feed it the body of a 2xx reply as it arrives, then ``close`` it.

    ``done`` becomes True at ``[DONE]`` or an error: read no further. ``complete`` becomes True with the
    finish reason: some hosts then send usage, some nothing and keep the connection open, so wait a
    moment at most and close.
    """

    def __init__(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        """``headers`` of the reply, with lower-case names, help to classify an error inside it."""
        self.done = False
        self.complete = False
        self._endpoint = endpoint
        self._headers = headers or {}
        self._started = False
        self._document: bytearray | None = None  # not None once the reply turned out to be one JSON document
        self._sse = SseReader()
        self._reason = ""
        self._refused = False
        self._base64 = ""  # of speech, until it is four characters
        self._usage: Usage | None = None
        self._out: list[WireEvent] = []

    def feed(self, chunk: bytes) -> list[WireEvent]:
        if not self._started:
            chunk = chunk.lstrip(_BLANK)
            if chunk:
                self._started = True
                # No stream begins with a brace.
                self._document = bytearray() if chunk.startswith(b"{") else None
        if self.done or not chunk:
            return []
        if self._document is None:
            try:
                self._read_events(self._sse.feed(chunk))
            except LineTooLong:
                self._fail("sent a line without end")
        elif len(self._document) + len(chunk) > MAX_DOCUMENT:
            self._fail("sent a reply without end")
        else:
            self._document += chunk
        return self._take()

    def close(self) -> list[WireEvent]:
        """The body ended. Gives what is left, ending in Finish or Error unless that was given already."""
        if not self.done:
            if self._document is not None:
                self._read_json(bytes(self._document))
            else:
                self._read_events(self._sse.close())
        if not self.done:
            if self.complete:
                self._finish()
            else:
                self._fail("the stream ended in the middle of the answer")
        return self._take()

    def _take(self) -> list[WireEvent]:
        out, self._out = self._out, []
        return out

    def _read_events(self, events: list[SseEvent]) -> None:
        for event in events:
            if self.done:
                return
            data = event.data.strip()
            if data == "[DONE]":
                self._finish()
            elif data:  # an event of nothing keeps a connection alive
                self._read_json(event.data, failed=event.event == "error")

    def _read_json(self, data: bytes | str, *, failed: bool = False) -> None:
        try:
            tree = loads(data)
        except ValueError:
            self._fail("the stream broke: what came is not whole JSON")
            return
        if not isinstance(tree, Mapping):
            return
        if failed or tree.get("error") or tree.get("object") == "error":
            self._out_usage()
            self._end(Error(error=status.classify(200, self._headers, tree, self._endpoint)))
            return
        self._read_usage(tree.get("usage"))
        choices = tree.get("choices")
        # With one answer asked for there is one choice; a chunk of usage alone has none.
        if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
            self._read_choice(choices[0])

    def _read_choice(self, choice: Mapping[str, Any]) -> None:
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, Mapping):
            # reasoning_content: DeepSeek, vLLM, llama.cpp; reasoning: OpenRouter, Ollama
            for text in _texts(delta.get("reasoning_content") or delta.get("reasoning")):
                self._out.append(ReasoningDelta(text=text))
            for text in _texts(delta.get("content")):
                self._out.append(TextDelta(text=text))
            self._read_speech(delta.get("audio"))
            for text in _texts(delta.get("refusal")):
                self._refused = True
                self._out.append(RefusalDelta(text=text))
            self._read_tool_calls(delta.get("tool_calls"))
        for candidates in _candidates(choice.get("logprobs")):
            self._out.append(candidates)
        if self.done:
            return
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            if reason.lower() == "error":  # OpenRouter: the provider failed in the middle
                self._fail("the provider failed in the middle of the answer")
                return
            self.complete = True
            self._reason = FINISH_REASONS.get(reason.lower(), status.quote(reason.lower())[:40])

    def _read_speech(self, audio: Any) -> None:
        """A spoken answer: its words, and its sound in base64, which some hosts cut anywhere and some pad in pieces."""
        if not isinstance(audio, Mapping):
            return
        for text in _texts(audio.get("transcript")):
            self._out.append(TextDelta(text=text))
        self._base64 += _word(audio.get("data"))
        whole = len(self._base64) // 4 * 4
        now, self._base64 = self._base64[:whole], self._base64[whole:]
        try:
            data = b"".join(b64decode(piece, validate=True) for piece in _PADDED.findall(now))
        except ValueError:
            self._fail("sent speech that is not base64")
            return
        if data:
            self._out.append(SpeechDelta(data=data))

    def _read_tool_calls(self, calls: Any) -> None:
        for place, call in enumerate(calls if isinstance(calls, list) else ()):
            if not isinstance(call, Mapping):
                continue
            function = call.get("function")
            function = function if isinstance(function, Mapping) else {}
            index = count(call.get("index"))
            self._out.append(
                ToolCallDelta(
                    index=place if index is None else index,
                    id=_word(call.get("id")),
                    name=_word(function.get("name")),
                    arguments=_word(function.get("arguments")),
                )
            )

    def _read_usage(self, usage: Any) -> None:
        if isinstance(usage, Mapping):
            self._usage = read_usage(usage)

    def _finish(self) -> None:
        self._out_usage()
        self._end(Finish(reason="content_filter" if self._refused else self._reason or "stop"))

    def _fail(self, what: str) -> None:
        self._out_usage()
        self._end(Error(error=errors.StreamCut(what, where=self._endpoint, todo="ask again")))

    def _out_usage(self) -> None:
        if self._usage is not None:
            self._out.append(self._usage)

    def _end(self, event: Finish | Error) -> None:
        self.done = True
        self._out.append(event)


def read_usage(usage: Mapping[str, Any]) -> Usage:
    """OpenAI's usage block, in the chat, transcription and embedding spellings."""
    given = usage.get("prompt_tokens_details") or usage.get("input_token_details") or {}
    made = usage.get("completion_tokens_details") or {}
    given = given if isinstance(given, Mapping) else {}
    made = made if isinstance(made, Mapping) else {}
    modalities = [
        (name.removesuffix("_tokens"), number)
        for name in ("text_tokens", "image_tokens", "audio_tokens", "video_tokens")
        if (number := count(given.get(name))) is not None
    ]
    seconds = usage.get("seconds", usage.get("prompt_audio_seconds"))  # OpenAI; Mistral
    return Usage(
        input_tokens=count(usage.get("prompt_tokens", usage.get("input_tokens"))),
        output_tokens=count(usage.get("completion_tokens", usage.get("output_tokens"))),
        cached_tokens=count(given.get("cached_tokens")),
        reasoning_tokens=count(made.get("reasoning_tokens")),
        audio_tokens=count(made.get("audio_tokens")),
        seconds=float(seconds) if isinstance(seconds, (int, float)) and 0 <= seconds < 1e9 else None,
        input_by_modality=tuple(modalities),
    )


def _candidates(logprobs: Any) -> Iterator[Candidates]:
    """One for each word of the answer that came with the likeliest others in its place."""
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    for place in content if isinstance(content, list) else ():
        rows = place.get("top_logprobs") if isinstance(place, Mapping) else None
        words = tuple(
            (row["token"], float(row["logprob"]))
            for row in (rows if isinstance(rows, list) else ())
            if isinstance(row, Mapping)
            and isinstance(row.get("token"), str)
            and isinstance(row.get("logprob"), (int, float))
        )
        if words:
            yield Candidates(words=words)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(content: Any) -> list[str]:
    """The text in a delta's content: a string, or a list of parts (Mistral)."""
    if isinstance(content, str):
        return [content] if content else []
    parts = content if isinstance(content, list) else []
    return [part["text"] for part in parts if isinstance(part, Mapping) and isinstance(part.get("text"), str)]
