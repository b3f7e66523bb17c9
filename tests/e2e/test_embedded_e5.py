"""Real embeddings: what is near in meaning is near in the space, across languages."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

import anyio
import psutil
import pytest
from tests.unit.local.runtime_fixtures import E5, runtimes

from intermodal.local.embedded.runtimes import EmbeddedRuntimes

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]
PASSAGES = (
    "The freight invoice of Acme Rail is due on 28 March 2026.",
    "Photosynthesis turns light into chemical energy in the leaves of plants.",
    "The pharmacy at the corner sells medicine until eight in the evening.",
    "Kennedy asked the Americans what they could do for their country.",
)


@pytest.fixture(scope="module")
async def space() -> AsyncIterator[EmbeddedRuntimes]:
    found = runtimes()
    yield found
    await found.close()


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Wo kann ich ein Medikament kaufen?", 2),
        ("Wann muss die Rechnung bezahlt werden?", 0),
        ("Wie gewinnen Pflanzen Energie?", 1),
    ],
)
async def test_a_german_question_is_nearest_to_the_english_answer(
    space: EmbeddedRuntimes, question: str, answer: int
) -> None:
    query = await space.embed(E5, question)
    assert len(query.vector) == 384
    assert math.isclose(math.hypot(*query.vector), 1, abs_tol=1e-3)
    assert 5 < query.tokens < 30
    passages = [(await space.embed(E5, text, query=False)).vector for text in PASSAGES]
    scores = [math.sumprod(query.vector, vector) if hasattr(math, "sumprod") else _dot(query.vector, vector)
              for vector in passages]  # fmt: skip
    assert scores.index(max(scores)) == answer


def _dot(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


async def test_the_same_text_has_the_same_vector(space: EmbeddedRuntimes) -> None:
    assert (await space.embed(E5, "Rotterdam")).vector == (await space.embed(E5, "Rotterdam")).vector


async def test_text_after_a_nul_or_past_512_tokens_still_counts(space: EmbeddedRuntimes) -> None:
    whole = await space.embed(E5, "cats\0dogs")
    assert whole.vector != (await space.embed(E5, "cats")).vector
    assert whole.tokens == (await space.embed(E5, "cats dogs")).tokens
    long = await space.embed(E5, "Rotterdam " * 550)
    assert long.tokens > 550
    assert long.vector != (await space.embed(E5, "Rotterdam " * 550 + "photosynthesis " * 50)).vector


async def test_a_child_that_works_for_somebody_is_not_ended_to_make_room(space: EmbeddedRuntimes) -> None:
    await space.embed(E5, "Rotterdam")
    (child,) = [each for each in psutil.Process().children() if "intermodal.local.embedded.e5" in each.cmdline()]
    vectors: list[tuple[float, ...]] = []

    async def embed() -> None:
        vectors.append((await space.embed(E5, "Rotterdam")).vector)

    child.suspend()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(embed)
            await anyio.wait_all_tasks_blocked()
            await space.unload(E5.id, idle=True)
            child.resume()
    finally:
        if child.is_running():
            child.resume()
    assert len(vectors) == 1 and space.loaded_endpoints() == (E5.id,)
    await space.unload(E5.id, idle=True)
    assert space.loaded_endpoints() == () and not child.is_running()
