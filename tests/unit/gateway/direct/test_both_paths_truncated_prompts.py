"""A prompt of which a server reads only a part, which it does not say, is found on both paths, in every zone of the
user's own machines."""

from __future__ import annotations

from tests.gates.faulty_host import DONE, ROLE, ScriptedReply, delta, usage
from tests.unit.gateway.direct.both_paths import BothPaths, Case, Model, unlike
from tests.unit.gateway.direct.test_both_paths_openai_chat import COUNTED, asks, events, whole

from intermodal.core.request import Zone

ROW = 'input = ["text"]\ntokenizer = "smollm2"'
WORDS = {**asks(" ".join(["cat"] * 3000)), "max_tokens": 50}  # a token each; the server says that it read 7
LIVE_REPLY = events(ROLE, delta("Paris"), delta(None, "stop"), usage(4), DONE)
WHOLE_REPLY = whole("Paris")
OWN: tuple[Zone, ...] = ("machine", "network")


def case(zone: Zone, reply: ScriptedReply, **more: object) -> Case:
    return Case([Model([reply], zone=zone, row=ROW)], {**WORDS, **more})


CASES = {
    f"{zone}{form}": case(zone, reply, **more)
    for zone in (*OWN, "internet")
    for form, reply, more in (("whole", WHOLE_REPLY, {}), ("live", LIVE_REPLY, COUNTED))
}
SAMPLE = CASES


def test_a_prompt_that_a_server_cut_is_an_error_alike_on_both_paths(beside: BothPaths, name: str) -> None:
    direct, executor = beside.both(name)
    answers = [{**seen.answer, "finish": None} for seen in (direct, executor)]  # a stream was forwarded by its end
    assert unlike(*answers) == []
    for what in ("status", "attempts", "runs", "metrics", "served", "spent"):
        assert unlike(getattr(direct, what), getattr(executor, what)) == []
    cut = "it cut the rest without a word" in beside.text
    assert cut == name.startswith(OWN), beside.text
    assert direct.taken == (not cut), "the direct path made the call"
