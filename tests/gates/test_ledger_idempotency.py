"""C7: under one Idempotency-Key a request is carried out once, however often and wherever it is sent."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from pathlib import Path

import pytest

from intermodal.gateway.quotas import idempotency, sqlite_store
from intermodal.gateway.quotas.quota_manager import QuotaManager
from intermodal.gateway.quotas.quota_store import FirstUse, IdempotentRequest, StoredReply
from intermodal.gateway.quotas.quota_types import QuotaRefusal
from intermodal.gateway.quotas.sqlite_store import CHANGES, FILE, SqliteQuotaStore

pytestmark = pytest.mark.anyio
REPLY = StoredReply(status=200, content_type="application/json", body=b'{"answer": 42}')
ASKED = IdempotentRequest(owner="k", name="order-1", digest=b"body")


async def started(
    path: Path, *, process: str = "", gone: frozenset[str] = frozenset(), now: float = 0.0
) -> QuotaManager:
    quota_store = SqliteQuotaStore(path / FILE, process=process, is_gone=gone.__contains__, clock=lambda: 1e9 + now)
    ledger = QuotaManager(quota_store, clock=lambda: 1e9 + now)
    await ledger.start()
    return ledger


def code(found: object) -> str:
    assert isinstance(found, QuotaRefusal)
    return f"{found.status} {found.code}"


async def test_C7_asked_again_the_same_answer_comes_without_a_call(tmp_path: Path) -> None:
    first = await started(tmp_path)
    fresh = await first.begin_idempotent(ASKED)
    assert isinstance(fresh, FirstUse)
    await first.finish(fresh, REPLY)
    assert await first.begin_idempotent(ASKED) == REPLY
    second = await started(tmp_path)
    assert await second.begin_idempotent(ASKED) == REPLY, "in another worker, too"
    await first.close()
    await second.close()
    third = await started(tmp_path)
    assert await third.begin_idempotent(ASKED) == REPLY, "and after a restart"
    await third.close()


async def test_C7_of_many_at_once_in_several_workers_one_is_carried_out(tmp_path: Path, full_gates: bool) -> None:
    workers = [await started(tmp_path) for _ in range(4)]
    for number in range(50 if full_gates else 5):
        asked = IdempotentRequest(owner="k", name=f"n{number}", digest=b"d")
        found = await asyncio.gather(*(worker.begin_idempotent(asked) for worker in workers for _ in range(10)))
        fresh = [each for each in found if isinstance(each, FirstUse)]
        assert len(fresh) == 1
        assert {code(each) for each in found if not isinstance(each, FirstUse)} == {"409 idempotency_in_progress"}
        await workers[0].finish(fresh[0], REPLY)
        assert [await worker.begin_idempotent(asked) for worker in workers] == [REPLY] * 4
    for worker in workers:
        await worker.close()


async def test_C7_another_body_is_refused(tmp_path: Path) -> None:
    ledger = await started(tmp_path)
    fresh = await ledger.begin_idempotent(ASKED)
    other = IdempotentRequest(owner="k", name="order-1", digest=b"other body")
    assert code(await ledger.begin_idempotent(other)) == "409 idempotency_mismatch"
    assert isinstance(fresh, FirstUse)
    await ledger.finish(fresh, REPLY)
    assert code(await ledger.begin_idempotent(other)) == "409 idempotency_mismatch"
    assert isinstance(
        await ledger.begin_idempotent(IdempotentRequest(owner="other", name="order-1", digest=b"other body")), FirstUse
    )
    await ledger.close()


async def test_C7_after_a_crash_it_is_not_carried_out_again(tmp_path: Path) -> None:
    died = await started(tmp_path, process="host/boot/1/1")
    assert isinstance(await died.begin_idempotent(ASKED), FirstUse)
    after = await started(tmp_path, process="host/boot/2/1", gone=frozenset({"host/boot/1/1"}))
    for _ in range(2):
        assert code(await after.begin_idempotent(ASKED)) == "409 idempotency_lost"
    await after.close()


async def test_C7_what_was_never_sent_may_be_asked_again(tmp_path: Path) -> None:
    ledger = await started(tmp_path)
    fresh = await ledger.begin_idempotent(ASKED)
    assert isinstance(fresh, FirstUse)
    await ledger.free_idempotency_key(fresh)
    assert isinstance(await ledger.begin_idempotent(ASKED), FirstUse)
    await ledger.close()


async def test_C7_answers_are_bounded_in_size_in_number_and_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "MAX_TOTAL_BYTES", 3_000_000)
    monkeypatch.setattr(idempotency, "MAX_PER_KEY", 8)
    ledger = await started(tmp_path)

    async def one(name: str, size: int) -> IdempotentRequest:
        asked = IdempotentRequest(owner="k", name=name, digest=b"")
        fresh = await ledger.begin_idempotent(asked)
        assert isinstance(fresh, FirstUse)
        await ledger.finish(fresh, StoredReply(status=200, content_type="text/plain", body=bytes(size)))
        return asked

    assert (
        code(await ledger.begin_idempotent(await one("long", idempotency.MAX_STORED_BYTES + 1)))
        == "409 idempotency_answered"
    )
    kept = [await one(f"order-of-anna-{number}", 900_000) for number in range(4)]
    found = [await ledger.begin_idempotent(asked) for asked in kept]
    assert code(found[0]) == "409 idempotency_answered", "the oldest made room"
    assert all(isinstance(each, StoredReply) for each in found[1:])
    for number in range(3):
        assert isinstance(
            await ledger.begin_idempotent(IdempotentRequest(owner="k", name=f"more{number}", digest=b"")), FirstUse
        )
    assert (
        code(await ledger.begin_idempotent(IdempotentRequest(owner="k", name="more3", digest=b"")))
        == "429 idempotency_full"
    )
    await ledger.close()
    later = await started(tmp_path, now=idempotency.RETENTION_SECONDS + 1)
    assert isinstance(await later.begin_idempotent(kept[1]), FirstUse), "a day later it is forgotten"
    await later.close()
    assert b"anna" not in (tmp_path / FILE).read_bytes(), "names are kept as hashes"


async def test_E4_what_clients_say_is_data_and_never_words_of_a_statement(tmp_path: Path, full_gates: bool) -> None:
    """Names and keys out of SQL, formats and controls: the schema stays, and each makes the one row it should."""
    ledger = await started(tmp_path)
    ledger.access.check_bind("127.0.0.1")
    random_ = random.Random(4)
    pieces = [
        "'",
        '"',
        ";",
        "--",
        "DROP TABLE keys",
        "\x00",
        "%s",
        "{0}",
        "\n",
        "\r",
        "\\",
        "é",
        "\udc80",
        "im-",
        " OR 1=1",
    ]

    def schema() -> list[object]:
        with sqlite3.connect(tmp_path / FILE) as connection:
            found = connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
        connection.close()
        return list(found)

    before, names = schema(), set[str]()
    for number in range(5000 if full_gates else 150):
        name = "".join(random_.choices(pieces, k=random_.randint(1, 8))) + str(number)
        names.add(name)
        found = await ledger.begin_idempotent(
            IdempotentRequest(owner="k", name=name, digest=name.encode("utf-8", "replace"))
        )
        assert isinstance(found, FirstUse)
        assert not isinstance(ledger.access.authenticate({"x-api-key": name}), QuotaRefusal)
    await ledger.close()
    assert schema() == before
    with sqlite3.connect(tmp_path / FILE) as connection:
        assert connection.execute("SELECT COUNT(*) FROM answers").fetchone()[0] == len(names)
    connection.close()


async def test_C7_old_rows_are_deleted_a_few_at_a_time_and_block_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "MAX_PER_KEY", 60)
    first = await started(tmp_path)
    for number in range(60):
        fresh = await first.begin_idempotent(IdempotentRequest(owner="k", name=f"n{number}", digest=b"d"))
        assert isinstance(fresh, FirstUse)
        await first.finish(fresh, REPLY)
    assert code(await first.begin_idempotent(ASKED)) == "429 idempotency_full"
    await first.close()
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_store, "PRUNE_ROUNDS", 0)  # a gateway that has run for long
        later = await started(tmp_path, now=idempotency.RETENTION_SECONDS + 1)

    def kept() -> int:
        connection = sqlite3.connect(tmp_path / FILE)
        try:
            return int(connection.execute("SELECT COUNT(*) FROM answers").fetchone()[0])
        finally:
            connection.close()

    assert isinstance(
        await later.begin_idempotent(IdempotentRequest(owner="k", name="n59", digest=b"other")), FirstUse
    ), "its first use is past"
    assert kept() == 60 - idempotency.PRUNE_BATCH - 1 + 1
    for number in range(3):
        assert isinstance(
            await later.begin_idempotent(IdempotentRequest(owner="k", name=f"m{number}", digest=b"d")), FirstUse
        )
    assert kept() == 4
    await later.close()
    last = await started(tmp_path, now=3 * idempotency.RETENTION_SECONDS)
    assert kept() == 0, "where nobody asks they go when a gateway starts, and every six hours"
    await last.close()


KEEP = "INSERT INTO answers (owner, name, digest, worker, state, expires, body) VALUES ('k', ?, x'', 'w', ?, ?, ?)"


async def test_C7_keeping_an_answer_takes_no_longer_the_more_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in steps of SQLite's machine. The limit is met each time, so that the oldest has to make room, too."""
    steps: dict[int, int] = {}
    for many in (10, 2000):
        monkeypatch.setattr(idempotency, "MAX_TOTAL_BYTES", many * 100)
        quota_store = SqliteQuotaStore(tmp_path / str(many) / FILE, clock=lambda: 1e9)
        worker = quota_store.enter()
        with quota_store._database.writing() as filling:
            gone = [(f"gone{number}", "long", 2e9 + number, b"") for number in range(many)]
            kept = [(f"kept{number}", "done", 3e9 + number, bytes(100)) for number in range(many)]
            filling.executemany(KEEP, gone + kept)
        fresh = quota_store.begin_idempotent(worker.id, ASKED, 1e9)
        assert isinstance(fresh, FirstUse)
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        with quota_store._database.reading() as connection:
            assert connection is not None
            connection.set_progress_handler(step, 1)
            quota_store.finish(fresh.row, StoredReply(status=200, content_type="text/plain", body=bytes(100)), 4e9)
            connection.set_progress_handler(None, 0)
            states = [row["state"] for row in connection.execute("SELECT state FROM answers WHERE name = 'kept0'")]
            assert states == ["long"], "the oldest made room"
            told = connection.execute("SELECT bytes FROM answers_kept").fetchone()[0]
            assert told == connection.execute("SELECT SUM(LENGTH(body)) FROM answers").fetchone()[0] == many * 100
        steps[many] = count
        quota_store.close()
    assert steps[2000] < 2 * steps[10], steps


async def test_C7_answers_that_an_older_version_kept_are_counted(tmp_path: Path) -> None:
    path = tmp_path / FILE
    with sqlite3.connect(path) as connection:
        for version in (1, 2):
            connection.executescript(CHANGES[version])
        connection.execute("INSERT INTO schema VALUES (2)")
        connection.execute(KEEP, ("n", "done", 2e9, bytes(70)))
    connection.close()
    ledger = await started(tmp_path)
    fresh = await ledger.begin_idempotent(ASKED)
    assert isinstance(fresh, FirstUse)
    await ledger.finish(fresh, REPLY)
    await ledger.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT bytes FROM answers_kept").fetchone()[0] == 70 + len(REPLY.body)
        connection.execute("DELETE FROM answers")
        assert connection.execute("SELECT bytes FROM answers_kept").fetchone()[0] == 0
    connection.close()
