"""``intermodal fit``: one line of verdict, a table, changes that are commands, an image and a document."""

from __future__ import annotations

import json
import re
import struct
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import Cli
from tests.unit.local.weights.test_gguf import header, pair, tensor, text
from tests.unit.sizing.hub_server import HubServer, serving

from intermodal.config.config_file import data_dir
from intermodal.core.quantity import exact
from intermodal.plans.statistics import Statistics

Q4_K = 12
FACTS = {
    "block_count": 32, "embedding_length": 4096, "feed_forward_length": 14336, "attention.head_count": 32,
    "attention.head_count_kv": 8, "context_length": 131072,
}  # fmt: skip


def number(key: str, value: int) -> bytes:
    return pair(f"llama.{key}", 4, struct.pack("<I", value))


WHOLE = 5_000_000_000


class Sparse(bytes):
    """A file of which only the beginning is there, and zeros until ``WHOLE``."""

    def __len__(self) -> int:
        return WHOLE

    def __getitem__(self, part: Any) -> bytes:
        head = bytes(self)[part]
        return head + bytes(part.stop - part.start - len(head))


def head() -> bytes:
    """The header of a file as large as Llama 3.1 8B in four bits."""
    pairs = [pair("general.architecture", 8, text("llama")), *(number(*each) for each in FACTS.items())]
    tensors = [tensor("token_embd.weight", (4096, 128256), Q4_K), tensor("output.weight", (4096, 128256), Q4_K)]
    for layer in range(32):
        for name, dims in {"attn_q": (4096, 4096), "attn_k": (4096, 1024), "attn_v": (4096, 1024),
                           "attn_output": (4096, 4096), "ffn_gate": (4096, 14336), "ffn_up": (4096, 14336),
                           "ffn_down": (14336, 4096)}.items():  # fmt: skip
            tensors.append(tensor(f"blk.{layer}.{name}.weight", dims, Q4_K))
    return header(pairs, tensors)


@pytest.fixture
def model(tmp_path: Path) -> str:
    """Such a file, of which only the header takes place on the disk."""
    path = tmp_path / "Llama-3.1-8B-Q4_K_S.gguf"
    path.write_bytes(head())
    with path.open("r+b") as file:
        file.truncate(WHOLE)
    return str(path)


@pytest.mark.slow
def test_a_model_of_a_hub_is_sized_by_its_header_alone(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = HubServer({"owner/repo": {"Llama-3.1-8B-Q4_K_S.gguf": Sparse(head())}})
    with serving(hub):
        monkeypatch.setenv("INTERMODAL_HUB", hub.url)
        named = cli("fit", "hf:owner/repo/Llama-3.1-8B-Q4_K_S.gguf", "--gpu", "RTX 4090", "--ctx", "8k")
        url = cli("fit", f"{hub.url}/owner/repo/resolve/main/Llama-3.1-8B-Q4_K_S.gguf", "--gpu", "RTX 4090", "--json")
    assert named.code == url.code == 0
    assert named.out.splitlines()[1].startswith("fits: 5.")
    assert "by its header: 262 kB in 1 request" in named.out
    assert "llama-server -hf owner/repo:Q4_K_S -c 8192" in named.out
    assert url.document["header"] == {"bytes": 262144, "requests": 1}
    assert hub.sent < 1_000_000 < WHOLE


def test_a_model_of_ollama_is_found_by_its_name_there(
    cli: Cli, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = tmp_path / "ollama" / "blobs" / f"sha256-{'a' * 64}"
    manifest = tmp_path / "ollama" / "manifests" / "registry.ollama.ai" / "library" / "llama3.1" / "8b"
    for path in (blob, manifest):
        path.parent.mkdir(parents=True)
    Path(model).rename(blob)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{'a' * 64}", "size": WHOLE}
    manifest.write_text(json.dumps({"layers": [layer]}))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    done = cli("fit", "llama3.1:8b", "--gpu", "RTX 4090")
    assert done.out.splitlines()[1].startswith("fits: 5.")
    assert "neither a file" in cli("fit", "llama3.2:8b").err


def test_the_first_lines_say_what_it_is_about_and_the_verdict(cli: Cli, model: str) -> None:
    done = cli("fit", model, "--gpu", "RTX 4090", "--ctx", "8k")
    assert done.code == 0
    about, verdict, *_ = done.out.splitlines()
    assert about.startswith("Llama-3.1-8B-Q4_K_S.gguf on NVIDIA GeForce RTX 4090 24 GB")
    assert verdict.startswith("fits: 5.")
    assert verdict.endswith("of 24.0 GiB of the card at 8k")
    assert f"run  llama-server -m {model} -c 8192 -np 1 -ngl 99" in done.out
    assert "Q4_K_S (the file)" in done.out


@pytest.mark.slow
def test_texts_longer_than_any_in_training_are_said(cli: Cli, model: str) -> None:
    within = cli("fit", model, "--gpu", "2xH100", "--ctx", "128k").out
    assert "largest context that certainly fits: 128k, which is all it was trained for" in within
    assert "it was trained for texts" not in within
    beyond = cli("fit", model, "--gpu", "2xH100", "--ctx", "256k").out
    assert "it was trained for texts of 128k: what it makes of longer ones is not known" in beyond


@pytest.mark.slow
def test_a_named_card_is_not_said_to_give_all_it_is_sold_with(cli: Cli, model: str) -> None:
    done = cli("fit", model, "--gpu", "T4", "--ctx", "80k").out
    assert done.splitlines()[1].startswith("may fit: ")
    assert "its driver may leave 14.5 GiB of 16.0: what is free there is not known" in done


@pytest.mark.slow
def test_what_does_not_fit_is_answered_with_changes_that_are_commands(cli: Cli, model: str) -> None:
    done = cli("fit", model, "--gpu", "RTX 5060", "--ctx", "64k")
    assert done.code == 0  # an answer, whichever it is
    assert done.out.splitlines()[1].startswith("does not fit: 12.")
    assert "what would make it fit, cheapest first" in done.out
    assert "llama-server -m" in done.out
    assert "-ctk q8_0" in done.out


def test_an_owner_of_8_gb_learns_what_fits_and_what_would(cli: Cli, model: str) -> None:
    done = cli("fit", model, "--ram", "8GB")
    assert "8 cores, assumed, 8.0 GiB of memory (6.0 free)" in done.out
    assert done.out.splitlines()[1].startswith("fits: 5.")
    long = cli("fit", model, "--ram", "8GB", "--ctx", "32k")
    assert long.out.splitlines()[1].startswith("does not fit: ")
    assert "use a context of" in long.out


def test_a_machine_of_which_nothing_is_stated_is_not_said_to_fit(cli: Cli, model: str) -> None:
    done = cli("fit", model, "--gpu", "none")
    assert done.out.splitlines()[1] == "whether it fits is unknown: nothing was stated of the memory"


@pytest.mark.slow
def test_speeds_of_several_texts_at_once_are_said_of_each(cli: Cli, model: str) -> None:
    shown = cli("fit", model, "--gpu", "RTX 4090", "--ctx", "16k", "--users", "20").out
    paces = [
        line for line in shown.splitlines() if "would write" in line or re.search(r"^reads|\d/s|B/s|tokens?/s", line)
    ]
    assert len(paces) > 4
    assert all("of each text" in line or "GB/s" in line for line in paces)


def test_the_document_has_bytes_and_nulls(cli: Cli, model: str) -> None:
    found = cli("fit", model, "--gpu", "24GB", "--ctx", "8k,32k", "--slots", "2", "--json").document
    assert (found["kind"], found["fit_version"], found["verdict"]) == ("intermodal.fit", 1, "fits")
    assert found["settings"]["context"] == 32768
    assert {row["context"] for row in found["table"]} == {8192, 32768}
    [weights] = [row for row in found["memory"] if (row["name"], row["device"]) == ("weights", "device")]
    assert weights["certainty"] == "exact"
    assert found["speed"]["decode"]["mid"] is None  # of that card only the memory is known
    assert found["places"][0]["room"] == 24 << 30
    assert found["machine"]["memory"] is None


def test_the_picture_is_one_and_has_the_verdict(cli: Cli, model: str, tmp_path: Path) -> None:
    path = tmp_path / "fit.svg"
    assert cli("fit", model, "--gpu", "RTX 4090", "--svg", str(path)).code == 0
    root = ET.fromstring(path.read_text())
    words = " ".join(node.text or "" for node in root.iter() if node.tag.endswith("text"))
    assert "fits: " in words
    assert "Q4_K_S" in words


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--gpu", "RTX 4900"), "nearest are"),
        (("--gpu", "A100"), 'write one of "A100 40GB", "A100 80GB"'),
        (("--ram", "lots"), "is no memory"),
        (("--ctx", "long"), "is not a context length"),
        (("--ctx", "8k,,"), "is not a context length"),
        (("--kv", "q9"), "is not a cache type"),
        (("--kv", "f16,f16,f16"), "a cache has two types"),
        (("--quant", "Q4_KM"), "is not a known quantization"),
        (("--measure", "--ram", "8GB"), "measures this machine"),
        (("--svg", "-", "--json"), "standard output takes one thing"),
        (("--mmproj", "MODEL"), "is a model; name a projector"),
    ],
)
def test_slips_are_said_with_what_to_do(cli: Cli, model: str, options: tuple[str, ...], said: str) -> None:
    done = cli("fit", model, *(model if word == "MODEL" else word for word in options))
    assert done.code == 2
    assert said in done.err + done.out


def test_a_file_that_is_not_there_or_damaged_is_said(cli: Cli, tmp_path: Path) -> None:
    assert "there is no such file" in cli("fit", str(tmp_path / "no.gguf")).err
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(20))
    assert cli("fit", str(broken)).code != 0
    folder = tmp_path / "folder"
    folder.mkdir()
    assert "is a folder without" in cli("fit", str(folder)).err


def test_vllm_is_asked_how_many_texts_it_has_room_for(cli: Cli, model: str) -> None:
    done = cli("fit", model, "--engine", "vllm", "--gpu", "RTX 4090", "--ctx", "4k,8k")
    assert done.code == 0
    assert done.out.splitlines()[0].endswith("memory not stated")
    assert done.out.splitlines()[1].startswith("fits: ")
    assert "texts of 8k at once" in done.out.splitlines()[1]
    assert "vllm serve" in done.out
    found = cli("fit", model, "--engine", "vllm", "--gpu", "2x RTX 4090", "--ctx", "4k,8k", "--json").document
    assert found["settings"]["cards"] == 2
    shorter, longer = (row["texts"]["mid"] for row in found["table"])
    assert shorter == pytest.approx(2 * longer)
    assert "--tensor-parallel-size 2" in found["command"]
    assert found["tokens"]["certainty"] == "estimated"
    small = cli("fit", model, "--engine", "vllm", "--gpu", "4GB")
    assert small.out.splitlines()[1].startswith("does not fit: ")
    assert "run  vllm serve" not in small.out and "another card" in small.out


def test_vllm_says_where_fewer_texts_have_room_than_were_asked_for(cli: Cli, model: str) -> None:
    done = cli("fit", model, "--engine", "vllm", "--gpu", "RTX 4090", "--slots", "500", "--ctx", "8k")
    verdict = done.out.splitlines()[1] if done.code == 0 else done.err
    assert re.match(r"fits with fewer texts: \d+ .* texts of 8k at once, and of 500 the others wait", verdict), verdict


def test_what_vllm_has_no_room_for_comes_with_changes_that_fit_each_as_what_to_run(cli: Cli, model: str) -> None:
    asked = ("--engine", "vllm", "--gpu", "RTX 4090", "--ctx", "32k", "--slots", "4")
    found = cli("fit", model, *asked, "--json").document
    assert found["verdict"] in ("tight", "no")
    assert [change["cost"] for change in found["changes"]] == sorted(change["cost"] for change in found["changes"])
    for change in found["changes"]:
        assert change["needed"]["high"] <= change["room"] * 1.001, change
        assert change["command"].startswith("vllm serve ")
        if change["what"].startswith("use a context of "):
            tokens = change["command"].split("--max-model-len ")[1].split()[0]
            again = cli("fit", model, *asked[:4], "--ctx", tokens, "--slots", "4", "--json").document
            assert again["texts"]["low"] >= 4
    assert any("--kv-cache-dtype fp8" in change["command"] for change in found["changes"])
    assert "what would make it fit, cheapest first" in cli("fit", model, *asked).out


def test_what_vllm_divides_a_card_into_is_drawn(cli: Cli, model: str, tmp_path: Path) -> None:
    picture = tmp_path / "fit.svg"
    done = cli("fit", model, "--engine", "vllm", "--gpu", "2x RTX 4090", "--ctx", "4k,8k", "--svg", str(picture))
    drawn = picture.read_text()
    ET.fromstring(drawn)
    for part in ("weights", "overhead", "keys and values", "that vLLM takes"):
        assert part in drawn
    assert "card    " in done.out and "|" in done.out


def test_cards_that_do_not_divide_the_heads_and_chips_that_vllm_does_not_run_on_are_refused(
    cli: Cli, model: str
) -> None:
    three = cli("fit", model, "--engine", "vllm", "--gpu", "3xL4")
    assert three.code == 2 and "3 cards do not divide" in three.err and "1, 2, 4, 8, 16" in three.err
    apple = cli("fit", model, "--engine", "vllm", "--gpu", "M3 Max 64GB")
    assert apple.code == 2 and "processor of Apple's chips only" in apple.err and "llama.cpp" in apple.err


def test_vllm_wants_a_card_and_its_own_types(cli: Cli, model: str) -> None:
    assert "there is none" in cli("fit", model, "--engine", "vllm", "--ram", "8GB").err
    assert "keeps no q4_0 cache" in cli("fit", model, "--engine", "vllm", "--gpu", "24GB", "--kv", "q4_0").err


def test_names_and_files_complete(cli: Cli) -> None:
    from intermodal.cli.fit import _complete_names

    found = _complete_names(None, None, "smol")  # type: ignore[arg-type]
    assert "smollm2-135m-instruct" in [item.value for item in found]
    assert found[-1].type == "file"


def test_all_models_are_ranked_strongest_first_and_only_those_that_fit(cli: Cli) -> None:
    found = cli("fit", "--all", "--ram", "8GB", "--json").document["models"]
    order = ("fits", "tight", "unknown", "no")
    tiers = (None, "tiny", "small", "medium", "large", "frontier")
    keys = [(order.index(row["verdict"]), -tiers.index(row["tier"])) for row in found]
    assert keys == sorted(keys)
    assert {row["source"] for row in found} >= {"pull", "open"}
    assert all(row["needed"]["high"] <= row["room"] for row in found if row["verdict"] == "fits")
    shown = cli("fit", "--all", "--ram", "8GB").out.splitlines()
    assert shown[0] == "8 cores, assumed, 8.0 GiB of memory (6.0 free)"
    assert len(shown) <= 27


def test_a_mixture_of_which_only_the_active_size_is_in_the_name_is_not_said_to_fit(cli: Cli) -> None:
    names = {row["name"] for row in cli("fit", "--all", "--gpu", "RTX 4090", "--json").document["models"]}
    assert "meta/llama-4-scout-17b-16e-instruct" not in names  # 109 billion parameters


def test_a_long_context_of_models_without_a_header_is_not_said_to_fit(cli: Cli) -> None:
    short, long = (cli("fit", "--all", "--ram", "32GB", "--ctx", ctx, "--json").document for ctx in ("8k", "128k"))
    said = {each["name"]: each["verdict"] for each in long["models"] if not each["exact"]}
    fitted = [each["name"] for each in short["models"] if each["verdict"] == "fits" and not each["exact"]]
    assert fitted
    assert {said[name] for name in fitted} == {"unknown"}


def test_models_that_see_are_ranked_apart(cli: Cli) -> None:
    sight = {
        row["name"] for row in cli("fit", "--all", "--gpu", "RTX 4090", "--for", "sight", "--json").document["models"]
    }
    chat = {row["name"] for row in cli("fit", "--all", "--gpu", "RTX 4090", "--json").document["models"]}
    assert sight < chat


def test_models_of_a_size_are_what_fit_says_of_such_a_machine(cli: Cli) -> None:
    by_models = cli("models", "--fits", "8GB", "--json").document["models"]
    assert by_models == cli("fit", "--all", "--ram", "8GB", "--json").document["models"]
    card = cli("models", "--fits", "RTX 4090")
    assert card.out.startswith("NVIDIA GeForce RTX 4090 24 GB")
    assert cli("models", "--fits", "RTX 4900").code == 2


def test_a_model_has_to_be_named_or_all_asked_for(cli: Cli, model: str) -> None:
    assert "no model is named" in cli("fit").err
    assert "leave one of them out" in cli("fit", model, "--all").err


def test_what_earlier_runs_took_here_replaces_the_range(
    cli: Cli, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a model that intermodal runs itself; it says nothing of a machine that is named."""
    from intermodal.model_fit.fit import measured_speeds
    from intermodal.store.database import Store

    env = {"INTERMODAL_HOME": str(tmp_path)}
    data_dir(env).mkdir(parents=True)
    (data_dir(env) / "store.sqlite3").touch()
    endpoint = "embedded:huggingfacetb/smollm2-135m-instruct"
    rows = {f"{endpoint}|decode": exact(123.0, "12 runs"), f"{endpoint}|prompt": exact(400.0, "12 runs")}
    monkeypatch.setattr(Store, "statistics", lambda store: Statistics(rows=rows))
    assert measured_speeds("smollm2-135m-instruct", env) == (exact(123.0, "12 runs"), exact(400.0, "12 runs"))
    assert measured_speeds(model, env) == (None, None)


@pytest.mark.slow
def test_a_measurement_of_the_file_replaces_the_range_and_is_kept(
    cli: Cli, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a program that is called as llama.cpp's, and says what that would."""
    program = tmp_path / "bin" / "llama-bench"
    program.parent.mkdir()
    tests = [{"n_prompt": 512, "n_gen": 0, "avg_ts": 900.0}, {"n_prompt": 0, "n_gen": 32, "avg_ts": 50.0}]
    program.write_text(f"#!/bin/sh\necho '{json.dumps(tests)}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("intermodal.local.hardware.memory_bandwidth.SECONDS", 0.01)
    measured = cli("fit", model, "--measure", "--json").document["speed"]
    assert (measured["decode"]["mid"], measured["prefill"]["mid"]) == (50.0, 900.0)
    again = cli("fit", model, "--json").document["speed"]
    assert again == measured
    assert "llama-bench on this machine" in again["decode"]["basis"]
    assert cli("fit", model, "--gpu", "RTX 4090", "--json").document["speed"]["decode"]["mid"] != 50.0


LOG = """\
load_tensors:   CPU_Mapped model buffer size =  4000.00 MiB
load_tensors:        CUDA0 model buffer size =    10.50 MiB
load_tensors:        CUDA1 model buffer size =     9.50 MiB
llama_kv_cache:      CUDA0 KV buffer size =  1024.00 MiB
sched_reserve:      CUDA0 compute buffer size =   300.00 MiB
sched_reserve:      CUDA0 compute buffer size =   258.50 MiB
sched_reserve:  CUDA_Host compute buffer size =    24.01 MiB
"""


@pytest.mark.slow
def test_terms_are_held_beside_the_log_of_a_server(cli: Cli, model: str, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text(LOG)
    found = cli("fit", model, "--gpu", "RTX 4090", "--ctx", "8k", "--check", str(log), "--json").document["compared"]
    rows = {(row["name"], row["device"]): row for row in found}
    assert rows["cache", "device"]["error"] == 0.0  # Llama 3.1 8B at 8k: 1,024 MiB, exactly
    assert rows["weights", "device"]["logged"] == 20 * 2**20, "of both cards"
    assert rows["compute", "device"]["logged"] == 258.5 * 2**20, "as it was laid out at last"
    assert rows["compute", "host"]["logged"] == 24.01 * 2**20
    shown = cli("fit", model, "--gpu", "RTX 4090", "--ctx", "8k", "--check", str(log)).out
    assert "+0.00%" in shown
    assert "not logged" in shown  # its output buffer


def test_a_log_without_buffers_is_said(cli: Cli, model: str, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("main: server is listening\n")
    assert "has no line about buffers" in cli("fit", model, "--check", str(log)).err
    assert "cannot be read" in cli("fit", model, "--check", str(tmp_path / "none.log")).err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--mmproj", "p.gguf"), ("--draft", "d.gguf"), ("--quant", "Q4_K_M"), ("--engine", "vllm"), ("--svg", "x.svg"),
     ("--prompt", "50")],
)  # fmt: skip
def test_an_option_of_one_model_is_refused_where_many_are_ranked(cli: Cli, option: str, value: str) -> None:
    refused = cli("fit", "--all", option, value)
    assert refused.code == 2 and f"{option}: is of one model" in refused.err
    assert not Path("x.svg").exists()


def test_twenty_texts_at_once_and_the_type_of_the_cache_count_in_the_ranking(cli: Cli) -> None:
    def needed(*arguments: str) -> dict[str, float]:
        found = cli("fit", "--all", "--ram", "64GB", "--ctx", "8k", "--json", *arguments).document["models"]
        return {each["name"]: each["needed"]["mid"] for each in found if each["needed"]["mid"]}

    one, twenty = needed(), needed("--slots", "20")
    assert twenty.keys() == one.keys() and all(twenty[name] > one[name] for name in one)


def test_within_a_tier_the_larger_come_first_and_that_is_said(cli: Cli) -> None:
    found = cli("fit", "--all", "--gpu", "RTX 4090", "--json").document["models"]
    medium = [each for each in found if each["tier"] == "medium" and each["verdict"] == "fits"]
    assert {each["evidence"] for each in medium} <= {"proxy", "declared", "benchmark"}
    sizes = [each["needed"]["mid"] for each in medium if each["source"] == "open" and "oss" not in each["name"]]
    assert sizes == sorted(sizes, reverse=True)
    assert "within a tier, larger models come first" in cli("fit", "--all", "--gpu", "RTX 4090").err
