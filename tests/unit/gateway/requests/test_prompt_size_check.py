"""A chat that is much longer than anybody takes is refused by a piece of it, and only where all of it would be."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.gateway_server import STRONG, GatewayServer, config

from intermodal.core.content import Scripts, scale_scripts
from intermodal.cost_model.tokens import text_tokens
from intermodal.gateway.requests import prompt_size_check
from intermodal.media import request_media
from intermodal.media.text.script_counts import count_scripts
from intermodal.testing import FakeHost

WORDS = "some plain words here, "


SEED = 20_261_126


@pytest.fixture
def house(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    yield from serving(host, tmp_path, monkeypatch, 128_000)


@pytest.fixture
def narrow(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    yield from serving(host, tmp_path, monkeypatch, 8_000)


def serving(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: int) -> Iterator[GatewayServer]:
    rows = STRONG.replace("32000", str(context))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path / "intermodal.toml", ("cloud", host.base_url, rows))))
    with GatewayServer() as served:
        yield served


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Characters of each text that was counted."""
    found: list[int] = []
    count = request_media.count_scripts

    def counting(text: str) -> Scripts:
        found.append(len(text))
        return count(text)

    monkeypatch.setattr(request_media, "count_scripts", counting)
    return found


def needs(message: str) -> int:
    found = re.search(r"needs up to ([\d,]+) tokens", message)
    assert found is not None, message
    return int(found[1].replace(",", ""))


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat", "/v1/explain"])
def test_megabytes_of_words_are_refused_by_the_first_of_them(
    house: GatewayServer, host: FakeHost, counted: list[int], path: str
) -> None:
    text = WORDS * (8_000_000 // len(WORDS))
    tree = {"model": "cloud/strong", "max_tokens": 50, "messages": [{"role": "user", "content": text}]}
    found = house.post(path, tree)
    assert found.status_code == 400, found.text
    assert sum(counted) < len(text) / 10
    sample = 1_000
    made_of = scale_scripts(count_scripts(WORDS * sample), len(text) / len(WORDS) / sample)
    real = text_tokens(len(text), len(text), made_of).high
    assert needs(found.text) == pytest.approx(real, rel=0.05), "it says how much all of it is"
    assert not host.attempts


def test_what_fits_is_counted_whole_and_answered(
    house: GatewayServer, host: FakeHost, counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompt_size_check, "FIRST_SAMPLE", 10_000)
    text = WORDS * (200_000 // len(WORDS))
    assert house.chat(text).status_code == 200
    assert counted[-1] == len(text) and len(host.attempts) == 1


def test_by_a_piece_nothing_is_refused_that_would_not_be_by_all_of_it(
    narrow: GatewayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts of all sorts around what the model holds: words at one end and blanks at the other, lines, long words.

    They are planned and not run: from an answer it would be learned how long they are, and the second of two plans
    made by other figures.
    """
    chance = random.Random(SEED)
    kinds = (WORDS, " " * 23, "\n", "x" * 400 + " ", "1 2 3 ", "élan vital ", "漢字、", "a")

    def text() -> str:
        return "".join(chance.choice(kinds) * chance.randint(1, 90) for _ in range(chance.randint(1, 6)))

    seen = []
    for _ in range(30):
        messages: list[dict[str, Any]] = [
            {"role": chance.choice(["user", "assistant", "system"]), "content": text()} for _ in range(3)
        ]
        tree = {"model": "cloud/strong", "messages": [*messages, {"role": "user", "content": "And?"}]}
        both = []
        for first in (1 << 40, 2_000):
            monkeypatch.setattr(prompt_size_check, "FIRST_SAMPLE", first)
            found = narrow.post("/v1/explain", tree)
            both.append((found.status_code, found.json().get("error", {}).get("code")))
        assert both[0] == both[1]
        seen.append(both[0][0])
    assert 5 < seen.count(200) < 25, "texts on either side of what it holds"
