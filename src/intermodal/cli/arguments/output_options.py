"""Options that select the output: text, JSON, a transcript, a vector, speech, scores or images.

And where speech goes; pictures are in ``cli/rendering/image_files.py``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import click

from intermodal.cli.rendering.image_files import PICTURE_FORMATS, SUFFIXES, check_image_target, image_output
from intermodal.errors import OutputInvalid, SchemaInvalid, UsageError
from intermodal.events import Speech
from intermodal.request import (
    EmbeddingOutput,
    ImageOutput,
    JsonOutput,
    Output,
    ScoresOutput,
    SpeechOutput,
    TextOutput,
    TranscriptOutput,
)

KINDS = ("text", "json", "transcript", "embedding", "speech", "scores", "label", "image")
LABEL = "label"  # the best of the scores, by itself
TRANSCRIPT_FORMATS = ("text", "json", "srt", "vtt")
SPEECH_FORMATS = ("wav", "mp3")
FORMATS = (*TRANSCRIPT_FORMATS, *SPEECH_FORMATS, *PICTURE_FORMATS)
# What an option is for, by the parameter's name.
_FOR = {
    "schema_file": "json", "voice": "speech", "verbatim": "speech", "labels": "scores", "size": "image",
    "count": "image", "steps": "image", "guidance": "image", "sampler": "image", "strength": "image", "mask": "image",
    "negative": "image", "quality": "image",
}  # fmt: skip
_SPELLED = {name: "--schema" if name == "schema_file" else f"--{name}" for name in (*_FOR, "to")}
_IMPLIED: Mapping[str, str] = {"wav": "speech", "mp3": "speech", "png": "image", "jpeg": "image", "webp": "image"}


def output_of(given: Mapping[str, Any]) -> Output:
    """The output that the options describe together; one that says nothing alone implies its kind.

    Raises UsageError where two do not go together.
    """
    form = given["form"]
    said = [name for name in _FOR if _is_said(given.get(name))]
    implied = [_FOR[name] for name in said]
    if form:
        implied.append(_IMPLIED.get(form, "transcript"))
    target = given.get("to")
    if target:
        implied.append("image" if Path(target).suffix.lower() in SUFFIXES else "speech")
    kind: str = given["output_kind"] or next(iter(implied), "text")
    kind = "scores" if kind == LABEL else kind
    asks = {name: _FOR[name] for name in said}
    if target and kind not in ("speech", "image"):
        asks["to"] = implied[-1]
    for name, other in asks.items():
        if other != kind:
            raise UsageError(
                f"{_SPELLED[name]} asks for {_NAMES[other]}, the rest for {_NAMES[kind]}",
                todo="leave one of them out",
            )
    if form and (kind, form) not in _FORMS:
        of = ", ".join(form for of, form in _FORMS if of == kind)
        todo = f"formats of {_NAMES[kind]} are {of}" if of else "add --output transcript, speech or image"
        what = "--format is for transcripts, speech and pictures" if not of else f"{_NAMES[kind]} has no such format"
        raise UsageError(what, where=f"--format {form}", todo=todo)
    made: Output = _MAKE[kind](given)
    return made


def _is_said(value: object) -> bool:
    """Whether an option was given; a number that is 0 is one that was."""
    return value is not None and value is not False and value not in ("", ())


_NAMES = {
    "text": "text", "json": "JSON", "transcript": "a transcript", "embedding": "a vector", "speech": "speech",
    "scores": "scores", "image": "a picture",
}  # fmt: skip
_FORMS = (
    *(("transcript", form) for form in TRANSCRIPT_FORMATS),
    *(("speech", form) for form in SPEECH_FORMATS),
    *(("image", form) for form in PICTURE_FORMATS),
)


def _json(given: Mapping[str, Any]) -> JsonOutput:
    import json

    from intermodal.answer_schema import json_output

    path: str | None = given["schema_file"]
    if path is None:
        return JsonOutput(schema={"type": "object"})
    try:
        body = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise SchemaInvalid(f"cannot be read ({reason})", where=path, todo="check the path of --schema") from None
    except ValueError as error:
        raise SchemaInvalid(f"is not JSON ({error})", where=path, todo="correct the schema file") from None
    if not isinstance(body, dict):
        raise SchemaInvalid(
            "is not a JSON Schema: the top must be an object", where=path, todo="correct the schema file"
        )
    return json_output(body, where=path)


def _speech(given: Mapping[str, Any]) -> SpeechOutput:
    """The format as it is said, else as the file's name ends."""
    target = given.get("to") or ""
    form: Literal["wav", "mp3"] = given["form"] or ("mp3" if target.lower().endswith(".mp3") else "wav")
    return SpeechOutput(format=form, voice=given.get("voice") or "", verbatim=bool(given.get("verbatim")))


def _scores(given: Mapping[str, Any]) -> ScoresOutput:
    labels = tuple(word for words in given.get("labels") or () for word in words)
    return ScoresOutput(labels=labels)


_MAKE: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "text": lambda given: TextOutput(),
    "json": _json,
    "transcript": lambda given: TranscriptOutput(format=given["form"] or "text"),
    "embedding": lambda given: EmbeddingOutput(),
    "speech": _speech,
    "scores": _scores,
    "image": image_output,
}


# ---- where speech goes -----------------------------------------------------------------------------


def check_target(output: Output, target: str | None, *, as_json: bool) -> None:
    """Raise UsageError, before anything runs, where sound or a picture would be written to a terminal or cannot be
    written."""
    if isinstance(output, ImageOutput):
        check_image_target(output, target, as_json=as_json)
        return
    if not isinstance(output, SpeechOutput):
        if target:
            raise UsageError(
                "is for speech and pictures", where=f"--to {target}", todo="leave it out: … > FILE takes the rest"
            )
        return
    if target == "-":
        raise UsageError("is not a file", where="--to -", todo="leave --to out and send the output on: … > answer.wav")
    if target:
        _check_suffix(Path(target).suffix.lower(), output.format, target)
    elif not as_json and sys.stdout.isatty():
        raise UsageError(
            "sound cannot be shown on a terminal", where="--output speech", todo="write it to a file: --to answer.wav"
        )


_SUFFIXES: Mapping[str, str] = {".wav": "wav", ".wave": "wav", ".mp3": "mp3"}


def _check_suffix(suffix: str, form: str, target: str) -> None:
    """A file whose name says one format must not hold another."""
    if suffix and suffix not in _SUFFIXES:
        raise UsageError(
            f"speech is written as WAV or MP3, not as {suffix}", where=f"--to {target}",
            todo="end the name in .wav or .mp3",
        )  # fmt: skip
    if suffix and _SUFFIXES[suffix] != form:
        raise UsageError(
            f"its name says {suffix}, and --format says {form}", where=f"--to {target}",
            todo=f"leave --format out, or end the name in .{form}",
        )  # fmt: skip


def write_speech(speech: Speech | None, target: str | None, *, quiet: bool) -> None:
    """To the file, or to standard output."""
    from intermodal.cli.arguments.saved_files import write_atomically

    if speech is None:
        raise OutputInvalid("no speech was made", todo="see the notes above")
    if not target:
        sys.stdout.buffer.write(speech.data)
        sys.stdout.buffer.flush()
        return
    write_atomically(Path(target), speech.data)
    if not quiet:
        click.echo(f"wrote {target} ({speech.seconds:.1f} s, {len(speech.data):,} bytes)", err=True)


def speech_document(speech: Speech | None, target: str | None) -> dict[str, Any] | None:
    """Speech in ``ask --json``: its bytes in base64 only where they go to no file."""
    from base64 import b64encode

    if speech is None:
        return None
    place = {"path": target} if target else {"data": b64encode(speech.data).decode()}
    return {"media_type": speech.media_type, "seconds": speech.seconds, "bytes": len(speech.data), **place}


def best_label(scores: Mapping[str, float]) -> str:
    """The label that fits best; of several the one that comes first.

    >>> best_label({"letter": 0.25, "invoice": 0.75})
    'invoice'
    """
    return max(scores, key=scores.__getitem__, default="")


def scores_table(scores: Mapping[str, float]) -> str:
    """The labels, the best first, with their scores.

    >>> print(scores_table({"letter": 0.25, "invoice": 0.75}))
    0.750  invoice
    0.250  letter
    """
    return "\n".join(f"{score:.3f}  {label}" for label, score in sorted(scores.items(), key=lambda pair: -pair[1]))
