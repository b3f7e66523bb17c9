"""OpenAI audio transcriptions and translations: a multipart form in, a transcript with times out, or subtitles.

Source: OpenAI's OpenAPI document for ``POST /audio/transcriptions`` and ``POST /audio/translations``. The latter writes
English whatever is spoken, accepts no language, and reports "english" where the former reports the spoken language.
vLLM and Ollama support only the plain ``json`` form (quirk ``no_verbose_json``): one segment without times.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from intermodal.catalog.types import AUDIO_TRANSLATIONS, Host
from intermodal.core.content import Segment, Transcript
from intermodal.core.languages import code_of
from intermodal.protocols.calls import EncodedRequest, NotExpressible, Transcription, TranscriptionCall
from intermodal.protocols.framing.json_body import as_mapping, valid_utf8
from intermodal.protocols.framing.surrogates import loads_joined
from intermodal.protocols.openai_chat.reply import read_usage
from intermodal.protocols.openai_media.multipart_form import FormFile, encode_form
from intermodal.protocols.reply_decoder import read_object

# ---- subtitles --------------------------------------------------------------------------------------
#
# Transcripts as subtitles: SRT (SubRip) and WebVTT (W3C).


def subtitles(transcript: Transcript, form: str) -> str:
    """Return a transcript as SRT or WebVTT.

    Blank lines and arrows inside a segment, which would end it early, are replaced.
    """
    comma = "," if form == "srt" else "."
    blocks = [] if form == "srt" else ["WEBVTT\n"]
    for number, segment in enumerate(transcript.segments, start=1):
        times = f"{_clock(segment.start, comma)} --> {_clock(max(segment.start, segment.end), comma)}"
        line = f"{segment.speaker}: {segment.text}" if segment.speaker else segment.text
        text = " ".join(line.split()).replace("-->", "→")
        if form == "vtt":
            text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        blocks.append(f"{number}\n{times}\n{text}\n" if form == "srt" else f"{times}\n{text}\n")
    return "\n".join(blocks)


def _clock(seconds: float, comma: str) -> str:
    thousandths = round(max(0.0, seconds) * 1000)
    return (
        f"{thousandths // 3_600_000:02}:{thousandths // 60_000 % 60:02}:"
        f"{thousandths // 1000 % 60:02}{comma}{thousandths % 1000:03}"
    )


# ---- transcription ----------------------------------------------------------------------------------

WIRE = "OpenAI transcription"
PATH = "/audio/transcriptions"
TRANSLATIONS = "/audio/translations"
QUIRKS: Mapping[str, str] = {
    "no_verbose_json": "only the plain json form is known: a transcript without times",
    AUDIO_TRANSLATIONS: "speech is written in English by a door of its own, /audio/translations",
}

# Media types that these endpoints accept, with the file endings by which they tell them apart.
ENDINGS: Mapping[str, str] = {
    "audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/flac": "flac",
    "audio/ogg": "ogg", "audio/mp4": "m4a", "audio/m4a": "m4a", "audio/webm": "webm",
}  # fmt: skip


def encode_request(call: TranscriptionCall, host: Host) -> EncodedRequest:
    """Return the call as a form. The recording is a segment of its own, not copied. Raises NotExpressible."""
    ending = ENDINGS.get(call.media_type)
    if ending is None:
        raise NotExpressible.of(f"audio of type {call.media_type}", WIRE, where=host.id, todo="convert it to WAV")
    if call.into and (call.into != "en" or AUDIO_TRANSLATIONS not in host.quirks):
        todo = "have it transcribed, and let a language model translate"
        raise NotExpressible.of(f"a translation into {call.into!r}", WIRE, where=host.id, todo=todo)
    plain = "no_verbose_json" in host.quirks
    fields = {
        "model": call.model,
        "response_format": "json" if plain else "verbose_json",
        "language": "" if call.into else call.language,
        "prompt": call.prompt,
    }
    form_fields = {name: valid_utf8(value) for name, value in fields.items() if value}
    recording = FormFile(field="file", name=f"audio.{ending}", media_type=call.media_type, data=call.data)
    return encode_form(TRANSLATIONS if call.into else PATH, form_fields, (recording,))


def decode_reply(
    body: bytes, endpoint: str, *, headers: Mapping[str, str] | None = None, into: str = ""
) -> Transcription:
    """Return the transcript of a 2xx reply. ``into``: the language that it was translated to.

    Raises CallError for an error inside it, StreamCut for a truncated reply.
    """
    # vLLM has reported an error with status 200 here.
    tree = read_object(
        body, endpoint, headers, holds=lambda tree: isinstance(tree.get("text"), str), parse=loads_joined
    )
    seconds = _seconds(tree.get("duration"))
    rows = tree.get("segments")
    segments = tuple(filter(None, map(_segment, rows if isinstance(rows, list) else ())))
    if not segments and tree["text"].strip():
        segments = (Segment(start=0.0, end=seconds, text=tree["text"].strip()),)
    language = tree.get("language")
    transcript = Transcript(
        language=code_of(language) if isinstance(language, str) and not into else "",  # of a translation, its own
        seconds=seconds or (segments[-1].end if segments else 0.0),
        segments=segments,
        into=into,
    )
    return Transcription(transcript=transcript, usage=read_usage(as_mapping(tree.get("usage"))))


def _segment(row: Any) -> Segment | None:
    if not isinstance(row, Mapping) or not isinstance(row.get("text"), str) or not row["text"].strip():
        return None
    start = _seconds(row.get("start"))
    return Segment(
        start=start, end=max(start, _seconds(row.get("end"))), text=row["text"].strip(),
        certainty=_certainty(row.get("avg_logprob")),
    )  # fmt: skip


def _certainty(likely: Any) -> float:
    """Return the probability of a mean log-probability; 0 if none is given, as by servers that always write 0."""
    is_logprob = isinstance(likely, int | float) and not isinstance(likely, bool) and -math.inf < likely < 0
    return math.exp(likely) if is_logprob else 0.0


def _seconds(value: Any) -> float:
    """Return seconds as a number (older replies have a string); 0 for an invalid value."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return 0.0
    return seconds if 0 <= seconds < 1e9 else 0.0
