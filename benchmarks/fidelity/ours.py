"""What a text-only model at a loopback server receives of a file, and what the plan and the answer say of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import psutil
from home import fresh_home

import intermodal
from fidelity.samples import Sample
from intermodal.client import request_builder
from intermodal.plans.step import Call, Transform
from intermodal.testing import FakeHost

MODEL = "loop/reader"
CONTEXT = 200_000


class Row(msgspec.Struct):
    """One file.

    Attributes:
        text: what arrived of it. error: why nothing did. fix: what the error says to do. seconds: of the processor,
            children included.
        claims: what steps say to keep and to lose, as EXPLAIN has it; those of the plan that ran.
        planned: words of the plan that are shown before anything runs. found: notes and checks of the answer.
        verdict: of the plan. lines: of pictures that were read: words, confidence, whether letters of them are unread.
        certainty: of transcripts, as the ear tells it.
    """

    name: str
    text: str = ""
    error: str = ""
    fix: str = ""
    seconds: float = 0.0
    keeps: list[str] = []
    loses: list[str] = []
    planned: str = ""
    found: str = ""
    verdict: str = ""
    lines: list[tuple[str, float, bool]] = []
    certainty: list[float] = []

    @property
    def told(self) -> str:
        return f"{self.planned}\n{self.found}"


@contextmanager
def served() -> Iterator[tuple[intermodal.Client, FakeHost]]:
    """A client that has one model which takes nothing but text, and the embedded readers and ears."""
    with fresh_home() as env, FakeHost(answer="noted") as host:
        config = Path(env["INTERMODAL_HOME"]) / "intermodal.toml"
        config.write_text(
            f'[hosts.loop]\nbase_url = "{host.base_url}"\nzone = "machine"\n'
            f'[[hosts.loop.models]]\nid = "{MODEL}"\ninput = ["text"]\ncontext = {CONTEXT}\ntier = "large"\n'
        )
        env |= {"INTERMODAL_CONFIG": str(config), "INTERMODAL_DISCOVERY": "off"}
        with intermodal.Client(env=env) as client:
            yield client, host


def processor() -> float:
    """Seconds of this process and all its children, those that have ended included."""
    total = 0.0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.Error:
            continue
    return total


def asked(client: intermodal.Client, host: FakeHost, sample: Sample, data: bytes) -> Row:
    """The sample's question about its file. The file's name says nothing of what is in it."""
    suffix = sample.name.rpartition(".")[2]
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"fidelity-{os.getpid()}" / f"file.{suffix}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    made = Row(name=sample.name)
    request: Any = None
    before, heard = processor(), len(host.attempts)
    try:
        options = cast(Any, {"model": MODEL, "max_tokens": 8, "keep": sample.keep})
        request = request_builder.make_request(sample.prompt, str(path), **options)
        result = client.run(request)
        made.seconds = processor() - before
        made.text = _of_file(host.attempts[-1].texts, sample.prompt)
        made.found = "\n".join([*result.notes, *(each.message for each in result.checks if each.problem)])
        made.lines = [(line.text, line.confidence, line.unread) for each in result.derived for line in each.lines]
        made.certainty = [each.transcript.certainty for each in result.derived if each.transcript is not None]
    except intermodal.InputUnreadable as error:  # nothing arrives, and that is said
        made.seconds, made.found = processor() - before, str(error)
    except Exception as error:  # a program that fails in a way it should not is wrong about this file
        made.seconds = processor() - before
        made.error = f"{type(error).__name__}: {error}"
        made.fix = error.todo if isinstance(error, intermodal.IntermodalError) else ""
    del host.attempts[heard:]
    try:
        plan = client.plan(request)
    except Exception as error:
        made.error = made.error or f"{type(error).__name__}: {error}"
    else:
        _claimed(made, plan)
    path.unlink()
    return made


def _of_file(texts: tuple[str, ...], prompt: str) -> str:
    return "\n".join(texts).rpartition(prompt)[0]


def _claimed(made: Row, plan: Any) -> None:
    """The claims of the steps, which are the lines "keeps ...; loses ..." of EXPLAIN, and the notes of the plan."""
    from intermodal.plans import explain

    steps = [step for step in plan.chosen.steps if isinstance(step, Call | Transform)]
    made.keeps = sorted({aspect for step in steps for aspect in step.keeps})
    made.loses = sorted({aspect for step in steps for aspect in step.loses})
    shown = [explain.aspects(step) for step in steps if step.keeps or step.loses]
    made.planned = "\n".join([plan.headline, *shown, *plan.notes])
    made.verdict = str(plan.chosen.verdict)
