"""The machine a plan is made for. Rounded, so that the same machine gives the same plan."""

from __future__ import annotations

from intermodal.content import Value
from intermodal.quantity import ZERO, Quantity


class Gpu(Value):
    """A graphics card, or the graphics part of a chip.

    Attributes:
        memory: bytes that it may use; of a chip whose memory is the machine's, as much of that as its system lets it.
        free: bytes of them that are free; None where nobody looked.
        bandwidth: bytes a second its memory gives. compute: operations a second. watts: under load. 0 for unknown.
        unified: its memory is the machine's.
        source: whose numbers those are.
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
        processor: its name. bandwidth, compute: bytes that its memory gives and operations that its cores do a second;
            exact zeros where nobody looked, which nothing is when a plan is made.
    """

    cores: int = 1
    memory: int = 0
    free: int = 0
    gpus: tuple[Gpu, ...] = ()
    loaded: tuple[str, ...] = ()
    processor: str = ""
    bandwidth: Quantity = ZERO
    compute: Quantity = ZERO
