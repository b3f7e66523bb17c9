"""Memory that llama.cpp logs when it loads a model, as terms of the prediction."""

from __future__ import annotations

import re
from typing import Final

from intermodal.content import Value
from intermodal.quantity import Quantity
from intermodal.sizing.memory import ModelMemory
from intermodal.sizing.serving_settings import Device

MIB: Final = 1 << 20
_DIGITS: Final = 0.03 * MIB  # two after the point, of a few lines
_LINE: Final = re.compile(r"(\S+) +(model|KV|RS|compute|output) buffer size = +(\d+(?:\.\d+)?) MiB")
_TERMS: Final = {"model": "weights", "KV": "cache", "RS": "state", "compute": "compute", "output": "output"}


class TermComparison(Value):
    """A term as predicted and as it really was, in bytes, or in tokens if its name says so.

    ``source``: of the real value, "log" for the server's own log. ``real`` is 0 if unknown.
    """

    name: str
    device: Device
    predicted: Quantity
    real: float
    source: str = "log"

    @property
    def error(self) -> float | None:
        """Return the error of the prediction's middle, relative to the real value; None if that is unknown."""
        return self.predicted.mid / self.real - 1 if self.real and self.predicted.known else None

    @property
    def as_logged(self) -> bool:
        """Return whether the two agree to the digits of a log."""
        return abs(self.real - self.predicted.mid) <= _DIGITS

    @property
    def inside(self) -> bool:
        """Return whether the real value was within the predicted range, to the digits of a log."""
        return self.predicted.known and self.predicted.low - _DIGITS <= self.real <= self.predicted.high + _DIGITS


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


def compare_terms(memory: ModelMemory, log: str) -> tuple[TermComparison, ...]:
    """Every term that was predicted or logged and has a name in both."""
    logged = logged_terms(log)
    names: list[tuple[str, Device]] = list(logged)
    for term in memory.terms:
        if term.name in _TERMS.values():
            named: tuple[str, Device] = (term.name, term.device)
            names.append(named)
    found: dict[tuple[str, Device], TermComparison] = {}
    for key in names:
        device: Device = key[1]
        found[key] = TermComparison(
            name=key[0], device=device, predicted=memory.of(key[0], device), real=logged.get(key, 0.0)
        )
    return tuple(found.values())
