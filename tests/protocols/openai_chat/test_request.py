"""The chat request: what is encoded is valid JSON, says what was asked, and reads back."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intermodal.catalog.types import Host
from intermodal.core.request import EmbeddingOutput, JsonOutput, Sampling, TextOutput
from intermodal.protocols.calls import (
    ChatCall,
    NotExpressible,
    WireAudio,
    WireImage,
    WireMessage,
    WirePart,
    WireText,
    WireVideo,
)
from intermodal.protocols.openai_chat.codec import QUIRKS, encode_request, normalise
from intermodal.protocols.openai_chat.server import decode_request

PLAIN = Host(id="h")
FORCED = Host(id="h", forced_json=True)
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def user(*parts: WirePart) -> tuple[WireMessage, ...]:
    return (WireMessage(role="user", parts=parts),)


def said(call: ChatCall, host: Host = PLAIN) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(b"".join(encode_request(call, host).segments))
    return tree


def test_says_every_setting_in_openai_s_words() -> None:
    call = ChatCall(
        model="m",
        messages=(WireMessage(role="system", parts=(WireText(text="be brief"),)), *user(WireText(text="hi"))),
        output=JsonOutput(schema=SCHEMA, name="my answer"),
        sampling=Sampling(max_tokens=9, temperature=0.0, top_p=0.5, stop=("END",), seed=7),
    )
    assert said(call, FORCED) == {
        "model": "m",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        "max_tokens": 9,
        "temperature": 0.0,
        "top_p": 0.5,
        "stop": ["END"],
        "seed": 7,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "my_answer", "strict": True, "schema": SCHEMA},
        },
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_leaves_unset_what_nobody_set() -> None:
    call = ChatCall(model="m", messages=user(WireText(text="hi")), stream=False)
    assert said(call) == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def test_media_are_segments_of_their_own() -> None:
    picture, sound = bytes(range(256)) * 8192, b"RIFF\x00"
    call = ChatCall(
        model="m",
        messages=user(
            WireText(text='a "quoted" name'),
            WireImage(data=picture, media_type="image/jpeg", detail="low"),
            WireAudio(data=sound, format="mp3"),
        ),
    )
    encoded = encode_request(call, PLAIN)
    assert b64encode(sound) in encoded.segments
    base64 = b64encode(picture)
    own = [segment for segment in encoded.segments if len(segment) > 1000 and base64.find(segment) >= 0]
    assert len(own) > 1
    assert b"".join(own) == base64
    assert said(call)["messages"][0]["content"] == [
        {"type": "text", "text": 'a "quoted" name'},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + base64.decode(), "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": b64encode(sound).decode(), "format": "mp3"}},
    ]
    assert encoded.size == len(b"".join(encoded.segments))


@pytest.mark.parametrize(
    ("quirks", "part"),
    [
        ((), {"type": "input_video", "input_video": {"data": "ZmlsbQ=="}}),
        (("video_url",), {"type": "video_url", "video_url": {"url": "data:video/webm;base64,ZmlsbQ=="}}),
    ],
)
def test_a_video_goes_as_bytes_in_the_words_of_its_host(quirks: tuple[str, ...], part: dict[str, Any]) -> None:
    call = ChatCall(model="m", messages=user(WireVideo(data=b"film", media_type="video/webm"), WireText(text="?")))
    assert said(call, Host(id="h", quirks=quirks))["messages"][0]["content"][0] == part


def test_a_schema_that_the_host_cannot_force_is_left_to_the_prompt() -> None:
    call = ChatCall(model="m", messages=user(WireText(text="hi")), output=JsonOutput(schema=SCHEMA))
    assert "response_format" not in said(call, PLAIN)


@pytest.mark.parametrize(
    ("quirk", "present", "absent"),
    [
        ("max_completion_tokens", "max_completion_tokens", "max_tokens"),
        ("no_stream_options", "stream", "stream_options"),
    ],
)
def test_quirk_changes_the_words(quirk: str, present: str, absent: str) -> None:
    call = ChatCall(model="m", messages=user(WireText(text="hi")), sampling=Sampling(max_tokens=5))
    tree = said(call, Host(id="h", quirks=(quirk,)))
    assert present in tree
    assert absent not in tree
    assert quirk in QUIRKS


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (SCHEMA, True),
        ({"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False}, False),
        ({**SCHEMA, "additionalProperties": True}, False),
        ({"type": "array", "items": SCHEMA}, False),
        ({**SCHEMA, "properties": {"n": {"type": "object", "properties": {}}}}, False),
        ({**SCHEMA, "properties": {"n": {"type": "array", "items": SCHEMA}}}, True),
        ({**SCHEMA, "allOf": []}, False),
    ],
)
def test_strict_is_asked_for_only_within_the_subset_where_a_host_has_one(schema: dict[str, Any], strict: bool) -> None:
    call = ChatCall(model="m", messages=user(WireText(text="hi")), output=JsonOutput(schema=schema))
    host = Host(id="h", forced_json=True, quirks=("strict_subset",))
    assert said(call, host)["response_format"]["json_schema"]["strict"] is strict


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({"type": "object", "properties": {"n": {"type": "integer"}}}, True),
        ({**SCHEMA, "properties": {"n": {"type": "object"}}}, False),
        ({**SCHEMA, "properties": {"n": {"type": ["object", "null"], "properties": {}}}}, False),
        ({**SCHEMA, "properties": {"n": {"type": "object", "additionalProperties": {"type": "number"}}}}, False),
        ({"type": "object", "title": "Anything"}, False),
    ],
)
def test_a_schema_with_open_objects_is_never_strict(schema: dict[str, Any], strict: bool) -> None:
    call = ChatCall(model="m", messages=user(WireText(text="hi")), output=JsonOutput(schema=schema))
    assert said(call, FORCED)["response_format"]["json_schema"]["strict"] is strict


def test_any_object_is_json_mode_where_a_host_has_one() -> None:
    call = ChatCall(model="m", messages=user(WireText(text="hi")), output=JsonOutput(schema={"type": "object"}))
    assert said(call, FORCED)["response_format"] == {"type": "json_object"}
    without = said(call, Host(id="h", forced_json=True, quirks=("no_json_object",)))["response_format"]
    assert without["json_schema"] == {"name": "answer", "strict": False, "schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("call", "host", "part"),
    [
        (ChatCall(model="m", messages=user(WireImage(data=b"x", media_type="image/tiff"))), PLAIN, "image/tiff"),
        (
            ChatCall(model="m", messages=user(WireImage(data=b"x"), WireImage(data=b"y"))),
            Host(id="h", max_images=1),
            "2 images",
        ),
        (ChatCall(model="m", messages=user(WireAudio(data=b"x"))), Host(id="h", quirks=("no_audio",)), "audio"),
        (ChatCall(model="m", messages=user(WireVideo(data=b"x"))), Host(id="h", quirks=("no_video",)), "video"),
        (ChatCall(model="m", messages=(WireMessage(role="system", parts=(WireVideo(data=b"x"),)),)), PLAIN, "system"),
        (ChatCall(model="m", messages=(WireMessage(role="system", parts=(WireImage(data=b"x"),)),)), PLAIN, "system"),
        (ChatCall(model="m", messages=(WireMessage(role="tool", parts=(WireText(text="x"),)),)), PLAIN, "tool message"),
        (ChatCall(model="m", messages=(), output=EmbeddingOutput()), PLAIN, "output"),
        (ChatCall(model="m", messages=(), sampling=Sampling(stop=tuple("abcde"))), PLAIN, "stop words"),
    ],
)
def test_what_cannot_be_said_is_refused_before_anything_is_sent(call: ChatCall, host: Host, part: str) -> None:
    with pytest.raises(NotExpressible) as caught:
        encode_request(call, host)
    assert part in caught.value.part
    assert not caught.value.sent
    assert "OpenAI chat cannot carry" in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"video_url"}]}]}',
        b'{"model":"m","messages":[1]}',
        b'{"messages":[]}',
    ],
)
def test_what_is_no_request_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_request(body)


TEXTS = st.text(max_size=40)  # lone surrogates included
PARTS = st.one_of(
    st.builds(WireText, text=TEXTS),
    st.builds(
        WireImage,
        data=st.binary(max_size=50),
        media_type=st.sampled_from(["image/png", "image/jpeg", "image/webp", "image/gif"]),
        detail=st.sampled_from(["auto", "low", "high"]),
    ),
    st.builds(WireAudio, data=st.binary(max_size=50), format=st.sampled_from(["wav", "mp3"])),
    st.builds(WireVideo, data=st.binary(max_size=50), media_type=st.sampled_from(["video/mp4", "video/webm"])),
)
MESSAGES = st.one_of(
    st.builds(WireMessage, role=st.just("user"), parts=st.lists(PARTS, max_size=4).map(tuple)),
    st.builds(
        WireMessage,
        role=st.sampled_from(["system", "assistant"]),
        parts=st.lists(st.builds(WireText, text=TEXTS), max_size=3).map(tuple),
    ),
)
NUMBERS = st.floats(0, 2, allow_nan=False)
CALLS = st.builds(
    ChatCall,
    model=TEXTS,
    messages=st.lists(MESSAGES, max_size=4).map(tuple),
    output=st.one_of(
        st.just(TextOutput()),
        st.builds(JsonOutput, schema=st.dictionaries(st.text("abc"), st.booleans() | st.integers(-9, 9)), name=TEXTS),
    ),
    sampling=st.builds(
        Sampling,
        max_tokens=st.none() | st.integers(1, 99),
        temperature=st.none() | NUMBERS,
        top_p=st.none() | NUMBERS,
        stop=st.lists(TEXTS, max_size=4).map(tuple),
        seed=st.none() | st.integers(0, 2**31),
    ),
    stream=st.booleans(),
)
HOSTS = st.builds(
    Host,
    id=st.just("h"),
    forced_json=st.booleans(),
    quirks=st.lists(st.sampled_from(sorted(set(QUIRKS) - {"no_audio", "no_video"})), unique=True).map(tuple),
)


@pytest.mark.slow
@given(CALLS, HOSTS)
def test_decoding_gives_back_the_normalised_call(call: ChatCall, host: Host) -> None:
    body = b"".join(encode_request(call, host).segments)
    json.loads(body)  # somebody else's parser agrees that it is JSON
    assert decode_request(body) == normalise(call, host)


@pytest.mark.slow
@given(CALLS, HOSTS)
def test_normalising_twice_changes_nothing_more(call: ChatCall, host: Host) -> None:
    once = normalise(call, host)
    assert normalise(once, host) == once
