"""The answer of a chat, assembled from the decoded events of its reply."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from intermodal.core.content import Opaque, Part, Reasoning, Refusal, Text, ToolCall
from intermodal.events import Thought
from intermodal.executor.drivers.interface import CallResult
from intermodal.protocols.calls import (
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    SpeechDelta,
    TokenLogprobs,
    WireEvent,
    WireText,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.conversation import AssistantTurn, TurnBuilder
from intermodal.protocols.openai_chat import codec as openai_chat_codec


class ChatAnswer:
    """Collects the events of one answer. ``usage``: the counts so far."""

    def __init__(self, events: Iterable[WireEvent] = ()) -> None:
        self.usage = WireUsage()
        self._text: list[str] = []
        self._turn = TurnBuilder()
        self._refusal: list[str] = []
        self._speech: list[bytes] = []
        self._candidates: tuple[tuple[str, float], ...] = ()
        for event in events:
            self.add(event)

    def add(self, event: WireEvent) -> None:
        self._turn.add(event)
        if isinstance(event, WireTextDelta):
            self._text.append(event.text)
        elif isinstance(event, SpeechDelta):
            self._speech.append(event.data)
        elif isinstance(event, TokenLogprobs):
            self._candidates = self._candidates or event.words
        elif isinstance(event, RefusalDelta):
            self._refusal.append(event.text)
        elif isinstance(event, WireUsage):
            self.usage = event

    def stopped_for_loop(self, other_output: str) -> CallResult:
        """Return an answer that was stopped for repeating itself. ``other_output``: output other than its text."""
        return CallResult(text="".join(self._text), finish_reason="length", looped=True, beside=other_output)

    def result(self, other_output: str | None = None, stop_reason: str = "") -> CallResult:
        """Return the whole answer.

        ``other_output``: output other than its text, if it was stopped at a token limit that its host ignored.
        ``stop_reason``: why it ended then.
        """
        overran, turn = other_output is not None, self._turn.build()
        usage = self.usage
        if self._speech and usage.audio_tokens is None:
            # Speech costs more than text: the whole answer counts as speech until its host reports the two separately.
            usage = msgspec.structs.replace(usage, audio_tokens=usage.output_tokens)
        return CallResult(
            text="".join(self._text), refusal="".join(self._refusal), finish_reason=stop_reason or turn.finish,
            stop_sequence="" if overran else turn.stop_sequence, overran=overran, beside=other_output or "",
            candidates=self._candidates,
            pcm=b"".join(self._speech), rate=openai_chat_codec.SPEECH_RATE if self._speech else 0, usage=usage,
            parts=() if overran else _turn_parts(turn),
        )  # fmt: skip


def read_thought(event: WireEvent) -> Thought | None:
    """Return the thought that an event carries; None if it carries none."""
    if isinstance(event, ReasoningDelta):
        return Thought(text=event.text, signature=event.signature, summary=event.summary)
    return Thought(wire=event.wire, body=event.body) if isinstance(event, OpaqueBlock) else None


def _turn_parts(turn: AssistantTurn) -> tuple[Part, ...]:
    """Return the model's output in parts if it is more than text: tool calls, a refusal, and blocks that must be sent
    back unchanged; () for text only.
    """
    parts = tuple(Text(text=part.text) if isinstance(part, WireText) else part for part in turn.parts)
    history_parts = tuple(part for part in parts if isinstance(part, (Text, ToolCall, Reasoning, Refusal, Opaque)))
    return (
        history_parts
        if any(isinstance(part, (ToolCall, Refusal, Opaque)) or _has_signature(part) for part in history_parts)
        else ()
    )


def _has_signature(part: Part) -> bool:
    return isinstance(part, Reasoning) and bool(part.signature)
