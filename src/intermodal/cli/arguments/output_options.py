"""Options that select the output (text, JSON, a transcript, a vector, speech, scores or images) and its target."""

from __future__ import annotations

import re
import sys
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from intermodal.cli.arguments.plugin_choice import PluginChoice
from intermodal.core.request import (
    OUTPUT_NAMES,
    EmbeddingOutput,
    ImageFormat,
    ImageOutput,
    JsonOutput,
    Output,
    ScoresOutput,
    SpeechOutput,
    TextOutput,
    TranscriptOutput,
)
from intermodal.errors import OutputInvalid, SchemaInvalid, UsageError
from intermodal.events import Drawn, Speech

if TYPE_CHECKING:
    from intermodal.client.plugin_outputs import PluginOutput

IMAGE_FORMATS: tuple[ImageFormat, ...] = ("png", "jpeg", "webp")


SUFFIXES: Mapping[str, ImageFormat] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}


_SIZE = re.compile(r"(\d{1,5})[x×](\d{1,5})", re.IGNORECASE)


def _outputs_of_plugins() -> Iterable[str]:
    from intermodal.client.plugin_outputs import output_plugins

    return output_plugins()


OUTPUT_CHOICE = PluginChoice(OUTPUT_NAMES, _outputs_of_plugins)


def plugin_output(name: str | None) -> PluginOutput | None:
    """Return the output format with this name of a plugin; None if no plugin has it. Raises NotInstalled."""
    if not name or name in OUTPUT_NAMES:
        return None
    from intermodal.client.plugin_outputs import output_format, output_plugins

    return output_format(name) if name in output_plugins() else None


LABEL = "label"  # the output that shows only the best label
TRANSCRIPT_FORMATS = ("text", "json", "srt", "vtt")
SPEECH_FORMATS = ("wav", "mp3")
FORMATS = (*TRANSCRIPT_FORMATS, *SPEECH_FORMATS, *IMAGE_FORMATS)
# The kind of output that each option belongs to, by parameter.
_FOR = {
    "schema_file": "json", "voice": "speech", "verbatim": "speech", "labels": "scores", "independent": "scores",
    "size": "image", "count": "image", "steps": "image", "guidance": "image", "sampler": "image", "strength": "image",
    "mask": "image", "negative": "image", "quality": "image",
}  # fmt: skip
_SPELLED = {name: "--schema" if name == "schema_file" else f"--{name}" for name in (*_FOR, "to")}
_IMPLIED: Mapping[str, str] = {"wav": "speech", "mp3": "speech", "png": "image", "jpeg": "image", "webp": "image"}


def output_of(options: Mapping[str, Any]) -> Output:
    """Return the output that the options describe together; an option for one kind of output selects that kind.

    Raises UsageError if two options contradict each other.
    """
    form = options["form"]
    set_options = [name for name in _FOR if _is_given(options.get(name))]
    implied = [_FOR[name] for name in set_options]
    if form:
        implied.append(_IMPLIED.get(form, "transcript"))
    target = options.get("to")
    if target:
        implied.append("image" if Path(target).suffix.lower() in SUFFIXES else "speech")
    kind: str = options["output_kind"] or next(iter(implied), "text")
    kind = "scores" if kind == LABEL else kind
    asks = {name: _FOR[name] for name in set_options}
    if target and kind not in ("speech", "image"):
        asks["to"] = implied[-1]
    for name, other in asks.items():
        if other != kind:
            raise UsageError(
                f"{_SPELLED[name]} asks for {_NAMES[other]}, the rest for {_NAMES.get(kind, kind)}",
                todo="leave one of them out",
            )
    if form and (kind, form) not in _FORMS:
        formats = ", ".join(form for output_kind, form in _FORMS if output_kind == kind)
        todo = (
            f"formats of {_NAMES.get(kind, kind)} are {formats}"
            if formats
            else "add --output transcript, speech or image"
        )
        what = (
            "--format is for transcripts, speech and images"
            if not formats
            else f"{_NAMES.get(kind, kind)} has no such format"
        )
        raise UsageError(what, where=f"--format {form}", todo=todo)
    own = plugin_output(kind)
    output: Output = _MAKE[kind](options) if own is None else own.output
    return output


def _is_given(value: object) -> bool:
    """Return whether an option was given; 0 counts as given."""
    return value is not None and value is not False and value not in ("", ())


_NAMES = {
    "text": "text", "json": "JSON", "transcript": "a transcript", "embedding": "a vector", "speech": "speech",
    "scores": "scores", "image": "an image",
}  # fmt: skip
_FORMS = (
    *(("transcript", form) for form in TRANSCRIPT_FORMATS),
    *(("speech", form) for form in SPEECH_FORMATS),
    *(("image", form) for form in IMAGE_FORMATS),
)


def _json(options: Mapping[str, Any]) -> JsonOutput:
    import json

    from intermodal.client.answer_schema import json_output

    path: str | None = options["schema_file"]
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


def _speech(options: Mapping[str, Any]) -> SpeechOutput:
    """Return the output for speech, in the stated format or else the format of the file's name."""
    target = options.get("to") or ""
    form: Literal["wav", "mp3"] = options["form"] or ("mp3" if target.lower().endswith(".mp3") else "wav")
    return SpeechOutput(format=form, voice=options.get("voice") or "", verbatim=bool(options.get("verbatim")))


def _scores(options: Mapping[str, Any]) -> ScoresOutput:
    labels = tuple(word for words in options.get("labels") or () for word in words)
    return ScoresOutput(labels=labels, independent=bool(options.get("independent")))


def image_output(options: Mapping[str, Any]) -> ImageOutput:
    """Return the output for images, in the stated format or else the format of the file's name."""
    form: ImageFormat | Literal[""] = options["form"] or SUFFIXES.get(Path(options.get("to") or "").suffix.lower(), "")
    return ImageOutput(
        size=_parse_size(options.get("size") or ""),
        count=options.get("count") or 1,
        steps=options.get("steps"),
        guidance=options.get("guidance"),
        sampler=options.get("sampler") or "",
        strength=options.get("strength"),
        mask=bool(options.get("mask")),
        negative=options.get("negative") or "",
        quality=options.get("quality") or "",
        format=form,
    )


def _parse_size(word: str) -> tuple[int, int] | None:
    if not word:
        return None
    found = _SIZE.fullmatch(word.strip())
    if found is None:
        raise UsageError(f"{word!r} is not the size of an image", where="--size", todo="write it as 1024x1024")
    return int(found[1]), int(found[2])


_MAKE: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "text": lambda options: TextOutput(),
    "json": _json,
    "transcript": lambda options: TranscriptOutput(format=options["form"] or "text"),
    "embedding": lambda options: EmbeddingOutput(),
    "speech": _speech,
    "scores": _scores,
    "image": image_output,
}


# ---- where speech goes -----------------------------------------------------------------------------


def check_target(output: Output, target: str | None, *, as_json: bool) -> None:
    """Raise UsageError if sound or an image would go to a terminal or cannot be written; call it before the run."""
    if isinstance(output, ImageOutput):
        check_image_target(output, target, as_json=as_json)
        return
    if not isinstance(output, SpeechOutput):
        if target:
            raise UsageError(
                "is for speech and images", where=f"--to {target}", todo="leave it out: … > FILE takes the rest"
            )
        return
    if target == "-":
        raise UsageError("is not a file", where="--to -", todo="leave --to out and send the output on: … > answer.wav")
    if target:
        _check_suffix(Path(target).suffix.lower(), output.format, target)
    elif not as_json and sys.stdout.isatty():
        raise UsageError(
            "audio cannot be shown on a terminal", where="--output speech", todo="write it to a file: --to answer.wav"
        )


_SUFFIXES: Mapping[str, str] = {".wav": "wav", ".wave": "wav", ".mp3": "mp3"}


def _check_suffix(suffix: str, form: str, target: str) -> None:
    """Refuse a file whose suffix contradicts the format."""
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
    """Write speech to its file, or to standard output."""
    from intermodal.cli.arguments.files import write_atomically

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
    """Return speech as it appears in ``ask --json``: with its bytes in base64 only if no file was named."""
    from base64 import b64encode

    if speech is None:
        return None
    place = {"path": target} if target else {"data": b64encode(speech.data).decode()}
    return {"media_type": speech.media_type, "seconds": speech.seconds, "bytes": len(speech.data), **place}


def best_label(scores: Mapping[str, float]) -> str:
    """Return the label with the highest score; the first of several equal ones.


    >>> best_label({"letter": 0.25, "invoice": 0.75})
    'invoice'
    """
    return max(scores, key=scores.__getitem__, default="")


def scores_table(scores: Mapping[str, float]) -> str:
    """Return the labels with their scores, the best first.


    >>> print(scores_table({"letter": 0.25, "invoice": 0.75}))
    0.750  invoice
    0.250  letter
    """
    return "\n".join(f"{score:.3f}  {label}" for label, score in sorted(scores.items(), key=lambda pair: -pair[1]))


# ---- images -----------------------------------------------------------------------------------------


def check_image_target(output: ImageOutput, target: str | None, *, as_json: bool) -> None:
    """Raise UsageError if images would go to a terminal or cannot be written; call it before the run."""
    if target == "-":
        raise UsageError("is not a file", where="--to -", todo="leave --to out and send the output on: … > picture.png")
    if not target:
        if not as_json and output.count > 1:
            what = "several images cannot go to one place"
            raise UsageError(what, where="--count", todo="name a file, the others get a number: --to picture.png")
        if not as_json and sys.stdout.isatty():
            what = "an image cannot be shown on a terminal"
            raise UsageError(what, where="--output image", todo="write it to a file: --to picture.png")
        return
    suffix = Path(target).suffix.lower()
    if suffix and suffix not in SUFFIXES:
        what = f"images are written as PNG, JPEG or WebP, not as {suffix}"
        raise UsageError(what, where=f"--to {target}", todo="end the name in .png, .jpg or .webp")
    if suffix and output.format and SUFFIXES[suffix] != output.format:
        what = f"its name says {suffix}, and --format says {output.format}"
        raise UsageError(what, where=f"--to {target}", todo="leave --format out, or end the name in its suffix")


def image_paths(target: str, count: int) -> tuple[str, ...]:
    """Return the path of the file for each image.


    >>> image_paths("out/fox.png", 3)
    ('out/fox.png', 'out/fox-2.png', 'out/fox-3.png')
    """
    path = Path(target)
    more = (str(path.with_name(f"{path.stem}-{number}{path.suffix}")) for number in range(2, count + 1))
    return (target, *more) if count else ()


def write_images(images: Sequence[Drawn], target: str | None, *, quiet: bool) -> None:
    """Write images to their files, or to standard output."""
    from intermodal.cli.arguments.files import write_atomically

    if not images:
        raise OutputInvalid("no image was generated", todo="see the notes above")
    if not target:
        sys.stdout.buffer.write(images[0].data)
        sys.stdout.buffer.flush()
        return
    for path, image in zip(image_paths(target, len(images)), images, strict=True):
        write_atomically(Path(path), image.data)
        if not quiet:
            click.echo(f"wrote {path} ({image.media_type}, {len(image.data):,} bytes)", err=True)


def images_document(images: Sequence[Drawn], target: str | None) -> list[dict[str, Any]]:
    """Return images as they appear in ``ask --json``: with their bytes in base64 only if no file was named."""
    places = image_paths(target, len(images)) if target else ()
    return [
        {
            "media_type": image.media_type,
            "bytes": len(image.data),
            "prompt": image.prompt,
            **({"path": places[number]} if places else {"data": b64encode(image.data).decode()}),
        }
        for number, image in enumerate(images)
    ]
