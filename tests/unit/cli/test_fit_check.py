"""``intermodal fit --check``: predicted beside what a running server took, and what is kept of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli
from tests.unit.cli.test_fit import WHOLE, head
from tests.unit.local.servers.fake_servers import OLLAMA_ROW, VLLM_METRICS, ollama, serving, vllm
from tests.unit.local.servers.test_memory_estimate import saved

from intermodal.config.config_file import state_dir
from intermodal.local.servers.records import ServerRecords, ServerSpec, ServerState
from intermodal.store.process_identity import identity

SHA = "a" * 64


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model in a folder of Ollama's: ``llama3.1:8b``."""
    root = tmp_path / "ollama"
    blob = root / "blobs" / f"sha256-{SHA}"
    blob.parent.mkdir(parents=True)
    blob.write_bytes(head())
    with blob.open("r+b") as file:
        file.truncate(WHOLE)
    manifest = root / "manifests" / "registry.ollama.ai" / "library" / "llama3.1" / "8b"
    manifest.parent.mkdir(parents=True)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{SHA}", "size": WHOLE}
    manifest.write_text(json.dumps({"layers": [layer]}))
    monkeypatch.setenv("OLLAMA_MODELS", str(root))
    return "llama3.1:8b"


def row(size: int, vram: int = 0) -> dict[str, object]:
    return OLLAMA_ROW | {"name": "llama3.1:8b", "model": "llama3.1:8b", "size": size, "size_vram": vram}


def needed(cli: Cli, *arguments: str) -> float:
    document = cli("fit", *arguments, "--json").document
    return float(sum(term["mid"] for term in document["memory"] if term["name"] not in ("program", "backend")))


@pytest.mark.slow
def test_what_ollama_took_corrects_what_is_said_of_that_file_afterwards(cli: Cli, stored: str) -> None:
    before = needed(cli, stored, "--ctx", "4k")
    took = round(before * 1.25)
    with serving(ollama(row(took))) as address:
        found = cli("fit", "--check", address, "--json").document
    assert found["server"]["engine"] == "ollama" and found["model"] == f"sha256-{SHA}"
    [compared] = found["compared"]
    assert (compared["real"], compared["error"]) == (took, pytest.approx(-0.2, abs=0.001))
    assert found["correction"]["build"] == "Ollama 0.40.12"
    assert needed(cli, stored, "--ctx", "4k") == pytest.approx(took, rel=1e-6)
    again = cli("fit", stored, "--ctx", "4k")
    assert "corrected: as Ollama 0.40.12 took here on" in again.out


@pytest.mark.slow
def test_a_correction_is_of_its_settings_and_of_this_machine(cli: Cli, stored: str) -> None:
    before = needed(cli, stored, "--ctx", "4k", "--kv", "q8_0"), needed(cli, stored, "--ctx", "4k", "--ram", "64GB")
    with serving(ollama(row(9_000_000_000))) as address:
        cli("fit", "--check", address)
    after = needed(cli, stored, "--ctx", "4k", "--kv", "q8_0"), needed(cli, stored, "--ctx", "4k", "--ram", "64GB")
    assert after == before


@pytest.mark.slow
def test_another_file_under_the_same_name_has_no_correction(cli: Cli, stored: str, tmp_path: Path) -> None:
    before = needed(cli, stored)
    with serving(ollama(row(9_000_000_000))) as address:
        cli("fit", "--check", address)
    assert needed(cli, stored) != before
    blob = tmp_path / "ollama" / "blobs" / f"sha256-{SHA}"
    with blob.open("r+b") as file:
        file.truncate(WHOLE + 4096)
    assert needed(cli, stored) == before


def test_a_model_that_is_divided_is_compared_and_keeps_nothing(cli: Cli, stored: str) -> None:
    with serving(ollama(row(6_591_830_464, 5_333_539_264))) as address:
        found = cli("fit", stored, "--check", address)
    assert "buffers" in found.out and "divided between card and memory" in found.out
    assert "kept for this file" not in found.out


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that tells of an L4, as nvidia-smi writes it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "nvidia-smi"
    program.write_text('#!/bin/sh\ncase "$1" in *gpu=*) echo "NVIDIA L4, 23034, 22500";; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.usefixtures("card")
def test_the_pages_that_vllm_has_correct_what_it_is_foreseen_to_remember(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    saved(folder)
    tokens = cli("fit", str(folder), "--json").document["tokens"]
    assert tokens["low"] < tokens["mid"] < tokens["high"]
    metrics = VLLM_METRICS.replace('"0.82"', '"0.9"').replace('num_gpu_blocks="573"', 'num_gpu_blocks="50000"')
    with serving(vllm(str(folder), metrics=metrics)) as address:
        found = cli("fit", "--check", address, "--json").document
    [compared] = found["compared"]
    assert (compared["name"], compared["real"], compared["source"]) == ("tokens", 800_000, "/metrics")
    after = cli("fit", str(folder), "--json").document["tokens"]
    assert after["mid"] == pytest.approx(800_000, abs=16)
    assert "room corrected: as vLLM 0.11.0 took here" in cli("fit", str(folder)).out


def test_a_check_without_a_server_that_answers_says_so_and_how(cli: Cli, stored: str) -> None:
    gone = cli("fit", stored, "--check", "http://127.0.0.1:9")
    assert gone.code == 5
    assert "no server answers there" in gone.err and "start it, or name its address" in gone.err
    for wrong in (cli("fit", "--check"), cli("fit", "--check", "--json")):
        assert wrong.code == 2 and "neither a model nor a server is named" in wrong.out + wrong.err
    assert "is neither a file" in cli("fit", "--check", "no-such-model").err
    assert cli("fit", "--check", "http://127.0.0.1:9", "--all").code == 2
    for none in ("http://", "http://localhost:99999", "127.0.0.1:0"):
        assert f"{none} is no address" in cli("fit", "--check", none).err
    assert "no server is called up.none" in cli("fit", "--check", "up.none").err
    assert "no server answers there" in cli("fit", "--check", "127.0.0.1:9").err


def test_a_check_of_a_named_machine_is_refused(cli: Cli, stored: str) -> None:
    with serving(ollama(row(9_000_000_000))) as address:
        found = cli("fit", "--check", address, "--gpu", "RTX 4090")
    assert found.code == 2 and "compares on this machine" in found.err


def test_a_cache_folder_that_cannot_be_written_keeps_nothing_and_says_so(
    cli: Cli, stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("INTERMODAL_HOME", str(tmp_path / "file"))
    with serving(ollama(row(9_000_000_000))) as address:
        found = cli("fit", "--check", address)
    assert found.code == 0 and "cannot be written: nothing is kept" in found.out


# What each answers without its key: vLLM guards /v1 alone, llama-server all but its health and its models.
LISTED = {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "llamacpp"}]}
VLLM_OPEN, LLAMA_OPEN = ("/metrics", "/version", "/props", "/api/ps"), ("/health", "/v1/models")


def llama(model: str) -> dict[str, object]:
    props = {"default_generation_settings": {"n_ctx": 4096}, "total_slots": 1, "model_path": model}
    return {"/props": props, "/v1/models": LISTED}


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize(
    ("engine", "unlocked", "key", "sent"),
    [
        ("vllm", VLLM_OPEN, "of vllm", {"of vllm"}),
        ("llama", LLAMA_OPEN, "of llama", {"of llama"}),
        ("vllm", (), "of vllm", {"of llama", "of vllm"}),
        ("llama", (), "of llama", {"of llama"}),
        ("vllm", (*VLLM_OPEN, "/v1/models"), "not wanted", set()),
    ],
)
def test_a_server_is_sent_a_key_only_where_it_wants_one_and_not_that_of_another_program(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, unlocked: tuple[str, ...], key: str,
    sent: set[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("LLAMA_API_KEY", "of llama")
    monkeypatch.setenv("VLLM_API_KEY", "of vllm")
    (tmp_path / "model").mkdir()
    saved(tmp_path / "model")
    model = tmp_path / "m.gguf"
    model.write_bytes(head())
    os.truncate(model, WHOLE)
    replies = vllm(str(tmp_path / "model")) if engine == "vllm" else llama(str(model))
    keys: list[str] = []
    with serving(replies, key=key, unlocked=unlocked, keys=keys) as address:
        done = cli("fit", "--check", address, "--json")
    assert done.code == 0, done.out + done.err
    assert set(keys) == sent


def test_a_key_that_a_server_refuses_is_named_and_that_it_wants_one_is_said_without(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(vllm("m"), key="right", unlocked=VLLM_OPEN) as address:
        without = cli("fit", "--check", address)
        assert "wants a key" in without.err and "VLLM_API_KEY" in without.err
        monkeypatch.setenv("LLAMA_API_KEY", "right")
        assert "wants a key" in cli("fit", "--check", address).err, "that one is of another program"
        monkeypatch.setenv("VLLM_API_KEY", "wrong")
        assert "refuses the key in VLLM_API_KEY" in cli("fit", "--check", address).err


def test_whatever_listens_where_servers_usually_do_is_sent_no_key_unasked(
    cli: Cli, stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "of llama")
    monkeypatch.setenv("VLLM_API_KEY", "of vllm")
    keys: list[str] = []
    with serving(ollama(row(9_000_000_000)), key="of llama", keys=keys) as address:
        monkeypatch.setattr("intermodal.model_fit.fit_check.USUAL", (address,))
        done = cli("fit", stored, "--check")
        assert keys == [] and done.code == 5
        assert f"{address} wants a key" in done.err and f"--check {address}" in done.err
        assert cli("fit", stored, "--check", address).code == 0
    assert set(keys) == {"of llama"}


def test_a_server_of_up_is_asked_with_its_own_key_at_its_address_too(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "of llama")
    model = tmp_path / "m.gguf"
    model.write_bytes(head())
    os.truncate(model, WHOLE)
    keys: list[str] = []
    with serving(llama(str(model)), key="its own", keys=keys) as address:
        place = ServerRecords(state_dir(os.environ), "box")
        place.write_spec(ServerSpec(name="box", requested="box", program="llama-server", path="", model=str(model)))
        port = int(address.rpartition(":")[2])
        place.record(ServerState(phase="ready", supervisor=identity(), port=port, key="its own"))
        done = cli("fit", "--check", address)
    assert done.code == 0, done.err
    assert set(keys) == {"its own"}
