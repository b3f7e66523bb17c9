"""The server side of OpenAI's embeddings, speech, transcription and image endpoints.

Requests are read into the calls that the client side sends; replies are written. Source: OpenAI's OpenAPI document for
``/embeddings``, ``/audio/speech``, ``/audio/transcriptions``, ``/audio/translations``, ``/images/generations`` and
``/images/edits``.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args

import msgspec

from intermodal.core.content import Transcript
from intermodal.core.request import ImageFormat, Quality
from intermodal.protocols.calls import AudioFormat, EmbeddingCall, ImageCall, SpeechCall
from intermodal.protocols.framing.json_body import dumps, loads
from intermodal.protocols.openai_media.transcription import subtitles
from intermodal.protocols.request_validation import require_one_of, validation_message

T = TypeVar("T")
Encoding = Literal["float", "base64"]
MAX_TEXTS = 2048  # texts of one request, as at OpenAI
MAX_SIDE = 16_384  # maximum pixels per side of an image; no model generates as many
TRANSCRIPT_FORMATS = ("json", "text", "srt", "vtt", "verbose_json")
_NAMES: Mapping[str, str] = {"count": "n", "negative": "negative_prompt"}
_QUALITIES: Mapping[str, str] = {"": "", "auto": "", "standard": "", "hd": "high"}


class EmbeddingRequest(msgspec.Struct, frozen=True):
    """An embedding call, and the encoding of its vectors. ``tokens``: token ids given in place of texts."""

    call: EmbeddingCall
    encoding: Encoding
    tokens: tuple[tuple[int, ...], ...] = ()


def read_embedding_request(body: bytes) -> EmbeddingRequest:
    """Return the request in a body. Raises ValueError for an invalid body or an unsupported option."""

    def read(tree: Mapping[str, Any]) -> EmbeddingRequest:
        texts, tokens = _inputs(tree["input"])
        if tree.get("dimensions") is not None:
            raise ValueError("dimensions cannot be chosen here: leave it out")
        call = EmbeddingCall(model=read_model_name(tree), texts=texts)
        encoding: Encoding = require_one_of(
            tree.get("encoding_format") or "float", "encoding_format", ("float", "base64")
        )
        return EmbeddingRequest(call=call, encoding=encoding, tokens=tokens)

    return read_body(body, "an embedding request", read)


def _inputs(raw_input: Any) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Return the inputs as texts or as token ids; a single input or an array is accepted."""
    inputs: list[Any] = (
        raw_input if isinstance(raw_input, list) and not (raw_input and isinstance(raw_input[0], int)) else [raw_input]
    )
    if not inputs or len(inputs) > MAX_TEXTS or not isinstance(raw_input, str | list):
        raise ValueError(f"input must be a string or an array of 1 to {MAX_TEXTS:,}")
    if all(isinstance(text, str) for text in inputs):
        return tuple(inputs), ()
    if not all(isinstance(ids, list) and ids and all(type(token_id) is int for token_id in ids) for ids in inputs):
        raise ValueError("input holds something else than texts, or than arrays of whole numbers")
    return (), tuple(map(tuple, inputs))


def write_embeddings(vectors: Sequence[Sequence[float]], name: str, encoding: str, usage: Mapping[str, Any]) -> bytes:
    """Return the reply, with vectors in the order of the texts."""
    rows = [  # one by one: the encoder holds the interpreter lock, and millions of numbers take a second
        msgspec.Raw(dumps({"object": "embedding", "index": index, "embedding": _encode_vector(row, encoding)}))
        for index, row in enumerate(vectors)
    ]
    return dumps({"object": "list", "data": rows, "model": name, "usage": usage})


def _encode_vector(vector: Sequence[float], encoding: str) -> str | list[float]:
    """Return a vector as numbers, or as little-endian float32 in base64."""
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if encoding == "base64" else list(vector)


def read_speech_request(body: bytes) -> SpeechCall:
    """Return the call in a body. Raises ValueError for an invalid body or an unsupported option."""

    def read(tree: Mapping[str, Any]) -> SpeechCall:
        audio_format: AudioFormat = require_one_of(
            tree.get("response_format") or "mp3", "response_format", ("mp3", "wav")
        )
        if tree.get("speed") not in (None, 1, 1.0):
            raise ValueError("speed cannot be chosen here: leave it out")
        if tree.get("stream_format") == "sse":
            raise ValueError("stream_format 'sse': sound comes as a file")
        voice = tree.get("voice") or ""
        if not isinstance(voice, str):
            raise ValueError("a voice of one's own: name one that the model knows")
        if not isinstance(tree["input"], str):
            raise ValueError("input is no text")
        voice = "" if voice == "default" else voice
        return SpeechCall(model=read_model_name(tree), text=tree["input"], voice=voice, format=audio_format)

    return read_body(body, "a speech request", read)


def read_image_request(body: bytes) -> ImageCall:
    """Return the call in a body. Raises ValueError for an invalid body or an unsupported option."""

    return read_body(body, "an image request", _image_call)


def read_edit_form(fields: Mapping[str, str]) -> ImageCall:
    """Return the call in the fields of a form, without its images. Raises ValueError as ``read_image_request`` does."""
    tree: dict[str, Any] = {name: value for name, value in fields.items() if value}
    for name, kind in (("n", int), ("seed", int), ("steps", int), ("guidance", float), ("strength", float)):
        if name in tree:
            try:
                tree[name] = kind(tree[name])
            except ValueError:
                expected = "a whole number" if kind is int else "a number"
                raise ValueError(f"{name} {tree[name][:40]!r}: write {expected}") from None
    tree["stream"] = fields.get("stream", "false").lower() not in ("false", "")
    return read_tree(tree, "an image request", _image_call)


def _image_call(tree: Mapping[str, Any]) -> ImageCall:
    if tree.get("response_format") == "url":
        raise ValueError("response_format 'url': nothing is kept here, so images come as b64_json")
    if tree.get("stream") not in (None, False):
        raise ValueError("stream: images come whole here, leave stream out")
    form: ImageFormat | Literal[""] = require_one_of(
        tree.get("output_format") or "", "output_format", ("", *get_args(ImageFormat))
    )
    quality = require_one_of(tree.get("quality") or "", "quality", (*_QUALITIES, *get_args(Quality)))
    count = tree.get("n")
    fields = {
        "model": read_model_name(tree), "prompt": tree["prompt"], "size": _parse_size(tree.get("size")),
        "count": 1 if count is None else count, "quality": _QUALITIES.get(quality, quality),
        "format": form, "seed": tree.get("seed"), "steps": tree.get("steps"),
        "guidance": tree.get("guidance"), "sampler": tree.get("sampler") or "",
        "strength": tree.get("strength"), "negative": tree.get("negative_prompt") or "",
    }  # fmt: skip
    call = msgspec.convert(fields, ImageCall)
    if not 1 <= call.count <= 10:
        raise ValueError("n is 1 to 10")
    return call


def _parse_size(size: Any) -> tuple[int, int] | None:
    if size in (None, "auto"):
        return None
    wide, _, high = str(size).partition("x")
    if not (wide.isascii() and wide.isdigit() and high.isascii() and high.isdigit()):
        raise ValueError(f"size {str(size)[:40]!r}: write it as 1024x1024")
    if not all(len(side) <= len(str(MAX_SIDE)) and 1 <= int(side) <= MAX_SIDE for side in (wide, high)):
        raise ValueError(f"size {size[:40]!r}: a side of an image has 1 to {MAX_SIDE:,} pixels")
    return int(wide), int(high)


def write_images(pictures: Sequence[tuple[bytes, str]], created: int, usage: Mapping[str, Any]) -> bytes:
    """Return the reply: each image file and its revised prompt, "" if there is none."""
    rows = [
        {"b64_json": b64encode(data).decode(), **({"revised_prompt": prompt} if prompt else {})}
        for data, prompt in pictures
    ]
    return dumps({"created": created, "data": rows, "usage": usage})


def write_transcript(transcript: Transcript, form: str, usage: Mapping[str, Any]) -> tuple[str, bytes]:
    """Return media type and body of a transcript in one of ``TRANSCRIPT_FORMATS``."""
    if form == "text":
        return "text/plain; charset=utf-8", transcript.text.encode("utf-8", "replace") + b"\n"
    if form in ("srt", "vtt"):
        kind = "application/x-subrip" if form == "srt" else "text/vtt"
        return kind, subtitles(transcript, form).encode("utf-8", "replace")
    if form == "json":
        return "application/json", dumps({"text": transcript.text, "usage": usage})
    rows = [
        {"id": index, "seek": 0, "start": each.start, "end": each.end, "text": each.text, "tokens": [],
         "temperature": 0.0, "avg_logprob": 0.0, "compression_ratio": 0.0, "no_speech_prob": 0.0}
        for index, each in enumerate(transcript.segments)
    ]  # fmt: skip
    task, language = ("translate", transcript.into) if transcript.into else ("transcribe", transcript.language)
    head = {"task": task, "language": language, "duration": transcript.seconds, "text": transcript.text}
    return "application/json", dumps({**head, "segments": rows, "usage": usage})


def read_model_name(tree: Mapping[str, Any]) -> str:
    """Return the requested model's name. Raises ValueError if it is not a string, KeyError if it is missing."""
    if not isinstance(tree["model"], str):
        raise ValueError("model must be a string")
    return str(tree["model"])


def read_body(body: bytes, what: str, read: Callable[[Mapping[str, Any]], T]) -> T:
    """Return the result of ``read`` on a body's JSON object. Raises ValueError that names the expected ``what``."""
    tree = loads(body)
    if not isinstance(tree, dict):
        raise ValueError(f"not {what}: the body is not a JSON object")
    return read_tree(tree, what, read)


def read_tree(tree: Mapping[str, Any], what: str, read: Callable[[Mapping[str, Any]], T]) -> T:
    """Return the result of ``read`` on these fields. Raises ValueError that names the expected ``what``."""
    try:
        return read(tree)
    except msgspec.ValidationError as error:
        raise ValueError(f"not {what}: {validation_message(error, ImageCall, _NAMES)}") from None
    except KeyError as error:
        raise ValueError(f"not {what}: {error.args[0]!r} is missing") from None
    except (TypeError, AttributeError):
        raise ValueError(f"not {what}: a value is of the wrong type") from None
