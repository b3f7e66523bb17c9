"""systemd's watchdog: tell the service manager again and again that the process still turns its loop.

Where a unit has ``WatchdogSec=``, systemd ends and restarts a service that stays silent for so long. That is for a
gateway of one process, which has no parent to replace it, and for the parent of several, which nobody else watches.
Without such a unit nothing is sent: a process that nobody would start again is not ended for us.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

_ALIVE = b"WATCHDOG=1"
_SHARE = 3  # signs of life in each period: one may be late


class ServiceWatchdog:
    """``environ``: of this process. Signs of life are sent to where the service manager said, if it asked for them."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        place, period = environ.get("NOTIFY_SOCKET", ""), environ.get("WATCHDOG_USEC", "")
        ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())  # children inherit the variables
        self.asked = bool(place and period.isdigit() and int(period) and ours)
        self._period = int(period) / 1e6 / _SHARE if self.asked else 0.0
        self._place = f"\0{place[1:]}" if place.startswith("@") else place  # of the abstract namespace
        self._due = 0.0
        if self.asked:
            faulthandler.enable()  # SIGABRT is how systemd ends it: every thread says where it is

    def beat(self) -> None:
        """Send a sign of life if one is due. Where nobody listens any more there is nobody to tell."""
        now = time.monotonic()
        if not self.asked or now < self._due:
            return
        self._due = now + self._period
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.setblocking(False)
            line.sendto(_ALIVE, self._place)

    def beat_while_turning(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send them for as long as the loop turns."""
        if not self.asked:
            return

        def beat() -> None:
            self.beat()
            loop.call_later(self._period, beat)

        beat()
