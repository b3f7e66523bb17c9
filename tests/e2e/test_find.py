"""Images found by words and by an image, with a real contrastive model, as a user finds them."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.e2e.command import Ran, intermodal
from tests.e2e.onnx_folders import CLIP, config
from tests.media.tiny_eye import world

from intermodal.client.async_client import AsyncClient
from intermodal.config.config_file import cache_dir
from intermodal.errors import NotInstalled, RuntimeCrashed
from intermodal.retrieval import image_search

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(300)]


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight images in a folder and one below it, with a file that is none and one that says it is."""
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path, "contrastive", tiny_clip=CLIP)))
    folder = tmp_path / "album"
    (folder / "charts").mkdir(parents=True)
    for colour, what in (("red", "star"), ("blue", "circle"), ("green", "square"), ("orange", "triangle")):
        (folder / f"{colour}-{what}.png").write_bytes(world.shape(colour, what).png)  # type: ignore[arg-type]
    (folder / "red-star-again.jpg").write_bytes(_jpeg(world.shape("red", "star", "black").png))
    (folder / "page.png").write_bytes(world.page().png)
    (folder / "charts" / "bars.png").write_bytes(world.chart("bar").png)
    (folder / "notes.txt").write_text("no image")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"nothing" * 20)
    return folder


def _jpeg(png: bytes) -> bytes:
    import io

    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").save(out := io.BytesIO(), "JPEG", quality=90)
    return out.getvalue()


def found(ran: Ran) -> dict[str, object]:
    assert ran.code == 0, ran.err
    made: dict[str, object] = json.loads(ran.out)
    return made


def names(document: dict[str, object]) -> list[str]:
    near = document["nearest"]
    assert isinstance(near, list)
    return [Path(each["file"]).name for each in near]


def test_words_find_the_pictures_that_show_it_and_a_broken_file_is_named(album: Path) -> None:
    document = found(intermodal("find", "a red star", str(album), "--top", "3", "--json"))
    assert set(names(document)[:2]) == {"red-star.png", "red-star-again.jpg"}
    assert document["pictures"] == 7
    assert document["looked_at"] == 7
    left_out = document["left_out"]
    assert isinstance(left_out, list)
    assert [Path(each["file"]).name for each in left_out] == ["broken.png"]
    assert names(found(intermodal("find", "a bar chart", str(album), "--json")))[0] == "bars.png"


def test_a_file_that_is_no_picture_is_left_out_with_what_to_do_at_the_command_line(album: Path) -> None:
    (album / "weights.png").write_bytes(b"GGUF\x03\x00\x00\x00" + bytes(64))
    left_out = found(intermodal("find", "a red star", str(album), "--json"))["left_out"]
    assert isinstance(left_out, list)
    (why,) = (each["why"] for each in left_out if each["file"].endswith("weights.png"))
    assert "pass it to --model, not as input" in why


def _vectors() -> set[str]:
    """Digests in the index, but for those of words."""
    with sqlite3.connect(cache_dir(os.environ) / "vectors.sqlite3") as connection:
        found = {digest for (digest,) in connection.execute("SELECT digest FROM vectors")}
    return {digest for digest in found if not digest.startswith("words")}


def test_a_picture_that_was_removed_or_changed_is_forgotten_and_one_that_was_moved_is_not(album: Path) -> None:
    found(intermodal("find", "a red star", str(album), "--json"))
    before = _vectors()
    (album / "page.png").unlink()
    (album / "blue-circle.png").write_bytes(world.shape("purple", "circle").png)
    (album / "green-square.png").rename(album / "charts" / "square.png")
    document = found(intermodal("find", "a red star", str(album), "--json"))
    assert (document["pictures"], document["looked_at"]) == (6, 1)
    after = _vectors()
    assert len(after) == 6
    assert len(before & after) == 5


def test_a_picture_finds_what_looks_like_it_and_not_itself(album: Path) -> None:
    document = found(intermodal("find", str(album / "red-star.png"), str(album), "--json"))
    assert document["by"] == "picture"
    assert names(document)[0] == "red-star-again.jpg"
    assert "red-star.png" not in names(document)


async def test_the_second_search_looks_at_no_picture_and_starts_no_model(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncClient() as client:
        first = await client.find("a red star", album)
    os.replace(album / "page.png", album / "moved.png")  # the same bytes under another name
    async with AsyncClient() as client:
        finder = client.finder()

        async def refuse(*_: object) -> None:
            raise RuntimeCrashed("a model was asked")

        monkeypatch.setattr(client.runtimes, "embed_image", refuse)
        monkeypatch.setattr(client.runtimes, "embed_texts_contrastive", refuse)
        second = await finder.find("a red star", [album])
        assert second.looked_at == 0
        assert [each.score for each in second.nearest] == [each.score for each in first.nearest]
        assert (await finder.find("a red star", [album])).nearest == second.nearest


def test_the_second_search_of_a_program_imports_neither_planner_nor_numpy(album: Path) -> None:
    found(intermodal("find", "a red star", str(album), "--json"))
    script = """
import sys
from intermodal.cli import main
try:
    main.main(["find", "a red star", sys.argv[1], "--json"])
finally:
    ours = {"intermodal.planner", "intermodal.client.async_client", "intermodal.executor.run"}
    heavy = {"numpy", "PIL", "onnxruntime"} | ours
    print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    ran = subprocess.run([sys.executable, "-c", script, str(album)], capture_output=True, text=True, check=True)
    assert ran.stderr.strip() == "[]"
    assert len(json.loads(ran.stdout)["nearest"]) == 7


async def test_one_by_one_and_by_numpy_the_same_scores_come_out(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with AsyncClient() as client:
        one_by_one = await client.find("a red star", album)
        monkeypatch.setattr(image_search, "_NUMPY_PAYS", 0)
        at_once = await client.find("a red star", album)
    assert [each.file for each in one_by_one.nearest] == [each.file for each in at_once.nearest]
    scores = [each.score for each in one_by_one.nearest]
    assert scores == pytest.approx([each.score for each in at_once.nearest], abs=2e-6)


async def test_a_picture_by_another_spelling_of_its_path_is_not_found_as_itself(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(album / "charts")
    by_itself = [Path("..", "..", "album", "red-star.png"), album / "charts" / ".." / "red-star.png"]
    linked = album.parent / "linked"
    linked.symlink_to(album / "charts", target_is_directory=True)
    async with AsyncClient() as client:
        for query in (*by_itself, linked / ".." / "red-star.png"):
            found = await client.find(str(query), album, "..", album / "charts" / "..")
            assert str(album / "red-star.png") not in [each.file for each in found.nearest], query
            assert found.pictures == 6
            assert all(".." not in Path(each.file).parts for each in found.nearest)


async def test_a_picture_whose_decoder_is_not_installed_is_left_out_and_says_what_to_install(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncClient() as client:
        decode = client.media.picture

        async def without_one(data: bytes, **rest: Any) -> Any:
            if rest["name"] == "page.png":
                raise NotInstalled("needs a decoder", todo="pip install it")
            return await decode(data, **rest)

        monkeypatch.setattr(client.media, "picture", without_one)
        found = await client.find("a red star", album)
    assert found.pictures == 6
    why = {Path(each.file).name: each.why for each in found.left_out}
    assert why["page.png"] == "needs a decoder (pip install it)"
    assert set(why) == {"page.png", "broken.png"}


def test_a_search_among_known_pictures_starts_without_an_event_loop_and_finds_the_same(album: Path) -> None:
    """Its import would take longer than the search."""
    (album / "broken.png").unlink()
    asked = ("find", "a red star", str(album), "--json")
    first = found(intermodal(*asked))
    command = [sys.executable, "-X", "importtime", "-m", "intermodal.cli.main", *asked]
    again = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    assert "intermodal.retrieval.image_search" in again.stderr
    assert "asyncio" not in again.stderr and "intermodal.media.worker_client" not in again.stderr
    document = json.loads(again.stdout)
    assert (document.pop("looked_at"), first.pop("looked_at")) == (0, 7)
    assert document == first
    (album / "red-star.png").unlink()
    fewer = found(intermodal(*asked))
    assert fewer["pictures"] == 6 and "red-star.png" not in names(fewer)


def test_a_search_in_which_no_picture_can_be_taken_is_an_error_with_its_reason(album: Path) -> None:
    (album / "none.png").write_bytes(b"")
    one = intermodal("find", "a star", str(album / "none.png"))
    assert one.code == 3 and "none.png: is empty" in one.err, one.err
    both = intermodal("find", "a star", str(album / "none.png"), str(album / "broken.png"))
    assert both.code == 3 and "1 other image cannot be taken either" in both.err, both.err


@pytest.mark.parametrize("failing", ["embed_image", "picture"])
async def test_what_breaks_a_search_reaches_the_caller_as_one_error(
    failing: str, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object, **__: object) -> None:
        raise RuntimeCrashed("it ended")

    async with AsyncClient() as client:
        monkeypatch.setattr(client.runtimes if failing == "embed_image" else client.media, failing, crash)
        with pytest.raises(RuntimeCrashed, match="it ended"):
            await client.find("a red star", album)


async def test_only_pictures_that_were_compared_are_counted(album: Path) -> None:
    async with AsyncClient() as client:
        finder = client.finder()
        assert (await finder.find("a red star", [album])).pictures == 7
        with sqlite3.connect(client.vectors._path) as index:  # as another model under the same name would leave it
            index.execute("UPDATE vectors SET vector = x'00000000' WHERE digest = (SELECT min(digest) FROM files)")
        assert (await finder.find("a red star", [album])).pictures == 6


async def test_the_event_loop_goes_on_while_another_program_writes_the_index(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncClient() as client:
        await client.find("a red star", album / "charts")
        look, looked = client.runtimes.embed_image, anyio.Event()

        async def told(*given: Any) -> Any:
            looked.set()
            return await look(*given)

        monkeypatch.setattr(client.runtimes, "embed_image", told)
        other = sqlite3.connect(client.vectors._path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        async def release() -> None:
            await looked.wait()
            await anyio.sleep(1.0)
            other.rollback()
            other.close()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(release)
            assert (await client.find("a red star", album)).looked_at == 6


async def test_a_search_leaves_no_open_index(album: Path) -> None:
    async with AsyncClient() as client:
        await client.find("a red star", album)
        index = client.vectors._path
        assert index.exists()
        assert not Path(f"{index}-wal").exists()  # SQLite removes it with the last connection


async def test_a_changed_picture_is_looked_at_again(album: Path) -> None:
    async with AsyncClient() as client:
        await client.find("a red star", album)
        (album / "green-square.png").write_bytes(world.shape("red", "star", "gray").png)
        again = await client.find("a red star", album, top=3)
    assert again.looked_at == 1
    assert "green-square.png" in [Path(each.file).name for each in again.nearest]


async def test_another_model_has_an_index_of_its_own(album: Path, tmp_path: Path) -> None:
    async with AsyncClient() as client:
        await client.find("a red star", album)
    other = tmp_path / "other"
    shutil.copytree(CLIP, other)
    os.utime(other / "onnx" / "vision_model.onnx", (1, 1))
    config(tmp_path, "contrastive", tiny_clip=other)
    async with AsyncClient() as client:
        assert (await client.find("a red star", album)).looked_at == 7


def test_the_page_holds_thumbnails_and_loads_nothing(album: Path, tmp_path: Path) -> None:
    page = tmp_path / "found.html"
    ran = intermodal("find", "a <b>red</b> star", str(album), "--top", "4", "--html", str(page))
    assert ran.code == 0, ran.err
    text = page.read_text()
    assert text.count('<img src="data:image/') == 4
    assert "<b>red" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert "red-star.png" in text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("find",), 2, "QUERY"),
        (("find", "a star"), 2, "PATHS"),
        (("find", "a star", "nowhere"), 3, "nowhere"),
        (("find", " ", "ALBUM"), 2, "nothing to look for"),
        (("find", "a \udcff star", "ALBUM"), 3, "query: holds characters that are not text"),
        (("find", "a star", "EMPTY"), 3, "holds no images"),
        (("find", "a star", "ALBUM", "--top", "0"), 2, "0"),
        (("find", "a star", "ALBUM", "-m", "no-such-model"), 2, "no-such-model"),
        (("find", "a star", "ALBUM", "-m", "embedded:intfloat/multilingual-e5-small"), 2, "no vectors for images"),
    ],
)
def test_what_cannot_be_looked_for_is_one_sentence(
    arguments: tuple[str, ...], code: int, said: str, album: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir(exist_ok=True)
    places = {"ALBUM": str(album), "EMPTY": str(tmp_path / "empty")}
    ran = intermodal(*(places.get(each, each) for each in arguments))
    assert ran.code == code, ran.err
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_where_no_contrastive_model_is_here_it_says_how_to_get_one(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "none.toml"
    empty.write_text("")
    monkeypatch.setenv("INTERMODAL_CONFIG", str(empty))
    ran = intermodal("find", "a star", str(album))
    assert ran.code == 4
    assert "with; intermodal pull clip-vit-base-patch32 --accept-unpinned\n" in ran.err


def test_the_index_can_be_forgotten(album: Path) -> None:
    assert intermodal("find", "a star", str(album), "-q").code == 0
    assert "is removed" in intermodal("find", "--forget").out
    assert "there was no index" in intermodal("find", "--forget").out
    document = found(intermodal("find", "a star", str(album), "--json"))
    assert document["looked_at"] == 7
