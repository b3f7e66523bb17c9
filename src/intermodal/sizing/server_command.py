"""The llama-server command that serves a model with the sized settings."""

from __future__ import annotations

import re
import shlex
from typing import Final

from intermodal.content import Value
from intermodal.sizing.quantizations import with_quantization
from intermodal.sizing.shape import ServingSettings

EVERY_LAYER: Final = 99  # more than any model has, which llama.cpp takes for all


class ModelReference(Value):
    """A reference to a model by the user.

    Attributes:
        reference: a path, a URL, ``hf:OWNER/REPO/FILE``, or a model's name. path: of the file, where it is on disk.
        quantization: of that file. projector, draft: files beside it, as they were named.
        siblings: names of other models in its folder.
    """

    reference: str
    quantization: str
    path: str = ""
    projector: str = ""
    draft: str = ""
    siblings: tuple[str, ...] = ()


def server_command(subject: ModelReference, settings: ServingSettings, quantization: str = "") -> str:
    """Return the command to run. A missing file in another ``quantization`` is made first, of the present one.

    >>> subject = ModelReference(reference="hf:Qwen/Qwen3-8B-GGUF", quantization="Q4_K_M")
    >>> server_command(subject, ServingSettings(context=8192, gpu_layers=-1))
    'llama-server -hf Qwen/Qwen3-8B-GGUF:Q4_K_M -c 8192 -np 1 -ngl 99'
    """
    model, made = _model(subject, quantization or subject.quantization)
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
    of_hub = subject.projector.startswith("hf:")  # which -hf brings with the model
    words += ["--mmproj", subject.projector] if subject.projector and not of_hub else []
    words += ["-md", subject.draft] if subject.draft else []
    return " && ".join(shlex.join(each) for each in (made, words) if each)


def format_context(count: int) -> str:
    """Return a context in everyday form.

    >>> format_context(32768), format_context(8192), format_context(41472), format_context(512)
    ('32k', '8k', '40.5k', '512')
    """
    if count < 1024:
        return str(count)
    return f"{count / 1024:.1f}".removesuffix(".0") + "k"


def _model(subject: ModelReference, quantization: str) -> tuple[list[str], list[str]]:
    """Return the options for the model in that quantization, and the command that makes a missing file.

    Of a hub it is named by its repository; on this disk it is the file of that name, else made by ``llama-quantize``.
    """
    if subject.reference.startswith("hf:"):
        repository = "/".join(subject.reference.removeprefix("hf:").partition("@")[0].split("/")[:2]).partition(":")[0]
        return ["-hf", f"{repository}:{quantization}" if quantization else repository], []
    named = subject.path or subject.reference
    other = quantization != subject.quantization
    if re.match(r"https?://", named):
        return ["-mu", with_quantization(named, quantization) if other else named], []
    base = re.split(r"[/\\]", named)[-1]
    folder = named.removesuffix(base)  # stays: one that is called like a quantization has no twin of the other
    name = folder + with_quantization(base, quantization) if other else named
    if not other or (name != named and name.removeprefix(folder) in subject.siblings):
        return ["-m", name], []
    if name == named:
        name = f"{named.removesuffix('.gguf')}-{quantization}.gguf"
    again = [] if subject.quantization in _WHOLE else ["--allow-requantize"]
    return ["-m", name], ["llama-quantize", *again, named, name, quantization]


_WHOLE: Final = ("F32", "F16", "BF16")  # of which another quantization is made without losing twice


__all__ = ["ModelReference", "server_command", "format_context"]
