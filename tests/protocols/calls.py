"""Calls of every shape for the property tests of all wires, and the wires they are put through."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from types import ModuleType
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace
from tests.protocols.gemini import request_reader as gemini_request_reader

from intermodal.catalog.types import Host
from intermodal.core.content import Opaque, Reasoning, Refusal, ToolCall, ToolResult
from intermodal.core.request import JsonOutput, Sampling, Settings, TextOutput, Tool
from intermodal.protocols.anthropic import codec as anthropic_codec
from intermodal.protocols.calls import (
    ChatCall,
    EncodedRequest,
    ToolCallDelta,
    WireAudio,
    WireDocument,
    WireEvent,
    WireImage,
    WireMessage,
    WirePart,
    WireText,
    WireVideo,
)
from intermodal.protocols.gemini import codec as gemini_codec
from intermodal.protocols.ollama import codec as ollama_codec
from intermodal.protocols.openai_chat import codec as openai_chat_codec
from intermodal.protocols.openai_responses import codec as openai_responses_codec
from intermodal.protocols.request_fields import FIELDS


def numbered(event: WireEvent) -> WireEvent:
    """The event with its number in place of an id that was made for a call."""
    made = isinstance(event, ToolCallDelta) and re.fullmatch(r"call_[0-9a-f]{24}", event.id)
    return replace(event, id=f"call_{event.index}") if made else event  # type: ignore[union-attr]


TEXTS = st.text(max_size=40)  # lone surrogates included
NUMBERS = st.floats(0, 2, allow_nan=False)
BYTES = st.binary(max_size=50)
MEDIA: dict[str, st.SearchStrategy[WirePart]] = {
    "image": st.builds(
        WireImage,
        data=BYTES,
        media_type=st.sampled_from(["image/png", "image/jpeg", "image/webp", "image/gif"]),
        detail=st.sampled_from(["auto", "low", "high"]),
    ),
    "audio": st.builds(WireAudio, data=BYTES, format=st.sampled_from(["wav", "mp3"])),
    "video": st.builds(WireVideo, data=BYTES, media_type=st.sampled_from(["video/mp4", "video/webm"])),
    "document": st.builds(WireDocument, data=BYTES, name=TEXTS),
}
ARGUMENTS = st.dictionaries(st.text("abc é", max_size=3), st.integers(-9, 9) | TEXTS.filter(str.isascii), max_size=3)
TEXT = st.builds(WireText, text=TEXTS)
IDS = st.text("abc1", min_size=1, max_size=5)
SCHEMAS = st.dictionaries(st.text("abc", min_size=1), st.booleans() | st.integers(-9, 9), max_size=3)


# Values of settings, those that say nothing and those that no protocol knows among them.
_PENALTIES: tuple[Any, ...] = (None, 0, 0.5, 1)
_VALUES: Mapping[str, tuple[Any, ...]] = {
    "top_k": (None, 0, 40), "min_p": (None, 0.05), "typical_p": (None, 0.9), "presence_penalty": _PENALTIES,
    "frequency_penalty": _PENALTIES, "repeat_penalty": (None, 1.1), "thinking": (None, 1024, 99_999),
    "effort": (None, "none", "minimal", "low", "medium", "high", "xhigh", "max", "m\ud800"),
    "verbosity": (None, "low", "\ud800"),
}  # fmt: skip
_OWN: tuple[Any, ...] = ("é\ud800", True, 3, {"1": 2}, ["x"])


def settings_in_words_of(protocol: str) -> list[Settings]:
    """Some of each sort. Drawn here and not by Hypothesis, which takes its time for so many fields."""
    chance = random.Random(protocol)
    names = [name for name, field in FIELDS.get(protocol, {}).items() if field.fate == "own"] + ["unheard"]
    return [
        Settings(
            protocol=protocol,
            own=tuple((name, chance.choice(_OWN)) for name in names if chance.random() < 0.5),
            **{noun: chance.choice(values) for noun, values in _VALUES.items()},
        )
        for _ in range(24)
    ]


SETTINGS = st.sampled_from([Settings(), *(each for name in ("", *FIELDS) for each in settings_in_words_of(name))])


def read_back(codec: ModuleType, body: bytes, path: str = "") -> ChatCall:
    """The call in a request of a protocol. That of Gemini, of which no client asks us, needs the path, too."""
    if codec is gemini_codec:
        return gemini_request_reader.decode_request(body, path)
    server = import_module(codec.__name__.replace(".codec", ".server"))
    call: ChatCall = server.decode_request(body)
    return call


CACHED = (("request", ""), ("tools", "1h"), ("system", ""), ("end", "5m"))


@dataclass(frozen=True)
class Wire:
    """One wire, and what of a call it can say. ``opaque`` is a block of its own that nobody else understands."""

    name: str
    module: ModuleType
    media: tuple[str, ...]
    opaque: Any
    quirks: tuple[str, ...] = ()
    seed: bool = True
    stops: int = 4
    choices: tuple[str, ...] = ("auto", "none", "required")
    parallel: tuple[bool, ...] = (True, False)
    more: dict[str, Any] = field(default_factory=dict)

    @cached_property  # to build one takes longer than to draw from it
    def calls(self) -> st.SearchStrategy[ChatCall]:
        sampling = st.builds(
            Sampling,
            max_tokens=st.none() | st.integers(1, 99),
            temperature=st.none() | NUMBERS,
            top_p=st.none() | NUMBERS,
            stop=st.lists(TEXTS, max_size=self.stops).map(tuple),
            seed=st.none() | st.integers(0, 2**31) if self.seed else st.none(),
        )
        return st.builds(
            ChatCall,
            model=TEXTS,
            messages=st.lists(self.messages(), max_size=5).map(tuple),
            output=st.just(TextOutput()) | st.builds(JsonOutput, schema=SCHEMAS, name=TEXTS),
            sampling=sampling,
            stream=st.booleans(),
            tools=st.lists(
                st.builds(Tool, name=IDS, description=TEXTS, schema=SCHEMAS, strict=st.booleans()), max_size=2
            ).map(tuple),
            tool_choice=st.sampled_from(self.choices),
            parallel_tools=st.sampled_from(self.parallel),
            cache=st.sets(st.sampled_from(CACHED)).map(lambda kept: tuple((p, t) for p, t in CACHED if (p, t) in kept)),
            settings=SETTINGS,
            **self.more,
        )

    def decode(self, body: bytes, encoded: EncodedRequest) -> ChatCall:
        """The call back from its body, on a wire that says all of it there."""
        return read_back(self.module, body, encoded.path)

    def messages(self) -> st.SearchStrategy[WireMessage]:
        said = st.one_of(
            TEXT,
            st.builds(ToolCall, id=IDS, name=IDS, arguments=ARGUMENTS.map(json.dumps)),
            st.builds(Reasoning, text=TEXTS, signature=st.sampled_from(["", "c2ln"])),
            st.builds(Refusal, text=TEXTS),
            st.just(Opaque(wire=self.name, body=json.dumps(self.opaque, separators=(",", ":")))),
            st.just(Opaque(wire="another", body='{"type":"secret"}')),
        )
        shown = st.one_of(TEXT, *(MEDIA[kind] for kind in self.media))
        results = st.builds(ToolResult, id=IDS, text=TEXTS, is_error=st.booleans())
        return st.one_of(
            st.builds(WireMessage, role=st.just("user"), parts=st.lists(shown, max_size=4).map(tuple)),
            st.builds(WireMessage, role=st.just("assistant"), parts=st.lists(said, max_size=5).map(tuple)),
            st.builds(WireMessage, role=st.just("system"), parts=st.lists(TEXT, max_size=2).map(tuple)),
            st.builds(WireMessage, role=st.just("tool"), parts=st.lists(results, max_size=3).map(tuple)),
        )

    @cached_property
    def hosts(self) -> st.SearchStrategy[Host]:
        quirks = st.lists(st.sampled_from(self.quirks), unique=True) if self.quirks else st.just([])
        return st.builds(Host, id=st.just("h"), forced_json=st.booleans(), quirks=quirks.map(tuple))


_REFUSING = {"no_audio", "no_video", "no_documents"}
WIRES = (
    Wire(
        name="openai_chat",
        module=openai_chat_codec,
        media=("image", "audio", "video", "document"),
        opaque={"type": "secret"},
        quirks=tuple(sorted(set(openai_chat_codec.QUIRKS) - _REFUSING)),
    ),
    Wire(
        name="anthropic",
        module=anthropic_codec,
        media=("image", "document"),
        opaque={"type": "redacted_thinking", "data": "aGk="},
        seed=False,
    ),
    Wire(
        name="gemini",
        module=gemini_codec,
        media=("image", "audio", "video", "document"),
        opaque={"thoughtSignature": "c2ln"},
        parallel=(True,),
        more={"candidates": st.integers(0, 3)},
    ),
    Wire(
        name="ollama",
        module=ollama_codec,
        media=("image", "audio"),
        opaque={"type": "secret"},
        choices=("auto", "none"),
        parallel=(True,),
        more={"context": st.none() | st.integers(1024, 4096), "candidates": st.integers(0, 3)},
    ),
    Wire(
        name="openai_responses",
        module=openai_responses_codec,
        media=("image", "audio", "document"),
        opaque={"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "aGk="},
        quirks=("bounded_schema", "strict_subset"),
        seed=False,
        stops=0,
        more={"candidates": st.integers(0, 3)},
    ),
)
