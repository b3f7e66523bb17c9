"""The llama-server command that serves a model with the sized settings."""

from __future__ import annotations

import re
import shlex
from typing import Final

from intermodal.core.content import Value
from intermodal.sizing.quantizations import with_quantization
from intermodal.sizing.shape import ServingSettings

EVERY_LAYER: Final = 99  # llama.cpp takes a number above the layer count as all layers


class ModelReference(Value):
    """A model as the user named it.

    Attributes:
        reference: a path, a URL, ``hf:OWNER/REPO/FILE``, or a model's name. path: the local file, if there is one.
        quantization: of that file. projector, draft: further files as the user named them.
        siblings: names of other models in the same folder.
    """

    reference: str
    quantization: str
    path: str = ""
    projector: str = ""
    draft: str = ""
    siblings: tuple[str, ...] = ()


def server_command(subject: ModelReference, settings: ServingSettings, quantization: str = "") -> str:
    """Return the command that serves the model.

    If ``quantization`` differs from the file's own and no such file exists, ``llama-quantize`` creates it first.

    >>> subject = ModelReference(reference="hf:Qwen/Qwen3-8B-GGUF", quantization="Q4_K_M")
    >>> server_command(subject, ServingSettings(context=8192, gpu_layers=-1))
    'llama-server -hf Qwen/Qwen3-8B-GGUF:Q4_K_M -c 8192 -np 1 -ngl 99'
    """
    model, quantize_command = _model(subject, quantization or subject.quantization)
    words = ["llama-server", *model, "-c", str(settings.context)]
    words += ["-np", str(settings.slots)]
    if settings.gpu_layers:
        words += ["-ngl", str(EVERY_LAYER if settings.gpu_layers < 0 else settings.gpu_layers)]
    if settings.host_experts:
        words += ["--n-cpu-moe", str(settings.host_experts)]
    if settings.type_k != "f16" or settings.type_v != "f16":
        words += ["-ctk", settings.type_k, "-ctv", settings.type_v, "-fa", "on"]
    if settings.ubatch != ServingSettings(context=1).ubatch:
        words += ["-ub", str(settings.ubatch)]
    of_hub = subject.projector.startswith("hf:")  # -hf downloads the projector with the model
    words += ["--mmproj", subject.projector] if subject.projector and not of_hub else []
    words += ["-md", subject.draft] if subject.draft else []
    return " && ".join(shlex.join(each) for each in (quantize_command, words) if each)


def format_context(count: int) -> str:
    """Return a context length in short form.

    >>> format_context(32768), format_context(8192), format_context(41472), format_context(512)
    ('32k', '8k', '40.5k', '512')
    """
    if count < 1024:
        return str(count)
    return f"{count / 1024:.1f}".removesuffix(".0") + "k"


def _model(subject: ModelReference, quantization: str) -> tuple[list[str], list[str]]:
    """Return the options that select the model in ``quantization``, and the command that creates a missing file.

    A hub model is named by its repository. A local model is the sibling file of that quantization, or else a file that
    ``llama-quantize`` creates.
    """
    if subject.reference.startswith("hf:"):
        repository = "/".join(subject.reference.removeprefix("hf:").partition("@")[0].split("/")[:2]).partition(":")[0]
        return ["-hf", f"{repository}:{quantization}" if quantization else repository], []
    location = subject.path or subject.reference
    other = quantization != subject.quantization
    if re.match(r"https?://", location):
        return ["-mu", with_quantization(location, quantization) if other else location], []
    base = re.split(r"[/\\]", location)[-1]
    folder = location.removesuffix(base)  # a quantization in the folder's name is not replaced
    name = folder + with_quantization(base, quantization) if other else location
    if not other or (name != location and name.removeprefix(folder) in subject.siblings):
        return ["-m", name], []
    if name == location:
        name = f"{location.removesuffix('.gguf')}-{quantization}.gguf"
    requantize_option = [] if subject.quantization in _WHOLE else ["--allow-requantize"]
    return ["-m", name], ["llama-quantize", *requantize_option, location, name, quantization]


_WHOLE: Final = ("F32", "F16", "BF16")  # quantizing from these does not lose quality twice


__all__ = ["ModelReference", "server_command", "format_context"]
