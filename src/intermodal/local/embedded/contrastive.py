"""Child: embeds images and texts in one vector space, with a contrastive model (CLIP, SigLIP and similar) in ONNX.

A folder has the hub's layout: ``vision_model.onnx`` and ``text_model.onnx``, or one ``model.onnx``, beside
``tokenizer.json``, ``preprocessor_config.json`` and ``config.json``; the ONNX files may be in ``onnx/``. Images and
texts are preprocessed as these files specify, so that the embeddings equal those of the reference implementation.

jina-clip differs in four points, taken from its published processor and ``encode_text``: its preprocessor config uses
open_clip's keys and rounds the crop offset as torchvision does, texts are truncated at 512 tokens, padding uses the
vocabulary's own token, and its files state no scale.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

from intermodal.catalog.model_folders import (
    MAX_CONFIG,
    image_tokens_of_config,
    logit_scale,
    onnx_files,
    scores_pairs_independently,
)
from intermodal.concurrency.worker_process import serve
from intermodal.errors import RuntimeCrashed, WeightsError
from intermodal.local.embedded.child_support import import_library, load_model, without_nul
from intermodal.local.embedded.onnx_session import cast_to_input, load_tokenizer, open_session, read_json
from intermodal.local.embedded.results import ContrastiveLoss
from intermodal.media.image.pixels import FILTERS, decode_rgb

MAX_SIDE: Final = 2_048  # maximum pixels of an input side
BATCH: Final = 32  # texts per batch
_CLIP_SCALE: Final = 100.0  # upper limit of the scale in OpenAI's training, reached by the published weights
_UNTRAINED: Final = 2.6592  # logarithm of 1 / 0.07, the initial scale of training
_PICTURE: Final = ("image_embeds", "image_embeddings", "l2norm_image_embeddings", "sentence_embedding")
_TEXT: Final = ("text_embeds", "text_embeddings", "l2norm_text_embeddings", "sentence_embedding")
_POOLED: Final = (
    "pooler_output"  # SigLIP's vector; CLIP's state before projection, whose space differs between text and image
)
_HIDDEN: Final = "last_hidden_state"
_LOGITS: Final = "logits_per_image"
_OPEN_CLIP: Final = ("resize_mode", "interpolation", "fill_color")  # keys of open_clip's format
_INTERPOLATIONS: Final = {"bicubic": 3, "bilinear": 2}  # Pillow's filter numbers
_JINA: Final = "jina_clip"  # model_type
_JINA_CONTEXT: Final = 512  # tokens at which its own code and its training truncate texts
_PADS: Final = ("[PAD]", "<pad>")  # of BERT (version 1) and of XLM-RoBERTa (version 2)

_model: ContrastiveModel | None = None


class ContrastiveModel:
    """A loaded contrastive model. ``loss`` is its training loss: softmax over texts, or sigmoid per pair."""

    def __init__(self, folder: Path) -> None:
        self._numpy = import_library("numpy")
        config = read_json(folder / "config.json", MAX_CONFIG)
        self.loss: ContrastiveLoss = "sigmoid" if scores_pairs_independently(config) else "softmax"
        self._text_config = config.get("text_config") or {}
        self._is_jina = config.get("model_type") == _JINA
        self.assumed_scale = False
        self._tokens = image_tokens_of_config(config)
        self._prepare = _Preprocessor(read_json(folder / "preprocessor_config.json", MAX_CONFIG))
        self._texts = self._tokenizer(folder)
        files = onnx_files(folder)
        if files.vision is not None and files.text is not None:
            self._vision, self._said = open_session(files.vision), open_session(files.text)
        elif files.combined is not None:
            self._vision = self._said = open_session(files.combined)
        else:
            raise WeightsError(
                "has no vision_model.onnx and text_model.onnx, and no model.onnx",
                where=folder.name, todo="take the ONNX files of a contrastive model's repository",
            )  # fmt: skip
        self._vision_out = self._output_name(self._vision, _PICTURE, folder)
        self._text_out = self._output_name(self._said, _TEXT, folder)
        self.scale, self.bias = self._scale_and_bias(config, files.combined, folder)

    # ---- answers ------------------------------------------------------------------------------

    def embed_image(self, data: bytes) -> tuple[list[float], int]:
        """Return the unit vector of an image, and its number of patches."""
        pixels = self._prepare(data, self._numpy)
        return self._unit(self._run(self._vision, self._vision_out, {"pixel_values": pixels[None]})[0]), self._tokens

    def embed_texts(self, texts: list[str]) -> tuple[list[list[float]], int, int]:
        """Return the vectors of texts, their total token count, and the number of truncated texts."""
        vectors: list[list[float]] = []
        tokens = cut = 0
        for start in range(0, len(texts), BATCH):
            some = [without_nul(text) for text in texts[start : start + BATCH]]
            rows = self._texts.encode_batch(some)
            tokens += sum(sum(row.attention_mask) for row in rows)
            cut += sum(bool(row.overflowing) for row in rows)
            given = {
                "input_ids": self._numpy.array([row.ids for row in rows], dtype="int64"),
                "attention_mask": self._numpy.array([row.attention_mask for row in rows], dtype="int64"),
            }
            vectors += map(self._unit, self._run(self._said, self._text_out, given))
        return vectors, tokens, cut

    # ---- loading --------------------------------------------------------------------------------

    def _tokenizer(self, folder: Path) -> Any:
        tokenizer = load_tokenizer(folder)
        most = _JINA_CONTEXT if self._is_jina else self._text_config.get("max_position_embeddings")
        sigmoid = self.loss == "sigmoid"
        if not isinstance(most, int) or not 2 <= most <= 8_192:
            most = 64 if sigmoid else 77
        tokenizer.enable_truncation(most)
        padding = tokenizer.padding or {}
        number = padding.get("pad_id", self._text_config.get("pad_token_id"))
        if self._is_jina:  # the model detects padding by the token id, because it gets no mask
            number = next((id for id in map(tokenizer.token_to_id, _PADS) if id is not None), number)
        number = number if isinstance(number, int) else 1
        # SigLIP was trained on texts padded to full length; CLIP ignores everything after the end token.
        length = most if sigmoid else None
        tokenizer.enable_padding(pad_id=number, pad_token=tokenizer.id_to_token(number) or "", length=length)
        return tokenizer

    def _output_name(self, session: Any, names: tuple[str, ...], folder: Path) -> str:
        output_names = [output.name for output in session.get_outputs()]
        able = (*names, _POOLED) if self.loss == "sigmoid" else names
        only = output_names[0] if len(output_names) == 1 and output_names[0] not in (_POOLED, _HIDDEN) else ""
        found = next((name for name in able if name in output_names), only)
        if not found:
            raise WeightsError(
                f"outputs {', '.join(output_names)}, but no vectors", where=folder.name,
                todo="export it with the projection, as CLIPVisionModelWithProjection",
            )  # fmt: skip
        return found

    def _scale_and_bias(self, config: dict[str, Any], both: Path | None, folder: Path) -> tuple[float, float]:
        """Return scale and bias for cosines: from the config if stated, else measured with the whole model.

        Measuring opens the whole model's file only for this; two texts and one image suffice.
        """
        stated_scale = logit_scale(config)
        if stated_scale is not None:
            return math.exp(min(stated_scale[0], 20.0)), stated_scale[1]
        if self._is_jina:  # its config states only the initial scale, and the whole model outputs no logits to measure
            self.assumed_scale = True
            return _CLIP_SCALE, 0.0
        whole = self._vision if self._vision is self._said else open_session(both) if both is not None else None
        if whole is not None and _LOGITS in [output.name for output in whole.get_outputs()]:
            return self._measure_scale(whole, folder)
        if self.loss == "softmax":
            initial_value = config.get("logit_scale_init_value")
            if isinstance(initial_value, int | float) and abs(initial_value - _UNTRAINED) > 1e-3:
                return math.exp(min(float(initial_value), 20.0)), 0.0
            return _CLIP_SCALE, 0.0
        raise WeightsError(
            "states neither logit_scale nor logit_bias, which a sigmoid needs", where=folder.name,
            todo="put model.onnx beside the others, or both numbers into config.json",
        )  # fmt: skip

    def _measure_scale(self, session: Any, folder: Path) -> tuple[float, float]:
        # Output names vary: halves of SigLIP make pooler_output, the whole model image_embeds and text_embeds.
        vision, text = self._output_name(session, _PICTURE, folder), self._output_name(session, _TEXT, folder)
        rows = self._texts.encode_batch(["a photo of a cat", "seven red stones in the rain"])
        side = self._prepare.longer_side
        numpy = self._numpy
        inputs = {
            "input_ids": numpy.array([row.ids for row in rows], dtype="int64"),
            "attention_mask": numpy.array([row.attention_mask for row in rows], dtype="int64"),
            "pixel_values": numpy.linspace(-1, 1, 3 * side * side, dtype="float32").reshape(1, 3, side, side),
        }
        logits, image_vectors, text_vectors = self._run(session, [_LOGITS, vision, text], inputs, several=True)
        picture = numpy.array(self._unit(image_vectors[0]))
        cosines = [float(picture @ numpy.array(self._unit(each))) for each in text_vectors]
        if abs(cosines[0] - cosines[1]) < 1e-7:
            return _CLIP_SCALE, 0.0
        scale = float(logits[0][0] - logits[0][1]) / (cosines[0] - cosines[1])
        bias = float(logits[0][0]) - scale * cosines[0] if self.loss == "sigmoid" else 0.0
        return scale, bias

    def _run(self, session: Any, output: Any, inputs: dict[str, Any], *, several: bool = False) -> Any:
        session_inputs = {each.name: each for each in session.get_inputs()}
        found = {
            name: cast_to_input(value, session_inputs[name]) for name, value in inputs.items() if name in session_inputs
        }
        for (
            name,
            each,
        ) in session_inputs.items():  # a file with both encoders needs all inputs: missing ones get dummy values
            if name not in found:
                found[name] = self._blank_input(name, each)
        outputs = session.run(output if several else [output], found)
        return outputs if several else outputs[0]

    def _blank_input(self, name: str, model_input: Any) -> Any:
        if name == "pixel_values":
            side = self._prepare.longer_side
            return cast_to_input(self._numpy.zeros((1, 3, side, side), dtype="float32"), model_input)
        if name in ("input_ids", "attention_mask", "position_ids"):
            row = self._texts.encode("a")
            return cast_to_input(
                self._numpy.array([row.ids if name == "input_ids" else row.attention_mask]), model_input
            )
        raise WeightsError(
            f"requires the input {name}, which is not provided", where="onnx", todo="export it in the usual form"
        )

    def _unit(self, vector: Any) -> list[float]:
        flat = self._numpy.asarray(vector, dtype="float64").reshape(-1)
        length = float(self._numpy.linalg.norm(flat))
        if not math.isfinite(length):
            raise RuntimeCrashed("the model returned a vector that is not a number", todo="fetch its weights again")
        return [float(value) for value in (flat / length if length else flat)]


class _Preprocessor:
    """The steps of ``preprocessor_config.json``: resize, crop, rescale, normalise."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._rounds = any(config.get(name) is not None for name in _OPEN_CLIP)
        if self._rounds:
            config = _in_words_of_transformers(config)
        size, crop = config.get("size", 224), config.get("crop_size")
        self._cropped = bool(config.get("do_center_crop", crop is not None)) and crop is not None
        self._shortest = 0
        if isinstance(size, dict) and "shortest_edge" in size:
            self._shortest = _parse_side(size["shortest_edge"])
        elif isinstance(size, int) and self._cropped:
            self._shortest = _parse_side(size)
        self._size = (0, 0) if self._shortest else _parse_size(size)
        self._crop = _parse_size(crop) if self._cropped else None
        self._resample = config.get("resample", 3)
        if self._resample not in FILTERS:
            raise _unusable(f"resample {self._resample!r}")
        rescale = config.get("rescale_factor", 1 / 255)
        self._factor = float(rescale) if config.get("do_rescale", True) else 1.0
        normal = config.get("do_normalize", True)
        self._mean = _parse_channel_values(config.get("image_mean")) if normal else (0.0, 0.0, 0.0)
        self._spread = _parse_channel_values(config.get("image_std")) if normal else (1.0, 1.0, 1.0)
        self._resizes = bool(config.get("do_resize", True))

    @property
    def longer_side(self) -> int:
        """Return the longer side, in pixels, of the model's input."""
        return max(self._crop or ()) if self._crop else (self._shortest or max(self._size))

    def __call__(self, data: bytes, numpy: Any) -> Any:
        """Return the pixel values as channels x rows x columns."""
        image = decode_rgb(data, self._resized_size if self._resizes else None, self._resample)
        pixels = numpy.frombuffer(image.data, dtype="uint8").reshape(image.height, image.width, 3).astype("float32")
        if self._crop is not None:
            pixels = _crop_centre(pixels, self._crop, numpy, rounds=self._rounds)
        pixels = pixels * numpy.float32(self._factor)
        pixels = (pixels - numpy.array(self._mean, dtype="float32")) / numpy.array(self._spread, dtype="float32")
        return numpy.ascontiguousarray(pixels.transpose(2, 0, 1), dtype="float32")

    def _resized_size(self, width: int, height: int) -> tuple[int, int]:
        if not self._shortest:
            return (self._size[1], self._size[0])
        if width <= height:
            return (self._shortest, min(64 * self._shortest, int(self._shortest * height / width)))
        return (min(64 * self._shortest, int(self._shortest * width / height)), self._shortest)


def _in_words_of_transformers(config: dict[str, Any]) -> dict[str, Any]:
    """Convert the config of an open_clip preprocessor (``JinaCLIPImageProcessor``) to transformers' keys.

    ``shortest`` resizes by the shorter side and crops the centre; ``squash`` resizes to a square. ``longest``, which
    pads, is not supported: no model with ONNX files uses it.
    """
    mode, crop_mode, size = (
        config.get("resize_mode", "shortest"),
        config.get("interpolation", "bicubic"),
        config.get("size", 224),
    )
    if isinstance(size, list) and len(size) == 2 and size[0] == size[1]:
        size = size[0]
    if mode not in ("shortest", "squash"):
        raise _unusable(f"resize_mode {mode!r}")
    if crop_mode not in _INTERPOLATIONS:
        raise _unusable(f"interpolation {crop_mode!r}")
    if not isinstance(size, int):
        raise _unusable(f"a size of {size!r}")
    cropped = mode == "shortest"
    return {
        "size": size, "do_center_crop": cropped, "crop_size": size if cropped else None,
        "resample": _INTERPOLATIONS[crop_mode],
        "image_mean": config.get("mean", config.get("image_mean")),
        "image_std": config.get("std", config.get("image_std")),
    }  # fmt: skip


def _crop_centre(pixels: Any, crop: tuple[int, int], numpy: Any, *, rounds: bool = False) -> Any:
    """Return the centre crop of an image, on black if the image is smaller, as in the reference implementation.

    ``rounds``: round half a pixel to even, as torchvision does; otherwise down, as transformers does.
    """
    height, width = pixels.shape[:2]
    tall, wide = crop
    top, left = (height - tall) // 2, (width - wide) // 2
    if rounds:
        top, left = round((height - tall) / 2), round((width - wide) / 2)
    if top >= 0 and left >= 0:
        return pixels[top : top + tall, left : left + wide]
    ground = numpy.zeros((max(tall, height), max(wide, width), 3), dtype=pixels.dtype)
    down, along = (ground.shape[0] - height + 1) // 2, (ground.shape[1] - width + 1) // 2
    ground[down : down + height, along : along + width] = pixels
    top, left = (ground.shape[0] - tall) // 2, (ground.shape[1] - wide) // 2
    return ground[top : top + tall, left : left + wide]


def _parse_side(value: Any) -> int:
    if not isinstance(value, int) or not 1 <= value <= MAX_SIDE:
        raise _unusable(f"a side of {value!r} pixels")
    return value


def _parse_size(value: Any) -> tuple[int, int]:
    """Return height and width."""
    if isinstance(value, dict):
        return _parse_side(value.get("height")), _parse_side(value.get("width"))
    return _parse_side(value), _parse_side(value)


def _parse_channel_values(value: Any) -> tuple[float, ...]:
    """Return the values for red, green and blue. There is no default, because CLIP's differ from SigLIP's."""
    found = tuple(value) if isinstance(value, list) else ()
    if len(found) != 3 or not all(isinstance(each, int | float) for each in found):
        raise _unusable("normalised pixels by an image_mean or image_std that is not three numbers")
    return tuple(map(float, found))


def _unusable(what: str) -> WeightsError:
    return WeightsError(f"asks for {what}", where="preprocessor_config.json", todo="take the file that came with it")


def load(path: str, name: str) -> dict[str, Any]:
    """Load the model (once). Returns its loss, scale and bias."""
    global _model
    if _model is None:
        _model = load_model(name, lambda: ContrastiveModel(Path(path)))
    return {
        "loss": _model.loss, "scale": _model.scale, "bias": _model.bias, "assumed_scale": _model.assumed_scale,
    }  # fmt: skip


def embed_image(path: str, name: str, data: bytes) -> dict[str, Any]:
    """Return the embedding of one image."""
    model_about = load(path, name)
    assert _model is not None
    vector, patches = _model.embed_image(data)
    return {**model_about, "vectors": [vector], "tokens": patches, "cut": 0}


def embed_texts(path: str, name: str, texts: list[str]) -> dict[str, Any]:
    """Return the embeddings of texts."""
    model_about = load(path, name)
    assert _model is not None
    vectors, tokens, cut = _model.embed_texts(texts)
    return {**model_about, "vectors": vectors, "tokens": tokens, "cut": cut}


if __name__ == "__main__":
    serve({"load": load, "picture": embed_image, "texts": embed_texts})
