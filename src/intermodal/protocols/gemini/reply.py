"""The reply of generateContent: a stream of whole replies that each add something, or one, or a list of them."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

from intermodal.protocols.calls import (
    Candidates,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    SpeechDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from intermodal.protocols.errors import classification
from intermodal.protocols.framing.json_body import count, dumps, items, mapping, word
from intermodal.protocols.gemini.thought_signatures import FIELD, OWN, signed
from intermodal.protocols.reply_decoder import Decoding, call_named

# Google's words for why the answer ended -> OpenTelemetry GenAI's.
FINISH_REASONS: Mapping[str, str] = {
    "STOP": "stop", "MAX_TOKENS": "length",
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
         "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR", "ESCALATION"),
        "content_filter",
    ),
}  # fmt: skip
_BROKEN = frozenset({"MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL"})


class Decoder(Decoding):
    """Its proper end is a finish reason, or that the prompt was blocked; nothing follows it but the end of the body."""

    def __init__(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(endpoint, headers=headers)
        self._calls = 0

    def _read_event(self, tree: Mapping[str, Any], name: str) -> None:
        self._read_usage(mapping(tree.get("usageMetadata")))
        blocked = mapping(tree.get("promptFeedback"))
        if blocked.get("blockReason"):
            self._end_with("content_filter", word(blocked.get("blockReasonMessage")))
        candidates = items(tree.get("candidates"))
        if not candidates:
            return
        candidate = mapping(candidates[0])
        for part in items(mapping(candidate.get("content")).get("parts")):
            self._read_part(mapping(part))
        for found in _candidates(mapping(candidate.get("logprobsResult"))):
            self._out.append(found)
        reason = word(candidate.get("finishReason"))
        if reason in _BROKEN:
            self._fail("the model called a tool in a way that cannot be read")
        elif reason and reason != "FINISH_REASON_UNSPECIFIED":
            said = FINISH_REASONS.get(reason, classification.quote(reason.lower())[:40])
            said = "tool_call" if said == "stop" and self._calls else said
            self._end_with(said, word(candidate.get("finishMessage")) if said == "content_filter" else "")

    def _read_part(self, part: Mapping[str, Any]) -> None:
        signature = word(part.get(FIELD))
        if part.get("thought"):
            self._out.append(ReasoningDelta(text=word(part.get("text")), signature=signature))
            return
        if signature:  # it belongs to the part that follows it here
            self._out.append(OpaqueBlock(wire=OWN, body=signed(signature).body))
        if "functionCall" in part:
            self._read_call(mapping(part["functionCall"]))
        elif "text" in part:
            if text := word(part["text"]):
                self._out.append(TextDelta(text=text))
        elif "inlineData" in part:
            self._read_media(mapping(part["inlineData"]))
        elif set(part) - {FIELD}:
            self._out.append(OpaqueBlock(wire=OWN, body=dumps(part).decode()))

    def _read_call(self, call: Mapping[str, Any]) -> None:
        """A whole call at once. Older models give it no id; then it gets one, so that its result can name it."""
        index, self._calls = self._calls, self._calls + 1
        self._out.append(
            ToolCallDelta(
                index=index,
                id=call_named(word(call.get("id"))),
                name=word(call.get("name")),
                arguments=dumps(mapping(call.get("args"))).decode(),
            )
        )

    def _read_media(self, data: Mapping[str, Any]) -> None:
        """Speech comes as samples; pictures are not asked for on this wire."""
        if not word(data.get("mimeType")).startswith("audio/"):
            return
        try:
            self._out.append(SpeechDelta(data=b64decode(word(data.get("data")), validate=True)))
        except ValueError:
            self._fail("sent speech that is not base64")

    def _end_with(self, reason: str, said: str) -> None:
        if said:
            self._out.append(RefusalDelta(text=said))
        self.complete = True
        self._reason = reason

    def _read_usage(self, usage: Mapping[str, Any]) -> None:
        if usage:
            self._usage = read_usage(usage)


def read_usage(usage: Mapping[str, Any]) -> Usage:
    """Totals so far. ``candidatesTokenCount`` leaves out what was thought, the prompt's what tools fed in."""
    given, made = count(usage.get("promptTokenCount")), count(usage.get("candidatesTokenCount"))
    thought, fed = count(usage.get("thoughtsTokenCount")), count(usage.get("toolUsePromptTokenCount"))
    came = dict(_modalities(usage, "candidatesTokensDetails"))
    return Usage(
        input_tokens=None if given is None else given + (fed or 0),
        output_tokens=None if made is None and thought is None else (made or 0) + (thought or 0),
        cached_tokens=count(usage.get("cachedContentTokenCount")),
        reasoning_tokens=thought,
        audio_tokens=came.get("audio"),
        image_tokens=came.get("image"),
        input_by_modality=_modalities(usage, "promptTokensDetails", "toolUsePromptTokensDetails"),
        cached_by_modality=_modalities(usage, "cacheTokensDetails"),
    )


def _modalities(usage: Mapping[str, Any], *names: str) -> tuple[tuple[str, int], ...]:
    """Counts by modality, of some lists of them together."""
    found: dict[str, int] = {}
    for row in (mapping(each) for name in names for each in items(usage.get(name))):
        number, modality = count(row.get("tokenCount")), word(row.get("modality")).lower()
        if number is not None and modality:
            found[modality] = found.get(modality, 0) + number
    return tuple(found.items())


def _candidates(result: Mapping[str, Any]) -> Iterator[Candidates]:
    for place in items(result.get("topCandidates")):
        words = tuple(
            (row["token"], float(row["logProbability"]))
            for row in map(mapping, items(mapping(place).get("candidates")))
            if isinstance(row.get("token"), str) and isinstance(row.get("logProbability"), (int, float))
        )
        if words:
            yield Candidates(words=words)
