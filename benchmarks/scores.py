"""Zero-shot scores: how often the best label is the right one, and whether its score can be believed.

    python benchmarks/scores.py

Text: the rows of labelled.py, by the vectors of the embedded e5 (whose temperature is fitted on the odd rows here and
reported on the even ones) and by the letters of SmolLM2-135M. Pictures: of the small world that the tests' projector
was trained on, by the letters of SmolLM2 with that eye, and by its description held against the labels by e5.
Two lots say what a route does; they do not grade models one would use for this.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import report
from home import fresh_home
from labelled import SETS

from intermodal.catalog.types import Task
from intermodal.client import request_builder
from intermodal.client.async_client import AsyncClient
from intermodal.core.request import ScoresOutput
from intermodal.events import fold
from intermodal.executor.outputs.scores import HYPOTHESIS, TEMPERATURE
from intermodal.executor.outputs.vector_math import cosine, softmax
from intermodal.plans.plan import Candidate, Plan
from intermodal.plans.step import Call, Step, StepEstimate

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
E5 = "embedded:intfloat/multilingual-e5-small"
TEMPERATURES = [round(0.002 + 0.0005 * step, 4) for step in range(25)]
Scored = tuple[int, tuple[float, ...]]  # the index of the right label, and the scores of all


def score(endpoint: str, *inputs: str, image: bool = False) -> Call:
    task: Task = "zero-shot-image-classification" if image else "zero-shot-classification"
    return Call(id="score", op="score", task=task, endpoint=endpoint, inputs=inputs, title="Score")


async def run(
    client: AsyncClient, labels: tuple[str, ...], prompt: str, *files: bytes, steps: Sequence[Step]
) -> dict[str, float]:
    """One request by exactly these steps."""
    request = request_builder.make_request(prompt, *files, output=ScoresOutput(labels=labels))
    prepared = await client.prepare(request)
    last = steps[-1]
    assert isinstance(last, Call)
    chosen = Candidate(id="c", steps=tuple(steps), endpoint=last.endpoint, total=StepEstimate(), score=0.0, tier="tiny")
    plan = Plan(id="p", headline="", policy_line="", objective="default", chosen=chosen)
    return fold([event async for event in client.execute(prepared, plan)]).scores


async def by_text(client: AsyncClient, endpoint: str) -> dict[str, list[Scored]]:
    found: dict[str, list[Scored]] = {}
    for name, (labels, rows) in SETS.items():
        found[name] = []
        for right, text in rows:
            scores = await run(client, labels, text, steps=[score(endpoint, "part:0")])
            found[name].append((right, tuple(scores[label] for label in labels)))
    return found


async def cosines(client: AsyncClient) -> dict[str, list[Scored]]:
    """As the executor has them before the temperature."""
    runtimes = client._build_dependencies((await client.prepare(request_builder.make_request("x"))).inputs).runtimes
    endpoint = client.catalog.by_id[E5]
    found: dict[str, list[Scored]] = {}
    for name, (labels, rows) in SETS.items():
        of_labels = [(await runtimes.embed(endpoint, HYPOTHESIS.format(label))).vector for label in labels]
        found[name] = []
        for right, text in rows:
            vector = (await runtimes.embed(endpoint, text)).vector
            found[name].append((right, tuple(cosine(vector, label) for label in of_labels)))
    return found


def accuracy(rows: Sequence[Scored]) -> float:
    return sum(max(range(len(scores)), key=scores.__getitem__) == right for right, scores in rows) / len(rows)


def loss(rows: Sequence[Scored]) -> float:
    """Mean negative logarithm of the score of the right label."""
    return -sum(math.log(max(scores[right], 1e-12)) for right, scores in rows) / len(rows)


def believed(rows: Sequence[Scored]) -> str:
    """What the best label's score says on average, beside how often it is right."""
    return f"{sum(max(scores) for _, scores in rows) / len(rows):.2f}"


def warmed(rows: Sequence[Scored], temperature: float) -> list[Scored]:
    return [(right, softmax([value / temperature for value in values])) for right, values in rows]


def halves(found: dict[str, list[Scored]]) -> tuple[list[Scored], list[Scored]]:
    odd = [row for rows in found.values() for row in rows[::2]]
    even = [row for rows in found.values() for row in rows[1::2]]
    return odd, even


async def pictures(client: AsyncClient, eye: str) -> list[tuple[str, str, list[Scored]]]:
    """(what is asked for, by which route, results) over pictures of the projector's world."""
    from tests.media.tiny_eye import world

    shapes, colours = world.SHAPES, ("red", "green", "blue", "yellow")
    found: list[tuple[str, str, list[Scored]]] = []
    drawn = list(itertools.product(shapes, colours, ("white", "gray")))
    asked = {"shape": tuple(f"a {one}" for one in shapes), "colour": tuple(f"a {one} shape" for one in colours)}
    for what, labels in asked.items():
        letters: list[Scored] = []
        told: list[Scored] = []
        for shape, colour, ground in drawn:
            png = world.shape(colour, shape, ground).png
            right = shapes.index(shape) if what == "shape" else colours.index(colour)
            scores = await run(client, labels, "", png, steps=[score(eye, "part:0", image=True)])
            letters.append((right, tuple(scores[label] for label in labels)))
            see = Call(id="see", op="describe", task="image-text-to-text", endpoint=eye, inputs=("part:0",), part=0,
                       title="Describe", params=(("question", "00000000"), ("max_tokens", "40")))  # fmt: skip
            scores = await run(client, labels, "", png, steps=[see, score(E5, "step:see")])
            told.append((right, tuple(scores[label] for label in labels)))
        found += [(what, "letters of SmolLM2 with tiny-eye", letters), (what, "described by it, then e5", told)]
    return found


async def measured() -> str:
    from tests.e2e.servers import EYE, llama_server

    with fresh_home() as env, llama_server(eye=EYE) as server:
        config = Path(env["INTERMODAL_HOME"]) / "eye.toml"
        config.write_text(server.row("eye"))
        async with AsyncClient(env={**env, "INTERMODAL_CONFIG": str(config)}) as client:
            odd, even = halves(await cosines(client))
            best = min(TEMPERATURES, key=lambda temperature: loss(warmed(odd, temperature)))
            rows = [
                ("e5, fitted", "odd rows", str(len(odd)), *graded(warmed(odd, best))),
                (f"e5 at {TEMPERATURE}", "even rows", str(len(even)), *graded(warmed(even, TEMPERATURE))),
            ]
            eye = f"eye:{server.model}"
            for endpoint, name in ((E5, "e5"), (eye, "letters of SmolLM2")):
                for group, scored in (await by_text(client, endpoint)).items():
                    rows.append((name, f"{group}, {len(SETS[group][0])} labels", str(len(scored)), *graded(scored)))
                    print(rows[-1], file=sys.stderr, flush=True)
            for what, name, scored in await pictures(client, eye):
                rows.append((name, f"{what}, 4 labels", str(len(scored)), *graded(scored)))
    head = ("by", "what", "rows", "right", "loss", "score of the best label")
    fitted = f"Temperature with the least loss on the odd rows: {best}; the one in use: {TEMPERATURE}."
    return f"{fitted}\n\n{report.table(head, rows)}"


def graded(rows: Sequence[Scored]) -> tuple[str, str, str]:
    return f"{accuracy(rows):.0%}", f"{loss(rows):.2f}", believed(rows)


def main() -> None:
    report.write("scores", "Scores over labels", asyncio.run(measured()))


if __name__ == "__main__":
    main()
