"""Versions of the converters that turn media into text: part of the keys of the derived-media cache.

Raise a number with every change to intermodal that alters the result for the same file; ``tests/e2e/test_versions.py``
fails otherwise. Packages whose networks and decoders do the work contribute their own version.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from functools import lru_cache
from typing import Final, NamedTuple

from intermodal.catalog.plugin_rows import runtime_plugins


class ConverterVersion(NamedTuple):
    """``number`` counts changes in intermodal; ``packages`` are the distributions whose versions matter."""

    number: int
    packages: tuple[str, ...] = ()


# Keys: the kind of the opened file (``media/``), the protocol of the endpoint that transcribes or reads it
# (``local/embedded/``), or another component (``describe``: the prompt of
# ``executor/conversion/image_descriptions.py``; ``codes``: ``media/image/barcodes.py``).
CONVERTERS: Final[dict[str, ConverterVersion]] = {
    "audio": ConverterVersion(3, ("av",)),
    "video": ConverterVersion(2, ("av", "pillow")),
    "image": ConverterVersion(2, ("pillow",)),
    "document": ConverterVersion(3, ("pypdfium2",)),
    "whisper": ConverterVersion(6, ("faster-whisper", "ctranslate2")),
    "ocr": ConverterVersion(4, ("rapidocr", "onnxruntime", "opencv-python", "opencv-python-headless")),
    "llama": ConverterVersion(1, ("xllamacpp",)),
    "codes": ConverterVersion(1, ("zxing-cpp",)),
    "describe": ConverterVersion(1),
}
_INSTALLED: Final = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(?:-.*)?\.(?:dist|egg)-info")


def converter_version(name: str) -> str:
    """Return the version of a converter as text; for a plugin, the version of its package; "" for an unknown one."""
    converter = CONVERTERS.get(name)
    if converter is None:
        plugin = runtime_plugins().get(name)
        return "" if plugin is None else f"{name} {plugin.title}"
    known = _distributions(tuple(sys.path))
    packages = (f"{package} {known[package]}" for package in converter.packages if package in known)
    return " ".join((name, str(converter.number), *packages))


@lru_cache(maxsize=1)
def _distributions(path: tuple[str, ...]) -> dict[str, str]:
    """Return the version of every installed package, read from folder names.

    ``importlib.metadata`` would take 40 ms to import. The first match on Python's path wins, as for an import.
    """
    found: dict[str, str] = {}
    for folder in path:
        with suppress(OSError):
            for entry in os.listdir(folder or "."):
                if match := _INSTALLED.fullmatch(entry):
                    found.setdefault(match["name"].lower().replace("_", "-").replace(".", "-"), match["version"])
    return found
