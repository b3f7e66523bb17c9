"""Files the command line writes and reads: whole or not at all, and never outside the folder that was named."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest

from intermodal.cli.arguments.files import (
    load_json,
    save_derived,
    with_absolute_paths,
    write_atomically,
    write_json,
)
from intermodal.core.content import File, PathSource, ReadLine, Segment, Text, Transcript
from intermodal.core.request import Message, Request
from intermodal.errors import InputBroken, InputMissing, UsageError
from intermodal.events import Derived
from intermodal.plans.facts import Facts
from intermodal.plans.machine import Machine
from intermodal.plans.plan import Inputs
from intermodal.plans.statistics import Statistics
from intermodal.protocols.openai_media.transcription import subtitles

HEARD = Transcript(
    language="en",
    seconds=3700.0,
    segments=(
        Segment(start=0.0, end=1.2345, text=" Hello\n\n there "),
        Segment(start=3661.0, end=3660.0, text="a --> b <i>&"),
    ),
)


def test_srt_has_numbers_commas_and_nothing_that_ends_a_block_early() -> None:
    assert subtitles(HEARD, "srt") == (
        "1\n00:00:00,000 --> 00:00:01,234\nHello there\n"
        "\n2\n01:01:01,000 --> 01:01:01,000\na → b <i>&\n"
    )  # fmt: skip


def test_vtt_has_its_head_dots_and_no_markup_of_the_speaker() -> None:
    assert subtitles(HEARD, "vtt") == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.234\nHello there\n"
        "\n01:01:01.000 --> 01:01:01.000\na → b &lt;i&gt;&amp;\n"
    )  # fmt: skip


def test_no_speech_is_an_empty_document() -> None:
    assert subtitles(Transcript(), "srt") == ""
    assert subtitles(Transcript(), "vtt") == "WEBVTT\n"


def test_what_was_made_is_saved_under_the_name_of_its_file(tmp_path: Path) -> None:
    lines = (ReadLine(text="Total 5", confidence=0.9), ReadLine(text="Due", confidence=0.8))
    derived = (
        Derived(step="a", name="call.wav", op="transcribe", transcript=HEARD),
        Derived(step="b", name="invoice.png", op="read", lines=lines),
        Derived(step="c", name="report.pdf", op="extract", text="page one"),
        Derived(step="d", name="report.pdf", op="extract", text="page two"),
    )
    written = save_derived(tmp_path / "out" / "deep", derived)
    assert [path.name for path in written] == [
        "call.wav.transcribe.txt", "call.wav.transcribe.srt", "call.wav.transcribe.json",
        "invoice.png.read.txt", "invoice.png.read.json",
        "report.pdf.extract.txt", "report.pdf.extract.2.txt",
    ]  # fmt: skip
    assert (tmp_path / "out/deep/invoice.png.read.txt").read_text() == "Total 5\nDue\n"
    assert (tmp_path / "out/deep/report.pdf.extract.2.txt").read_text() == "page two\n"
    assert msgspec.json.decode((tmp_path / "out/deep/call.wav.transcribe.json").read_bytes(), type=Transcript) == HEARD


@pytest.mark.parametrize("name", ["../../evil.wav", "/etc/passwd", "..", "", ".bashrc", "a\0b", "x" * 400, "a/../../b"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "out"
    written = save_derived(folder, (Derived(step="a", name=name, op="read", text="x"),))
    assert {path.resolve().parent for path in written} == {folder}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be made"):
        save_derived(tmp_path / "file", (Derived(step="a", name="x", op="read", text="x"),))


def test_a_write_that_fails_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write_atomically(tmp_path / "no" / "plan.json", b"x")
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        write_atomically(target, b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_a_written_file_may_be_read_by_whom_the_umask_lets(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "plan.svg", b"<svg/>")
        (written,) = save_derived(tmp_path / "out", (Derived(step="a", name="x", op="read", text="x"),))
    finally:
        os.umask(before)
    assert (_mode(tmp_path / "plan.svg"), _mode(written)) == (mode, mode)


def test_a_saved_plan_is_its_owners_only_and_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write_json(path, Facts())
    assert _mode(path) == 0o600
    path.chmod(0o640)
    write_json(path, Facts())
    assert _mode(path) == 0o640


def test_inputs_come_back_as_they_were_saved(tmp_path: Path) -> None:
    from intermodal.catalog.types import Catalog

    request = Request(messages=(Message(role="user", parts=(Text(text="grüß"),)),))
    inputs = Inputs(
        request=request,
        facts=Facts(),
        catalog=Catalog(),
        machine=Machine(),
        statistics=Statistics(),
        as_of="2026-11-25",
    )
    file = tmp_path / "inputs.json"
    write_json(file, inputs)
    assert load_json(file, Inputs, 1, what="inputs", todo="save") == inputs
    with pytest.raises(InputBroken, match="version 1, not 2"):
        load_json(file, Inputs, 2, what="inputs", todo="save")


def test_a_file_that_holds_something_else_is_said(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    with pytest.raises(InputMissing, match="no such file"):
        load_json(file, Inputs, 1, what="inputs", todo="save")
    for data in (b"", b"{}", b"\xff", b"[1]", b'{"request": 3}'):
        file.write_bytes(data)
        with pytest.raises(InputBroken, match="does not hold inputs"):
            load_json(file, Inputs, 1, what="inputs", todo="save")


def test_a_plan_saved_here_runs_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parts = (Text(text="q"), File(source=PathSource(path="a.wav")), File(source=PathSource(path="/b.wav")))
    moved = with_absolute_paths(Request(messages=(Message(role="user", parts=parts),)))
    assert [part for _, _, part in moved.parts()] == [
        Text(text="q"),
        File(source=PathSource(path=str(tmp_path / "a.wav"))),
        File(source=PathSource(path="/b.wav")),
    ]
