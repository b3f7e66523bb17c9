"""Plans that are made again while they run: what starts it, what it may change, what it never does."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tests.unit.executor.routes import (
    EAR,
    EYE,
    HERE,
    WORDS,
    Bench,
    asked,
    checked,
    cut,
    demux,
    hear,
    local,
    look,
    pages,
    plan,
    rename,
    route,
    say,
)

from intermodal import errors
from intermodal.catalog.types import Endpoint
from intermodal.core.content import Segment, Transcript
from intermodal.core.quantity import between, exact, unknown
from intermodal.core.request import Policy, Request, TranscriptOutput
from intermodal.events import Checked, Replanned, TextDelta
from intermodal.plans.facts import ConversionOutcome, Facts
from intermodal.plans.plan import Plan
from intermodal.plans.step import Step, StepEstimate
from intermodal.testing import FakeHost

pytestmark = pytest.mark.anyio
SECOND = rename(local("second", "whisper"), id="embedded:ear2")
SHORT = rename(HERE, output_tokens=between(1, 2, 3, "t"))


class Planner:
    """Answers with the plans it was given, one after the other, and remembers what it was asked."""

    def __init__(self, bench: Bench, *plans: Plan | Exception) -> None:
        self.asked: list[tuple[Request, Facts]] = []
        self._plans = list(plans)
        bench.options["plan_again"] = self

    def __call__(self, request: Request, facts: Facts) -> Plan:
        self.asked.append((request, facts))
        found = self._plans.pop(0) if len(self._plans) > 1 else self._plans[0]
        if isinstance(found, Exception):
            raise found
        return found

    def outcomes(self, part: int = 1, time: int = 0) -> tuple[ConversionOutcome, ...]:
        return self.asked[time][1].parts[part].outcomes


def models(bench: Bench, host: FakeHost, *names: str, context: int | None = None) -> tuple[Endpoint, ...]:
    made = tuple(host.endpoint(name, zone="machine") for name in names or ("fake/model",))
    made = tuple(rename(endpoint, context=context) if context else endpoint for endpoint in made)
    bench.endpoints = (*made, SECOND)
    return made


def of(bench: Bench, kind: type[Any]) -> list[Any]:
    return [event for event in bench.events if isinstance(event, kind)]


def heard(text: str = WORDS, **fields: Any) -> Transcript:
    segments = (Segment(start=0, end=11, text=text),) if text else ()
    return Transcript(**{"language": "en", "seconds": 11.0, "segments": segments, **fields})


# ---- what starts it ---------------------------------------------------------------------------


async def test_inside_the_planned_range_a_run_goes_on(bench: Bench, host: FakeHost) -> None:
    (model,) = models(bench, host)
    request, opened = asked("?", "call.wav")
    planner = Planner(bench, errors.NoRoute("must not be asked"))
    course = route(hear(1), checked("transcript", "hear1r"), checked("size", "hear1r"), say(model, "step:hear1r"))
    result = await bench.run(plan(course), request, opened)
    assert planner.asked == [] and result.replans == ()
    assert [(found.check, found.problem) for found in result.checks] == [("transcript", ""), ("size", "")]
    assert all(found.step == "hear1r" for found in result.checks)


async def test_text_longer_than_planned_makes_a_new_plan_that_keeps_what_is_done(bench: Bench, host: FakeHost) -> None:
    (model,) = models(bench, host)
    request, opened = asked("?", "call.wav", "notes.txt")
    first = route(hear(1, estimate=SHORT), checked("size", "hear1r"), say(model, "step:hear1r", "part:2"))
    second = rename(route(hear(1, estimate=SHORT), say(model, "step:hear1r")), id="second")
    planner = Planner(bench, rename(plan(second), id="again"))
    result = await bench.run(plan(first), request, opened)
    (outcome,) = planner.outcomes()
    assert (outcome.op, outcome.endpoint, outcome.chars, outcome.language) == ("transcribe", EAR.id, len(WORDS), "en")
    assert outcome.problem == "", "a long transcript is a good transcript"
    (again,) = result.replans
    assert (again.step, again.before, again.after, again.plan) == ("hear1r", first.id, "second", "again")
    assert again.endpoint == model.id and again.at >= 0 and "tokens of text where 1 to 3 were planned" in again.reason
    assert bench.runtimes.calls == [f"transcribe {EAR.id}"], "nothing is heard twice"
    assert "notes.txt" not in host.attempts[0].text and WORDS in host.attempts[0].text
    assert [found.problem for found in result.checks] == ["size"]


async def test_a_new_plan_never_gives_up_words_that_the_first_one_kept(bench: Bench, host: FakeHost) -> None:
    """A film whose transcript is doubted, where nobody hears better, is asked about with that transcript."""
    (model,) = models(bench, host)
    bench.runtimes.heard = heard("hm hm what", certainty=0.3)
    bench.runtimes.lines = {f"frame at {at}": "SOLD" for at in (0, 4, 8)}
    request, opened = asked("What is said?", "talk.mp4")
    seen = (cut(), look(1, "step:frames1"))
    steps = (demux(), hear(1, source="step:demux1"), checked("transcript", "hear1r"), *seen)
    first = rename(route(*steps, say(model, "step:hear1r", "step:look1")), keeps=("words", "timing"))
    deaf = rename(route(*seen, say(model, "step:look1")), id="deaf", keeps=("timing",), loses=("words",))
    Planner(bench, plan(deaf))
    result = await bench.run(plan(first), request, opened)
    assert result.replans == () and "hm hm what" in host.attempts[-1].text
    (note,) = [note for note in result.notes if "guess" in note]
    assert note.endswith("another way would lose words, so the run goes on as it is")


PROBLEMS: dict[str, tuple[Transcript, str]] = {
    "empty": (heard(""), "no speech was found"),
    "looped": (heard("and so " * 60), "repeats itself"),
    "language": (heard("I'm not happy to be here.", certainty=0.32), "may not be in en"),
    "confidence": (heard("hm hm what", certainty=0.3), "is a guess"),
}


@pytest.mark.parametrize("problem", PROBLEMS)
async def test_a_transcript_with_a_problem_goes_to_another_transcriber(
    bench: Bench, host: FakeHost, problem: str
) -> None:
    (model,) = models(bench, host)
    transcript, said = PROBLEMS[problem]
    ear = rename(EAR, model=rename(EAR.model, languages=("en",) if problem == "language" else ()))
    bench.options["catalog"] = rename_catalog(bench, ear, model)
    bench.runtimes.heard = transcript
    request, opened = asked("?", "call.wav")
    first = route(hear(1), checked("transcript", "hear1r"), say(model, "step:hear1r"))
    second = rename(route(hear(1, SECOND), say(model, f"step:{hear(1, SECOND).id}")), id="second")
    planner = Planner(bench, plan(second))

    def again(request: Request, facts: Facts) -> Plan:
        bench.runtimes.heard = heard()  # the other ear hears well
        return planner(request, facts)

    bench.options["plan_again"] = again
    result = await bench.run(plan(first), request, opened)
    (outcome,) = planner.outcomes()
    assert outcome.problem == problem and said in outcome.message
    assert [(found.check, found.problem) for found in result.checks] == [("transcript", problem)]
    assert said in result.replans[0].reason
    assert WORDS in host.attempts[0].text and len(host.attempts) == 1
    assert bench.runtimes.calls == [f"transcribe {EAR.id}", f"transcribe {SECOND.id}"]


def rename_catalog(bench: Bench, *endpoints: Endpoint) -> Any:
    from intermodal.catalog.types import Catalog

    return Catalog(endpoints=(*endpoints, EYE, SECOND))


async def test_speech_in_another_language_than_stated_is_a_problem(bench: Bench, host: FakeHost) -> None:
    (model,) = models(bench, host)
    bench.runtimes.heard = heard("Bonjour", language="fr", certainty=0.8)
    request, opened = asked("?", "call.wav", policy=Policy(language="de"))
    planner = Planner(bench, errors.NoRoute("nobody else hears"))
    await bench.run(plan(route(hear(1), checked("transcript", "hear1r"), say(model, "step:hear1r"))), request, opened)
    assert planner.outcomes()[0].problem == "language"


async def test_a_picture_that_should_hold_text_and_does_not_is_a_problem(bench: Bench, host: FakeHost) -> None:
    (model,) = models(bench, host)
    bench.runtimes.lines = {"png of bill.png": ""}
    request, opened = asked("?", "bill.png", "notes.txt")
    dense = rename(opened.facts.parts[1], text_density=between(0.1, 0.2, 0.3, "sampled"))
    course = plan(route(look(1), checked("reading", "look1"), say(model, "step:look1", "part:2")))
    planner = Planner(bench, errors.NoRoute("no other eye"))
    result = await bench.run(course, request, opened)
    assert planner.asked == [] and result.checks[0].problem == "", "a photo without words has no words to miss"
    opened.facts = Facts(parts=(opened.facts.parts[0], rename(dense, digest="another"), opened.facts.parts[2]))
    result = await bench.run(course, request, opened)
    assert planner.outcomes()[0].problem == "empty" and "20% looks like text" in result.checks[0].message


async def test_words_a_vision_model_was_unsure_of_are_a_problem(bench: Bench, host: FakeHost) -> None:
    (model,) = models(bench, host)
    bench.runtimes.confidence = 0.5
    request, opened = asked("?", "bill.png")
    planner = Planner(bench, errors.NoRoute("no other eye"))
    result = await bench.run(
        plan(route(look(1), checked("reading", "look1"), say(model, "step:look1"))), request, opened
    )
    assert planner.outcomes()[0].problem == "confidence"
    assert any("is a guess (confidence 50%); there is no other route" in note for note in result.notes)
    assert result.text == host.answer


async def test_what_comes_from_the_cache_is_checked_too(bench: Bench, host: FakeHost) -> None:
    (model,) = models(bench, host)
    bench.runtimes.heard = heard("and so " * 60)
    request, opened = asked("?", "call.wav")
    course = plan(route(hear(1), checked("transcript", "hear1r"), say(model, "step:hear1r")))
    await bench.run(course, request, opened)
    other = hear(1, SECOND)
    planner = Planner(bench, plan(route(other, say(model, f"step:{other.id}"))))
    result = await bench.run(course, request, opened)
    assert planner.outcomes()[0].problem == "looped" and result.actuals[0].cached
    assert bench.runtimes.calls == [f"transcribe {EAR.id}", f"transcribe {SECOND.id}"]


async def test_a_transcript_that_is_the_answer_is_shown_only_when_it_is_good(bench: Bench) -> None:
    bench.endpoints = (SECOND,)
    bench.runtimes.heard = heard("and so " * 60)
    request, opened = asked("", "call.wav", output=TranscriptOutput())
    second = plan(route(hear(1, SECOND)))

    def again(request: Request, facts: Facts) -> Plan:
        bench.runtimes.heard = heard()
        return second

    bench.options["plan_again"] = again
    priced = rename(checked("transcript", "hear1r"), estimate=StepEstimate(seconds=between(0, 0, 3, "t")))
    first = plan(route(hear(1), priced), route(hear(1, SECOND)))
    result = await bench.run(first, request, opened)
    assert result.text == WORDS == bench.shown and len(of(bench, TextDelta)) == 1
    assert result.endpoint == SECOND.id and any("answers instead of" in note for note in result.notes)


async def test_what_is_wrong_with_a_transcript_that_is_the_answer_is_said_where_no_better_one_was_planned(
    bench: Bench,
) -> None:
    bench.endpoints = (SECOND,)
    bench.runtimes.heard = heard(language="fr", certainty=0.8)
    request, opened = asked("", "call.wav", output=TranscriptOutput(), policy=Policy(language="en"))
    bench.options["plan_again"] = lambda request, facts: plan(route(hear(1, SECOND)))
    result = await bench.run(plan(route(hear(1), checked("transcript", "hear1r"))), request, opened)
    assert result.endpoint == EAR.id and bench.runtimes.calls == [f"transcribe {EAR.id}"]
    assert result.notes == ("call.wav was heard in fr, not in en",)


# ---- limits -----------------------------------------------------------------------------------


async def test_a_prompt_that_does_not_fit_is_planned_again_with_fewer_pages(bench: Bench, host: FakeHost) -> None:
    (model,) = models(bench, host, context=128)
    model = rename(model, model=rename(model.model, tokenizer="words"))
    bench.options["catalog"] = rename_catalog(bench, EAR, model)
    bench.options["count"] = lambda tokenizer, text: len(text.split())
    bench.media.page = "word " * 20
    request, opened = asked("?", "report.pdf")
    whole = route(pages("extract", "1-3"), say(model, "step:extract1"))
    one = rename(pages("extract", "2"), id="fewer")
    planner = Planner(bench, plan(rename(route(one, say(model, "step:fewer")), id="fewer")))
    result = await bench.run(plan(whole), request, opened)
    assert len(planner.asked) == 1 and planner.outcomes()[0].tokens["words"] == 60
    assert [again.after for again in result.replans] == ["fewer"] and "more than the 128" in result.replans[0].reason
    assert "page 2" in host.attempts[0].text and "page 1" not in host.attempts[0].text


async def test_without_another_route_a_prompt_that_does_not_fit_is_still_an_error(bench: Bench, host: FakeHost) -> None:
    (model,) = models(bench, host, context=128)
    model = rename(model, model=rename(model.model, tokenizer="words"))
    bench.options["catalog"] = rename_catalog(bench, EAR, model)
    bench.options["count"] = lambda tokenizer, text: len(text.split())
    request, opened = asked("word " * 100)
    same = plan(route(say(model)))
    planner = Planner(bench, same)
    with pytest.raises(errors.ContextExceeded):
        await bench.run(same, request, opened)
    assert len(planner.asked) >= 1 and host.attempts == [] and of(bench, Replanned) == []


async def test_money_that_is_gone_is_taken_off_the_budget_of_the_new_plan(bench: Bench, host: FakeHost) -> None:
    ear = host.endpoint("fake/ear")
    ear = rename(ear, price=rename(ear.price, second=0.0044))
    (model,) = models(bench, host)
    bench.options["catalog"] = rename(rename_catalog(bench, EAR, ear, model), consent=(ear.host.id,))
    request, opened = asked("?", "call.wav", policy=Policy(max_cost=0.005, deadline=60))
    dear = rename(HERE, cost=between(0, 0.0005, 0.001, "t"))
    costly = say(model, f"step:{hear(1, ear).id}", estimate=rename(HERE, cost=between(0, 0.001, 0.002, "t")))
    planner = Planner(bench, plan(route(hear(1, ear, dear), say(model, f"step:{hear(1, ear).id}", estimate=HERE))))
    result = await bench.run(plan(route(hear(1, ear, dear), costly)), request, opened)
    policy = planner.asked[0][0].policy
    assert policy.max_cost == pytest.approx(0.005 - 0.0044)
    assert policy.deadline is not None and 0 < policy.deadline < 60
    assert "more than $0.0050 allows" in result.replans[0].reason and result.text == host.answer


async def test_time_that_is_gone_is_taken_off_the_deadline(bench: Bench, host: FakeHost) -> None:
    (model,) = models(bench, host)
    moments = iter([0.0] * 6 + [50.0] * 1000)
    bench.options["clock"] = lambda: next(moments)
    request, opened = asked("?", "call.wav", policy=Policy(deadline=60))
    slow = route(hear(1), say(model, "step:hear1r", estimate=rename(HERE, seconds=between(1, 5, 30, "t"))))
    slow = rename(slow, total=StepEstimate(seconds=between(1, 6, 35, "t")))
    planner = Planner(bench, plan(route(hear(1), say(model, "step:hear1r"))))
    await bench.run(plan(slow), request, opened)
    deadline = planner.asked[0][0].policy.deadline
    assert deadline == pytest.approx(10) and "more than 60 s allow" in of(bench, Replanned)[0].reason


# ---- what it may not do -----------------------------------------------------------------------


async def test_only_a_planned_fallback_may_answer_instead(bench: Bench, host: FakeHost) -> None:
    model, fallback, stranger = models(bench, host, "fake/model", "fake/fallback", "fake/stranger")
    request, opened = asked("?", "call.wav")
    heard_step = hear(1, estimate=SHORT)
    first = plan(*(route(heard_step, say(each, "step:hear1r")) for each in (model, fallback)))
    made = plan(*(route(heard_step, say(each, "step:hear1r")) for each in (stranger, fallback)))
    Planner(bench, made)
    result = await bench.run(first, request, opened)
    assert result.endpoint == fallback.id and result.replans[0].endpoint == fallback.id
    assert any(f"{fallback.id} answers instead of {model.id}" in note for note in result.notes), "never silently"


async def test_where_only_a_stranger_could_answer_the_planned_one_is_asked_for_again(
    bench: Bench, host: FakeHost
) -> None:
    model, stranger = models(bench, host, "fake/model", "fake/stranger")
    request, opened = asked("?", "call.wav")
    first = plan(route(hear(1, estimate=SHORT), say(model, "step:hear1r")))
    planner = Planner(
        bench,
        plan(route(hear(1), say(stranger, "step:hear1r"))),
        plan(route(hear(1), say(model, "step:hear1r"))),
    )
    result = await bench.run(first, request, opened)
    assert [request.policy.model for request, _ in planner.asked] == ["", model.id]
    assert result.endpoint == model.id and all(attempt.model == "fake/model" for attempt in host.attempts)


@pytest.mark.parametrize("forbidden", ["no consent", "too far"])
async def test_a_new_plan_sends_nothing_where_the_policy_forbids_it(
    bench: Bench, host: FakeHost, forbidden: str
) -> None:
    """Whoever makes the plan: the executor looks again before anything leaves."""
    (model,) = models(bench, host)
    far = rename(host.endpoint("fake/far-ear"), id="far:listener1")
    far = rename(far, host=rename(far.host, id="far", zone="internet"))
    consent = () if forbidden == "no consent" else ("far",)
    bench.options["catalog"] = rename(rename_catalog(bench, EAR, model, far), consent=consent)
    bench.runtimes.heard = heard("and so " * 60)
    policy = Policy(farthest="machine") if forbidden == "too far" else Policy()
    request, opened = asked("?", "call.wav", policy=policy)
    other = hear(1, far)
    Planner(bench, plan(route(other, say(model, f"step:{other.id}"))))
    result = await bench.run(
        plan(route(hear(1), checked("transcript", "hear1r"), say(model, "step:hear1r"))), request, opened
    )
    assert [attempt.model for attempt in host.attempts] == ["fake/model"] and result.replans == ()
    assert result.text == host.answer


async def test_at_most_three_times_a_run(bench: Bench, host: FakeHost) -> None:
    (model,) = models(bench, host)
    names = tuple(f"{letter}.wav" for letter in "abcdefgh")
    request, opened = asked("?", *names)
    bench.runtimes.heard = heard("and so " * 60)
    ears = [hear(number) for number in range(1, 9)]
    checks = [checked("transcript", ear.id, ear.part) for ear in ears]

    async def looked_at() -> None:
        """An ear may begin while what was heard before is looked at; then one plan mends both, and there are enough."""
        before = len(bench.runtimes.calls) - 1
        while len(of(bench, Checked)) < before:
            await anyio.sleep(0.001)

    bench.runtimes.wait = looked_at
    course = plan(route(*ears, *checks, say(model, *(f"step:{ear.id}" for ear in ears))))
    planner = Planner(bench, course)
    result = await bench.run(course, request, opened)
    assert len(planner.asked) == len(result.replans) == 3
    assert len(result.checks) == 8 and len(bench.runtimes.calls) == 8 and result.text == host.answer


async def test_size_alone_leaves_a_replan_for_what_is_wrong(bench: Bench, host: FakeHost) -> None:
    (model,) = models(bench, host)
    request, opened = asked("?", "a.wav", "b.wav", "c.wav", "d.png")
    bench.runtimes.confidence = 0.3
    ears = [hear(number, estimate=SHORT) for number in (1, 2, 3)]
    steps: list[Step] = [*ears, look(4), checked("reading", "look4", 4)]
    course = plan(route(*steps, say(model, *(f"step:{ear.id}" for ear in ears), "step:look4")))
    planner = Planner(bench, course)
    await bench.run(course, request, opened)
    assert len(planner.asked) <= 3 and [found.problem for found in planner.outcomes(4, -1)] == ["confidence"]
    again = of(bench, Replanned)[-1]
    assert "is a guess" in again.reason
    assert again.calls[-1] == f"generate {again.endpoint}"


async def test_with_no_other_route_a_run_goes_on_and_says_so(bench: Bench, host: FakeHost) -> None:
    (model,) = models(bench, host)
    bench.runtimes.heard = heard("and so " * 60)
    request, opened = asked("?", "call.wav")
    planner = Planner(bench, errors.NoRoute("no other ear is ready"))
    result = await bench.run(
        plan(route(hear(1), checked("transcript", "hear1r"), say(model, "step:hear1r"))), request, opened
    )
    assert len(planner.asked) == 1 and result.replans == () and result.text == host.answer
    assert any("repeats itself; there is no other route, so the run goes on as it is" in note for note in result.notes)


async def test_a_plan_to_be_run_exactly_is_not_made_again(bench: Bench, host: FakeHost) -> None:
    (model,) = models(bench, host)
    bench.runtimes.heard = heard("and so " * 60)
    request, opened = asked("?", "call.wav")
    result = await bench.run(
        plan(route(hear(1, estimate=SHORT), checked("transcript", "hear1r"), say(model, "step:hear1r"))),
        request,
        opened,
    )
    assert result.replans == () and result.checks[0].problem == "looped" and result.text == host.answer


async def test_a_problem_is_said_where_nothing_can_be_done_about_it(bench: Bench, host: FakeHost) -> None:
    (model,) = models(bench, host)
    bench.runtimes.confidence = 0.2
    request, opened = asked("?", "bill.png")
    course = plan(route(look(1), checked("reading", "look1"), say(model, "step:look1")))
    result = await bench.run(course, request, opened)
    assert result.notes == ("the text read from bill.png is a guess (confidence 20%)",)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_a_call_that_failed_outranks_a_surprise_and_both_let_others_finish(order: tuple[int, int]) -> None:
    import anyio

    from intermodal.executor.attempt.retry import Reroute
    from intermodal.executor.attempt.step_caller import ReplanReason, ReplanRequested
    from intermodal.executor.concurrency import run_all

    finished: list[int] = []
    raised = [
        Reroute(errors.Unreachable("gone"), hear(1), "is gone"),
        ReplanRequested(ReplanReason(step="a", reason="b")),
    ]

    async def fail(error: Exception, after: float) -> None:
        await anyio.sleep(after)
        raise error

    async def work() -> None:
        await anyio.sleep(0.03)
        finished.append(1)

    jobs = [lambda: fail(raised[order[0]], 0.01), lambda: fail(raised[order[1]], 0.02), work]
    with pytest.raises(Reroute):
        await run_all(jobs)
    assert finished == [1]


async def test_an_answer_that_has_begun_is_not_planned_again(bench: Bench, host: FakeHost) -> None:
    (model,) = models(bench, host, "fake/m-fault-cut-3")
    request, opened = asked("?")
    planner = Planner(bench, plan(route(say(model))))
    with pytest.raises(errors.StreamCut):
        await bench.run(plan(route(say(model))), request, opened)
    assert planner.asked == [] and bench.shown == "The caller wants"


async def test_pictures_that_were_made_are_an_outcome(bench: Bench, host: FakeHost) -> None:
    (model,) = models(bench, host)
    request, opened = asked("?", "talk.mp4")
    planner = Planner(bench, errors.NoRoute("none"))
    bench.runtimes.confidence = 0.2
    course = route(cut(), look(1, "step:frames1"), checked("reading", "look1"), say(model, "step:look1"))
    await bench.run(plan(course), request, opened)
    frames, read = planner.outcomes()
    assert (frames.op, frames.pictures, frames.params) == ("frames", 3, cut().params)
    assert (read.op, read.problem, read.chars) == ("read", "confidence", len("read from frame at 0") * 3)


def test_an_unknown_or_empty_range_is_no_range() -> None:
    from intermodal.executor.conversion.checks import CheckSubject, run_check
    from intermodal.executor.preparation.model_inputs import StepProduct
    from intermodal.plans.facts import PartFacts

    facts = PartFacts(index=1, name="a", kind="audio")
    for planned in (unknown("nobody knows"), exact(0)):
        step = rename(hear(1), estimate=StepEstimate(output_tokens=planned))
        assert (
            run_check("size", CheckSubject(step=step, product=StepProduct(part=1), facts=facts, tokens=99)).problem
            == ""
        )


def test_the_words_of_media_are_not_handed_to_the_planner() -> None:
    """D15: only size, language and a check's finding are."""
    assert set(ConversionOutcome.__struct_fields__) == {
        "op", "endpoint", "params", "chars", "tokens", "pictures", "language", "problem", "message",
    }  # fmt: skip
