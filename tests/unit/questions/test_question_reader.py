"""The child that tells what questions need: started when needed, asked once, and never the reason of a failure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.known_questions import KnownQuestions

from intermodal.client import request_builder
from intermodal.client.async_client import AsyncClient
from intermodal.concurrency import worker_process
from intermodal.errors import RuntimeCrashed
from intermodal.local.embedded import availability
from intermodal.plans.facts import MediumNeeds, Need, QuestionFacts
from intermodal.questions import question_reader as reading
from intermodal.questions.question_reader import QuestionReader

pytestmark = pytest.mark.anyio
TOLD = QuestionFacts(
    by="a sentence model",
    media=(
        MediumNeeds(medium="photo", needed=(Need(aspect="appearance", score=0.9, like="Is it a dog?"),)),
        MediumNeeds(medium="audio", needed=(Need(aspect="tone", score=0.8, like="Is she angry?"),)),
    ),
)


class Child:
    """Stands for the child: tells the same of every question, or fails."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails = False

    async def call(self, method: str, arguments: dict[str, Any], **_: Any) -> worker_process.WorkerReply:
        self.asked.append(arguments["question"])
        if self.fails:
            raise RuntimeCrashed("the worker process died")
        return worker_process.WorkerReply(value=msgspec.to_builtins(TOLD))

    async def close(self) -> None: ...


@pytest.fixture
async def child(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Child]:
    found = Child()
    monkeypatch.setattr("intermodal.local.embedded.runtimes.start_child", lambda *_: found)
    monkeypatch.setattr(availability, "install_commands", lambda: {"e5": ""})
    yield found


@pytest.mark.parametrize("signs", ["", "  ", "???", "…!", "?!\n؟"])
async def test_of_a_question_without_a_letter_nothing_is_told(child: Child, signs: str) -> None:
    assert await QuestionReader().needs(signs, ("audio",)) is None
    assert not child.asked


async def test_a_question_is_asked_about_once_and_of_the_media_that_are_there(child: Child) -> None:
    reader = QuestionReader()
    assert reader.cached_facts("Is it a dog?", ("image",)) is None
    for _ in range(2):
        found = await reader.needs("Is it a dog?", ("image",))
        assert found is not None and [each.medium for each in found.media] == ["photo"]
    assert reader.cached_facts("Is it a dog?", ("audio",)) == QuestionFacts(by=TOLD.by, media=TOLD.media[1:])
    assert child.asked == ["Is it a dog?"]


@pytest.mark.parametrize(("question", "kinds"), [("  ", ("image",)), ("Who is it?", ("text",)), ("Who is it?", ())])
async def test_nothing_is_asked_without_a_question_or_without_media(child: Child, question: str, kinds: Any) -> None:
    assert await QuestionReader().needs(question, kinds) is None
    assert not child.asked


async def test_a_child_that_fails_is_left_alone_for_a_while(child: Child) -> None:
    child.fails, reader = True, QuestionReader()
    assert await reader.needs("Who is it?", ("audio",)) is None
    assert await reader.needs("Who else?", ("audio",)) is None
    assert child.asked == ["Who is it?"]


async def test_only_the_latest_questions_are_remembered(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "KEPT", 2)
    reader = QuestionReader()
    for question in ("one", "two", "three"):
        await reader.needs(question, ("audio",))
    assert [reader.cached_facts(question, ("audio",)) is None for question in ("one", "two", "three")] == [
        True,
        False,
        False,
    ]


async def test_words_alone_start_no_sentence_model(child: Child) -> None:
    async with AsyncClient() as client:
        prepared = await client.prepare(
            request_builder.make_request("What colour is the sky?", b"It was a grey morning.")
        )
    assert prepared.inputs.facts.question is None
    assert not child.asked


async def test_a_plan_is_made_by_words_where_no_sentence_model_is_installed(
    child: Child, monkeypatch: pytest.MonkeyPatch, media: Any
) -> None:
    monkeypatch.setattr(availability, "install_commands", lambda: {"e5": "pip install it"})
    async with AsyncClient() as client:
        prepared = await client.prepare(
            request_builder.make_request("What colour is the cat?", media / "photo-cat.jpg")
        )
    assert prepared.inputs.facts.question is None
    assert not child.asked


async def test_what_was_told_is_among_the_facts_of_a_plan(child: Child, media: Any) -> None:
    async with AsyncClient() as client:
        prepared = await client.prepare(request_builder.make_request("Ist das ein Hund?", media / "photo-cat.jpg"))
    assert prepared.inputs.facts.question == QuestionFacts(by=TOLD.by, media=TOLD.media[:1])


async def test_tests_that_share_an_answer_cannot_change_it_for_each_other(child: Child) -> None:
    """Each client of a test gets an answer of its own, and of a failure nothing is kept."""
    question = "Who shares this?"
    child.fails = True
    with pytest.raises(RuntimeCrashed):
        await KnownQuestions(child).call("needs", {"question": question})
    child.fails = False
    first = await KnownQuestions(child).call("needs", {"question": question})
    first.value["media"].clear()
    second = await KnownQuestions(child).call("needs", {"question": question})
    assert msgspec.convert(second.value, QuestionFacts) == TOLD
    assert child.asked == [question, question], "once in vain, and once for both"
