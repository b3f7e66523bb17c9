"""The sound of films has a pace of its own: over music some ears take many times as long as over speech."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace
from tests.plans import catalogs

from intermodal.catalog.types import Catalog
from intermodal.core.content import Audio, BytesSource, Part, Text, Video
from intermodal.core.quantity import between, exact
from intermodal.core.request import Message, Output, Request, TextOutput, TranscriptOutput
from intermodal.events import Usage
from intermodal.executor.attempt.ledger import reservation
from intermodal.planner import plan
from intermodal.plans.facts import Facts, PartFacts
from intermodal.plans.plan import Plan
from intermodal.plans.statistics import Statistics
from intermodal.plans.step import Call
from intermodal.store import learned_figures
from intermodal.store.rows import AttemptOutcome, AttemptRow, Work

QUICK, STEADY = catalogs.ear("quick", rtf=0.10), catalogs.ear("steady", rtf=0.13)
CATALOG = Catalog(endpoints=(QUICK, STEADY, catalogs.smollm2()))
SLOW_OVER_MUSIC = Statistics(epoch=1, rows={f"{QUICK.id}|film_factor": between(2.0, 6.0, 12.0, "6 runs here")})
WHOLE = (TranscriptOutput(), TextOutput())


def planned(kind: str, output: Output, statistics: Statistics) -> Plan:
    source = BytesSource(data=b"RIFF")
    part: Part = Video(source=source) if kind == "video" else Audio(source=source)
    media = PartFacts(
        index=0, name="it", kind=kind, seconds=exact(60.0), channels=1, size=1000, width=640, height=360,  # type: ignore[arg-type]
    )  # fmt: skip
    parts: Sequence[Part] = (part,) if output == WHOLE[0] else (Text(text="What is said?"), part)
    prompt = PartFacts(index=0, name="prompt", kind="text", chars=13, size=13)
    facts = (media,) if output == WHOLE[0] else (prompt, replace(media, index=1))
    request = Request(messages=(Message(role="user", parts=tuple(parts)),), output=output)
    return plan(request, Facts(parts=facts), CATALOG, catalogs.LAPTOP, statistics, "2026-11-24")


def ear_of(found: Plan) -> Call:
    return next(step for step in found.chosen.steps if isinstance(step, Call) and step.op == "transcribe")


@pytest.mark.parametrize("output", WHOLE)
def test_a_transcriber_that_was_slow_over_films_is_left_out_for_a_film_and_taken_for_a_recording(
    output: Output,
) -> None:
    assert ear_of(planned("video", output, Statistics())).endpoint == QUICK.id
    assert ear_of(planned("video", output, SLOW_OVER_MUSIC)).endpoint == STEADY.id
    assert ear_of(planned("audio", output, SLOW_OVER_MUSIC)).endpoint == QUICK.id


def attempt(kind: str, seconds: float, words: int, sequence: int) -> AttemptRow:
    """A row as a plan's step leaves it."""
    step = ear_of(planned(kind, WHOLE[1], Statistics()))
    row = reservation(step, QUICK, "", run=f"r{sequence}", work=Work(audio_seconds=60.0))
    outcome = AttemptOutcome(usage=Usage(output_tokens=words), seconds=seconds)
    when = "2026-11-24T09:00:00.000+00:00"
    return AttemptRow(
        id=f"a{sequence}", state="settled", reservation=row, started=when, outcome=outcome, sequence=sequence
    )  # fmt: skip


def test_what_a_transcriber_takes_over_films_is_learned_apart_from_its_pace_over_recordings() -> None:
    rows = [attempt("audio", 6.0 + number / 10, 40, number) for number in range(10)]
    rows += [attempt("video", 6.0, 40, 10 + number) for number in range(3)]
    rows += [attempt("video", 300.0, 0, 13)]
    found = learned_figures.statistics(1, rows).rows
    assert found[f"{QUICK.id}|realtime_factor"].mid == pytest.approx(0.107, rel=0.1)
    one_of_four = found[f"{QUICK.id}|film_factor"]
    assert one_of_four.mid == pytest.approx((0.1 * 3 + 5.0) / 4, rel=0.05), "the average of what it took"
    assert (one_of_four.low, one_of_four.high) == (0.1, 5.0), "and no more than what it took"


def test_a_transcriber_that_goes_over_silent_films_quickly_is_planned_so() -> None:
    rows = [attempt("video", 0.6, 0, number) for number in range(4)]
    learned = learned_figures.statistics(1, rows)
    plain, quick = (ear_of(planned("video", WHOLE[1], each)).estimate.seconds for each in (Statistics(), learned))
    assert quick.mid < plain.mid / 5
    assert (
        ear_of(planned("audio", WHOLE[1], learned)).estimate.seconds
        == ear_of(planned("audio", WHOLE[1], Statistics())).estimate.seconds
    )
