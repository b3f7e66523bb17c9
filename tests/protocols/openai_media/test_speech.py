"""Text to be spoken, spoken answers of a chat, and the probabilities of words: as they go out and come back."""

from __future__ import annotations

import json
from base64 import b64encode
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intermodal import errors
from intermodal.catalog.types import Host
from intermodal.core.request import SpeechOutput
from intermodal.media.audio.encoding import samples, wav
from intermodal.protocols.calls import (
    ChatCall,
    Error,
    Finish,
    NotExpressible,
    SpeechCall,
    SpeechDelta,
    TokenLogprobs,
    WireEvent,
    WireMessage,
    WireText,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.conversation import collect_turn
from intermodal.protocols.openai_chat import codec as openai_chat_codec
from intermodal.protocols.openai_chat import server as openai_chat_server
from intermodal.protocols.openai_media import speech

HOST = Host(id="h")
LLAMA = Host(id="l", quirks=("grammar", "many_logprobs"))
ASKED = (WireMessage(role="user", parts=(WireText(text="hi"),)),)
PCM = bytes(range(256)) * 4


def said(call: ChatCall, host: Host = HOST) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(b"".join(openai_chat_codec.encode_request(call, host).segments))
    return tree


def read(*deltas: dict[str, Any], cut: int = 0) -> list[WireEvent]:
    """What is understood of a stream of these choices; ``cut``: in pieces of so many bytes."""
    body = b"".join(b"data: " + json.dumps({"choices": [delta]}).encode() + b"\n\n" for delta in deltas)
    body += b"data: [DONE]\n\n"
    decoder = openai_chat_codec.OpenAIChatDecoder("h:m")
    size = cut or len(body)
    events = [event for at in range(0, len(body), size) for event in decoder.feed(body[at : at + size])]
    return events + decoder.close()


def audio(**fields: str) -> dict[str, Any]:
    return {"index": 0, "delta": {"audio": fields}, "finish_reason": None}


# ---- POST /audio/speech ------------------------------------------------------------------------------


def test_a_text_says_what_it_is_to_sound_like() -> None:
    encoded = speech.encode_request(SpeechCall(model="tts-1", text="Noël!", voice="coral", format="mp3"), HOST)
    assert encoded.path == "/audio/speech"
    assert json.loads(b"".join(encoded.segments)) == {
        "model": "tts-1", "input": "Noël!", "voice": "coral", "response_format": "mp3",
    }  # fmt: skip
    plain = speech.encode_request(SpeechCall(model="tts-1", text="x"), HOST)
    assert json.loads(b"".join(plain.segments))["voice"] == speech.DEFAULT_VOICE


@pytest.mark.parametrize(
    ("text", "what"), [("x" * 4097, r"4,097 characters at once \(at most 4,096\)"), (" \n", "words")]
)
def test_a_text_that_one_request_cannot_take_is_not_sent(text: str, what: str) -> None:
    with pytest.raises(NotExpressible, match=what) as caught:
        speech.encode_request(SpeechCall(model="m", text=text), HOST)
    assert not caught.value.sent


def test_a_file_is_taken_for_what_it_is() -> None:
    file = wav(PCM, 24_000)
    assert speech.decode_reply(file, "h:m") == file
    assert speech.decode_reply(b"ID3\x04", "h:m", format="mp3") == b"ID3\x04"
    with pytest.raises(errors.CallError, match="something that is not WAV"):
        speech.decode_reply(b"ID3\x04", "h:m")
    with pytest.raises(errors.StreamCut):
        speech.decode_reply(b"", "h:m")
    with pytest.raises(errors.CredentialsRefused):
        speech.decode_reply(b'{"error": {"message": "no", "code": "insufficient_quota"}}', "h:m")


def test_a_wav_file_of_unknown_length_is_read_to_its_end() -> None:
    file = wav(PCM, 24_000)
    streamed = file[:4] + b"\xff" * 4 + file[8:40] + b"\xff" * 4 + file[44:]
    assert samples(streamed) == samples(file) == (PCM, 24_000)
    listed = file[:12] + b"LIST\x03\0\0\0abc\0" + file[12:]
    assert samples(listed) == (PCM, 24_000)


@given(st.binary(max_size=300))
def test_any_bytes_are_samples_or_a_value_error(data: bytes) -> None:
    for whole in (data, b"RIFF\0\0\0\0WAVE" + data, wav(PCM, 8000)[:40] + data):
        try:
            pcm, rate = samples(whole)
        except ValueError:
            continue
        assert len(pcm) % 2 == 0
        assert rate > 0


# ---- a chat that speaks --------------------------------------------------------------------------------


def test_a_stream_of_speech_is_asked_for_in_the_only_format_that_streams() -> None:
    call = ChatCall(model="gpt-audio", messages=ASKED, output=SpeechOutput(format="mp3", voice="marin"))
    assert said(call)["modalities"] == ["text", "audio"]
    assert said(call)["audio"] == {"voice": "marin", "format": "pcm16"}
    whole = ChatCall(model="gpt-audio", messages=ASKED, output=SpeechOutput(format="mp3"), stream=False)
    assert said(whole)["audio"] == {"voice": "alloy", "format": "mp3"}


def test_words_that_are_told_beside_a_transcript_are_read_once() -> None:
    events: list[WireEvent] = [WireTextDelta(text="Four."), SpeechDelta(data=PCM), WireUsage(), Finish(reason="stop")]
    for body in (
        openai_chat_server.encode_reply(events, "m", id="chatcmpl-1", created=1)[1],
        b"".join(map(openai_chat_server.OpenAIChatStreamEncoder("m", id="chatcmpl-1", created=1).feed, events)),
    ):
        decoder = openai_chat_codec.OpenAIChatDecoder("h:m")
        found = collect_turn([*decoder.feed(body), *decoder.close()])
        assert (found.text, found.speech) == ("Four.", PCM)


@given(
    st.builds(
        SpeechOutput, format=st.sampled_from(["wav", "mp3", "pcm16"]), voice=st.text(max_size=8), verbatim=st.booleans()
    ),
    st.booleans(),
    st.integers(0, 20),
    st.text(max_size=12),
    st.sampled_from([HOST, LLAMA]),
)
def test_every_request_reads_back(
    output: SpeechOutput, stream: bool, candidates: int, grammar: str, host: Host
) -> None:
    call = ChatCall(
        model="m", messages=ASKED, output=output, stream=stream, candidates=candidates, grammar=grammar
    )  # fmt: skip
    encoded = openai_chat_codec.encode_request(call, host)
    assert openai_chat_server.decode_request(b"".join(encoded.segments)) == openai_chat_codec.normalise(call, host)


@pytest.mark.parametrize("cut", [0, 1, 7])
def test_words_and_sound_come_together(cut: int) -> None:
    one, two = PCM[:300], PCM[300:]
    events = read(
        audio(id="a1", data=b64encode(one).decode()),
        audio(transcript="Four "),
        audio(data=b64encode(two).decode()),
        audio(transcript="words."),
        {"index": 0, "delta": {}, "finish_reason": "stop"},
        cut=cut,
    )
    assert b"".join(event.data for event in events if isinstance(event, SpeechDelta)) == PCM
    assert "".join(event.text for event in events if isinstance(event, WireTextDelta)) == "Four words."
    assert events[-1] == Finish(reason="stop")


@given(st.lists(st.binary(max_size=20), max_size=5), st.lists(st.integers(0, 200), max_size=6))
def test_base64_may_be_padded_in_pieces_or_cut_anywhere(pieces: list[bytes], places: list[int]) -> None:
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    padded = read(*(audio(data=b64encode(piece).decode()) for piece in pieces), end)
    assert b"".join(event.data for event in padded if isinstance(event, SpeechDelta)) == b"".join(pieces)
    text = b64encode(b"".join(pieces)).decode()
    bounds = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    cut = read(*(audio(data=text[a:b]) for a, b in pairwise(bounds)), end)
    assert b"".join(event.data for event in cut if isinstance(event, SpeechDelta)) == b"".join(pieces)


def test_what_is_no_base64_is_an_error_not_a_noise() -> None:
    events = read(audio(data="!!!!"))
    assert isinstance(events[-1], Error)
    assert "not base64" in events[-1].error.what


def test_a_whole_document_speaks_as_well_and_tells_its_tokens() -> None:
    message = {"role": "assistant", "content": None, "audio": {"data": b64encode(PCM).decode(), "transcript": "Hi."}}
    usage = {"prompt_tokens": 5, "completion_tokens": 30, "completion_tokens_details": {"audio_tokens": 25}}
    decoder = openai_chat_codec.OpenAIChatDecoder("h:m")
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}
    events = decoder.feed(json.dumps(body).encode()) + decoder.close()
    assert events == [
        WireTextDelta(text="Hi."), SpeechDelta(data=PCM), WireUsage(input_tokens=5, output_tokens=30, audio_tokens=25),
        Finish(reason="stop"),
    ]  # fmt: skip


# ---- the probabilities of words ------------------------------------------------------------------------


def test_probabilities_are_asked_for_where_they_are_told() -> None:
    call = ChatCall(model="m", messages=ASKED, candidates=20, grammar="root ::= [AB]")
    tree = said(call)
    assert (tree["logprobs"], tree["top_logprobs"]) == (True, 20)
    assert "grammar" not in tree
    assert said(call, LLAMA)["grammar"] == "root ::= [AB]"
    assert said(ChatCall(model="m", messages=ASKED, candidates=500), LLAMA)["top_logprobs"] == 500
    assert "logprobs" not in said(ChatCall(model="m", messages=ASKED))


@pytest.mark.parametrize(("quirks", "number"), [(("no_logprobs",), 5), ((), 21)])
def test_probabilities_that_a_host_does_not_tell_are_not_asked_for(quirks: tuple[str, ...], number: int) -> None:
    with pytest.raises(NotExpressible):
        openai_chat_codec.encode_request(
            ChatCall(model="m", messages=ASKED, candidates=number), Host(id="h", quirks=quirks)
        )


def test_the_candidates_of_each_word_are_read_and_nonsense_is_not() -> None:
    rows = [{"token": "A", "logprob": -0.5, "bytes": [65]}, {"token": " B", "logprob": -2}, {"token": 3}, "x", None]
    told = {"content": [{"token": "A", "logprob": -0.5, "top_logprobs": rows}, {"token": "!"}, 7]}
    events = read({"index": 0, "delta": {"content": "A"}, "logprobs": told, "finish_reason": "length"})
    assert TokenLogprobs(words=(("A", -0.5), (" B", -2.0))) in events
    assert len([event for event in events if isinstance(event, TokenLogprobs)]) == 1
    for broken in (None, [], {"content": None}, {"content": "A"}, {"content": [{"top_logprobs": "A"}]}):
        quiet = read({"index": 0, "delta": {"content": "A"}, "logprobs": broken, "finish_reason": "stop"})
        assert not [event for event in quiet if isinstance(event, TokenLogprobs)]
