"""Derive the kind of a model ("LLM", "embedding") and its tasks from its modalities, tasks and training.

The kind is never stored, so it cannot contradict the facts. docs/models.md explains each name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from intermodal.core.content import KINDS


class _Facts(NamedTuple):
    tasks: frozenset[str]
    input: frozenset[str]
    output: frozenset[str]
    objective: frozenset[str]

    @property
    def media(self) -> frozenset[str]:
        """The input modalities other than text. A document counts as pages of text and images, not as a medium."""
        return self.input - {"text", "document"}

    @property
    def writes(self) -> bool:
        return bool(self.tasks & _WRITING) or (not self.tasks and "text" in self.output)


_WRITING = {"text-generation", "image-text-to-text", "audio-text-to-text", "video-text-to-text", "any-to-any"}
_SIGHT = {"image", "video"}

UNKNOWN = "not known"
# The first matching rule gives the name. The order matters: outputs are checked before inputs.
_KINDS: tuple[tuple[str, Callable[[_Facts], bool]], ...] = (
    ("omni", lambda f: f.writes and bool(f.output & {"audio", "image", "video"}) and "text" in f.output
     and bool(f.media)),
    ("video generation", lambda f: "video" in f.output),
    ("image generation", lambda f: "image" in f.output),
    ("reranker", lambda f: "text-ranking" in f.tasks),
    ("contrastive image-text", lambda f: "contrastive" in f.objective and {"text", "image"} <= f.input
     and "text" not in f.output),
    ("embedding", lambda f: "embedding" in f.output),
    ("text classifier", lambda f: "text-classification" in f.tasks and "scores" in f.output),
    ("entailment", lambda f: "zero-shot-classification" in f.tasks and "scores" in f.output),
    ("encoder language model", lambda f: "fill-mask" in f.tasks),
    ("speech translation", lambda f: "translation" in f.tasks and "audio" in f.input),
    ("speech recognition", lambda f: "automatic-speech-recognition" in f.tasks and not f.writes),
    ("speech synthesis", lambda f: "text-to-speech" in f.tasks and not f.writes),
    ("audio generation", lambda f: f.output == {"audio"}),
    ("text recognition", lambda f: "image-to-text" in f.tasks and not f.writes),
    ("multimodal", lambda f: f.writes and "audio" in f.media and bool(f.media & _SIGHT)),
    ("vision-language", lambda f: f.writes and bool(f.media & _SIGHT)),
    ("audio-language", lambda f: f.writes and "audio" in f.media),
    ("LLM", lambda f: f.writes),
)  # fmt: skip
MODEL_KINDS: tuple[str, ...] = (*(name for name, _ in _KINDS), UNKNOWN)


def kind_of(tasks: Sequence[str], input: Sequence[str], output: Sequence[str], objective: Sequence[str] = ()) -> str:
    """Return the everyday name of a model's kind.

    >>> kind_of(["text-generation"], ["text"], ["text"])
    'LLM'
    >>> kind_of(["text-generation", "image-text-to-text"], ["text", "image"], ["text"])
    'vision-language'
    >>> kind_of(["automatic-speech-recognition"], ["audio"], ["text"])
    'speech recognition'
    """
    facts = _Facts(frozenset(tasks), frozenset(input), frozenset(output), frozenset(objective))
    return next((name for name, holds in _KINDS if holds(facts)), UNKNOWN)


def is_foundation_model(adaptation: str, objective: Sequence[str], trained_on: Sequence[str]) -> bool | None:
    """Return whether a model was pretrained on broad unlabelled data for many tasks.

    None if too little is published.
    """
    if adaptation == "one task" or "supervised" in objective:
        return False
    return True if adaptation or objective or trained_on else None


_TASKS: tuple[tuple[str, Callable[[_Facts], bool]], ...] = (
    ("text-generation", lambda f: {"text"} <= f.input and "text" in f.output),
    ("image-text-to-text", lambda f: "image" in f.input and "text" in f.output),
    ("audio-text-to-text", lambda f: {"text", "audio"} <= f.input and "text" in f.output),
    ("video-text-to-text", lambda f: {"text", "video"} <= f.input and "text" in f.output),
    ("automatic-speech-recognition", lambda f: f.input == {"audio"} and f.output == {"text"}),
    ("text-to-speech", lambda f: f.input == {"text"} and f.output == {"audio"}),
    ("text-to-image", lambda f: "text" in f.input and "image" in f.output),
    ("image-to-image", lambda f: "image" in f.input and "image" in f.output),
    ("text-to-video", lambda f: "text" in f.input and "video" in f.output),
    ("image-to-video", lambda f: "image" in f.input and "video" in f.output),
)


def tasks_for_modalities(input: Sequence[str], output: Sequence[str]) -> tuple[str, ...]:
    """Return Hugging Face's task names for a model with these inputs and outputs."""
    facts = _Facts(frozenset(), frozenset(input), frozenset(output), frozenset())
    return tuple(name for name, holds in _TASKS if holds(facts))


_OUTPUT_KINDS = ("text", "embedding", "audio", "scores", "image", "video")


# Families of models.dev that would be classified as language models by their modalities alone.
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

_NAME_PATTERNS: tuple[tuple[re.Pattern[str], tuple[str, ...], str], ...] = (
    (re.compile(r"rerank"), ("text-ranking",), "scores"),
    (re.compile(r"(^|[-/_.])((text-)?embed|e5-|bge-(?!rerank))"), ("feature-extraction",), "embedding"),
    (re.compile(r"whisper|transcribe(?!.*realtime)|voxtral-mini-\d+$"), ("automatic-speech-recognition",), "text"),
    (re.compile(r"(^|[-/_])ocr([-/_]|$)"), ("image-to-text",), "text"),
    (re.compile(r"(^|[-/_])tts([-/_.]|$)"), ("text-to-speech",), "audio"),
)  # fmt: skip


class InferredCapabilities(NamedTuple):
    """Tasks and modalities; () where no source states them."""

    tasks: tuple[str, ...]
    input: tuple[str, ...]
    output: tuple[str, ...]


def infer_capabilities(id: str, family: str, into: tuple[str, ...], out: tuple[str, ...]) -> InferredCapabilities:
    """Infer the tasks and modalities of a published model from its id, its family and its stated modalities.

    Modalities alone would classify an embedding model ("text in, text out" in models.dev) as a language model, so the
    name and the family are tried first. ``id`` is ``vendor/model``; ``into`` and ``out`` are the stated modalities.
    Runs when a snapshot is built, not when it is read.
    """
    match = next((found[1:] for found in _NAME_PATTERNS if found[0].search(id)), None) or _FAMILIES.get(family)
    input = tuple(kind for kind in KINDS if kind in into)
    if match is not None:
        tasks, output_kind = match
        if "automatic-speech-recognition" in tasks:
            input = ("audio",)
        elif "image-to-text" in tasks:
            input = ("image",)
        return InferredCapabilities(tasks, input or ("text",), (output_kind,))
    output = tuple(kind_of_output for kind_of_output in _OUTPUT_KINDS if kind_of_output in out)
    if not input or not output:
        return InferredCapabilities((), input, output)
    return InferredCapabilities(tasks_for_modalities(input, output), input, output)
