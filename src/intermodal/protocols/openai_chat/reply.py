"""The reply to an OpenAI chat completion: a stream of server-sent events, or one JSON document.

A stream properly ends with a finish reason, and ``[DONE]`` after it is the last event; a document, by being complete.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import Any

from intermodal.protocols.calls import (
    ReasoningDelta,
    RefusalDelta,
    SpeechDelta,
    ToolCallDelta,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.framing.json_body import as_list, as_mapping, as_text, as_token_count
from intermodal.protocols.reply_decoder import ReplyDecoder, arguments_as_json, map_reason, read_logprobs, tool_call_id

# Hosts' words for why the answer ended -> OpenTelemetry GenAI's.
FINISH_REASONS: Mapping[str, str] = {
    "stop": "stop", "eos": "stop", "end_turn": "stop", "stop_sequence": "stop", "complete": "stop",
    "length": "length", "max_tokens": "length", "model_length": "length", "max_output_tokens": "length",
    "content_filter": "content_filter", "safety": "content_filter", "refusal": "content_filter",
    "tool_calls": "tool_call", "function_call": "tool_call", "tool_use": "tool_call",
}  # fmt: skip
_UNSAID = frozenset({"null", "none"})  # a reason that is none, in the words of servers that write it so
_PADDED = re.compile(r"[^=]+={0,2}")


class OpenAIChatDecoder(ReplyDecoder):
    """Decodes a chat completion, streamed or not: a chunk and a whole reply differ little."""

    def __init__(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(endpoint, headers=headers)
        self._base64 = ""  # of speech, until it is four characters
        self._begun: dict[int, tuple[int, str]] = {}  # a host's number of a tool call -> ours, and the id it came with
        self._chosen: Any = None  # which of several choices is the answer

    def _read_event(self, tree: Mapping[str, Any], name: str) -> None:
        self._read_usage(tree.get("usage"), as_text(tree.get("service_tier")))
        ours = self._ours(tree)
        if ours is not None:
            self._read_choice(ours)

    def _read_reply(self, tree: Mapping[str, Any]) -> None:
        self._read_event(tree, "")
        # A whole message is an answer even without a finish reason: nothing is missing from a complete document.
        if isinstance(as_mapping(self._ours(tree)).get("message"), Mapping):
            self.complete = True

    def _ours(self, tree: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the choice that is the answer; None for a chunk of usage alone, which has no choice."""
        choices = [choice for choice in as_list(tree.get("choices")) if isinstance(choice, Mapping)]
        if choices and self._chosen is None:
            self._chosen = chosen_index(choice.get("index") for choice in choices)
        return next((choice for choice in choices if (choice.get("index") or 0) == self._chosen), None)

    def _read_choice(self, choice: Mapping[str, Any]) -> None:
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, Mapping):
            # reasoning_content: DeepSeek, vLLM, llama.cpp; reasoning: OpenRouter, Ollama
            for text in _texts(delta.get("reasoning_content") or delta.get("reasoning")):
                self._out.append(ReasoningDelta(text=text))
            for text in _thoughts(delta.get("content")):
                self._out.append(ReasoningDelta(text=text))
            for text in _texts(delta.get("content")):
                self._out.append(WireTextDelta(text=text))
            self._read_speech(delta.get("audio"), told=bool(delta.get("content")))
            for text in _texts(delta.get("refusal")):
                self._refused = True
                self._out.append(RefusalDelta(text=text))
            self._read_tool_calls(delta.get("tool_calls"))
        self._out += read_logprobs(as_mapping(choice.get("logprobs")).get("content"))
        if self.done:
            return
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and (said := map_finish_reason(reason)):
            if said == "error":  # OpenRouter: the provider failed in mid-answer
                self._fail("the provider failed in the middle of the answer")
                return
            self.complete = True
            self._reason = said

    def _read_speech(self, audio: Any, *, told: bool) -> None:
        """Read a spoken answer: its transcript, unless ``told`` as content, and its base64 audio, which some hosts cut
        anywhere and some pad piece by piece.
        """
        if not isinstance(audio, Mapping):
            return
        for text in () if told else _texts(audio.get("transcript")):
            self._out.append(WireTextDelta(text=text))
        self._base64 += as_text(audio.get("data"))
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
            function = as_mapping(call.get("function"))
            said, index = as_text(call.get("id")), as_token_count(call.get("index"))
            number, new = self._number(place if index is None else index, said)
            self._out.append(
                ToolCallDelta(
                    index=number,
                    id=tool_call_id(said) if new else said,
                    name=as_text(function.get("name")),
                    arguments=arguments_as_json(function.get("arguments")),
                )
            )

    def _number(self, index: int, said: str) -> tuple[int, bool]:
        """Return the number of the call that a piece belongs to, and whether the piece begins it.

        Some servers give all calls one number or none: a different id is a different call.
        """
        number, id_ = self._begun.get(index, (-1, ""))
        if number >= 0 and (not said or said == id_ or not id_):
            return number, False
        taken = [number for number, _ in self._begun.values()]
        number = index if number < 0 and index not in taken else max(taken) + 1
        self._begun[index] = number, said
        return number, True

    def _read_usage(self, usage: Any, tier: str) -> None:
        if isinstance(usage, Mapping):
            self._usage = read_usage(usage, tier)


def map_finish_reason(reason: str) -> str:
    """Return OpenTelemetry GenAI's word for a finish reason if there is one; "" for an empty reason."""
    said = reason.lower()
    return "" if said in _UNSAID else map_reason(FINISH_REASONS, said)


def chosen_index(indexes: Iterable[Any]) -> Any:
    """Return which of the first choices is the answer, for a host that sends several where one was requested."""
    found = [index or 0 for index in indexes]
    return 0 if 0 in found else found[0]


def read_usage(usage: Mapping[str, Any], tier: str = "") -> WireUsage:
    """Return OpenAI's usage block, in the spellings of chat, responses, transcriptions, images and embeddings.

    ``tier`` is ``service_tier``, which stands beside it. Some hosts report cached tokens elsewhere: DeepSeek
    (``prompt_cache_hit_tokens``), Moonshot (``cached_tokens``).
    """
    given = as_mapping(
        usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or usage.get("input_token_details")
    )
    made = as_mapping(
        usage.get("completion_tokens_details")
        or usage.get("output_tokens_details")
        or usage.get("output_token_details")
    )
    cached = (given.get("cached_tokens"), usage.get("prompt_cache_hit_tokens"), usage.get("cached_tokens"))
    seconds = usage.get("seconds", usage.get("prompt_audio_seconds"))  # OpenAI; Mistral
    return WireUsage(
        input_tokens=as_token_count(usage.get("prompt_tokens", usage.get("input_tokens"))),
        output_tokens=with_reasoning(
            as_token_count(usage.get("prompt_tokens", usage.get("input_tokens"))),
            as_token_count(usage.get("completion_tokens", usage.get("output_tokens"))),
            as_token_count(made.get("reasoning_tokens")),
            as_token_count(usage.get("total_tokens")),
        ),
        cached_tokens=next((number for value in cached if (number := as_token_count(value)) is not None), None),
        cache_write_tokens=as_token_count(given.get("cache_write_tokens")),
        reasoning_tokens=as_token_count(made.get("reasoning_tokens")),
        audio_tokens=as_token_count(made.get("audio_tokens")),
        image_tokens=as_token_count(made.get("image_tokens")),
        seconds=float(seconds) if isinstance(seconds, (int, float)) and 0 <= seconds < 1e9 else None,
        input_by_modality=_modalities(given),
        cached_by_modality=_modalities(as_mapping(given.get("cached_tokens_details"))),
        tier=tier.lower(),
    )


def _modalities(told: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    names = ("text_tokens", "image_tokens", "audio_tokens", "video_tokens")
    return tuple(
        (name.removesuffix("_tokens"), number)
        for name in names
        if (number := as_token_count(told.get(name))) is not None
    )


def with_reasoning(given: int | None, made: int | None, thought: int | None, whole: int | None) -> int | None:
    """Return the output tokens including reasoning, which xAI excludes from ``completion_tokens``: where the total is
    the sum of all three, it was excluded.
    """
    if thought and made is not None and given is not None and whole == given + made + thought:
        return made + thought
    return made


def _thoughts(content: Any) -> list[str]:
    """Return reasoning that arrives as parts of the content (Mistral)."""
    parts = content if isinstance(content, list) else []
    thinking = [part.get("thinking") for part in parts if isinstance(part, Mapping) and part.get("type") == "thinking"]
    return [text for each in thinking for text in _texts(each)]


def _texts(content: Any) -> list[str]:
    """Return the text of a delta's content: a string, or a list of parts (Mistral)."""
    if isinstance(content, str):
        return [content] if content else []
    parts = content if isinstance(content, list) else []
    return [part["text"] for part in parts if isinstance(part, Mapping) and isinstance(part.get("text"), str)]
