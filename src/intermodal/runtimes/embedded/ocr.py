"""Child: text recognition by RapidOCR with the PP-OCR models that ship inside its package. Nothing is fetched."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from intermodal._process import serve
from intermodal.errors import InputBroken, NotInstalled
from intermodal.runtimes.embedded._child import library, loading, spins, threads

MAX_RATIO = 4
MIN_SIDE = 6  # pixels; no letter is smaller
_engine: Any = None


def load(path: str, name: str) -> None:
    """Load the three networks (once). RapidOCR loads lazily, so a picture with one word is read to wake all."""
    global _engine
    if _engine is None:
        if not spins():
            _let_threads_sleep(library("onnxruntime"))
        rapidocr = library("rapidocr")
        logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
        parameters = {
            "Global.log_level": "critical",
            "EngineConfig.onnxruntime.intra_op_num_threads": threads(),
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            **_bundled(Path(str(rapidocr.__file__)).parent / "models"),
        }
        _engine = loading(name, lambda: _woken(rapidocr.RapidOCR(params=parameters)))


def _let_threads_sleep(onnxruntime: Any) -> None:
    """Have every session's threads sleep until there is work; RapidOCR has no setting for it and makes its own.

    Under a load of 9 on 2 cores a screenshot took 1.4 s of the processors instead of 1.9, and 3.3 s instead of 4.5.
    """
    plain = onnxruntime.SessionOptions

    def sleeping() -> Any:
        options = plain()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return options

    onnxruntime.SessionOptions = sleeping


def _bundled(folder: Path) -> dict[str, str]:
    """The networks inside the package, by path: asked for by name, RapidOCR would fetch one that is not there."""
    found = {}
    for step, pattern in (("Det", "*_det_*.onnx"), ("Cls", "*_cls_*.onnx"), ("Rec", "*_rec_*.onnx")):
        models = sorted(folder.glob(pattern))
        if not models:
            raise NotInstalled(
                f"rapidocr came without its {step} model", todo="run: pip install --force-reinstall 'rapidocr>=3.9,<4'"
            )
        found[f"{step}.model_path"] = str(models[0])
    return found


def _woken(engine: Any) -> Any:
    cv2, numpy = library("cv2"), library("numpy")
    cv2.setNumThreads(threads())
    page = numpy.full((64, 160, 3), 255, dtype=numpy.uint8)
    cv2.putText(page, "load", (10, 44), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (0, 0, 0), 2)
    engine(page)
    return engine


def read(path: str, name: str, png: bytes) -> dict[str, Any]:
    """Lines of text: words, confidence, and the box around them in pixels."""
    load(path, name)
    cv2, numpy = library("cv2"), library("numpy")
    picture = cv2.imdecode(numpy.frombuffer(png, dtype=numpy.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputBroken("is not a picture that can be read")
    height, width = picture.shape[:2]
    if min(height, width) < MIN_SIDE:
        return {"lines": []}
    found = _engine(_squarer(picture))
    if found.boxes is None or found.txts is None:
        return {"lines": []}
    lines = []
    for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
        xs = [min(max(float(x), 0.0), float(width)) for x, _ in corners]
        ys = [min(max(float(y), 0.0), float(height)) for _, y in corners]
        lines.append([text, float(score), [min(xs), min(ys), max(xs), max(ys)]])
    return {"lines": lines}


def _squarer(picture: Any) -> Any:
    """The picture padded to at most 4:1, at its right or lower edge, so that no box moves.

    The detector enlarges a picture until its short side has 736 pixels: a strip of 3 x 200 would become
    736 x 49,067 and take a minute.
    """
    height, width = picture.shape[:2]
    right, below = max(0, -(-height // MAX_RATIO) - width), max(0, -(-width // MAX_RATIO) - height)
    if not right and not below:
        return picture
    cv2, numpy = library("cv2"), library("numpy")
    colour = [float(c) for c in numpy.median(picture.reshape(-1, 3), axis=0)]
    return cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_CONSTANT, value=colour)


if __name__ == "__main__":
    serve({"load": load, "read": read})
