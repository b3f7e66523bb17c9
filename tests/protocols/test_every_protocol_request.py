"""What holds for the requests of all wires: they are JSON, they read back, and nothing joins media into a string."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from tests.protocols.calls import MEDIA, WIRES, Wire

from intermodal.catalog.types import Host
from intermodal.core.content import ToolCall, ToolResult
from intermodal.core.request import EmbeddingOutput
from intermodal.protocols.calls import (
    ChatCall,
    NotExpressible,
    WireAudio,
    WireDocument,
    WireImage,
    WireLink,
    WireMessage,
    WirePart,
    WireText,
    WireVideo,
)

pytestmark = pytest.mark.slow

EVERY = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
PARTS: dict[str, WirePart] = {
    "image": WireImage(data=b"x"),
    "audio": WireAudio(data=b"x"),
    "video": WireVideo(data=b"x"),
    "document": WireDocument(data=b"x"),
}


def body(wire: Wire, call: ChatCall, host: Host) -> bytes:
    return b"".join(wire.module.encode_request(call, host).segments)


def call_of(*parts: WirePart, role: Any = "user", **more: Any) -> ChatCall:
    return ChatCall(model="m", messages=(WireMessage(role=role, parts=parts),), **more)


@EVERY
@settings(max_examples=60)
@given(data=st.data())
def test_decoding_gives_back_the_normalised_call(wire: Wire, data: st.DataObject) -> None:
    call, host = data.draw(wire.calls), data.draw(wire.hosts)
    try:
        encoded = wire.module.encode_request(call, host)
    except NotExpressible:
        reject()
    sent = b"".join(encoded.segments)
    json.loads(sent)  # somebody else's parser agrees that it is JSON
    assert wire.decode(sent, encoded) == wire.module.normalise(call, host)


@EVERY
@settings(max_examples=60)
@given(data=st.data())
def test_normalising_twice_changes_nothing_more(wire: Wire, data: st.DataObject) -> None:
    call, host = data.draw(wire.calls), data.draw(wire.hosts)
    once = wire.module.normalise(call, host)
    assert wire.module.normalise(once, host) == once


@EVERY
@settings(max_examples=60)
@given(data=st.data())
def test_bytes_that_are_no_request_are_a_value_error_and_nothing_else(wire: Wire, data: st.DataObject) -> None:
    """A whole request with one value in it replaced by another kind of value, as a client's mistake would."""
    try:
        tree = json.loads(body(wire, data.draw(wire.calls), Host(id="h", forced_json=True)))
    except NotExpressible:
        reject()
    node, keys = tree, list(tree)
    while True:
        key = data.draw(st.sampled_from(keys))
        inner = node[key]
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner))) if isinstance(inner, list) else []
        if not keys or data.draw(st.booleans()):
            node[key] = data.draw(st.sampled_from([None, 7, "x", [], {}, [7], {"type": "x"}, {"role": "user"}]))
            break
        node = inner
    encoded = wire.module.encode_request(call_of(WireText(text="a")), Host(id="h"))
    try:
        call = wire.decode(json.dumps(tree).encode(), encoded)
    except ValueError as error:
        assert str(error)
    else:
        assert msgspec.convert(msgspec.to_builtins(call), ChatCall) == call  # what was taken is what it says it is


@EVERY
@pytest.mark.parametrize("kind", sorted(MEDIA))
def test_media_are_segments_of_their_own_or_are_refused_by_name(wire: Wire, kind: str) -> None:
    part = PARTS[kind]
    large = bytes(range(256)) * 8192
    whole = call_of(WireText(text="what is it?"), type(part)(data=large))
    if kind not in wire.media:
        with pytest.raises(NotExpressible) as caught:
            wire.module.encode_request(whole, Host(id="h"))
        assert not caught.value.sent
        assert caught.value.wire == wire.module.WIRE
        assert caught.value.part in str(caught.value)
        return
    base64 = b64encode(large)
    segments = wire.module.encode_request(whole, Host(id="h")).segments
    own = [segment for segment in segments if len(segment) > 1000 and base64.find(segment) >= 0]
    assert len(own) > 1
    assert b"".join(own) == base64


@EVERY
@pytest.mark.parametrize(
    ("call", "part"),
    [
        (call_of(WireLink(media_kind="image", url="http://a/b.png")), "a link to media"),
        (call_of(WireImage(data=b"x"), role="system"), "an image in a system message"),
        (call_of(WireImage(data=b"x"), role="assistant"), "an image in a assistant message"),
        (call_of(ToolCall(id="1", name="f", arguments="{}")), "a tool call in a user message"),
        (call_of(ToolResult(id="1", text="x")), "a tool result in a user message"),
        (call_of(WireText(text="x"), role="tool"), "text in a tool message"),
        (ChatCall(model="m", messages=(), output=EmbeddingOutput()), "output"),
    ],
)
def test_a_part_in_an_inexpressible_place_is_refused(wire: Wire, call: ChatCall, part: str) -> None:
    with pytest.raises(NotExpressible) as caught:
        wire.module.encode_request(call, Host(id="h"))
    assert part in caught.value.part
