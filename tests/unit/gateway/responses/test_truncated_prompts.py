"""A server near by that counts far fewer tokens than it was sent: whether it cut the prompt, and what follows of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.gates.faulty_host import FaultyHost, ScriptedReply
from tests.unit.gateway.direct.test_both_paths_host_replies import WAYS, framed
from tests.unit.gateway.gateway_server import STRONG, GatewayServer, config

RULERS = "Summarize this log.\n" + ("=" * 100 + "\nstep done\n") * 60
FIGURES = "Add this up: " + "314159265358979 " * 300
PROSE = "The total of the invoice is 42 euros, and it was paid in March. " * 120


@contextmanager
def counting(tokens: int, way: str, path: Path, patch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """How to ask a model on this machine that says it read so many tokens."""

    def play(body: Mapping[str, Any]) -> ScriptedReply:
        return ScriptedReply([framed(_said(tokens, "It says so."))])

    with FaultyHost(script=lambda *_: ScriptedReply(), reader=play) as wall:
        file = config(path / "intermodal.toml", ("near", wall.base_url, STRONG))
        file.write_text(file.read_text().replace('zone = "internet"', 'zone = "machine"'))
        patch.setenv("INTERMODAL_CONFIG", str(file))
        with GatewayServer() as house:

            def ask(text: str) -> Any:
                message = {"role": "user", "content": text} | ({} if way == "direct" else {"name": "bob"})
                tree = {"model": "cloud/strong", "max_tokens": 50, "messages": [message]}
                return house.post("/v1/chat/completions", tree)

            ask.hits = wall.hits  # type: ignore[attr-defined]
            yield ask
            assert bool(house.taken) == (way == "direct")


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
def test_what_was_cut_is_an_error_and_no_prompt_of_its_size_goes_there_again(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tokens were estimated, so nothing is kept of it; shorter ones go there as before."""
    with counting(512, way, tmp_path, monkeypatch) as ask:
        found = ask(PROSE)
        assert found.status_code == 400
        assert "cut the rest without a word" in found.json()["error"]["message"]
        for _ in range(2):  # by its shape, and by what was learned since
            again = ask(PROSE)
            assert again.status_code == 400 and "holds" in again.json()["error"]["message"]
            assert ask("Tell me something about the sea. " * 40).status_code == 200
        assert len(ask.hits) == 3, "the long one went there once"  # type: ignore[attr-defined]


TWO = STRONG + "\n" + STRONG.replace("strong", "second").replace("0.1", "0.2")
FAR = STRONG.replace("0.1", "0.9").replace("0.4", "0.9") + '; served_as = "far"'


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fallback", [False, True], ids=["nobody else", "a fallback"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_prompt_that_was_cut_goes_to_no_other_model_of_the_same_server(
    stream: bool, fallback: bool, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server cuts with every model that it has, and the first of them is not asked once more after the second."""
    hits: list[str] = []

    def play(body: Mapping[str, Any]) -> ScriptedReply:
        hits.append(body["model"])
        near = body["model"] != "far"
        said = _said(512 if near else 4000, "near" if near else "far")
        return ScriptedReply(
            [framed(streamed(said), kind=b"text/event-stream") if body.get("stream") else framed(said)]
        )

    with FaultyHost(script=lambda *_: ScriptedReply(), reader=play) as wall:
        others = [("far", wall.base_url, FAR)] if fallback else []
        file = config(tmp_path / "intermodal.toml", ("near", wall.base_url, TWO), *others)
        text = file.read_text().replace('zone = "internet"', 'zone = "machine"', 1)
        file.write_text('[policies.p]\nobjective = "cheapest"\nat_least = "large"\n' + text)
        monkeypatch.setenv("INTERMODAL_CONFIG", str(file))
        with GatewayServer() as house:
            message = {"role": "user", "content": PROSE} | ({} if way == "direct" else {"name": "bob"})
            tree = {"model": "policy:p", "max_tokens": 50, "messages": [message], "stream": stream}
            found = house.post("/v1/chat/completions", tree)
    if not fallback:
        assert hits == ["cloud/strong"] and "cut the rest without a word" in found.text
    elif stream:  # it counts at its end, when its words are shown
        assert hits == ["cloud/strong"] and "cut the rest without a word" in found.text and "[DONE]" not in found.text
    else:
        assert hits == ["cloud/strong", "far"] and found.json()["choices"][0]["message"]["content"] == "far"
        notes = found.json()["usage"]["intermodal"]["notes"]
        assert any("cut the rest without a word" in note for note in notes), notes


def _said(tokens: int, word: str) -> str:
    choice = {"index": 0, "message": {"role": "assistant", "content": word}, "finish_reason": "stop"}
    usage = {"prompt_tokens": tokens, "completion_tokens": 5, "total_tokens": tokens + 5}
    said = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return json.dumps(said)


def streamed(said: str) -> str:
    """A whole answer as a stream of one chunk."""
    tree = json.loads(said)
    (choice,) = tree["choices"]
    choice["delta"] = choice.pop("message")
    return f"data: {json.dumps({**tree, 'object': 'chat.completion.chunk'})}\n\ndata: [DONE]\n\n"
