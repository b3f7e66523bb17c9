"""Is anybody speaking? Two witnesses are asked before a stretch of sound is silenced.

The Silero voice-activity filter takes some music for a voice, and Whisper then writes "Mm-hmm." But it is
never *sure* about music: over a bassoon solo its probability stays below 0.82, over clean and noisy speech it passes
0.9 somewhere. A stretch it was never sure of is shown to Whisper alone, a few tokens of it, for Whisper's own
probability that nothing was said (0.65 to 0.74 on that solo, 0.06 to 0.26 on speech). Only when both doubt, the
stretch is silenced. Faint speech, which the filter doubts too, passes by the second witness.
"""

from __future__ import annotations

from typing import Any

from intermodal.runtimes.embedded._child import library

RATE = 16_000
WINDOW = 512  # samples per probability of Silero v6 at 16 kHz
SURE = 0.9
NOTHING_SAID = 0.5
_LOOK = 30 * RATE  # what one look of Whisper takes in


def without_music(samples: Any, model: Any, language: str) -> Any:
    """``samples`` with what is no speech set to zero, their length kept; None when nobody speaks at all.

    ``samples`` are float32 in -1..1 at 16 kHz; ``model`` is faster-whisper's.
    """
    stretches = _stretches(samples)
    if not stretches:
        return None
    silenced = [
        (start, end) for start, end, sure in stretches if sure < SURE and not _said(samples[start:end], model, language)
    ]
    if len(silenced) == len(stretches):
        return None
    if silenced:
        samples = samples.copy()
        for start, end in silenced:
            samples[start:end] = 0.0
    return samples


def _stretches(samples: Any) -> list[tuple[int, int, float]]:
    """(first sample, last sample, highest probability of a voice) of every stretch that may be speech."""
    vad, numpy = library("faster_whisper.vad"), library("numpy")
    found = vad.get_speech_timestamps(samples, vad.VadOptions())
    if not found:
        return []
    padded = numpy.pad(samples, (0, -len(samples) % WINDOW))
    voice = vad.get_vad_model()(padded).reshape(-1)
    stretches = []
    for stretch in found:
        start, end = int(stretch["start"]), int(stretch["end"])
        inside = voice[start // WINDOW : max(end // WINDOW, start // WINDOW + 1)]
        stretches.append((start, end, float(inside.max(initial=0.0))))
    return stretches


def _said(samples: Any, model: Any, language: str) -> bool:
    """Whether Whisper believes that words are in it. A fraction of a second's work: it need not write them out."""
    segments, _ = model.transcribe(
        samples[:_LOOK],
        language=language or ("en" if not model.model.is_multilingual else None),
        beam_size=1,
        temperature=[0.0],
        max_new_tokens=4,
        without_timestamps=True,
        no_speech_threshold=None,
        log_prob_threshold=None,
        compression_ratio_threshold=None,
        condition_on_previous_text=False,
    )
    return any(segment.no_speech_prob < NOTHING_SAID for segment in segments)
