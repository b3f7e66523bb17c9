"""Real encoders with a head end to end: labels of texts, and what is refused.

The models are those of ``tests/media/tiny_bert``, which know letters of customers and facts of offices.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.command import intermodal
from tests.e2e.onnx_folders import BERT, config, copied, cut

from intermodal.client.async_client import AsyncClient
from intermodal.core.request import ScoresOutput
from intermodal.errors import NoRoute, UsageError
from intermodal.plans.plan import Plan
from intermodal.plans.step import Call, Transform

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(300)]
TINY = "mine:test/tiny-subjects"
SUBJECTS = ("billing", "delivery", "technical fault", "praise")
LATE = "the parcel with the lamp is a week late"


@pytest.fixture(autouse=True)
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path, "encoder", tiny_subjects=BERT / "classifier")))


def ops(plan: Plan) -> list[str]:
    return [step.op for step in plan.chosen.steps if isinstance(step, (Call, Transform))]


def changed(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


async def test_letters_that_it_never_saw_get_the_right_label(client: AsyncClient) -> None:
    held_out = json.loads((BERT / "classifier" / "held_out.json").read_text())[:30]
    right = 0
    for each in held_out:
        scores = (await client.ask(each["text"], output=ScoresOutput(labels=SUBJECTS))).result.scores
        assert sum(scores.values()) == pytest.approx(1.0)
        right += max(scores, key=scores.__getitem__) == each["label"]
    assert right >= 27


async def test_an_encoder_is_enough_and_a_language_model_is_priced_beside_it(client: AsyncClient) -> None:
    plan = await client.plan(LATE, output=ScoresOutput(labels=("delivery", "praise")))
    assert (plan.chosen.endpoint, ops(plan)) == (TINY, ["score"])
    assert (plan.verdict.value, plan.verdict.instead) == ("no_language_model", "encoder")
    assert plan.headline.startswith("an encoder is enough, no language model is needed")
    beside = plan.verdict.language_model
    assert beside is not None
    assert beside.cost.known
    assert beside.seconds is not None
    assert beside.endpoint in plan.headline


async def test_an_answer_in_words_is_never_said_to_need_an_encoder_alone(client: AsyncClient) -> None:
    plan = await client.plan(f"Why is this letter angry, and what should we answer? {LATE}")
    assert plan.verdict.instead == ""
    assert plan.verdict.encoder is None
    assert "encoder" not in plan.headline


async def test_without_labels_those_of_the_head_are_scored(client: AsyncClient) -> None:
    answer = await client.ask(LATE, output=ScoresOutput())
    assert set(answer.result.scores) == set(SUBJECTS)
    assert max(answer.result.scores, key=answer.result.scores.__getitem__) == "delivery"


def test_the_best_label_alone_is_all_there_is_on_stdout() -> None:
    ran = intermodal("ask", "--output", "label", "--labels", "billing,delivery", LATE)
    assert (ran.code, ran.out) == (0, "delivery\n")
    document = intermodal("ask", "--output", "label", "--json", LATE).document
    assert (document["label"], len(document["scores"])) == ("delivery", 4)


async def test_labels_are_found_in_upper_and_lower_case_and_what_is_left_out_is_said(client: AsyncClient) -> None:
    answer = await client.ask(LATE, output=ScoresOutput(labels=("Praise", "DELIVERY")))
    assert list(answer.result.scores) == ["Praise", "DELIVERY"]
    assert answer.result.scores["DELIVERY"] > 0.9
    assert any("billing and technical fault, too" in note for note in answer.result.notes)


async def test_labels_that_the_head_does_not_know_go_to_a_model_that_compares_any(client: AsyncClient) -> None:
    plan = await client.plan(LATE, output=ScoresOutput(labels=("delivery", "spam")))
    assert plan.chosen.endpoint.endswith("multilingual-e5-small")
    reasons = [each.reason for each in plan.rejected if TINY in each.endpoints]
    assert reasons == ["spam is no label of its head, which knows billing, delivery, technical fault and praise"]


async def test_a_long_text_is_read_by_windows_and_the_plan_and_the_answer_say_how_long_it_is(
    client: AsyncClient,
) -> None:
    answer = await client.ask(f"{LATE} . " * 40, output=ScoresOutput(), model=TINY)
    assert answer.result.scores["delivery"] > 0.9
    assert any("windows were read" in note for note in answer.result.notes)


async def test_what_is_beyond_the_last_window_is_said_to_becut(client: AsyncClient) -> None:
    answer = await client.ask(f"{LATE} . " * 3_000, output=ScoresOutput(), model=TINY)
    assert any("was cut there" in note for note in answer.result.notes)


async def test_labels_that_are_judged_by_themselves_are_not_together_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(BERT / "classifier", tmp_path)
    changed(folder, problem_type="multi_label_classification")
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path, "encoder", several=folder)))
    async with AsyncClient() as client:
        result = (await client.ask(LATE, output=ScoresOutput(), model="several")).result
        made = await client.plan(LATE, output=ScoresOutput(), model="several")
        one = await client.ask(LATE, output=ScoresOutput(labels=("delivery",), independent=True), model="several")
    scores = result.scores
    assert all(0 <= score <= 1 for score in scores.values())
    assert max(scores, key=scores.__getitem__) == "delivery"
    assert abs(sum(scores.values()) - 1) > 1e-4
    assert one.result.scores == pytest.approx({"delivery": scores["delivery"]})
    kind = "each score is the probability of that label by itself (sigmoid): several may be high, or none"
    assert kind in made.notes and kind in result.notes


async def test_labels_of_which_one_applies_are_refused_where_each_is_to_be_judged_by_itself(
    client: AsyncClient,
) -> None:
    with pytest.raises(NoRoute) as told:
        await client.plan(LATE, output=ScoresOutput(labels=("delivery",), independent=True), model=TINY)
    assert "is not known to judge each label by itself" in str(told.value)
    made = await client.plan(LATE, output=ScoresOutput(), model=TINY)
    assert any("shares of 1 among all labels of the head (softmax)" in note for note in made.notes)


async def test_of_two_classifiers_one_is_to_be_named_where_labels_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = config(tmp_path, "encoder", one=BERT / "classifier", other=BERT / "classifier")
    monkeypatch.setenv("INTERMODAL_CONFIG", str(both))
    async with AsyncClient() as client:
        with pytest.raises(UsageError, match="mine:test/one and mine:test/other have labels of their own"):
            await client.plan(LATE, output=ScoresOutput())
        assert (await client.plan(LATE, output=ScoresOutput(), model="other")).chosen.endpoint == "mine:test/other"


# ---- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "onnx/model.onnx").write_bytes(b"\x08\x07" + b"x" * 5_000), "ONNX"),
        (lambda f: cut(f / "onnx/model.onnx"), "is cut"),
        (lambda f: (f / "onnx/model.onnx").unlink(), "has no model.onnx"),
        (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "is not a tokenizer"),
        (lambda f: (f / "config.json").write_text("[1]"), "config.json names no architecture"),
        (lambda f: changed(f, architectures=["BertModel"]), "BertModel"),
        (lambda f: changed(f, id2label={str(n): f"label {n}" for n in range(7)}), "outputs 4 numbers for a text"),
        (lambda f: changed(f, id2label={"0": "a", "1": "a"}), "duplicate labels"),
        (lambda f: changed(f, problem_type="regression"), "regression"),
    ],
    ids=[
        "no onnx", "cut", "missing", "no tokenizer", "broken tokenizer", "config is no table", "no head",
        "another number of labels", "labels twice", "regression",
    ],
)  # fmt: skip
def test_a_broken_folder_is_one_sentence_that_says_what_is_wrong(
    damage: Any, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(BERT / "classifier", tmp_path)
    damage(folder)
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path, "encoder", broken=folder)))
    known = json.loads((folder / "config.json").read_text())
    head = list(known.get("id2label", {}).values()) if isinstance(known, dict) else []
    labels = head if len(set(head)) > 1 else ["billing", "praise"]
    ran = intermodal("ask", "--model", "broken", "--labels", ",".join(labels), LATE)
    assert ran.code not in (0, 70), ran.err
    assert said in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--labels", "billing", LATE), "one label cannot be compared with others"),
        (("--labels", ",".join(f"label {number}" for number in range(10_000)), LATE), "10,000 labels"),
        (("--output", "scores", ""), "nothing was asked"),
        (("--labels", "billing,praise", "   "), "nothing was asked"),
        (("--labels", "spam,ham", "--model", "tiny-subjects", LATE), "spam and ham are no labels of its head"),
    ],
    ids=["one", "ten thousand", "empty", "blank", "unknown"],
)
def test_wrong_labels_and_empty_texts_are_refused_in_one_sentence(arguments: tuple[str, ...], said: str) -> None:
    ran = intermodal("ask", *arguments)
    assert ran.code in (2, 4), ran.err
    assert said in ran.err.splitlines()[0]
    assert len(ran.err.splitlines()[0]) < 400


def test_without_labels_and_without_a_classifier_labels_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "none.toml").write_text("")
    monkeypatch.setenv("INTERMODAL_CONFIG", str(tmp_path / "none.toml"))
    ran = intermodal("ask", "--output", "scores", LATE)
    assert ran.code == 2
    assert "scores need labels" in ran.err
