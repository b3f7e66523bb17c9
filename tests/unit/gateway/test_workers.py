"""What several workers share, below HTTP: rows and counts that are whole or not there, sums, sockets."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
from contextlib import closing

import pytest

from intermodal.errors import UsageError
from intermodal.gateway.metrics import Metrics, Now
from intermodal.gateway.workers.listening import bound
from intermodal.gateway.workers.memory import Memory, made
from intermodal.gateway.workers.table import Long, Table


def named(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def test_a_row_is_read_whole_or_not_at_all() -> None:
    view = memoryview(bytearray(4 * 256))
    table = Table(view, 256)
    assert table.get(named(1)) is None
    assert table.put(named(1), b"where it was") and table.get(named(1)) == b"where it was"
    at = bytes(view).index(b"where")
    view[at] ^= 1
    assert table.get(named(1)) is None, "half of what two wrote at once"
    assert table.put(named(1), b"again") and table.get(named(1)) == b"again"
    assert not table.put(named(2), bytes(256)), "longer than a row"


def test_what_is_longer_than_a_row_comes_back_whole_or_not_at_all() -> None:
    table = Table(memoryview(bytearray(64 * 256)), 256)
    kept, long, short = Long(table), bytes(range(256)) * 4, b"short"
    assert kept.put(named(1), long) and kept.get(named(1)) == long
    assert kept.put(named(1), short) and kept.get(named(1)) == short
    assert kept.put(named(1), b"") and kept.get(named(1)) == b""
    assert kept.put(named(1), long)
    Long(table).put(named(1), long[::-1])
    assert kept.get(named(1)) == long[::-1]
    assert not kept.put(named(2), bytes(2 << 20)) and kept.get(named(2)) is None
    for number in range(200):  # those that come later take some of its pieces
        table.put(named(number + 10), b"other")
    assert kept.get(named(1)) is None


def test_the_oldest_row_makes_room() -> None:
    table = Table(memoryview(bytearray(4 * 256)), 256)
    for number in (1, 2, 3, 4, 1, 5):
        table.put(named(number), str(number).encode())
    assert [table.get(named(number)) for number in range(1, 6)] == [b"1", None, b"3", b"4", b"5"]


WRITER = """
import os, sys, time
from intermodal.gateway.workers.memory import Memory
from tests.unit.gateway.test_workers import named
memory, end = Memory(int(sys.argv[1]), 2), time.monotonic() + 0.4
print("on", flush=True)
while time.monotonic() < end:
    for number in range(8):
        memory.places.put(named(number), sys.argv[2].encode() * 200)
    memory.write(int(sys.argv[3]), sys.argv[2].encode() * 20_000)
"""


def test_processes_that_write_at_once_never_show_a_mixture() -> None:
    descriptor = made(2)
    memory = Memory(descriptor, 2)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(descriptor), letter, str(number)],
                         pass_fds=(descriptor,), stdout=subprocess.PIPE, env=env)
        for number, letter in enumerate("ab")
    ]  # fmt: skip
    os.close(descriptor)
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline()
    seen = set()
    while any(writer.poll() is None for writer in writers):
        seen |= {memory.places.get(named(number)) for number in range(8)}
        assert memory.read(0) in (None, b"a" * 20_000) and memory.read(1) in (None, b"b" * 20_000)
    assert seen <= {None, b"a" * 200, b"b" * 200} and len(seen) > 1
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.close()


def test_who_is_killed_while_writing_its_counts_leaves_those_before() -> None:
    descriptor = made(1)
    memory = Memory(descriptor, 1)
    assert memory.read(0) is None
    memory.write(0, b"first")
    memory.write(0, b"second")
    with os.fdopen(descriptor, "r+b") as file:  # the next writing stops in the middle
        file.seek(-2 << 18, os.SEEK_END)  # where counts are
        file.seek(file.read().rindex(b"first") - (2 << 18), os.SEEK_END)
        file.write(b"thi")
        file.flush()
        assert memory.read(0) == b"second"
    memory.write(0, b"third")
    assert memory.read(0) == b"third"


def test_counts_of_several_are_the_counts_of_one_that_did_it_all() -> None:
    one, other, both = Metrics(), Metrics(), Metrics()
    for metrics in (one, both):
        metrics.passed("cloud:a", 3, 5, 0.25)
        metrics.turned_away("/v1/models", 401)
    for metrics in (other, both):
        metrics.passed("cloud:a", 7, 1, None)
        metrics.passed("cloud:b", 1, 1, 0.5)
    total = Metrics()
    total.add(one.counts())
    total.add(other.counts())
    assert total.text(Now(workers=2)) == both.text(Now(workers=2))


def test_workers_have_one_address_and_nobody_else_has_it() -> None:
    lines = bound("localhost", 0, 3)
    try:
        ports = {line.getsockname()[1] for sockets in lines for line in sockets}
        assert len(ports) == 1
        lines[0][0].listen()
        with pytest.raises(UsageError, match="already in use; choose another --port"):
            bound("localhost", ports.pop(), 2)
        host, port = lines[0][0].getsockname()[:2]
        with closing(socket.create_connection((host, port))):
            lines[0][0].accept()[0].close()
    finally:
        for line in (line for sockets in lines for line in sockets):
            line.close()
