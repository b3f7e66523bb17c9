"""Is anybody speaking? Two witnesses are asked before a stretch of sound is silenced.

The Silero voice-activity filter takes some music for a voice, and Whisper then writes "Mm-hmm." But it is
never *sure* about music: over a bassoon solo its probability stays below 0.82, at any level that it is scaled to below
0.95; over clean and noisy speech, scaled up from -72 dB too, it passes 0.97 somewhere. A stretch it was never sure of
is shown to Whisper alone, a few tokens of it, for Whisper's own probability that nothing was said (0.50 to 0.74 on
that solo, 0.06 to 0.39 on speech) and for how likely it takes what it writes (e to the -0.9 and less a token on the
solo, to the -0.4 and more on speech). Only when both doubt, the stretch is silenced. Faint speech, which the filter
doubts too, passes by the second witness.
"""

from __future__ import annotations

from typing import Any

from intermodal.runtimes.embedded._child import library

RATE = 16_000
WINDOW = 512  # samples per probability of Silero v6 at 16 kHz
SURE = 0.95
NOTHING_SAID = 0.5
PERHAPS_NOTHING, UNLIKELY = 0.4, -0.8  # together they say no more than a guess
ORDINARY = 0.1  # root mean square of the loud frames of speech at an ordinary level, of 1.0
FAINT = 0.01  # below it, a recording is scaled
_FRAME = 480  # samples: 30 ms
_LOOK = 30 * RATE  # what one look of Whisper takes in


def audible(samples: Any) -> Any:
    """``samples`` scaled to the level of ordinary speech where they are fainter; as they are where nothing is in them.

    The level is that of the loudest twentieth of the frames, by their root mean square, so that a click does not pass
    for it. Silero and Whisper were trained on recordings of ordinary level: speech at -60 dB is none to them.
    """
    numpy = library("numpy")
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    if not len(frames):
        return samples
    level = float(numpy.percentile(numpy.sqrt((frames.astype(numpy.float64) ** 2).mean(axis=1)), 95))
    if not 0.0 < level < FAINT:
        return samples
    return numpy.clip(samples * numpy.float32(ORDINARY / level), -1.0, 1.0)


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
    return any(_is_said(segment.no_speech_prob, segment.avg_logprob) for segment in segments)


def _is_said(nothing: float, likely: float) -> bool:
    """Of Whisper's probability that nothing is said, and the mean log probability of its tokens."""
    return nothing < PERHAPS_NOTHING or (nothing < NOTHING_SAID and likely > UNLIKELY)
