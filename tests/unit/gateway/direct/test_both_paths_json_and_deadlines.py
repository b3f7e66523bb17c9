"""Chats for JSON by a schema, and chats with a deadline: passed on as the executor would have answered them."""

from __future__ import annotations

import json
from typing import Any

from tests.gates import upstreams
from tests.gates.faulty_host import DONE, HEAD, LAST, ROLE, ScriptedReply, answer, chunk, delta, usage
from tests.unit.gateway.direct.both_paths import BothPaths, Case, Model, unlike
from tests.unit.gateway.direct.both_paths_protocols import LINES, MESSAGES, RESPONSES
from tests.unit.gateway.direct.test_both_paths_openai_chat import (
    BUSY,
    CALL,
    COUNTED,
    GOOD,
    LIVE,
    OTHER,
    TOOL,
    WORDS,
    asks,
    events,
    refusal,
    whole,
)

SCHEMA = {
    "type": "object", "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"], "additionalProperties": False,
}  # fmt: skip
BY_SCHEMA = {"response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}}
ANY = {"response_format": {"type": "json_object"}}
VALID = json.dumps({"city": "Paris", "people": 2_100_000})
BREAKS = '{"city": "Paris"}'
CUT = VALID[:20]
HELD = "forced_json = true"
TELLS = "forced_json = true\ntells_schema = true"
FAST = "speed = { overhead = [0.01, 0.02, 0.03], prompt = [1e5, 2e5, 3e5], decode = [1e4, 2e4, 3e4] }"
SHORT = {"intermodal": {"deadline": 2.0}}  # a busy machine plans within it
LATE = {"intermodal": {"deadline": 20.0}}
SLOWLY = ScriptedReply((60.0, *GOOD.pieces), paid=True)
STOPS = ScriptedReply(
    (HEAD, chunk(ROLE), chunk(delta("Pa")), 60.0, chunk(delta("ris")), chunk(delta(None, "stop")), LAST), paid=True
)
SILENT = ScriptedReply((HEAD, chunk(ROLE), 60.0, chunk(delta("Paris")), chunk(delta(None, "stop")), LAST), paid=True)
LONG = json.dumps({"rest": ["-" * 1000] * 190})  # few tokens, and more than is read at once
LONG_SCHEMA = {"response_format": {"type": "json_schema", "json_schema": {
    "name": "long", "schema": {"type": "object", "properties": {
        "rest": {"type": "array", "items": {"type": "string"}}}, "required": ["rest"]}}}}  # fmt: skip


def cut_up(text: str) -> list[str]:
    """Pieces of seven letters, or of 700 where there would be tens of thousands."""
    size = 7 if len(text) < 10_000 else 700
    return [text[at : at + size] for at in range(0, len(text), size)] or [""]


def streamed(text: str, reason: str = "stop") -> ScriptedReply:
    return events(ROLE, *map(delta, cut_up(text) if text else ()), delta(None, reason), usage(12), DONE)


def schemas(host: str, *plays: ScriptedReply, body: dict[str, Any] = BY_SCHEMA, **more: Any) -> Case:
    return Case([Model(plays, host=host)], body, **more)


CASES: dict[str, Case] = {
    # ---- whole: a host that is asked in words, one that is held, and one that tells its model itself
    **{
        f"{name}{kind}": schemas(host, *plays)
        for name, host in (("asked", ""), ("held", HELD), ("tells", TELLS))
        for kind, plays in {
            "valid": (whole(VALID),),
            "blanks": (whole(f"\n {VALID}\n"),),
            "fenced": (whole(f"```json\n{VALID}\n```"),),
            "chatter": (whole(f"Here it is: {VALID} Enjoy."),),
            "mended": (whole(VALID.replace('"', "'")),),
            "repaired": (whole(BREAKS), whole(VALID)),
            "twice": (whole(BREAKS), whole(BREAKS)),
            "nojson": (whole("It is Paris."), whole(VALID)),
            "silent": (whole(""), whole(VALID)),
            "cut": (whole(CUT, "length"),),
            "validcut": (whole(VALID, "length"),),
            "refused": (whole(None, refusal="I will not."),),
            "uncounted": (whole(BREAKS, told=None), whole(VALID)),
            "busy": (BUSY, whole(VALID)),
            "repairfails": (whole(BREAKS), refusal(500), refusal(500), refusal(500)),
        }.items()
    },
    "heldany": schemas(HELD, whole(VALID), body=ANY),
    "heldanysaid": schemas(HELD, whole(VALID), body={**ANY, **asks("Where is Paris? Say it in JSON.")}),
    "askedany": schemas("", whole(VALID), body=ANY),
    "heldthought": schemas(HELD, whole(BREAKS, reasoning_content="hm"), whole(VALID)),
    "heldfencedthought": schemas(HELD, whole(f"```\n{VALID}\n```", reasoning_content="hm")),
    "heldunpriced": Case([Model([whole(BREAKS), whole(VALID)], host=HELD, price=None)], BY_SCHEMA),
    "heldfree": Case([Model([whole(BREAKS), whole(VALID)], host=HELD, price=0.0)], BY_SCHEMA),
    "heldtwo": Case([Model([refusal(503)], host=HELD), Model([whole(VALID)], host=HELD)], BY_SCHEMA),
    "heldnoschema": schemas(
        HELD, refusal(400, {"error": {"message": "json_schema is not supported", "param": "response_format"}}),
        whole(VALID),
    ),
    "heldcalls": schemas(HELD, whole(None, "tool_calls", tool_calls=[CALL]), body={**BY_SCHEMA, "tools": [TOOL]}),
    "heldtext": schemas(HELD, GOOD, body={"response_format": {"type": "text"}}),
    "heldlong": schemas(HELD, whole(LONG), body={**LONG_SCHEMA, "max_tokens": 900}, by=False),
    # ---- streamed
    **{
        f"live{name}": schemas(HELD, *plays, body={**BY_SCHEMA, **COUNTED})
        for name, plays in {
            "valid": (streamed(VALID),),
            "fenced": (streamed(f"```json\n{VALID}\n```"),),
            "mended": (streamed(VALID.replace('"', "'")),),
            "breaks": (streamed(BREAKS),),
            "nojson": (streamed("It is Paris."),),
            "cut": (streamed(CUT, "length"),),
            "silent": (events(ROLE, delta(None, "stop"), usage(0), DONE), streamed(VALID)),
            "blank": (streamed("   "), streamed(VALID)),
            "refused": (events(ROLE, delta(refusal="No."), delta(None, "stop"), usage(4), DONE),),
            "whole": (whole(VALID),),
            "wholebreaks": (whole(BREAKS),),
            "breaksoff": (ScriptedReply((HEAD, chunk(ROLE), chunk(delta(VALID[:9]))), end="fin", paid=True),),
            "nodone": (answer([VALID], done=False),),
        }.items()
    },
    "liveoneword": schemas(
        HELD, events(ROLE, delta(VALID, "stop"), usage(5), DONE), body={**BY_SCHEMA, **COUNTED}
    ),
    "liveonewordbreaks": schemas(
        HELD, events(ROLE, delta(BREAKS, "stop"), usage(5), DONE), body={**BY_SCHEMA, **COUNTED}
    ),
    "livelong": schemas(HELD, streamed(LONG), body={**LONG_SCHEMA, **COUNTED, "max_tokens": 900}),
    "livelongbreaks": schemas(
        HELD, streamed(LONG.replace('"rest"', '"other"')), body={**LONG_SCHEMA, **COUNTED, "max_tokens": 900}
    ),
    "liveloops": schemas(
        HELD, streamed('{"city": "' + "Paris " * 400 + '", "people": 1}'),
        body={**BY_SCHEMA, **COUNTED, "max_tokens": None},
    ),
    "livecalls": schemas(
        HELD, events(ROLE, delta(tool_calls=[{"index": 0, **CALL}]), delta(None, "tool_calls"), usage(5), DONE),
        body={**BY_SCHEMA, **COUNTED, "tools": [TOOL]},
    ),
    "liveasked": schemas("", streamed(VALID), body={**BY_SCHEMA, **COUNTED}, by=False),
    # ---- a deadline
    "intime": Case([Model([GOOD], host=FAST)], LATE),
    "intimelive": Case([Model([answer(WORDS)], host=FAST)], {**LATE, **COUNTED}),
    "intimethen": Case([Model([refusal(503)], host=FAST), OTHER], LATE),
    "late": Case([Model([SLOWLY], host=FAST)], SHORT),
    "lateother": Case([Model([SLOWLY], host=FAST), OTHER], SHORT),
    "latefree": Case([Model([SLOWLY], host=FAST, price=0.0)], SHORT),
    "latebeforeaword": Case([Model([SILENT], host=FAST)], {**SHORT, **LIVE}),
    "lateinthemiddle": Case([Model([STOPS], host=FAST)], {**SHORT, **COUNTED}),
    "latejson": Case([Model([SLOWLY], host=f"{HELD}\n{FAST}")], {**SHORT, **BY_SCHEMA}),
    "laterepair": Case([Model([whole(BREAKS), SLOWLY], host=f"{HELD}\n{FAST}")], {**SHORT, **BY_SCHEMA}),
}  # fmt: skip
DOORS = {
    "responses": (RESPONSES, {"text": {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA}}}),
    "messages": (MESSAGES, {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}),
    "lines": (LINES, {"format": SCHEMA}),
}  # fmt: skip


ROOM = {
    "responses": {"max_output_tokens": 900},
    "messages": {"max_tokens": 900},
    "lines": {"options": {"num_predict": 900}},
}  # fmt: skip


def of_door(door: str, host: str, *said: str, live: bool = False) -> Case:
    """JSON through another door."""
    wire_protocol, body = DOORS[door]
    if said[0] is LONG:
        body = {**body, **ROOM[door]}
    made = upstreams.whole if live else upstreams.document
    plays = [made(wire_protocol.protocol, cut_up(text)) for text in said]
    return Case([Model(plays, host=host)], {**body, **({"stream": True} if live else {})}, wire_protocol=wire_protocol)


CASES |= {
    f"{door}{kind}{host[:2]}{'live' * live}": of_door(door, {"asked": "", "held": HELD}[host], *said, live=live)
    for door in DOORS
    for host, live in (("asked", False), ("held", False), ("held", True))
    for kind, said in {
        "valid": (VALID,), "fenced": (f"```json\n{VALID}\n```",), "breaks": (BREAKS, BREAKS),
        "repaired": (BREAKS, VALID), "nojson": ("It is Paris.", VALID), "long": (LONG, LONG),
    }.items()
}  # fmt: skip
CASES |= {
    f"{door}late{'live' * live}": Case(
        [Model([ScriptedReply((60.0, *upstreams.document(wire.protocol, WORDS).pieces), paid=True)], host=FAST)],
        {**SHORT, "stream": live}, wire_protocol=wire,
    )
    for door, (wire, _) in DOORS.items()
    for live in (False, True)
}  # fmt: skip
SAMPLE = (
    *(name for name in CASES if name.startswith(tuple(DOORS)) and "valid" in name), "messagesbreakshelive",
    "responsesrepairedhe", "linesrepairedas", "messageslatelive", "lineslate",
    "askedvalid", "askedfenced", "askedrepaired", "heldvalid", "heldmended", "heldrepaired", "heldtwice", "heldcut",
    "heldrefused", "heldrepairfails", "heldany", "heldthought", "heldtwo", "heldnoschema", "heldcalls", "heldlong",
    "tellsvalid", "livevalid", "livebreaks", "livecut", "livesilent", "livelong", "livelongbreaks", "livewhole",
    "intime", "intimelive", "intimethen", "late", "lateother", "latebeforeaword", "lateinthemiddle", "laterepair",
)  # fmt: skip


def test_json_and_deadlines_are_passed_on_as_the_executor_answers_them(beside: BothPaths, name: str) -> None:
    direct, executor = beside.both(name)
    assert unlike(vars(direct) | {"taken": 0}, vars(executor)) == []
    if "late" in name:
        assert len(direct.hits) == 1 and direct.attempts[-1]["error"] == "cancelled", "it was given up"
        assert direct.status == (200 if name == "lateinthemiddle" else 502) and direct.runs[0]["outcome"] == "call"
    if direct.status == 200 and "x-intermodal-attempts" in direct.headers:
        assert int(direct.headers["x-intermodal-attempts"]) == len(direct.attempts), "a repair call is a call"
        counts = [row[side] for row in direct.attempts for side in ("input_tokens", "output_tokens")]
        if None not in counts:
            assert direct.spent[-1][2] == sum(counts), "the key pays for the tokens of each call"
            assert sum(direct.metrics[1].values()) == sum(counts), "and /metrics counts them"
    alone = direct.status == 200 and len(direct.attempts) == 1 and direct.answer.get("error") is None
    if CASES[name].by and alone and _as_it_came(name):
        assert direct.taken == 1, "it went through the executor"


def _as_it_came(name: str) -> bool:
    return not any(kind in name for kind in ("fenced", "chatter", "mended", "thought")) or "live" in name
