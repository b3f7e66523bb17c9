"""The machine a plan is made for. Rounded, so that the same machine gives the same plan."""

from __future__ import annotations

from intermodal.content import Value


class Gpu(Value):
    name: str
    memory: int  # bytes


class Machine(Value):
    """``memory`` and ``free`` in bytes, rounded down to 256 MiB. ``loaded``: endpoint ids that are warm."""

    cores: int = 1
    memory: int = 0
    free: int = 0
    gpus: tuple[Gpu, ...] = ()
    loaded: tuple[str, ...] = ()
