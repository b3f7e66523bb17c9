"""What a published model does: tasks and modalities, out of its family, its name and the modalities that are stated.

Modalities alone would make a language model of an embedding ("text in, text out", as models.dev writes it), so a
family or a name that says better goes first. Run when a snapshot is made, not when it is read.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from intermodal.catalog import model_kinds
from intermodal.content import KINDS

_MADE = ("text", "embedding", "audio", "scores", "image", "video")
# Families of models.dev whose modalities alone would make language models of them.
_FAMILIES: dict[str, tuple[tuple[str, ...], str]] = {
    "text-embedding": (("feature-extraction",), "embedding"),
    "cohere-embed": (("feature-extraction",), "embedding"),
    "mistral-embed": (("feature-extraction",), "embedding"),
    "codestral-embed": (("feature-extraction",), "embedding"),
    "titan-embed": (("feature-extraction",), "embedding"),
    "voyage": (("feature-extraction",), "embedding"),
    "bge": (("feature-extraction",), "embedding"),
    "whisper": (("automatic-speech-recognition",), "text"),
}
_NAMED: tuple[tuple[re.Pattern[str], tuple[str, ...], str], ...] = (
    (re.compile(r"rerank"), ("text-ranking",), "scores"),
    (re.compile(r"(^|[-/_.])((text-)?embed|e5-|bge-(?!rerank))"), ("feature-extraction",), "embedding"),
    (re.compile(r"whisper|transcribe(?!.*realtime)|voxtral-mini-\d+$"), ("automatic-speech-recognition",), "text"),
    (re.compile(r"(^|[-/_])ocr([-/_]|$)"), ("image-to-text",), "text"),
    (re.compile(r"(^|[-/_])tts([-/_.]|$)"), ("text-to-speech",), "audio"),
)  # fmt: skip


class InferredCapabilities(NamedTuple):
    """Tasks and modalities, () where nothing says."""

    tasks: tuple[str, ...]
    input: tuple[str, ...]
    output: tuple[str, ...]


def infer_capabilities(id: str, family: str, into: tuple[str, ...], out: tuple[str, ...]) -> InferredCapabilities:
    """``id`` is ``vendor/model``; ``into`` and ``out`` are the modalities that are stated."""
    known = next((found[1:] for found in _NAMED if found[0].search(id)), None) or _FAMILIES.get(family)
    input = tuple(kind for kind in KINDS if kind in into)
    if known is not None:
        tasks, made = known
        if "automatic-speech-recognition" in tasks:
            input = ("audio",)
        elif "image-to-text" in tasks:
            input = ("image",)
        return InferredCapabilities(tasks, input or ("text",), (made,))
    output = tuple(made for made in _MADE if made in out)
    if not input or not output:
        return InferredCapabilities((), input, output)
    return InferredCapabilities(model_kinds.tasks_for_modalities(input, output), input, output)
