"""OpenAI speech: text in as JSON, an audio file out. Many local servers have it (Kokoro, vLLM, Speaches).

Source: OpenAI's OpenAPI document for ``POST /audio/speech``.
"""

from __future__ import annotations

from collections.abc import Mapping

from intermodal import errors
from intermodal.catalog.types import Host
from intermodal.protocols.calls import AudioFormat, EncodedRequest, NotExpressible, SpeechCall
from intermodal.protocols.errors import classification
from intermodal.protocols.framing.json_body import dumps, valid_utf8

WIRE = "OpenAI speech"
PATH = "/audio/speech"
MAX_TEXT = 4096  # characters of one request
DEFAULT_VOICE = "alloy"
MEDIA_TYPES: Mapping[AudioFormat, str] = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def encode_request(call: SpeechCall, host: Host) -> EncodedRequest:
    """Return the encoded call. Raises NotExpressible for a text that is empty or too long for one request."""
    if len(call.text) > MAX_TEXT:
        raise NotExpressible.of(
            f"{len(call.text):,} characters at once (at most {MAX_TEXT:,})", WIRE, where=host.id, todo="cut the text"
        )
    if not call.text.strip():
        raise NotExpressible.of("a text without words", WIRE, where=host.id)
    body = {
        "model": call.model,
        "input": valid_utf8(call.text),
        "voice": valid_utf8(call.voice) or DEFAULT_VOICE,
        "response_format": call.format,
    }
    headers = (("content-type", "application/json"), ("accept", f"{MEDIA_TYPES[call.format]}, application/json"))
    return EncodedRequest(path=PATH, headers=headers, segments=(dumps(body),))


def decode_reply(
    body: bytes, endpoint: str, *, format: AudioFormat = "wav", headers: Mapping[str, str] | None = None
) -> bytes:
    """Return the audio file of a 2xx reply.

    Raises CallError for an error inside it or a file of another format, StreamCut for an empty reply.
    """
    if not body:
        raise errors.StreamCut("sent no sound", where=endpoint, todo="ask again")
    if body[:1] == b"{" and b'"error"' in body[: classification.MAX_QUOTE]:
        raise classification.classify(200, headers or {}, body, endpoint)
    if not _LOOKS[format](body):
        raise errors.CallError(
            f"sent something that is not {format.upper()}", where=endpoint, todo="ask for another format", status=200
        )
    return body


def _is_wav(body: bytes) -> bool:
    return body[:4] == b"RIFF" and body[8:12] == b"WAVE"


def _is_mp3(body: bytes) -> bool:
    """Return True if data begins with an ID3 tag or an MPEG frame sync."""
    return body[:3] == b"ID3" or (len(body) > 1 and body[0] == 0xFF and body[1] & 0xE0 == 0xE0)


_LOOKS = {"wav": _is_wav, "mp3": _is_mp3}
