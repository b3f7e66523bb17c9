"""The event-stream reader: any cut of the bytes gives the same events."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intermodal.protocols.framing import event_streams
from intermodal.protocols.framing.event_streams import SseEvent, SseReader


def read(*chunks: bytes) -> list[SseEvent]:
    reader = SseReader()
    found = [event for chunk in chunks for event in reader.feed(chunk)]
    return found + reader.close()


STREAM = (
    b"\xef\xbb\xbf: hello\n\ndata: one\r\n\r\nevent: error\ndata: t\xc3\xa4\ndata:wo\n\n"
    b": ping\r\rid: 7\rdata: \xf0\x9f\x98\x80\r\rretry: 10\n\ndata\n\ndata:  two spaces\n\n"
)
EVENTS = [
    SseEvent(data="one"),
    SseEvent(data="tä\nwo", event="error"),
    SseEvent(data="😀"),
    SseEvent(data=""),
    SseEvent(data=" two spaces"),
]


def test_reads_comments_names_all_line_ends_and_a_byte_order_mark() -> None:
    assert read(STREAM) == EVENTS


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_a_cut_at_any_byte_changes_nothing(cut: int) -> None:
    assert read(STREAM[:cut], STREAM[cut:]) == EVENTS


def test_byte_by_byte_changes_nothing() -> None:
    assert read(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == EVENTS


def test_the_last_event_needs_no_blank_line() -> None:
    assert read(b"data: [DONE]") == [SseEvent(data="[DONE]")]


def test_a_bare_line_of_json_is_an_event() -> None:
    assert read(b'data: a\n\n{"error":"no"}\n') == [SseEvent(data="a"), SseEvent(data='{"error":"no"}')]


def test_broken_utf8_is_replaced_not_raised() -> None:
    assert read(b"data: a\xff\xfeb\n\n") == [SseEvent(data="a\ufffd\ufffdb")]


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "MAX_LINE", 1000)
    reader = SseReader()
    with pytest.raises(event_streams.LineTooLong):
        for _ in range(200):
            reader.feed(b"data: 12345")


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_any_bytes_in_any_pieces_give_the_same_events(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(places)]
    assert read(*pieces) == read(data)


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1), max_size=5))
def test_what_was_framed_comes_out(lines: list[str]) -> None:
    framed = "".join(f"data: {line}\n\n" for line in lines).encode()
    assert [event.data for event in read(framed)] == lines
