"""Child: generates images from prompts with stable-diffusion.cpp, from the wheel ``cyllama``.

The headers of all files are checked before the engine maps one (``local/weights/diffusion_files.py``), so that a
damaged file gives one clear error. The engine aborts its process on an unexpected internal state, so it runs in a
process of its own; the abort becomes an error of the call.
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from intermodal.concurrency.worker_process import emit, report_progress, serve
from intermodal.core.content import Value
from intermodal.errors import InputUnsupported, NotInstalled, RuntimeCrashed, WeightsError
from intermodal.local.embedded.availability import DIFFUSION
from intermodal.local.embedded.child_support import import_library, thread_count, without_nul
from intermodal.local.weights.diffusion_files import read_diffusion_files
from intermodal.media.image.pixels import NEAREST, SMOOTH, Rgb, decode_rgb, encode_pixels

_ATTRIBUTES: Final = {
    "model": "model_path", "diffusion_model": "diffusion_model_path", "vae": "vae_path", "taesd": "taesd_path",
    "clip_l": "clip_l_path", "clip_g": "clip_g_path", "t5xxl": "t5xxl_path", "llm": "llm_path",
}  # fmt: skip
_PARTS: Final = "see whether the parts of the model are whole, and belong together"
_SKETCH: Final = 256  # pixels of the longer side of a preview
_SKETCHES: Final = 20  # approximate number of previews per image

_context: Any = None


class DiffusionRequest(Value):
    """A request to generate images, in the engine's terms.

    ``seed`` None picks a random one; ``sampler`` "" is the default.
    """

    prompt: str
    size: tuple[int, int]
    steps: int
    guidance: float
    negative: str = ""
    count: int = 1
    seed: int | None = None
    sampler: str = ""
    strength: float | None = None
    form: str = "png"


def _engine() -> Any:
    try:
        return import_library("cyllama.sd.stable_diffusion")
    except NotInstalled as error:
        error.todo = f"run: {DIFFUSION}"
        raise


def load(path: str, name: str) -> None:
    """Load the model (once)."""
    global _context
    if _context is not None:
        return
    found = read_diffusion_files(Path(path))
    engine = _engine()
    parameters = engine.SDContextParams(n_threads=thread_count(), vae_decode_only=False)
    for part, file in found.parts.items():
        setattr(parameters, _ATTRIBUTES[part], file)
    # No log callback is set: threads that load tensors call it, and deadlock if the callback waits for them. Without
    # this setting the engine frees the weights after its first image, and the second one ends the process.
    parameters.free_params_immediately = False
    try:
        _context = engine.SDContext(parameters)
    except (RuntimeError, ValueError, OSError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        raise WeightsError("cannot be opened by the engine", where=name, todo=_PARTS) from None


def draw(
    path: str, name: str, settings: dict[str, Any], picture: bytes = b"", mask: bytes = b"", *, sketches: bool = False
) -> dict[str, Any]:
    """Generate images. Returns the encoded files and the seed of the first.

    ``settings``: the fields of ``DiffusionRequest``. ``picture``: the initial image, b"" to start from noise. ``mask``:
    white where the image may change.
    """
    load(path, name)
    engine, diffusion_request = _engine(), msgspec.convert(settings, DiffusionRequest)
    width, height = diffusion_request.size
    seed = secrets.randbelow(1 << 31) if diffusion_request.seed is None else diffusion_request.seed
    image_arguments: dict[str, Any] = {}
    if picture:
        image_arguments["init_image"] = _image(engine, picture, width, height)
        image_arguments["strength"] = 1.0 if diffusion_request.strength is None else diffusion_request.strength
    if mask:
        image_arguments["mask_image"] = _mask(engine, mask, width, height)
    _report_steps(engine, diffusion_request, sketches)
    try:
        generated = _context.generate(
            without_nul(diffusion_request.prompt), negative_prompt=without_nul(diffusion_request.negative), width=width,
            height=height, seed=seed, batch_count=diffusion_request.count, sample_steps=diffusion_request.steps,
            cfg_scale=diffusion_request.guidance,
            sample_method=_method(engine, diffusion_request.sampler), **image_arguments,
        )  # fmt: skip
    except RuntimeError:
        raise RuntimeCrashed("the engine drew nothing", where=name, todo=_PARTS) from None
    finally:
        engine.set_progress_callback(None)
        if sketches:
            engine.set_preview_callback(None)
    pixels = [each.to_numpy().copy() for each in generated]
    if mask:  # the model returns a new version of the whole image: the protected area is restored
        numpy = import_library("numpy")
        original_pixels, changes = (
            image_arguments["init_image"].to_numpy(),
            image_arguments["mask_image"].to_numpy() > 0,
        )
        pixels = [numpy.where(changes, each, original_pixels) for each in pixels]
    return {"pictures": [_file(each, diffusion_request.form) for each in pixels], "seed": seed}


def _report_steps(engine: Any, diffusion_request: DiffusionRequest, sketches: bool) -> None:
    """Report progress to the parent after each step, and a preview every few steps."""
    count = diffusion_request.count
    every = max(1, diffusion_request.steps // _SKETCHES)
    state = {"picture": 0, "step": 0, "steps": 1}

    def on_step(step: int, steps: int, seconds: float) -> None:
        if step < state["step"]:
            state["picture"] = min(count - 1, state["picture"] + 1)
        state["step"], state["steps"] = step, max(1, steps)
        report_progress((state["picture"] + step / max(1, steps)) / count, f"step {step} of {steps}")

    def on_preview(step: int, frames: list[Any], noisy: bool) -> None:
        if frames and (step % every == 0 or step == diffusion_request.steps):  # copied: the next step overwrites it
            png = _file(frames[0].to_numpy().copy(), "png", largest=_SKETCH)
            emit({"step": step, "steps": max(state["steps"], step), "png": png})

    engine.set_progress_callback(on_step)
    if sketches:
        engine.set_preview_callback(on_preview, mode=engine.PreviewMode.PROJ, interval=1)


def _method(engine: Any, sampler: str) -> Any:
    """Return the engine's constant for a sampler; None for the model's default."""
    if not sampler:
        return None
    for each in engine.SampleMethod:
        if engine.sample_method_name(each) == sampler:
            return each
    raise InputUnsupported(f"has no sampler {sampler}", where="stable-diffusion.cpp", todo="leave it out")


def _image(engine: Any, data: bytes, width: int, height: int) -> Any:
    numpy = import_library("numpy")
    found = decode_rgb(data, lambda _wide, _high: (width, height), SMOOTH)
    pixels = numpy.frombuffer(found.data, dtype="uint8").reshape(height, width, 3)
    return engine.SDImage.from_numpy(pixels.copy())  # needs writable memory


def _mask(engine: Any, data: bytes, width: int, height: int) -> Any:
    numpy = import_library("numpy")
    found = decode_rgb(data, lambda _wide, _high: (width, height), NEAREST)
    pixels = numpy.frombuffer(found.data, dtype="uint8").reshape(height, width, 3)
    grey = numpy.where(pixels.mean(axis=2, keepdims=True) >= 128, 255, 0).astype("uint8")
    if not grey.any():
        raise InputUnsupported(
            "is entirely black, so nothing may change", where="the mask", todo="paint the area to change white"
        )
    return engine.SDImage.from_numpy(grey)


def _file(pixels: Any, form: str, largest: int = 0) -> bytes:
    height, width = pixels.shape[:2]
    return encode_pixels(Rgb(width, height, pixels[:, :, :3].tobytes()), form, largest)


if __name__ == "__main__":
    serve({"load": load, "draw": draw})
