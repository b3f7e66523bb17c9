"""Detects GPUs and their free memory, with the tools and files of their drivers.

Each reader has two parts: one queries the system, the other parses the answer. Planning does not use this module,
because a driver's tool takes tenths of a second and free memory changes in the meantime.
"""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Collection
from pathlib import Path

from msgspec.structs import replace

from intermodal.errors import UsageError
from intermodal.plans.machine import Gpu
from intermodal.sizing.machines import card, card_of_driver, find_card

PATIENCE = 5.0  # timeout of a driver's tool in seconds; it usually answers in 0.05 to 1
_MIB = 1 << 20
_DRM = Path("/sys/class/drm")
_AMD = "0x1002"
_NVIDIA_PROCESSES = ("nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits")
_NVIDIA = ("nvidia-smi", "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")


def detect_gpus() -> tuple[Gpu, ...]:
    """Return every GPU that a driver reports, in its order."""
    if platform.system() == "Darwin":
        return parse_apple(_tool_output("sysctl", "machdep.cpu.brand_string", "hw.memsize", "iogpu.wired_limit_mb"))
    return (*parse_nvidia(_tool_output(*_NVIDIA)), *read_amd(_DRM))


def gpu_memory_used_by(processes: Collection[int]) -> int:
    """Return the NVIDIA GPU memory in bytes used by processes; 0 if no driver reports it."""
    return parse_process_memory(_tool_output(*_NVIDIA_PROCESSES), processes)


def parse_process_memory(table: str, processes: Collection[int]) -> int:
    r"""Parse the GPU memory of processes from ``nvidia-smi``'s table: process id and MiB per process and GPU.

    >>> parse_process_memory("4242, 8120\n17, 300\n4242, 100", {4242}) // 2**20
    8220
    """
    rows = ([field.strip() for field in line.split(",")] for line in table.splitlines())
    pairs = ((row[0], row[1]) for row in rows if len(row) == 2 and row[0].isdigit() and row[1].isdigit())
    return sum(int(size) * _MIB for process, size in pairs if int(process) in processes)


def parse_nvidia(table: str) -> tuple[Gpu, ...]:
    """Parse GPUs from ``nvidia-smi``'s table: name, total and free MiB, one line per GPU.

    >>> [gpu] = parse_nvidia("NVIDIA GeForce RTX 4090, 24564, 23002")
    >>> gpu.name, gpu.free // 2**20, gpu.bandwidth / 1e9
    ('NVIDIA GeForce RTX 4090', 23002, 1010.0)
    """
    found = []
    for line in table.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 3 and fields[1].isdigit() and fields[2].isdigit():
            found.append(_card(fields[0], int(fields[1]) * _MIB, int(fields[2]) * _MIB))
        elif len(fields) == 3 and fields[0].startswith("NVIDIA"):  # "[N/A]": an integrated GPU
            found.append(_chip(fields[0]))
    return tuple(found)


def read_amd(folder: Path) -> tuple[Gpu, ...]:
    """Return AMD GPUs from the files of the kernel driver."""
    found = []
    for device in sorted(folder.glob("card[0-9]*/device")):
        memory, used = _read_number(device / "mem_info_vram_total"), _read_number(device / "mem_info_vram_used")
        if _read_text_or_empty(device / "vendor") == _AMD and memory:
            name = (
                _read_text_or_empty(device / "product_name")
                or f"AMD graphics card (device {_read_text_or_empty(device / 'device') or 'unknown'})"
            )
            found.append(_card(name, memory, max(0, memory - used)))
    return tuple(found)


def parse_apple(output: str) -> tuple[Gpu, ...]:
    """Parse the GPU of an Apple chip from ``sysctl``. Its free memory is that of the machine, so ``free`` is None."""
    values = dict(line.split(": ", 1) for line in output.splitlines() if ": " in line)
    name, memory = values.get("machdep.cpu.brand_string", ""), values.get("hw.memsize", "")
    if not name.startswith("Apple") or not memory.isdigit():
        return ()
    row = card_of_driver(name, int(memory))
    gpu = card(row, int(memory)) if row else Gpu(name=name, memory=int(memory) * 2 // 3, unified=True)
    limit = values.get("iogpu.wired_limit_mb", "")
    limit_bytes = int(limit) * _MIB if limit.isdigit() else 0  # 0: the system's default applies
    return (replace(gpu, memory=limit_bytes or gpu.memory, free=None),)


def _chip(name: str) -> Gpu:
    """Return an integrated GPU with the speed of its row, and 0 as its memory, which is the machine's."""
    try:
        row, memory = find_card(name)
    except UsageError:
        return Gpu(name=name, memory=0, unified=True)
    return replace(card(row, memory), name=name, memory=0, free=None, unified=True)


def _card(name: str, memory: int, free: int) -> Gpu:
    row = card_of_driver(name, memory)
    if row is None:
        return Gpu(name=name, memory=memory, free=free)
    return replace(card(row, memory, free), name=name, memory=memory)


def _tool_output(*command: str) -> str:
    """Return a tool's output; "" if it is missing or fails."""
    try:
        completed = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return completed.stdout


def _read_text_or_empty(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _read_number(path: Path) -> int:
    text = _read_text_or_empty(path)
    return int(text) if text.isdigit() else 0
