"""What several workers share, below HTTP: rows and counts that are whole or not there, sums, sockets."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress

import pytest

from intermodal.errors import UsageError
from intermodal.gateway.metrics import Gauges, Metrics
from intermodal.gateway.workers.shared_state import ChunkedSharedTable, SharedState, SharedTable, create_shared_memory
from intermodal.gateway.workers.sockets import SharedSocket, bind_sockets


def named(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def test_a_row_is_read_whole_or_not_at_all() -> None:
    view = memoryview(bytearray(4 * 256))
    table = SharedTable(view, 256)
    assert table.get(named(1)) is None
    assert table.store(named(1), b"where it was") and table.get(named(1)) == b"where it was"
    at = bytes(view).index(b"where")
    view[at] ^= 1
    assert table.get(named(1)) is None, "half of what two wrote at once"
    assert table.store(named(1), b"again") and table.get(named(1)) == b"again"
    assert not table.store(named(2), bytes(256)), "longer than a row"


def test_what_is_longer_than_a_row_comes_back_whole_or_not_at_all() -> None:
    table = SharedTable(memoryview(bytearray(64 * 256)), 256)
    kept, long, short = ChunkedSharedTable(table), bytes(range(256)) * 4, b"short"
    assert kept.store(named(1), long) and kept.get(named(1)) == long
    assert kept.store(named(1), short) and kept.get(named(1)) == short
    assert kept.store(named(1), b"") and kept.get(named(1)) == b""
    assert kept.store(named(1), long)
    ChunkedSharedTable(table).store(named(1), long[::-1])
    assert kept.get(named(1)) == long[::-1]
    assert not kept.store(named(2), bytes(2 << 20)) and kept.get(named(2)) is None
    for number in range(200):  # those that come later take some of its pieces
        table.store(named(number + 10), b"other")
    assert kept.get(named(1)) is None


def test_the_oldest_row_makes_room() -> None:
    table = SharedTable(memoryview(bytearray(4 * 256)), 256)
    for number in (1, 2, 3, 4, 1, 5):
        table.store(named(number), str(number).encode())
    assert [table.get(named(number)) for number in range(1, 6)] == [b"1", None, b"3", b"4", b"5"]


READINGS = 3000  # half a second of them, while others write

# Begins on a word, and writes until nobody holds its other end.
WRITER = """
import sys, threading
from intermodal.gateway.workers.shared_state import SharedState
from tests.unit.gateway.process.test_workers import named
memory, over = SharedState(int(sys.argv[1]), 2), threading.Event()
print("here", flush=True)
sys.stdin.readline()
threading.Thread(target=lambda: (sys.stdin.read(), over.set())).start()
while not over.is_set():
    for number in range(8):
        memory.places.store(named(number), sys.argv[2].encode() * 200)
    memory.write(int(sys.argv[3]), sys.argv[2].encode() * 20_000)
    for _ in range(20):  # what is short is mostly its head, which is not written at once either
        memory.write(int(sys.argv[3]), sys.argv[2].encode())
"""


def test_processes_that_write_at_once_never_show_a_mixture() -> None:
    descriptor = create_shared_memory(2)
    memory = SharedState(descriptor, 2)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with ExitStack() as running:
        writers = [
            running.enter_context(subprocess.Popen(
                [sys.executable, "-c", WRITER, str(descriptor), letter, str(number)],
                pass_fds=(descriptor,), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env,
            ))
            for number, letter in enumerate("ab")
        ]  # fmt: skip
        os.close(descriptor)
        for writer in writers:
            running.callback(writer.kill)
            assert writer.stdout is not None and writer.stdout.readline()
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write(b"go\n")
            writer.stdin.flush()
        rows, counts = set[bytes | None](), (set[bytes | None](), set[bytes | None]())
        all_rows, all_counts = {b"a" * 200, b"b" * 200}, ({b"a", b"a" * 20_000}, {b"b", b"b" * 20_000})
        readings, until = 0, time.monotonic() + 300
        while readings < READINGS or not (
            rows >= all_rows and counts[0] >= all_counts[0] and counts[1] >= all_counts[1]
        ):
            assert time.monotonic() < until, "not everything that is written can be read"
            rows |= {memory.places.get(named(number)) for number in range(8)}
            for number in (0, 1):
                counts[number].add(memory.read(number))
            readings += 1
        for writer in writers:
            writer.communicate(timeout=300)
        assert rows - {None} == all_rows, "a mixture"
        for whole, seen in zip(all_counts, counts, strict=True):
            assert seen - {None} == whole, "a mixture"
        assert all(writer.returncode == 0 for writer in writers)


def test_who_is_killed_while_writing_its_counts_leaves_those_before() -> None:
    descriptor = create_shared_memory(1)
    memory = SharedState(descriptor, 1)
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


def test_who_is_killed_while_writing_how_much_it_counted_has_counted_nothing() -> None:
    descriptor = create_shared_memory(1)
    memory = SharedState(descriptor, 1)
    memory.write(0, b"first")
    with os.fdopen(descriptor, "r+b") as file:
        end = file.seek(0, os.SEEK_END) - file.seek(-2 << 18, os.SEEK_END)
        file.seek(file.read().rindex(b"first") - end - 8, os.SEEK_END)  # behind the number of the writing
        file.write(bytes(8))
        file.flush()
        assert memory.read(0) is None
    memory.write(0, b"second")
    assert memory.read(0) == b"second"


def test_counts_of_several_are_the_counts_of_one_that_did_it_all() -> None:
    one, other, both = Metrics(), Metrics(), Metrics()
    for metrics in (one, both):
        metrics.count_direct("cloud:a", 3, 5, 0.25)
        metrics.count_rejected("/v1/models", 401)
    for metrics in (other, both):
        metrics.count_direct("cloud:a", 7, 1, None)
        metrics.count_direct("cloud:b", 1, 1, 0.5)
        metrics.count_direct("cloud:b", 1, None, 0.5)
    total = Metrics()
    total.add(one.counts())
    total.add(other.counts())
    assert total.exposition_text(Gauges(workers=2)) == both.exposition_text(Gauges(workers=2))


def test_workers_have_one_address_and_nobody_else_has_it() -> None:
    lines = bind_sockets("localhost", 0, 3)
    try:
        ports = {line.getsockname()[1] for sockets in lines for line in sockets}
        assert len(ports) == 1
        with pytest.raises(UsageError, match="already in use; choose another port"):
            bind_sockets("localhost", ports.pop(), 2)  # although no worker serves yet
        host, port = lines[0][0].getsockname()[:2]
        with closing(socket.create_connection((host, port))):  # and who comes already waits for the first
            lines[0][0].accept()[0].close()
    finally:
        close(lines)


def test_of_gateways_that_start_at_once_no_two_have_the_port() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
    together = threading.Barrier(8)

    def start() -> list[list[SharedSocket]]:
        together.wait()
        with suppress(UsageError):
            return bind_sockets("127.0.0.1", port, 2)
        return []

    with ThreadPoolExecutor(8) as pool:
        found = [each.result() for each in [pool.submit(start) for _ in range(8)]]
    for lines in found:
        close(lines)
    assert len([lines for lines in found if lines]) < 2


def test_all_workers_have_their_part_of_the_connections() -> None:
    lines = bind_sockets("127.0.0.1", 0, 3)
    try:
        for sockets in lines:
            sockets[0].listen()
        with ExitStack() as clients:
            for _ in range(200):
                clients.enter_context(closing(socket.create_connection(lines[0][0].getsockname())))
            for line in {sockets[0] for sockets in lines}:
                line.settimeout(10)
                line.accept()[0].close()
    finally:
        close(lines)


def close(lines: list[list[SharedSocket]]) -> None:
    for line in (line for sockets in lines for line in sockets):
        line.close()
