"""Versions of the converters that turn media into text: part of the keys of the derived-media cache.

A number is raised with every change of ours after which the same file yields another result;
``tests/e2e/test_versions.py`` fails until it is. Packages whose networks and decoders do the work count with their
own version.
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
    """``number`` counts our changes, ``packages`` are the distributions whose versions matter."""

    number: int
    packages: tuple[str, ...] = ()


# By the kind of the file that is opened (``media/``), the protocol of the endpoint that hears or reads it
# (``local/embedded/``), or what else takes part (``describe``: what an eye is asked,
# ``executor/conversion/picture_descriptions.py``; ``codes``: ``media/image/barcodes.py``).
CONVERTERS: Final[dict[str, ConverterVersion]] = {
    "audio": ConverterVersion(3, ("av",)),
    "video": ConverterVersion(2, ("av", "pillow")),
    "image": ConverterVersion(2, ("pillow",)),
    "document": ConverterVersion(1, ("pypdfium2",)),
    "whisper": ConverterVersion(3, ("faster-whisper", "ctranslate2")),
    "ocr": ConverterVersion(2, ("rapidocr", "onnxruntime", "opencv-python", "opencv-python-headless")),
    "llama": ConverterVersion(1, ("xllamacpp",)),
    "codes": ConverterVersion(1, ("zxing-cpp",)),
    "describe": ConverterVersion(1),
}
_INSTALLED: Final = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(?:-.*)?\.(?:dist|egg)-info")


def converter_version(name: str) -> str:
    """Return the version of a converter as text, of a plugin's that of its package; "" for one that does not run
    here."""
    converter = CONVERTERS.get(name)
    if converter is None:
        plugin = runtime_plugins().get(name)
        return "" if plugin is None else f"{name} {plugin.title}"
    known = _distributions(tuple(sys.path))
    packages = (f"{package} {known[package]}" for package in converter.packages if package in known)
    return " ".join((name, str(converter.number), *packages))


@lru_cache(maxsize=1)
def _distributions(path: tuple[str, ...]) -> dict[str, str]:
    """Return the version of every package by folder names: importing ``importlib.metadata`` takes 40 ms.

    The first on Python's path counts, as for an import.
    """
    found: dict[str, str] = {}
    for folder in path:
        with suppress(OSError):
            for entry in os.listdir(folder or "."):
                if match := _INSTALLED.fullmatch(entry):
                    found.setdefault(match["name"].lower().replace("_", "-").replace(".", "-"), match["version"])
    return found
