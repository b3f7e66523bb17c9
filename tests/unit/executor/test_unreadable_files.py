"""Images with words in a script that the reader does not know: no answer is sold as one about them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.unit.executor.routes import EAR, Bench, asked, checked, hear, look, plan, rename, route, say, using

from intermodal import errors
from intermodal.cli.ask import UNREAD, exit_code
from intermodal.core.content import ReadLine, Segment, Transcript
from intermodal.core.request import Policy
from intermodal.events import Finished, Note, TextDelta
from intermodal.local.embedded.ocr_layout import unread_share
from intermodal.local.embedded.results import OcrResult
from intermodal.media.worker_results import Barcode
from intermodal.plans.facts import UNKNOWN_SCRIPT
from intermodal.store.conversion_cache import ConversionCache
from intermodal.store.recognition_quality import with_recognition_quality
from intermodal.testing import FakeHost

pytestmark = pytest.mark.anyio

WORDS = ReadLine(text="Total to be paid", confidence=0.98)
FIGURES = ReadLine(text="160 360,00", confidence=0.98)
MISSING = ReadLine(text="c", confidence=0.6, unread=True)


def reading(monkeypatch: pytest.MonkeyPatch, bench: Bench, **lines: Sequence[ReadLine]) -> None:
    """``lines`` by the name of the image, without its ending."""

    async def read(endpoint: object, png: bytes) -> OcrResult:
        name = png.decode().removeprefix("png of ").partition(".")[0]
        return OcrResult(lines=tuple(lines[name]), seconds=0.1)

    monkeypatch.setattr(bench.runtimes, "recognize_text", read)


@pytest.mark.parametrize(
    ("lines", "how"),
    [
        ([WORDS] * 7, ""),
        ([WORDS] * 9 + [MISSING], ""),  # a logo
        ([WORDS] * 8 + [MISSING] * 2, "some"),
        ([WORDS] * 5 + [MISSING] * 5, "most"),
        ([FIGURES] * 12 + [MISSING] * 10, "most"),  # an invoice: its figures say nothing without their words
        ([FIGURES] * 60 + [MISSING] * 10, "some"),  # a table of figures without its headings
        ([], ""),
    ],
)
def test_how_much_is_missing_is_told_by_the_lines_with_words(lines: list[ReadLine], how: str) -> None:
    assert unread_share(lines) == how


async def test_no_model_is_asked_about_a_picture_of_whose_words_most_are_missing(
    bench: Bench, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model,) = using(bench, host)
    reading(monkeypatch, bench, invoice=[FIGURES, MISSING, MISSING, WORDS, WORDS])
    request, opened = asked("What is the total?", "invoice.png")
    course = plan(route(look(1), checked("reading", "look1"), say(model, "step:look1")))
    with pytest.raises(errors.InputUnreadable) as found:
        await bench.run(course, request, opened)
    assert "few of its words arrive" in found.value.what
    assert found.value.what.startswith(
        "2 of 5 lines read from invoice.png have letters of a script that cannot be read"
    )
    assert "not asked" in found.value.what and "intermodal hosts add" in found.value.todo
    assert (found.value.exit_code, host.attempts) == (3, [])
    assert not [event for event in bench.events if isinstance(event, Note | TextDelta | Finished)], "it is said once"


async def test_a_fallback_that_sees_takes_over_where_a_reader_cannot_read(
    bench: Bench, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model, _) = using(bench, host, "fake/model", "fake/eyes")
    eyes = rename(bench.endpoints[1], input=("text", "image"))
    bench.endpoints = (model, eyes)
    reading(monkeypatch, bench, invoice=[MISSING] * 3)
    request, opened = asked("What is the total?", "invoice.png")
    result = await bench.run(
        plan(route(look(1), say(model, "step:look1")), route(say(eyes, "part:1"))), request, opened
    )
    assert result.endpoint == eyes.id and (result.unread, exit_code(result)) == ((), 0)
    assert host.attempts[0].images and any("was given few of the words" in note for note in result.notes)


async def test_an_answer_without_some_of_the_words_says_so_and_has_an_exit_code_of_its_own(
    bench: Bench, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model,) = using(bench, host)
    reading(monkeypatch, bench, letter=[WORDS] * 3 + [MISSING], invoice=[MISSING] * 2, ad=[WORDS])
    request, opened = asked("What do they say?", "letter.png", "invoice.png", "ad.png")
    steps = [look(part) for part in (1, 2, 3)]
    last = say(model, *(f"step:look{part}" for part in (1, 2, 3)))
    result = await bench.run(plan(route(*steps, last)), request, opened)
    assert result.text and result.unread == ("letter.png", "invoice.png") and exit_code(result) == UNREAD == 13
    assert [note.partition(" read from ")[2].partition(" ")[0] for note in result.notes] == [
        "letter.png",
        "invoice.png",
    ]


async def test_the_next_plan_knows_what_could_not_be_read_until_more_can_be(
    bench: Bench, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model,) = using(bench, host)
    reading(monkeypatch, bench, invoice=[MISSING] * 3, letter=[WORDS] * 3)
    bench.options["readers"] = lambda: "tesseract ell"
    request, opened = asked("What is the total?", "invoice.png", "letter.png")
    course = plan(route(look(1), look(2), say(model, "step:look1", "step:look2")))
    assert (await bench.run(course, request, opened)).unread == ("invoice.png",)
    cache = ConversionCache(bench.folder / "derived")
    assert [part.script for part in with_recognition_quality(opened.facts, cache, "tesseract ell").parts] == [
        "",
        UNKNOWN_SCRIPT,
        "",
    ]
    assert with_recognition_quality(opened.facts, cache, "tesseract ell rus") == opened.facts


async def test_what_codes_say_stands_among_the_lines_and_signs_made_of_their_patterns_do_not(
    bench: Bench, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model,) = using(bench, host)
    above = ReadLine(text="Scan to pay", confidence=0.98, box=(10, 10, 200, 30))
    invented = ReadLine(text="\u56de:\u56de", confidence=0.68, box=(20, 60, 90, 90))
    name = ReadLine(text="ACME", confidence=0.97, box=(60, 100, 120, 120))
    reading(monkeypatch, bench, invoice=[above, invented, name])
    bench.media.codes_of[b"png of invoice.png"] = (
        Barcode(kind="QR code", text="https://pay.test/417", box=(10, 50, 180, 220)),
        Barcode(kind="bar code", box=(10, 300, 180, 350)),
    )
    request, opened = asked("Where do I pay?", "invoice.png")
    result = await bench.run(plan(route(look(1), say(model, "step:look1"))), request, opened)
    (read,) = result.derived
    assert "Scan to pay" in read.text and "ACME" in read.text and "\u56de" not in read.text
    assert "QR code: https://pay.test/417" in read.text and "(bar code that could not be read)" in read.text
    assert "QR code: https://pay.test/417" in host.attempts[0].text


async def test_the_next_plan_knows_how_many_lines_were_doubted(
    bench: Bench, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model,) = using(bench, host)
    guess = ReadLine(text="Tota1 to bc pa1d", confidence=0.7)
    reading(monkeypatch, bench, invoice=[WORDS] * 3 + [guess], letter=[WORDS] * 19 + [guess])
    request, opened = asked("What is the total?", "invoice.png", "letter.png")
    course = plan(route(look(1), look(2), say(model, "step:look1", "step:look2")))
    await bench.run(course, request, opened)
    cache = ConversionCache(bench.folder / "derived")
    assert [part.read_before for part in with_recognition_quality(opened.facts, cache, "").parts] == [
        (0, 0),
        (3, 4),
        (0, 0),
    ]
    assert with_recognition_quality(opened.facts, cache, "another reader") == opened.facts


async def test_the_next_plan_knows_how_many_seconds_of_speech_were_doubted(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host)
    said = [("We weigh the bales.", 0.9), ("Wave aid tubs.", 0.3), ("At noon.", 0.8)]
    segments = tuple(
        Segment(start=4.0 * place, end=4.0 * place + 4, text=text, certainty=certainty)
        for place, (text, certainty) in enumerate(said)
    )
    bench.runtimes.heard = Transcript(language="en", certainty=0.7, seconds=12, segments=segments)
    request, opened = asked("What is said?", "call.wav")
    course = plan(route(hear(1), checked("transcript", "hear1r"), say(model, "step:hear1r")))
    result = await bench.run(course, request, opened)
    (found,) = result.checks
    assert (found.problem, found.message.partition(":")[0]) == (
        "confidence",
        "4 of 12 s of speech in call.wav are doubted",
    )
    cache = ConversionCache(bench.folder / "derived")
    again = with_recognition_quality(opened.facts, cache, "").parts[1]
    assert (again.read_before, again.read_by) == ((8, 12), EAR.id)


def spoken(certainty: float) -> Transcript:
    segments = (Segment(start=0, end=12, text="We weigh the bales before noon.", certainty=certainty),)
    return Transcript(language="en", certainty=certainty, seconds=12, segments=segments)


@pytest.mark.parametrize(
    ("again", "by", "doubts"),
    [(spoken(0.9), EAR.id, False), (spoken(0.9), "embedded/whisper-tiny", True), (spoken(0.3), EAR.id, True)],
)
async def test_a_doubt_about_speech_ends_when_the_same_transcriber_hears_it_well(
    bench: Bench, host: FakeHost, again: Transcript, by: str, doubts: bool
) -> None:
    """Another way to hear it, its channels apart, is no hearing that is kept already."""
    (model,) = using(bench, host)
    request, opened = asked("What is said?", "call.wav")
    ear = rename(EAR, id=by)
    bench.endpoints = (*bench.endpoints, ear)
    ways: tuple[tuple[str, tuple[tuple[str, str], ...], Transcript], ...] = (
        (EAR.id, (), spoken(0.3)),
        (by, (("translate", "en"),), again),
    )
    cache = ConversionCache(bench.folder / "derived")
    for endpoint, params, heard in ways:
        bench.runtimes.heard = heard
        step = rename(hear(1), endpoint=endpoint, params=params)
        await bench.run(plan(route(step, say(model, "step:hear1r"))), request, opened)
        if heard.certainty == 0.3:
            assert with_recognition_quality(opened.facts, cache, "").parts[1].read_before == (0, 12)
    assert (with_recognition_quality(opened.facts, cache, "").parts[1].read_by == EAR.id) == doubts


async def test_a_doubt_about_speech_is_one_about_the_language_that_was_stated(bench: Bench, host: FakeHost) -> None:
    (model,) = using(bench, host)
    bench.runtimes.heard = spoken(0.3)
    request, opened = asked("What is said?", "call.wav", policy=Policy(language="German"))
    told = rename(hear(1), params=(("language", "German"),))
    await bench.run(plan(route(told, say(model, "step:hear1r"))), request, opened)
    cache = ConversionCache(bench.folder / "derived")
    doubted = {
        each: with_recognition_quality(opened.facts, cache, "", each).parts[1].read_before for each in ("", "en", "de")
    }
    assert doubted == {"": (0, 0), "en": (0, 0), "de": (0, 12)}


async def test_a_reader_is_told_the_language_and_what_it_reads_in_another_is_made_again(
    bench: Bench, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    async def read(endpoint: object, png: bytes, *, language: str = "") -> OcrResult:
        told.append(language)
        return OcrResult(lines=(WORDS,), seconds=0.1)

    monkeypatch.setattr(bench.runtimes, "recognize_text", read)
    (model,) = using(bench, host)
    course = plan(route(look(1), say(model, "step:look1")))
    for language in ("uk", "uk", ""):
        request, opened = asked("What is the total?", "invoice.png", policy=Policy(language=language))
        await bench.run(course, request, opened)
    assert told == ["uk", ""]


async def test_a_reader_is_told_the_script_that_the_plan_knows(
    bench: Bench, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    async def read(endpoint: object, png: bytes, *, script: str = "") -> OcrResult:
        told.append(script)
        return OcrResult(lines=(WORDS,), seconds=0.1)

    monkeypatch.setattr(bench.runtimes, "recognize_text", read)
    (model,) = using(bench, host)
    request, opened = asked("What is the total?", "invoice.png", "letter.png")
    first = rename(look(1), params=(("script", "Cyrillic"),))
    await bench.run(plan(route(first, look(2), say(model, "step:look1", "step:look2"))), request, opened)
    assert sorted(told) == ["", "Cyrillic"]
