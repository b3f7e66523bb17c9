"""Models that lie in a folder of the user's own: what its files tell of them before any is opened by a runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from intermodal.quantity import Quantity, between, unknown

MAX_CONFIG: Final = 4 << 20  # bytes
SIZE_OF_FILES: Final = "size of its files"
_PLACES: Final = ("", "onnx")  # of a folder
_ENDINGS: Final = ("", "_quantized", "_int8", "_fp16")  # of names of ONNX files, the best first
_PATCH: Final = 16  # pixels, where a configuration says nothing: what most of its kind have
_SIDE: Final = 224


def is_model_folder(weights: str) -> bool:
    """Whether the weights of an endpoint are a folder of the user's own, and no name of the store."""
    return weights.startswith(("/", "~"))


def read_model_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a folder; {} where there is none that can be read."""
    try:
        path = folder / "config.json"
        if path.stat().st_size > MAX_CONFIG:
            return {}
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def image_tokens_of_config(config: Mapping[str, Any]) -> int:
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


class OnnxFiles(NamedTuple):
    """The ONNX files of a contrastive model, each as it is or quantized; None for one that is not there."""

    vision: Path | None
    text: Path | None
    whole: Path | None

    @property
    def halved(self) -> bool:
        """Whether pictures and texts have a file each, which are opened then in place of the whole."""
        return self.vision is not None and self.text is not None


def onnx_files(folder: Path) -> OnnxFiles:
    """The files of a folder that a contrastive model is opened by, of all that a repository may hold."""
    return OnnxFiles(*(_variant(folder, name) for name in ("vision_model", "text_model", "model")))


def _variant(folder: Path, name: str) -> Path | None:
    paths = (folder / place / f"{name}{ending}.onnx" for place in _PLACES for ending in _ENDINGS)
    return next((path for path in paths if path.is_file()), None)


def scores_pairs_independently(config: Mapping[str, Any]) -> bool:
    """Whether a model of such a configuration judges each pair by itself, as SigLIP does."""
    return "siglip" in str(config.get("model_type", "")).lower()


def logit_scale(config: Mapping[str, Any]) -> tuple[float, float] | None:
    """Logarithm of the scale of cosines, and the bias, where a configuration says them; else the whole model does."""
    scale, bias = config.get("logit_scale"), config.get("logit_bias")
    if isinstance(scale, int | float) and (isinstance(bias, int | float) or not scores_pairs_independently(config)):
        return float(scale), float(bias or 0.0)
    return None


def encoder_speed(folder: Path) -> tuple[Quantity, Quantity] | None:
    """Tokens a second, and seconds to load, of an encoder of a folder, by the size of its file, as the work of a token
    goes with it; None where it has none.

    Measured on two busy cores, weights random: 187 tokens a second of 438 MB (BERT base), 868 of 91 MB, 31,000 of 0.4;
    loaded in 3.3, 1.2 and 0.4 s.
    """
    file = onnx_files(folder).whole
    return None if file is None else encoder_speed_of_size(file.stat().st_size)


def encoder_speed_of_size(size: float) -> tuple[Quantity, Quantity]:
    """The same of a file with so many bytes."""
    rate, load = 1 / (size / 8e10 + 1 / 40_000), 0.4 + size / 1.5e8
    return between(rate / 3, rate, rate * 8, SIZE_OF_FILES), between(load / 3, load, load * 4, SIZE_OF_FILES)


def onnx_memory(folder: Path) -> Quantity:
    """Bytes of memory that the model of a folder takes, by the size of the files that are opened; unknown where it has
    none."""
    files = onnx_files(folder)
    found = [files.vision, files.text] if files.halved else []
    if not files.halved or logit_scale(read_model_config(folder)) is None:
        found.append(files.whole)
    size = float(sum(file.stat().st_size for file in found if file is not None))
    return onnx_memory_of_size(size) if size else unknown("no ONNX file is there")


def onnx_memory_of_size(size: float) -> Quantity:
    """Bytes of memory that a model takes whose ONNX files have so many."""
    # Measured: the runtime with its libraries takes 60 to 90 MB without a model.
    return between(size + 60e6, size * 1.2 + 90e6, size * 2 + 250e6, SIZE_OF_FILES)
