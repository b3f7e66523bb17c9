"""``bench`` against fake hosts: what it may spend, what it counts, what it teaches and what it does not."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli
from tests.unit.cli.test_ask import connect

from intermodal.catalog.host_rows import ServedRow
from intermodal.config.config_file import data_dir
from intermodal.store.database import Store
from intermodal.testing import FakeHost, Fault

TALKER = "box:acme/talker-70b"


@pytest.fixture
def fake() -> Iterator[FakeHost]:
    with FakeHost(answer="Four words of answer.") as made:
        connect(made)
        yield made


def store() -> Store:
    return Store(data_dir(os.environ) / "store.sqlite3")


@pytest.mark.slow
def test_labels_of_the_chart_are_whole(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    long = "acme/a-model-with-a-rather-long-name-that-says-its-size-and-its-quantization-235b-a22b-q4-k-m"
    connect(fake, ServedRow(id=long, served_as="long", context=8192, input_mtok=1.0, output_mtok=2.0))
    chart = tmp_path / "chart.svg"
    done = cli("bench", TALKER, f"box:{long}", "--requests", "1", "--max-cost", "1", "--svg", str(chart))
    assert done.code == 0, done.err
    drawn = chart.read_text()
    assert drawn.count(f">box:{long} x1</text>") == 3
    wide = float(re.search(r'viewBox="0 0 ([\d.]+)', drawn)[1])  # type: ignore[index]
    assert all(float(end) <= wide for end in re.findall(r'<text x="([\d.]+)"', drawn))


def test_a_level_has_every_figure_and_no_two_requests_begin_alike(cli: Cli, fake: FakeHost) -> None:
    done = cli("bench", TALKER, "--concurrency", "1,3", "--requests", "4", "--json", "--max-cost", "1")
    assert done.code == 0, done.err
    first, second = done.document["levels"]
    assert (first["concurrency"], second["concurrency"]) == (1, 3)
    assert first["requests"] == second["requests"] == 4
    assert first["first"]["count"] == 4 and first["first"]["low"] <= first["first"]["median"] <= first["first"]["high"]
    assert first["throughput"] > 0 and first["errors"] == {} and first["cost"] > 0
    prompts = [json.loads(attempt.body)["messages"][-1]["content"] for attempt in fake.attempts]
    begins = [str(prompt)[:30] for prompt in prompts]
    assert len(begins) == 9 and len(set(begins)) == 9  # one to warm up, four a level
    assert done.document["endpoints"][0]["input_mtok"] == 1.0


def test_what_would_cost_more_than_is_allowed_is_said_before_anything_is_sent(cli: Cli, fake: FakeHost) -> None:
    done = cli("bench", TALKER, "--max-cost", "0.000001", "--json")
    assert done.code == 8 and done.document["code"] == "budget_exceeded"
    assert re.search(r"49 requests would cost up to \$0\.\d+", done.document["what"])
    assert fake.attempts == []


def test_a_hosted_endpoint_without_consent_is_not_asked(cli: Cli, fake: FakeHost) -> None:
    done = cli("bench", "anthropic:anthropic/claude-haiku-5.5", "--json", "--max-cost", "100")
    assert done.code == 4, done.out
    assert fake.attempts == []


def test_failures_are_counted_by_kind_and_an_endpoint_that_only_fails_is_left(cli: Cli, fake: FakeHost) -> None:
    fake.fault = Fault("key")
    done = cli("bench", TALKER, "--concurrency", "1", "--json", "--max-cost", "1")
    assert done.code == 5
    assert "warm-up failed" in done.document["left_out"][TALKER] and done.document["levels"] == []


@pytest.mark.slow
def test_only_what_was_alone_teaches_speed_and_nothing_teaches_how_long_answers_are(cli: Cli, fake: FakeHost) -> None:
    assert cli("bench", TALKER, "--concurrency", "4", "--requests", "12", "--max-cost", "1", "-q").code == 0
    crowded = store().statistics().rows
    assert not [name for name in crowded if name.endswith(("decode", "overhead", "prompt"))]
    assert cli("bench", TALKER, "--concurrency", "1", "--requests", "4", "--max-cost", "1", "-q").code == 0
    alone = store().statistics().rows
    assert f"{TALKER}|overhead" in alone
    assert not [name for name in alone if "output_tokens" in name]
    assert {row.outcome.bench for row in store().attempts(50) if row.outcome} == {"alone", "crowded"}
    assert store().summary().attempts == 18 and store().summary().cost > 0  # money counts whatever it was made for


def test_the_chart_is_drawn_and_names_every_level(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    chart = tmp_path / "chart.svg"
    done = cli("bench", TALKER, "--concurrency", "1,2", "--requests", "2", "--max-cost", "1", "--svg", str(chart))
    assert done.code == 0, done.err
    assert "talker-70b" in done.out and "first word" in done.out and "$1, $2" in done.out
    import xml.etree.ElementTree as tree

    drawn = tree.fromstring(chart.read_text())
    assert sum("at once" in (title.text or "") for title in drawn.iter("{http://www.w3.org/2000/svg}title")) == 6


@pytest.mark.parametrize("wrong", [["--concurrency", "0"], ["--concurrency", "1,x"], ["--requests", "0"], []])
def test_wrong_usage_is_said(cli: Cli, wrong: list[str]) -> None:
    assert cli("bench", *([TALKER, *wrong] if wrong else [])).code == 2


def test_a_prompt_that_is_no_text_is_said(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_bytes(b"\xff\xfe\x00")
    assert cli("bench", TALKER, "--prompt", str(file)).code == 3
