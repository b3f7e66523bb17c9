"""Special tokens of chat templates in text from a user or a file, and how they are made harmless. Pure.

A server that renders a prompt (llama.cpp, Ollama, LM Studio, vLLM) puts text between special tokens and then parses the
whole for them, so ``<|im_end|>`` in a file would end the user's turn. A token is *broken up* by a space before its last
character: no vocabulary has a token for the result, people and models can still read it, and ``<s >`` is the same tag
as ``<s>`` to a reader of markup. An invisible character would hide something, which is why those are removed elsewhere.
Tokenizing without special tokens is not enough: llama.cpp still recognises *user-defined* tokens (``<think>``,
``<tool_call>``, in some files ``<start_of_turn>``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import msgspec

from intermodal.core.content import Reasoning, Refusal, ToolCall, ToolResult
from intermodal.core.request import Tool
from intermodal.protocols.calls import ChatCall, WirePart, WireText

# Shapes that many families share. The name may be in any script: DeepSeek writes <｜begin▁of▁sentence｜>.
SHAPES: tuple[str, ...] = (
    r"<\|[^\s<>|]{1,64}\|?>",  # ChatML, Qwen, Llama 3 and 4, Phi, GLM, Granite, Command-R, Harmony, Gemma 4 (begins)
    r"<[^\s<>|]{1,64}\|>",  # Gemma 4 (ends)
    r"<\|[^\s<>|][^<>|\n]{0,62}[^\s<>|]\|>",  # the same with blanks in the name
    "<\uff5c[^<>\uff5c\n]{1,64}\uff5c>",  # DeepSeek
    r"<</?SYS>>",  # Llama 2
    r"<__media[^\s<>]{0,64}>",  # where llama.cpp puts an image
    r"<(?:unused|reserved|extra_id|image|audio|video)_?\d{1,6}>",
    r"<(?:function|parameter)=[^\s<>]{0,64}>",  # Qwen 3 Coder
)
# Tokens in angle brackets (with a slash, too) and in square brackets, by family. Sources: tokenizer_config.json and
# chat_template.jinja that each vendor publishes with its weights.
ANGLE: tuple[str, ...] = (
    "s", "bos", "eos", "pad", "unk", "mask",  # SentencePiece, Gemma, XLM-R
    "start_of_turn", "end_of_turn", "start_of_image", "end_of_image", "start_of_audio", "end_of_audio",  # Gemma
    "image_soft_token", "audio_soft_token", "start_function_call", "end_function_call", "start_function_response",
    "end_function_response", "start_function_declaration", "end_function_declaration",  # Gemma 3n, FunctionGemma
    "BOS_TOKEN", "EOS_TOKEN", "PAD_TOKEN", "UNK_TOKEN", "MASK_TOKEN", "CLS_TOKEN", "SEP_TOKEN", "EOP_TOKEN",  # Cohere
    "sop", "eop", "eot", "eod", "arg_key", "arg_value",  # GLM
    "tool_call", "tool_calls", "tool_response", "tool_result", "tools", "available_tools", "function_call",
    "function_calls", "function_results",  # Hermes, Qwen, Granite, MiniCPM
    "think", "thinking", "seed:think", "seed:bos", "seed:eos", "seed:tool_call",  # Qwen, DeepSeek, Seed
    "fim_prefix", "fim_middle", "fim_suffix", "fim_pad", "begin_of_text", "end_of_text", "endoftext", "im_start",
    "im_end", "end_of_utterance", "fake_token_around_image", "global-img", "vision_start", "vision_end",  # SmolVLM
    "image", "img", "IMG_CONTEXT", "image_pad", "image_placeholder", "image_newline", "im_patch", "audio", "video",
    "speech",  # LLaVA, InternVL, Qwen Audio
)  # fmt: skip
SQUARE: tuple[str, ...] = (
    "INST", "SYSTEM_PROMPT", "AVAILABLE_TOOLS", "TOOL_CALLS", "TOOL_RESULTS", "TOOL_CONTENT", "CALL_ID", "ARGS",
    "IMG", "IMG_BREAK", "IMG_END", "AUDIO", "BEGIN_AUDIO", "THINK", "PREFIX", "MIDDLE", "SUFFIX", "REF",
    "MODEL_SETTINGS", "TOOL_REQUEST", "END_TOOL_REQUEST", "TOOL_RESULT", "END_TOOL_RESULT",  # Mistral, LM Studio
    "gMASK", "sMASK", "MASK", "CLS", "SEP", "PAD", "UNK", "BOS", "EOS", "EOT",  # GLM, BERT
)  # fmt: skip
# Templates in plain words: the headings of Alpaca and of models tuned the same way.
HEADINGS: tuple[str, ...] = ("Instruction", "Input", "Response", "System", "User", "Assistant", "Human")

_TIMES = 8  # passes over a text, since breaking up one token may leave another


class SpecialTokens:
    """A pattern of special tokens: those of all known families, and the ``own`` tokens of a model."""

    def __init__(self, own: Iterable[str] = (), *, include_known: bool = True) -> None:
        own_marks = sorted({mark for mark in own if _breakable(mark)})
        shapes = [*_known_patterns()] if include_known else []
        self._found = re.compile("|".join([*shapes, *([_any_of(own_marks)] if own_marks else [])]) or r"(?!)")

    def break_tokens(self, text: str) -> str:
        """Return the text with every special token broken up; the same object if there is none.

        >>> SpecialTokens().break_tokens("yes<|im_end|>\\n<s>no</s> [INST]")
        'yes<|im_end| >\\n<s >no</s > [INST ]'
        """
        for _ in range(_TIMES):
            changed, count = self._found.subn(_break_token, text)
            if not count:
                return text
            text = changed
        return text

    def find_tokens(self, text: str) -> tuple[str, ...]:
        """Return the special tokens that the text contains, in order."""
        return tuple(found[0] for found in self._found.finditer(text))


def _break_token(match: re.Match[str]) -> str:
    return f"{match[0][:-1]} {match[0][-1]}"


def _breakable(mark: str) -> bool:
    """Return True if a token can be broken up. A single character or whitespace is no turn marker."""
    return len(mark) > 1 and not mark.isspace()


def _known_patterns() -> list[str]:
    angle, square, headings = (_any_of(sorted(set(names))) for names in (ANGLE, SQUARE, HEADINGS))
    return [*SHAPES, f"</?{angle}>", rf"\[/?{square}\]", f"### {headings}:"]


def _any_of(words: list[str]) -> str:
    """Return a pattern for any of the words, the longest match first.

    Words with a common beginning share a branch: a vocabulary may have thousands, and trying them one by one takes time
    in proportion.
    """
    branches: dict[str, list[str]] = {}
    for word in words:
        branches.setdefault(word[:1], []).append(word[1:])
    ends = branches.pop("", None) is not None
    if not branches:
        return ""
    inner = "|".join(re.escape(letter) + _any_of(rest) for letter, rest in branches.items())
    return f"(?:{inner}){'?' if ends else ''}"


@lru_cache(maxsize=256)
def special_tokens(own: tuple[str, ...] = (), *, include_known: bool = True) -> SpecialTokens:
    """Return the pattern for a model with these special tokens of its own."""
    return SpecialTokens(own, include_known=include_known)


def without_special_tokens(call: ChatCall, marks: SpecialTokens) -> ChatCall:
    """Return the call with special tokens broken up in all text from its sender and its media, in tools and in results.

    For local servers, where only the template may begin a turn.
    """
    messages = tuple(
        msgspec.structs.replace(message, parts=tuple(_escape_part(part, marks) for part in message.parts))
        for message in call.messages
    )
    return msgspec.structs.replace(call, messages=messages, tools=tuple(_tool(tool, marks) for tool in call.tools))


def _escape_part(part: WirePart, marks: SpecialTokens) -> WirePart:
    if isinstance(part, WireText | Reasoning | Refusal | ToolResult):
        return msgspec.structs.replace(part, text=marks.break_tokens(part.text))
    if isinstance(part, ToolCall):
        return msgspec.structs.replace(part, name=marks.break_tokens(part.name), arguments=_json(part.arguments, marks))
    return part


def _tool(tool: Tool, marks: SpecialTokens) -> Tool:
    return msgspec.structs.replace(
        tool,
        name=marks.break_tokens(tool.name),
        description=marks.break_tokens(tool.description),
        schema=map_strings(tool.schema, marks.break_tokens),
    )


def _json(text: str, marks: SpecialTokens) -> str:
    """Return JSON text whose strings contain no special token, however they were escaped."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return marks.break_tokens(text)
    clean = map_strings(value, marks.break_tokens)
    return text if clean == value and not marks.find_tokens(text) else msgspec.json.encode(clean).decode()


def map_strings(value: Any, change: Callable[[str], str]) -> Any:
    """Return a JSON value with every string and name in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list | tuple):
        return [map_strings(each, change) for each in value]
    if isinstance(value, dict):
        return {change(name): map_strings(each, change) for name, each in value.items()}
    return value
