"""The machine for which a plan is made. Its figures are rounded, so that the same machine gives the same plan."""

from __future__ import annotations

from intermodal.content import Value
from intermodal.quantity import ZERO, Quantity


class Gpu(Value):
    """A graphics card, or the graphics part of a chip.

    Attributes:
        memory: bytes that it may use. A chip that shares the machine's memory may use as much as its system permits.
        free: free bytes of its memory; None if not queried.
        bandwidth: bytes per second of its memory. compute: operations per second. watts: power under load. 0: unknown.
        unified: it shares the machine's memory.
        source: where these numbers come from.
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
    """The machine as the planner reads it.

    Attributes:
        memory, free: bytes, rounded down to 256 MiB.
        loaded: ids of endpoints whose model is in memory.
        processor: its name.
        bandwidth, compute: bytes per second of its memory, operations per second of its cores. Exact zeros where they
            were not measured; planning never measures them.
    """

    cores: int = 1
    memory: int = 0
    free: int = 0
    gpus: tuple[Gpu, ...] = ()
    loaded: tuple[str, ...] = ()
    processor: str = ""
    bandwidth: Quantity = ZERO
    compute: Quantity = ZERO
