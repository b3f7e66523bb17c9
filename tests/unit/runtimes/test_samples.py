"""The ear takes its sound by stretches, from bytes and from a file alike."""

from __future__ import annotations

import os
from pathlib import Path

import numpy

from intermodal.file_bytes import FileBytes
from intermodal.runtimes.embedded import _speech


def test_samples_of_a_file_are_those_of_its_bytes(tmp_path: Path) -> None:
    array = (numpy.random.default_rng(3).standard_normal(7 * 60 * _speech.RATE) * 900).astype("<i2")
    (path := tmp_path / "pcm").write_bytes(array.tobytes())
    for pcm in (array.tobytes(), FileBytes(os.open(path, os.O_RDONLY))):
        samples = _speech.Samples(pcm)
        assert len(samples) == len(array)
        assert (samples[100:200] == array[100:200]).all()
        assert (_speech.levels(samples) == _speech.levels(array)).all()
        assert _speech.gain(samples) == _speech.gain(array)
        assert _speech.stretches(samples) == _speech.stretches(array)
