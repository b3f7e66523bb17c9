"""Child: speech recognition by faster-whisper on decoded PCM. Silence and music are filtered out first.

Settings, measured on 2 cores: beam 5, because beam 1 saves a quarter of the time and loses words ("au France");
``condition_on_previous_text`` off, so that an error does not propagate through a recording; three temperatures instead
of six, because a segment that loops at 0.8 also loops at 1.0 and each try takes seconds; word timestamps, because
segments without them extend into the following silence by up to 20 s, and they cost 3 % of the processor time.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field

from intermodal.concurrency.worker_process import report_progress, serve
from intermodal.core.languages import iso_code, whisper_code
from intermodal.files.file_bytes import Data
from intermodal.local.embedded.child_support import import_library, load_model, thread_count
from intermodal.local.embedded.voice_activity import (
    DOUBTED_WORDS,
    NOTHING_SAID,
    RATE,
    UNHEARD,
    DetectedSpeech,
    PcmSamples,
    apply_gain,
    bound_voice_detector,
    normalising_gain,
    seconds_without_words,
    split_at_pauses,
    split_recording,
    without_music,
)

BEAM = 5
TEMPERATURES = [0.0, 0.4, 0.8]
_RUN = 6  # consecutive words judged together
_LEAST = 1e-3  # minimum word probability, so that a single word does not dominate a mean
_SPECTRUM_FRAMES = 6_000  # frames of 10 ms: one minute
_models: dict[str, Any] = {}


def load(path: str, name: str) -> None:
    """Load the model from a folder (once)."""
    if path not in _models:
        whisper = import_library("faster_whisper")
        logging.getLogger("faster_whisper").setLevel(logging.CRITICAL)
        _models[path] = load_model(
            name,
            lambda: whisper.WhisperModel(
                path,
                device="cpu",
                compute_type="int8",
                cpu_threads=thread_count(),
                num_workers=1,
                local_files_only=True,
            ),
        )
        bound_features(_models[path])
        bound_voice_detector()


def bound_features(model: Any) -> None:
    """Compute a model's spectrograms one minute at a time: five minutes at once took 0.9 MB per second of audio.

    ``model`` is faster-whisper's; the result is the same.
    """
    numpy = import_library("numpy")
    extractor = model.feature_extractor

    class Bounded(type(extractor)):  # type: ignore[misc]
        def __call__(self, waveform: Any, padding: int = 160, chunk_length: int | None = None) -> Any:
            if chunk_length is not None:
                self.n_samples = chunk_length * self.sampling_rate
                self.nb_max_frames = self.n_samples // self.hop_length
            samples = numpy.pad(waveform.astype(numpy.float32, copy=False), (0, padding))
            samples = numpy.pad(samples, self.n_fft // 2, mode="reflect")
            window = numpy.hanning(self.n_fft + 1)[:-1].astype(numpy.float32)
            count = (len(samples) - self.n_fft) // self.hop_length
            mel = numpy.empty((len(self.mel_filters), count), numpy.float32)
            for first in range(0, count, _SPECTRUM_FRAMES):
                last = min(first + _SPECTRUM_FRAMES, count)
                piece = samples[first * self.hop_length : (last - 1) * self.hop_length + self.n_fft]
                waves = self.stft(piece, self.n_fft, self.hop_length, window=window, center=False, return_complex=True)
                mel[:, first:last] = self.mel_filters @ numpy.abs(waves.astype(numpy.complex64)) ** 2
            numpy.log10(numpy.clip(mel, 1e-10, None, out=mel), out=mel)
            numpy.maximum(mel, mel.max() - 8.0, out=mel)
            return (mel + 4.0) / 4.0

    extractor.__class__ = Bounded


def transcribe(path: str, name: str, pcm: Data, language: str, translate: bool = False) -> dict[str, Any]:
    """Transcribe signed 16-bit little-endian 16 kHz mono samples.

    ``language``: "" to detect it. ``translate``: output English, whatever is spoken; requires a multilingual model.
    """
    language = whisper_code(language)
    load(path, name)
    model = _models[path]
    samples = PcmSamples(pcm)
    total = len(samples) / RATE
    found = _SegmentsSoFar()
    gain = normalising_gain(samples)
    for start, end in split_recording(samples):
        piece = apply_gain(samples[start:end], gain)
        speech = without_music(piece, model, language or found.language) if len(piece) else None
        if speech is not None:
            found.voiced += speech.voiced
            _transcribe_piece(model, speech, language, found, offset=start / RATE, total=total, translate=translate)
    if not found.segments:
        drowned = found.voiced if found.voiced >= UNHEARD else 0.0
        return {
            "language": "", "confidence": 0.0, "seconds": total, "segments": [], "unheard": drowned, "masked": drowned,
        }  # fmt: skip
    unheard = seconds_without_words(samples, [(start, end) for start, end, *_ in found.segments])
    # A monolingual model assumes its language instead of detecting it, so there is no confidence.
    spoken_language = model.model.is_multilingual or language
    return {
        "language": iso_code(found.language),
        "confidence": found.confidence if spoken_language else 0.0,
        "seconds": total,
        "certainty": math.exp(found.likely / found.tokens) if found.tokens else 0.0,
        "segments": found.segments,
        "unheard": unheard.seconds,
        "masked": unheard.masked,
    }


class _SegmentsSoFar(Struct):
    """The segments so far. The language is that of the first words; ``voiced``: seconds that are certainly a voice."""

    segments: list[list[Any]] = field(default_factory=list)
    language: str = ""
    confidence: float = 0.0
    tokens: int = 0
    likely: float = 0.0
    voiced: float = 0.0


def _transcribe_piece(
    model: Any,
    speech: DetectedSpeech,
    language: str,
    segments: _SegmentsSoFar,
    *,
    offset: float,
    total: float,
    translate: bool = False,
) -> None:
    """Add the segments of a piece that begins ``offset`` seconds into the recording."""
    import_library("ctranslate2").set_random_seed(0)  # the same recording gives the same words
    new_segments, info = model.transcribe(
        speech.samples,
        language=language or segments.language or None,
        task="translate" if translate else "transcribe",
        beam_size=BEAM,
        temperature=TEMPERATURES,
        vad_filter=True,
        condition_on_previous_text=False,
        word_timestamps=True,
        no_speech_threshold=NOTHING_SAID,
    )
    for segment in new_segments:
        segments.tokens += len(segment.tokens)
        segments.likely += segment.avg_logprob * len(segment.tokens)
        report_progress(min(1.0, float(offset + segment.end) / total), segment.text.strip())
        for start, end, text, sure in _phrases(segment, speech):
            if text:
                segments.segments.append([float(offset + start), float(min(offset + end, total)), text, sure])
    if segments.segments and not segments.language:
        segments.language, segments.confidence = info.language, float(info.language_probability)


def _phrases(segment: Any, speech: DetectedSpeech) -> list[tuple[float, float, str, float]]:
    """Return (start, end, words, certainty) for a Whisper segment, split at pauses and around doubtful words."""
    turns = split_at_pauses(segment.words, speech.spoken) if segment.words else []
    groups = [words for turn in turns for words in split_at_doubt(turn)]
    if len(groups) < 2:
        sure = _certainty(segment.words) if segment.words else math.exp(min(0.0, segment.avg_logprob))
        return [(segment.start, segment.end, segment.text.strip(), sure)]
    return [
        (words[0].start, words[-1].end, "".join(each.word for each in words).strip(), _certainty(words))
        for words in groups
    ]


def split_at_doubt(words: Sequence[Any]) -> list[list[Any]]:
    """Split words around runs of unlikely ones.

    If noise sets in within a sentence, its mean probability stays high although the end is invented. A single unlikely
    word, such as a name, is not a run. ``words`` have a ``probability``.
    """
    logs = [math.log(max(float(each.probability), _LEAST)) for each in words]
    doubted = [False] * len(words)
    for start in range(len(words) - _RUN + 1):
        if sum(logs[start : start + _RUN]) < _RUN * math.log(DOUBTED_WORDS):
            unlikely = [place for place in range(start, start + _RUN) if logs[place] < math.log(DOUBTED_WORDS)]
            doubted[unlikely[0] : unlikely[-1] + 1] = [True] * (unlikely[-1] + 1 - unlikely[0])
    groups: list[list[Any]] = []
    for place, word in enumerate(words):
        if not place or doubted[place] != doubted[place - 1]:
            groups.append([])
        groups[-1].append(word)
    return groups


def _certainty(words: Sequence[Any]) -> float:
    """Return the geometric mean of word probabilities.

    Whisper's mean log probability covers everything in the same half minute; this covers only these words.
    """
    return math.exp(sum(math.log(max(float(each.probability), _LEAST)) for each in words) / len(words))


if __name__ == "__main__":
    serve({"load": load, "transcribe": transcribe})
