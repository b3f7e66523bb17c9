"""What the direct path answers is what the executor would have answered: the same requests through both."""

from __future__ import annotations

import json
from base64 import b64encode
from io import BytesIO
from typing import Any

from PIL import Image
from tests.gates.faulty_host import (
    DONE,
    HEAD,
    LAST,
    PING,
    ROLE,
    ScriptedReply,
    answer,
    chunk,
    cut,
    delta,
    refusal,
    split,
    sse,
    usage,
)
from tests.unit.gateway.direct.both_paths import ASKED, BothPaths, Case, Model, unlike

SAID = "Paris is the capital."
LONG = [f"word{number} " for number in range(400)]
WORDS = ["Paris", " is", " the", " capital", "."]
TOLD = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"at": "Paris"}'}}


def whole(
    content: Any = SAID, reason: str | None = "stop", told: Any = TOLD, top: Any = (), **message: Any
) -> ScriptedReply:
    said = {"role": "assistant", "content": content, **message}
    tree = {
        "id": "w",
        "object": "chat.completion",
        "created": 1,
        "model": "the-host-s-own-name",
        "choices": [{"index": 0, "message": said, "finish_reason": reason}],
        **dict(top),
    }
    if told is not None:
        tree["usage"] = told
    return refusal(200, tree, paid=True)


def data_of(play: ScriptedReply) -> bytes:
    """All that is played at once."""
    (data,) = play.pieces
    assert isinstance(data, bytes)
    return data


def document(play: ScriptedReply) -> bytes:
    return data_of(play).partition(b"\r\n\r\n")[2]


def events(*data: bytes, head: bytes = HEAD, end: str = "") -> ScriptedReply:
    return ScriptedReply((head, *map(chunk, data), *((LAST,) if not end else ())), end=end, paid=True)  # type: ignore[arg-type]


def picture(kind: str = "PNG", size: tuple[int, int] = (64, 48), **more: str) -> dict[str, Any]:
    made = BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(made, kind)
    data = b64encode(made.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/{kind.lower()};base64,{data}", **more}}


SEES = 'input = ["text", "image"]'
LIVE = {"stream": True}
COUNTED = {"stream": True, "stream_options": {"include_usage": True}}
GOOD, STREAM = whole(), answer(WORDS)
OTHER = Model([whole("the other one")])
OTHER_LIVE = Model([answer(["the", " other", " one"])])
WHITE = b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": " "}}]}).encode() + b"\n\n"


def with_number(play: ScriptedReply, words: str) -> ScriptedReply:
    """The reply with a number where it has these words."""
    said = json.dumps(words).encode()
    assert any(said in piece for piece in play.pieces if isinstance(piece, bytes))
    pieces = [
        piece.replace(said, b"5".ljust(len(said))) if isinstance(piece, bytes) else piece for piece in play.pieces
    ]
    return play._replace(pieces=pieces)


def crlf(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


def apart(data: bytes) -> bytes:
    """Its data on several lines, as a server writes it whose JSON is indented."""
    return data.replace(b", ", b",\ndata: ")


def asks(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


TURNS = {
    "messages": [
        {"role": "system", "content": "Be brief."}, *ASKED, {"role": "assistant", "content": "Paris."},
        {"role": "user", "content": "And of Spain?"},
    ]
}  # fmt: skip
TOOL_TURNS = {
    "tools": [TOOL],
    "messages": [
        *ASKED, {"role": "assistant", "content": None, "tool_calls": [{**CALL, "id": "call_2"}]},
        {"role": "tool", "tool_call_id": "call_2", "content": "rain"},
    ],
}  # fmt: skip
BUSY = refusal(429, {"error": {"message": "slow down"}}, headers={"retry-after": "1"})
BUSY_LONG = refusal(429, {"error": {"message": "slow down"}}, headers={"retry-after": "120"})
BROKE = refusal(429, {"error": {"message": "pay", "type": "insufficient_quota", "code": "insufficient_quota"}})
TOO_LONG = refusal(400, {"error": {"message": "too long", "code": "context_length_exceeded"}})
PAGE = ScriptedReply((b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>",))
GONE, RESET, EMPTY = ScriptedReply((), end="fin"), ScriptedReply((), end="rst"), refusal(200, b"")
JUNK = refusal(200, b"this is no JSON")
HALF = ScriptedReply(
    (b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"id":',), end="fin", paid=True
)
NO_HTTP = ScriptedReply((b"SSH-2.0-OpenSSH_9.2\r\n",), end="fin")
IN_BAND = refusal(200, {"error": {"message": "no memory", "type": "server_error", "code": 500}})
IN_BAND_TOO_LONG = refusal(200, {"error": {"message": "too long", "code": "context_length_exceeded"}})
FAULTS = {
    "busy": BUSY,
    "busylong": BUSY_LONG,
    "broke": BROKE,
    "s500": refusal(500),
    "s502": refusal(502),
    "s503": refusal(503),
    "s529": refusal(529),
    "toolong": TOO_LONG,
    "s400": refusal(400),
    "s401": refusal(401),
    "s403": refusal(403),
    "s404": refusal(404),
    "s408": refusal(408),
    "s413": refusal(413),
    "s422": refusal(422),
    "page": PAGE,
    "gone": GONE,
    "reset": RESET,
    "empty": EMPTY,
    "junk": JUNK,
    "half": HALF,
    "nohttp": NO_HTTP,
    "inband": IN_BAND,
    "inbandlong": IN_BAND_TOO_LONG,
    "s302": refusal(302, headers={"location": "http://127.0.0.1:1/"}),
    "s204": ScriptedReply((b"HTTP/1.1 204 No\r\n\r\n",)),
    "never": refusal(500, headers={"x-should-retry": "false"}),
}  # fmt: skip

CASES: dict[str, Case] = {
    "plain": Case([Model([GOOD])]),
    "live": Case([Model([STREAM])], LIVE),
    "counted": Case([Model([STREAM])], COUNTED),
    "numberwhole": Case([Model([with_number(GOOD, SAID)]), OTHER]),
    "numberlive": Case([Model([with_number(STREAM, WORDS[0])]), OTHER_LIVE], LIVE),
    "numbershown": Case([Model([with_number(STREAM, WORDS[3])]), OTHER_LIVE], LIVE),
    "longevents": Case(
        [Model([split(["x" * 200_000, " y" * 90_000, " end"], size=20_000)])], {"max_tokens": None, **LIVE}
    ),
    "longevent": Case([Model([split(["x" * 200_000], size=65_537)])], {"max_tokens": None, **LIVE}),
    "nolimit": Case([Model([STREAM])], {"max_tokens": None, **LIVE}),
    "otherlimit": Case([Model([GOOD])], {"max_tokens": None, "max_completion_tokens": 30}),
    "settings": Case(
        [Model([GOOD])], {"temperature": 0.5, "top_p": 0.9, "stop": ["x"], "seed": 7, "user": "u", "store": False}
    ),
    "furthersettings": Case(
        [Model([GOOD])],
        {
            "top_k": 40,
            "min_p": 0.1,
            "presence_penalty": 0.5,
            "logit_bias": {"1": 2},
            "reasoning_effort": "low",
            "verbosity": "low",
            "prompt_cache_key": "k",
            "safety_identifier": "s",
            "metadata": {"a": "b"},
            "store": True,
        },
    ),
    "nothings": Case(
        [Model([GOOD])], {"temperature": 0.5, "stop": [], "tools": [], "n": 1, "parallel_tool_calls": True}
    ),
    "tools": Case([Model([whole(None, "tool_calls", tool_calls=[CALL])])], {"tools": [TOOL], "tool_choice": "auto"}),
    "toolslive": Case(
        [Model([events(ROLE, delta(tool_calls=[{"index": 0, **CALL}]), delta(None, "tool_calls"), usage(5), DONE)])],
        {"tools": [TOOL], **COUNTED},
    ),
    "toolturns": Case([Model([GOOD])], TOOL_TURNS, by=False),
    "turns": Case([Model([GOOD])], TURNS),
    "turnslive": Case([Model([STREAM])], TURNS | COUNTED),
    "png": Case([Model([GOOD], row=SEES)], asks([{"type": "text", "text": "What is this?"}, picture()])),
    "pngtools": Case(
        [Model([GOOD], row=SEES)],
        {**asks([{"type": "text", "text": "What is this?"}, picture()]), "tools": [TOOL]},
    ),
    "pngdetail": Case(
        [Model([GOOD], row=f'{SEES}\nimage_tokens = "openai_tile:85:170"')],
        asks([{"type": "text", "text": "What is this?"}, picture(size=(640, 480), detail="low")]),
    ),
    "jpegs": Case(
        [Model([STREAM], row=SEES)], COUNTED | asks([picture("JPEG"), {"type": "text", "text": "And this?"}, picture()])
    ),
    "wishes": Case([Model([GOOD])], {"intermodal": {"max_cost": 0.5}}, {"x-intermodal-objective": "cheapest"}),
    "limitquirk": Case([Model([GOOD], host='quirks = ["max_completion_tokens"]')]),
    "seedquirk": Case([Model([GOOD], host='quirks = ["random_seed"]')], {"seed": 3}),
    "noptions": Case([Model([STREAM], host='quirks = ["no_stream_options"]')], COUNTED),
    "unpriced": Case([Model([GOOD], price=None)]),
    "unpricedlive": Case([Model([STREAM], price=None)], COUNTED),
    "free": Case([Model([GOOD], price=0.0)]),
    "uncounted": Case([Model([whole(told=None)])]),
    "uncountedlive": Case([Model([events(ROLE, delta("Hi"), delta(None, "stop"), DONE)])], COUNTED),
    "cached": Case([Model([whole(told={**TOLD, "prompt_tokens_details": {"cached_tokens": 6}})])]),
    "thought": Case(
        [Model([whole(told={**TOLD, "completion_tokens_details": {"reasoning_tokens": 3}}, reasoning_content="hm")])]
    ),
    # ---- ends that are worth a word
    "length": Case([Model([whole(reason="length")])]),
    "lengthlive": Case([Model([events(ROLE, delta("Pa"), delta(None, "length"), usage(1), DONE)])], COUNTED),
    "silent": Case([Model([whole("")])]),
    "silentlive": Case([Model([events(ROLE, delta(None, "stop"), usage(0), DONE)])], COUNTED),
    "filtered": Case([Model([whole("I", "content_filter")])]),
    "refused": Case([Model([whole("", "content_filter")]), OTHER]),
    "refusedwords": Case([Model([whole(None, refusal="I will not.")]), OTHER]),
    "refusedlive": Case(
        [Model([events(ROLE, delta(refusal="I will not."), delta(None, "stop"), usage(4), DONE)]), OTHER_LIVE], COUNTED
    ),
    # ---- replies that are written otherwise
    "parts": Case([Model([whole([{"type": "text", "text": "Paris"}])])]),
    "partslive": Case(
        [
            Model(
                [
                    events(
                        ROLE,
                        delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]),
                        delta(content=[{"type": "text", "text": "Paris"}]),
                        delta(None, "stop"),
                        usage(5),
                        DONE,
                    )
                ]
            )
        ],
        COUNTED,
    ),
    "noterror": Case([Model([whole(top={"error": {}})])]),
    "mark": Case([Model([refusal(200, b"\xef\xbb\xbf" + document(whole()))])]),
    "unasked": Case([Model([STREAM])]),  # a stream although nobody wanted one
    "atonce": Case([Model([GOOD])], COUNTED),  # no stream although one was wanted
    "misnamed": Case(
        [
            Model(
                [
                    events(
                        ROLE,
                        delta("Paris"),
                        delta(None, "stop"),
                        usage(5),
                        DONE,
                        head=HEAD.replace(b"text/event-stream", b"text/plain"),
                    )
                ]
            )
        ],
        COUNTED,
    ),
    "misnamedwhole": Case(
        [Model([ScriptedReply((data_of(whole()).replace(b"application/json", b"text/event-stream"),), paid=True)])],
        COUNTED,
    ),
    "crlf": Case([Model([events(*map(crlf, (ROLE, delta("Paris"), delta(None, "stop"), usage(5), DONE)))])], COUNTED),
    "apart": Case([Model([events(*map(apart, (ROLE, delta("Paris"), delta(None, "stop"), usage(5), DONE)))])], COUNTED),
    "torn": Case([Model([split(WORDS)])], COUNTED),
    "torncrlf": Case(
        [
            Model(
                [
                    events(
                        *(bytes([byte]) for byte in crlf(ROLE + delta("Päris") + delta(None, "stop") + usage(5) + DONE))
                    )
                ]
            )
        ],
        COUNTED,
    ),
    "pings": Case(
        [Model([events(PING, ROLE, PING, delta("Paris"), PING, delta(None, "stop"), usage(5), DONE)])], COUNTED
    ),
    "lines": Case(
        [Model([events(*(b"event: m\nid: 7\n" + data for data in (ROLE, delta("Paris"), delta(None, "stop"))), DONE)])],
        COUNTED,
    ),
    "after": Case(
        [Model([events(*(data[:-1] + b"id: 7\n\n" for data in (ROLE, delta("Paris"), delta(None, "stop"))), DONE)])],
        COUNTED,
    ),
    "blanks": Case([Model([events(ROLE + b"\n", delta("Paris") + b"\n\n", delta(None, "stop"), DONE)])], COUNTED),
    "tight": Case(
        [
            Model(
                [
                    events(
                        *(
                            data.replace(b"data: ", b"data:")
                            for data in (ROLE, delta("Paris"), delta(None, "stop"), DONE)
                        )
                    )
                ]
            )
        ],
        COUNTED,
    ),
    "unended": Case([Model([events(ROLE, delta("Paris"), delta(None, "stop")[:-1])])], COUNTED),
    "noreason": Case([Model([events(ROLE, delta("Paris"), DONE)])], COUNTED),
    "overrun": Case([Model([answer(LONG)]), OTHER_LIVE], COUNTED),
    "overrunwhole": Case([Model([whole("".join(LONG))])]),
    "reasonless": Case(
        [Model([events(ROLE, delta("Paris"), usage(5), DONE)], host='quirks = ["no_finish_reason"]')], COUNTED
    ),
    "wordsafter": Case(
        [Model([events(ROLE, delta("Paris"), delta(None, "stop"), delta(" was"), usage(5), DONE)])], COUNTED
    ),
    "nodone": Case([Model([answer(WORDS, done=False)])], COUNTED),
    # The connection closes after the answer's end and before that of the body.
    "doneunended": Case(
        [Model([events(ROLE, *map(delta, WORDS), delta(None, "stop"), usage(5), DONE, end="fin")])], COUNTED
    ),
    "wordsunended": Case([Model([events(ROLE, *map(delta, WORDS), usage(5), end="fin")])], COUNTED),
    "hangs": Case([Model([events(ROLE, delta("Paris"), delta(None, "stop"), end="stall")])], COUNTED),
    "names": Case(
        [
            Model(
                [
                    events(
                        sse({"model": "", "choices": [], "prompt_filter_results": []}),
                        sse({"model": "real-name", "choices": [{"index": 0, "delta": {"content": "Hi"}}]}),
                        sse({"model": "real-name", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
                        DONE,
                    )
                ]
            )
        ],
        COUNTED,
    ),
    "usageinlast": Case(
        [
            Model(
                [
                    events(
                        ROLE,
                        delta("Hi"),
                        sse({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": TOLD}),
                        DONE,
                    )
                ]
            )
        ],
        COUNTED,
    ),
    "tillclose": Case(
        [
            Model(
                [
                    ScriptedReply(
                        (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + document(whole()),),
                        end="fin",
                        paid=True,
                    )
                ]
            )
        ]
    ),
    "early": Case(
        [
            Model(
                [
                    ScriptedReply(
                        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", *GOOD.pieces),
                        paid=True,
                    )
                ]
            )
        ]
    ),
    # ---- what breaks after the first word
    **{
        f"cut{manner}": Case([Model([cut(WORDS, 2, manner)]), OTHER_LIVE], COUNTED)
        for manner in ("fin", "rst", "inband", "malformed", "ended")
    },
    "namederror": Case(
        [Model([events(ROLE, delta("Pa"), b'event: error\ndata: {"message": "no memory"}\n\n')]), OTHER_LIVE], COUNTED
    ),
    "objecterror": Case(
        [Model([events(ROLE, delta("Pa"), sse({"object": "error", "message": "no memory", "code": 500}))]), OTHER_LIVE],
        COUNTED,
    ),
    # ---- what breaks before it
    **{
        f"first{manner}": Case([Model([cut(WORDS, 0, manner)]), OTHER_LIVE], COUNTED)
        for manner in ("fin", "rst", "inband", "malformed", "ended")
    },
    **{f"only{manner}": Case([Model([cut(WORDS, 0, manner)])], COUNTED) for manner in ("fin", "inband")},
    "objecterrorfirst": Case(
        [Model([events(sse({"object": "error", "message": "no memory", "code": 500}))]), OTHER_LIVE], COUNTED
    ),
    **{f"one{name}": Case([Model([play])]) for name, play in FAULTS.items()},
    **{f"two{name}": Case([Model([play]), OTHER]) for name, play in FAULTS.items()},
    **{f"live{name}": Case([Model([play]), OTHER_LIVE], COUNTED) for name, play in FAULTS.items()},
    **{f"then{name}": Case([Model([FAULTS[name], GOOD])]) for name in ("busy", "s500", "s503", "gone", "page")},
    "onedown": Case([Model([], down=True)]),
    "twodown": Case([Model([], down=True), OTHER]),
    "livedown": Case([Model([], down=True), OTHER_LIVE], COUNTED),
    "once": Case([Model([refusal(502)]), OTHER], {"intermodal": {"pay_twice": False}}),
}


# A few of each sort; all of them, which takes minutes, are run by `make gates`.
SAMPLE = (
    "onedown", "twodown", "livedown", "plain", "counted", "numberwhole", "numberlive", "numbershown", "settings",
    "furthersettings", "nothings", "toolslive",
    "toolturns", "turns", "png", "pngtools", "jpegs", "uncounted", "length", "silentlive", "refused", "refusedlive",
    "partslive",
    "unasked", "atonce", "misnamed", "torncrlf", "apart", "lines", "unended", "doneunended", "wordsunended",
    "noreason", "reasonless", "wordsafter",
    "overrun", "overrunwhole",
    "names", "early",
    "cutinband", "namederror", "firstinband", "ones503", "twos500", "twogone", "livetoolong", "thenbusy",
    "once",
)  # fmt: skip


def test_the_direct_path_answers_as_the_executor_does(beside: BothPaths, name: str) -> None:
    """Status, headers, answer, what the host saw, rows, counts, and what was settled with the key's account."""
    direct, executor = beside.both(name)
    assert unlike(vars(direct) | {"taken": 0}, vars(executor)) == []
    whole = direct.status == 200 and len(direct.attempts) == 1 and direct.answer.get("error") is None
    if CASES[name].by and whole:
        assert direct.taken == 1, "it went through the executor"
