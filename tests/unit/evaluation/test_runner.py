"""``intermodal eval`` against a fake host with prices: what is run, kept, paid, measured and shown."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli, cli

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.client.async_client import AsyncClient
from intermodal.config import config_file
from intermodal.config.config_file import data_dir
from intermodal.core.request import Zone
from intermodal.store.measured_strengths import read_results
from intermodal.testing import FakeHost

__all__ = ["cli"]  # the fixture, for pytest


def connect(fake: FakeHost, name: str, *, price: float = 1.0, zone: Zone = "network") -> str:
    row = ServedRow(id=f"acme/{name}", served_as=name, context=8192, input_mtok=price, output_mtok=2 * price)
    config_file.add_host(
        os.environ, HostRow(id=name, base_url=fake.base_url, zone=zone, forced_json=True, models=(row,))
    )
    return f"{name}:acme/{name}"


@pytest.fixture
def fake() -> Iterator[FakeHost]:
    """Two endpoints: ``wise`` knows, ``dull`` never does."""
    with FakeHost(answer=lambda attempt: "Paris" if attempt.model == "wise" else "Lyon") as made:
        connect(made, "wise")
        connect(made, "dull")
        yield made


def labelled(folder: Path, count: int, **more: object) -> str:
    path = folder / "capitals.jsonl"
    lines = [
        {"id": f"q{number}", "prompt": f"Capital of country {number}?", "expected": "Paris", "compare": "exact", **more}
        for number in range(count)
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    return str(path)


BOTH = ("--routes", "wise,dull", "--max-tokens", "8")


@pytest.mark.slow
def test_routes_are_run_side_by_side_and_compared(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    done = cli("eval", labelled(tmp_path, 6), *BOTH, "--json")
    assert done.code == 0, done.out
    body = done.document
    assert body["kind"] == "intermodal.evaluation" and body["version"] == 1
    best, worst = body["routes"]
    assert (best["route"]["endpoint"], best["right"], best["items"]) == ("wise:acme/wise", 6, 6)
    assert (worst["route"]["endpoint"], worst["right"]) == ("dull:acme/dull", 0)
    assert best["low"] == pytest.approx(0.6097, abs=1e-3) and best["high"] == 1
    assert best["cost"] > 0 and worst["cost"] > 0 and best["seconds"] > 0 and best["input_tokens"] > 0
    [pair] = body["comparisons"]
    assert (pair["only_first"], pair["only_second"], pair["chance"]) == (6, 0, pytest.approx(2 / 64))
    assert len(body["results"]) == len(fake.attempts) == 12
    assert body["spent"] == pytest.approx(fake.bill, rel=1e-6)


@pytest.mark.slow
def test_a_finished_run_is_not_made_again_until_fresh(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    data = labelled(tmp_path, 3)
    assert cli("eval", data, *BOTH).code == 0
    again = cli("eval", data, *BOTH)
    assert again.code == 0 and "6 of them kept from before" in again.err
    assert len(fake.attempts) == 6
    labelled(tmp_path, 3, tolerance=1, which="last")  # another way to grade asks nobody again
    assert cli("eval", data, *BOTH).code == 0 and len(fake.attempts) == 6
    labelled(tmp_path, 4)
    assert cli("eval", data, *BOTH).code == 0 and len(fake.attempts) == 8
    assert cli("eval", data, *BOTH, "--fresh").code == 0 and len(fake.attempts) == 16


def test_repeats_are_runs_of_their_own_and_limits_hold(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    done = cli("eval", labelled(tmp_path, 9), *BOTH, "--limit", "2", "--repeat", "3", "--most-routes", "1", "--json")
    body = done.document
    assert len(body["routes"]) == 1 and body["hidden"] >= 1
    assert (body["routes"][0]["items"], body["routes"][0]["runs"], len(fake.attempts)) == (2, 6, 6)


@pytest.mark.slow
def test_money_is_set_aside_before_it_is_spent(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    data = labelled(tmp_path, 1)
    once = cli("eval", data, *BOTH, "--json").document["spent"]  # two runs
    limit = f"{5 * once:.8f}"
    labelled(tmp_path, 12)
    done = cli("eval", data, *BOTH, "--max-cost", limit, "--json")
    assert done.code == 8
    body = done.document
    assert "raise --max-cost" in body["stopped"] and body["missing"] > 0 and body["runs"] > 0
    assert fake.bill <= float(limit) and body["spent"] <= float(limit)
    assert not any(row["remembered"] for row in body["measured"])
    before = len(fake.attempts)
    done = cli("eval", data, *BOTH, "--max-cost", "1")
    assert done.code == 0 and len(fake.attempts) == 24 > before  # it went on


def test_the_limit_of_the_config_holds_for_every_run(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    """An endpoint whose price nobody knows is run under the usual limit, and not under one that somebody wrote."""
    row = ServedRow(id="acme/secret", served_as="secret", context=8192)
    host = HostRow(id="secret", base_url=fake.base_url, zone="internet", forced_json=True, models=(row,))
    path = config_file.add_host(os.environ, host)
    data = labelled(tmp_path, 1)
    assert cli("eval", data, "--routes", "secret", "--no-remember", "--json").code == 0
    path.write_text(f"max_cost = 0.05\n{path.read_text()}")
    done = cli("eval", data, "--routes", "secret", "--fresh", "--json")
    assert done.code == 4, done.out


def test_an_endpoint_that_keeps_failing_is_left_out_and_not_called_weak(
    cli: Cli, fake: FakeHost, tmp_path: Path
) -> None:
    connect(fake, "locked-fault-key")
    names = ("--routes", "wise,locked-fault-key", "--max-tokens", "8")
    done = cli("eval", labelled(tmp_path, 8), *names, "--json").document
    worst = done["routes"][1]
    assert worst["runs"] == 3 and worst["errors"] == {"credentials_refused": 3}
    assert "failed 3 times in a row" in worst["left_out"] and done["missing"] == 5
    assert [row["endpoint"] for row in done["measured"]] == ["wise:acme/wise"]


@pytest.mark.slow
def test_what_failed_by_bad_luck_is_run_again(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    connect(fake, "shaky-fault-gone-x30")
    data, names = labelled(tmp_path, 2), ("--routes", "shaky-fault-gone-x30", "--max-tokens", "8")
    first = cli("eval", data, *names, "--json").document
    assert sum(first["routes"][0]["errors"].values()) == 2
    while len(fake.attempts) < 30:
        cli("eval", data, *names, "--json")
    last = cli("eval", data, *names, "--json").document
    assert last["routes"][0]["errors"] == {} and last["routes"][0]["right"] == 0 and last["runs"] == 2


@pytest.mark.slow
def test_what_was_measured_becomes_the_strength_plans_go_by(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    data = labelled(tmp_path, 20)
    before = AsyncClient().catalog.by_id["wise:acme/wise"].tier("text-generation")
    assert before is not None and before.evidence.level != "measured"
    assert cli("eval", data, *BOTH, "--no-remember").code == 0
    assert read_results(data_dir(os.environ)) == ()
    done = cli("eval", data, *BOTH)
    assert "right on 20 of 20, 95 % interval 84% to 100%: a lower end of 80% or more is large" in done.out
    catalog = AsyncClient().catalog
    found = catalog.by_id["wise:acme/wise"].tier("text-generation")
    assert found is not None and found.tier == "large" and found.evidence.level == "measured"
    assert re.fullmatch(r"right on 20 of 20 of capitals\.jsonl, \d{4}-\d\d-\d\d", found.evidence.source)
    dull = catalog.by_id["dull:acme/dull"].tier("text-generation")
    assert dull is not None and dull.tier == "tiny"
    assert "large (measured)" in cli("models", "wise").out
    assert "large (measured: right on 20 of 20 of capitals.jsonl" in cli("explain", "Hello?", "-m", "wise").out
    assert cli("eval", data, "--forget").out == "forgot what 1 evaluation measured\n"
    assert AsyncClient().catalog.by_id["wise:acme/wise"].tier("text-generation") == before
    assert cli("eval", "--forget").out == "nothing was measured\n"


@pytest.mark.slow
def test_few_items_measure_nothing_and_say_so(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    done = cli("eval", labelled(tmp_path, 19), *BOTH)
    assert "19 items are too few to give a tier, it takes 20" in done.out
    assert "1 item is too few to give a tier" in cli("eval", labelled(tmp_path, 1), *BOTH).out
    assert read_results(data_dir(os.environ)) == ()


def test_a_measured_file_that_is_broken_is_said_with_what_to_do(cli: Cli, tmp_path: Path) -> None:
    folder = data_dir(os.environ) / "measured"
    folder.mkdir(parents=True)
    (folder / "x.json").write_text("{")
    done = cli("models")
    assert done.code == 9 and "does not hold measured strengths" in done.err and "eval --forget" in done.err
    assert cli("eval", "--forget").code == 0 and cli("models").code == 0


def test_a_cut_journal_goes_on_with_the_next_line(cli: Cli, fake: FakeHost, tmp_path: Path) -> None:
    data, journal = labelled(tmp_path, 3), tmp_path / "runs.jsonl"
    assert cli("eval", data, *BOTH, "--journal", str(journal)).code == 0
    journal.write_bytes(journal.read_bytes()[:-20])  # the process was killed while it wrote
    assert journal.stat().st_mode & 0o777 == 0o600
    assert cli("eval", data, *BOTH, "--journal", str(journal)).code == 0
    assert len(fake.attempts) == 7
    assert cli("eval", data, *BOTH, "--journal", str(journal)).code == 0 and len(fake.attempts) == 7


@pytest.mark.slow
def test_wrong_use_is_one_sentence(cli: Cli, tmp_path: Path) -> None:
    assert cli("eval").code == 2
    done = cli("eval", labelled(tmp_path, 1), "--routes", "nobody-9b")
    assert done.code == 2 and "there is no model named nobody-9b" in done.err
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = cli("eval", labelled(tmp_path, 2, files=["broken.png"]))
    assert done.code == 3 and "capitals.jsonl line 1, broken.png: " in done.err
    done = cli("eval", labelled(tmp_path, 1, pages=[2]))
    assert done.code == 2 and "capitals.jsonl line 1, --pages: nothing here has pages to choose from" in done.err


class Outside(HTMLParser):
    """Whatever a page would fetch, and elements left open."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "link", "img", "iframe", "object", "embed", "base", "form"):
            self.found.append(tag)
        self.found += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "srcset") or name[:2] == "on"]


def test_the_html_report_needs_nothing_else_and_can_be_read_without_seeing(
    cli: Cli, fake: FakeHost, tmp_path: Path
) -> None:
    fake.answer = "<script>alert(1)</script> & more"
    assert cli("eval", labelled(tmp_path, 3), *BOTH, "--html", str(tmp_path / "r.html")).code == 0
    text = (tmp_path / "r.html").read_text()
    parser = Outside()
    parser.feed(text)
    assert parser.found == [] and "url(" not in text and "@import" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in text
    assert "prefers-color-scheme:dark" in text and '<html lang="en">' in text
    pictures = re.findall(r"<svg.*?</svg>", text, re.S)
    assert len(pictures) == 2  # against time and, as these cost money, against cost
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        names = root.attrib["aria-labelledby"].split()
        labels = {each.attrib["id"]: each.text for each in root.iter() if "id" in each.attrib}
        assert root.attrib["role"] == "img" and all(labels[name] for name in names)
        assert "route 1 " in labels[names[1]] and "95" not in labels[names[0]]  # type: ignore[operator]
    for table in re.findall(r"<table>.*?</table>", text, re.S):
        assert "<caption>" in table and 'scope="col"' in table and 'scope="row"' in table
