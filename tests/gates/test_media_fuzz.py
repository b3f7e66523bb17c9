"""D13 for media: damaged files give an error or an answer, never a traceback and never a hang."""

from __future__ import annotations

import random
from pathlib import Path

import anyio
import pytest
from tests.gates import corpus, films

from intermodal.core.content import BytesSource, File
from intermodal.core.request import Message, Request
from intermodal.errors import InputError
from intermodal.media.request_media import open_request
from intermodal.media.worker_client import MediaWorker

pytestmark = [pytest.mark.gate, pytest.mark.anyio]
NAMES = (
    "jfk.wav", "jfk.mp3", "two_cities_25s.flac", "music.m4a", "music.ogg", "photo-cat.jpg", "screenshot-invoice.png",
    "report.pdf", "scanned.pdf", "bigbuckbunny.mp4",
)  # fmt: skip


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Bytes flipped (half of them in the header), a stretch removed or repeated, or the end cut off."""
    made = bytearray(data)
    match chance.randrange(4):
        case 0:
            for _ in range(chance.randint(1, 20)):
                made[chance.randrange(min(len(made), 300))] = chance.randrange(256)
        case 1:
            for _ in range(chance.randint(1, 200)):
                made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)
        case 2:
            start, size = chance.randrange(len(made)), chance.randint(1, 5000)
            made[start : start + size] = made[start : start + size] * chance.choice((0, 2, 5))
        case 3:
            del made[chance.randrange(len(made)) :]
    return bytes(made)


async def test_d13_damaged_media_is_answered_or_refused(media: Path, full_gates: bool) -> None:
    chance = random.Random(20_261_125)
    originals = {name: (media / name).read_bytes() for name in NAMES}
    originals["moving.gif"] = corpus.gif(30, width=20, height=20, frame=(2, 2))
    originals["moving.png"] = corpus.apng(30)
    originals |= films.small_ones(media)
    taken = 0
    async with MediaWorker() as worker:
        for _ in range(5_000 if full_gates else 150):
            name = chance.choice(sorted(originals))
            data = damaged(originals[name], chance)
            request = Request(messages=(Message(role="user", parts=(File(source=BytesSource(data=data, name=name)),)),))
            with anyio.fail_after(300):
                try:
                    opened = await open_request(request, worker)
                    kind = opened.facts.parts[0].kind
                    if kind == "audio":
                        await worker.pcm(data, name=name)
                    elif kind == "video":
                        await worker.frames(data, spread=chance.choice(("scenes", "1 fps")), most=4, name=name)
                        if opened.facts.parts[0].channels:
                            await worker.pcm(data, name=name)
                    elif kind == "image" and opened.facts.parts[0].frames > 1:
                        await worker.frames(data, spread="scenes", most=4, max_side=100, name=name)
                    elif kind == "image":
                        await worker.picture(data, name=name, max_side=500)
                    elif kind == "document":
                        await worker.page_text(data, (1,), name=name)
                        await worker.page_images(data, (1,), 50, name=name)
                    taken += 1
                except InputError as error:
                    words = str(error)
                    assert error.where == name, words
                    assert error.todo, words
                    assert words.isprintable()
                    assert "0x" not in words
                    assert "(" not in words or "Error)" not in words, f"an exception nobody foresaw: {words}"
    assert taken > 10
