"""Files of subtitles: a transcript with times, without numbers, marks and styles."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from intermodal import errors
from intermodal.core.content import BytesSource, File, Text
from intermodal.core.request import Message, Request
from intermodal.media.expand import expand_request
from intermodal.media.fetch import Fetcher
from intermodal.media.sniff import sniff
from intermodal.media.worker_client import MediaWorker

pytestmark = pytest.mark.anyio
SRT = """1
00:00:02,500 --> 00:00:04,000 X1:10 X2:20
<i>Good</i> <font color="#fff">morning.</font>

2
00:00:04,200 --> 00:00:06,000
{\\an8}We sold
7

3
00:00:06,000 --> 00:00:07,000
42

4
01:02:03,000 --> 01:02:04,000
What does it cost?
"""
READ = "[0:02] Good morning. We sold 7\n[0:06] 42\n[1:02:03] What does it cost?"
VTT = """WEBVTT - talk

STYLE
::cue { color: lime }

NOTE
00:00 is when the door opens

first
00:02.500 --> 00:04.000 align:start position:10%
<v Ann>Good <00:03.000><c.loud>morning</c> &amp; welcome.

01:02:03.000 --> 01:02:04.000
What does
it cost?
"""
ASS = r"""[Script Info]
ScriptType: v4.00+
[V4+ Styles]
Style: Default,Arial,16
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,typesetting by nobody
Dialogue: 0,1:02:03.00,1:02:04.00,Default,,0,0,0,,What does,\Nit cost?
Dialogue: 0,0:00:02.50,0:00:04.00,Default,Ann,0,0,0,,{\i1}Good{\i0} morning.
Dialogue: 1,0:00:02.50,0:00:04.00,Default,,0,0,0,,{\p1}m 0 0 l 100 0{\p0}
"""
BLANK = " "  # a row that looks empty
ROLLED = f"""WEBVTT
Kind: captions

00:00:00.160 --> 00:00:02.389
{BLANK}
hello<00:00:00.480><c> and</c><00:00:00.960><c> welcome</c>

00:00:02.389 --> 00:00:02.399
hello and welcome
{BLANK}

00:00:02.399 --> 00:00:05.000
hello and welcome
to<00:00:02.600><c> the</c><c> show</c>

00:00:05.000 --> 00:00:05.010
to the show
{BLANK}
"""


@pytest.fixture(scope="module")
async def worker(anyio_backend: str) -> AsyncIterator[MediaWorker]:
    async with MediaWorker() as worker:
        yield worker


async def read(worker: MediaWorker, name: str, data: bytes) -> Text:
    request = Request(messages=(Message(role="user", parts=(File(source=BytesSource(data=data, name=name)),)),))
    ((part,),) = [message.parts for message in (await expand_request(request, worker, Fetcher())).messages]
    assert isinstance(part, Text)
    return part


@pytest.mark.parametrize(
    ("name", "file", "said"),
    [
        ("talk.srt", SRT, READ),
        ("talk.srt", SRT.replace("\n", "\r\n"), READ),
        ("talk.vtt", VTT, "[0:02] Ann: Good morning & welcome.\n[1:02:03] What does it cost?"),
        ("talk.ass", ASS, "[0:02] Ann: Good morning.\n[1:02:03] What does, it cost?"),
        ("rolled.vtt", ROLLED, "[0:00] hello and welcome\n[0:02] to the show"),
        ("subtitles", SRT, READ),
    ],
)
async def test_a_file_of_subtitles_is_read_as_a_transcript_with_times(
    worker: MediaWorker, name: str, file: str, said: str
) -> None:
    assert (await read(worker, name, file.encode())).text == said


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
async def test_the_encoding_of_a_subtitle_file_is_detected(worker: MediaWorker, encoding: str) -> None:
    said = "Größe für Straßenbahnen, Brücken und Züge"
    file = f"1\n00:00:01,000 --> 00:00:02,000\n{said}\n"
    assert (await read(worker, "talk.srt", file.encode(encoding))).text == f"[0:01] {said}"


async def test_the_plan_is_told_how_many_lines_there_are_and_how_far_they_reach(worker: MediaWorker) -> None:
    assert (await read(worker, "talk.srt", SRT.encode())).notes == (
        "4 lines of subtitles up to 1:02:04, each with its time",
    )


async def test_words_without_times_are_taken_as_they_are_and_said_to_be(worker: MediaWorker) -> None:
    part = await read(worker, "talk.srt", b"Shopping\n- milk\n")
    assert part.text == "Shopping\n- milk\n"
    assert part.notes == ("holds no subtitles that can be read: taken as it is",)


async def test_more_lines_than_are_taken_are_refused_and_not_cut(worker: MediaWorker) -> None:
    file = "".join(f"{n // 3600}:{n // 60 % 60}:{n % 60}.0 --> 9:00:00.0\nline {n}\n\n" for n in range(20_001))
    with pytest.raises(errors.InputTooLarge, match="more than 20,000 lines"):
        await read(worker, "talk.srt", file.encode())


def test_the_source_of_subtitles_is_taken_under_a_name_of_text() -> None:
    assert sniff(SRT.encode(), "talk.txt") == ("text", "text/plain")
