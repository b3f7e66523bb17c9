"""One cost of a request: its rows, which ``intermodal usage`` sums, the budget of its key, what its client reads."""

from __future__ import annotations

import pytest
from tests.gates.faulty_host import ScriptedReply, cut, refusal
from tests.unit.gateway.direct.both_paths import BothPaths, Case, Model, Seen, unlike
from tests.unit.gateway.direct.test_both_paths_json_and_deadlines import BREAKS, BY_SCHEMA, HELD, VALID
from tests.unit.gateway.direct.test_both_paths_openai_chat import COUNTED, GOOD, HALF, STREAM, WORDS, whole

UNCOUNTED, IN_VAIN = whole(told=None), whole(BREAKS, told=None)


def dear(*plays: ScriptedReply, host: str = "") -> Model:
    """A model whose costs are seen in the six decimals of a row that are compared."""
    return Model(plays, host=host, price=10.0)


def json_from(host: str, *plays: ScriptedReply) -> Case:
    return Case([dear(*plays, host=host)], BY_SCHEMA)


CASES: dict[str, Case] = {
    "twiceuncounted": json_from(HELD, IN_VAIN, IN_VAIN),
    "askedtwiceuncounted": json_from("", IN_VAIN, IN_VAIN),
    "firstuncounted": json_from(HELD, IN_VAIN, whole(VALID)),
    "seconduncounted": json_from(HELD, whole(BREAKS), whole(VALID, told=None)),
    "invain": json_from(HELD, whole(BREAKS), whole(BREAKS)),
    "repairfails": json_from(HELD, IN_VAIN, refusal(500)),
    "repairrefused": json_from(HELD, IN_VAIN, refusal(401)),
    "repaircut": json_from(HELD, IN_VAIN, HALF),
    "uncounted": Case([dear(UNCOUNTED)]),
    "uncountedthen": Case([dear(refusal(503)), dear(UNCOUNTED)]),
    "brokenoff": Case([dear(cut(WORDS, 2, "fin"))], COUNTED),
    "brokenoffthen": Case([dear(cut(WORDS, 0, "fin")), dear(STREAM)], COUNTED),
    "counted": Case([dear(GOOD)]),
    "failsthen": Case([dear(refusal(500)), dear(GOOD)]),
    "fails": Case([dear(refusal(500))]),
}  # fmt: skip
SAMPLE = CASES


def printed(seen: Seen) -> float:
    """The cost that the client reads: of an answer, of an error, or of a stream's last event."""
    if (header := seen.headers.get("x-intermodal-cost")) is not None:
        return float(header)
    return float((seen.answer.get("error") or seen.answer["usage"])["intermodal"]["cost"])


def attempts(seen: Seen) -> int:
    if (header := seen.headers.get("x-intermodal-attempts")) is not None:
        return int(header)
    return int((seen.answer.get("error") or seen.answer["usage"])["intermodal"]["attempts"])


def test_rows_budget_and_what_the_client_reads_are_one_cost(beside: BothPaths, name: str) -> None:
    direct, executor = beside.both(name)
    assert unlike(vars(direct) | {"taken": 0}, vars(executor)) == []
    for seen in (direct, executor):
        rows = pytest.approx(sum(row["cost"] for row in seen.attempts), abs=5e-6)
        guessed = sum(row["cost"] for row in seen.attempts if row["state"] == "estimated")
        (settled,) = seen.spent
        assert settled[0] == rows, "the budget is charged what the rows say"
        assert settled[1] == pytest.approx(guessed, abs=5e-6), "and as unknown what they say is estimated"
        assert printed(seen) == rows, "the client reads it"
        assert attempts(seen) == len(seen.attempts), "and as many attempts as there are rows"
        assert sum(row["cost"] for row in seen.runs) == rows, "the row of the run has it"
