"""A host that quotes the key it was sent does not get it shown, on either path."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gates.faulty_host import HEAD, LAST, ScriptedReply, chunk, refusal
from tests.unit.gateway.direct.both_paths import BothPaths, Case, Model
from tests.unit.gateway.direct.test_both_paths_openai_chat import LIVE

KEY = "Zq7-kT2w_Xv9.Rb4"  # of no shape that a pattern knows
QUOTES = {
    "plain": f"Incorrect API key provided: {KEY}.",
    "long": "x " * 140 + KEY,  # the quote ends inside it
    "start": f"the key {KEY[:12]}… is not known",
}


def played(place: str, sentence: str) -> ScriptedReply:
    body = json.dumps({"error": {"type": "invalid_request_error", "message": sentence, "code": 400}}).encode()
    if place == "status":
        return refusal(400, body)
    if place == "whole":  # beside a status of success
        return refusal(200, body)
    return ScriptedReply([HEAD, chunk(b"data: " + body + b"\n\n"), LAST])


CASES = {
    f"{place}{how}": Case(
        [Model([played(place, sentence)], host='key_env = "BESIDE_HOST_KEY"')], LIVE if place == "stream" else {}
    )
    for place in ("status", "whole", "stream")
    for how, sentence in QUOTES.items()
}
SAMPLE = CASES


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BothPaths]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BESIDE_HOST_KEY", KEY)
        folder: Path = tmp_path_factory.mktemp("beside")
        with BothPaths(CASES, folder, patch).open() as both:
            yield both


@pytest.mark.parametrize("way", ["direct", "taskless", "executor"])
def test_a_key_that_a_host_quotes_is_shown_to_no_client(beside: BothPaths, name: str, way: str) -> None:
    """Not in the answer, nor in a row of the store; nor a part of it long enough to be of use."""
    seen = beside.ask(way, name)
    for text in (beside.text, repr(seen)):
        assert not any(KEY[at : at + 8] in text for at in range(len(KEY) - 7)), text
    assert "error" in beside.text
