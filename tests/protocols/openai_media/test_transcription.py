"""Transcriptions: the form, read by a parser that is not ours, and the replies of several ears."""

from __future__ import annotations

import json
from email.parser import BytesParser
from typing import Any

import pytest

from intermodal import errors
from intermodal.catalog.types import Host
from intermodal.core.content import Segment, Transcript
from intermodal.core.languages import CODES, code_of
from intermodal.protocols.calls import NotExpressible, TranscriptionCall, WireUsage
from intermodal.protocols.openai_media.transcription import decode_reply, encode_request

HOST = Host(id="h")
SOUND = b"RIFF\r\n--\r\n\x00\xff" * 100


def form(call: TranscriptionCall, host: Host = HOST) -> dict[str, Any]:
    encoded = encode_request(call, host)
    kind = dict(encoded.headers)["content-type"].encode()
    message = BytesParser().parsebytes(b"content-type: " + kind + b"\r\n\r\n" + b"".join(encoded.segments))
    parts: Any = message.get_payload()
    fields = {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in parts}
    fields["filename"] = parts[-1].get_filename()
    fields["type"] = parts[-1].get_content_type()
    return fields


def test_every_field_arrives() -> None:
    call = TranscriptionCall(model="whisper-1", data=SOUND, language="fr", prompt="Noël")
    assert form(call) == {
        "model": b"whisper-1",
        "response_format": b"verbose_json",
        "language": b"fr",
        "prompt": "Noël".encode(),
        "file": SOUND,
        "filename": "audio.wav",
        "type": "audio/wav",
    }


def test_the_recording_is_a_segment_of_its_own_and_the_bytes_repeat() -> None:
    call = TranscriptionCall(model="m", data=SOUND)
    assert encode_request(call, HOST).segments[1] is SOUND
    assert encode_request(call, HOST) == encode_request(call, HOST)


def test_a_host_without_times_is_asked_for_plain_json() -> None:
    assert (
        form(TranscriptionCall(model="m", data=SOUND), Host(id="h", quirks=("no_verbose_json",)))["response_format"]
        == b"json"
    )


def test_audio_of_an_unknown_type_is_refused_before_sending() -> None:
    with pytest.raises(NotExpressible, match="audio/midi"):
        encode_request(TranscriptionCall(model="m", data=b"", media_type="audio/midi"), HOST)


def test_reads_whisper_s_verbose_reply() -> None:
    reply = {
        "task": "transcribe",
        "language": "english",
        "duration": 11.0,
        "text": "And so, my fellow Americans",
        "segments": [
            {"id": 0, "start": 0.0, "end": 5.5, "text": " And so,", "avg_logprob": -0.5},
            {"id": 1, "start": 5.5, "end": 11, "text": " my fellow Americans", "avg_logprob": 0.0},
            {"id": 2, "start": 11, "end": 11, "text": " "},
        ],
        "usage": {"type": "duration", "seconds": 11},
    }
    heard = decode_reply(json.dumps(reply).encode(), "h:w")
    first = heard.transcript.segments[0]
    assert first.certainty == pytest.approx(0.607, abs=0.001), "of the mean log probability of its words"
    assert heard.transcript == Transcript(
        language="en",
        seconds=11.0,
        segments=(
            Segment(start=0, end=5.5, text="And so,", certainty=first.certainty),
            Segment(start=5.5, end=11, text="my fellow Americans"),  # some servers write a 0 for all
        ),
    )
    assert heard.usage == WireUsage(seconds=11.0)
    assert heard.transcript.text == reply["text"]


def test_reads_a_plain_reply_with_token_usage() -> None:
    usage = {
        "type": "tokens",
        "input_tokens": 14,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
        "output_tokens": 5,
    }
    heard = decode_reply(json.dumps({"text": "hello", "usage": usage}).encode(), "h:w")
    assert heard.transcript.segments == (Segment(start=0, end=0, text="hello"),)
    assert heard.usage == WireUsage(input_tokens=14, output_tokens=5, input_by_modality=(("text", 0), ("audio", 14)))


def test_no_speech_is_an_empty_transcript() -> None:
    assert decode_reply(b'{"text":" ","duration":"3.5"}', "h:w").transcript == Transcript(seconds=3.5)


@pytest.mark.parametrize(
    "segments",
    [None, [], [None], [{"text": 3}], [{"text": "a", "start": "x", "end": -1}], [{"text": "a", "start": 1e300}], 7],
)
def test_odd_segments_are_no_reason_to_fail(segments: Any) -> None:
    heard = decode_reply(json.dumps({"text": "a", "segments": segments}).encode(), "h:w")
    assert heard.transcript.text == "a"
    assert heard.transcript.segments[0].start == 0.0


def test_an_error_inside_a_200_is_an_error() -> None:
    body = b'{"object":"error","message":"The model does not support Transcriptions API","code":400}'
    with pytest.raises(errors.CallError, match="Transcriptions API"):
        decode_reply(body, "h:w")


def test_half_a_character_is_no_reason_to_fail() -> None:
    body = rb'{"text": "so \ud83d\ude00 \ud83d", "segments": [{"start": 0, "end": 1, "text": "so \ud83d"}]}'
    assert [segment.text for segment in decode_reply(body, "h:m").transcript.segments] == ["so \ufffd"]


def test_half_a_reply_is_a_cut() -> None:
    with pytest.raises(errors.StreamCut):
        decode_reply(b'{"text":"hel', "h:w")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("english", "en"),
        ("French", "fr"),
        ("en", "en"),
        ("en-US", "en"),
        ("eng", "en"),
        ("ger", "de"),
        ("haitian creole", "ht"),
        ("javanese", "jv"),
        ("", ""),
        ("klingonese", ""),
    ],
)
def test_languages_become_codes(said: str, code: str) -> None:
    assert code_of(said) == code
    assert len(CODES) > 99


# ---- translations ----------------------------------------------------------------------------------

ENGLISH = Host(id="h", quirks=("audio_translations",))


def test_a_translation_goes_to_its_own_endpoint_without_the_language_of_the_speech() -> None:
    """OpenAI's translations take no language: it is the one that is spoken, and what comes back is English."""
    call = TranscriptionCall(model="whisper-1", data=SOUND, language="fr", into="en")
    assert encode_request(call, ENGLISH).path == "/audio/translations"
    assert "language" not in form(call, ENGLISH)
    assert encode_request(TranscriptionCall(model="whisper-1", data=SOUND), ENGLISH).path == "/audio/transcriptions"


@pytest.mark.parametrize(("host", "into"), [(HOST, "en"), (ENGLISH, "de")])
def test_a_translation_that_a_host_has_no_endpoint_for_is_refused_before_sending(host: Host, into: str) -> None:
    with pytest.raises(NotExpressible, match=into):
        encode_request(TranscriptionCall(model="m", data=SOUND, into=into), host)


def test_the_language_of_a_translation_is_not_taken_for_that_of_the_speech() -> None:
    """The reply says "english", whatever was spoken."""
    body = json.dumps({"task": "translate", "language": "english", "duration": 2.0, "text": "Yes.", "segments": []})
    found = decode_reply(body.encode(), "h:m", into="en").transcript
    assert (found.language, found.into, found.text) == ("", "en", "Yes.")
