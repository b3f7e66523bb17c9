"""How often a store is learned from."""

from __future__ import annotations

import pytest

from intermodal.store.epochs import due
from intermodal.store.learned_figures import EPOCH_ROWS, WINDOW


@pytest.mark.parametrize(("looked", "rows"), [(0, EPOCH_ROWS), (80, 10), (400, 50), (100_000, WINDOW)])
def test_a_store_of_few_rows_is_learned_from_every_ten_and_one_of_many_before_any_row_leaves_the_window(
    looked: int, rows: int
) -> None:
    assert due(looked) == rows
