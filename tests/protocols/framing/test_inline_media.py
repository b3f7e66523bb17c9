"""Long base64 in a body is decoded where it lies, and nothing else about the body changes."""

from __future__ import annotations

import json
import tracemalloc
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocols.calls import WIRES, Wire

from intermodal.catalog.types import Host
from intermodal.core.content import ToolCall
from intermodal.protocols.calls import ChatCall, WireImage, WireMessage, WireText
from intermodal.protocols.framing.inline_media import (
    SCAN_STEP,
    InlineMedia,
    decode_base64,
    parse_with_media,
    read_json_with_media,
    split_data_uri,
)

MEDIA = bytes(range(256)) * (SCAN_STEP // 64)
LONG = b64encode(MEDIA).decode()
SHORT = {  # what stands in a small tree for a long string
    "@long": LONG, "@uri": f"data:image/png;base64,{LONG}", "@said": f'say "{LONG}"', "@loose": f"{LONG} ",
    "@words": "é" * SCAN_STEP, "@number": "7" * 3 * SCAN_STEP,
}  # fmt: skip
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5) | st.sampled_from(sorted(SHORT)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.just("@long"), inner, max_size=3)
    ),
    max_leaves=6,
)


def grown(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {grown(name): grown(value) for name, value in tree.items()}
    if isinstance(tree, list):
        return [grown(value) for value in tree]
    return SHORT.get(tree, tree) if isinstance(tree, str) else tree


@pytest.mark.slow
@given(TREES, st.booleans())
def test_whatever_a_body_holds_it_is_read_as_any_parser_reads_it(tree: Any, escaped: bool) -> None:
    whole = grown(tree)
    body = json.dumps(whole, ensure_ascii=escaped).encode()
    assert read_json_with_media(body, lambda found: found) == whole


@given(st.lists(st.sampled_from(["@long", "@uri"]), min_size=1, max_size=3))
def test_media_are_taken_without_a_second_reading(names: list[str]) -> None:
    strings = grown(names)
    tree, held = parse_with_media(json.dumps({"a": strings}).encode())
    assert len(held) == len(strings)
    for given_, found in zip(strings, tree["a"], strict=True):
        head, data = split_data_uri(found) if given_.startswith("data:") else ("", decode_base64(found))
        assert data == MEDIA
        assert head == ("data:image/png;base64" if given_.startswith("data:") else "")
    assert all(each.consumed for each in held)


def test_a_sender_cannot_write_the_word_that_stands_for_media() -> None:
    tree, (held,) = parse_with_media(json.dumps({"a": LONG, "b": "x"}).encode())
    again, others = parse_with_media(json.dumps({"a": LONG, "b": str(held)}).encode())
    assert isinstance(tree["a"], InlineMedia)
    assert again["b"] == str(held)
    assert [str(other) for other in others] != [str(held)]


def decoded(wire: Wire, call: ChatCall) -> tuple[bytes, ChatCall]:
    encoded = wire.module.encode_request(call, Host(id="h"))
    body = b"".join(encoded.segments)
    return body, wire.decode(body, encoded)


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_base64_pasted_into_a_prompt_or_given_to_a_tool_comes_through_beside_a_picture(wire: Wire) -> None:
    picture = WireImage(data=MEDIA)
    called = ToolCall(id="c1", name="store", arguments=json.dumps({"data": LONG}, separators=(",", ":")))
    call = ChatCall(
        model="m",
        messages=(
            WireMessage(role="user", parts=(picture, WireText(text=LONG))),
            WireMessage(role="assistant", parts=(called,)),
        ),
    )
    _, found = decoded(wire, call)
    parts = [part for message in found.messages for part in message.parts]
    assert [part.data for part in parts if isinstance(part, WireImage)] == [MEDIA]
    assert [part.text for part in parts if isinstance(part, WireText)] == [LONG]
    assert [json.loads(part.arguments) for part in parts if isinstance(part, ToolCall)] == [{"data": LONG}]


@pytest.mark.slow
@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_a_picture_of_20_MB_takes_no_more_memory_than_one_and_a_half_bodies(wire: Wire) -> None:
    call = ChatCall(model="m", messages=(WireMessage(role="user", parts=(WireImage(data=bytes(20 << 20)),)),))
    encoded = wire.module.encode_request(call, Host(id="h"))
    body = b"".join(encoded.segments)
    for work in (
        lambda: wire.decode(body, encoded),
        lambda: wire.module.encode_request(call, Host(id="h")),
    ):
        tracemalloc.start()
        kept = work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        del kept
        assert peak <= 1.5 * len(body)
