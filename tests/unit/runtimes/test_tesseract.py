"""Tesseract beside the embedded reader: found, asked for its languages, and given single lines of other scripts."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy
import pytest

from intermodal.runtimes.embedded import ocr, tesseract

# Stands in for the program: knows Russian and English, and reads any page as Russian words, surely.
PROGRAM = """#!{python}
import io, sys
if "--list-langs" in sys.argv:
    print("List of available languages in /usr/share (3):\\neng\\nosd\\nrus")
    raise SystemExit
from PIL import Image
assert sys.argv[sys.argv.index("-l") + 1] == "rus", sys.argv
pages = Image.open(io.BytesIO(sys.stdin.buffer.read())).n_frames
print("level\\tpage_num\\tblock_num\\tpar_num\\tline_num\\tword_num\\tleft\\ttop\\twidth\\theight\\tconf\\ttext")
for page in range(1, pages + 1):
    print(f"4\\t{{page}}\\t1\\t1\\t1\\t0\\t0\\t0\\t9\\t9\\t-1\\t")
    print(f"5\\t{{page}}\\t1\\t1\\t1\\t1\\t0\\t0\\t9\\t9\\t{confidence}\\t\\u0421\\u0443\\u043c\\u043c\\u0430")
    print(f"5\\t{{page}}\\t1\\t1\\t1\\t2\\t0\\t0\\t9\\t9\\t{confidence}\\t{{page}}{{page}}")
"""
LINES = [numpy.full((40, 300, 3), 255, dtype=numpy.uint8)] * 2


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, *, confidence: float = 96.5) -> None:
    program = folder / "tesseract"
    program.write_text(PROGRAM.format(python=sys.executable, confidence=confidence))
    program.chmod(0o755)
    monkeypatch.setenv(tesseract.PLACE, str(program))


def test_it_is_asked_which_scripts_it_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch)
    assert tesseract.languages() == {"Cyrillic": "rus"}


def test_all_lines_are_read_in_one_run_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch)
    read, code = tesseract.read(LINES, {"Cyrillic": "rus"}, 1)
    assert code == "rus"
    assert read == [tesseract.Read("Сумма 11", pytest.approx(0.965)), tesseract.Read("Сумма 22", pytest.approx(0.965))]


def test_what_it_only_guesses_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch, confidence=40)
    assert tesseract.read(LINES, {"Cyrillic": "rus"}, 1) == ([tesseract.Read("", 0.0)] * 2, "")


@pytest.mark.parametrize("body", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho nonsense\n"])
def test_a_program_that_fails_leaves_lines_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    program = tmp_path / "tesseract"
    program.write_text(body)
    program.chmod(0o755)
    monkeypatch.setenv(tesseract.PLACE, str(program))
    assert tesseract.languages() == {}
    assert tesseract.read(LINES, {"Cyrillic": "rus"}, 1) == ([tesseract.Read("", 0.0)] * 2, "")


def test_without_it_nothing_is_read_and_nothing_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv(tesseract.PLACE, raising=False)
    assert tesseract.program() == ""
    assert tesseract.languages() == {}


def test_figures_are_the_same_in_every_script() -> None:
    assert ocr._figures("4471, 12") - ocr._figures("बिल ४४७१, १२") == ocr._figures("")
    assert ocr._figures("4471") - ocr._figures("बिल 447") == ocr._figures("1")
