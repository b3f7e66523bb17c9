"""The real Piper, a separate program, and the real ear that hears it back."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import psutil
import pytest
from tests.unit.local.runtime_fixtures import BASE, endpoint, runtimes, words

from intermodal.errors import InputUnsupported, NotInstalled, RuntimeCrashed
from intermodal.evaluation.graders import word_error_rate
from intermodal.executor.outputs.speech import speech_lines
from intermodal.local.embedded import piper
from intermodal.local.embedded.availability import install_command
from intermodal.local.embedded.runtimes import EmbeddedRuntimes
from intermodal.media.audio.encoding import mp3, wav
from intermodal.media.worker_client import MediaWorker

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]
JOE = endpoint("piper", "piper-en-us-joe-medium")
TEXT = "The total of the invoice is forty two euros. Please pay it before the end of the month, by bank transfer."
LONG = " ".join(["The quick brown fox jumps over the lazy dog, and then it runs into the dark forest."] * 40)


@pytest.fixture(scope="module")
async def voice() -> AsyncIterator[EmbeddedRuntimes]:
    found = runtimes()
    yield found
    await found.close()


async def heard(sound: bytes) -> list[str]:
    """What Whisper hears in a file."""
    ears, media = runtimes(), MediaWorker()
    try:
        pcm = await media.pcm(sound)
        return words((await ears.transcribe(BASE, pcm.samples, language="en")).transcript.text)
    finally:
        await ears.close()
        await media.close()


@pytest.mark.parametrize("pack", [wav, mp3], ids=["wav", "mp3"])
async def test_what_is_spoken_is_heard_again_in_nearly_every_word(voice: EmbeddedRuntimes, pack: object) -> None:
    """At most two of twenty words wrong: the voice draws its tone at random, and now and then a short word is lost."""
    spoken = await voice.speak(JOE, speech_lines(TEXT))
    assert 4 < len(spoken.pcm) / 2 / spoken.rate < 12
    found = " ".join(await heard(pack(spoken.pcm, spoken.rate)))  # type: ignore[operator]
    assert word_error_rate(found.replace("42", "forty two"), " ".join(words(TEXT))) <= 0.1, found


async def test_loading_is_told_apart_from_work_and_progress_comes_line_by_line(voice: EmbeddedRuntimes) -> None:
    await voice.unload(JOE.id)
    seen: list[tuple[float | None, str]] = []
    first = await voice.speak(JOE, ("One.", "Two and three."), progress=lambda part, line: seen.append((part, line)))
    again = await voice.speak(JOE, ("One.",))
    assert first.load_seconds > 0 == again.load_seconds
    assert [line for _, line in seen] == ["One.", "Two and three."]
    assert seen[-1][0] == 1.0
    assert 50e6 < first.peak_memory < 1e9
    assert voice.loaded_endpoints() == (JOE.id,)


async def test_a_line_without_sound_is_left_out_and_the_others_are_spoken(voice: EmbeddedRuntimes) -> None:
    alone = await voice.speak(JOE, ("Hello there.",))
    spoken = await voice.speak(JOE, ("Hello there.", "\N{JAVANESE LETTER KA}"))
    assert spoken.silent == ("\N{JAVANESE LETTER KA}",)
    assert len(spoken.pcm) == pytest.approx(len(alone.pcm), rel=0.4)
    with pytest.raises(InputUnsupported, match="nothing in it that this voice can speak"):
        await voice.speak(JOE, ("\N{JAVANESE LETTER KA}",))
    assert (await voice.speak(JOE, ("And on.",))).silent == ()


async def test_a_cancelled_text_leaves_no_process_and_the_next_one_is_spoken() -> None:
    others = {process.pid for process in psutil.Process().children(recursive=True)}
    found = runtimes()
    await found.speak(JOE, ("One.",))
    pid = found._slots[JOE.id].worker.pid
    assert pid is not None
    with anyio.move_on_after(0.5) as scope:
        await found.speak(JOE, speech_lines(LONG))
    assert scope.cancelled_caught
    assert not psutil.pid_exists(pid)
    assert (await found.speak(JOE, ("Two.",))).pcm
    await found.close()
    assert {process.pid for process in psutil.Process().children(recursive=True)} <= others


async def test_the_child_process_ends_when_its_input_is_closed(voice: EmbeddedRuntimes) -> None:
    await voice.speak(JOE, ("One.",))
    worker = voice._slots[JOE.id].worker
    process = worker._process
    await process.stdin.aclose()
    with anyio.fail_after(300):
        await process.wait()


async def test_closing_the_runtime_removes_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = runtimes()
    await found.speak(JOE, ("One.",))
    assert list(tmp_path.iterdir())
    await found.close()
    assert list(tmp_path.iterdir()) == []


# ---- where it is found, and programs that are not it ------------------------------------------------


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_one_beside_this_python_is_found_and_another_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Path(piper.program()).name == "piper"
    own = script(tmp_path / "mypiper", "exit 0")
    monkeypatch.setenv("INTERMODAL_PIPER", str(own))
    assert piper.program() == str(own)


def test_a_namesake_on_the_path_is_not_taken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "piper", "exec configure-a-mouse")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert piper.program() == ""
    assert install_command("piper") == "pip install piper-tts (GPL-3.0; it runs as a separate program)"


async def test_without_it_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(NotInstalled, match="pip install piper-tts"):
        await runtimes().speak(JOE, ("Hello.",))


async def test_a_program_that_fails_is_quoted_shortly_and_without_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = script(tmp_path / "broken", f"echo 'no such voice: {tmp_path}/x.onnx {'z' * 500}' >&2; exit 3")
    monkeypatch.setenv("INTERMODAL_PIPER", str(own))
    with pytest.raises(RuntimeCrashed, match="no such voice") as caught:
        await runtimes().speak(JOE, ("Hello.",))
    assert str(tmp_path) not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert not caught.value.sent


def test_nothing_of_ours_imports_it() -> None:
    """It is under the GPL: run, never linked."""
    package = Path(piper.__file__).parents[2]
    for path in package.rglob("*.py"):
        text = path.read_text("utf-8")
        assert "import piper\n" not in text.replace("from intermodal.local.embedded import piper\n", "")
        assert "from piper" not in text
    assert os.environ.get("INTERMODAL_PIPER") is None
