"""A hub that is asked too often says so, and is asked again as late as it says."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import anyio
import pytest
from tests.unit.local.weights.hub_server import FakeHub, fake_hub

from intermodal.local.weights.hub import FileRange, Hub, HubListing
from intermodal.local.weights.transfer import SourceFailed

LISTED = "/api/models/owner/repo/revision/main?blobs=true"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub(model__gguf=b"x" * 100) as made:
        siblings = [{"rfilename": "model.gguf", "size": 100}]
        made.files[LISTED] = json.dumps({"sha": COMMIT, "siblings": siblings}).encode()
        yield made


def listed(hub: FakeHub) -> HubListing:
    async def ask() -> HubListing:
        mine = Hub(hub.url, pause=0.01)
        try:
            return await mine.listing("owner/repo", "main")
        finally:
            await mine.close()

    return anyio.run(ask)


def piece(hub: FakeHub) -> FileRange:
    async def ask() -> FileRange:
        mine = Hub(hub.url, pause=0.01)
        try:
            return await mine.piece(mine.address("owner/repo", "main", "model.gguf"), 0, 10)
        finally:
            await mine.close()

    return anyio.run(ask)


def test_a_listing_that_is_asked_for_too_often_is_asked_for_again(hub: FakeHub) -> None:
    hub.tricks = [("status", 429)] * 3
    assert listed(hub).revision == COMMIT
    assert [path for path, _ in hub.requests] == [LISTED] * 4


def test_a_piece_of_a_header_is_asked_for_again_too(hub: FakeHub) -> None:
    hub.tricks = [("status", 429)]
    assert piece(hub) == FileRange(b"x" * 10, 100)
    assert len(hub.requests) == 2


def test_retry_after_of_the_hub_is_respected(hub: FakeHub) -> None:
    hub.tricks, hub.headers = [("status", 429)], {"Retry-After": "1"}
    began = time.monotonic()
    assert listed(hub).revision == COMMIT
    assert time.monotonic() - began >= 1


def test_a_hub_that_keeps_refusing_is_an_error_after_four_requests(hub: FakeHub) -> None:
    hub.tricks = [("status", 429)] * 20
    with pytest.raises(SourceFailed, match="answered 429") as stopped:
        listed(hub)
    assert stopped.value.todo == "ask again later" and len(hub.requests) == 4


def test_a_wait_that_nobody_waits_for_is_said_at_once(hub: FakeHub) -> None:
    hub.tricks, hub.headers = [("status", 429)] * 20, {"Retry-After": "3600"}
    with pytest.raises(SourceFailed, match="answered 429, and asks to wait 3,600 s"):
        listed(hub)
    assert len(hub.requests) == 1
