"""systemd's watchdog: reports at intervals that the event loop still runs.

A unit with ``WatchdogSec=`` is restarted by systemd after a silence of that length. This serves a gateway of one
process, which no parent restarts, and the parent of several. Without such a unit nothing is sent.
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
_SHARE = 3  # reports per period: one may be late


class ServiceWatchdog:
    """Reports to the address in ``NOTIFY_SOCKET`` of ``environ``, if the service manager asked for it."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        place, period = environ.get("NOTIFY_SOCKET", ""), environ.get("WATCHDOG_USEC", "")
        is_for_this_process = environ.get("WATCHDOG_PID", str(os.getpid())) == str(
            os.getpid()
        )  # children inherit the variables
        self.enabled = bool(place and period.isdigit() and int(period) and is_for_this_process)
        self._period = int(period) / 1e6 / _SHARE if self.enabled else 0.0
        self._place = f"\0{place[1:]}" if place.startswith("@") else place  # of the abstract namespace
        self._due = 0.0
        if self.enabled:
            faulthandler.enable()  # systemd ends a hung service by SIGABRT: every thread prints its stack

    def beat(self) -> None:
        """Send a report if one is due. An address without a listener is ignored."""
        now = time.monotonic()
        if not self.enabled or now < self._due:
            return
        self._due = now + self._period
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.setblocking(False)
            line.sendto(_ALIVE, self._place)

    def beat_while_turning(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send reports for as long as the loop runs."""
        if not self.enabled:
            return

        def beat() -> None:
            self.beat()
            loop.call_later(self._period, beat)

        beat()
