"""OpenAI chat completions, as a host answers: one set of types, read by a run and by a direct call.

A whole reply and a chunk of a stream differ little. ``OpenAIChatDecoder`` makes events of them, for runs and for
replies that are written again; ``read_reply`` tells of one what a passthrough needs to know of the bytes that it
forwards.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from msgspec.structs import replace

from intermodal.protocols.calls import (
    ReasoningDelta,
    RefusalDelta,
    SpeechDelta,
    ToolCallDelta,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.framing.host_json import NOT_DECODED, HostDecoder, HostObject, HostReply
from intermodal.protocols.framing.json_body import (
    TokenCount,
    as_mapping,
    as_text,
    as_token_count,
    dumps,
    has_valid_counts,
    join_object,
    split_object,
)
from intermodal.protocols.framing.surrogates import without_lone_surrogates
from intermodal.protocols.openai_chat.server import write_usage
from intermodal.protocols.reply_chunk import ReplyChunk
from intermodal.protocols.reply_decoder import ReplyDecoder, arguments_as_json, map_reason, read_logprobs, tool_call_id

# Hosts' finish reasons -> OpenTelemetry GenAI's.
FINISH_REASONS: Mapping[str, str] = {
    "stop": "stop", "eos": "stop", "end_turn": "stop", "stop_sequence": "stop", "complete": "stop",
    "length": "length", "max_tokens": "length", "model_length": "length", "max_output_tokens": "length",
    "content_filter": "content_filter", "safety": "content_filter", "refusal": "content_filter",
    "tool_calls": "tool_call", "function_call": "tool_call", "tool_use": "tool_call",
}  # fmt: skip
_NO_FINISH = frozenset({"null", "none"})  # values by which some servers write an absent reason
_PADDED = re.compile(r"[^=]+={0,2}")
_NULL = b"null"
_UNSAID = msgspec.Raw()
FAILED = "error"  # the finish reason of OpenRouter for a provider that failed midway

# ---- the types of a reply ----------------------------------------------------------------------


class ReplyText(HostObject):
    """A part of what stands beside an answer's text."""

    text: str | None = None


class ContentPart(ReplyText):
    """A part of an answer's content (Mistral): text, or reasoning."""

    CONTENT = frozenset({"text"})

    type: str | None = None
    thinking: str | list[ReplyText] | None = None


class CallFunction(HostObject):
    name: str | None = None
    arguments: Any = None  # JSON in a string; some servers send an object


class CallPiece(HostObject):
    """A tool call, or a piece of one."""

    index: TokenCount | None = None
    id: str | None = None
    type: str | None = None
    function: CallFunction | None = None

    @property
    def is_plain(self) -> bool:
        """True if it is a whole call with everything that clients rely on."""
        function = self.function or _NO_FUNCTION
        return self.type == "function" and bool(self.id and function.arguments) and function.name is not None


class AnswerPiece(HostObject):
    """A message, or a piece of one.

    ``reasoning_content``: of DeepSeek, vLLM and llama.cpp; ``reasoning``: of OpenRouter and Ollama.
    """

    CONTENT = frozenset({"content"})

    content: str | list[ContentPart] | None = None
    refusal: str | list[ReplyText] | None = None
    reasoning_content: str | list[ReplyText] | None = None
    reasoning: str | list[ReplyText] | None = None
    tool_calls: list[CallPiece] | None = None
    audio: Any = None


class Choice(HostObject):
    CONTENT = frozenset({"message", "delta"})

    message: AnswerPiece | None = None
    delta: AnswerPiece | None = None
    finish_reason: str | None = None
    index: Any = None
    logprobs: Any = None

    def answer_piece(self, *, is_document: bool) -> AnswerPiece:
        """Return the answer, or a piece of it. Some hosts send both in either (Perplexity)."""
        first, second = (self.message, self.delta) if is_document else (self.delta, self.message)
        return first or second or _NOTHING


class ChatReply(HostReply):
    """A whole reply, or a chunk of a stream."""

    choices: list[Choice] | None = None
    usage: msgspec.Raw = _UNSAID
    model: msgspec.Raw = msgspec.Raw()
    service_tier: str | None = None

    def read_usage(self) -> tuple[WireUsage | None, bytes]:
        """Return the usage, None if it has none, and the usage object for clients. Raises MsgspecError."""
        raw = bytes(self.usage)
        if not raw or raw == _NULL:
            return None, raw
        usage, plain = usage_in(raw, self.service_tier or "")
        return usage, raw if plain else dumps(write_usage(usage))


_NEEDED = ("prompt_tokens", "completion_tokens", "total_tokens")


class _Given(msgspec.Struct, forbid_unknown_fields=True):
    cached_tokens: TokenCount | None = None
    audio_tokens: TokenCount | None = None


class _OutputTokenDetails(msgspec.Struct, forbid_unknown_fields=True):
    reasoning_tokens: TokenCount | None = None
    audio_tokens: TokenCount | None = None
    accepted_prediction_tokens: TokenCount | None = None
    rejected_prediction_tokens: TokenCount | None = None


class _Counts(msgspec.Struct, forbid_unknown_fields=True):
    """Usage as OpenAI and most others write it."""

    prompt_tokens: TokenCount
    completion_tokens: TokenCount
    total_tokens: TokenCount
    prompt_tokens_details: _Given | None = None
    completion_tokens_details: _OutputTokenDetails | None = None


_NOTHING, _NO_CHOICE, _NO_FUNCTION = AnswerPiece(), Choice(), CallFunction()
_NO_INPUT_DETAILS, _NO_OUTPUT_DETAILS = _Given(), _OutputTokenDetails()
_replies = HostDecoder(ChatReply)
_reply, _any = _replies.decode, msgspec.json.Decoder(dict[str, Any])
_raws, _choice = msgspec.json.Decoder(list[msgspec.Raw]), msgspec.json.Decoder(Choice)
_counts = msgspec.json.Decoder(_Counts)


def map_finish_reason(reason: str) -> str:
    """Return OpenTelemetry GenAI's name of a finish reason if there is one; "" for an empty reason."""
    host_reason = reason.lower()
    return "" if host_reason in _NO_FINISH else map_reason(FINISH_REASONS, host_reason)


def chosen_index(indexes: Iterable[Any]) -> Any:
    """Return the index of the choice that is the answer, for a host that sends several although one was requested."""
    found = [index or 0 for index in indexes]
    return 0 if 0 in found else found[0]


def read_usage(usage: Mapping[str, Any], tier: str = "") -> WireUsage:
    """Return the usage in OpenAI's block, in the spellings of chat, responses, transcriptions, images and embeddings.

    ``tier``: the field ``service_tier`` beside it.
    """
    return read_counts(usage, tier).without_excess()


def read_counts(usage: Mapping[str, Any], tier: str) -> WireUsage:
    """Return the usage as written.

    Some hosts report cached tokens elsewhere: DeepSeek (``prompt_cache_hit_tokens``), Moonshot (``cached_tokens``).
    """
    input_details = as_mapping(
        usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or usage.get("input_token_details")
    )
    output_details = as_mapping(
        usage.get("completion_tokens_details")
        or usage.get("output_tokens_details")
        or usage.get("output_token_details")
    )
    cached = (input_details.get("cached_tokens"), usage.get("prompt_cache_hit_tokens"), usage.get("cached_tokens"))
    seconds = usage.get("seconds", usage.get("prompt_audio_seconds"))  # OpenAI; Mistral
    return WireUsage(
        input_tokens=as_token_count(usage.get("prompt_tokens", usage.get("input_tokens"))),
        output_tokens=with_reasoning(
            as_token_count(usage.get("prompt_tokens", usage.get("input_tokens"))),
            as_token_count(usage.get("completion_tokens", usage.get("output_tokens"))),
            as_token_count(output_details.get("reasoning_tokens")),
            as_token_count(usage.get("total_tokens")),
        ),
        cached_tokens=next((number for value in cached if (number := as_token_count(value)) is not None), None),
        cache_write_tokens=as_token_count(input_details.get("cache_write_tokens")),
        reasoning_tokens=as_token_count(output_details.get("reasoning_tokens")),
        audio_tokens=as_token_count(output_details.get("audio_tokens")),
        image_tokens=as_token_count(output_details.get("image_tokens")),
        seconds=float(seconds) if isinstance(seconds, (int, float)) and 0 <= seconds < 1e9 else None,
        input_by_modality=_modalities(input_details),
        cached_by_modality=_modalities(as_mapping(input_details.get("cached_tokens_details"))),
        tier=tier.lower(),
    )


def _modalities(details: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    names = ("text_tokens", "image_tokens", "audio_tokens", "video_tokens")
    return tuple(
        (name.removesuffix("_tokens"), number)
        for name in names
        if (number := as_token_count(details.get(name))) is not None
    )


def with_reasoning(
    input_tokens: int | None, output_tokens: int | None, reasoning_tokens: int | None, total_tokens: int | None
) -> int | None:
    """Return the output tokens including reasoning, which xAI excludes from ``completion_tokens``.

    If the total is the sum of all three counts, reasoning was excluded.
    """
    if (
        reasoning_tokens
        and output_tokens is not None
        and input_tokens is not None
        and total_tokens == input_tokens + output_tokens + reasoning_tokens
    ):
        return output_tokens + reasoning_tokens
    return output_tokens


def usage_in(raw_usage: bytes, tier: str) -> tuple[WireUsage, bool]:
    """Return the usage as ``read_usage`` does, and whether it can be passed to a client unchanged.

    Usage in the common form is parsed in a tenth of the time. Raises msgspec.MsgspecError if it is not an object.
    """
    try:
        counts = _counts.decode(raw_usage)
    except msgspec.ValidationError:
        tree = _any.decode(raw_usage)
        usage = read_counts(tree, tier)
        sound = usage.without_excess()
        return sound, sound is usage and has_valid_counts(tree, _NEEDED)
    input_details, output_details = (
        counts.prompt_tokens_details or _NO_INPUT_DETAILS,
        counts.completion_tokens_details or _NO_OUTPUT_DETAILS,
    )
    reasoning_tokens = output_details.reasoning_tokens
    out = with_reasoning(counts.prompt_tokens, counts.completion_tokens, reasoning_tokens, counts.total_tokens)
    usage = WireUsage(
        input_tokens=counts.prompt_tokens, output_tokens=out, cached_tokens=input_details.cached_tokens,
        reasoning_tokens=reasoning_tokens, audio_tokens=output_details.audio_tokens, tier=tier.lower(),
        input_by_modality=() if input_details.audio_tokens is None else (("audio", input_details.audio_tokens),),
    )  # fmt: skip
    sound = usage.without_excess()
    return sound, sound is usage


# ---- a reply as events -------------------------------------------------------------------------


class OpenAIChatDecoder(ReplyDecoder):
    """Decodes a chat completion, streamed or not.

    ``calls``: a host's index of each tool call that has begun -> ours, and its id. ``chosen``: the index of the choice
    that is the answer, None until it is known.
    """

    replies = _replies

    def __init__(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(endpoint, headers=headers)
        self.calls: dict[int, tuple[int, str]] = {}
        self._base64 = ""  # of speech, until four characters are available
        self.chosen: Any = None

    def _read_event(self, reply: ChatReply, name: str) -> None:
        self._read_counts(reply)
        answer_choice = self._answer_choice(reply)
        if answer_choice is not None:
            self._read_choice(answer_choice, is_document=False)

    def _read_reply(self, reply: ChatReply) -> None:
        self._read_counts(reply)
        answer_choice = self._answer_choice(reply)
        if answer_choice is not None:
            self._read_choice(answer_choice, is_document=True)
            # A whole message is an answer even without a finish reason: nothing is missing from a complete document.
            self.complete = self.complete or answer_choice.message is not None

    def _read_counts(self, reply: ChatReply) -> None:
        with suppress(msgspec.MsgspecError):  # it is not an object
            self._usage = reply.read_usage()[0] or self._usage

    def _answer_choice(self, reply: ChatReply) -> Choice | None:
        """Return the choice that is the answer; None for a chunk with usage only, which has no choice."""
        choices = reply.choices or ()
        if choices and self.chosen is None:
            self.chosen = chosen_index(choice.index for choice in choices)
        return next((choice for choice in choices if (choice.index or 0) == self.chosen), None)

    def _read_choice(self, choice: Choice, *, is_document: bool) -> None:
        piece = choice.answer_piece(is_document=is_document)
        thoughts = _join_texts(piece.reasoning_content or piece.reasoning)
        content, has_content = piece.content, bool(piece.content)
        if isinstance(content, list):
            thoughts += "".join(_join_texts(part.thinking) for part in content if part.type == "thinking")
            content = "".join(part.text or "" for part in content)
        if thoughts:
            self._out.append(ReasoningDelta(text=thoughts))
        if content:
            self._out.append(WireTextDelta(text=content))
        if piece.audio:
            self._read_speech(piece.audio, has_content=has_content)
        if refusal := _join_texts(piece.refusal):
            self._refused = True
            self._out.append(RefusalDelta(text=refusal))
        for place, call in enumerate(piece.tool_calls or ()):
            self._read_call(call, place)
        if choice.logprobs:
            self._out += read_logprobs(as_mapping(choice.logprobs).get("content"))
        if self.done or not choice.finish_reason or not (reason := map_finish_reason(choice.finish_reason)):
            return
        if reason == FAILED:
            self._raise_invalid("the provider failed in the middle of the answer")
            return
        self.complete = True
        self._reason = reason

    def _read_speech(self, audio: Any, *, has_content: bool) -> None:
        """Read a spoken answer: its transcript, unless ``has_content``, and its audio in base64.

        Some hosts cut the base64 anywhere and some pad it piece by piece.
        """
        if not isinstance(audio, Mapping):
            return
        if not has_content and (text := as_text(audio.get("transcript"))):
            self._out.append(WireTextDelta(text=text))
        self._base64 += as_text(audio.get("data"))
        complete_length = len(self._base64) // 4 * 4
        now, self._base64 = self._base64[:complete_length], self._base64[complete_length:]
        try:
            data = b"".join(b64decode(piece, validate=True) for piece in _PADDED.findall(now))
        except ValueError:
            self._raise_invalid("sent speech that is not base64")
            return
        if data:
            self._out.append(SpeechDelta(data=data))

    def _read_call(self, call: CallPiece, place: int) -> None:
        function, call_id = call.function or _NO_FUNCTION, call.id or ""
        number, new = self._call_index(place if call.index is None else call.index, call_id)
        self._out.append(
            ToolCallDelta(
                index=number,
                id=tool_call_id(call_id) if new else call_id,
                name=function.name or "",
                arguments=arguments_as_json(function.arguments),
            )
        )

    def _call_index(self, index: int, call_id: str) -> tuple[int, bool]:
        """Return the index of the call that a piece belongs to, and whether the piece begins it.

        Some servers give all calls the same index or none: a different id is a different call.
        """
        number, id_ = self.calls.get(index, (-1, ""))
        if number >= 0 and (not call_id or call_id == id_ or not id_):
            return number, False
        used_numbers = [number for number, _ in self.calls.values()]
        number = index if number < 0 and index not in used_numbers else max(used_numbers) + 1
        self.calls[index] = number, call_id
        return number, True


def _join_texts(texts: str | list[ReplyText] | None) -> str:
    """Return the text of what stands beside the content, such as reasoning."""
    return "".join(part.text or "" for part in texts) if isinstance(texts, list) else texts or ""


# ---- a reply as it is forwarded ----------------------------------------------------------------


UNCOUNTED = dumps(write_usage(WireUsage()))  # the usage that clients get if a host reports none


def read_reply(data: bytes | memoryview, *, is_document: bool = True) -> ReplyChunk | None:
    """Return what a reply holds; None if it is unusual or an error: then it is decoded, and written again.

    ``is_document``: it is not a chunk of a stream.
    """
    try:
        reply = _reply(data)
        usage, raw_usage = (None, b"") if reply.usage is _UNSAID else reply.read_usage()
    except NOT_DECODED:
        return _read_split_chunk(bytes(data), is_document=is_document)
    if reply.is_error:
        return None
    model = bytes(reply.model)
    if not reply.choices:
        return ReplyChunk("", False, "", "", usage, raw_usage, model, (), alive=False, indexes=())
    choice = reply.choices[0]
    answer = choice.answer_piece(is_document=is_document)
    text = "" if answer.content is None else answer.content
    thoughts = answer.reasoning_content or answer.reasoning or ""
    refusal = "" if answer.refusal is None else answer.refusal
    calls, reason = answer.tool_calls, choice.finish_reason or ""
    if type(text) is not str or type(thoughts) is not str or type(refusal) is not str or answer.audio:
        return None
    visible = text.strip() != "" or (thoughts != "" and thoughts.strip() != "")
    single_choice = len(reply.choices) == 1
    if single_choice and not (refusal or calls or reason or choice.index):  # as nearly all are
        return ReplyChunk(text, visible, "", "", usage, raw_usage, model, (), alive=visible, beside=thoughts)
    indexes = (choice.index or 0,) if single_choice else tuple([each.index or 0 for each in reply.choices])
    begun_calls: tuple[tuple[int, str, str], ...] = ()
    if calls:
        found = _tool_calls_in(calls, is_document=is_document)
        if found is None:
            return None
        begun_calls, arguments = found
        visible = visible or arguments.strip() != "" or any(name for _, _, name in begun_calls)
        thoughts += arguments
    finish = FINISH_REASONS.get(reason) or (map_finish_reason(reason) if reason else "")
    if finish == FAILED:
        return None
    alive = visible or refusal.strip() != ""
    piece = ReplyChunk(
        text, visible, refusal, finish, usage, raw_usage, model, begun_calls, False, alive, indexes, thoughts
    )
    return None if is_document and begun_calls and piece.unclear({}) else piece


def _tool_calls_in(
    call_pieces: list[CallPiece], *, is_document: bool
) -> tuple[tuple[tuple[int, str, str], ...], str] | None:
    """Return tool calls by index, id and name, and their arguments.

    None if these are not text, or if a call of a whole reply (``is_document``) is not as its protocol has it.
    """
    calls, arguments = list[tuple[int, str, str]](), ""
    for place, call in enumerate(call_pieces):
        function = call.function or _NO_FUNCTION
        call_arguments = function.arguments or ""
        if call_arguments.__class__ is not str or (is_document and not call.is_plain):
            return None
        calls.append((place if call.index is None else call.index, call.id or "", function.name or ""))
        arguments += call_arguments
    return tuple(calls), arguments


def _read_split_chunk(data: bytes, *, is_document: bool) -> ReplyChunk | None:
    """Read a chunk that splits a character in two; None if it is unreadable for any other reason."""
    without = without_lone_surrogates(data)
    piece = read_reply(without, is_document=is_document) if without is not None else None
    if piece is None or not piece.text:
        return piece
    (parsed,) = _replies.read(data)
    text = (parsed.reply.choices or [_NO_CHOICE])[0].answer_piece(is_document=is_document).content
    return replace(piece, text=text, halved=True)


def of_choice(data: bytes, index: Any) -> bytes:
    """Return a chunk with only the choices of ``index``."""
    fields = split_object(data)
    choices = [raw for raw in _raws.decode(fields["choices"]) if (_choice.decode(raw).index or 0) == index]
    return join_object(fields, {"choices": b"[" + b",".join(map(bytes, choices)) + b"]"})


Decoder = OpenAIChatDecoder  # the name that every protocol has for it
