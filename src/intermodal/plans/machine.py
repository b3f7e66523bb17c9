"""The machine for which a plan is made. Figures are rounded, so that the same machine always yields the same plan."""

from __future__ import annotations

from intermodal.core.content import Value
from intermodal.core.quantity import ZERO, Quantity


class Gpu(Value):
    """A discrete or integrated GPU.

    Attributes:
        memory: bytes available to the GPU. For an integrated GPU, the limit set by the operating system.
        free: free bytes of its memory; None if not queried.
        bandwidth: memory bandwidth in bytes per second. compute: operations per second. watts: power under load. 0:
            unknown.
        unified: whether it shares the machine's memory.
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
    """The machine as the planner sees it.

    Attributes:
        memory, free: bytes, rounded down to 256 MiB.
        loaded: ids of endpoints whose model is in memory.
        processor: name of the processor.
        bandwidth, compute: memory bandwidth in bytes per second, and operations per second of the cores. Exact zeros if
            not measured; planning never measures them.
    """

    cores: int = 1
    memory: int = 0
    free: int = 0
    gpus: tuple[Gpu, ...] = ()
    loaded: tuple[str, ...] = ()
    processor: str = ""
    bandwidth: Quantity = ZERO
    compute: Quantity = ZERO
