"""A recording for an ear elsewhere is sent as it is where it can be in memory, else the sound that was decoded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.plans import catalogs
from tests.unit.executor.routes import FakeOpened

from intermodal.core.quantity import exact
from intermodal.errors import InputBroken
from intermodal.executor.preparation.part_inputs import InputPreparer
from intermodal.files.file_bytes import FileBytes
from intermodal.media.worker_results import Pcm
from intermodal.plans.facts import Facts, PartFacts
from intermodal.plans.step import Call

pytestmark = pytest.mark.anyio

EAR = catalogs.hosted(catalogs.ACME, "acme/ear", "small", (None, None), inputs=("audio",))


class Decoder:
    """Four samples of any recording."""

    async def pcm(self, data: FileBytes, **options: Any) -> Pcm:
        return Pcm(samples=b"\1\0" * 4, seconds=1.0)


def preparer(path: Path, size: int) -> InputPreparer:
    recording = PartFacts(
        index=0, name="call.flac", kind="audio", media_type="audio/flac", seconds=exact(1.0), size=size, channels=1
    )
    file: Any = FileBytes(os.open(path, os.O_RDONLY))
    media: Any = Decoder()
    return InputPreparer(FakeOpened(Facts(parts=(recording,)), (file,)), media, ())


STEP = Call(id="1", op="transcribe", task="automatic-speech-recognition", endpoint=EAR.id, inputs=("part:0",), title="")


async def test_a_recording_is_read_when_it_is_sent(media: Path) -> None:
    path = media / "two_cities_25s.flac"
    (sound,) = await preparer(path, path.stat().st_size).sounds(STEP, {}, EAR)
    assert (sound.data, sound.media_type) == (path.read_bytes(), "audio/flac")


async def test_one_that_is_too_large_for_memory_is_sent_as_what_was_decoded(media: Path) -> None:
    (sound,) = await preparer(media / "two_cities_25s.flac", (512 << 20) + 1).sounds(STEP, {}, EAR)
    assert (sound.data[-8:], sound.media_type) == (b"\1\0" * 4, "audio/wav")


async def test_one_that_was_written_to_meanwhile_is_not_sent(media: Path, tmp_path: Path) -> None:
    (path := tmp_path / "call.flac").write_bytes((media / "two_cities_25s.flac").read_bytes())
    prepared = preparer(path, 1_000)
    path.write_bytes(b"another")
    with pytest.raises(InputBroken, match="was written to while it was read"):
        await prepared.sounds(STEP, {}, EAR)
