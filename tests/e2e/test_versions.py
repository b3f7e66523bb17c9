"""A converter that makes something else of a file has another version, or a cache gives out what the older one made.

``versions.json`` has what each made of a few files, and in which version. ``--bless`` writes what is made now, for a
converter whose number in ``local/embedded/versions.py`` was raised, and for no other.
"""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image
from tests.unit.local.runtime_fixtures import OCR, TINY_EN, pcm, runtimes

from intermodal.executor.conversion.image_descriptions import MAX_TOKENS, description_prompt
from intermodal.local.embedded.runtimes import EmbeddedRuntimes
from intermodal.local.embedded.versions import CONVERTERS, converter_version
from intermodal.media.worker_client import MediaWorker

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]
RECORD = Path(__file__).with_name("versions.json")
CODES = Path(__file__).parents[1] / "media"
LOCAL_ZONES = 0.3  # seconds, and steps of 32 of grey and of 256 of loudness, by which processors may differ


@pytest.fixture(scope="module")
async def here() -> AsyncIterator[EmbeddedRuntimes]:
    found = runtimes()
    yield found
    await found.close()


@pytest.fixture(scope="module")
async def worker() -> AsyncIterator[MediaWorker]:
    found = MediaWorker()
    yield found
    await found.close()


def looks(data: bytes) -> list[Any]:
    """Size and an 8 x 8 miniature of an image."""
    with Image.open(io.BytesIO(data)) as picture:
        small = picture.convert("L").resize((8, 8), Image.Resampling.BOX)
        return [list(picture.size), (numpy.asarray(small).reshape(-1).astype(float) / 8).tolist()]


def lying(path: Path) -> bytes:
    with Image.open(path) as picture:
        picture.rotate(90, expand=True).save(turned := io.BytesIO(), "PNG")
    return turned.getvalue()


async def read(media: Path, here: EmbeddedRuntimes, worker: MediaWorker) -> Any:
    invoice = media / "screenshot-invoice.png"
    pictures = invoice.read_bytes(), lying(invoice)
    seen = [await here.recognize_text(OCR, data) for data in pictures]
    return [[[line.text, line.unread] for line in each.lines] for each in seen]


async def heard(media: Path, here: EmbeddedRuntimes, worker: MediaWorker) -> Any:
    made = (await here.transcribe(TINY_EN, pcm(media / "jfk.wav"))).transcript
    return [[segment.start, segment.end, segment.text] for segment in made.segments]


async def sound(media: Path, here: EmbeddedRuntimes, worker: MediaWorker) -> Any:
    made = await worker.pcm((media / "jfk.mp3").read_bytes())
    samples = numpy.frombuffer(bytes(made.samples[0 : len(made.samples)]), "<i2").astype(float)
    loud = [float(numpy.sqrt((half**2).mean())) / 128 for half in numpy.array_split(samples, 20)]
    return [made.seconds, [round(each, 3) for each in loud]]


async def frames(media: Path, here: EmbeddedRuntimes, worker: MediaWorker) -> Any:
    made = await worker.frames((media / "talk-over-stills.mp4").read_bytes(), spread="scenes", most=3, max_side=320)
    return [[frame.at, looks(frame.data)] for frame in made]


async def picture(media: Path, here: EmbeddedRuntimes, worker: MediaWorker) -> Any:
    return looks((await worker.picture((media / "photo-cat.jpg").read_bytes(), max_side=200)).data)


async def page(media: Path, here: EmbeddedRuntimes, worker: MediaWorker) -> Any:
    (made,) = await worker.page_images((media / "report.pdf").read_bytes(), (1,), 60)
    return looks(made.data)


async def codes(media: Path, here: EmbeddedRuntimes, worker: MediaWorker) -> Any:
    found = await worker.codes((CODES / "codes.png").read_bytes())
    return [[code.kind, code.text] for code in found]


async def asked(media: Path, here: EmbeddedRuntimes, worker: MediaWorker) -> Any:
    return [description_prompt("What is it?"), description_prompt(""), MAX_TOKENS]


MADE: dict[str, Callable[[Path, EmbeddedRuntimes, MediaWorker], Awaitable[Any]]] = {
    "ocr": read, "whisper": heard, "audio": sound, "video": frames, "image": picture, "document": page,
    "describe": asked, "codes": codes,
}  # fmt: skip
THEIRS = {"llama"}  # nothing of what it makes is ours


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float | int) and isinstance(other, float | int):
        return abs(one - other) <= LOCAL_ZONES
    return bool(one == other)


@pytest.mark.parametrize("name", sorted({*CONVERTERS} - THEIRS))
async def test_what_a_converter_makes_changes_with_its_version_alone(
    name: str, media: Path, here: EmbeddedRuntimes, worker: MediaWorker, bless: bool
) -> None:
    record = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    was = record.get(name, {"number": 0})
    made = await MADE[name](media, here, worker)
    if bless and was["number"] < CONVERTERS[name].number:
        record[name] = was = {"number": CONVERTERS[name].number, "version": converter_version(name), "made": made}
        rows = (f"{json.dumps(key)}: {json.dumps(record[key], ensure_ascii=False)}" for key in sorted(record))
        RECORD.write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")
    assert was["number"] == CONVERTERS[name].number, "run this test with --bless, and read what changed"
    if was["version"] == converter_version(name):  # with another package its version is another, too
        assert alike(made, was["made"]), f"raise the number of {name} in local/embedded/versions.py: {made}"
