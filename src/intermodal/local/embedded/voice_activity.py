"""Voice activity: find the speech in a recording. Two detectors have to agree before a stretch is silenced.

The Silero voice-activity filter takes some music for a voice, and Whisper then writes "Mm-hmm." But the filter is never
*sure* about music: over a bassoon solo its probability stays below 0.82, at any level that it is scaled to below 0.95;
over clean and noisy speech, scaled up from -72 dB too, it passes 0.97 somewhere. A stretch it was never sure of is
given to Whisper alone, a few tokens of it, for Whisper's own probability of no speech (0.50 to 0.74 on that solo, 0.06
to 0.39 on speech) and for the likelihood of its text (e to the -0.9 and less a token on the solo, to the -0.4 and more
on speech). The stretch is silenced only if both doubt it. Faint speech, which the filter doubts too, passes the second
detector.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from intermodal.files.file_bytes import Data
from intermodal.local.embedded.child_support import import_library

RATE = 16_000
WINDOW = 512  # samples per probability of Silero v6 at 16 kHz
WINDOWS = 1_000  # given to it at a time
SURE = 0.95
NOTHING_SAID = 0.5
PERHAPS_NOTHING, UNLIKELY = 0.4, -0.8  # together they are no more than a guess
ORDINARY = 0.1  # root mean square of the loud frames of speech at an ordinary level, of 1.0
FAINT = 0.01  # below it, a recording is scaled
_FULL = 32_768.0
_FRAME = 480  # samples: 30 ms
_QUIET = 10  # frames that have to be quiet where a recording is cut
LONGEST = 5 * 60 * RATE  # samples that are transcribed at a time
_ROOM = 30 * RATE  # of their end, in which the cut may be
PAUSE = 1.0  # seconds without a voice: the filter removes 2 s less 0.4 s on each side, and times are rough
UNHEARD = 2.0  # seconds of a voice without a word: more than a breath plus the error of word times
UNHEARD_FROM = 3.0  # seconds without a word from which on they are looked at
DOUBTED_WORDS = 0.5  # mean probability of words, below which they are doubted
AS_LOUD = 0.7  # of the mean level of segments with words
FLAT = 0.3  # geometric over arithmetic mean of a frame's spectrum, from which on it is noise: hiss has 0.56
_VOICE_BANDS = slice(9, 103)  # of the spectrum of a frame: 300 to 3,400 Hz
_JUDGED = 33  # frames, about a second, that are noise or not
_LOOK = 30 * RATE  # samples of one window of Whisper


class PcmSamples:
    """Signed 16-bit little-endian PCM, sliced into numpy arrays on demand."""

    def __init__(self, pcm: Data) -> None:
        self._pcm = pcm

    def __len__(self) -> int:
        return len(self._pcm) // 2

    def __getitem__(self, place: slice) -> Any:
        start, stop, _ = place.indices(len(self))
        return import_library("numpy").frombuffer(self._pcm[2 * start : 2 * stop], dtype="<i2")


class _Bounded:
    """A session of the voice detector that is given ``WINDOWS`` windows at a time: for the library's 10,000 it takes
    100 MB. The detector keeps its state from one to the next, so that its probabilities are the same."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, names: Any, given: dict[str, Any]) -> tuple[Any, Any, Any]:
        h, c, found = given["h"], given["c"], []
        for start in range(0, len(given["input"]), WINDOWS):
            piece = {"input": given["input"][start : start + WINDOWS], "h": h, "c": c}
            voice, h, c = self._session.run(names, piece)
            found.append(voice)
        return import_library("numpy").concatenate(found), h, c


def bound_voice_detector() -> None:
    """Have faster-whisper's voice detector look at ``WINDOWS`` windows at a time."""
    detector = import_library("faster_whisper.vad").get_vad_model()
    if not isinstance(detector.session, _Bounded):
        detector.session = _Bounded(detector.session)


def normalising_gain(samples: Any) -> float:
    """Return the factor that scales signed 16-bit ``samples`` to -1..1, and faint speech to an ordinary level. The
    level is the root mean square of the loudest twentieth of the frames, so that a click does not count as speech.
    Silero and Whisper were trained on recordings of ordinary level: they do not recognise speech at -60 dB."""
    numpy = import_library("numpy")
    heights = frame_levels(samples)
    level = float(numpy.percentile(heights, 95)) if len(heights) else 0.0
    return ORDINARY / level / _FULL if 0.0 < level < FAINT else 1.0 / _FULL


def frame_levels(samples: Any) -> Any:
    """Return the root mean square of each 30 ms frame of signed 16-bit ``samples``, relative to 1.0; one minute is
    converted at a time."""
    numpy = import_library("numpy")
    made = numpy.empty(len(samples) // _FRAME, numpy.float32)
    for start in range(0, len(made), 2_000):
        frames = samples[start * _FRAME : min(start + 2_000, len(made)) * _FRAME].reshape(-1, _FRAME)
        some = frames.astype(numpy.float32) / _FULL
        made[start : start + 2_000] = numpy.sqrt(numpy.einsum("ij,ij->i", some, some) / _FRAME)
    return made


def split_recording(samples: Any) -> list[tuple[int, int]]:
    """Return (first sample, last sample) of stretches of at most five minutes, cut where it is quietest. Transcribing
    takes 20 bytes a sample, so memory is bounded by the stretch and not by the recording."""
    if len(samples) <= LONGEST:
        return [(0, len(samples))]
    heights, found, start = frame_levels(samples), [], 0
    while len(samples) - start > LONGEST:
        first, last = (start + LONGEST - _ROOM) // _FRAME, (start + LONGEST) // _FRAME
        quiet = heights[first:last].reshape(-1, _QUIET).max(axis=1)
        end = (first + int(quiet.argmin()) * _QUIET + _QUIET // 2) * _FRAME
        found.append((start, end))
        start = end
    return [*found, (start, len(samples))]


class UnheardStretches(NamedTuple):
    """``seconds`` without words that are about as loud as those with words; ``masked``: of them, those of noise."""

    seconds: float
    masked: float


def seconds_without_words(samples: Any, heard: Sequence[tuple[float, float]]) -> UnheardStretches:
    """Return the seconds without words that are about as loud as those with words: words may be missing there. Pauses
    and fainter passages do not count. ``heard``: the times of words, in seconds.
    """
    numpy = import_library("numpy")
    power = frame_levels(samples) ** 2
    frame = _FRAME / RATE
    spoken = numpy.zeros(len(power), bool)
    for start, end in heard:
        spoken[int(start / frame) : int(end / frame) + 1] = True
    missing = masked = 0.0
    if not spoken.any():
        return UnheardStretches(missing, masked)
    least = float(power[spoken].mean()) * AS_LOUD**2
    edges = [0.0, *(time for stretch in sorted(heard) for time in stretch), len(power) * frame]
    for before, after in zip(edges[::2], edges[1::2], strict=True):
        between = power[int(before / frame) : int(after / frame)]
        if after - before >= UNHEARD_FROM and float(between.mean()) >= least:
            missing += after - before
            masked += (after - before) * noise_share(samples[int(before * RATE) : int(after * RATE)])
    return UnheardStretches(missing, masked)


def noise_share(samples: Any) -> float:
    """Return the share of seconds of noise, in which speech drowns: the spectrum is flat where voices are. Music has
    tones, over which speech is heard."""
    numpy = import_library("numpy")
    length, found = _JUDGED * _FRAME, 0
    starts = range(0, len(samples) - length + 1, length)
    for start in starts:
        frames = samples[start : start + length].reshape(-1, _FRAME) * numpy.hanning(_FRAME)
        power = numpy.abs(numpy.fft.rfft(frames))[:, _VOICE_BANDS] ** 2 + 1e-9
        flat = numpy.exp(numpy.log(power).mean(axis=1)) / power.mean(axis=1)
        found += bool(numpy.median(flat) >= FLAT)
    return found / max(1, len(starts))


class DetectedSpeech(NamedTuple):
    """``samples`` with everything but speech set to zero, their length kept; ``spoken``: where speech is, in
    seconds."""

    samples: Any
    spoken: Sequence[tuple[float, float]]


def without_music(samples: Any, model: Any, language: str) -> DetectedSpeech | None:
    """Return the speech in ``samples``; None if there is none.

    ``samples`` are float32 in -1..1 at 16 kHz; ``model`` is faster-whisper's.
    """
    stretches = _stretches(samples)
    silenced = [
        (start, end) for start, end, sure in stretches if sure < SURE and not _said(samples[start:end], model, language)
    ]
    spoken = [(start / RATE, end / RATE) for start, end, _ in stretches if (start, end) not in silenced]
    if not spoken:
        return None
    if silenced:
        samples = samples.copy()
        for start, end in silenced:
            samples[start:end] = 0.0
    return DetectedSpeech(samples, spoken)


def split_at_pauses(words: Sequence[Any], spoken: Sequence[tuple[float, float]]) -> list[list[Any]]:
    """Split the words of a segment where the voice pauses. Whisper hears a recording without its silence, so that one
    segment may span a minute, and the other channel's words would come after all of it. Two words with speech between
    them of which none was recognised stay together: the low word rate of such a segment shows that words are missing.

    ``words`` have a ``start`` and an ``end`` in seconds; ``spoken`` is where speech is, in the same seconds.
    """
    apart = [[words[0]]]
    for before, word in pairwise(words):
        heard = sum(max(0.0, min(end, word.start) - max(start, before.end)) for start, end in spoken)
        if word.start - before.end - heard >= PAUSE and heard < UNHEARD:
            apart.append([])
        apart[-1].append(word)
    return apart


def _stretches(samples: Any) -> list[tuple[int, int, float]]:
    """Return (first sample, last sample, highest voice probability) of every stretch that may be speech."""
    vad, numpy = import_library("faster_whisper.vad"), import_library("numpy")
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
    """Return whether Whisper takes a stretch for speech. A fraction of a second's work, as it writes a few
    tokens only."""
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
    """Judge by Whisper's no-speech probability and the mean log probability of its tokens."""
    return nothing < PERHAPS_NOTHING or (nothing < NOTHING_SAID and likely > UNLIKELY)
