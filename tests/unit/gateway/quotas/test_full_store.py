"""A store that takes no more rows, while budgets can still be written: what may cost money is refused until it does.
One that takes none in the end has them once it is opened again."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
from tests.unit.gateway.gateway_server import GatewayServer, until

from intermodal.executor.direct import engine
from intermodal.store.database import Store
from intermodal.testing import FakeHost

NO_MORE, ENOUGH = "PRAGMA max_page_count=1", "PRAGMA max_page_count=1000000"  # SQLite: no more pages than there are


def test_nothing_that_costs_money_is_sent_until_the_store_takes_rows_again(
    house: GatewayServer, host: FakeHost
) -> None:
    assert house.chat().status_code == 200
    store = house.gateway.client.store
    with store._database.reading() as connection:
        assert connection is not None
        connection.execute(NO_MORE)
    end = time.monotonic() + 300
    while (refused := house.chat()).status_code == 200:  # pages that are there take some rows
        assert time.monotonic() < end
    assert refused.status_code == 503 and refused.json()["error"]["code"] == "store"
    sent = len(host.attempts)
    for _ in range(30):  # three seconds: longer than between two tries to write
        assert house.chat().status_code == 503
        time.sleep(0.1)
    assert len(host.attempts) == sent
    with store._database.reading() as connection:
        assert connection is not None
        connection.execute(ENOUGH)
    end = time.monotonic() + 300
    while house.chat().status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.1)
    end = time.monotonic() + 300
    while sum(row.spent > 0 for row in store.attempts(-1)) < len(host.attempts):
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize("after_all", [False, True], ids=["never taken", "taken after all"])
def test_a_call_whose_row_is_not_written_in_the_end_has_one_when_the_store_is_opened_again(
    house: GatewayServer, monkeypatch: pytest.MonkeyPatch, after_all: bool
) -> None:
    monkeypatch.setattr(engine, "_CLOSE_SECONDS", 0.2)  # less than a locked store is waited for
    store = house.gateway.client.store
    assert house.chat().status_code == 200
    until(lambda: len(store.attempts()) == 1, 30)
    other = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    close = engine.AttemptWriter.close

    async def closed(self: engine.AttemptWriter) -> None:
        await close(self)
        if after_all:  # its commit is still waiting
            other.execute("ROLLBACK")

    monkeypatch.setattr(engine.AttemptWriter, "close", closed)
    assert house.chat().status_code == 200
    house.loop.call_soon_threadsafe(house.gateway.stop)
    house._thread.join(300)
    if not after_all:
        other.execute("ROLLBACK")
    other.close()
    monkeypatch.setattr("intermodal.store.attempt_journal.is_dead", lambda _: True)  # as the next process finds it
    for _ in range(2):
        opened = Store(store.path)
        found = opened.attempts()
        assert len(found) == 2 and all(row.spent > 0 for row in found)
        opened.close()
    assert not list(_journals(store.path))


def _journals(path: Path) -> list[Path]:
    return list(path.with_name("slates").iterdir())
