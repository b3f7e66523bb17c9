"""What drivers tell of cards, as cards; and how fast memory was measured to be, kept for this machine alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from intermodal.local.hardware import gpus, machine, memory_bandwidth
from intermodal.sizing.machines import GIB

MIB = 1 << 20


def test_two_cards_of_nvidia_with_what_is_free_on_each() -> None:
    found = gpus.parse_nvidia("NVIDIA GeForce RTX 4090, 24564, 23002\nNVIDIA GeForce RTX 3060, 12288, 10\n")
    assert [(gpu.name, gpu.memory, gpu.free) for gpu in found] == [
        ("NVIDIA GeForce RTX 4090", 24564 * MIB, 23002 * MIB), ("NVIDIA GeForce RTX 3060", 12288 * MIB, 10 * MIB),
    ]  # fmt: skip
    assert [gpu.bandwidth for gpu in found] == [1010e9, 360e9]


def test_a_card_nobody_knows_is_a_card_without_a_speed() -> None:
    [gpu] = gpus.parse_nvidia("NVIDIA Made Up 9000, 8192, 8000")
    assert (gpu.memory, gpu.bandwidth, gpu.compute) == (8 * GIB, 0, 0)


@pytest.mark.parametrize(
    "told", ["", "NVIDIA-SMI has failed because it couldn't communicate with the driver.\n", "a, b\n"]
)
def test_a_driver_that_tells_nothing_tells_of_no_card(told: str) -> None:
    assert gpus.parse_nvidia(told) == ()


def test_a_chip_whose_memory_is_the_machines_is_told_without_one() -> None:
    [gpu] = gpus.parse_nvidia("NVIDIA GB10, [N/A], [N/A]")
    assert (gpu.unified, gpu.memory, gpu.bandwidth) == (True, 0, 273e9)
    [other] = gpus.parse_nvidia("NVIDIA Made Up Chip, [N/A], [N/A]")
    assert (other.unified, other.memory, other.bandwidth) == (True, 0, 0)


def test_cards_of_amd_are_read_from_the_kernel(tmp_path: Path) -> None:
    for index, (vendor, total) in enumerate((("0x1002", 24 * GIB), ("0x8086", 0), ("0x10de", 8 * GIB))):
        folder = tmp_path / f"card{index}" / "device"
        folder.mkdir(parents=True)
        (folder / "vendor").write_text(vendor + "\n")
        (folder / "product_name").write_text("Radeon RX 7900 XTX\n")
        if total:
            (folder / "mem_info_vram_total").write_text(f"{total}\n")
            (folder / "mem_info_vram_used").write_text(f"{2 * GIB}\n")
    [gpu] = gpus.read_amd(tmp_path)
    assert (gpu.memory, gpu.free, gpu.bandwidth) == (24 * GIB, 22 * GIB, 960e9)


@pytest.mark.parametrize(("limit", "memory"), [("0", 48 * GIB), ("57344", 56 * GIB)])
def test_apples_chip_gets_its_own_limit_or_the_systems(limit: str, memory: int) -> None:
    told = f"machdep.cpu.brand_string: Apple M4 Max\nhw.memsize: {64 * GIB}\niogpu.wired_limit_mb: {limit}\n"
    [gpu] = gpus.parse_apple(told)
    assert (gpu.name, gpu.memory, gpu.unified, gpu.bandwidth) == ("Apple M4 Max 40-core", memory, True, 546e9)


def test_a_mac_with_a_processor_of_intel_has_no_such_chip() -> None:
    assert gpus.parse_apple(f"machdep.cpu.brand_string: Intel(R) Core(TM) i7\nhw.memsize: {16 * GIB}\n") == ()


def test_a_tool_that_is_not_there_fails_or_hangs_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpus._tool_output("no-such-tool-anywhere") == ""
    assert gpus._tool_output(sys.executable, "-c", "raise SystemExit(9)") == ""
    monkeypatch.setattr(gpus, "PATIENCE", 0.01)
    assert gpus._tool_output(sys.executable, "-c", "input(); import time; time.sleep(60)") == ""


def test_a_measurement_is_kept_for_the_same_processor_alone(tmp_path: Path) -> None:
    found = memory_bandwidth.MeasuredBandwidth(processor="one", cores=8, bandwidth=40e9, taken="2026-11-29")
    memory_bandwidth.save_bandwidth(tmp_path, found)
    kept = memory_bandwidth.load_bandwidth(tmp_path, "one", 8)
    assert kept is not None
    assert "40.0 GB/s copied here on 2026-11-29" in kept.basis
    assert kept.low < kept.mid < kept.high
    assert (
        memory_bandwidth.load_bandwidth(tmp_path, "another", 8)
        is memory_bandwidth.load_bandwidth(tmp_path, "one", 4)
        is None
    )
    (tmp_path / memory_bandwidth.FILE).write_text("{}")
    assert memory_bandwidth.load_bandwidth(tmp_path, "one", 8) is None


def test_measuring_counts_bytes_of_every_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_bandwidth, "BLOCK", 1 << 20)
    monkeypatch.setattr(memory_bandwidth, "SECONDS", 0.01)
    found = memory_bandwidth.measure_bandwidth("a processor", 2)
    assert (found.processor, found.cores) == ("a processor", 2)
    assert found.bandwidth > 0


def test_a_survey_has_what_a_snapshot_leaves_out(tmp_path: Path) -> None:
    name = machine.processor()
    memory_bandwidth.save_bandwidth(
        tmp_path,
        memory_bandwidth.MeasuredBandwidth(processor=name, cores=machine.cores(), bandwidth=40e9, taken="2026-11-29"),
    )
    found = machine.machine_survey(tmp_path)
    assert "copied here" in found.bandwidth.basis
    assert found.compute.known
    assert machine.machine_snapshot().bandwidth.mid == 0  # nothing is measured or asked when a plan is made
