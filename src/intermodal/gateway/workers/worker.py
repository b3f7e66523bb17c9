"""The identity of a worker process: its number, its sockets, the shared memory and the connection to its parent."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import socket
from collections.abc import Sequence

import msgspec

from intermodal.core.content import Value
from intermodal.errors import UsageError
from intermodal.gateway.workers.heartbeat import start_beating
from intermodal.gateway.workers.shared_state import SharedState
from intermodal.gateway.workers.sockets import SharedSocket, inherit_sockets

READY = b"r"
DUMP_SIGNAL = (
    signal.SIGUSR2
)  # a worker that receives it writes the stack of each thread to the line, even while it hangs


class WorkerAssignment(Value):
    """The assignment that the parent passes to a worker on its command line; descriptors are inherited.

    Attributes:
        number: unique among live workers, from 0. workers: intended number. numbers: maximum number.
        first: the first worker at start-up, which logs its address.
    """

    number: int
    workers: int
    numbers: int
    line: int
    memory: int
    sockets: tuple[int, ...]
    first: bool = False


class GatewayWorker:
    """One of several workers. Raises UsageError if it was not started by a parent process."""

    def __init__(self, assignment: str) -> None:
        try:
            self.post = post = msgspec.json.decode(assignment, type=WorkerAssignment)
            self.sockets: Sequence[SharedSocket] = inherit_sockets(post.sockets)
            self._line = socket.socket(fileno=post.line)
            os.set_inheritable(post.line, False)
            self.memory = SharedState(post.memory, post.numbers)
            os.close(post.memory)
        except (msgspec.MsgspecError, OSError, ValueError):
            raise UsageError("workers are started by serve --workers N alone") from None
        self._line.setblocking(False)
        faulthandler.register(DUMP_SIGNAL, file=post.line, all_threads=True)

    @property
    def number(self) -> int:
        return self.post.number

    @property
    def line(self) -> int:
        """The descriptor that becomes readable when the parent is gone."""
        return self._line.fileno()

    def announce_ready(self) -> None:
        """Tell the parent that this worker serves, and start the heartbeat."""
        start_beating(self.memory.beats, self.number, asyncio.get_running_loop())
        try:
            self._line.send(READY)
        except OSError:  # the parent is gone, which ``line`` reports too
            return

    def announce_end(self) -> None:
        """Tell the parent that the loop has ended, so that its silence is not taken for a hang."""
        self.memory.beats.end(self.number)
