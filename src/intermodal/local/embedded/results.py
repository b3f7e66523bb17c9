"""The results of embedded runtimes. Values only. ``seconds`` is the work, ``load_seconds`` the loading before it (0 if
loaded), ``peak_memory`` the peak resident bytes of the runtime's process.
"""

from __future__ import annotations

from typing import Literal

from intermodal.content import ReadLine, Transcript, Value

# The training loss of a contrastive model: one choice among all texts, or yes or no for every pair.
ContrastiveLoss = Literal["softmax", "sigmoid"]


class ChatServer(Value):
    """A chat server of ours that is running.

    Attributes:
        base_url: append ``/chat/completions``. Only this machine reaches it.
        key: bearer token it asks for, so that other users of the machine cannot use it.
        load_seconds: what starting it took; 0 when it was up already.
        marks: strings that its model takes for tokens of its template (``template_marks.py``).
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
    """Text as speech.

    Attributes:
        pcm: signed 16-bit, little-endian, mono. rate: samples per second.
        silent: stretches of the text that the voice had no sound for: they were left out.
        seconds: of work, as in the others.
    """

    pcm: bytes
    rate: int
    silent: tuple[str, ...] = ()
    seconds: float = 0.0
    load_seconds: float = 0.0
    peak_memory: int = 0


class ImageResult(Value):
    """Images of a diffusion model: PNG files, and the seed of the first; each further one has the next seed."""

    pictures: tuple[bytes, ...]
    seed: int
    seconds: float = 0.0
    load_seconds: float = 0.0
    peak_memory: int = 0


class ImagePreview(Value):
    """A preview before the last step: a small PNG."""

    step: int
    steps: int
    png: bytes


class EmbeddingResult(Value):
    """A text as a unit vector. ``tokens`` includes the special ones."""

    vector: tuple[float, ...]
    tokens: int
    seconds: float
    load_seconds: float = 0.0
    peak_memory: int = 0


class ContrastiveResult(Value):
    """Images or texts as unit vectors in the space that a contrastive model has for both.

    Attributes:
        loss: what makes scores of cosines, after they are multiplied with ``scale`` and ``bias`` is added.
        assumed_scale: the model's files state no scale, and CLIP's is taken.
        tokens: of texts, or the patches of a picture. cut: texts that are longer than the model reads.
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
    """Scores of an encoder with a head: of labels, of texts ranked for a query, or of words for a mask.

    Attributes:
        labels: what the scores are of; () for texts, whose order they have.
        windows: of how many pieces of text the scores are. cut: texts whose end is in none of them.
        query_cut: the query was longer than half of what the model reads at once.
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
