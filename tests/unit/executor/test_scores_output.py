"""Scores of labels: by vectors, by the letters of a chat, in whatever order the labels are put."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from tests.unit.executor.routes import VECTOR, Bench, asked, look, pages, plan, rename, route

from intermodal import errors
from intermodal.catalog.types import Endpoint, Evidence, Host, Model, Strength, Task
from intermodal.core.quantity import between
from intermodal.core.request import ScoresOutput
from intermodal.events import Note, Result
from intermodal.executor.outputs.scores import (
    FITTED_OBJECTIVE,
    HYPOTHESIS,
    TEMPERATURE,
    UNCALIBRATED,
    letter_probabilities,
)
from intermodal.executor.outputs.vector_math import softmax
from intermodal.plans.step import Call, StepEstimate
from intermodal.testing import Attempt, FakeHost

pytestmark = pytest.mark.anyio
LABELS = ("invoice", "letter", "photo of a cat")
E5 = rename(VECTOR, model=Model(id="vector", output=("embedding",), objective=(FITTED_OBJECTIVE,)))
PRICED = StepEstimate(cost=between(0, 0.0001, 0.001, "t"), seconds=between(0.1, 1, 5, "t"))


def score(*inputs: str, endpoint: Endpoint = E5, task: Task = "zero-shot-classification") -> Call:
    return Call(
        id=f"score {endpoint.id}", op="score", task=task, endpoint=endpoint.id, inputs=inputs, title="Score",
        estimate=PRICED,
    )  # fmt: skip


def options(attempt: Attempt) -> list[str]:
    """The labels of a question, in the order it put them."""
    return [line[3:] for line in attempt.text.splitlines() if line[1:3] == ") "]


def prefers(label: str, share: float = 0.9) -> object:
    """A host that finds the letter of this label likely, wherever it stands."""

    def likely(attempt: Attempt) -> Mapping[str, float]:
        rest = (1 - share) / (len(options(attempt)) - 1)
        return {"ABC"[place]: share if each == label else rest for place, each in enumerate(options(attempt))}

    return likely


async def scored(folder: Path, fake: FakeHost, labels: tuple[str, ...] = LABELS, **fields: object) -> Result:
    box = rename(fake.endpoint(input=("text", "image")), **fields)
    request, opened = asked("What is it?", "cat.png", output=ScoresOutput(labels=labels))
    bench = Bench(folder, (box,))
    step = score("part:0", "part:1", endpoint=box, task="zero-shot-image-classification")
    try:
        return await bench.run(plan(route(step)), request, opened)
    finally:
        fake.notes = [event.text for event in bench.events if isinstance(event, Note)]  # type: ignore[attr-defined]


# ---- vectors ---------------------------------------------------------------------------------------


async def test_the_nearest_label_wins_and_all_of_them_sum_to_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (E5,))
    near = math.acos(0.99)
    bench.runtimes.vectors = {
        "Please pay 42 euros.": (1.0, 0.0),
        HYPOTHESIS.format("invoice"): (1.0, 0.0),
        HYPOTHESIS.format("letter"): (math.cos(near), math.sin(near)),
        HYPOTHESIS.format("photo of a cat"): (0.0, 1.0),
    }
    request, opened = asked("Please pay 42 euros.", output=ScoresOutput(labels=LABELS))
    result = await bench.run(plan(route(score("part:0"))), request, opened)
    assert tuple(result.scores) == LABELS
    assert sum(result.scores.values()) == pytest.approx(1.0)
    assert result.scores["letter"] / result.scores["invoice"] == pytest.approx(math.exp(-0.01 / TEMPERATURE))
    assert result.scores["photo of a cat"] < 1e-9
    kind, said = [event.text for event in bench.events if isinstance(event, Note)]
    assert said == UNCALIBRATED and "shares of 1 among these labels (softmax)" in kind


async def test_scores_say_what_eval_measured_of_them(tmp_path: Path) -> None:
    """A probability is one where somebody looked how often it is right; elsewhere scores say that nobody did."""
    source = "right on 18 of 24 of papers.jsonl, its best label at 0.93 on average, 2026-11-29"
    evidence = Evidence(level="measured", source=source)
    known = Strength(task="zero-shot-classification", tier="medium", evidence=evidence)
    measured = rename(E5, model=msgspec.structs.replace(E5.model, strength=(known,)))
    bench = Bench(tmp_path, (measured,))
    request, opened = asked("Please pay 42 euros.", output=ScoresOutput(labels=LABELS))
    await bench.run(plan(route(score("part:0", endpoint=measured))), request, opened)
    *_, said = [event.text for event in bench.events if isinstance(event, Note)]
    assert said == f"how often its best label is right was measured: {source}"


async def test_what_is_asked_about_a_file_is_not_what_is_scored(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (E5,))
    request, opened = asked("What kind of paper is it?", "report.pdf", output=ScoresOutput(labels=LABELS))
    render, read = pages("render", "1"), look(1, "step:render1")
    await bench.run(plan(route(render, read, score("part:0", f"step:{read.id}"))), request, opened)
    scored = [call for call in bench.runtimes.calls if call.startswith("embed")]
    assert scored[0] == "embed read from page 1"
    assert len(scored) == 1 + len(LABELS)


async def test_a_hosted_model_of_vectors_says_that_its_distances_are_not_calibrated(tmp_path: Path) -> None:
    with FakeHost() as host:
        vectors = rename(host.endpoint(), model=Model(id="fake/model", output=("embedding",)))
        bench = Bench(tmp_path, (vectors,))
        request, opened = asked("Please pay.", output=ScoresOutput(labels=LABELS))
        result = await bench.run(plan(route(score("part:0", endpoint=vectors))), request, opened)
        assert host.attempts[0].texts == ("Please pay.", *map(HYPOTHESIS.format, LABELS))
    assert sum(result.scores.values()) == pytest.approx(1.0)
    said = [event.text for event in bench.events if isinstance(event, Note)]
    assert any("was fitted for another model" in each for each in said) and UNCALIBRATED in said


# ---- letters ---------------------------------------------------------------------------------------


async def test_a_picture_is_scored_by_the_letter_a_vision_model_would_answer(tmp_path: Path) -> None:
    with FakeHost(likely=prefers("photo of a cat")) as host:  # type: ignore[arg-type]
        result = await scored(tmp_path, host)
        sent = host.attempts[0]
        assert [len(attempt.images) for attempt in host.attempts] == [1, 1]
    assert (sent.json["logprobs"], sent.json["top_logprobs"], sent.json["max_tokens"]) == (True, 20, 1)
    assert "grammar" not in sent.json
    assert result.scores == pytest.approx({"invoice": 0.05, "letter": 0.05, "photo of a cat": 0.9})


async def test_a_model_that_always_likes_the_first_option_has_no_favourite(tmp_path: Path) -> None:
    with FakeHost(likely={"A": 0.8, "B": 0.1, "C": 0.1}) as host:
        result = await scored(tmp_path, host)
        assert [options(attempt) for attempt in host.attempts] == [list(LABELS), list(LABELS[::-1])]
    assert result.scores["invoice"] == pytest.approx(result.scores["photo of a cat"])


async def test_the_order_of_the_labels_changes_no_score(tmp_path: Path) -> None:
    lopsided = {"A": 0.5, "B": 0.3, "C": 0.1}
    with FakeHost(likely=lopsided) as host:
        one = await scored(tmp_path, host)
        other = await scored(tmp_path, host, LABELS[::-1])
    assert one.scores == pytest.approx(other.scores)


async def test_a_letter_that_was_not_told_is_no_likelier_than_the_least_that_was(tmp_path: Path) -> None:
    with FakeHost(likely={"A": 0.9, "The": 0.06, "It": 0.04}) as host:
        result = await scored(tmp_path, host)
    # Of each turn's 0.98 the letter A has 0.9, the others 0.04 each; the mean over both turns.
    expected = {"invoice": 0.47 / 0.98, "letter": 0.04 / 0.98, "photo of a cat": 0.47 / 0.98}
    assert result.scores == pytest.approx(expected)


async def test_a_model_that_did_not_mean_to_answer_with_a_letter_is_found_out(tmp_path: Path) -> None:
    with FakeHost(likely={"The": 0.97, "A": 0.02, "B": 0.01}) as host:
        await scored(tmp_path, host)
        assert any("did not mean to answer with a letter (3.0%" in note for note in host.notes)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("likely", "what"),
    [(None, "did not tell the probabilities"), ({"The": 0.9, "It": 0.1}, "answers with none of the letters")],
)
async def test_an_answer_without_letters_is_an_error(
    tmp_path: Path, likely: Mapping[str, float] | None, what: str
) -> None:
    with FakeHost(likely=likely) as host, pytest.raises(errors.CallError, match=what):
        await scored(tmp_path, host)


async def test_a_wire_without_probabilities_is_not_even_asked(tmp_path: Path) -> None:
    with FakeHost(likely={"A": 1.0}) as host:
        mute = rename(host.endpoint().host, quirks=("no_logprobs",))
        with pytest.raises(errors.UnsupportedModality, match="cannot carry the probabilities of words"):
            await scored(tmp_path, host, host=mute)
        assert host.attempts == []


async def test_more_labels_than_a_wire_tells_words_is_an_error_with_the_number(tmp_path: Path) -> None:
    with FakeHost(likely={"A": 1.0}) as host:
        with pytest.raises(errors.UnsupportedModality, match=r"21 labels at once \(at most 20\)"):
            await scored(tmp_path, host, tuple(f"label {number}" for number in range(21)))
        assert host.attempts == []


async def test_a_picture_never_reaches_a_model_without_vision(tmp_path: Path) -> None:
    with FakeHost(likely={"A": 1.0}) as host:
        with pytest.raises(errors.UnsupportedModality):
            await scored(tmp_path, host, input=("text",))
        assert host.attempts == []


async def test_a_host_that_knows_grammars_is_sent_one_and_asked_for_more_words(tmp_path: Path) -> None:
    with FakeHost(likely={"A": 0.6, "B": 0.3, "C": 0.1}) as host:
        llama = rename(host.endpoint().host, quirks=("grammar", "many_logprobs"))
        await scored(tmp_path, host, host=llama)
        assert host.attempts[0].json["grammar"] == "root ::= [ABC]"
        assert host.attempts[0].json["top_logprobs"] == 500


# ---- pure ------------------------------------------------------------------------------------------


def test_a_letter_counts_with_its_space_and_bracket_but_not_as_an_article() -> None:
    told = (("A", math.log(0.3)), (" A", math.log(0.2)), ("(B", math.log(0.1)), ("a", math.log(0.4)))
    probabilities, mass = letter_probabilities(told, "AB", score())
    assert probabilities == pytest.approx((0.5 / 0.6, 0.1 / 0.6))
    assert mass == pytest.approx(0.6)


def test_a_softmax_of_large_numbers_is_finite() -> None:
    assert softmax([1e6, 1e6 - 1000]) == (1.0, 0.0)


def test_what_can_score_follows_from_the_endpoint() -> None:
    chat = Model(id="chat", tasks=("text-generation",))
    host = Host(id="h")
    assert Endpoint(id="h:c", model=chat, host=host).scoring == ("zero-shot-classification",)
    seeing = Endpoint(id="h:c", model=chat, host=host, input=("text", "image"))
    assert seeing.scoring == ("zero-shot-classification", "zero-shot-image-classification")
    assert Endpoint(id="h:c", model=chat, host=rename(host, quirks=("no_logprobs",))).scoring == ()
    assert E5.scoring == ("zero-shot-classification",)
    assert Endpoint(id="h:t", model=Model(id="t", tasks=("text-to-speech",)), host=host).scoring == ()
