"""Plans to draw: those of the cases, and one by hand that has everything a plan can have."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from tests.plans import runner

from intermodal.core.quantity import Quantity, between, exact
from intermodal.errors import IntermodalError
from intermodal.events import Actual, Checked, Derived, Replanned, Result, Retrying, Usage
from intermodal.planner import plan
from intermodal.plans.plan import Candidate, NativeInput, Outranked, Plan, Rejected, Send
from intermodal.plans.step import Call, Check, StepEstimate, Transform

FILM = 'talk <b onload="x">&\x07\u202egnp.mp4'
LOOPED = 'the transcript repeats "thank you" 40 times'
LONG = "a-very-long-name-of-a-picture-that-was-taken-somewhere-far-away-in-2026-11-24.final.png"


@cache
def of_case(name: str) -> Plan:
    inputs = runner.inputs_of(runner.parse(runner.FOLDER / f"{name}.case")[0])
    return plan(inputs.request, inputs.facts, inputs.catalog, inputs.machine, inputs.statistics, inputs.as_of)


@cache
def names() -> tuple[str, ...]:
    """Cases that end in a plan."""

    def fine() -> Iterator[str]:
        for path in runner.cases():
            try:
                of_case(path.stem)
            except IntermodalError:
                continue
            yield path.stem

    return tuple(fine())


def only_if(cost: float, seconds: float) -> StepEstimate:
    return StepEstimate(
        cost=Quantity(high=cost, certainty="estimated"), seconds=Quantity(high=seconds, certainty="estimated")
    )


def seconds(
    low: float, mid: float, high: float, *, tokens: float = 0, load: float = 0, cost: float = 0
) -> StepEstimate:
    return StepEstimate(
        seconds=between(low, mid, high, "speed"),
        load_seconds=exact(load),
        cost=exact(cost),
        output_tokens=between(tokens / 4, tokens, tokens * 3, "counted"),
    )


def film() -> Plan:
    """A film: heard and seen elsewhere, read here; an image that is read and shown; checks with their price."""
    cut = Transform(
        id="d1", op="demux", inputs=("part:1",), part=1, title=f"{FILM} 62 s", estimate=seconds(0.2, 0.2, 0.2)
    )
    frames = Transform(
        id="f1", op="frames", inputs=("part:1",), part=1, title=f"{FILM} 12 frames at scene changes",
        params=(("frames", "scenes"), ("most", "12")), estimate=seconds(0.9, 0.9, 0.9),
    )  # fmt: skip
    hear = Call(
        id="t1", op="transcribe", task="automatic-speech-recognition", endpoint="acme:acme/hark", inputs=("step:d1",),
        part=1, title=f"{FILM} 62 s", keeps=("words", "timing"), loses=("tone", "speakers"),
        estimate=seconds(1, 2.2, 6, tokens=170, cost=0.0006),
    )  # fmt: skip
    read = Call(
        id="r1", op="read", task="image-to-text", endpoint="embedded:paddlepaddle/ppocr-v6-small",
        inputs=("step:f1",), part=1, title=f"{FILM} 12 frames", keeps=("words",), note="small (proxy: PP-OCR)",
        estimate=seconds(1, 3.2, 9, tokens=300, load=1.0),
    )  # fmt: skip
    see = Call(
        id="s1", op="describe", task="image-text-to-text", endpoint="acme:acme/vista", inputs=("step:f1",), part=1,
        title=f"{FILM} 12 frames", keeps=("appearance",), estimate=seconds(1, 4.2, 9, tokens=900, cost=0.0052),
    )  # fmt: skip
    again = Call(
        id="r2", op="read", task="image-to-text", endpoint="embedded:paddlepaddle/ppocr-v6-small",
        inputs=("part:2",), part=2, title=f"{LONG} 1240x1754", estimate=seconds(0.7, 1.2, 4, tokens=300),
    )  # fmt: skip
    last = Call(
        id="g1", op="generate", task="text-generation", endpoint="desk:qwen/qwen3-8b", title="JSON answer",
        inputs=("part:0", "step:t1", "step:r1", "step:s1", "step:r2", "part:2"),
        estimate=seconds(1, 6.1, 90, tokens=80),
    )  # fmt: skip
    checks = (
        Check(id="c1", op="transcript", inputs=("step:t1",), title="transcript of talk.mp4", note="heard again",
              estimate=only_if(0, 25)),
        Check(id="c2", op="reading", inputs=("step:r1", "step:r2"), title="reading of 2 files", note="seen instead",
              estimate=only_if(0.003, 5)),
        Check(id="c3", op="size", inputs=("step:t1", "step:r1"), title="size", note="the plan is made again"),
        Check(id="c4", op="valid_json", inputs=("step:g1",), title="answer against its schema",
              estimate=only_if(0, 30)),
    )  # fmt: skip
    there = {"host": "acme", "url": "https://api.acme.test/v1"}
    sends = (
        Send(what="62 s audio", kind="audio", origin=FILM, zone="internet", **there),
        Send(what="12 images 640x360", kind="image", origin=FILM, zone="internet", **there),
    )
    chosen = Candidate(
        id="c0ffee", steps=(cut, frames, hear, read, see, again, last), endpoint=last.endpoint, tier="small", score=0.1,
        total=StepEstimate(seconds=between(4, 12.6, 140, "schedule"), cost=exact(0.0058)), checks=checks, sends=sends,
        takes=(NativeInput(part=2, title=f"{LONG} 1240x1754", kind="image", tokens=exact(900)),), summary="all of it",
    )  # fmt: skip
    weaker = "desk:llava/llava-7b"
    other = Candidate(
        id="fa11", endpoint=weaker, tier="small", score=0.2, total=StepEstimate(seconds=exact(20)), summary="less",
        steps=(Call(id="g2", op="generate", task="text-generation", endpoint=weaker, inputs=("part:0",)),),
    )  # fmt: skip
    return Plan(
        id="abc123abc123", headline=f"LLM call: {FILM} becomes text first", policy_line="default", objective="default",
        chosen=chosen, fallbacks=(other,), notes=("loses motion", "floor medium not reached"), as_of="2026-11-24",
        outranked=(Outranked(endpoint="x:y/z", summary="s", total=StepEstimate(), reason="$1 > $0"),),
        rejected=tuple(Rejected(rule=f"rule{n}", reason=f"reason {n}", endpoints=("a:b/c",)) for n in range(9)),
    )  # fmt: skip


def film_run() -> Result:
    """A run of it in which much happens: retried, looped, planned again, cached."""
    return Result(
        endpoint="desk:qwen/qwen3-8b", seconds=17.2, finish_reason="stop", cost=0.0008,
        actuals=(
            Actual(step="d1", began=0.02, seconds=0.3),
            Actual(step="f1", began=0.32, seconds=1.1),
            Actual(step="r2", seconds=0, cached=True),
            Actual(step="t1", began=0.4, seconds=1.9, cost=0.0008, usage=Usage(output_tokens=160)),
            Actual(step="r1", began=1.5, seconds=2.4, load_seconds=0.8),
            Actual(step="x9", began=4.8, seconds=5.1, load_seconds=0.6),
            Actual(step="g9", began=10.5, seconds=6.6),
        ),
        derived=(Derived(step="x9", name=FILM, op="transcribe"),),
        checks=(
            Checked(step="t1", check="transcript", problem="looped", message=LOOPED),
            Checked(step="r1", check="reading"),
        ),
        replans=(
            Replanned(
                step="t1", reason="the transcript repeats itself", before="c0ffee", after="c1", plan="p2",
                endpoint="desk:qwen/qwen3-8b", seconds=0.0021, at=4.75,
            ),
        ),
        retries=(Retrying(step="t1", reason="acme:acme/hark answered 503", at=0.9),),
    )  # fmt: skip


def many(count: int) -> Plan:
    """``count`` images, each read here."""
    reads = tuple(
        Call(
            id=f"r{place}", op="read", task="image-to-text", endpoint="embedded:a/ocr", inputs=(f"part:{place}",),
            part=place, title=f"p{place}.png 600x600", estimate=seconds(0.1, 0.3, 0.9, tokens=10),
        )
        for place in range(count)
    )  # fmt: skip
    last = Call(
        id="g1", op="generate", task="text-generation", endpoint="desk:a/b", title="answer",
        inputs=tuple(f"step:{each.id}" for each in reads), estimate=seconds(1, 2, 3, tokens=50),
    )  # fmt: skip
    chosen = Candidate(id="c", steps=(*reads, last), endpoint="desk:a/b", tier="small", score=0.1, total=StepEstimate())
    return Plan(id="feed", headline="LLM call", policy_line="default", objective="default", chosen=chosen)
