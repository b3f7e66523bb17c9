"""Endpoints and sound for tests of the embedded runtimes."""

from __future__ import annotations

import os
from pathlib import Path

from intermodal.catalog.types import Endpoint, Host, Model, Protocol
from intermodal.config.config_file import cache_dir
from intermodal.local.embedded.runtimes import EmbeddedRuntimes
from intermodal.local.weights.store import WeightsStore

REAL_WEIGHTS = cache_dir(os.environ) / "weights"  # read before a test moves INTERMODAL_HOME


def endpoint(protocol: Protocol, weights: str = "", *, context: int | None = None) -> Endpoint:
    name = f"embedded:test/{weights or protocol}"
    host = Host(id="embedded", protocol=protocol, zone="process")
    return Endpoint(id=name, model=Model(id=name), host=host, weights=weights, context=context)


BASE = endpoint("whisper", "whisper-base")
TINY_EN = endpoint("whisper", "whisper-tiny.en")
SMOLLM2 = endpoint("llama", "smollm2-135m-instruct", context=1024)
OCR = endpoint("ocr")
E5 = endpoint("e5")


def runtimes(root: Path = REAL_WEIGHTS) -> EmbeddedRuntimes:
    return EmbeddedRuntimes(WeightsStore(root))


def pcm(path: Path) -> bytes:
    """Signed 16-bit 16 kHz mono samples of a file, decoded without any code of ours."""
    import av

    with av.open(str(path)) as container:
        resampler = av.AudioResampler("s16", "mono", 16_000)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
        return b"".join(frame.to_ndarray().tobytes() for frame in frames)


def words(text: str) -> list[str]:
    return "".join(c if c.isalnum() or c == "'" else " " for c in text.lower()).split()
