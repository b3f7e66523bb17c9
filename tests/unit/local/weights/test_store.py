"""The store: a file has its name only when its bytes are right, whatever the source did."""

from __future__ import annotations

import hashlib
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.unit.local.weights.hub_server import FakeHub, fake_hub

from intermodal.errors import UnknownModel, UsageError, WeightsError
from intermodal.local.weights.registry import WeightsFile, WeightsRow
from intermodal.local.weights.store import WeightsStore

pytestmark = pytest.mark.anyio
DATA = bytes(range(256)) * 20_000  # 5 MB


def row(*sources: str, data: bytes = DATA, pinned: bool = True, name: str = "m") -> WeightsRow:
    file = WeightsFile(
        name="model.bin",
        size=len(data) if pinned else 0,
        sha256=hashlib.sha256(data).hexdigest() if pinned else "",
        sources=sources,
    )
    return WeightsRow(name=name, title="t", runtime="llama", licence="MIT", files=(file,), main="model.bin")


HUB = "hf:owner/repo/model.bin@main"


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub(model__bin=DATA) as server:
        yield server


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between tries are right for a network and wrong for a test."""
    real = anyio.sleep
    monkeypatch.setattr(anyio, "sleep", lambda seconds: real(min(seconds, 0.01)))


def store(root: Path, hub: FakeHub, *rows: WeightsRow, **env: str) -> WeightsStore:
    return WeightsStore(root / "weights", rows=rows or (row(HUB),), env={"INTERMODAL_HUB": hub.url, **env})


async def test_a_pull_is_complete_verified_and_done_once(tmp_path: Path, hub: FakeHub) -> None:
    weights = store(tmp_path, hub)
    assert weights.path("m") is None
    assert weights.complete_names() == frozenset()
    seen: list[tuple[str, int, int, str]] = []
    path = await weights.pull("m", lambda *step: seen.append(step))
    assert path.read_bytes() == DATA
    assert weights.path("m") == path
    assert weights.complete_names() == {"m"}
    assert await weights.verify("m")
    assert ("model.bin", len(DATA), len(DATA), "127.0.0.1") in seen
    await weights.pull("m")
    assert len(hub.requests) == 1
    assert sorted(p.name for p in path.parent.iterdir()) == ["complete.json", "model.bin"]


async def test_a_download_cut_off_goes_on_where_it_was(tmp_path: Path, hub: FakeHub) -> None:
    hub.tricks = [("cut", 2_000_000), ("cut", 1_000_000)]
    path = await store(tmp_path, hub).pull("m")
    assert path.read_bytes() == DATA
    starts = [int(wanted.removeprefix("bytes=").rstrip("-") or 0) for _, wanted in hub.requests]
    assert starts[0] == 0
    assert 0 < starts[1] < starts[2] < len(DATA)


async def test_a_cancelled_pull_leaves_a_part_that_the_next_one_resumes(tmp_path: Path, hub: FakeHub) -> None:
    weights = store(tmp_path, hub)
    with anyio.CancelScope() as scope:

        def stop(file: str, done: int, total: int, source: str) -> None:
            if done:
                scope.cancel()

        await weights.pull("m", stop)
    part = tmp_path / "weights" / "m" / "model.bin.part"
    held = part.stat().st_size
    assert 0 < held < len(DATA)
    assert weights.path("m") is None
    await weights.pull("m")
    assert hub.requests[-1][1] == f"bytes={held}-"


@pytest.mark.parametrize("trick", [("no-range",), ("status", 503), ("status", 429)])
async def test_a_hub_that_ignores_the_range_or_is_busy_is_no_obstacle(
    tmp_path: Path, hub: FakeHub, trick: tuple[Any, ...]
) -> None:
    hub.headers = {"Retry-After": "0.01"}
    hub.tricks = [("cut", 1_500_000), trick]
    assert (await store(tmp_path, hub).pull("m")).read_bytes() == DATA


async def test_a_redirect_to_a_content_server_is_followed(tmp_path: Path, hub: FakeHub) -> None:
    hub.files["/cdn/blob"] = DATA
    hub.tricks = [("redirect", "/cdn/blob")]
    assert (await store(tmp_path, hub).pull("m")).read_bytes() == DATA


async def test_a_leftover_that_is_not_a_prefix_is_thrown_away_once(tmp_path: Path, hub: FakeHub) -> None:
    folder = tmp_path / "weights" / "m"
    folder.mkdir(parents=True)
    (folder / "model.bin.part").write_bytes(b"x" * 1000)
    assert (await store(tmp_path, hub).pull("m")).read_bytes() == DATA
    assert [wanted for _, wanted in hub.requests] == ["bytes=1000-", ""]


async def test_a_leftover_longer_than_the_hubs_file_starts_over_after_416(tmp_path: Path, hub: FakeHub) -> None:
    short = DATA[:100_000]
    hub.files = {"/owner/repo/resolve/main/model.bin": short}
    folder = tmp_path / "weights" / "m"
    folder.mkdir(parents=True)
    (folder / "model.bin.part").write_bytes(DATA[:200_000])
    with pytest.raises(WeightsError, match="expected"):
        await store(tmp_path, hub).pull("m")
    assert hub.requests[0][1] == "bytes=200000-"
    assert hub.requests[1][1] == ""


async def test_wrong_bytes_are_never_given_the_name(tmp_path: Path, hub: FakeHub) -> None:
    wrong = b"y" * len(DATA)
    hub.tricks = [("content", wrong)] * 4
    weights = store(tmp_path, hub)
    with pytest.raises(WeightsError, match="pinned checksum"):
        await weights.pull("m")
    assert list((tmp_path / "weights" / "m").iterdir()) == []
    assert weights.path("m") is None


async def test_a_lying_range_is_not_appended(tmp_path: Path, hub: FakeHub) -> None:
    hub.tricks = [("cut", 1_500_000), ("liar",)]
    with pytest.raises(WeightsError, match="another range"):
        await store(tmp_path, hub).pull("m")


async def test_a_hub_file_of_another_size_is_refused_before_it_is_fetched(tmp_path: Path, hub: FakeHub) -> None:
    hub.tricks = [("content", DATA + b"!")]
    with pytest.raises(WeightsError, match=f"has a file of {len(DATA) + 1:,} bytes"):
        await store(tmp_path, hub).pull("m")


@pytest.mark.parametrize(("length", "words"), [(None, "does not say how large"), (1 << 60, "there is room for")])
async def test_a_file_of_a_size_nobody_listed_is_refused_unless_it_is_announced_and_there_is_room(
    tmp_path: Path, hub: FakeHub, length: int | None, words: str
) -> None:
    weights = store(tmp_path, hub, row(HUB, pinned=False))
    hub.tricks = [("length", length)]
    with pytest.raises(WeightsError, match=words):
        await weights.pull("m", accept_unpinned=True)
    assert not (tmp_path / "weights" / "m" / "model.bin.part").exists()
    assert (await weights.pull("m", accept_unpinned=True)).read_bytes() == DATA


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_hub_without_the_file_gives_way_to_the_next_source(tmp_path: Path, hub: FakeHub, status: int) -> None:
    (tmp_path / "copy.bin").write_bytes(DATA)
    hub.tricks = [("status", status)]
    weights = store(tmp_path, hub, row(HUB, f"file:{tmp_path / 'copy.bin'}"))
    said: list[str] = []
    await weights.pull("m", lambda file, done, total, source: said.append(source))
    assert any("trying the next source" in text for text in said)
    assert len(hub.requests) == 1


async def test_a_hub_out_of_reach_is_tried_once_not_for_every_file(tmp_path: Path, hub: FakeHub) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused at once
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}"
        (tmp_path / "a").write_bytes(b"aa")
        (tmp_path / "b").write_bytes(b"bb")
        files = tuple(
            WeightsFile(
                name=name,
                size=2,
                sha256=hashlib.sha256((tmp_path / name).read_bytes()).hexdigest(),
                sources=(f"hf:owner/repo/{name}@main", f"file:{tmp_path / name}"),
            )
            for name in "ab"
        )
        two = WeightsRow(name="two", title="t", runtime="whisper", licence="MIT", files=files)
        weights = WeightsStore(tmp_path / "weights", rows=(two,), env={"INTERMODAL_HUB": dead})
        said: list[str] = []
        folder = await weights.pull("two", lambda file, done, total, source: said.append(source))
    assert folder == tmp_path / "weights" / "two"
    assert [text for text in said if "cannot be reached" in text] == [
        "127.0.0.1 cannot be reached; trying the next source"
    ]


async def test_a_hub_out_of_reach_is_said_once_for_all_rows_of_a_store(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused at once
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}"
        (tmp_path / "a").write_bytes(b"aa")
        file = WeightsFile(
            name="a",
            size=2,
            sha256=hashlib.sha256(b"aa").hexdigest(),
            sources=("hf:owner/repo/a@main", f"file:{tmp_path / 'a'}"),
        )
        rows = tuple(
            WeightsRow(name=name, title="t", runtime="whisper", licence="MIT", files=(file,)) for name in ("one", "two")
        )
        weights = WeightsStore(tmp_path / "weights", rows=rows, env={"INTERMODAL_HUB": dead})
        said: list[str] = []
        for row in rows:
            await weights.pull(row.name, lambda file, done, total, source: said.append(source))
    assert said.count("127.0.0.1 cannot be reached; trying the next source") == 1
    assert said.count("127.0.0.1") == 1, "the second row does not wait for it again"


async def test_no_source_at_all_is_one_sentence_that_says_what_to_do(tmp_path: Path, hub: FakeHub) -> None:
    hub.tricks = [("status", 404)]
    with pytest.raises(WeightsError) as caught:
        await store(tmp_path, hub, row(HUB, "file:/nowhere/model.bin")).pull("m")
    text = str(caught.value)
    assert "has no such file (404)" in text
    assert "/nowhere/model.bin cannot be read" in text
    assert "INTERMODAL_WEIGHTS_DIR" in text
    assert "\n" not in text


@pytest.mark.parametrize("place", ["m/model.bin", "model.bin"])
async def test_files_brought_by_hand_need_no_network(tmp_path: Path, hub: FakeHub, place: str) -> None:
    brought = tmp_path / "usb" / place
    brought.parent.mkdir(parents=True)
    brought.write_bytes(DATA)
    weights = store(tmp_path, hub, INTERMODAL_WEIGHTS_DIR=str(tmp_path / "usb"))
    assert (await weights.pull("m")).read_bytes() == DATA
    assert hub.requests == []
    assert brought.exists()


async def test_a_wrong_file_brought_by_hand_falls_back_to_the_hub(tmp_path: Path, hub: FakeHub) -> None:
    (tmp_path / "usb").mkdir()
    (tmp_path / "usb" / "model.bin").write_bytes(b"z" * len(DATA))
    weights = store(tmp_path, hub, INTERMODAL_WEIGHTS_DIR=str(tmp_path / "usb"))
    assert (await weights.pull("m")).read_bytes() == DATA


async def test_a_changed_or_lost_file_is_not_present_any_more(tmp_path: Path, hub: FakeHub) -> None:
    weights = store(tmp_path, hub)
    path = await weights.pull("m")
    path.write_bytes(DATA[:-1] + b"!")
    assert not await weights.verify("m")
    path.write_bytes(DATA[:-1])
    assert weights.path("m") is None
    assert (await weights.pull("m")).read_bytes() == DATA
    path.unlink()
    assert weights.path("m") is None
    weights.remove("m")
    assert not path.parent.exists()


async def test_a_row_whose_pin_changed_is_fetched_anew(tmp_path: Path, hub: FakeHub) -> None:
    await store(tmp_path, hub).pull("m")
    newer = DATA[::-1]
    hub.files = {"/owner/repo/resolve/main/model.bin": newer}
    was = store(tmp_path, hub).combined_checksum("m")
    weights = store(tmp_path, hub, row(HUB, data=newer))
    assert weights.path("m") is None and weights.combined_checksum("m") == ""
    assert (await weights.pull("m")).read_bytes() == newer
    assert "" != weights.combined_checksum("m") != was != ""


async def test_an_unpinned_row_is_not_trusted_unasked(tmp_path: Path, hub: FakeHub) -> None:
    weights = store(tmp_path, hub, row(HUB, pinned=False))
    with pytest.raises(UsageError, match="accept_unpinned"):
        await weights.pull("m")
    assert hub.requests == []
    with pytest.raises(WeightsError, match="pinned checksum"):
        await weights.pull("m", sums={"model.bin": "0" * 64})
    await weights.pull("m", sums={"model.bin": hashlib.sha256(DATA).hexdigest()})
    assert weights.path("m") is not None


async def test_accepting_an_unpinned_row_records_what_came(tmp_path: Path, hub: FakeHub) -> None:
    weights = store(tmp_path, hub, row(HUB, pinned=False))
    path = await weights.pull("m", accept_unpinned=True)
    assert hashlib.sha256(DATA).hexdigest() in (path.parent / "complete.json").read_text()
    assert await weights.verify("m")


async def test_a_given_sum_never_overrides_a_pinned_one(tmp_path: Path, hub: FakeHub) -> None:
    with pytest.raises(UsageError, match="another checksum"):
        await store(tmp_path, hub).pull("m", sums={"model.bin": "1" * 64})
    with pytest.raises(UsageError, match="has no file other"):
        await store(tmp_path, hub).pull("m", sums={"other": "1" * 64})


async def test_a_name_nobody_knows_says_where_the_list_is(tmp_path: Path, hub: FakeHub) -> None:
    with pytest.raises(UnknownModel, match="no weights of that name"):
        await store(tmp_path, hub).pull("nope")


async def test_too_little_room_is_said_before_anything_is_fetched(
    tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(WeightsError, match="needs 5 MB, there are 1 MB free"):
        await store(tmp_path, hub).pull("m")
    assert hub.requests == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
async def test_a_disk_that_fills_up_is_one_clear_error(tmp_path: Path, hub: FakeHub) -> None:
    folder = tmp_path / "weights" / "m"
    folder.mkdir(parents=True)
    (folder / "model.bin.part").symlink_to("/dev/full")
    with pytest.raises(WeightsError, match="the disk is full") as caught:
        await store(tmp_path, hub).pull("m")
    assert "free some space" in str(caught.value)


async def test_a_root_that_cannot_be_written_is_one_clear_error(tmp_path: Path, hub: FakeHub) -> None:
    (tmp_path / "weights").write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match="cannot be written"):
        await store(tmp_path, hub).pull("m")


PULL = """
import sys, anyio, hashlib
from pathlib import Path
from intermodal.local.weights.registry import WeightsFile, WeightsRow
from intermodal.local.weights.store import WeightsStore
root, hub, sum, size = sys.argv[1:]
file = WeightsFile(name="model.bin", size=int(size), sha256=sum, sources=("hf:owner/repo/model.bin@main",))
row = WeightsRow(name="m", title="t", runtime="llama", licence="MIT", files=(file,), main="model.bin")
print(anyio.run(WeightsStore(Path(root), rows=(row,), env={"INTERMODAL_HUB": hub}).pull, "m"))
"""


@pytest.mark.slow
async def test_two_processes_pulling_at_once_fetch_it_once(tmp_path: Path, hub: FakeHub) -> None:
    arguments = [str(tmp_path / "weights"), hub.url, hashlib.sha256(DATA).hexdigest(), str(len(DATA))]
    command = [sys.executable, "-c", PULL, *arguments]
    found: list[str] = []

    async def run() -> None:
        found.append((await anyio.run_process(command)).stdout.decode().strip())

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        group.start_soon(run)
    assert found == [str(tmp_path / "weights" / "m" / "model.bin")] * 2
    assert len(hub.requests) == 1
