"""When a route ends: its steps over the machine's resources.

The cores are one resource: local steps, loads included, do not overlap. Calls over a network overlap with
each other and with local work. Deterministic transforms run first, because network conversions may wait for
them. The last call waits for everything.
"""

from __future__ import annotations


def finish(transforms: float, local: float, network: float, last: float) -> float:
    """Seconds until the answer is complete.

    Args:
        transforms: sum over the deterministic steps.
        local: sum over calls on this machine and the loading of their runtimes.
        network: the longest conversion over the network, 0 when there is none.
        last: the last call, its own loading included.

    >>> finish(transforms=1.0, local=4.0, network=2.0, last=3.0)
    8.0
    >>> finish(transforms=1.0, local=0.5, network=2.0, last=3.0)
    6.0
    """
    here = transforms + local
    away = transforms + network if network else 0.0
    return (here if here > away else away) + last
