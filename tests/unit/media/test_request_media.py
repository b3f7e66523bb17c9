"""A request opened: facts in the order of its parts, under names people can point at."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from tests.gates.victim import Victim, answer

from intermodal.core.content import (
    Audio,
    BytesSource,
    Document,
    File,
    Image,
    Part,
    PathSource,
    Text,
    ToolCall,
    ToolResult,
    UrlSource,
    Video,
)
from intermodal.core.request import Message, Request
from intermodal.errors import InputBroken, InputEmpty, InputError, InputMissing, InputUnsupported
from intermodal.media.fetch import Fetcher
from intermodal.media.request_media import OpenedRequest, open_request
from intermodal.media.worker_client import MediaWorker

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def worker(anyio_backend: str) -> AsyncIterator[MediaWorker]:
    async with MediaWorker() as worker:
        yield worker


def asked(*parts: Part) -> Request:
    return Request(messages=(Message(role="user", parts=parts),))


async def opened(worker: MediaWorker, *parts: Part) -> OpenedRequest:
    return await open_request(asked(*parts), worker)


async def test_every_part_has_its_facts_in_order(worker: MediaWorker, media: Path) -> None:
    names = ["jfk.wav", "screenshot-invoice.png", "report.pdf"]
    found = await opened(
        worker, Text(text="Do they agree?"), *[File(source=PathSource(path=str(media / name))) for name in names]
    )
    facts = found.facts.parts
    assert [part.name for part in facts] == ["prompt", *names]
    assert [part.kind for part in facts] == ["text", "audio", "image", "document"]
    assert [part.index for part in facts] == [0, 1, 2, 3]
    assert facts[0].chars == 14
    assert facts[1].seconds.mid == 11.0
    assert (facts[2].width, facts[2].height) == (900, 420)
    assert len(facts[3].pages) >= 2
    for index, part in enumerate(facts):
        assert part.digest == hashlib.sha256(found.data(index)).hexdigest()
        assert part.size == len(found.data(index))
    assert found.text(0) == "Do they agree?"
    with pytest.raises(InputUnsupported, match="is audio, not text"):
        found.text(1)


async def test_the_same_request_gives_the_same_facts(worker: MediaWorker, media: Path) -> None:
    names = ("report.pdf", "scanned.pdf", "screenshot-invoice.png", "photo-cat.jpg", "jfk.mp3")
    parts = [File(source=PathSource(path=str(media / name))) for name in names]
    assert (await opened(worker, *parts)).facts == (await opened(worker, *parts)).facts


async def test_a_text_needs_no_worker() -> None:
    worker = MediaWorker()
    await opened(worker, Text(text="hi"), File(source=BytesSource(data=b"some words", name="note.txt")))
    assert worker.pid is None


async def test_names_are_told_apart(worker: MediaWorker) -> None:
    part = File(source=BytesSource(data=b"words", name="a.txt"))
    found = await opened(worker, part, part, Text(text="x"), Text(text="y"), Text(text="z", name="a.txt"))
    assert [facts.name for facts in found.facts.parts] == ["a.txt", "a.txt (2)", "prompt", "prompt (2)", "a.txt (3)"]


async def test_very_many_parts_of_one_name_are_told_apart_at_once(worker: MediaWorker) -> None:
    """Counted anew for each part it took 50 s, in which a server answered nobody."""
    began = time.process_time()
    found = await opened(worker, *[Text(text="x")] * 20_000)
    assert found.facts.parts[-1].name == "prompt (20000)"
    assert time.process_time() - began < 15


async def test_a_text_file_is_words_in_its_encoding(worker: MediaWorker) -> None:
    data = "Grüße\n".encode("utf-16")
    found = await opened(worker, File(source=BytesSource(data=data, name="gruss.txt")))
    assert found.text(0) == "Grüße\n"
    assert found.data(0) == data
    assert found.facts.parts[0].chars == 6


async def test_a_conversation_is_named_by_who_spoke(worker: MediaWorker) -> None:
    request = Request(
        messages=(
            Message(role="system", parts=(Text(text="Be brief."),)),
            Message(role="user", parts=(Text(text="Hi"),)),
            Message(role="assistant", parts=(Text(text="Hello"), ToolCall(id="1", name="look", arguments='{"a":1}'))),
            Message(role="tool", parts=(ToolResult(id="1", text="nothing"),)),
            Message(role="user", parts=(Text(text="And?"),)),
        )
    )
    found = await open_request(request, worker)
    names = [part.name for part in found.facts.parts]
    assert names == ["system prompt", "prompt", "answer", "call of look", "tool result", "prompt (2)"]
    assert found.text(3) == '{"a":1}'


async def test_the_bytes_decide_not_the_declaration(worker: MediaWorker, media: Path) -> None:
    speech = PathSource(path=str(media / "jfk.mp3"))
    assert (await opened(worker, Image(source=speech))).facts.parts[0].kind == "audio"
    words = BytesSource(data=b"plain words", name="a")
    assert (await opened(worker, Document(source=words))).facts.parts[0].kind == "text"


@pytest.mark.parametrize(
    ("part", "kind", "words"),
    [
        (Image(source=BytesSource(data=b"words", name="x")), InputBroken, "was given as an image but holds text"),
        (Audio(source=BytesSource(data=b"words", name="x")), InputBroken, "was given as sound but holds text"),
        (Video(source=BytesSource(data=b"words", name="x")), InputBroken, "was given as video but holds text"),
        (Video(source=BytesSource(data=b"\x1aE\xdf\xa3" + bytes(99), name="x")), InputBroken, "cut short"),
        (File(source=BytesSource(data=b"words", name="x.png")), InputBroken, "is named .png but holds text"),
        (File(source=BytesSource(data=b"", name="x")), InputEmpty, "is empty"),
        (Text(text="bad \udcff"), InputBroken, "not text"),
    ],
)
async def test_a_part_that_cannot_be_meant_is_refused(
    worker: MediaWorker, part: Part, kind: type[InputError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        await opened(worker, Text(text="?"), part)


@pytest.mark.slow
async def test_the_error_is_one_error_and_comes_without_waiting_for_the_rest(worker: MediaWorker) -> None:
    """A missing file is told at once, though a URL beside it takes its time."""
    async with Victim({"/slow": [3000.0, answer()]}) as server:
        slow = File(source=UrlSource(url=f"http://127.0.0.1:{server.port}/slow"))
        request = asked(slow, File(source=PathSource(path="/nowhere/at/all.png")))
        with anyio.fail_after(300), pytest.raises(InputMissing):
            await open_request(request, worker, fetcher=Fetcher(may_dial=lambda address: True))
