"""Reads the headers of a user's diffusion model files, before an engine maps them.

A model is one file (a checkpoint that contains everything) or a folder with the model, its text encoders and its VAE,
under the names they are published with. Headers are read by ``safetensors.py`` and ``gguf.py``, which do not trust
them. A pickle (``.ckpt``, ``.pt``) may run code and is rejected. The architecture follows from the names of the
tensors, as in stable-diffusion.cpp (``src/model.cpp``, ``get_sd_version``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from intermodal.catalog.host_rows import HostRow, Range, ServedRow, SpeedRow
from intermodal.core.content import Value
from intermodal.errors import WeightsError
from intermodal.local.weights import gguf, safetensors

MAX_FILES: Final = 64  # maximum number of files in a folder
_ENDINGS: Final = (".safetensors", ".sft", ".gguf")
_PICKLES: Final = (".ckpt", ".pt", ".pth", ".bin")
MODEL, WHOLE = "diffusion_model", "model"  # the engine's names of parts
# Prefixes of published file names -> the part; the first match wins.
_PARTS: Final = (
    ("clip_l", "clip_l"), ("clip_g", "clip_g"), ("t5", "t5xxl"), ("umt5", "t5xxl"), ("tae", "taesd"), ("vae", "vae"),
    ("ae", "vae"), ("llm", "llm"), ("qwen3", "llm"), ("qwen_3", "llm"), ("qwen2.5", "llm"), ("qwen_2.5", "llm"),
    ("mistral", "llm"), ("ovis_2.5", "llm"),
)  # fmt: skip


class DiffusionArchitecture(Value):
    """The default settings of an architecture.

    Attributes:
        name: display name. side: side in pixels of the squares it was trained on. unit: sides must be multiples of
            this.
        steps, guidance: defaults from stable-diffusion.cpp's documentation.
    """

    name: str
    side: int = 1024
    unit: int = 16
    steps: int = 20
    guidance: float = 7.0


SD1: Final = DiffusionArchitecture(name="Stable Diffusion 1", side=512, unit=64)
SD2: Final = DiffusionArchitecture(name="Stable Diffusion 2", side=512, unit=64)
SDXL: Final = DiffusionArchitecture(name="Stable Diffusion XL", unit=64)
# Tensors of video models, which are not supported.
_FILMS: Final = ("patch_embedding.weight", "time_mixer.mix_factor")
# A tensor name that only one architecture has -> the architecture; the first match wins.
_SIGNS: Final = (
    ("joint_blocks.", DiffusionArchitecture(name="Stable Diffusion 3", guidance=4.5)),
    ("transformer_blocks.0.img_mod.1.weight", DiffusionArchitecture(name="Qwen-Image", guidance=2.5)),
    ("double_stream_modulation_img.lin.weight", DiffusionArchitecture(name="FLUX.2", guidance=1.0)),
    ("double_blocks.0.img_mlp.gate_proj.weight", DiffusionArchitecture(name="Ovis-Image", guidance=5.0)),
    ("distilled_guidance_layer.in_proj.weight", DiffusionArchitecture(name="Chroma", guidance=4.0)),
    ("double_blocks.", DiffusionArchitecture(name="FLUX", guidance=1.0)),
    ("cap_embedder.0.weight", DiffusionArchitecture(name="Z-Image", guidance=1.0)),
)
_UNET: Final = ("input_blocks.", "down_blocks.")
_TEXT_WIDTH: Final = "attn2.to_k.weight"  # a UNet attends to text of this width: 768, 1024, or 2048 of both encoders

# Bytes of the computing buffers per pixel of an image. The decoder needs 6,656 (512 x 512: 1,664 MiB), or less if its
# graph is rebuilt (1024 x 1024: 2,560 MiB); a small decoder needs 1,921, as measured here (256 x 256: 120 MiB). The
# networks that compute the steps need 830 to 4,100. Sources: logs in issues #673, #1044, #1154 and #907 of
# stable-diffusion.cpp.
_DECODER: Final[Range] = (2_560.0, 6_656.0, 11_000.0)
_SMALL_DECODER: Final[Range] = (1_921.0, 2_200.0, 4_500.0)
_RUNTIME: Final[Range] = (60e6, 110e6, 250e6)  # measured: the process without a model
# Seconds of one evaluation per parameter and megapixel on processors with 2 to 16 cores. They are calculated from 2
# operations for each parameter at each of the 4,096 places of a megapixel, at 1e12 to 5e10 operations a second.
_DENOISE: Final[Range] = (8e-9, 4e-8, 1.6e-7)
_LEAST: Final[Range] = (0.02, 0.2, 1.0)  # for networks so small that overhead dominates
# Measured: a small decoder takes 15 s for a megapixel on two busy cores. A whole one takes 8 times the operations.
_LATENT: Final[Range] = (8.0, 60.0, 300.0)
_SMALL_LATENT: Final[Range] = (2.0, 12.0, 40.0)


class DiffusionFiles(Value):
    """The files of a model.

    Attributes:
        parts: path by part, in the engine's terms: ``model`` (all in one), or ``diffusion_model`` with ``vae``,
            ``taesd``, ``clip_l``, ``clip_g``, ``t5xxl``, ``llm``.
        size: bytes of all tensors. parameters: parameter count of the denoising network.
        small: whether the decoder is a small one (TAESD and similar).
    """

    parts: dict[str, str]
    architecture: DiffusionArchitecture
    size: int
    parameters: int
    small: bool = False

    def memory(self, side: int) -> Range:
        """Return the memory in bytes while it generates a square of this side: the weights and the largest buffer."""
        low, mid, high = (self.size + a + side * side * b for a, b in zip(_RUNTIME, self.buffers, strict=True))
        return low, mid, high + 0.1 * self.size

    @property
    def buffers(self) -> Range:
        """Return the buffer size in bytes per pixel."""
        return _SMALL_DECODER if self.small else _DECODER

    @property
    def speed(self) -> SpeedRow:
        low, mid, high = (max(self.parameters * a, b) for a, b in zip(_DENOISE, _LEAST, strict=True))
        return SpeedRow(
            overhead=(0.02, 0.3, 5.0), load=(0.2 + self.size / 4e9, 0.6 + self.size / 1e9, 3 + self.size / 1e8),
            denoise=(low, mid, high), latent=_SMALL_LATENT if self.small else _LATENT, basis="from its size",
        )  # fmt: skip


class _Tensor(NamedTuple):
    """The facts that identify an architecture: tensor name, dimensions (outermost first), size in bytes."""

    name: str
    dims: tuple[int, ...]
    size: int


def read_diffusion_files(place: Path) -> DiffusionFiles:
    """Read the headers of a model file or folder. Raises ``WeightsError`` with the reason if it is not usable."""
    found = _files(place)
    if not found:
        raise WeightsError(
            "holds no .safetensors or .gguf", where=place.name or str(place), todo="put the files of the model there"
        )
    headers = {path: _tensors(path) for path in found}
    parts, model = _sort_by_part(found, headers, place)
    architecture = _architecture(headers[model], model.name)
    network = _network(headers[model])
    if parts.get(WHOLE) is None:
        _check_full_checkpoint(parts, place)
    return DiffusionFiles(
        parts={part: str(path) for part, path in parts.items()},
        architecture=architecture,
        size=sum(tensor.size for path in parts.values() for tensor in headers[path]),
        parameters=sum(prod(tensor.dims) for tensor in network),
        small="taesd" in parts,
    )


def is_diffusion(place: Path) -> bool:
    """Return whether a file or folder contains a diffusion network, judged by readable headers."""
    try:
        found = _files(place)
    except WeightsError:
        return False
    for path in found:
        try:
            _architecture(_tensors(path), path.name)
        except WeightsError:
            continue
        return True
    return False


def _files(place: Path) -> list[Path]:
    try:
        if place.is_file():
            found = [place]
        else:
            found = sorted(path for path in place.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=place.name, todo="check its path") from None
    pickled = [path for path in found if path.suffix.lower() in _PICKLES]
    found = [path for path in found if path.suffix.lower() in _ENDINGS]
    if pickled and not found:
        raise WeightsError(
            "is a pickle, which can run code when it is opened", where=pickled[0].name,
            todo="take the same model as .safetensors or .gguf",
        )  # fmt: skip
    if len(found) > MAX_FILES:
        raise WeightsError(f"holds more than {MAX_FILES} files of weights", where=place.name, todo="keep one model")
    return found


def _tensors(path: Path) -> list[_Tensor]:
    if path.suffix.lower() == ".gguf":
        return [_Tensor(each.name, each.dims[::-1], each.size) for each in gguf.read_header(path).tensors]
    return [_Tensor(each.name, each.dims, each.size) for each in safetensors.read_header(path)]


def _sort_by_part(
    found: list[Path], headers: Mapping[Path, list[_Tensor]], place: Path
) -> tuple[dict[str, Path], Path]:
    """Return the files by part, and the file of the diffusion network."""
    parts: dict[str, Path] = {}
    rest: list[Path] = []
    for path in found:
        name = path.name.lower()
        part = next((part for begins, part in _PARTS if name.startswith(begins)), "") if len(found) > 1 else ""
        if not part:
            rest.append(path)
        elif part in parts:
            what = f"has two files that may be its {part}: {parts[part].name} and {path.name}"
            raise WeightsError(what, where=place.name, todo="keep one of them there")
        else:
            parts[part] = path
    if len(rest) != 1:
        file_names = " and ".join(path.name for path in rest[:2])
        what = f"has two files that may be the model: {file_names}" if rest else "has parts of a model, and no model"
        raise WeightsError(what, where=place.name, todo="keep one file of the model there, beside its parts")
    (model,) = rest
    parts[WHOLE if _is_full_checkpoint(headers[model]) else MODEL] = model
    return parts, model


def _is_full_checkpoint(tensors: Iterable[_Tensor]) -> bool:
    """Return whether a file contains more than the diffusion network."""
    return any(
        tensor.name.startswith(("first_stage_model.", "cond_stage_model.", "conditioner.", "text_encoders."))
        for tensor in tensors
    )


def _as_folder(place: Path) -> str:
    """Return an additional hint if a single file was given: other files are looked for only in folders."""
    return ", and name their folder as its weights" if place.is_file() else ""


def _check_full_checkpoint(parts: Mapping[str, Path], place: Path) -> None:
    if not {"vae", "taesd"} & parts.keys():
        raise WeightsError(
            "has no VAE", where=place.name,
            todo=f"put its VAE beside it, as vae.safetensors, or TAESD, as taesd.safetensors{_as_folder(place)}",
        )  # fmt: skip
    if not {"clip_l", "clip_g", "t5xxl", "llm"} & parts.keys():
        raise WeightsError(
            "has no text encoder", where=place.name,
            todo="put the encoders of the model beside it: clip_l, clip_g, t5xxl or llm, as .safetensors or .gguf"
            f"{_as_folder(place)}",
        )  # fmt: skip


def _network(tensors: Iterable[_Tensor]) -> list[_Tensor]:
    """Return the tensors of the diffusion network."""
    every = list(tensors)
    own = [tensor for tensor in every if tensor.name.startswith(("model.diffusion_model.", "unet."))]
    return own or every


def _architecture(tensors: list[_Tensor], where: str) -> DiffusionArchitecture:
    names = [tensor.name for tensor in tensors]
    for sign in _FILMS:
        if any(sign in name for name in names):
            raise WeightsError("is a video model", where=where, todo="use an image model")
    for sign, architecture in _SIGNS:
        if any(sign in name for name in names):
            return architecture
    if any(sign in name for sign in _UNET for name in names):
        widths = {tensor.dims[-1] for tensor in tensors if tensor.name.endswith(_TEXT_WIDTH) and tensor.dims}
        return SDXL if 2048 in widths else SD2 if 1024 in widths else SD1
    raise WeightsError(
        "holds no known diffusion model", where=where,
        todo="take Stable Diffusion 1 to 3, SDXL, FLUX, Chroma, Qwen-Image, Z-Image or Ovis-Image",
    )  # fmt: skip


# ---- rows ---------------------------------------------------------------------------------------------------


def describe_diffusion_rows(rows: Iterable[HostRow]) -> tuple[tuple[HostRow, ...], dict[str, tuple[str, str]]]:
    """Return the rows with missing settings of diffusion models filled in from file headers.

    Also returns, by endpoint, the reason and the fix for files that cannot be opened.
    """
    found: list[HostRow] = []
    wrong: dict[str, tuple[str, str]] = {}
    for row in rows:
        if row.protocol == "diffusion":
            models = []
            for served_row in row.models:
                try:
                    models.append(_with_found_traits(served_row))
                except WeightsError as error:
                    models.append(served_row)
                    wrong[f"{row.id}:{served_row.id}"] = (
                        ": ".join(filter(None, (error.where, error.what))),
                        error.todo,
                    )
            row = msgspec.structs.replace(row, models=tuple(models))
        found.append(row)
    return tuple(found), wrong


def _with_found_traits(served_row: ServedRow) -> ServedRow:
    place = Path(served_row.weights).expanduser()
    if not place.exists():
        return served_row
    found = read_diffusion_files_cached(place)
    usual = found.architecture
    side = served_row.side or usual.side
    found_traits = {
        "steps": usual.steps, "guidance": usual.guidance, "side": side, "unit": usual.unit, "buffers": found.buffers,
        "parameters": float(found.parameters), "memory": found.memory(side), "speed": found.speed,
        "memory_basis": f"its weights and buffers of {side}x{side} pixels",
    }  # fmt: skip
    changes = {
        name: value
        for name, value in found_traits.items()
        if getattr(served_row, name) is None or (name == "memory_basis" and served_row.memory is None)
    }
    return msgspec.structs.replace(served_row, **changes)


def read_diffusion_files_cached(place: Path) -> DiffusionFiles:
    """Call ``read_diffusion_files``, cached until a file changes."""
    return _read_once(place, tuple((path, *_state(path)) for path in _files(place)))


@lru_cache(16)
def _read_once(place: Path, state: tuple[tuple[Path, int, int], ...]) -> DiffusionFiles:
    return read_diffusion_files(place)


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
