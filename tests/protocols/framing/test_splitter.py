"""A stream that goes through is cut as the readers of its framing cut it, wherever its bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intermodal.protocols.framing.event_streams import (
    EventSplitter,
    LineSplitter,
    LineTooLong,
    NdjsonReader,
    SseReader,
    event_data,
)

LONG = "x" * (70 << 10)
EVENTS = st.lists(
    st.sampled_from(["data: {}", "data: {}\ndata: []", ": a comment", "event: name\ndata: 1", f'data: "{LONG}"',
                     "id: 4", "data:", 'data: "\u00e4"']),
    max_size=6,
)  # fmt: skip
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


@given(EVENTS, ENDS, st.lists(st.integers(0, 1 << 20), max_size=8), st.booleans())
def test_events_have_the_data_that_a_reader_of_them_finds(
    events: list[str], end: str, cuts: list[int], whole: bool
) -> None:
    body = "".join(f"{event}\n\n" for event in events).replace("\n", end).encode()
    body = body if whole else body.removesuffix(2 * end.encode())
    reader, splitter = SseReader(), EventSplitter()
    read = [event.data for piece in pieces(body, cuts) for event in reader.feed(piece)]
    read += [event.data for event in reader.close()]
    cut = [event for piece in pieces(body, cuts) for event in splitter.feed(piece)]
    cut += splitter.close()
    found = [event_data(event) for event in cut]
    said = [data.replace("\n", "\t").strip().encode() for data in read]
    assert [data for data in found if data] == [data for data in said if data]


@given(
    st.lists(st.sampled_from(["{}", "", " ", LONG, '"\u00e4"', "\r"]), max_size=6), st.lists(st.integers(0, 1 << 20))
)
def test_lines_are_those_that_a_reader_of_them_finds(lines: list[str], cuts: list[int]) -> None:
    body = "\n".join(lines).encode()
    reader, splitter = NdjsonReader(), LineSplitter()
    read = [event.data for piece in pieces(body, cuts) for event in reader.feed(piece)]
    read += [event.data for event in reader.close()]
    cut = [line for piece in pieces(body, cuts) for line in splitter.feed(piece)] + splitter.close()
    assert b"\n".join(cut) == body.removesuffix(b"\n")
    assert read == [line.strip().decode() for line in cut if line.strip()]


@pytest.mark.parametrize("kind", [LineSplitter, EventSplitter])
def test_a_piece_without_end_is_an_error_however_it_comes(kind: type[LineSplitter]) -> None:
    for size in (1000, 70 << 10, 1 << 20):
        splitter = kind(most=1 << 20)
        splitter.feed(b"a" + kind.end)
        with pytest.raises(LineTooLong):
            for _ in range((1 << 20) // size + 1):
                splitter.feed(b"b" * size)
