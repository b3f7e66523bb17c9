"""The reply of generateContent: a stream of replies that each add something, a single reply, or a list of them."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from intermodal.protocols.calls import (
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    SpeechDelta,
    ToolCallDelta,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.framing.json_body import as_list, as_mapping, as_text, as_token_count, dumps
from intermodal.protocols.gemini.thought_signatures import FIELD, OWN, signature_block
from intermodal.protocols.reply_decoder import ReplyDecoder, map_reason, read_logprobs, tool_call_id

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


class GeminiDecoder(ReplyDecoder):
    """Decodes a reply. It properly ends with a finish reason or a blocked prompt; only the end of the body follows."""

    def __init__(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(endpoint, headers=headers)
        self._calls = 0

    def _read_event(self, tree: Mapping[str, Any], name: str) -> None:
        self._read_usage(as_mapping(tree.get("usageMetadata")))
        blocked = as_mapping(tree.get("promptFeedback"))
        if blocked.get("blockReason"):
            self._end_with("content_filter", as_text(blocked.get("blockReasonMessage")))
        candidates = as_list(tree.get("candidates"))
        if not candidates:
            return
        candidate = as_mapping(candidates[0])
        for part in as_list(as_mapping(candidate.get("content")).get("parts")):
            self._read_part(as_mapping(part))
        places = as_mapping(candidate.get("logprobsResult")).get("topCandidates")
        self._out += read_logprobs(places, rows="candidates", share="logProbability")
        reason = as_text(candidate.get("finishReason"))
        if reason in _BROKEN:
            self._fail("the model called a tool in a way that cannot be read")
        elif reason and reason != "FINISH_REASON_UNSPECIFIED":
            said = map_reason(FINISH_REASONS, reason)
            said = "tool_call" if said == "stop" and self._calls else said
            self._end_with(said, as_text(candidate.get("finishMessage")) if said == "content_filter" else "")

    def _read_part(self, part: Mapping[str, Any]) -> None:
        signature = as_text(part.get(FIELD))
        if part.get("thought"):
            self._out.append(ReasoningDelta(text=as_text(part.get("text")), signature=signature))
            return
        if signature:  # it belongs to the part that follows it here
            self._out.append(OpaqueBlock(wire=OWN, body=signature_block(signature).body))
        if "functionCall" in part:
            self._read_call(as_mapping(part["functionCall"]))
        elif "text" in part:
            if text := as_text(part["text"]):
                self._out.append(WireTextDelta(text=text))
        elif "inlineData" in part:
            self._read_media(as_mapping(part["inlineData"]))
        elif set(part) - {FIELD}:
            self._out.append(OpaqueBlock(wire=OWN, body=dumps(part).decode()))

    def _read_call(self, call: Mapping[str, Any]) -> None:
        """Read a whole call. Older models give it no id; it then gets one, so that its result can refer to it."""
        index, self._calls = self._calls, self._calls + 1
        self._out.append(
            ToolCallDelta(
                index=index,
                id=tool_call_id(as_text(call.get("id"))),
                name=as_text(call.get("name")),
                arguments=dumps(as_mapping(call.get("args"))).decode(),
            )
        )

    def _read_media(self, data: Mapping[str, Any]) -> None:
        """Read audio samples; images are not requested over this protocol."""
        if not as_text(data.get("mimeType")).startswith("audio/"):
            return
        try:
            self._out.append(SpeechDelta(data=b64decode(as_text(data.get("data")), validate=True)))
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


def read_usage(usage: Mapping[str, Any]) -> WireUsage:
    """Return the totals so far. ``candidatesTokenCount`` excludes reasoning, ``promptTokenCount`` what tools added."""
    given, made = as_token_count(usage.get("promptTokenCount")), as_token_count(usage.get("candidatesTokenCount"))
    thought, fed = as_token_count(usage.get("thoughtsTokenCount")), as_token_count(usage.get("toolUsePromptTokenCount"))
    came = dict(_modalities(usage, "candidatesTokensDetails"))
    return WireUsage(
        input_tokens=None if given is None else given + (fed or 0),
        output_tokens=None if made is None and thought is None else (made or 0) + (thought or 0),
        cached_tokens=as_token_count(usage.get("cachedContentTokenCount")),
        reasoning_tokens=thought,
        audio_tokens=came.get("audio"),
        image_tokens=came.get("image"),
        input_by_modality=_modalities(usage, "promptTokensDetails", "toolUsePromptTokensDetails"),
        cached_by_modality=_modalities(usage, "cacheTokensDetails"),
    )


def _modalities(usage: Mapping[str, Any], *names: str) -> tuple[tuple[str, int], ...]:
    """Return the counts by modality over several lists."""
    found: dict[str, int] = {}
    for row in (as_mapping(each) for name in names for each in as_list(usage.get(name))):
        number, modality = as_token_count(row.get("tokenCount")), as_text(row.get("modality")).lower()
        if number is not None and modality:
            found[modality] = found.get(modality, 0) + number
    return tuple(found.items())
