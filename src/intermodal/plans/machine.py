"""The machine a plan is made for. Rounded, so that the same machine gives the same plan."""

from __future__ import annotations

from intermodal.content import Value
from intermodal.quantity import ZERO, Quantity


class Gpu(Value):
    """A graphics card, or the graphics part of a chip.

    Attributes:
        memory: bytes that it may use; of a chip that shares the machine's memory, as much of that as its system
            permits.
        free: bytes of them that are free; None if not queried.
        bandwidth: bytes a second of its memory. compute: operations a second. watts: under load. 0 for unknown.
        unified: it shares the machine's memory.
        source: of these numbers.
    """

    name: str
    memory: int
    free: int | None = None
    bandwidth: float = 0.0
    compute: float = 0.0
    watts: float = 0.0
    unified: bool = False
    source: str = ""


class Machine(Value):
    """``memory`` and ``free`` in bytes, rounded down to 256 MiB. ``loaded``: endpoint ids that are warm.

    Attributes:
        processor: its name. bandwidth, compute: bytes a second of its memory and operations a second of its cores;
            exact zeros if not measured, which never happens when a plan is made.
    """

    cores: int = 1
    memory: int = 0
    free: int = 0
    gpus: tuple[Gpu, ...] = ()
    loaded: tuple[str, ...] = ()
    processor: str = ""
    bandwidth: Quantity = ZERO
    compute: Quantity = ZERO
