"""Models that lie in a folder of the user's own: what its files tell of them before any is opened by a runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from intermodal.quantity import Quantity, between

MAX_CONFIG: Final = 4 << 20  # bytes
MAX_FILES: Final = 16
_PATCH: Final = 16  # pixels, where a configuration says nothing: what most of its kind have
_SIDE: Final = 224


def is_folder(weights: str) -> bool:
    """Whether the weights of an endpoint are a folder of the user's own, and no name of the store."""
    return weights.startswith(("/", "~"))


def config_of(folder: Path) -> dict[str, Any]:
    """``config.json`` of a folder; {} where there is none that can be read."""
    try:
        path = folder / "config.json"
        if path.stat().st_size > MAX_CONFIG:
            return {}
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def picture_tokens(config: Mapping[str, Any]) -> int:
    """Tokens that a picture is to a model with such a configuration: its patches, and one for the whole.

    >>> picture_tokens({"vision_config": {"image_size": 224, "patch_size": 32}}), picture_tokens({})
    (50, 197)
    """
    vision = config.get("vision_config")
    told = vision if isinstance(vision, dict) else {}
    side, patch = told.get("image_size", _SIDE), told.get("patch_size", _PATCH)
    if not (isinstance(side, int) and isinstance(patch, int) and 0 < patch <= side <= 1 << 14):
        side, patch = _SIDE, _PATCH
    return int(side // patch) ** 2 + 1


def memory_of_files(folder: Path) -> Quantity:
    """Bytes of memory that the models of a folder take, by the size of its ONNX files; unknown where it has none."""
    found = [*folder.glob("*.onnx"), *folder.glob("onnx/*.onnx")][:MAX_FILES]
    size = float(sum(file.stat().st_size for file in found))
    # Measured: the runtime with its libraries takes 60 to 90 MB without a model.
    return between(size + 60e6, size * 1.2 + 90e6, size * 2 + 250e6, "size of its files") if size else Quantity()
