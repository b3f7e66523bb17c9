"""Child: text recognition by RapidOCR with the PP-OCR models that ship inside its package. Nothing is fetched."""

from __future__ import annotations

import logging
from typing import Any

from intermodal._process import serve
from intermodal.runtimes.embedded._child import library, loading, threads

_engine: Any = None


def load(path: str, name: str) -> None:
    """Load the three networks (once). RapidOCR loads lazily, so a picture with one word is read to wake all."""
    global _engine
    if _engine is None:
        rapidocr = library("rapidocr")
        logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
        parameters = {
            "Global.log_level": "critical",
            "EngineConfig.onnxruntime.intra_op_num_threads": threads(),
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
        _engine = loading(name, lambda: _woken(rapidocr.RapidOCR(params=parameters)))


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
    found = _engine(png)
    if found.boxes is None or found.txts is None:
        return {"lines": []}
    lines = []
    for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
        xs, ys = [float(x) for x, _ in corners], [float(y) for _, y in corners]
        lines.append([text, float(score), [min(xs), min(ys), max(xs), max(ys)]])
    return {"lines": lines}


if __name__ == "__main__":
    serve({"load": load, "read": read})
