"""Answers that have to be stopped or refused while they stream: the direct path and the executor do it at the same
place, whoever the host is and whatever API the client speaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.gates import upstreams
from tests.gates.faulty_host import DONE, ROLE, answer, delta, sse, usage
from tests.unit.gateway.direct.both_paths import BothPaths, Case, Model, unlike
from tests.unit.gateway.direct.both_paths_protocols import LINES, MESSAGES, RESPONSES
from tests.unit.gateway.direct.test_both_paths_json_and_deadlines import BY_SCHEMA, HELD, VALID
from tests.unit.gateway.direct.test_both_paths_openai_chat import events
from tests.unit.gateway.direct.test_both_paths_openai_chat import whole as one_document

PATTERN = "What does one do with a loop? "
LIMITED = [f"word{number} " for number in range(400)]
SHORT = ["a "] * 400
BLANKS = [" " * 4096] * 70
DOORS = {"": None, "responses": RESPONSES, "messages": MESSAGES, "lines": LINES}
LIMITS: Mapping[str, dict[str, Any]] = {
    "": {"max_tokens": 50},
    "responses": {"max_output_tokens": 50},
    "messages": {"max_tokens": 50},
    "lines": {"options": {"num_predict": 50}},
}


def stream(door: str, words: list[str], others: tuple[list[str], ...] = (), **more: Any) -> Case:
    wire_protocol = DOORS[door]
    plays = [
        answer(each) if wire_protocol is None else upstreams.whole(wire_protocol.protocol, each)
        for each in (words, *others)
    ]
    first, *rest = [Model([play], **({} if number else more)) for number, play in enumerate(plays)]
    return Case([first, *rest], {**LIMITS[door], "stream": True}, wire_protocol=wire_protocol)


def thought(text: str) -> bytes:
    return sse({"choices": [{"index": 0, "delta": {"reasoning_content": text}}]})


SAID = {
    "limitedwords": LIMITED,
    "shortwords": SHORT,
    "largepieces": ["".join(LIMITED[at : at + 30]) for at in range(0, 400, 30)],
    "onepiece": ["".join(LIMITED)],
    "halfwords": [text for word in LIMITED for text in (word[:3], word[3:])],
}
OTHER = (["the", " other"],)
CASES: dict[str, Case] = {
    **{f"{door}{name}": stream(door, words) for door in DOORS for name, words in SAID.items()},
    "thoughts": Case([Model([events(ROLE, *map(thought, SHORT), delta("yes"), delta(None, "stop"), usage(5), DONE)])],
                     {**LIMITS[""], "stream": True}),
    # ---- blanks
    **{f"{door}blanks": stream(door, BLANKS, OTHER) for door in DOORS},
    **{f"{door}fewblanks": stream(door, [" " * 10] * 3000 + ["word"], OTHER) for door in DOORS},
    "jsonblanks": Case(
        [Model([answer(BLANKS)], host=HELD), Model([answer([VALID])], host=HELD)], {"stream": True, **BY_SCHEMA}
    ),
    # ---- loops
    **{f"{door}loops": stream(door, [PATTERN] * 60) for door in DOORS},
    **{f"{door}nearloops": stream(door, [PATTERN] * 60, zone="machine") for door in DOORS},
    "wholeloops": Case([Model([one_document(PATTERN * 60)])], {"max_tokens": 900}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_both_paths_stop_an_answer_at_the_same_place(beside: BothPaths, name: str) -> None:
    """Status, headers, answer, what the host saw, rows, counts, and what was settled with the key's account."""
    direct, executor = beside.both(name)
    assert unlike(vars(direct) | {"taken": 0}, vars(executor)) == []
