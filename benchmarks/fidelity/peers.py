"""One other library on many files: what text it makes of each, and the processor's seconds that takes.

    python peers.py PEER FILE...

Run with the Python of an environment that has the libraries (the dependency group ``fidelity-peers``). Prints a line
of JSON for each file. It imports nothing of ours.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

library = importlib.import_module  # none of them is in our own environment
Peer = Callable[[str], str]


def pypdfium2(path: str) -> str:
    document = library("pypdfium2").PdfDocument(path)
    return "\n\n".join(page.get_textpage().get_text_range() for page in document)


def pdfplumber(path: str) -> str:
    """Text as it lies on the page, as its documentation advises for tables that are to be read."""
    with library("pdfplumber").open(path) as pdf:
        return "\n\n".join(page.extract_text(layout=True) or "" for page in pdf.pages)


def markitdown(path: str) -> str:
    return str(_markitdown().convert(path).text_content)


@cache
def _markitdown() -> Any:
    return library("markitdown").MarkItDown(enable_plugins=False)


def liteparse(path: str) -> str:
    """Markdown, with its own text recognition off, as that fetches weights."""
    return str(library("liteparse").LiteParse(ocr_enabled=False, output_format="markdown", quiet=True).parse(path).text)


def rapidocr(path: str) -> str:
    """As its README calls it; of a file of several pictures the first."""
    picture = library("PIL.Image").open(path).convert("RGB")
    found = _rapidocr()(library("numpy").asarray(picture)[:, :, ::-1])
    return "\n".join(found.txts or ())


@cache
def _rapidocr() -> Any:
    return library("rapidocr").RapidOCR()


def tesseract(path: str) -> str:
    """With page turning, in the languages that it has."""
    listed = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=True).stdout
    languages = "+".join(each for each in listed.splitlines()[1:] if each != "osd")
    command = ["tesseract", path, "-", "-l", languages, "--psm", "1"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def whisper(path: str) -> str:
    """faster-whisper with its voice detection, a line for each segment with its time."""
    segments, _ = _whisper().transcribe(path, vad_filter=True)
    return "\n".join(f"[{int(each.start // 60)}:{int(each.start % 60):02}] {each.text.strip()}" for each in segments)


@cache
def _whisper() -> Any:
    return library("faster_whisper").WhisperModel(os.environ["FIDELITY_WHISPER"], device="cpu", compute_type="int8")


PEERS: dict[str, Peer] = {
    "pypdfium2": pypdfium2, "pdfplumber": pdfplumber, "MarkItDown": markitdown, "LiteParse": liteparse,
    "RapidOCR": rapidocr, "tesseract": tesseract, "faster-whisper + VAD": whisper,
}  # fmt: skip


def seconds() -> float:
    taken = os.times()
    return taken.user + taken.system + taken.children_user + taken.children_system


def main() -> None:
    peer = PEERS[sys.argv[1]]
    for path in sys.argv[2:]:
        began = seconds()
        text, error = "", ""
        try:
            text = peer(path)
        except Exception as problem:
            error = f"{type(problem).__name__}: {problem}"[:200]
        row = {"name": Path(path).name, "text": text, "error": error, "seconds": seconds() - began}
        print("\0" + json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
