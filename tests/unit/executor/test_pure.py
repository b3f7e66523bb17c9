"""Bills, answers, remarks, pages, keys and sizes: the pure parts of a run."""

from __future__ import annotations

import gc
import io
import wave

import msgspec
import pytest
from tests.unit.executor.routes import EAR, EYE, Bench, hear, look, pages

from intermodal import errors
from intermodal.catalog.types import Catalog, Endpoint, Host, Model, Price
from intermodal.core.content import ReadLine, Segment, Transcript
from intermodal.core.quantity import between
from intermodal.core.request import Zone
from intermodal.executor.attempt.accounting import price_of_usage
from intermodal.executor.attempt.ledger import count_letters
from intermodal.executor.conversion import checks, conversions
from intermodal.executor.outputs import json_answer
from intermodal.executor.preparation.model_inputs import AudioInput, DocumentInput, ImageInput, StepProduct, TextInput
from intermodal.executor.preparation.part_inputs import measure_work, wav
from intermodal.executor.preparation.preflight import check_context_window
from intermodal.json_schema import StepBudget
from intermodal.plans.facts import Facts, PageFacts, PartFacts
from intermodal.plans.step import Call, Step, StepEstimate, Transform
from intermodal.protocols.calls import WireUsage
from intermodal.store.rows import Work


def at(price: Price, zone: Zone = "internet") -> Endpoint:
    return Endpoint(id="h:m", model=Model(id="m"), host=Host(id="h", zone=zone), price=price)


# ---- bills ------------------------------------------------------------------------------------

TOKENS = Price(input_mtok=1.0, output_mtok=2.0, input_image_mtok=10.0, request=0.5)


@pytest.mark.parametrize(
    ("price", "usage", "work", "cost"),
    [
        (TOKENS, WireUsage(input_tokens=1_000_000, output_tokens=500_000), Work(), 2.5),
        (TOKENS, WireUsage(input_tokens=1_000_000, output_tokens=0), Work(megapixels=1), 10.5),
        (
            TOKENS,
            WireUsage(
                input_tokens=1_000_000, output_tokens=0, input_by_modality=(("text", 500_000), ("image", 500_000))
            ),
            Work(megapixels=1),
            6.0,
        ),
        (TOKENS, WireUsage(), Work(), None),
        (Price(input_mtok=1.0), WireUsage(input_tokens=1, output_tokens=1), Work(), None),
        (Price(), WireUsage(input_tokens=0, output_tokens=0), Work(), 0.0),
        (Price(second=0.01), WireUsage(), Work(audio_seconds=30), 0.3),
        (Price(second=0.01), WireUsage(seconds=60.0), Work(audio_seconds=30), 0.6),
        (Price(page=0.25), WireUsage(), Work(pages=3, megapixels=3), 0.75),
        (Price(page=0.25), WireUsage(), Work(megapixels=3), 0.25),
    ],
)
def test_a_bill_is_usage_times_price(price: Price, usage: WireUsage, work: Work, cost: float | None) -> None:
    found = price_of_usage(at(price), usage, work)
    assert found == (pytest.approx(cost) if cost is not None else None)


def test_what_runs_here_without_a_price_is_free() -> None:
    assert price_of_usage(at(Price(), "machine"), WireUsage(), Work()) == 0.0
    assert price_of_usage(at(Price(), "network"), WireUsage(), Work()) is None


# ---- JSON answers -----------------------------------------------------------------------------

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


@pytest.mark.parametrize(
    "text",
    [
        '{"n": 1}',
        ' {"n":1}\n',
        '```json\n{"n": 1}\n```',
        '```\n{"n": 1}```',
        'Here: {"n": 1} - done',
        'So:\n\n{"n": 1}',
        'In {my} view [2]: {"n": 1}',
        '{"n": 1}\n{"n": 1}',
        '{"m": 2} is not asked for, {"n": 1} is',
    ],
)
def test_json_is_found_in_what_models_put_around_it(text: str) -> None:
    written = '{"n":1}' if '{"n":1}' in text else '{"n": 1}'
    assert json_answer.parse(text, SCHEMA, StepBudget(10_000)) == json_answer.ParsedAnswer(data={"n": 1}, text=written)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("none", "not JSON"),
        ('{"n": 1} or {"n": 2}', "several answers that differ"),
        ('{"n": 1', "not JSON"),
        ('{"n": NaN}', "NaN is not JSON"),
        ('{"n": "one"}', "at n"),
        ("{}", "'n' is a required property"),
        ('{"n": 1, "m": 2}', "Additional properties"),
        ("", "not JSON"),
    ],
)
def test_what_breaks_the_schema_is_said_in_a_few_words(text: str, problem: str) -> None:
    found = json_answer.parse(text, SCHEMA, StepBudget(10_000)).problem
    assert problem in found and len(found) < 250


# ---- remarks ----------------------------------------------------------------------------------


def spoken(*texts: str) -> Transcript:
    return Transcript(segments=tuple(Segment(start=i, end=i + 1, text=text) for i, text in enumerate(texts)))


def test_an_answer_that_is_no_json_leaves_nothing_for_the_collector() -> None:
    """A gateway reads thousands of them, and what waits for a collection of all generations stays for a minute."""
    texts = ("no JSON", "no JSON but {", 'one {"n": 1} and [', '{"n": 1} or {"n": 2}', "[1, }")
    gc.collect()
    gc.disable()
    try:
        assert all(json_answer.parse(text, SCHEMA, StepBudget(10_000)) for text in texts)
        gc.collect()
        before = gc.collect()
        for text in texts:
            json_answer.parse(text, SCHEMA, StepBudget(10_000))
        assert before == gc.collect() == 0
    finally:
        gc.enable()


def test_a_transcript_that_repeats_itself_is_noticed_and_a_chorus_is_not() -> None:
    assert checks.is_looping(spoken("Thank you.", "Mmm.", "Mmm.", "mmm. ", "Mmm."))
    assert not checks.is_looping(spoken("la la", "la la", "la la", "end"))
    assert not checks.is_looping(spoken("", "", "", "", ""))


@pytest.mark.parametrize(
    ("text", "seconds", "words"),
    [
        ("one phrase of nine words said ten times over", 22.0, 9),  # nine of ten repeats are left out
        ("one phrase of nine words said ten times over", 9.0, 0),  # too short to say
        ("word " * 30, 22.0, 0),  # slow speech
        ("私は昨日友達と一緒に東京の大きな公園へ行って桜の花を見ながらお弁当を食べました" * 2, 12.0, 0),
    ],
)
def test_far_too_few_words_for_the_seconds_of_a_segment_are_counted(text: str, seconds: float, words: int) -> None:
    transcript = Transcript(segments=(Segment(start=0, end=seconds, text=text),))
    found = checks.sparse_speech(transcript)
    assert found == ((words, seconds) if words else (0, 0.0))


def test_a_recording_of_which_little_was_heard_is_noted() -> None:
    transcript = Transcript(segments=(Segment(start=0, end=22, text="all work and no play makes Jack dull"),))
    product = StepProduct(part=0, pieces=(TextInput(text=transcript.text, label="t"),), transcript=transcript)
    facts = PartFacts(index=0, name="loop.wav", kind="audio")
    for certainty in (0.0, 0.98):
        sure = msgspec.structs.replace(product, transcript=msgspec.structs.replace(transcript, certainty=certainty))
        finding = checks.run_check("transcript", checks.CheckSubject(step=hear(1), product=sure, facts=facts))
        assert finding.problem == "confidence"
        assert finding.message.startswith("in loop.wav only 8 words were heard in 22 s of speech")


SAID = (
    "The harbour master counted the bales.", "Our customer returned eleven crates.", "A night driver lost his way.",
    "Nobody weighs salt before noon.", "The crane stood still on Friday.", "Six invoices have no date.",
    "Please call back when the ferry leaves.", "Copper wire is out of stock.", "They repaired both pumps.",
    "Who signs for the glass panes?",
)  # fmt: skip


@pytest.mark.parametrize(
    ("doubted", "said"),
    [
        (0, ""),
        (1, ""),  # a stretch of ten
        (2, "8 of 40 s of speech in call.wav are doubted: most of its words arrive as they are"),
        (8, "32 of 40 s of speech in call.wav are doubted: few of its words arrive as they are"),
    ],
)
def test_speech_that_its_transcriber_doubts_is_said_though_the_mean_of_the_recording_is_high(
    doubted: int, said: str
) -> None:
    segments = tuple(
        Segment(start=4.0 * place, end=4.0 * place + 4, text=text, certainty=0.3 if place < doubted else 0.9)
        for place, text in enumerate(SAID)
    )
    transcript = Transcript(segments=segments, certainty=0.8, language="en")
    product = StepProduct(part=0, pieces=(TextInput(text=transcript.text, label="t"),), transcript=transcript)
    facts = PartFacts(index=0, name="call.wav", kind="audio")
    finding = checks.run_check("transcript", checks.CheckSubject(step=hear(1), product=product, facts=facts))
    assert finding.message == said and finding.problem == ("confidence" if said else "")


def test_half_a_minute_that_says_the_same_over_and_over_is_doubted_however_sure_the_transcriber_is() -> None:
    """Too seldom in a row for a loop, and longer phrases than a chorus."""
    tale = "so the man said that the dog and the cat would go on a long walk over the hill"
    again = [Segment(start=3.0 * at, end=3.0 * at + 3, text=f"{tale} {at}", certainty=0.9) for at in range(10)]
    other = [Segment(start=30 + 4.0 * at, end=34 + 4.0 * at, text=SAID[at], certainty=0.9) for at in range(7)]
    assert checks.confident_seconds(Transcript(segments=tuple(other))) == (0, 0)
    assert checks.confident_seconds(Transcript(segments=(*again, *other))) == (28, 58)


def test_what_a_transcriber_does_not_tell_is_not_doubted() -> None:
    transcript = Transcript(segments=tuple(Segment(start=at, end=at + 4.0, text="a few words") for at in (0.0, 4.0)))
    assert checks.confident_seconds(transcript) == (0, 0)
    assert checks.confident_seconds(Transcript()) == (0, 0)


def test_loud_seconds_without_a_word_are_said_to_be_there() -> None:
    segments = (Segment(start=0, end=12, text="We weigh the bales before noon."),)
    for unheard, said in ((0.0, 0), (1.0, 0), (11.0, 1)):
        transcript = Transcript(segments=segments, seconds=23.0, unheard=unheard)
        product = StepProduct(part=0, pieces=(), transcript=transcript)
        remarks = checks.conversion_remarks("transcribe", product, "call.wav")
        assert len(remarks) == said
        assert not said or remarks[0].startswith("no words were heard in 11 of 23 s of call.wav that are as loud")


def test_seconds_of_loud_noise_are_not_counted_as_heard_and_those_of_music_are() -> None:
    """The next plan says that most of the words of such a recording are kept, or few, and not all of them."""
    segments = (Segment(start=0, end=12, text="We weigh the bales before noon.", certainty=0.9),)
    for masked, heard in ((0.0, (0, 0)), (1.0, (0, 0)), (11.0, (12, 23)), (30.0, (12, 42))):
        transcript = Transcript(segments=segments, seconds=12.0 + masked, unheard=masked, masked=masked)
        assert checks.heard_seconds(transcript) == heard
        assert checks.heard_seconds(msgspec.structs.replace(transcript, masked=0.0)) == (0, 0)
    doubted = (*segments, Segment(start=12, end=18, text="Will the bales be there?", certainty=0.2))
    assert checks.heard_seconds(Transcript(segments=doubted, seconds=18.0)) == (12, 18)
    assert checks.heard_seconds(Transcript(segments=doubted, seconds=30.0, unheard=12.0, masked=12.0)) == (12, 30)


def test_voices_without_a_recognised_word_are_not_called_silence() -> None:
    """Nor does the next plan claim their words."""
    drowned = Transcript(seconds=24.0, unheard=22.0, masked=22.0)
    product = StepProduct(part=0, pieces=(), transcript=drowned)
    said = "22 s of call.wav sound like speech, but no word of it could be recognised"
    assert checks.conversion_remarks("transcribe", product, "call.wav") == (said,)
    assert checks.heard_seconds(drowned) == (0, 22)
    silent = StepProduct(part=0, pieces=(), transcript=Transcript(seconds=24.0))
    assert checks.conversion_remarks("transcribe", silent, "call.wav") == ("no speech found in call.wav",)
    assert checks.heard_seconds(Transcript(seconds=24.0)) == (0, 0)


def test_a_transcriber_that_does_not_say_how_long_it_heard_is_not_said_to_have_missed_words() -> None:
    """A hosted one may answer with its words alone."""
    transcript = Transcript(segments=(Segment(start=0, end=0, text="We weigh the bales before noon."),))
    product = StepProduct(part=0, pieces=(), transcript=transcript)
    assert checks.conversion_remarks("transcribe", product, "call.wav") == ()


@pytest.mark.parametrize(
    ("doubted", "unread", "said"),
    [
        (0, 0, ""),
        (1, 0, ""),  # of ten lines: nine of ten words arrive
        (2, 0, "2 of 10 lines read from page.png are doubted: most of its words arrive as they are"),
        (0, 1, "1 of 10 lines read from page.png has letters of a script that cannot be read here: most of its words"),
        (0, 9, "9 of 10 lines read from page.png have letters of a script that cannot be read here: few of its words"),
        (0, 5, "have letters of a script that cannot be read here: few of its words"),  # no model is asked about it
        (4, 3, "that cannot be read here and 4 of 10 lines read from page.png are doubted: few of its words"),
    ],
)
def test_lines_that_are_doubted_or_unread_are_said_though_the_mean_of_the_page_is_high(
    doubted: int, unread: int, said: str
) -> None:
    sure = 10 - doubted - unread
    lines = (
        *(ReadLine(text="a line of print", confidence=0.99) for _ in range(sure)),
        *(ReadLine(text="a 1ine 0f prlnt", confidence=0.8) for _ in range(doubted)),
        *(ReadLine(text="", confidence=0.97, unread=True) for _ in range(unread)),
    )
    facts = PartFacts(index=0, name="page.png", kind="image")
    product = StepProduct(part=0, pieces=(TextInput(text="print", label="t"),), lines=(lines,))
    finding = checks.run_check("reading", checks.CheckSubject(step=look(1), product=product, facts=facts))
    assert said in finding.message and bool(finding.problem) == bool(said)


@pytest.mark.parametrize(("letters", "density", "missing"), [(60, 0.1, False), (400, 0.1, True), (400, 0.01, False)])
def test_far_more_letters_seen_than_read_are_said(letters: float, density: float, missing: bool) -> None:
    facts = PartFacts(
        index=0, name="page.png", kind="image", text_density=between(0, density, 1, "sampled"),
        letters=between(letters, letters * 1.5, letters * 3, "edges"),
    )  # fmt: skip
    lines = tuple(ReadLine(text="ten letters of print", confidence=0.99) for _ in range(3))
    product = StepProduct(part=0, pieces=(TextInput(text="print", label="t"),), lines=(lines,))
    finding = checks.run_check("reading", checks.CheckSubject(step=look(1), product=product, facts=facts))
    said = "60 letters were read from page.png where 400 and more are seen: some of its words may be missing"
    assert finding.message == (said if missing else "")


@pytest.mark.parametrize(("script", "learned_from"), [("", 300.0), ("Cyrillic", 0.0)])
def test_how_many_tokens_a_letter_takes_is_learned_from_pictures_in_latin_letters(
    script: str, learned_from: float
) -> None:
    facts = PartFacts(index=0, name="page.png", kind="image", letters=between(200, 300, 500, "edges"), script=script)
    picture = ImageInput(data=b"", media_type="image/png", width=100, height=100)
    assert count_letters((picture,), facts) == learned_from


@pytest.mark.parametrize(
    ("text", "stuck"),
    [
        ("So: " + "it is a cat. " * 8, True),
        ("So: " + "it is a cat. " * 7, False),
        ("Yes. The end of the line.\n" * 6, True),
        ("Yes.\n" * 5, False),
        ("the " * 24, True),
        ("|---|---|\n" * 9 + "- - - " * 30, False),
        ("\n".join(f"{n}. step {n}" for n in range(40)), False),
        ("one two three " + " ".join(f"w{n}" for n in range(500)), False),
        ("", False),
    ],
)
def test_a_text_that_goes_round_in_circles_is_told_from_a_list(text: str, stuck: bool) -> None:
    assert checks.repeats(text) is stuck


def test_a_transcript_that_loops_inside_one_segment_is_noticed() -> None:
    product = StepProduct(part=0, transcript=spoken("thank you very much " * 9))
    assert checks.conversion_remarks("transcribe", product, "a.wav") == (
        "the transcript of a.wav repeats itself: speech recognition may have been stuck",
    )


def test_only_pages_without_text_are_named() -> None:
    product = StepProduct(
        part=0,
        pieces=(TextInput(text="a", page=1), TextInput(text="(no text)", page=2)),
        lines=((ReadLine(text="a", confidence=1.0),), ()),
    )
    assert checks.conversion_remarks("read", product, "scan.pdf") == ("no text found on page 2 of scan.pdf",)


# ---- pages, sound, sizes ----------------------------------------------------------------------

PDF = PartFacts(
    index=1,
    name="r.pdf",
    kind="document",
    digest="d",
    pages=tuple(PageFacts(number=n, width=1, height=1) for n in (1, 2, 3)),
)


def test_pcm_in_a_wav_file_is_a_wav_file() -> None:
    with wave.open(io.BytesIO(wav(b"\1\0" * 1600))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth(), file.getnframes()) == (16000, 1, 2, 1600)


def test_work_is_what_speed_is_measured_against() -> None:
    page = ImageInput(data=b"", media_type="image/png", width=1000, height=2000, page=1)
    photo = ImageInput(data=b"", media_type="image/png", width=1000, height=1000)
    assert measure_work((page, page, photo)) == Work(megapixels=5.0, pages=2, pictures=3)
    sound = AudioInput(seconds=2.5, data=b"", media_type="audio/mpeg")
    paper = DocumentInput(data=b"", pages=4)
    assert measure_work((page, sound, paper)) == Work(megapixels=2.0, pages=5, pictures=1, audio_seconds=2.5)


# ---- keys of derived media --------------------------------------------------------------------


def keys(steps: tuple[Step, ...], *facts: PartFacts, language: str = "") -> dict[str, str]:
    parts = (PartFacts(index=0, name="prompt", kind="text"), *facts)
    return conversions.cache_keys(
        steps, Facts(parts=parts), conversions.Converters(catalog=Catalog(), language=language)
    )


def test_the_same_pages_have_one_key_whatever_question_chose_them() -> None:
    chosen = Transform(
        id="sel", op="select", inputs=("part:1",), part=1, title="", params=(("pages", "2"), ("left_out", "1,3"))
    )
    drawn = msgspec.structs.replace(pages("render", "2"), inputs=("step:sel",))
    with_choice = keys((chosen, drawn, look(1, "step:render1")), PDF)
    without = keys((pages("render", "2"), look(1, "step:render1")), PDF)
    assert with_choice["look1"] == without["look1"]
    assert keys((pages("render", "3"), look(1, "step:render1")), PDF)["look1"] != without["look1"]


def test_a_transcript_depends_on_the_language_the_transcriber_was_told() -> None:
    sound = PartFacts(index=1, name="a.wav", kind="audio", digest="d")
    step = hear(1)
    told = msgspec.structs.replace(step, params=(("format", "srt"), ("language", "fr")))
    assert keys((told,), sound)[step.id] != keys((step,), sound)[step.id]
    # one that is told none, as the stated language was wrong, is told none
    assert keys((step,), sound, language="fr")[step.id] == keys((step,), sound)[step.id]


def test_what_is_heard_and_read_depends_on_the_weights_and_readers_that_are_here() -> None:
    ear = msgspec.structs.replace(EAR, weights="whisper-base")
    makers = conversions.Converters(
        catalog=Catalog(endpoints=(ear, EYE)), readers="ocr 1", sums=lambda name: f"sum of {name}"
    )
    sound, picture = (PartFacts(index=1, name="a", kind=kind, digest="d") for kind in ("audio", "image"))

    def key(step: Step, part: PartFacts, makers: conversions.Converters) -> str:
        facts = Facts(parts=(PartFacts(index=0, name="prompt", kind="text"), part))
        return conversions.cache_keys((step,), facts, makers)[step.id]

    heard, read = key(hear(1), sound, makers), key(look(1), picture, makers)
    other = msgspec.structs.replace(makers, sums=lambda name: "another")
    assert key(hear(1), sound, other) != heard and key(look(1), picture, other) == read
    other = msgspec.structs.replace(makers, readers="ocr 1 tesseract rus")
    assert key(hear(1), sound, other) == heard and key(look(1), picture, other) != read


# ---- the last look before sending -------------------------------------------------------------


def test_a_longer_prompt_raises_the_reservation_and_a_shorter_one_never_lowers_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    from intermodal.transport.client import Transport

    bench = Bench(tmp_path_factory.mktemp("w"), options={"count": lambda tokenizer, text: len(text.split())})
    dependencies = bench.dependencies(Transport())
    endpoint = at(Price(input_mtok=1000.0, output_mtok=0.0))
    endpoint = msgspec.structs.replace(endpoint, context=300, model=Model(id="m", tokenizer="t"))
    estimate = StepEstimate(input_tokens=between(1, 2, 10, "e"), cost=between(0, 0, 0.01, "e"))
    step = Call(id="s", op="generate", task="text-generation", endpoint="h:m", inputs=(), estimate=estimate)
    assert check_context_window(step, endpoint, "w " * 10, 20, dependencies).estimate.cost.high == 0.01
    assert check_context_window(step, endpoint, "w " * 110, 20, dependencies).estimate.cost.high == pytest.approx(0.11)
    with pytest.raises(errors.ContextExceeded, match="260 tokens.*20.*300"):
        check_context_window(step, endpoint, "w " * 260, 20, dependencies)


@pytest.mark.parametrize(("chars", "amount"), [(0, "few"), (100, "few"), (900, "most")])
def test_what_is_lost_of_a_document_is_counted_and_not_its_worst_page(chars: int, amount: str) -> None:
    """A page of text before a scan in a script that nothing reads."""
    letters = between(250.0, 300.0, 350.0, "counted by their edges")
    pages = (
        *((PageFacts(number=1, width=595, height=842, chars=chars),) if chars else ()),
        PageFacts(number=2, width=595, height=842, letters=letters),
    )
    facts = PartFacts(index=0, name="letter.pdf", kind="document", pages=pages)
    lines = tuple(ReadLine(text="CyeT Ha onnaTy", confidence=0.6, unread=True) for _ in range(8))
    origin = conversions.ImageOrigin(page=2)
    made = conversions.product_of_lines(look(1), facts, (origin,), (lines,))
    (remark,) = checks.conversion_remarks("read", made, "letter.pdf", facts)
    assert remark.endswith(f"cannot be read here: {amount} of its words arrive as they are")


def test_a_model_is_told_which_lines_it_does_not_get() -> None:
    lines = (
        ReadLine(text="Total 5.00", confidence=0.99),
        ReadLine(text="4471", confidence=0.95, unread=True),
        ReadLine(text="", confidence=0.0, unread=True),
    )
    facts = PartFacts(index=0, name="bill.png", kind="image")
    made = conversions.product_of_lines(look(1), facts, (conversions.ImageOrigin(),), (lines,))
    (words,) = made.pieces
    assert isinstance(words, TextInput)
    assert words.text == "Total 5.00\n4471\n(2 of 3 lines are in a script that could not be read)"
    assert made.derived[0].text == "Total 5.00\n4471"
    only = conversions.product_of_lines(look(1), facts, (conversions.ImageOrigin(),), (lines[2:],))
    (remark,) = checks.conversion_remarks("read", only, "bill.png")
    assert remark.startswith("the only line read from bill.png has letters of a script"), "not that none was found"
