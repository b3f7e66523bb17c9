"""Model folders of the user: facts of their configuration and ONNX files before a runtime opens them."""

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
_PATCH: Final = 16  # pixels, if the configuration does not state them: the usual value
_SIDE: Final = 224  # pixels, likewise


def is_model_folder(weights: str) -> bool:
    """Return whether an endpoint's weights are a path of the user's, rather than a name in the weights store."""
    return weights.startswith(("/", "~"))


def read_model_config(folder: Path) -> dict[str, Any]:
    """Read ``config.json`` of a folder; {} if it is missing, too large or not a JSON object."""
    try:
        path = folder / "config.json"
        if path.stat().st_size > MAX_CONFIG:
            return {}
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def image_tokens_of_config(config: Mapping[str, Any]) -> int:
    """Return the tokens an image takes with this configuration: its patches, plus one for the whole image.

    >>> image_tokens_of_config({"vision_config": {"image_size": 224, "patch_size": 32}}), image_tokens_of_config({})
    (50, 197)
    """
    vision = config.get("vision_config")
    told = vision if isinstance(vision, dict) else {}
    side, patch = told.get("image_size", _SIDE), told.get("patch_size", _PATCH)
    if not (isinstance(side, int) and isinstance(patch, int) and 0 < patch <= side <= 1 << 14):
        side, patch = _SIDE, _PATCH
    return int(side // patch) ** 2 + 1


class OnnxFiles(NamedTuple):
    """The ONNX files of a contrastive model, plain or quantized; None for a missing one."""

    vision: Path | None
    text: Path | None
    whole: Path | None

    @property
    def halved(self) -> bool:
        """Return whether images and texts have a file each; those are then opened instead of the whole model."""
        return self.vision is not None and self.text is not None


def onnx_files(folder: Path) -> OnnxFiles:
    """Return the files by which a contrastive model is opened, out of all that its folder may hold."""
    return OnnxFiles(*(_variant(folder, name) for name in ("vision_model", "text_model", "model")))


def _variant(folder: Path, name: str) -> Path | None:
    paths = (folder / place / f"{name}{ending}.onnx" for place in _PLACES for ending in _ENDINGS)
    return next((path for path in paths if path.is_file()), None)


def scores_pairs_independently(config: Mapping[str, Any]) -> bool:
    """Return whether a model with this configuration scores each pair by itself, as SigLIP does."""
    return "siglip" in str(config.get("model_type", "")).lower()


def logit_scale(config: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the logarithm of the cosine scale and the bias if the configuration states them, else None."""
    scale, bias = config.get("logit_scale"), config.get("logit_bias")
    if isinstance(scale, int | float) and (isinstance(bias, int | float) or not scores_pairs_independently(config)):
        return float(scale), float(bias or 0.0)
    return None


# Seconds per megapixel of decoding a picture and making it as small as a model looks at: JPEG 0.009, PNG 0.02.
DECODING: Final = between(0.005, 0.015, 0.06, "not measured here")


def encoder_speed(folder: Path) -> dict[str, Quantity]:
    """Estimate the speeds of an encoder in a folder from its file size, by the names of ``Speed``; {} without a file.
    The work of a token grows with the size of the weights.

    Measured on two busy cores, weights random: 187 tokens a second of 438 MB (BERT base), 868 of 91 MB, 31,000 of 0.4;
    loaded in 3.3, 1.2 and 0.4 s.
    """
    file = onnx_files(folder).whole
    if file is None:
        return {}
    size = file.stat().st_size
    return {"prompt": encoder_rate(size), "load": onnx_load_seconds(size)}


def contrastive_speed(folder: Path) -> dict[str, Quantity]:
    """Estimate the speeds of a contrastive model in a folder likewise. ``overhead`` is that of a picture: its patches
    pass through the network of pictures, and take as long whatever it shows.

    Measured beside other programs, weights random: 0.15 s for a picture and 600 tokens of captions a second of CLIP
    ViT-B/32's shape (351 and 254 MB).
    """
    files = onnx_files(folder)
    vision, text = files.vision or files.whole, files.text or files.whole
    if vision is None or text is None:
        return {}
    patches = image_tokens_of_config(read_model_config(folder))
    size = sum(file.stat().st_size for file in {vision, text})
    found = contrastive_speed_of_sizes(vision.stat().st_size, text.stat().st_size, patches)
    return {**found, "load": onnx_load_seconds(size)}


def contrastive_speed_of_sizes(vision: float, text: float, patches: int) -> dict[str, Quantity]:
    """Estimate the speeds of networks of so many bytes, for pictures of so many ``patches`` and for captions."""
    rate = encoder_rate(vision)
    picture = between(patches / rate.high, patches / rate.mid, patches / rate.low, SIZE_OF_FILES)
    return {"overhead": picture, "prompt": encoder_rate(text), "megapixel": DECODING}


def encoder_rate(size: float) -> Quantity:
    """Estimate the tokens a second of an encoder with ``size`` bytes of weights."""
    rate = 1 / (size / 8e10 + 1 / 40_000)
    return between(rate / 3, rate, rate * 8, SIZE_OF_FILES)


def onnx_load_seconds(size: float) -> Quantity:
    """Estimate the seconds to load ``size`` bytes of ONNX files."""
    load = 0.4 + size / 1.5e8
    return between(load / 3, load, load * 4, SIZE_OF_FILES)


def onnx_memory(folder: Path) -> Quantity:
    """Estimate the bytes of memory of a model in a folder from the sizes of the files that are opened; unknown without
    any."""
    files = onnx_files(folder)
    found = [files.vision, files.text] if files.halved else []
    if not files.halved or logit_scale(read_model_config(folder)) is None:
        found.append(files.whole)
    size = float(sum(file.stat().st_size for file in found if file is not None))
    return onnx_memory_of_size(size) if size else unknown("no ONNX file is there")


def onnx_memory_of_size(size: float) -> Quantity:
    """Estimate the bytes of memory of a model with ``size`` bytes of ONNX files."""
    # Measured: the runtime with its libraries takes 60 to 90 MB without a model.
    return between(size + 60e6, size * 1.2 + 90e6, size * 2 + 250e6, SIZE_OF_FILES)
