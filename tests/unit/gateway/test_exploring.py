"""An endpoint that was never measured is tried out by a few requests, and nobody notices where it fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from tests.gates.upstreams import document, whole
from tests.gates.wall import Play, Wall, refusal
from tests.unit.gateway.house import House, priced, through_the_executor, until

from intermodal.gateway.serving import Gateway
from intermodal.plans.plan import EXPLORED_EVERY, EXPLORED_MOST

WORDS = ["all", " is", " well"]
# Slow as it is expected to be, quick as it may be.
UNSURE = "speed = { overhead = [0.0001, 3.0, 6.0], decode = [10.0, 20.0, 1e6], prompt = [100.0, 1000.0, 1e6] }\n"


@contextmanager
def served(way: str, folder: Path, monkeypatch: pytest.MonkeyPatch, new: bool, more: str = "") -> Iterator[House]:
    """A gateway before a host that works and one that is ``new``, and works or does not."""

    def before(gateway: Gateway) -> None:
        if way == "executor":
            through_the_executor(gateway)

    def play(model: str, number: int) -> Play:
        if model == "new" and not new:
            return refusal(503)
        return (whole if wall.hits[-1].body.get("stream") else document)("openai", WORDS)

    with Wall(play) as wall:
        path = folder / "intermodal.toml"
        rows = [
            priced(host, wall.base_url, price, model=f"acme/{host}") for host, price in (("known", 1.0), ("new", 0.9))
        ]
        path.write_text("".join([more, *rows, UNSURE]))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with House(before=before) as house:
            house.http.event_hooks = {}  # the wall writes less than the document says
            for _ in range(4):
                assert house.chat(model="auto", max_tokens=50).status_code == 200
            client = house.gateway.client
            until(lambda: any(name.startswith("known:") for name in client.store.learn().rows))
            client._looked = client._seen = 0.0  # it looks now, and not in a second
            yield house


def asks(house: House, count: int) -> list[tuple[str, str]]:
    """Who answered so many requests, and what was said of each."""
    found = []
    for _ in range(count):
        said = house.chat(model="auto", max_tokens=50)
        assert said.status_code == 200 and said.json()["choices"][0]["message"]["content"] == "".join(WORDS)
        notes = " ".join(said.json()["usage"]["intermodal"]["notes"])
        found.append((said.headers["x-intermodal-route"], notes))
    return found


@pytest.mark.parametrize("way", ["lane", "executor"])
@pytest.mark.parametrize("works", [True, False])
def test_a_few_requests_try_out_what_was_never_measured(
    way: str, works: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(way, tmp_path, monkeypatch, works) as house:
        found = asks(house, 7 * EXPLORED_EVERY)
        tried = [place for place, (_, notes) in enumerate(found) if "explores new:acme/new" in notes]
        assert 1 <= len(tried) <= EXPLORED_MOST
        assert all(later - one >= EXPLORED_EVERY for one, later in pairwise(tried))
        assert f"not measured yet (request 1 of {EXPLORED_MOST})" in found[tried[0]][1]
        for place, (who, _) in enumerate(found):
            if place not in tried and (not works or place < tried[-1]):
                assert who == "known:acme/known"
        assert {found[place][0] for place in tried} == {"new:acme/new" if works else "known:acme/known"}
        rows = [row for row in house.gateway.client.store.attempts(-1) if row.reservation.endpoint == "new:acme/new"]
        if not works:
            assert len(rows) == len(tried), "it is asked once in such a request"
        assert (house.taken > 0) == (way == "lane"), "all others go as they would"


@pytest.mark.parametrize("way", ["lane", "executor"])
def test_nothing_is_tried_out_where_the_config_says_so(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(way, tmp_path, monkeypatch, True, "explore = false\n") as house:
        assert {who for who, _ in asks(house, 3 * EXPLORED_EVERY)} == {"known:acme/known"}
