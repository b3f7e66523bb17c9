"""Refusals that do not end: they are cut at the limit on the tokens of an answer, and are refusals on either path.
After words they come with the words."""

from __future__ import annotations

import json
from typing import Any

from tests.gates.faulty_host import DONE, ROLE, ScriptedReply, delta, refusal, usage
from tests.unit.gateway.direct.both_paths import BothPaths, Case, Model, unlike
from tests.unit.gateway.direct.both_paths_protocols import MESSAGES, RESPONSES
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
# After words the answer has both: its words, and the refusal, in the API of the client.
WONT = "I will not say more."
REASONLESS = 'quirks = ["no_finish_reason"]'
BROKEN_OFF = told(message(text("Paris "), no(WONT)))[:-1]  # without the event that says how it ended


def no_more(word: str) -> bytes:
    return delta(refusal=f"{word} ")


def reasonless(*events: bytes) -> Case:
    return Case([Model([played(RESPONSES, *events)], host=REASONLESS)], {**LIVE}, wire_protocol=RESPONSES)


def anthropic(refused: str = WONT, *, streamed: bool, **more: object) -> Case:
    """Words, and then a refusal, which Anthropic explains beside its reason to stop."""
    end = {"stop_reason": "refusal", "stop_sequence": None,
           "stop_details": {"type": "refusal", "category": None, "explanation": refused}}  # fmt: skip
    begun: dict[str, Any] = {
        "id": "msg_w", "type": "message", "role": "assistant", "model": "the-host-s-own-name", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 1},
    }  # fmt: skip
    if not streamed:
        said = {**begun, **end, "content": [{"type": "text", "text": "Paris"}]}
        return Case([Model([refusal(200, {**said, "usage": {"input_tokens": 7, "output_tokens": 5}}, paid=True)])],
                    {**more}, wire_protocol=MESSAGES)  # fmt: skip
    trees: list[dict[str, Any]] = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Paris "}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]  # fmt: skip
    events = [b"event: %b\ndata: %b\n\n" % (tree["type"].encode(), json.dumps(tree).encode()) for tree in trees]
    return Case([Model([played(MESSAGES, *events)])], LIVE, wire_protocol=MESSAGES)


AFTER_WORDS: dict[str, Case] = {
    "words": Case([Model([whole("Paris", refusal=WONT)])]),
    "wordslive": Case([Model([live(delta("Paris "), *map(no_more, WONT.split()))])], COUNTED),
    "wordswholelive": Case([Model([whole("Paris", refusal=WONT)])], COUNTED),
    "wordslong": Case([Model([whole("Paris", refusal=LONG)])]),
    "wordslonglive": Case([Model([live(delta("Paris "), *(delta(refusal=word) for word in WORDS))])], COUNTED),
    "responseswords": responses(answered(message(text("Paris"), no(WONT)))),
    "responseswordslive": responses(played(RESPONSES, *told(message(text("Paris "), no(WONT)))), **LIVE),
    "responseswordslong": responses(answered(message(text("Paris"), no(LONG)))),
    "responseswordslonglive": responses(played(RESPONSES, *told(message(text("Paris "), no(LONG)))), **LIVE),
    "wordsreasonless": Case(
        [Model([events(ROLE, delta("Paris "), delta(refusal=WONT), usage(4), DONE)], host=REASONLESS)], COUNTED
    ),
    "responseswordswholelive": responses(answered(message(text("Paris"), no(WONT))), **LIVE),
    "responseswordsreasonless": reasonless(*BROKEN_OFF, DONE),
    "responseswordsreasonlessatonce": reasonless(b"".join([*BROKEN_OFF, DONE])),
    "messageswordswholelive": anthropic(streamed=False, **LIVE),
    "messageswords": anthropic(streamed=False),
    "messageswordslive": anthropic(streamed=True),
    "messageswordslong": anthropic(LONG, streamed=False),
    "messageswordslonglive": anthropic(LONG, streamed=True),
}  # fmt: skip
CASES = REFUSED | AFTER_WORDS
SAMPLE = CASES


def test_a_refusal_is_an_error_and_after_words_reaches_the_client_with_them(beside: BothPaths, name: str) -> None:
    direct, executor = beside.both(name)
    assert unlike(vars(direct) | {"taken": 0}, vars(executor)) == []
    alone = name in REFUSED
    assert (direct.status, direct.served["error"]) == ((400, "content_refused") if alone else (200, ""))
    for answer in (beside.text, asked_again(beside, name)):
        assert alone or "Paris" in answer
        if alone or "long" in name:
            assert WORDS[10] in answer and WORDS[100] not in answer, "what the client reads of it is cut"
        else:
            assert all(word in answer for word in WONT.split())


def asked_again(beside: BothPaths, name: str) -> str:
    """What the client of a direct call gets."""
    beside.ask("direct", name)
    return beside.text
