"""What EXPLAIN says to keep of a file arrives at the model, or the plan or the answer says that it may not.

A few of the files of ``benchmarks/fidelity``, whose run holds all of them to this.
"""

from __future__ import annotations

import io
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
from PIL import Image, ImageDraw, ImageFont
from tests.conftest import REAL_WEIGHTS

import intermodal
from intermodal.local.embedded import tesseract
from intermodal.testing import FakeHost

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
sys.path.insert(0, BENCHMARKS)
from fidelity.claims import arrived, claims, flagged  # noqa: E402
from fidelity.ours import asked, served  # noqa: E402
from fidelity.samples import Sample, samples  # noqa: E402

sys.path.remove(BENCHMARKS)

pytestmark = pytest.mark.e2e
WHOLE = ("letter", "print")
SPOILT = (
    "shifted letters",
    "times kept",
    "silence before speech",
    "two channels",
    "two channels of a film",
    "subtitles",
)
FILES = {each.kind: each for each in samples() if each.half == "fit"}


@pytest.fixture(scope="module")
def reading() -> Iterator[tuple[intermodal.Client, FakeHost]]:
    with served() as (client, host):
        yield client, host


@pytest.mark.parametrize("kind", [*WHOLE, *SPOILT])
def test_every_aspect_that_a_plan_claims_to_keep_arrives(
    kind: str, reading: tuple[intermodal.Client, FakeHost]
) -> None:
    sample: Sample = FILES[kind]
    row = asked(*reading, sample, sample.make())
    assert not row.error
    made = claims(sample, row)
    assert any(claim.aspect == "words" for claim in made), "nothing was claimed, and nothing tested"
    assert [claim for claim in made if not claim.true] == []
    if kind in WHOLE:
        assert arrived(sample, row) > 0.95 and not flagged(row), row.told


def test_speech_that_was_heard_badly_is_said_to_be_and_the_next_plan_does_not_claim_its_words(
    reading: tuple[intermodal.Client, FakeHost],
) -> None:
    """The row's plan is one that is made after the file was asked about."""
    sample = FILES["drowned in noise"]
    row = asked(*reading, sample, sample.make())
    assert not row.error and arrived(sample, row) < 0.8
    assert "s of speech in file.wav are doubted" in row.found
    assert "words" in row.loses and "words" not in row.keeps
    assert "an earlier hearing was sure of" in row.planned and row.planned.startswith("LLM call")
    assert "a language model is not enough" in row.planned


@pytest.mark.skipif("Georgian" in tesseract.languages(), reason="Tesseract reads Georgian on this machine")
def test_words_in_a_script_that_nothing_here_reads_are_said_to_be_lost_before_and_after(
    reading: tuple[intermodal.Client, FakeHost],
) -> None:
    sample = FILES["georgian"]
    row = asked(*reading, sample, sample.make())
    assert not row.error and not row.text
    assert "words" in row.loses and "Georgian" in row.planned
    assert "cannot be read here" in row.found


def test_words_that_another_reader_gives_whole_are_not_said_to_be_few(
    reading: tuple[intermodal.Client, FakeHost],
) -> None:
    """Tesseract is less sure of lines that it reads rightly than the embedded reader is."""
    if not (REAL_WEIGHTS / "tesseract-ell").is_dir():
        pytest.skip("Greek was not pulled, as its mirror could not be reached")
    sample = FILES["greek"]
    row = asked(*reading, sample, sample.make())
    assert not row.error and arrived(sample, row) > 0.9
    assert "few of its words" not in row.found and "few words" not in row.planned


def test_pages_of_a_fax_that_are_planned_again_are_not_said_to_lose_what_they_lost_before(
    reading: tuple[intermodal.Client, FakeHost],
) -> None:
    """A page is said to lose its appearance once, with all others; none of them does anew when some are read."""
    pages = [Image.new("1", (620, 877), 1) for _ in range(3)]
    for number, page in enumerate(pages):
        words = "\n".join(f"Berth {number}{line}: 8,{line}21.75" for line in range(12))
        ImageDraw.Draw(page).text((60, 60), words, fill=0, font=ImageFont.load_default(22))
    out = io.BytesIO()
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    sample = Sample("fax.tif", "pictures", "fax", out.getvalue, ())
    row = asked(*reading, sample, out.getvalue())
    assert "Berth 211" in row.text and "tokens of text where" in row.found, "else it is not planned again"
    assert "the new plan loses" not in row.found


@pytest.mark.parametrize("loud", [0.02, 0.1, 0.2, 0.4])
def test_noise_that_sets_in_within_a_sentence_is_told_where_it_takes_words(
    loud: float, reading: tuple[intermodal.Client, FakeHost], media: Path
) -> None:
    """Whisper then makes up the end of a sentence, whose mean likelihood stays high."""
    with wave.open(str(media / "jfk.wav")) as file:
        parameters = file.getparams()
        sound = numpy.frombuffer(file.readframes(file.getnframes()), "<i2") / 32_768
    half = len(sound) // 2
    noise = numpy.random.default_rng(4).normal(0, loud, len(sound) - half)
    spoilt = numpy.concatenate((sound[:half], 0.6 * sound[half:] + noise))
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams(parameters)
        file.writeframes((numpy.clip(spoilt, -1, 1) * 32_767).astype("<i2").tobytes())
    truth = "And so my fellow Americans ask not what your country can do for you ask what you can do for your country"
    sample = Sample("speech.wav", "audio", "noise", out.getvalue, (), truth, "What is said about it?")
    row = asked(*reading, sample, out.getvalue())
    assert not row.error
    assert [claim for claim in claims(sample, row) if not claim.true] == []
    if loud < 0.05:
        assert arrived(sample, row) > 0.95 and not flagged(row), row.told
