"""How a user's program sees intermodal. Never run: mypy --strict and pyright check it (``make types``)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_type

from pydantic import BaseModel

import intermodal
from intermodal import make_request
from intermodal.events import Finished, StepFinished, TextDelta


class Invoice(BaseModel):
    number: str
    total: float


@dataclass
class Caller:
    name: str
    wants: str


def one_line() -> str:
    answer = intermodal.ask("What is the total?", "invoice.png")
    assert_type(answer.text, str)
    assert_type(answer.plan, intermodal.Plan)
    assert_type(answer.result, intermodal.Result)
    return answer.text


def typed_answers() -> None:
    invoice = intermodal.ask("Read the invoice.", Path("invoice.png"), schema=Invoice)
    assert_type(invoice, intermodal.Answer[Invoice])
    assert_type(invoice.value.total, float)
    caller = intermodal.ask("Who calls?", b"RIFF...", schema=Caller, objective="fastest", max_tokens=64)
    assert_type(caller.value, Caller)
    free = intermodal.ask("Read it.", "invoice.png", schema={"type": "object"})
    assert_type(free, intermodal.Answer[Any])


def plan_first() -> intermodal.Result:
    request = make_request("What is said?", "call.wav", private=("audio",), release=("audio:text",))
    assert_type(request, intermodal.Request)
    with intermodal.Client() as client:
        plan = client.plan(request)
        assert_type(plan, intermodal.Plan)
        assert_type(client.explain(request), str)
        for send in plan.chosen.sends:
            assert_type(send.host, str)
        return client.run(request, plan)


def advice() -> str:
    found = intermodal.advise(["pdf", "image"], "text", requests="10/day", sizes={"pdf": 3, "image": (800, 600)})
    assert_type(found, intermodal.Advice)
    return found.endpoint


def parts_by_hand() -> intermodal.Request:
    return intermodal.Request(
        messages=(
            intermodal.Message(
                role="user",
                parts=(
                    intermodal.Text(text="Compare them."),
                    intermodal.Image(source=intermodal.PathSource(path="a.png"), detail="high"),
                    intermodal.Audio(source=intermodal.BytesSource(data=b"...", name="call")),
                    intermodal.Document(source=intermodal.UrlSource(url="https://example.org/report.pdf")),
                ),
            ),
        ),
        output=intermodal.JsonOutput(schema={"type": "object"}),
        policy=intermodal.Policy(objective="cheapest", at_least="small", max_cost=0.01),
        sampling=intermodal.Sampling(max_tokens=100, temperature=0.0),
    )


def streaming(request: intermodal.Request) -> Iterator[str]:
    with intermodal.Client() as client:
        for event in client.stream(request):
            if isinstance(event, TextDelta):
                assert_type(event.text, str)
                yield event.text
            elif isinstance(event, StepFinished):
                assert_type(event.actual.seconds, float)
            elif isinstance(event, Finished):
                assert_type(event.endpoint, str)


async def streaming_async(request: intermodal.Request) -> AsyncIterator[str]:
    async with intermodal.AsyncClient() as client:
        assert_type(await client.plan(request), intermodal.Plan)
        assert_type(await client.explain(request), str)
        assert_type(await client.run(request), intermodal.Result)
        async for event in client.stream(request):
            if isinstance(event, TextDelta):
                yield event.text


async def asking_async() -> float:
    async with intermodal.AsyncClient() as client:
        answer = await client.ask("Read the invoice.", "invoice.png", schema=Invoice)
        assert_type(answer, intermodal.Answer[Invoice])
        return answer.value.total


def words_in_one_loop() -> Iterator[str]:
    with intermodal.Client() as client:
        for word in client.stream_text("What is said?", "call.wav", ("notes.txt", b"..."), objective="fastest"):
            assert_type(word, str)
            yield word


async def words_in_one_async_loop() -> AsyncIterator[str]:
    async with intermodal.AsyncClient() as client:
        async for word in client.stream_text("What is said?", "call.wav", max_tokens=64):
            yield word


def every_verb_takes_a_question() -> None:
    with intermodal.Client() as client:
        plan = client.plan("What is said?", "call.wav", deadline=30.0, keep="words")
        assert_type(plan, intermodal.Plan)
        assert_type(client.explain("What is said?", "call.wav"), str)
        assert_type(client.run("What is said?", "call.wav", plan=plan), intermodal.Result)
        assert_type(client.run("Read it.", "invoice.png", schema=Invoice).data, Any)
        for event in client.stream("What is said?", "call.wav", plan=plan):
            assert_type(event, intermodal.Event)
        estimate = client.estimate("What is said?", "call.wav", model="gpt-4o", out_tokens=100)
        assert_type(estimate.usd.mid, float)
        bill = client.cost(requests={"per_day": 10}, prompt="Hi", plans=[{"name": "here", "local": True}])
        assert_type(bill, intermodal.MonthlyCost)
        assert_type(bill.plans[0].total.mid, float)
        assert_type(client.cost(Path("calls.yaml")), intermodal.MonthlyCost)
        assert_type(client.advise(["pdf", "image"], requests="500/day", sizes={"pdf": 30}), intermodal.Advice)
        for endpoint in client.models("gpt-4o", ready=True):
            assert_type(endpoint, intermodal.Endpoint)
            assert_type(endpoint.id, str)


async def every_verb_takes_a_question_async() -> None:
    async with intermodal.AsyncClient() as client:
        plan = await client.plan("What is said?", "call.wav", private=("audio",))
        assert_type(plan, intermodal.Plan)
        assert_type(await client.explain("What is said?"), str)
        assert_type(await client.run("What is said?", "call.wav", plan=plan), intermodal.Result)
        async for event in client.stream("What is said?", plan=plan):
            assert_type(event, intermodal.Event)
        assert_type(await client.cost({"requests": {"per_day": 10}}), intermodal.MonthlyCost)
        assert_type(await client.advise("audio", "transcript", translate="en"), intermodal.Advice)
        assert_type(await client.models(), tuple[intermodal.Endpoint, ...])


def what_an_answer_took() -> float:
    answer = intermodal.ask("What is the total?", "invoice.png")
    assert_type(answer.cost, float | None)
    assert_type(answer.usage.input_tokens, int | None)
    assert_type(answer.notes, tuple[str, ...])
    return answer.seconds


def waited_out() -> float:
    try:
        return intermodal.ask("What is it?", "photo.png").seconds
    except intermodal.RateLimited as error:
        assert_type(error.retry_after, float | None)
        return error.retry_after or 0.0


def other_outputs() -> None:
    transcript = intermodal.ask("", "call.wav", output=intermodal.TranscriptOutput(format="srt"))
    if transcript.result.transcript is not None:
        for segment in transcript.result.transcript.segments:
            assert_type(segment.start, float)
    vector = intermodal.ask("", "report.pdf", output=intermodal.EmbeddingOutput())
    assert_type(vector.result.embedding, tuple[float, ...])


def handled() -> str:
    try:
        return intermodal.ask("What is it?", "missing.png").text
    except intermodal.NoRoute as error:
        assert_type(error.reasons, tuple[str, ...])
        return "; ".join(error.reasons)
    except intermodal.IntermodalError as error:
        assert_type(error.exit_code, int)
        return f"{error.what}: {error.todo}"
