"""``bench`` with the real llama.cpp server: what it measures is what the next plan says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.e2e.command import fresh as intermodal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

NAME = "smollm2-135m-instruct"
ENDPOINT = f"up.{NAME}:huggingfacetb/smollm2-135m-instruct"


@pytest.fixture
def server() -> Iterator[str]:
    ran = intermodal("up", NAME, "--context", "1024", "--slots", "2", "-q", timeout=200)
    assert ran.answered, ran.err
    yield ENDPOINT
    intermodal("down", "-q")


def test_two_real_endpoints_are_compared_and_the_next_plan_knows_it(server: str) -> None:
    before = intermodal("explain", "Say hello.", "--model", server, "--json").document
    ran = intermodal(
        "bench", server, f"embedded:huggingfacetb/{NAME}", "--concurrency", "1,2", "--requests", "4", "--tokens", "12",
        "--json", timeout=250,
    )  # fmt: skip
    assert ran.answered, ran.out + ran.err
    levels = ran.document["levels"]
    assert [level["concurrency"] for level in levels] == [1, 2, 1, 2]
    for level in levels:
        assert level["errors"] == {} and level["first"]["count"] == 4 and level["decode"]["median"] > 0
        assert 100e6 < level["memory"] < 1e9
    after = intermodal("explain", "Say hello.", "--model", server, "--json").document
    assert seconds(before) != seconds(after)


def test_an_endpoint_that_is_given_nothing_of_a_picture_is_not_measured(server: str, tmp_path: Path) -> None:
    Image.new("RGB", (128, 128), "red").save(tmp_path / "red.png")
    ran = intermodal("bench", server, "--media", str(tmp_path / "red.png"), "--requests", "1", "--json", timeout=200)
    assert ran.code == 5 and ran.document["levels"] == []
    assert "No text was found in red.png" in ran.document["left_out"][server]


def seconds(document: dict[str, Any]) -> Any:
    return document["plan"]["chosen"]["total"]["seconds"]
