"""Plan cases: a request in a few lines of TOML, ``----``, and the EXPLAIN text it must give.

# What the case shows.
catalog = "acme"                     a slice of catalogs.py
consent = ["acme"]
ask = "What is the total?"           the prompt; its tokens are counted for smollm2
output = "json"                      text (default), json, transcript, embedding, picture, …
previous = "acme:acme/vista"         who answered the last turn
history = ["Hello", "Hi."]           earlier turns, the user's first; a number stands for so many words
all = true                           the frontier and every rejection too
why_not = ["acme/sonata"]            appended, one answer each
[policy]                             fields of Policy
[sampling]                           fields of Sampling
[settings]                           fields of Settings
[machine]                            cores, memory and free in GiB, loaded
[statistics]                         "endpoint|figure" = [low, mid, high]
tools = 2                            so many tools go with it; tool_choice, parallel_tools as in Request
tool_facts = { chars = 20000, scripts = [["code", 5000]] }    what was counted of them, as in ToolFacts
tool_result = "rain"                 the first was called, and gave this
tool_shows = true                    and the parts, which stand after it
[[part]]                             kind, name, and what probing would find
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from tests.plans import catalogs

from intermodal.core.content import BytesSource, File, Image, Part, Text, ToolCall, ToolResult
from intermodal.core.quantity import Quantity, between, exact, unknown
from intermodal.core.request import (
    EmbeddingOutput,
    ImageOutput,
    JsonOutput,
    Message,
    Output,
    Policy,
    Request,
    Sampling,
    ScoresOutput,
    Settings,
    SpeechOutput,
    TextOutput,
    Tool,
    TranscriptOutput,
)
from intermodal.errors import IntermodalError, NoRoute
from intermodal.planner import frontier, not_chosen_reasons, plan
from intermodal.plans.explain import explain, explain_all
from intermodal.plans.facts import ConversionOutcome, Facts, PageFacts, PartFacts, ScriptFacts, SubtitleFacts, ToolFacts
from intermodal.plans.machine import Machine
from intermodal.plans.plan import Inputs
from intermodal.plans.statistics import Statistics

FOLDER = Path(__file__).parent
SPLIT = "\n----\n"
AS_OF = "2026-11-24"
SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "number"}, "currency": {"type": "string"}},
    "required": ["total"],
}
OUTPUTS: dict[str, Output] = {
    "text": TextOutput(),
    "json": JsonOutput(schema=SCHEMA),
    "transcript": TranscriptOutput(format="srt"),
    "embedding": EmbeddingOutput(),
    "speech": SpeechOutput(),
    "verbatim": SpeechOutput(verbatim=True),
    "picture": ImageOutput(),
    "pictures": ImageOutput(size=(1536, 1024), count=2, quality="high"),
    "etching": ImageOutput(steps=20, negative="people"),
    "small picture": ImageOutput(size=(512, 512), steps=20),
    "odd picture": ImageOutput(size=(500, 512)),
    "scarf": ImageOutput(mask=True, strength=0.5),
    "masked": ImageOutput(mask=True),
    "scores": ScoresOutput(labels=("an invoice", "a letter", "a photo of a cat")),
}


def cases() -> list[Path]:
    return sorted(FOLDER.glob("*.case"))


def parse(path: Path) -> tuple[dict[str, Any], str]:
    """The header and the expected text of a case."""
    head, _, expected = path.read_text().partition(SPLIT)
    return tomllib.loads(head), expected.rstrip("\n")


def rewrite(path: Path) -> None:
    """Make the case expect what the planner says now. The header stays as it is; a crash leaves the old case."""
    head, _, _ = path.read_text().partition(SPLIT)
    fresh = path.with_suffix(".case.new")
    fresh.write_text(f"{head.rstrip()}{SPLIT}{run(tomllib.loads(head))}\n")
    os.replace(fresh, path)


def run(case: Mapping[str, Any]) -> str:
    """EXPLAIN, or the error in its own words with every reason."""
    inputs = inputs_of(case)
    arguments = (inputs.request, inputs.facts, inputs.catalog, inputs.machine, inputs.statistics, inputs.as_of)
    try:
        made = plan(*arguments)
        text = explain_all(made, frontier(inputs)) if case.get("all") else explain(made)
    except NoRoute as error:
        said = error.wording_for("command line")
        reasons = "\n".join(f"- {reason}" for reason in said.reasons)
        text = f"NoRoute: {said}\n{reasons}"
    except IntermodalError as error:
        text = f"{type(error).__name__}: {error.wording_for('command line')}"
    asked = [f"why not {name}?\n{_why(inputs, name)}" for name in case.get("why_not", [])]
    return "\n".join([text, *asked])


def _why(inputs: Inputs, name: str) -> str:
    try:
        return not_chosen_reasons(inputs, name)
    except IntermodalError as error:
        return f"{type(error).__name__}: {error}"


def inputs_of(case: Mapping[str, Any]) -> Inputs:
    """What a case describes, as the planner reads it."""
    parts: list[Part] = []
    facts: list[PartFacts] = []
    earlier: list[Message] = []
    for turn in case.get("history", []):
        text = "word " * turn if isinstance(turn, int) else turn
        facts.append(_text(len(facts), "prompt" if len(earlier) % 2 == 0 else "answer", text))
        earlier.append(Message(role="user" if len(earlier) % 2 == 0 else "assistant", parts=(Text(text=text),)))
    ask = case.get("ask", "")
    if ask:
        parts.append(Text(text=ask))
        facts.append(_text(len(facts), "prompt", ask))
    for given in case.get("part", []):
        part, found = _part(len(facts), given)
        parts.append(part)
        facts.append(found)
    shown = parts[1:] if case.get("tool_shows") else []
    messages = [*earlier, Message(role="user", parts=tuple(parts[: len(parts) - len(shown)]))]
    if "tool_result" in case:
        said, result = "{}", case["tool_result"]
        facts += [_text(len(facts), "call of tool0", said), _text(len(facts) + 1, "tool result", result)]
        messages.append(Message(role="assistant", parts=(ToolCall(id="c1", name="tool0", arguments=said),)))
        messages.append(Message(role="tool", parts=(ToolResult(id="c1", text=result),)))
    if shown:
        messages.append(Message(role="user", parts=tuple(shown)))
    request = Request(
        messages=tuple(messages),
        tools=tuple(_tool(number) for number in range(case.get("tools", 0))),
        tool_choice=case.get("tool_choice", "auto"),
        parallel_tools=case.get("parallel_tools", True),
        output=OUTPUTS[case.get("output", "text")],
        sampling=msgspec.convert(case.get("sampling", {}), Sampling),
        settings=msgspec.convert(case.get("settings", {}), Settings),
        policy=msgspec.convert(case.get("policy", {}), Policy),
        previous_endpoint=case.get("previous", ""),
    )
    machine = case.get("machine", {})
    return Inputs(
        request=request,
        facts=Facts(
            parts=tuple(facts),
            tools=msgspec.convert(case["tool_facts"], ToolFacts) if "tool_facts" in case else None,
            scripts=msgspec.convert(case["scripts"], ScriptFacts) if "scripts" in case else None,
        ),
        catalog=catalogs.catalog(case.get("catalog", "embedded"), tuple(case.get("consent", ()))),
        machine=Machine(
            cores=machine.get("cores", 2),
            memory=machine.get("memory", 16) * catalogs.GIB,
            free=int(machine.get("free", 12) * catalogs.GIB),
            loaded=tuple(machine.get("loaded", ())),
        ),
        statistics=Statistics(
            epoch=case.get("epoch", 0),
            rows={
                key: between(low, mid, high, "median of 9 runs")
                for key, (low, mid, high) in case.get("statistics", {}).items()
            },
        ),
        as_of=case.get("as_of", AS_OF),
    )


def _tool(number: int) -> Tool:
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Name of a city"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["city"],
    }
    return Tool(name=f"tool{number}", description="Tells the weather of a city", schema=schema)


def _text(index: int, name: str, text: str) -> PartFacts:
    words = len(text.split())
    return PartFacts(
        index=index,
        name=name,
        kind="text",
        chars=len(text),
        size=len(text.encode()),
        tokens={"smollm2": words + words // 5},
    )


def _part(index: int, given: Mapping[str, Any]) -> tuple[Part, PartFacts]:
    name, kind = given["name"], given["kind"]
    if kind == "text":
        text = "word " * given["words"]
        return Text(text=text, name=name), PartFacts(
            index=index, name=name, kind="text", chars=len(text), size=len(text)
        )
    source = BytesSource(data=name.encode(), name=name)
    density = given.get("density")
    found = PartFacts(
        index=index, name=name, kind=kind, digest=name, size=given.get("size", 0),
        width=given.get("width", 0), height=given.get("height", 0),
        text_density=_density(density), seconds=exact(float(given.get("seconds", 0))),
        pages=tuple(_page(number, page) for number, page in enumerate(given.get("pages", []), 1)),
        language=given.get("language", ""), frames=given.get("frames", 1), fps=given.get("fps", 0.0),
        channels=given.get("channels", 0), separate_channels=given.get("separate_channels", False),
        cuts=tuple(given.get("cuts", ())), script=given.get("script", ""),
        read_before=_sure(given), read_by=given.get("read_by", ""),
        outcomes=tuple(msgspec.convert(each, ConversionOutcome) for each in given.get("outcomes", ())),
        subtitles=msgspec.convert(given.get("subtitles", ()), tuple[SubtitleFacts, ...]),
    )  # fmt: skip
    if "letters" in given:
        found = msgspec.structs.replace(found, letters=exact(float(given["letters"])))
    return (Image(source=source, detail=given["detail"]) if "detail" in given else File(source=source)), found


def _density(density: float | None) -> Quantity:
    if density is None:
        return unknown("not sampled")
    return between(density * 0.8, density, density * 1.2, "sampled")


def _sure(given: Mapping[str, Any]) -> tuple[int, int]:
    sure, lines = given.get("read_before", (0, 0))
    return sure, lines


def _box(box: Sequence[float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = map(float, box)
    return left, top, right, bottom


def _page(number: int, page: Mapping[str, Any]) -> PageFacts:
    found = PageFacts(
        number=number, width=595, height=842, chars=page.get("chars", 0), figure_share=page.get("figures", 0.0),
        words=tuple(sorted(set(page.get("words", "").split()))), doubt=page.get("doubt", ""),
        figures=tuple(map(_box, page.get("pictures", ()))), script=page.get("script", ""), read_before=_sure(page),
        figure_letters=exact(float(page["picture_letters"])) if "picture_letters" in page else unknown("not sampled"),
    )  # fmt: skip
    return msgspec.structs.replace(found, letters=exact(float(page["letters"]))) if "letters" in page else found
