"""Voice activity detection. Two detectors must agree before a stretch is silenced.

The Silero voice activity filter classifies some music as speech, for which Whisper then writes "Mm-hmm." But the filter
is never *certain* about music: over a bassoon solo its probability stays below 0.82, at any gain below 0.95; over clean
and noisy speech, even amplified from -72 dB, it exceeds 0.97 somewhere. A stretch below that certainty is decoded by
Whisper alone, for a few tokens, to get Whisper's own no-speech probability (0.50 to 0.74 on that solo, 0.06 to 0.39 on
speech) and the likelihood of its text (e to the -0.9 and less per token on the solo, to the -0.4 and more on speech).
The stretch is silenced only if both detectors doubt it. Faint speech, which the filter doubts too, passes the second
detector.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from intermodal.files.file_bytes import Data
from intermodal.local.embedded.child_support import import_library

RATE = 16_000
WINDOW = 512  # samples per output of Silero v6 at 16 kHz
WINDOWS = 1_000  # windows per call of the detector
SURE = 0.95
NOTHING_SAID = 0.5
PERHAPS_NOTHING, UNLIKELY = 0.4, -0.8  # thresholds that must both be crossed
ORDINARY = 0.1  # root mean square of loud speech frames at a normal level, relative to 1.0
FAINT = 0.01  # recordings below this level are amplified
LOUD = 2 * ORDINARY  # maximum level of a stretch that is amplified
_DISTINCT = 4.0  # minimum level of frames that stand out from the background, relative to it: 12 dB
_VOICED = 0.5  # minimum probability of a voice in a frame whose level counts
_FULL = 32_768.0
_FRAME = 480  # samples: 30 ms
_SUSTAINED = 15  # frames of a stretch that is amplified less: half a second
_QUIET = 10  # quiet frames required at a cut
LONGEST = 5 * 60 * RATE  # maximum samples transcribed at a time
_ROOM = 30 * RATE  # samples at the end of a piece in which the cut may be
PAUSE = 1.0  # seconds without voice: the filter removes 2 s less 0.4 s on each side, and times are rough
UNHEARD = 2.0  # seconds of voice without a word: more than a breath plus the error of word times
UNHEARD_FROM = 3.0  # minimum seconds without a word that are examined
DOUBTED_WORDS = 0.5  # minimum mean probability of trusted words
AS_LOUD = 0.7  # minimum level of missed speech, relative to the mean level of segments with words
FLAT = 0.3  # minimum spectral flatness (geometric over arithmetic mean) of noise: hiss has 0.56
_VOICE_BANDS = slice(9, 103)  # of the spectrum of a frame: 300 to 3,400 Hz
_JUDGED = 33  # frames classified together, about a second
_LOOK = 30 * RATE  # samples of a Whisper window


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
    """A session of the voice detector that processes ``WINDOWS`` windows at a time, to limit memory.

    The library's 10,000 windows take 100 MB. The detector's state is carried from call to call, so the probabilities
    are the same.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, names: Any, inputs: dict[str, Any]) -> tuple[Any, Any, Any]:
        h, c, found = inputs["h"], inputs["c"], []
        for start in range(0, len(inputs["input"]), WINDOWS):
            piece = {"input": inputs["input"][start : start + WINDOWS], "h": h, "c": c}
            voice, h, c = self._session.run(names, piece)
            found.append(voice)
        return import_library("numpy").concatenate(found), h, c


def bound_voice_detector() -> None:
    """Limit faster-whisper's voice detector to ``WINDOWS`` windows at a time."""
    detector = import_library("faster_whisper.vad").get_vad_model()
    if not isinstance(detector.session, _Bounded):
        detector.session = _Bounded(detector.session)


def normalising_gain(samples: Any) -> float:
    """Return the factor that scales signed 16-bit ``samples`` to -1..1, and amplifies faint speech to a normal level.

    The level is that of the loud part of the frames that stand out from the background, so that neither a click nor a
    long silence counts as speech: over the whole of a recording, the level of a sentence after a minute of silence
    is that of the silence. If there are both loud and faint stretches, it is that of the frames with a voice: a beep,
    or a jingle, is not speech. Silero and Whisper were trained on recordings at normal levels and do not recognise
    speech at -60 dB.
    """
    numpy = import_library("numpy")
    heights = frame_levels(samples)
    if not len(heights):
        return 1.0 / _FULL
    distinct = heights[heights > _DISTINCT * numpy.percentile(heights, 10)]
    some = distinct if len(distinct) >= _JUDGED else heights
    level = float(numpy.percentile(some, 80))
    level = _level_of_voice(samples, heights, min(FAINT, level / _DISTINCT)) or level
    return ORDINARY / level / _FULL if 0.0 < level < FAINT else 1.0 / _FULL


def _level_of_voice(samples: Any, heights: Any, below: float) -> float:
    """Return the level of the frames with a voice, 0.0 if there are no stretches fainter than ``below``, or no voice.

    The detector hears the recording as it would be if these stretches were the speech. ``heights``: levels of frames.
    """
    numpy = import_library("numpy")
    quiet = heights[heights < below]
    if len(quiet) < _JUDGED:
        return 0.0
    background = _DISTINCT * float(numpy.percentile(quiet, 10))
    sustained = _sustained(heights)
    faint = sustained[(sustained > background) & (sustained < below)]
    if len(faint) < _JUDGED:
        return 0.0
    gain = ORDINARY / float(numpy.percentile(faint, 80)) / _FULL
    detector = import_library("faster_whisper.vad").get_vad_model()
    voiced = numpy.zeros(len(heights), bool)
    for start, end in split_recording(samples):
        piece = apply_gain(samples[start:end], gain)
        voice = detector(numpy.pad(piece, (0, -len(piece) % WINDOW))).reshape(-1)
        frames = numpy.arange(start // _FRAME, end // _FRAME)
        middles = ((frames + 0.5) * _FRAME - start) // WINDOW
        voiced[frames] = voice[middles.clip(0).astype(int)] >= _VOICED
    spoken = heights[voiced & (heights > background)]
    return float(numpy.percentile(spoken, 80)) if len(spoken) >= _JUDGED else 0.0


def _sustained(heights: Any) -> Any:
    """Return the median level of the half second around each frame."""
    numpy = import_library("numpy")
    padded = numpy.pad(heights, (_SUSTAINED // 2, _SUSTAINED // 2), mode="edge")
    return numpy.median(numpy.lib.stride_tricks.sliding_window_view(padded, _SUSTAINED), axis=1)


def apply_gain(samples: Any, gain: float) -> Any:
    """Return signed 16-bit ``samples`` times ``gain``, within -1..1.

    Stretches that are much louder than the rest are amplified less, because clipped speech is misheard. A click is
    too short to be such a stretch.
    """
    numpy = import_library("numpy")
    amplified = samples.astype(numpy.float32)
    heights = frame_levels(samples)
    if gain * _FULL <= 1.0 or len(heights) < _SUSTAINED:
        amplified *= numpy.float32(gain)
        return numpy.clip(amplified, -1.0, 1.0, out=amplified)
    near = numpy.lib.stride_tricks.sliding_window_view
    sides = (_SUSTAINED // 2, _SUSTAINED // 2)
    loudest = near(numpy.pad(_sustained(heights), sides, mode="edge"), _SUSTAINED).max(axis=1)
    gains = numpy.minimum(gain, LOUD / numpy.maximum(loudest, 1e-9) / _FULL)
    frames = numpy.arange(len(gains))
    for start in range(0, len(amplified), 2_000 * _FRAME):
        some = amplified[start : start + 2_000 * _FRAME]
        middles = (numpy.arange(start, start + len(some)) + 0.5) / _FRAME - 0.5
        some *= numpy.interp(middles, frames, gains).astype(numpy.float32)
    return numpy.clip(amplified, -1.0, 1.0, out=amplified)


def frame_levels(samples: Any) -> Any:
    """Return the root mean square of each 30 ms frame of signed 16-bit ``samples``, relative to 1.0.

    Converts one minute at a time to limit memory.
    """
    numpy = import_library("numpy")
    levels = numpy.empty(len(samples) // _FRAME, numpy.float32)
    for start in range(0, len(levels), 2_000):
        frames = samples[start * _FRAME : min(start + 2_000, len(levels)) * _FRAME].reshape(-1, _FRAME)
        some = frames.astype(numpy.float32) / _FULL
        levels[start : start + 2_000] = numpy.sqrt(numpy.einsum("ij,ij->i", some, some) / _FRAME)
    return levels


def split_recording(samples: Any) -> list[tuple[int, int]]:
    """Return (first sample, last sample) of pieces of at most five minutes, cut where it is quietest.

    Transcription takes 20 bytes per sample, so pieces bound the memory independently of the recording's length.
    """
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
    """``seconds`` without words at about the level of those with words; ``masked``: the part of them that is noise."""

    seconds: float
    masked: float


def seconds_without_words(samples: Any, word_spans: Sequence[tuple[float, float]]) -> UnheardStretches:
    """Return the seconds without words at about the level of those with words: words may be missing there.

    Pauses and fainter passages do not count. ``word_spans``: start and end of words, in seconds.
    """
    numpy = import_library("numpy")
    power = frame_levels(samples) ** 2
    frame = _FRAME / RATE
    spoken = numpy.zeros(len(power), bool)
    for start, end in word_spans:
        spoken[int(start / frame) : int(end / frame) + 1] = True
    missing = masked = 0.0
    if not spoken.any():
        return UnheardStretches(missing, masked)
    least = float(power[spoken].mean()) * AS_LOUD**2
    edges = [0.0, *(time for stretch in sorted(word_spans) for time in stretch), len(power) * frame]
    for before, after in zip(edges[::2], edges[1::2], strict=True):
        between = power[int(before / frame) : int(after / frame)]
        if after - before >= UNHEARD_FROM and float(between.mean()) >= least:
            missing += after - before
            masked += (after - before) * noise_share(samples[int(before * RATE) : int(after * RATE)])
    return UnheardStretches(missing, masked)


def noise_share(samples: Any) -> float:
    """Return the share of time that is noise in which speech would be inaudible.

    A second is noise if the spectrum is flat in the voice band. Music is not flat, and speech over it is audible.
    """
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
    """``samples`` with everything except speech set to zero, and the speech intervals (``spoken``) in seconds.

    ``voiced``: seconds of the intervals in which the voice detector is certain of a voice.
    """

    samples: Any
    spoken: Sequence[tuple[float, float]]
    voiced: float


def without_music(samples: Any, model: Any, language: str) -> DetectedSpeech | None:
    """Return the speech in ``samples``; None if there is none.

    ``samples`` are float32 in -1..1 at 16 kHz; ``model`` is faster-whisper's.
    """
    stretches = _speech_candidates(samples)
    silenced = [
        (start, end)
        for start, end, sure in stretches
        if sure < SURE and not _is_speech(samples[start:end], model, language)
    ]
    spoken = [(start / RATE, end / RATE) for start, end, _ in stretches if (start, end) not in silenced]
    if not spoken:
        return None
    if silenced:
        samples = samples.copy()
        for start, end in silenced:
            samples[start:end] = 0.0
    voiced = sum(end - start for start, end, sure in stretches if sure >= SURE) / RATE
    return DetectedSpeech(samples, spoken, voiced)


def split_at_pauses(words: Sequence[Any], spoken: Sequence[tuple[float, float]]) -> list[list[Any]]:
    """Split the words of a segment where the voice pauses.

    Whisper receives a recording without its silence, so a segment may span a minute, and the words of the other channel
    would be placed after all of it. Two words stay together if there is speech between them of which no word was
    recognised: the low word rate of the segment then shows that words are missing. ``words`` have ``start`` and ``end``
    in seconds; ``spoken``: speech intervals on the same clock.
    """
    groups = [[words[0]]]
    for before, word in pairwise(words):
        spoken_gap = sum(max(0.0, min(end, word.start) - max(start, before.end)) for start, end in spoken)
        if word.start - before.end - spoken_gap >= PAUSE and spoken_gap < UNHEARD:
            groups.append([])
        groups[-1].append(word)
    return groups


def _speech_candidates(samples: Any) -> list[tuple[int, int, float]]:
    """Return (first sample, last sample, maximum voice probability) of every stretch that may be speech."""
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


def _is_speech(samples: Any, model: Any, language: str) -> bool:
    """Return whether Whisper classifies a stretch as speech.

    Decodes only a few tokens, which takes a fraction of a second.
    """
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
    return any(_is_probably_speech(segment.no_speech_prob, segment.avg_logprob) for segment in segments)


def _is_probably_speech(nothing: float, likely: float) -> bool:
    """Return whether a stretch is speech, by Whisper's no-speech probability and mean token log probability."""
    return nothing < PERHAPS_NOTHING or (nothing < NOTHING_SAID and likely > UNLIKELY)
