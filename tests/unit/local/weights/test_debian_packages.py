"""Addresses as a source: a plain file, or one member of a Debian package; nothing else of it comes out."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.local.weights.hub_server import FakeHub, fake_hub

from intermodal.errors import ConfigError, WeightsError
from intermodal.local.weights import registry as weights_registry
from intermodal.local.weights.registry import AddressSource, WeightsFile, WeightsRow, parse_source, shipped_weights
from intermodal.local.weights.store import WeightsStore

pytestmark = pytest.mark.anyio
DATA, OTHER = random.Random(1).randbytes(480_000), b"letters of English" * 2_000
MEMBER = "usr/share/tessdata/ell.traineddata"


def package(members: dict[str, bytes], *, kind: str = "xz", before: bytes = b"odd") -> bytes:
    """A Debian package, as deb(5) describes it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{kind}") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    made = b"!<arch>\n"
    for name, data in (("debian-binary", b"2.0\n"), ("control.tar.xz", before), (f"data.tar.{kind}", out.getvalue())):
        made += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return made


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A host on loopback, which has no certificate."""
    monkeypatch.setattr(
        weights_registry,
        "_ADDRESS",
        weights_registry.re.compile(weights_registry._ADDRESS.pattern.replace("https://[", "http://[:")),
    )
    with fake_hub() as server:
        yield server


def store(folder: Path, *files: WeightsFile) -> WeightsStore:
    row = WeightsRow(name="m", title="t", runtime="tesseract", licence="Apache-2.0", files=files)
    return WeightsStore(folder / "weights", rows=(row,), env={})


def file(name: str, data: bytes, *sources: str) -> WeightsFile:
    return WeightsFile(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest(), sources=sources)


@pytest.mark.parametrize("kind", ["xz", "gz"])
async def test_members_of_a_package_become_files_and_it_is_fetched_once(
    tmp_path: Path, host: FakeHub, kind: str
) -> None:
    host.files["/a_1_all.deb"] = package({"etc/x": b"x", MEMBER: DATA, "usr/eng": OTHER}, kind=kind)
    source = f"{host.url}/a_1_all.deb!"
    files = file("ell.traineddata", DATA, source + MEMBER), file("eng.traineddata", OTHER, source + "usr/eng")
    path = await store(tmp_path, *files).pull("m")
    assert (path / "ell.traineddata").read_bytes() == DATA and (path / "eng.traineddata").read_bytes() == OTHER
    assert sorted(found.name for found in path.iterdir()) == ["complete.json", "ell.traineddata", "eng.traineddata"]
    assert len(host.requests) == 1


async def test_a_file_at_an_address_of_its_own_stands_in_where_the_package_is_gone(
    tmp_path: Path, host: FakeHub
) -> None:
    host.files["/raw/ell.traineddata"] = DATA
    sources = f"{host.url}/gone_1_all.deb!{MEMBER}", f"{host.url}/raw/ell.traineddata"
    path = await store(tmp_path, file("ell.traineddata", DATA, *sources)).pull("m")
    assert (path / "ell.traineddata").read_bytes() == DATA


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (lambda: package({"usr/other": DATA}), "has no usr/share"),
        (lambda: package({MEMBER: DATA + b"more"}), "larger than"),
        (lambda: package({MEMBER: b"x" * len(DATA)}), "does not have the pinned checksum"),
        (lambda: package({MEMBER: DATA})[:-200_000], "damaged"),
        (lambda: package({MEMBER: b"x"})[:90], "no files in it"),
        (lambda: b"<html>not here</html>", "is not a Debian package"),
    ],
)
async def test_a_package_that_is_not_as_pinned_brings_nothing(
    tmp_path: Path, host: FakeHub, body: Callable[[], bytes], said: str
) -> None:
    host.files["/a_1_all.deb"] = body()
    weights = store(tmp_path, file("ell.traineddata", DATA, f"{host.url}/a_1_all.deb!{MEMBER}"))
    with pytest.raises(WeightsError, match=said):
        await weights.pull("m")
    assert list((tmp_path / "weights" / "m").iterdir()) == []


def test_addresses_are_read_as_they_are_written() -> None:
    text = f"https://deb.example/pool/a_1.0-2_all.deb!{MEMBER}"
    assert (
        parse_source(text) == AddressSource(url=text.partition("!")[0], member=MEMBER)
        and str(parse_source(text)) == text
    )
    assert parse_source("https://raw.example/x/1.0/a.bin") == AddressSource(url="https://raw.example/x/1.0/a.bin")


@pytest.mark.parametrize(
    "text", ["http://deb.example/a.deb!x", "https://deb.example/a.deb", "https://x.example/a.bin!x"]
)
def test_an_address_without_encryption_or_with_half_of_a_package_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_source(text)


def test_every_language_that_can_be_pulled_is_pinned_and_one_that_is_tried() -> None:
    from intermodal.local.embedded.tesseract import SCRIPTS, WEIGHTS

    tried = {code: script for script, codes in SCRIPTS.items() for code in codes}
    found = [row for row in shipped_weights() if row.runtime == "tesseract"]
    assert len(found) >= 30 and {tried[row.name.removeprefix(WEIGHTS)] for row in found} == set(SCRIPTS)
    for row in found:
        code = row.name.removeprefix(WEIGHTS)
        beside = ["eng.traineddata"] if tried[code] == "Cyrillic" else []
        assert row.pinned and row.licence == "Apache-2.0"
        assert [each.name for each in row.files] == [f"{code}.traineddata", *beside]
