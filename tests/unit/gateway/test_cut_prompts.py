"""A server near by that counts far fewer tokens than it was sent: whether it cut the prompt, and what follows of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.gates.wall import Play, Wall
from tests.unit.gateway.house import STRONG, House, config
from tests.unit.gateway.test_odd_replies import WAYS, framed

RULERS = "Summarize this log.\n" + ("=" * 100 + "\nstep done\n") * 60
FIGURES = "Add this up: " + "314159265358979 " * 300
PROSE = "The total of the invoice is 42 euros, and it was paid in March. " * 120


@contextmanager
def counting(tokens: int, way: str, path: Path, patch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """How to ask a model on this machine that says it read so many tokens."""

    def play(body: Mapping[str, Any]) -> Play:
        choice = {"index": 0, "message": {"role": "assistant", "content": "It says so."}, "finish_reason": "stop"}
        usage = {"prompt_tokens": tokens, "completion_tokens": 5, "total_tokens": tokens + 5}
        said = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        return Play([framed(json.dumps(said))])

    with Wall(script=lambda *_: Play(), reader=play) as wall:
        file = config(path / "intermodal.toml", ("near", wall.base_url, STRONG))
        file.write_text(file.read_text().replace('zone = "internet"', 'zone = "machine"'))
        patch.setenv("INTERMODAL_CONFIG", str(file))
        with House() as house:

            def ask(text: str) -> Any:
                message = {"role": "user", "content": text} | ({} if way == "lane" else {"name": "bob"})
                tree = {"model": "cloud/strong", "max_tokens": 50, "messages": [message]}
                return house.post("/v1/chat/completions", tree)

            yield ask
            assert bool(house.taken) == (way == "lane")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("text", "tokens"), [(RULERS, 310), (FIGURES, 1510)], ids=["rulers", "figures"])
def test_what_a_vocabulary_may_take_in_few_tokens_is_not_taken_for_cut(
    way: str, text: str, tokens: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with counting(tokens, way, tmp_path, monkeypatch) as ask:
        found = ask(text)
        assert found.status_code == 200, found.text
        assert found.json()["choices"][0]["message"]["content"] == "It says so."


@pytest.mark.parametrize("way", WAYS)
def test_what_was_cut_is_an_error_and_changes_the_context_for_nobody_where_its_tokens_were_estimated(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with counting(512, way, tmp_path, monkeypatch) as ask:
        found = ask(PROSE)
        assert found.status_code == 400
        assert "cut the rest without a word" in found.json()["error"]["message"]
        for _ in range(2):  # by its shape, and by what was learned since
            assert ask("Tell me something about the sea. " * 40).status_code == 200
