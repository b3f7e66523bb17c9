"""Images that are drawn: what the host is told, what comes back and in which format, and what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.executor.routes import PRICED, Bench, asked, hear, plan, rename, route

from intermodal import errors
from intermodal.catalog.types import Endpoint, Model, Price
from intermodal.core.request import ImageOutput, Sampling
from intermodal.events import Note
from intermodal.executor.attempt.accounting import price_of_usage
from intermodal.plans.step import Call
from intermodal.protocols.calls import WireUsage
from intermodal.store.rows import Work
from intermodal.testing import FakeHost
from intermodal.testing.images import TOKENS, png

pytestmark = pytest.mark.anyio


def painter(host: FakeHost, *quirks: str, **price: Any) -> Endpoint:
    made = host.endpoint("fake/brush", input=("text", "image"))
    model = Model(id="fake/brush", tasks=("text-to-image",), input=("text", "image"), output=("image",))
    return rename(made, model=model, host=rename(made.host, quirks=quirks), price=Price(**(price or {"picture": 0.01})))


def draw(endpoint: Endpoint, *inputs: str, **params: str) -> Call:
    return Call(
        id="draw", op="draw", task="text-to-image", endpoint=endpoint.id, inputs=("part:0", *inputs),
        params=tuple(params.items()), title="Draw", estimate=PRICED,
    )  # fmt: skip


async def test_what_was_heard_is_drawn_after_what_was_asked(tmp_path: Path) -> None:
    with FakeHost() as host:
        brush = painter(host)
        bench = Bench(tmp_path, (brush,))
        bench.runtimes.transcript = "a small red crane"
        ear = hear()
        request, opened = asked("Draw what is described.", "call.wav", output=ImageOutput())
        result = await bench.run(plan(route(ear, draw(brush, f"step:{ear.id}", size="32x32"))), request, opened)
    (attempt,) = host.attempts
    assert attempt.json["prompt"] == "Draw what is described.\n\na small red crane"
    assert attempt.json["size"] == "32x32"
    assert [each.data for each in result.images] == [png(attempt.json["prompt"], "32x32")]
    assert result.images[0].media_type == "image/png"
    assert result.cost == 0.01
    assert bench.states() == ["settled", "settled"]


async def test_what_the_plan_decided_is_what_the_host_is_told(tmp_path: Path) -> None:
    with FakeHost() as host:
        brush = painter(host, "image_seed", "image_steps", "negative_prompt")
        output = ImageOutput(count=2, steps=20, negative="people", format="webp")
        request, opened = asked("A crane.", output=output, sampling=Sampling(seed=7))
        bench = Bench(tmp_path, (brush,))
        result = await bench.run(plan(route(draw(brush, size="64x32", quality="medium"))), request, opened)
    assert host.attempts[0].json == {
        "model": "fake/brush", "prompt": "A crane.", "n": 2, "size": "64x32", "quality": "medium", "seed": 7,
        "steps": 20, "negative_prompt": "people", "output_format": "webp",
    }  # fmt: skip
    assert len(result.images) == 2
    assert result.cost == 0.02
    assert "image/webp was asked for" in " ".join(result.notes), "the fake draws PNG whatever it is asked"


async def test_a_host_that_is_told_no_format_has_its_picture_made_into_a_png(tmp_path: Path) -> None:
    with FakeHost() as host:
        brush = painter(host, "no_image_format")
        request, opened = asked("A crane.", output=ImageOutput(format="png"))
        bench = Bench(tmp_path, (brush,))
        result = await bench.run(plan(route(draw(brush))), request, opened)
    assert "output_format" not in host.attempts[0].json
    assert bench.media.asked == [], "it is a PNG already"
    assert result.images[0].media_type == "image/png"


async def test_fewer_pictures_than_were_asked_for_are_said(tmp_path: Path) -> None:
    with FakeHost() as host:
        host.pictures = 1
        brush = painter(host)
        request, opened = asked("A crane.", output=ImageOutput(count=2))
        step = draw(brush)
        bench = Bench(tmp_path, (brush,))
        result = await bench.run(plan(route(step)), request, opened)
    assert len(result.images) == 1
    notes = [event.text for event in bench.events if isinstance(event, Note)]
    assert notes == [f"{brush.id} made 1 images, and 2 were asked for"]


async def test_without_a_word_nobody_is_asked_to_draw(tmp_path: Path) -> None:
    with FakeHost() as host:
        brush = painter(host)
        request, opened = asked(" ", output=ImageOutput())
        with pytest.raises(errors.InputEmpty, match="nothing says what to draw"):
            await Bench(tmp_path, (brush,)).run(plan(route(draw(brush))), request, opened)
        assert not host.attempts


async def test_a_picture_that_did_not_come_whole_is_drawn_by_a_fallback(tmp_path: Path) -> None:
    with FakeHost() as host:
        first, second = rename(painter(host), id="fake:fake/half", served_as="m-fault-end-0"), painter(host)
        request, opened = asked("A crane.", output=ImageOutput())
        bench = Bench(tmp_path, (first, second))
        result = await bench.run(plan(route(draw(first)), route(draw(second))), request, opened)
    assert result.images[0].data == png("A crane.")
    assert result.endpoint == second.id


def test_words_and_pictures_that_a_model_made_each_have_their_price() -> None:
    with FakeHost() as host:
        by_token = painter(host, input_mtok=5.0, output_mtok=10.0, output_image_mtok=40.0)
        plain = painter(host, input_mtok=5.0, output_mtok=10.0)
        none = painter(host, input_mtok=5.0)
    usage = WireUsage(input_tokens=100, output_tokens=TOKENS + 20, image_tokens=TOKENS)
    assert price_of_usage(by_token, usage, Work(), image_count=1) == pytest.approx(
        (100 * 5 + 20 * 10 + TOKENS * 40) / 1e6
    )
    assert price_of_usage(plain, usage, Work(), image_count=1) == pytest.approx((100 * 5 + (TOKENS + 20) * 10) / 1e6)
    assert price_of_usage(none, usage, Work(), image_count=1) is None
