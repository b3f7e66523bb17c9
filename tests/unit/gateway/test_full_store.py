"""A store that takes no more rows, while budgets can still be written: what may cost money is refused until it does."""

from __future__ import annotations

import time

from tests.unit.gateway.house import House

from intermodal.testing import FakeHost

NO_MORE, ENOUGH = "PRAGMA max_page_count=1", "PRAGMA max_page_count=1000000"  # SQLite: no more pages than there are


def test_nothing_that_costs_money_is_sent_until_the_store_takes_rows_again(house: House, host: FakeHost) -> None:
    assert house.chat().status_code == 200
    store = house.gateway.client.store
    with store._database.reading() as connection:
        assert connection is not None
        connection.execute(NO_MORE)
    end = time.monotonic() + 30
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
    end = time.monotonic() + 10
    while house.chat().status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.1)
    end = time.monotonic() + 10
    while sum(row.spent > 0 for row in store.attempts(-1)) < len(host.attempts):
        assert time.monotonic() < end
        time.sleep(0.1)
