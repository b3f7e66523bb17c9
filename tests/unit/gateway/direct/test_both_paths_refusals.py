"""Refusals that do not end: they are cut at the limit on the tokens of an answer, and are refusals on either path."""

from __future__ import annotations

from tests.gates.faulty_host import DONE, ROLE, ScriptedReply, delta, usage
from tests.unit.gateway.direct.both_paths import BothPaths, Case, Model, unlike
from tests.unit.gateway.direct.both_paths_protocols import RESPONSES
from tests.unit.gateway.direct.test_both_paths_openai_chat import COUNTED, LIVE, OTHER, OTHER_LIVE, events, whole
from tests.unit.gateway.direct.test_both_paths_other_protocols import answered, message, no, played, text, told

WORDS = [f"word{number} " for number in range(400)]
LONG = "".join(WORDS)


def live(*said: bytes) -> ScriptedReply:
    return events(ROLE, *said, delta(None, "stop"), usage(4), DONE)


def responses(play: ScriptedReply, **more: object) -> Case:
    return Case([Model([play])], {**more}, wire_protocol=RESPONSES)


REFUSED: dict[str, Case] = {
    "whole": Case([Model([whole(None, refusal=LONG)]), OTHER]),
    "wholelength": Case([Model([whole(None, "length", refusal=LONG)]), OTHER]),
    "live": Case([Model([live(*(delta(refusal=word) for word in WORDS))]), OTHER_LIVE], COUNTED),
    "atonce": Case([Model([live(delta(refusal=LONG))]), OTHER_LIVE], COUNTED),
    "wholelive": Case([Model([whole(None, refusal=LONG)]), OTHER_LIVE], COUNTED),
    "responses": responses(answered(message(no(LONG)))),
    "responseslive": responses(played(RESPONSES, *told(message(no(LONG)))), **LIVE),
    "responseswholelive": responses(answered(message(no(LONG))), **LIVE),
}  # fmt: skip
# After words the host's own refusal goes on to a client of its API, and a run leaves it out.
AFTER_WORDS: dict[str, Case] = {
    "words": Case([Model([whole("Paris", refusal=LONG)])]),
    "wordslive": Case([Model([live(delta("Paris "), *(delta(refusal=word) for word in WORDS))])], COUNTED),
    "responseswords": responses(answered(message(text("Paris"), no(LONG)))),
    "responseswordslive": responses(played(RESPONSES, *told(message(text("Paris "), no(LONG)))), **LIVE),
}  # fmt: skip
CASES = REFUSED | AFTER_WORDS
SAMPLE = CASES


def test_a_refusal_that_does_not_end_is_cut_and_is_a_refusal(beside: BothPaths, name: str) -> None:
    direct, executor = beside.both(name)
    if name in REFUSED:
        assert unlike(vars(direct) | {"taken": 0}, vars(executor)) == []
        assert (direct.status, direct.served["error"]) == (400, "content_refused")
        assert WORDS[10] in beside.text and WORDS[100] not in beside.text
        return
    for what in ("status", "attempts", "runs", "metrics", "spent", "served"):
        assert unlike(getattr(direct, what), getattr(executor, what)) == []
    beside.ask("direct", name)
    assert WORDS[10] in beside.text and WORDS[100] not in beside.text, "what the client reads of it is cut"
