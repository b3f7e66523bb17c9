"""What counts as a sign of life, until when one is waited for, and when an answer is longer than was allowed. Pure."""

from __future__ import annotations

import pytest

from intermodal.local.tokenizers import byte_pair
from intermodal.protocols.answer_state import MOST_BLANKS, AnswerState, TokenLimiter, is_output
from intermodal.protocols.calls import (
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    SpeechDelta,
    ToolCallDelta,
    WireEvent,
    WireTextDelta,
    WireUsage,
)
from intermodal.transport.timeouts import IdleTimeout

PIECES: list[tuple[WireEvent, bool]] = [
    (WireTextDelta(text="a"), True), (WireTextDelta(text=""), False), (WireTextDelta(text=" \n"), False),
    (ReasoningDelta(text="hm"), True), (ReasoningDelta(text=" "), False),
    (ReasoningDelta(text="", signature="s"), True),
    (RefusalDelta(text="no"), True), (ToolCallDelta(index=0, name="f"), True), (ToolCallDelta(index=0), False),
    (ToolCallDelta(index=0, arguments='{"a"'), True), (SpeechDelta(data=b"x"), True), (SpeechDelta(data=b""), False),
    (OpaqueBlock(wire="anthropic", body="{}"), True), (WireUsage(output_tokens=3), False),
]  # fmt: skip


@pytest.mark.parametrize(("event", "alive"), PIECES)
def test_only_a_piece_of_the_answer_is_a_sign_of_life(event: WireEvent, alive: bool) -> None:
    assert is_output(event) is alive


def test_bytes_that_say_nothing_make_no_wait_longer_but_where_a_host_thinks_unseen() -> None:
    for thinking, until in ((0.0, 160.0), (300.0, 218.0)):
        silence = IdleTimeout(60.0, thinking)
        silence.record_answer_piece(100.0)
        assert silence.deadline_after(100.0) == 160.0
        assert silence.deadline_after(158.0) == until
    silence.add_pause(50.0)
    assert silence.deadline_after(449.0) == 450.0, "whoever reads was behind for 50 s"


TEXTS = {
    "English": "It's the capital of France, isn't it? The answer: 42 (forty-two), see http://example.com/a_b?c=d. ",
    "German": "Donaudampfschifffahrtsgesellschaft und Überschallgeschwindigkeit sind schöne, lange Wörter. ",
    "Chinese": "巴黎是法国的首都,也是最大的城市。它位于塞纳河畔,有两千多年的历史。",
    "Hindi": "पेरिस फ़्रांस की राजधानी है और वहाँ का सबसे बड़ा शहर है। ",
    "code": "    for index in range(10):\n        total += values[index] ** 2  # sum_of_squares\n\n\n",
    "a rule": "=" * 80 + "\n" + "-" * 80 + "\n",
    "blanks": " " * 400 + "\n" * 40,
    "numbers": "3.14159 2,718,281 1.380.500 0x00ff ",
    "emoji": "👩‍👩‍👧 🎉🎉🎉 ✓ ",
}


@pytest.mark.parametrize("vocabulary", ["cl100k_base", "o200k_base"])
@pytest.mark.parametrize("name", TEXTS)
def test_no_host_that_keeps_to_its_limit_is_cut(name: str, vocabulary: str) -> None:
    """The answer has as many tokens as were allowed, by the vocabulary that it was written in, and comes in pieces."""
    text = TEXTS[name] * 40
    tokens = byte_pair.count(vocabulary, text)
    assert tokens
    for size in (1, 3, 50, len(text)):
        meter = TokenLimiter(tokens)
        assert not any(meter.exceeds_limit(text[at : at + size]) for at in range(0, len(text), size)), (tokens, size)


@pytest.mark.slow
def test_words_without_end_are_noticed_after_few_more_than_were_allowed() -> None:
    meter, shown = TokenLimiter(100), 0
    while not meter.exceeds_limit("word "):
        shown += 1
        assert shown < 130
    assert shown >= 100 and meter.stopped
    meter = TokenLimiter(100)
    text = "word " * 2_000_000
    assert meter.exceeds_limit(text) and 100 <= len(meter.allowed_part(text).split()) <= 130
    assert not TokenLimiter(None).exceeds_limit(text)


def test_thoughts_words_and_arguments_have_one_limit_together() -> None:
    pieces: list[WireEvent] = [
        ReasoningDelta(text="think "),
        WireTextDelta(text="word "),
        ToolCallDelta(index=0, arguments="x "),
    ]
    for kept_to in (10, 33, 34):
        state = AnswerState("h:m", limit=3 * kept_to)
        assert all(state.record_event(event) is event for event in pieces * kept_to), (
            "it has as many tokens as were allowed"
        )
    state = AnswerState("h:m", limit=100)
    kept = [event for event in pieces * 1000 if state.record_event(event) is not None]
    assert state.overran and 100 <= len(kept) <= 130
    assert state.record_event(WireUsage(output_tokens=3)) is not None


def test_a_thought_that_is_too_long_is_cut_without_what_vouches_for_it() -> None:
    state = AnswerState("h:m", limit=100)
    kept = state.record_event(ReasoningDelta(text="think " * 5000, signature="signed"))
    assert isinstance(kept, ReasoningDelta) and 100 <= len(kept.text.split()) <= 130 and not kept.signature
    assert state.record_event(WireTextDelta(text="word")) is None


@pytest.mark.parametrize("text", ["word " * 400, "a " * 400, "巴黎 " * 400, "no-one, " * 400])
def test_an_answer_is_cut_after_the_same_word_however_it_is_counted(text: str) -> None:
    """Words that are counted only when they might be too many are cut where those are that are counted one by one."""
    for size in (1, 2, 7, 50, len(text)):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        state, meter, shown = AnswerState("h:m", limit=50), TokenLimiter(50), ""
        for piece in pieces:
            if meter.exceeds_limit(piece):
                shown += meter.allowed_part(piece)
                break
            shown += piece
        assert any(map(state.record_text, pieces)) and state.overran
        assert "".join(state.text) == shown


def test_blanks_without_end_are_no_answer_unless_a_word_came() -> None:
    blank = WireTextDelta(text=" " * 4096)
    state = AnswerState("h:m", limit=10)
    kept = [state.record_event(blank) for _ in range(MOST_BLANKS // 4096 + 2)]
    assert state.stopped == "blanks" and kept[-1] is None and "blanks" in str(state.blanks_error())
    state = AnswerState("h:m")
    assert state.record_event(ReasoningDelta(text="Hm.")) and not state.worded
    assert any(state.record_text(blank.text) for _ in range(MOST_BLANKS // 4096 + 2)), "a thought is no word"
    assert not AnswerState("h:m", streamed=False).record_text(" " * (MOST_BLANKS + 1)), "what came whole is there"
    state = AnswerState("h:m")
    state.record_text("word")
    assert not any(state.record_text(blank.text) for _ in range(MOST_BLANKS // 4096 + 2))


def test_a_stream_that_repeats_itself_is_stopped_where_it_is_guarded_and_a_whole_answer_is_not() -> None:
    again = "What does one do with a loop? "
    state = AnswerState("h:m", guarded=True)
    assert any(state.record_text(again) for _ in range(20)) and state.stopped_for_loop
    assert not AnswerState("h:m", guarded=True, streamed=False).record_text(again * 60)
    assert not AnswerState("h:m").record_text(again * 60)


def test_an_answer_that_is_told_anew_is_judged_anew() -> None:
    again = "What does one do with a loop? "
    state = AnswerState("h:m", limit=50, guarded=True)
    for _ in range(3):
        assert not any(state.record_text(text) for text in (*[again] * 3, "word " * 30))
        state.restart()
    assert not state.text and not state.worded and not any(map(state.record_text, ["word "] * 60))
    assert any(map(state.record_text, ["word "] * 20)) and state.overran


@pytest.mark.parametrize("between", [" ", "\n", "\t"])
def test_words_of_megabytes_are_counted_up_to_the_limit_and_no_further(between: str) -> None:
    limiter = TokenLimiter(4_096)
    assert limiter.exceeds_limit(f"item number 1234 price 12.5,{between}" * 100_000)
    assert 4_096 < limiter.least_tokens < 20_000


@pytest.mark.parametrize("between", [" ", "\n", "-"])
def test_a_long_text_has_as_many_words_as_its_pieces(between: str) -> None:
    text = f"some words, and 12.5 more{between}" * 20_000
    whole, pieces = TokenLimiter(10_000_000), TokenLimiter(10_000_000)
    whole.exceeds_limit(text)
    for place in range(0, len(text), 1_000):
        pieces.exceeds_limit(text[place : place + 1_000])
    assert whole.least_tokens == pytest.approx(pieces.least_tokens, abs=1)
