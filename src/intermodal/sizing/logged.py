"""What llama.cpp said it took when it loaded a model: lines of its log, as terms of the memory."""

from __future__ import annotations

import re
from typing import Final

from intermodal.content import Value
from intermodal.sizing.memory import Device, Memory

MIB: Final = 1 << 20
_LINE: Final = re.compile(r"(\S+) +(model|KV|RS|compute|output) buffer size = +(\d+(?:\.\d+)?) MiB")
_TERMS: Final = {"model": "weights", "KV": "cache", "RS": "state", "compute": "compute", "output": "output"}


class Compared(Value):
    """A term as it was predicted (the middle) and as it was logged, in bytes."""

    name: str
    device: Device
    predicted: float
    logged: float

    @property
    def error(self) -> float | None:
        """Of the prediction, as a share of what was logged; None where nothing was."""
        return self.predicted / self.logged - 1 if self.logged else None


def logged_terms(log: str) -> dict[tuple[str, Device], float]:
    """Bytes a term and device. A buffer that is laid out anew counts as it was at last.

    >>> logged_terms("load_tensors:   CPU_Mapped model buffer size =    92.12 MiB")[("weights", "host")] / 2**20
    92.12
    """
    buffers: dict[tuple[str, str], list[float]] = {}
    for place, kind, size in _LINE.findall(log):
        some = buffers.setdefault((place, kind), [])
        if kind == "compute" or kind == "output":
            some.clear()
        some.append(float(size) * MIB)
    found: dict[tuple[str, Device], float] = {}
    for (place, kind), sizes in buffers.items():
        device: Device = "host" if place.startswith("CPU") or "Host" in place else "device"
        key: tuple[str, Device] = (_TERMS[kind], device)
        found[key] = found.get(key, 0.0) + sum(sizes)
    return found


def compared(memory: Memory, log: str) -> tuple[Compared, ...]:
    """Every term that was predicted or logged and has a name in both."""
    logged = logged_terms(log)
    names: list[tuple[str, Device]] = list(logged)
    for term in memory.terms:
        if term.name in _TERMS.values():
            named: tuple[str, Device] = (term.name, term.device)
            names.append(named)
    found: dict[tuple[str, Device], Compared] = {}
    for key in names:
        device: Device = key[1]
        amount = memory.of(key[0], device).mid
        found[key] = Compared(name=key[0], device=device, predicted=amount, logged=logged.get(key, 0.0))
    return tuple(found.values())
