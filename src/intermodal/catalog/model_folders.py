"""Facts about model folders of the user, from their configuration and ONNX files, without opening a runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from intermodal.core.quantity import Quantity, between, unknown

MAX_CONFIG: Final = 4 << 20  # bytes
SIZE_OF_FILES: Final = "size of its files"
_PLACES: Final = ("", "onnx")  # of a folder
_ENDINGS: Final = ("", "_quantized", "_int8", "_fp16")  # of names of ONNX files, the best first
_PATCH: Final = 16  # pixels, if the configuration does not state them: the usual value
_SIDE: Final = 224  # pixels, if the configuration does not state them


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
    """Return the number of tokens of an image with this configuration: its patches, plus one for the whole image.

    >>> image_tokens_of_config({"vision_config": {"image_size": 224, "patch_size": 32}}), image_tokens_of_config({})
    (50, 197)
    """
    vision = config.get("vision_config")
    vision_settings = vision if isinstance(vision, dict) else {}
    side, patch = vision_settings.get("image_size", _SIDE), vision_settings.get("patch_size", _PATCH)
    if not (isinstance(side, int) and isinstance(patch, int) and 0 < patch <= side <= 1 << 14):
        side, patch = _SIDE, _PATCH
    return int(side // patch) ** 2 + 1


class OnnxFiles(NamedTuple):
    """The ONNX files of a contrastive model, plain or quantized; None for a missing file."""

    vision: Path | None
    text: Path | None
    combined: Path | None

    @property
    def has_separate_encoders(self) -> bool:
        """Whether images and texts have a file each; these are then opened instead of the whole model."""
        return self.vision is not None and self.text is not None


def onnx_files(folder: Path) -> OnnxFiles:
    """Return the ONNX files of a contrastive model in a folder that are used."""
    return OnnxFiles(*(_variant(folder, name) for name in ("vision_model", "text_model", "model")))


def _variant(folder: Path, name: str) -> Path | None:
    paths = (folder / place / f"{name}{ending}.onnx" for place in _PLACES for ending in _ENDINGS)
    return next((path for path in paths if path.is_file()), None)


def scores_pairs_independently(config: Mapping[str, Any]) -> bool:
    """Return whether a model with this configuration scores each pair independently, as SigLIP does."""
    return "siglip" in str(config.get("model_type", "")).lower()


def logit_scale(config: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the logarithm of the cosine scale, and the bias; None if the configuration does not state them."""
    scale, bias = config.get("logit_scale"), config.get("logit_bias")
    if isinstance(scale, int | float) and (isinstance(bias, int | float) or not scores_pairs_independently(config)):
        return float(scale), float(bias or 0.0)
    return None


# Seconds per megapixel to decode an image and resize it to the model's input size: JPEG 0.009, PNG 0.02.
DECODING: Final = between(0.005, 0.015, 0.06, "not measured here")


def encoder_speed(folder: Path) -> dict[str, Quantity]:
    """Estimate the speed of an encoder in a folder from its file size, by field of ``Speed``; {} if there is no file.

    The work per token grows with the size of the weights.

    Measured on two busy cores with random weights: 187 tokens per second for 438 MB (BERT base), 868 for 91 MB, 31,000
    for 0.4; loaded in 3.3, 1.2 and 0.4 s.
    """
    file = onnx_files(folder).combined
    if file is None:
        return {}
    size = file.stat().st_size
    return {"prompt": encoder_rate(size), "load": onnx_load_seconds(size)}


def contrastive_speed(folder: Path) -> dict[str, Quantity]:
    """Estimate the speed of a contrastive model in a folder from its file sizes, by field of ``Speed``.

    ``overhead`` is the time for one image: all its patches pass through the image network, whatever the image shows.

    Measured next to other programs with random weights: 0.15 s per image and 600 caption tokens per second for the
    shape of CLIP ViT-B/32 (351 and 254 MB).
    """
    files = onnx_files(folder)
    vision, text = files.vision or files.combined, files.text or files.combined
    if vision is None or text is None:
        return {}
    patches = image_tokens_of_config(read_model_config(folder))
    size = sum(file.stat().st_size for file in {vision, text})
    found = contrastive_speed_of_sizes(vision.stat().st_size, text.stat().st_size, patches)
    return {**found, "load": onnx_load_seconds(size)}


def contrastive_speed_of_sizes(vision: float, text: float, patches: int) -> dict[str, Quantity]:
    """Estimate the speed of a contrastive model from its file sizes.

    ``vision``, ``text``: bytes of the image and the text network; ``patches``: patches per image.
    """
    rate = encoder_rate(vision)
    picture = between(patches / rate.high, patches / rate.mid, patches / rate.low, SIZE_OF_FILES)
    return {"overhead": picture, "prompt": encoder_rate(text), "megapixel": DECODING}


def encoder_rate(size: float) -> Quantity:
    """Estimate the tokens per second of an encoder with ``size`` bytes of weights."""
    rate = 1 / (size / 8e10 + 1 / 40_000)
    return between(rate / 3, rate, rate * 8, SIZE_OF_FILES)


def onnx_load_seconds(size: float) -> Quantity:
    """Estimate the seconds to load ``size`` bytes of ONNX files."""
    load = 0.4 + size / 1.5e8
    return between(load / 3, load, load * 4, SIZE_OF_FILES)


def onnx_memory(folder: Path) -> Quantity:
    """Estimate the memory in bytes of a model in a folder from the files that are opened; unknown if there are none."""
    files = onnx_files(folder)
    found = [files.vision, files.text] if files.has_separate_encoders else []
    if not files.has_separate_encoders or logit_scale(read_model_config(folder)) is None:
        found.append(files.combined)
    size = float(sum(file.stat().st_size for file in found if file is not None))
    return onnx_memory_of_size(size) if size else unknown("no ONNX file is there")


def onnx_memory_of_size(size: float) -> Quantity:
    """Estimate the memory in bytes of a model with ``size`` bytes of ONNX files."""
    # Measured: the runtime and its libraries take 60 to 90 MB without a model.
    return between(size + 60e6, size * 1.2 + 90e6, size * 2 + 250e6, SIZE_OF_FILES)
