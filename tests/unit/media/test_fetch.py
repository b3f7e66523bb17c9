"""Paths, bytes and data URLs: taken whole, or refused in one sentence that says what, where and what to do."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest
from tests.gates.victim import Resolver, Victim, answer, redirect

from intermodal.core.content import BytesSource, PathSource, UrlSource
from intermodal.errors import InputBroken, InputEmpty, InputError, InputMissing, InputTooLarge, UrlBlocked
from intermodal.media import fetch
from intermodal.media.fetch import Fetcher, load
from intermodal.media.url_policy import parse_url

pytestmark = pytest.mark.anyio


async def test_a_file_is_loaded_with_its_name_and_digest(media: Path) -> None:
    path = media / "jfk.wav"
    loaded = await load(PathSource(path=str(path)))
    assert loaded.name == "jfk.wav"
    assert loaded.digest == hashlib.sha256(loaded.data).hexdigest()
    assert len(loaded.data) == 352_078


async def test_bytes_are_taken_as_they_are() -> None:
    assert (await load(BytesSource(data=b"abc", name="stdin"))).name == "stdin"
    with pytest.raises(InputEmpty):
        await load(BytesSource(data=b"", name="stdin"))


async def test_each_unusable_path_has_its_own_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for path, kind, words in [
        (tmp_path / "missing.png", InputMissing, "there is no such file"),
        (tmp_path / "dangling", InputMissing, "there is no such file"),
        (tmp_path / "empty.txt" / "below", InputMissing, "there is no such file"),
        (tmp_path, InputMissing, "is a folder"),
        (tmp_path / "pipe", InputMissing, "is not a regular file"),
        (Path("/dev/zero"), InputMissing, "is not a regular file"),
        (tmp_path / ("x" * 300), InputMissing, "cannot be opened"),
        (tmp_path / "empty.txt", InputEmpty, "is empty"),
        (Path("a\0b"), InputMissing, "is not a path"),
        (Path("bad \udcff \n name"), InputMissing, "there is no such file"),
    ]:
        with pytest.raises(kind, match=words) as caught:
            await load(PathSource(path=str(path)))
        assert type(caught.value) is kind
        assert caught.value.where
        assert caught.value.todo
        assert str(caught.value).isprintable()


async def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "secret.txt").write_text("x")
    monkeypatch.setattr(fetch.os, "open", refuse)  # the tests may run as root, whom no file refuses
    with pytest.raises(InputMissing, match="may not be read"):
        await load(PathSource(path=str(tmp_path / "secret.txt")))


async def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.bin").open("wb") as file:
        file.truncate(600 << 20)  # a hole: it takes no room on the disk
    with pytest.raises(InputTooLarge, match="larger than 512 MiB"):
        await load(PathSource(path=str(tmp_path / "huge.bin")))


async def test_a_file_without_a_known_size_is_read_to_its_end() -> None:
    assert b"processor" in (await load(PathSource(path="/proc/cpuinfo"))).data


@pytest.mark.parametrize("body", ["base64", "plain"])
async def test_a_data_url_of_media_is_taken(media: Path, body: str) -> None:
    data = (media / "screenshot-invoice.png").read_bytes()
    if body == "base64":
        url = "data:image/png;base64," + base64.b64encode(data).decode()
    else:
        url = "DATA:image/png," + "".join(f"%{byte:02x}" for byte in data)
    loaded = await load(UrlSource(url=url))
    assert (loaded.name, loaded.data) == ("inline.png", data)


async def test_a_data_url_that_is_not_media_or_not_base64_is_refused() -> None:
    with pytest.raises(UrlBlocked):
        await load(UrlSource(url="data:text/plain;base64,aGk="))
    with pytest.raises(InputBroken):
        await load(UrlSource(url="data:image/png;base64,not base64!"))
    with pytest.raises(InputEmpty):
        await load(UrlSource(url="data:image/png;base64,"))


async def test_a_url_is_fetched_and_shown_without_its_query() -> None:
    async with Victim({"/a/photo.png": answer(body=b"pixels")}) as server:
        url = f"http://127.0.0.1:{server.port}/a/photo.png"
        loaded = await Fetcher(may_dial=lambda address: True).load(UrlSource(url=url + "?key=s3cret#top"))
        assert (loaded.name, loaded.data) == (url, b"pixels")
        head = server.heads[0]
        assert head.startswith("GET /a/photo.png?key=s3cret HTTP/1.1\r\n")
        assert "accept-encoding: identity" in head.lower()
        assert "cookie" not in head.lower()


async def test_a_redirect_keeps_the_name_that_was_asked_for() -> None:
    async with Victim({"/old": redirect("new/b.txt"), "/new/b.txt": answer(body=b"words")}) as server:
        loaded = await Fetcher(may_dial=lambda address: True).load(UrlSource(url=f"http://127.0.0.1:{server.port}/old"))
        assert loaded.data == b"words"
        assert loaded.name.endswith("/old")


async def test_a_name_with_letters_beyond_ascii_in_its_path_is_fetched() -> None:
    async with Victim({"/B%C3%A4r.txt": answer(body=b"grr")}) as server:
        resolver = Resolver({"tiere.example.com": [["127.0.0.1"]]})
        fetcher = Fetcher(resolve=resolver, may_dial=lambda address: True)
        loaded = await fetcher.load(UrlSource(url=f"http://tiere.example.com:{server.port}/Bär.txt"))
        assert loaded.data == b"grr"


@pytest.mark.parametrize(
    ("text", "shown", "host", "path"),
    [
        ("https://Example.com", "https://example.com", "example.com", "/"),
        ("HTTP://example.com:8080/a?b=c#d", "http://example.com:8080/a", "example.com", "/a?b=c"),
        ("https://example.com:443/a", "https://example.com/a", "example.com", "/a"),
        ("http://[2606:4700:0::1]/x", "http://[2606:4700::1]/x", "2606:4700::1", "/x"),
        ("http://example.com?q", "http://example.com", "example.com", "/?q"),
    ],
)
def test_a_url_is_taken_apart_once(text: str, shown: str, host: str, path: str) -> None:
    target = parse_url(text)
    assert (target.printable_url, target.host, target.path) == (shown, host, path)


def test_a_refused_url_is_shown_without_secrets() -> None:
    for url in ("http://user:s3cret@example.com/x", "http://exam ple.com/x?key=s3cret", "ftp://u:s3cret@example.com/x"):
        with pytest.raises(InputError) as caught:
            parse_url(url)
        assert "s3cret" not in str(caught.value)
