"""The results of embedded runtimes. Values only.

``seconds`` is the duration of the work, ``load_seconds`` that of loading before it (0 if loaded), ``peak_memory`` the
peak resident bytes of the runtime's process.
"""

from __future__ import annotations

from typing import Literal

from intermodal.core.content import ReadLine, Transcript, Value

# The training loss of a contrastive model: softmax over all texts, or sigmoid for each pair.
ContrastiveLoss = Literal["softmax", "sigmoid"]


class ChatServer(Value):
    """A running chat server that intermodal started.

    Attributes:
        base_url: base URL, without ``/chat/completions``. Reachable from this machine only.
        key: required bearer token, so that other users of the machine cannot use the server.
        load_seconds: start time; 0 if it was already running.
        marks: strings that its model treats as template tokens (``template_marks.py``).
    """

    base_url: str
    key: str = ""
    load_seconds: float = 0.0
    marks: tuple[str, ...] = ()


class SpeechResult(Value):
    """Recognised speech."""

    transcript: Transcript
    seconds: float
    load_seconds: float = 0.0
    peak_memory: int = 0


class OcrResult(Value):
    """Text read from an image, in reading order."""

    lines: tuple[ReadLine, ...]
    seconds: float
    load_seconds: float = 0.0
    peak_memory: int = 0


class SynthesisResult(Value):
    """Synthesised speech.

    Attributes:
        pcm: signed 16-bit, little-endian, mono. rate: samples per second.
        silent: parts of the text that the voice could not speak and that were skipped.
        seconds: duration of the work.
    """

    pcm: bytes
    rate: int
    silent: tuple[str, ...] = ()
    seconds: float = 0.0
    load_seconds: float = 0.0
    peak_memory: int = 0


class ImageResult(Value):
    """Images from a diffusion model, and the seed of the first; each further image uses the next seed."""

    pictures: tuple[bytes, ...]
    seed: int
    seconds: float = 0.0
    load_seconds: float = 0.0
    peak_memory: int = 0


class ImagePreview(Value):
    """A preview during generation: a small PNG."""

    step: int
    steps: int
    png: bytes


class EmbeddingResult(Value):
    """The embedding of a text as a unit vector. ``tokens`` includes special tokens."""

    vector: tuple[float, ...]
    tokens: int
    seconds: float
    load_seconds: float = 0.0
    peak_memory: int = 0


class ContrastiveResult(Value):
    """Unit vectors of images or texts in the shared space of a contrastive model.

    Attributes:
        loss: how scores are computed from ``scale * cosine + bias``: by softmax or sigmoid.
        assumed_scale: whether CLIP's scale is assumed because the model's files state none.
        tokens: tokens of texts, or patches of an image. cut: number of texts truncated at the context length.
    """

    vectors: tuple[tuple[float, ...], ...]
    loss: ContrastiveLoss
    scale: float
    bias: float = 0.0
    assumed_scale: bool = False
    tokens: int = 0
    cut: int = 0
    seconds: float = 0.0
    load_seconds: float = 0.0
    peak_memory: int = 0


class EncoderResult(Value):
    """Scores of an encoder with a head: for labels, for texts ranked against a query, or for words of a mask.

    Attributes:
        labels: labels of the scores; () for texts, whose scores are in input order.
        windows: number of windows read. cut: number of texts that extend beyond the last window.
        query_cut: whether the query was truncated to half of the model's context.
    """

    scores: tuple[float, ...]
    labels: tuple[str, ...] = ()
    tokens: int = 0
    windows: int = 1
    cut: int = 0
    query_cut: bool = False
    seconds: float = 0.0
    load_seconds: float = 0.0
    peak_memory: int = 0
