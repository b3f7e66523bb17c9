"""The ear takes its sound by stretches, from bytes and from a file alike."""

from __future__ import annotations

import os
from pathlib import Path

import numpy

from intermodal.files.file_bytes import FileBytes
from intermodal.local.embedded import voice_activity


def test_samples_of_a_file_are_those_of_its_bytes(tmp_path: Path) -> None:
    array = (numpy.random.default_rng(3).standard_normal(7 * 60 * voice_activity.RATE) * 900).astype("<i2")
    (path := tmp_path / "pcm").write_bytes(array.tobytes())
    for pcm in (array.tobytes(), FileBytes(os.open(path, os.O_RDONLY))):
        samples = voice_activity.PcmSamples(pcm)
        assert len(samples) == len(array)
        assert (samples[100:200] == array[100:200]).all()
        assert (voice_activity.frame_levels(samples) == voice_activity.frame_levels(array)).all()
        assert voice_activity.normalising_gain(samples) == voice_activity.normalising_gain(array)
        assert voice_activity.split_recording(samples) == voice_activity.split_recording(array)
