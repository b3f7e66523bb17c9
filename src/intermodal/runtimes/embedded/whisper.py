"""Child: speech recognition by faster-whisper on PCM we decoded ourselves. Silence and music are filtered out first.

Choices, measured on 2 cores: beam 5, because beam 1 saves a quarter of the time and
costs words ("au France"); ``condition_on_previous_text`` off, because one slip must not be carried through a
recording; three temperatures instead of six, because what loops at 0.8 loops at 1.0 too and each try takes seconds;
times of words, because a segment without them goes on into the silence behind it, by up to 20 s, and they cost 3 % of
the processor time.
"""

from __future__ import annotations

import logging
import math
from typing import Any

from intermodal._process import report, serve
from intermodal.languages import iso, whispers
from intermodal.runtimes.embedded._child import library, loading, threads
from intermodal.runtimes.embedded._speech import NOTHING_SAID, RATE, audible, without_music

BEAM = 5
TEMPERATURES = [0.0, 0.4, 0.8]
_models: dict[str, Any] = {}


def load(path: str, name: str) -> None:
    """Load the model of a folder (once)."""
    if path not in _models:
        whisper = library("faster_whisper")
        logging.getLogger("faster_whisper").setLevel(logging.CRITICAL)
        _models[path] = loading(
            name,
            lambda: whisper.WhisperModel(
                path, device="cpu", compute_type="int8", cpu_threads=threads(), num_workers=1, local_files_only=True
            ),
        )


def transcribe(path: str, name: str, pcm: bytes, language: str) -> dict[str, Any]:
    """Words of signed 16-bit little-endian 16 kHz mono samples. ``language`` "" recognises it."""
    language = whispers(language)
    load(path, name)
    numpy = library("numpy")
    model = _models[path]
    samples = numpy.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2").astype(numpy.float32) / 32768.0
    total = len(samples) / RATE
    empty: dict[str, Any] = {"language": "", "confidence": 0.0, "seconds": total, "segments": []}
    speech = without_music(audible(samples), model, language) if len(samples) else None
    if speech is None:
        return empty
    library("ctranslate2").set_random_seed(0)  # the same recording gives the same words
    said, info = model.transcribe(
        speech,
        language=language or None,
        beam_size=BEAM,
        temperature=TEMPERATURES,
        vad_filter=True,
        condition_on_previous_text=False,
        word_timestamps=True,
        no_speech_threshold=NOTHING_SAID,
    )
    segments = []
    tokens, likely = 0, 0.0
    for segment in said:
        text = segment.text.strip()
        tokens += len(segment.tokens)
        likely += segment.avg_logprob * len(segment.tokens)
        report(float(min(1.0, segment.end / total)), text)
        if text:
            segments.append([float(segment.start), float(min(segment.end, total)), text])
    if not segments:
        return empty
    # A monolingual ear does not recognise its language, it presumes it: nothing was measured.
    measured = model.model.is_multilingual or language
    return {
        "language": iso(info.language),
        "confidence": float(info.language_probability) if measured else 0.0,
        "seconds": total,
        "certainty": math.exp(likely / tokens) if tokens else 0.0,
        "segments": segments,
    }


if __name__ == "__main__":
    serve({"load": load, "transcribe": transcribe})
