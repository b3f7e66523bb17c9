"""``pull hf:``: files, sums and commits are the hub's listing's, sized before they come, pinned once they are here."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec.structs import replace
from tests.unit.cli.conftest import Cli
from tests.unit.local.weights.test_gguf import header, pair, tensor, text, texts
from tests.unit.sizing.hub_server import HubServer, serving

from intermodal import AsyncClient
from intermodal.config.config_file import cache_dir, data_dir
from intermodal.local.hardware.model_measurements import save_correction
from intermodal.local.servers import memory_estimate, programs
from intermodal.local.servers.context_reduction import with_reduced_contexts
from intermodal.local.servers.memory_estimate import gguf_memory
from intermodal.local.weights.store import weights_store
from intermodal.plans.machine import Gpu, Machine
from intermodal.sizing.memory import BUFFERS, Correction, CorrectionRatio, correction_flags
from intermodal.sizing.model_sources import SizedModel, local_model
from intermodal.sizing.shape import ServingSettings

pytestmark = pytest.mark.usefixtures("own_weights")

REPO = "desk/Tiny-GGUF"
GIB = 1 << 30


def model(
    *, weights: int = 9000, parts: int = 0, part: int = 0, seed: int = 0, layers: int = 2, told: bool = False
) -> bytes:
    """A GGUF of that many layers, whose last bytes are ``seed``'s. ``told``: its header counts all its weights."""
    pairs = [
        pair("general.architecture", 8, text("llama")),
        pair("llama.block_count", 4, struct.pack("<I", layers)),
        pair("llama.embedding_length", 4, struct.pack("<I", 64)),
        pair("llama.context_length", 4, struct.pack("<I", 4096)),
        pair("llama.attention.head_count", 4, struct.pack("<I", 2)),
        pair("tokenizer.ggml.tokens", 9, texts([f"word{number}" for number in range(100)])),
    ]
    if parts:
        pairs += [
            pair("split.count", 2, struct.pack("<H", parts)),
            pair("split.no", 2, struct.pack("<H", part)),
        ]
    tensors = [tensor("token_embd.weight", (64, 10), 1)] if not part else []
    tensors += [tensor(f"blk.{part}.attn_q.weight", (64, 8), 1)]
    if told:
        tensors += [tensor("blk.1.ffn_up.weight", (1000, (weights - 9000) // 2000), 1)]  # of two bytes each
    return header(pairs, tensors) + bytes([seed]) * weights


FILES = {
    "Tiny-Q4_K_M.gguf": model(weights=300_000, seed=4), "Tiny-Q8_0.gguf": model(weights=600_000, seed=8),
    "Tiny-F16.gguf": model(weights=1_200_000, seed=16), "README.md": b"# Tiny",
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between tries are right for a network and wrong for a test."""
    real = anyio.sleep
    monkeypatch.setattr(anyio, "sleep", lambda seconds: real(min(seconds, 0.01)))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with serving(HubServer({REPO: dict(FILES)})) as hub:
        monkeypatch.setenv("INTERMODAL_HUB", hub.url)
        yield hub


def machine(monkeypatch: pytest.MonkeyPatch, free: int, *, card: int = 0) -> None:
    gpus = (Gpu(name="a card", memory=card, free=card, bandwidth=9e11, compute=5e13),) if card else ()
    made = Machine(cores=2, memory=free, free=free, gpus=gpus)
    monkeypatch.setattr("intermodal.model_fit.fit.this_machine", lambda env: made)


def lock() -> list[dict[str, Any]]:
    path = data_dir(os.environ) / "weights-lock.json"
    models: list[dict[str, Any]] = json.loads(path.read_text()).get("models", []) if path.exists() else []
    return models


def test_without_a_quantization_the_best_that_fits_is_taken_and_why_is_said(
    cli: Cli, hub: HubServer, own_weights: Path
) -> None:
    done = cli("pull", f"hf:{REPO}")
    assert done.code == 0, done.err
    assert "tiny-q8_0: Q8_0 is the best of 2 that fits, perplexity +0.0%" in done.err
    assert "tiny-q8_0: fits: " in done.err
    assert (own_weights / "tiny-q8_0" / "Tiny-Q8_0.gguf").read_bytes() == FILES["Tiny-Q8_0.gguf"]
    assert hub.downloads("Tiny-F16.gguf") == hub.downloads("Tiny-Q4_K_M.gguf") == []


def test_the_size_is_told_before_the_first_byte_of_weights_is_asked_for(
    cli: Cli, hub: HubServer, monkeypatch: pytest.MonkeyPatch, own_weights: Path
) -> None:
    hub.files[REPO] = {"Tiny-Q8_0.gguf": model(weights=5_000_000)}
    machine(monkeypatch, 50 << 20)
    done = cli("pull", f"hf:{REPO}")
    assert done.code == 4
    assert "GiB are free" in done.err and "needs 0." in done.err and "--force" in done.err
    assert hub.downloads("Tiny-Q8_0.gguf") == [] and hub.sent < 300_000
    assert list(own_weights.iterdir()) == [] and lock() == []
    forced = cli("pull", f"hf:{REPO}", "--force")
    assert forced.code == 0 and "fetched all the same" in forced.err
    assert lock()[0]["name"] == "tiny-q8_0"


@pytest.mark.slow
def test_a_card_counts_for_nothing_as_what_is_pulled_runs_on_the_processor(
    cli: Cli, hub: HubServer, monkeypatch: pytest.MonkeyPatch, own_weights: Path
) -> None:
    hub.files[REPO] = {"Tiny-Q8_0.gguf": model(weights=50_000_000, told=True)}
    machine(monkeypatch, 40 << 20, card=24 * GIB)
    refused = cli("pull", f"hf:{REPO}")
    assert refused.code == 4, "every plan would reject it"
    assert "it runs on the processor" in refused.err and list(own_weights.iterdir()) == []
    machine(monkeypatch, 2 * GIB, card=1 << 20)
    (row,) = cli("pull", f"hf:{REPO}", "--json").document["weights"]
    assert (row["verdict"], row["room"]) == ("fits", 2 * GIB)
    assert lock()[0]["traits"].get("decode", [0, 0, 0])[1] < 9e11 / 50_000_000 / 2, "not the pace of the card"


@pytest.mark.slow
def test_every_quantization_that_certainly_fits_is_tried_and_none_is_called_too_large_that_is_not(
    cli: Cli, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q4_K_M", "Q4_K_S", "Q3_K_L", "Q3_K_M", "Q2_K")
    sizes = {name: 9_000_000 - 1_000_000 * at for at, name in enumerate(names)}
    hub.files[REPO] = {f"Tiny-{name}.gguf": model(weights=size, told=True) for name, size in sizes.items()}
    (all_of_it,) = cli("pull", f"hf:{REPO}:Q8_0", "--dry-run", "--json").document["weights"]
    beside = all_of_it["memory"]["high"] - sizes["Q8_0"]
    for name in ("Q5_K_S", "Q3_K_M", "Q2_K"):
        machine(monkeypatch, int(beside) + sizes[name] + 1000)
        (row,) = cli("pull", f"hf:{REPO}", "--dry-run", "--json").document["weights"]
        assert (row["quantization"], row["verdict"]) == (name, "fits")
        larger = [each for each in names if sizes[each] > sizes[name]]
        said = row["why"].partition("not certain to fit here: ")[2].split(", ")
        assert sorted(said) == sorted(larger) and "none certainly fits" not in row["why"]
    machine(monkeypatch, int(beside) + sizes["Q2_K"] - 100_000)
    (row,) = cli("pull", f"hf:{REPO}", "--dry-run", "--json").document["weights"]
    assert row["quantization"] == "Q2_K" and row["why"] == "the smallest of 9: none certainly fits"


def test_an_update_takes_the_quantization_that_has_the_name(
    cli: Cli, hub: HubServer, monkeypatch: pytest.MonkeyPatch, own_weights: Path
) -> None:
    assert cli("pull", f"hf:{REPO}:Q4_K_M", "-q").code == 0
    newer = model(weights=300_000, seed=44)
    hub.files[REPO] = {**FILES, "Tiny-Q4_K_M.gguf": newer}
    assert cli("pull", f"hf:{REPO}", "--update", "-q").code == 0
    assert [(each["name"], each["quantization"]) for each in lock()] == [("tiny-q4_k_m", "Q4_K_M")]
    assert (own_weights / "tiny-q4_k_m" / "Tiny-Q4_K_M.gguf").read_bytes() == newer
    renamed = model(weights=300_000, seed=45)
    hub.files[REPO] = {"Tiny-Q8_0.gguf": FILES["Tiny-Q8_0.gguf"], "Tiny-v2-Q4_K_M.gguf": renamed}
    assert cli("pull", "tiny-q4_k_m", "--update", "-q").code == 0
    assert lock()[0]["quantization"] == "Q4_K_M" and lock()[0]["revision"] == hub.commit(REPO)
    hub.files[REPO] = {"Tiny-Q8_0.gguf": FILES["Tiny-Q8_0.gguf"]}
    gone = cli("pull", f"hf:{REPO}", "--update")
    assert gone.code == 2 and "has no file of Q4_K_M; it has Q8_0" in gone.err
    assert lock()[0]["quantization"] == "Q4_K_M"


def test_a_dry_run_says_what_would_come_and_fetches_nothing(cli: Cli, hub: HubServer, own_weights: Path) -> None:
    (row,) = cli("pull", f"hf:{REPO}:Q4_K_M", "--dry-run", "--json").document["weights"]
    assert row["pulled"] is False and row["path"] is None and row["verdict"] == "fits"
    assert row["revision"] == hub.commit(REPO) and row["licence"] == "apache-2.0"
    assert row["files"] == [
        {
            "path": "Tiny-Q4_K_M.gguf", "size": len(FILES["Tiny-Q4_K_M.gguf"]),
            "sha256": hashlib.sha256(FILES["Tiny-Q4_K_M.gguf"]).hexdigest(),
        }
    ]  # fmt: skip
    assert row["memory"]["low"] <= row["memory"]["mid"] <= row["memory"]["high"] < row["room"]
    assert list(own_weights.iterdir()) == [] and lock() == []


def test_a_dry_run_changes_nothing_of_what_is_here(
    cli: Cli, hub: HubServer, own_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def everything() -> dict[str, bytes]:
        folders = (own_weights, data_dir(os.environ))
        files = [
            path for folder in folders for path in folder.rglob("*") if path.is_file() and "lock" not in path.parts
        ]
        return {str(path): path.read_bytes() for path in files if ".locks" not in path.parts}

    assert cli("pull", f"hf:{REPO}:Q8_0", "-q").code == 0
    before = everything()
    hub.files[REPO] = {**FILES, "README.md": b"rewritten"}
    newest = cli("pull", "tiny-q8_0", "--update", "--dry-run")
    assert newest.code == 0 and "the newest already" in newest.err
    assert everything() == before, "the same bytes at another commit"

    path = own_weights / "tiny-q8_0" / "Tiny-Q8_0.gguf"
    path.write_bytes(bytes(len(FILES["Tiny-Q8_0.gguf"])))
    before = everything()
    damaged = cli("pull", "tiny-q8_0", "--dry-run")
    assert damaged.code == 0 and "what is wrong would be fetched again" in damaged.err
    assert everything() == before

    shutil.rmtree(own_weights / "tiny-q8_0")
    before = everything()
    monkeypatch.setenv("INTERMODAL_WEIGHTS_DIR", str(tmp_path))
    (tmp_path / "Tiny-Q8_0.gguf").write_bytes(FILES["Tiny-Q8_0.gguf"])
    brought = cli("pull", "tiny-q8_0", "--dry-run")
    assert brought.code == 0 and "would be taken from the folder of INTERMODAL_WEIGHTS_DIR" in brought.err
    (row,) = cli("pull", "tiny-q8_0", "--dry-run", "--json").document["weights"]
    assert row["pulled"] is False and row["path"] is None
    assert everything() == before


def free(monkeypatch: pytest.MonkeyPatch, amount: int) -> None:
    usage = shutil.disk_usage("/")._replace(free=amount)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)


def test_an_update_needs_room_for_what_comes_beside_what_it_takes_the_place_of(
    cli: Cli, hub: HubServer, own_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("pull", f"hf:{REPO}:Q8_0", "-q").code == 0
    hub.files[REPO] = {**FILES, "Tiny-Q8_0.gguf": model(weights=3_000_000, seed=99)}
    path = own_weights / "tiny-q8_0" / "Tiny-Q8_0.gguf"
    free(monkeypatch, 2_000_000)
    hub.asked.clear()
    refused = cli("pull", "tiny-q8_0", "--update")
    assert refused.code == 7 and "needs 3 MB, there are 2 MB free" in refused.err
    assert hub.downloads("Tiny-Q8_0.gguf") == [] and path.read_bytes() == FILES["Tiny-Q8_0.gguf"]
    path.with_name("Tiny-Q8_0.gguf.part").write_bytes(hub.files[REPO]["Tiny-Q8_0.gguf"][:1_200_000])
    assert cli("pull", "tiny-q8_0", "--update").code == 0, "the part that came needs no room any more"


def test_room_is_looked_at_where_a_listing_has_sizes_without_sums(
    cli: Cli, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_sums(hub, model(weights=3_000_000))
    free(monkeypatch, 1_000_000)
    refused = cli("pull", f"hf:{REPO}", "--accept-unpinned")
    assert refused.code == 7 and "needs 3 MB, there are 1 MB free" in refused.err
    assert hub.downloads("Tiny-Q8_0.gguf") == []


def test_parts_that_are_whole_need_no_room_when_a_pull_goes_on(
    cli: Cli, hub: HubServer, own_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"Tiny-Q8_0-{at + 1:05d}-of-00002.gguf" for at in range(2)]
    hub.files[REPO] = {name: model(weights=1_000_000, parts=2, part=at) for at, name in enumerate(names)}
    folder = own_weights / "tiny-q8_0"
    folder.mkdir()
    (folder / names[0]).write_bytes(hub.files[REPO][names[0]])  # broken off before the marker was written
    free(monkeypatch, 1_100_000)
    assert cli("pull", f"hf:{REPO}", "-q").code == 0
    assert hub.downloads(names[0]) == []


def test_files_of_the_revision_before_do_not_stay(cli: Cli, hub: HubServer, own_weights: Path) -> None:
    hub.files[REPO] = {"Tiny-Q8_0.gguf": model(), "mmproj-Tiny-F16.gguf": EYE}
    assert cli("pull", f"hf:{REPO}", "-q").code == 0
    hub.files[REPO] = {"Tiny-v2-Q8_0.gguf": model(seed=2)}
    assert cli("pull", "tiny-q8_0", "--update", "-q").code == 0
    assert {path.name for path in (own_weights / "tiny-q8_0").iterdir()} == {"Tiny-v2-Q8_0.gguf", "complete.json"}


def without_sums(hub: HubServer, data: bytes) -> None:
    """The hub's listing of another commit, which has a size of its one file, and no sum."""
    rows = [{"rfilename": "Tiny-Q8_0.gguf", "size": len(data)}]
    hub.files[REPO] = {"Tiny-Q8_0.gguf": data}
    hub.listing = json.dumps({"sha": hub.commit(REPO), "siblings": rows}).encode()


def test_an_update_without_sums_fetches_what_the_new_commit_has(cli: Cli, hub: HubServer, own_weights: Path) -> None:
    without_sums(hub, model(seed=1))
    assert cli("pull", f"hf:{REPO}", "--accept-unpinned", "-q").code == 0
    newer = model(seed=2)
    without_sums(hub, newer)
    assert cli("pull", "tiny-q8_0", "--update", "--accept-unpinned", "-q").code == 0
    assert (own_weights / "tiny-q8_0" / "Tiny-Q8_0.gguf").read_bytes() == newer
    assert lock()[0]["revision"] == hub.commit(REPO)
    assert lock()[0]["files"][0]["sha256"] == hashlib.sha256(newer).hexdigest()
    hub.asked.clear()
    again = cli("pull", "tiny-q8_0", "--update")
    assert again.code == 0 and "the newest already" in again.err, "a commit stays as it was recorded"
    assert hub.downloads("Tiny-Q8_0.gguf") == []


def test_what_was_pulled_is_pinned_and_comes_back_as_it_was_after_the_branch_moved(
    cli: Cli, hub: HubServer, own_weights: Path
) -> None:
    before = hub.commit(REPO)
    assert cli("pull", f"hf:{REPO}:Q8_0").code == 0
    hub.files[REPO] = {**FILES, "Tiny-Q8_0.gguf": model(weights=600_000, seed=99)}
    after = hub.commit(REPO)
    again = cli("pull", f"hf:{REPO}:Q8_0")
    assert again.code == 0
    assert f"main of {REPO} is at {after[:12]} now, and {before[:12]} is pinned" in again.err
    shutil.rmtree(own_weights / "tiny-q8_0")
    assert cli("pull", "tiny-q8_0").code == 0
    assert (own_weights / "tiny-q8_0" / "Tiny-Q8_0.gguf").read_bytes() == FILES["Tiny-Q8_0.gguf"]
    taken = cli("pull", "tiny-q8_0", "--update")
    assert taken.code == 0, taken.err
    assert (own_weights / "tiny-q8_0" / "Tiny-Q8_0.gguf").read_bytes()[-1] == 99
    assert [each["revision"] for each in lock()] == [after]


def test_another_sum_under_a_pinned_commit_is_refused(cli: Cli, hub: HubServer, own_weights: Path) -> None:
    assert cli("pull", f"hf:{REPO}:Q8_0", "-q").code == 0
    hub.sums["Tiny-Q8_0.gguf"] = "1" * 64
    shutil.rmtree(own_weights / "tiny-q8_0")
    refused = cli("pull", f"hf:{REPO}:Q8_0")
    assert refused.code == 7
    assert "another sum of Tiny-Q8_0.gguf" in refused.err and "--update" in refused.err
    assert not (own_weights / "tiny-q8_0").exists()


def test_a_pinned_commit_that_is_gone_is_said_and_nothing_newer_taken(
    cli: Cli, hub: HubServer, own_weights: Path
) -> None:
    pinned = hub.commit(REPO)
    assert cli("pull", f"hf:{REPO}:Q8_0", "-q").code == 0
    hub.files[REPO] = {**FILES, "README.md": b"rewritten"}
    hub.gone.add(pinned)
    kept = cli("pull", f"hf:{REPO}:Q8_0")
    assert kept.code == 0 and "here, as pinned" in kept.err and "no such revision" in kept.err
    shutil.rmtree(own_weights / "tiny-q8_0")
    refused = cli("pull", f"hf:{REPO}:Q8_0")
    assert refused.code == 7 and "no such revision" in refused.err
    assert lock()[0]["revision"] == pinned
    assert cli("pull", f"hf:{REPO}:Q8_0", "--update").code == 0


def test_bytes_that_are_not_the_listed_ones_are_never_used(cli: Cli, hub: HubServer, own_weights: Path) -> None:
    hub.sums["Tiny-Q8_0.gguf"] = "0" * 64
    done = cli("pull", f"hf:{REPO}:Q8_0")
    assert done.code == 7 and "does not have the pinned checksum" in done.err
    assert list((own_weights / "tiny-q8_0").iterdir()) == [] and lock() == []
    assert "tiny-q8_0" not in cli("pull", "--list").out


def test_a_connection_that_is_cut_goes_on_where_it_was(cli: Cli, hub: HubServer, own_weights: Path) -> None:
    hub.cuts = [200_000, 100_000]
    assert cli("pull", f"hf:{REPO}:Q8_0").code == 0
    assert hub.downloads("Tiny-Q8_0.gguf") == ["", "bytes=200000-", "bytes=300000-"]
    assert (own_weights / "tiny-q8_0" / "Tiny-Q8_0.gguf").read_bytes() == FILES["Tiny-Q8_0.gguf"]


def test_all_parts_of_a_split_file_come_with_the_projector(cli: Cli, hub: HubServer, own_weights: Path) -> None:
    whole = {
        f"Q8_0/Tiny-Q8_0-{at + 1:05d}-of-00003.gguf": model(parts=3, part=at, seed=at, layers=3) for at in range(3)
    }
    hub.files[REPO] = {**whole, "mmproj-Tiny-F16.gguf": EYE, "mmproj-Tiny-F32.gguf": EYE + bytes(10)}
    done = cli("pull", f"hf:{REPO}")
    assert done.code == 0, done.err
    assert "in 4 files" in done.err and "with its projector mmproj-Tiny-F16.gguf" in done.err
    names = {path.name for path in (own_weights / "tiny-q8_0").iterdir()}
    assert names == {*(name.partition("/")[2] for name in whole), "mmproj-Tiny-F16.gguf", "complete.json"}
    assert lock()[0]["traits"]["sees"] is True


def test_a_gated_repository_says_what_to_do_and_takes_the_token(
    cli: Cli, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gates.add(REPO)
    done = cli("pull", f"hf:{REPO}:Q8_0")
    assert done.code == 7
    assert f"accept the terms at https://huggingface.co/{REPO}, " in done.err, "the hub's page, not the mirror's"
    assert "a token at https://huggingface.co/settings/tokens, and set HF_TOKEN" in done.err
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "the token in HF_TOKEN may not read it" in cli("pull", f"hf:{REPO}:Q8_0").err
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    done = cli("pull", f"hf:{REPO}:Q8_0")
    assert done.code == 0, done.err
    assert "hf_right" not in done.err + (data_dir(os.environ) / "weights-lock.json").read_text()


def test_an_expired_token_is_said_to_be_refused_and_not_that_nothing_is_there(
    cli: Cli, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a public repository too, which is pulled without it."""
    hub.expired = "hf_expired"
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    for done in (cli("pull", f"hf:{REPO}"), cli("fit", f"hf:{REPO}")):
        assert "refuses the token in HF_TOKEN (401)" in done.err and "unset HF_TOKEN" in done.err, done.err
        assert "no such repository" not in done.err
    monkeypatch.delenv("HF_TOKEN")
    assert cli("pull", f"hf:{REPO}", "-q").code == 0


def test_a_token_is_sent_to_the_hub_alone(cli: Cli, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub sends downloads on to servers of others, which hold them out to anybody who has the address."""
    from intermodal.local.weights.hub import hub_of

    monkeypatch.setenv("HF_TOKEN", "hf_right")
    hub.gates.add(REPO)
    hub.commit(REPO)
    with serving(HubServer({REPO: dict(FILES)})) as content:
        content.commit(REPO)
        hub.content = content.url
        assert cli("pull", f"hf:{REPO}:Q8_0", "-q").code == 0
        assert content.tokens and set(content.tokens) == {""}
    assert set(hub.tokens) == {"Bearer hf_right"}
    sent = {
        at: hub_of({"HF_TOKEN": "x", "INTERMODAL_HUB": at})._token
        for at in ("http://mirror.example", "https://m.example")
    }
    assert sent == {"http://mirror.example": "", "https://m.example": "x"}, "never in the clear to a stranger"


@pytest.mark.parametrize(
    "names",
    [
        ("Tiny-Q4_K_M.gguf", "Tiny-UD-IQ2_M.gguf", "Tiny-UD-Q8_K_XL.gguf", "Tiny-Q8_0.gguf", "imatrix_tiny.gguf_file"),
        ("tiny-q4_k_m.gguf", "tiny-fp16.gguf", "tiny-q8_0.gguf"),
        ("Tiny.i1-Q4_K_M.gguf", "Tiny.Q8_0.gguf"),
        ("Q8_0/Tiny-Q8_0-00001-of-00002.gguf", "Q8_0/Tiny-Q8_0-00002-of-00002.gguf", "Q4_K_M/Tiny-Q4_K_M.gguf"),
    ],
)
def test_the_ways_in_which_people_name_quantizations_are_told_from_different_models(
    cli: Cli, hub: HubServer, names: tuple[str, ...]
) -> None:
    split = {name: model(parts=2, part=int("00002-of" in name)) for name in names if "-of-" in name}
    hub.files[REPO] = {name: model(weights=9000 + len(name)) for name in names} | split
    done = cli("pull", f"hf:{REPO}", "--dry-run", "--json")
    assert done.code == 0, done.out
    assert done.document["weights"][0]["quantization"] == "Q8_0"


def test_a_repository_that_a_row_names_is_that_row(cli: Cli, hub: HubServer) -> None:
    hub.files["ggml-org/SmolVLM-500M-Instruct-GGUF"] = {
        "SmolVLM-500M-Instruct-Q8_0.gguf": model(), "SmolVLM-500M-Instruct-f16.gguf": model(weights=99_000),
        "mmproj-SmolVLM-500M-Instruct-Q8_0.gguf": EYE,
    }  # fmt: skip
    (row,) = cli("pull", "hf:ggml-org/SmolVLM-500M-Instruct-GGUF", "--dry-run", "--json").document["weights"]
    assert row["name"] == "smolvlm-500m-instruct"


@pytest.mark.parametrize(
    ("said", "what", "code"),
    [
        ("hf:desk/Nothing", "has no such repository", 7),
        ("hf:desk", "names no repository", 2),
        (f"hf:{REPO}@v9", "no such revision", 7),
        (f"hf:{REPO}:Q3_K_M", "has no file of Q3_K_M; it has Q4_K_M, Q8_0, F16", 2),
        (f"hf:{REPO}/other.gguf", "has no file other.gguf", 2),
        ("hf:desk/Saved", "has no GGUF file", 2),
        ("hf:desk/Two", "has 2 models", 2),
    ],
)  # fmt: skip
def test_what_cannot_be_pulled_says_why(cli: Cli, hub: HubServer, said: str, what: str, code: int) -> None:
    hub.files["desk/Saved"] = {"config.json": b"{}", "model.safetensors": bytes(100)}
    hub.files["desk/Two"] = {"One-Q8_0.gguf": model(), "Other-Q8_0.gguf": model()}
    done = cli("pull", said)
    assert done.code == code, done.err
    assert what in done.err
    assert lock() == []


def test_where_memory_is_short_its_projector_is_counted_too(
    cli: Cli, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model is offered at the context for which there is memory beside what lets it see, by what this program took
    of it."""
    monkeypatch.setattr(programs, "version", lambda package: "2026.10")
    hub.files[REPO] = {"Tiny-Q8_0.gguf": model(), "mmproj-Tiny-F16.gguf": EYE}
    assert cli("pull", f"hf:{REPO}", "-q").code == 0
    weights = weights_store(os.environ)
    catalog = AsyncClient().catalog
    whole = catalog.by_id["embedded:desk/tiny-q8_0"]
    short = Machine(cores=2, memory=int(whole.memory.high) - 1_000_000, free=int(whole.memory.high) - 1_000_000)
    cut = with_reduced_contexts(catalog, short, weights, os.environ).by_id[whole.id]
    assert cut.context and whole.context and cut.context < whole.context
    path, eyes = weights.path("tiny-q8_0"), weights.projector("tiny-q8_0")
    assert path is not None and eyes is not None
    low, mid, high = gguf_memory(local_model(path).shape, local_model(eyes).shape, cut.context, 1)
    assert (cut.memory.low, cut.memory.mid, cut.memory.high) == (low, mid, high)
    settings = ServingSettings(context=512, projector=local_model(eyes).shape)
    thrice = CorrectionRatio(name=BUFFERS, device="host", low=3.0, mid=3.0, high=3.0)
    of_another = Correction(
        flags=correction_flags(settings), build="b1", taken="2026-11-29", ratios=(thrice,), program="/bin/other"
    )
    assert save_correction(cache_dir(os.environ), path, of_another)
    again = with_reduced_contexts(catalog, short, weights, os.environ).by_id[whole.id]
    assert (again.context, again.memory) == (cut.context, cut.memory), "another program took it, not this one"
    assert save_correction(
        cache_dir(os.environ), path, replace(of_another, program=programs.program_version("xllamacpp", ""))
    )
    assert with_reduced_contexts(catalog, short, weights, os.environ).by_id[whole.id].memory != cut.memory


def test_where_memory_is_short_a_header_is_read_once_until_its_file_is_another(
    cli: Cli, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files[REPO] = {"Tiny-Q8_0.gguf": model()}
    assert cli("pull", f"hf:{REPO}", "-q").code == 0
    weights, catalog = weights_store(os.environ), AsyncClient().catalog
    whole = catalog.by_id["embedded:desk/tiny-q8_0"]

    def context(lacks: int) -> int:
        free = int(whole.memory.high) - lacks
        found = with_reduced_contexts(catalog, Machine(cores=2, memory=free, free=free), weights, os.environ)
        return found.by_id[whole.id].context or 0

    first = context(1_000_000)
    read: list[Path] = []

    def reading(path: Path) -> SizedModel:
        read.append(path)
        return local_model(path)

    monkeypatch.setattr(memory_estimate, "local_model", reading)
    assert 0 < context(2_000_000) < first and not read
    path = weights.path("tiny-q8_0")
    assert path is not None
    os.utime(path, (1, 1))
    assert context(1_000_000) == first and read == [path]


def test_a_mirror_with_the_older_listing_alone_is_pinned_by_its_sums(
    cli: Cli, hub: HubServer, own_weights: Path
) -> None:
    hub.trees = True
    assert cli("pull", f"hf:{REPO}", "-q").code == 0
    assert (own_weights / "tiny-q8_0" / "Tiny-Q8_0.gguf").read_bytes() == FILES["Tiny-Q8_0.gguf"]
    assert (lock()[0]["revision"], lock()[0]["files"][0]["sha256"]) == (
        "main", hashlib.sha256(FILES["Tiny-Q8_0.gguf"]).hexdigest()
    )  # fmt: skip
    hub.files[REPO] = {**FILES, "Tiny-Q8_0.gguf": model(weights=600_000, seed=99)}
    shutil.rmtree(own_weights / "tiny-q8_0")
    refused = cli("pull", f"hf:{REPO}")
    assert refused.code == 7 and "another sum of Tiny-Q8_0.gguf" in refused.err
    assert cli("pull", f"hf:{REPO}", "--update", "-q").code == 0


def test_what_is_pinned_can_be_brought_by_hand_to_a_machine_without_a_network(
    cli: Cli, hub: HubServer, own_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("pull", f"hf:{REPO}:Q8_0", "-q").code == 0
    shutil.rmtree(own_weights / "tiny-q8_0")
    monkeypatch.setenv("INTERMODAL_HUB", "http://127.0.0.1:9")
    assert cli("pull", "tiny-q8_0").code == 7
    monkeypatch.setenv("INTERMODAL_WEIGHTS_DIR", str(tmp_path))
    (tmp_path / "Tiny-Q8_0.gguf").write_bytes(FILES["Tiny-Q8_0.gguf"])
    done = cli("pull", "tiny-q8_0")
    assert done.code == 0 and "checked against the SHA-256 that are pinned" in done.err
    assert (own_weights / "tiny-q8_0" / "Tiny-Q8_0.gguf").read_bytes() == FILES["Tiny-Q8_0.gguf"]
    shutil.rmtree(own_weights / "tiny-q8_0")
    (tmp_path / "Tiny-Q8_0.gguf").write_bytes(bytes(len(FILES["Tiny-Q8_0.gguf"])))
    assert cli("pull", "tiny-q8_0").code == 7, "other bytes are nobody's"


SHA = '"sha": "0123456789abcdef0123456789abcdef01234567"'


@pytest.mark.parametrize(
    ("listing", "what"),
    [
        (b"[]", "unknown format"), (b"{}", "unknown format"), (b"not json", "unknown format"),
        (b"[" * 100_000, "unknown format"), (b'{"siblings": 5}', "unknown format"),
        (b'{"siblings": []}', "does not say which commit"),
        (b'{"sha": "../../x", "siblings": []}', "does not say which commit"),
        (b" " * (5 << 20), "lists more than"),
        (f'{{{SHA}, "siblings": [{{"rfilename": 5}}, {{"size": 1}}]}}'.encode(), "has no GGUF file"),
    ],
)  # fmt: skip
def test_a_listing_that_makes_no_sense_is_refused(
    cli: Cli, hub: HubServer, listing: bytes, what: str, own_weights: Path
) -> None:
    hub.listing = listing
    done = cli("pull", f"hf:{REPO}")
    assert done.code in (2, 7)
    assert what in done.err
    assert list(own_weights.iterdir()) == [] and lock() == []


@pytest.mark.parametrize(
    "name", ["../../.bashrc -Q8_0.gguf", "a;rm -rf ~-Q8_0.gguf", "-Q8_0.gguf", "x\u202e-Q8_0.gguf"]
)
def test_a_file_name_that_is_not_plain_is_refused(cli: Cli, hub: HubServer, name: str, own_weights: Path) -> None:
    hub.files[REPO] = {name: model()}
    done = cli("pull", f"hf:{REPO}")
    assert done.code in (2, 7), done.err
    assert list(own_weights.iterdir()) == [] and lock() == []


def test_a_file_without_a_sum_needs_one_from_elsewhere_or_a_yes(cli: Cli, hub: HubServer, own_weights: Path) -> None:
    data = model()
    rows = [{"rfilename": "Tiny-Q8_0.gguf", "size": len(data), "lfs": {"sha256": "what?", "size": len(data)}}]
    hub.files[REPO] = {"Tiny-Q8_0.gguf": data}
    hub.listing = json.dumps({"sha": hub.commit(REPO), "siblings": rows}).encode()
    refused = cli("pull", f"hf:{REPO}")
    assert refused.code == 2 and "--accept-unpinned" in refused.err
    wrong = cli("pull", f"hf:{REPO}", "--sha256", f"Tiny-Q8_0.gguf={'0' * 64}")
    assert wrong.code == 7 and lock() == []
    assert cli("pull", f"hf:{REPO}", "--accept-unpinned").code == 0
    assert lock()[0]["files"][0]["sha256"] == hashlib.sha256(data).hexdigest(), "pinned from now on"


def test_two_repositories_with_a_file_of_one_name_are_two_models(cli: Cli, hub: HubServer) -> None:
    hub.files["other/Tiny-GGUF"] = {"Tiny-Q8_0.gguf": model(seed=7)}
    assert cli("pull", f"hf:{REPO}:Q8_0", "hf:other/Tiny-GGUF", "-q").code == 0
    assert [(each["name"], each["repo"]) for each in lock()] == [
        ("other-tiny-q8_0", "other/Tiny-GGUF"), ("tiny-q8_0", REPO)
    ]  # fmt: skip


def test_a_removed_model_leaves_nothing_behind(cli: Cli, hub: HubServer, own_weights: Path) -> None:
    assert cli("pull", f"hf:{REPO}:Q8_0", "-q").code == 0
    listed = {row["name"]: row for row in cli("pull", "--list", "--json").document["weights"]}
    assert listed["tiny-q8_0"]["here"] is True
    done = cli("pull", "--remove", "tiny-q8_0")
    assert done.code == 0 and "tiny-q8_0: removed" in done.err
    assert not (own_weights / "tiny-q8_0").exists() and lock() == []
    assert cli("pull", "--remove", "tiny-q8_0").code == 2


def test_a_repository_is_removed_as_it_was_pulled(cli: Cli, hub: HubServer, own_weights: Path) -> None:
    nothing = cli("pull", f"hf:{REPO}", "--remove")
    assert nothing.code == 2 and "nothing was pulled of it" in nothing.err
    assert cli("pull", f"hf:{REPO}:Q8_0", f"hf:{REPO}:Q4_K_M", "-q").code == 0
    several = cli("pull", f"hf:{REPO}", "--remove")
    assert several.code == 2 and "say which: tiny-q4_k_m, tiny-q8_0" in several.err and len(lock()) == 2
    assert cli("pull", f"hf:{REPO}:Q8_0", "--remove", "--json").document["removed"] == ["tiny-q8_0"]
    assert cli("pull", f"hf:{REPO}", "--remove", "-q").code == 0
    assert lock() == [] and not list(own_weights.glob("tiny*"))


@pytest.mark.slow
def test_a_lock_that_is_damaged_is_named_with_its_path(cli: Cli, hub: HubServer) -> None:
    path = data_dir(os.environ) / "weights-lock.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{")
    done = cli("pull", "--list")
    assert done.code == 2
    assert str(path) in done.err and "move it away" in done.err
    (found,) = [each for each in cli("doctor", "--json").document["findings"] if each["name"] == path.name]
    assert found["state"] == "broken" and str(path) in found["what"]


EYE = (Path(__file__).parents[2] / "media" / "tiny_eye" / "tiny-eye-mmproj.gguf").read_bytes()


@pytest.mark.slow
def test_fit_takes_the_quantization_and_the_projector_that_a_pull_would(cli: Cli, hub: HubServer) -> None:
    hub.files[REPO] = {**FILES, "mmproj-F16.gguf": EYE}
    asked = cli("fit", f"hf:{REPO}", "--json")
    assert asked.code == 0, asked.err
    pulled = cli("pull", f"hf:{REPO}", "--dry-run", "--json").document["weights"][0]
    assert asked.document["model"] == "Tiny-Q8_0.gguf"
    assert json.dumps(pulled).count("Tiny-Q8_0.gguf") and json.dumps(pulled).count("mmproj-F16.gguf")
    assert "projector" in " ".join(term["name"] for term in asked.document["memory"])
    told = cli("fit", f"hf:{REPO}:Q4_K_M")
    assert told.code == 0 and "Tiny-Q4_K_M.gguf" in told.out
    assert f"llama-server -hf {REPO}:Q4_K_M" in told.out and "--mmproj" not in told.out
    assert "is the best of 2 that fits" in cli("fit", f"hf:{REPO}").err


def test_an_encoder_of_which_it_is_not_certain_that_it_fits_has_the_verdict_that_fit_has_of_a_file(
    cli: Cli, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(__file__).parents[2] / "media" / "tiny_bert" / "classifier"
    hub.files["desk/tiny-subjects"] = {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    machine(monkeypatch, 150 << 20)
    (row,) = cli("pull", "hf:desk/tiny-subjects", "--dry-run", "--json").document["weights"]
    assert (row["runtime"], row["verdict"]) == ("encoder", "tight")
    assert row["sentence"].startswith("may fit: needs ")
