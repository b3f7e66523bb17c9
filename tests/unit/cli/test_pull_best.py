"""``pull --best`` and ``init``: the strongest that fits this machine, with size, memory, seconds, tier, and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli
from tests.unit.cli.test_pull_hub import EYE, model
from tests.unit.sizing.hub_server import HubServer, serving

from intermodal.core.quantity import between
from intermodal.plans.machine import Gpu, Machine

pytestmark = pytest.mark.usefixtures("own_weights")

GIB = 1 << 30


def machine(monkeypatch: pytest.MonkeyPatch, memory: float, *, bandwidth: float = 60e9, card: float = 0) -> None:
    speed = between(bandwidth * 0.8, bandwidth, bandwidth * 1.2, "stated")
    compute = between(5e11, 1e12, 2e12, "stated")
    held = int(card * GIB)
    gpus = (Gpu(name="a card", memory=held, free=held, bandwidth=9e11, compute=5e13),) if card else ()
    free = int(memory * GIB)
    made = Machine(cores=8, memory=free, free=free, bandwidth=speed, compute=compute, gpus=gpus)
    monkeypatch.setattr("intermodal.model_fit.fit.this_machine", lambda env: made)


@pytest.mark.parametrize(
    ("memory", "work", "name"),
    [
        (64, "chat", "qwen3-30b-a3b"), (16, "chat", "gpt-oss-20b"), (8, "chat", "qwen3-8b"),
        (5, "chat", "qwen3-4b-instruct-2507"),
        (16, "sight", "qwen2.5-vl-7b-instruct"), (6, "sight", "qwen3-vl-4b-instruct"),
        (1.2, "sight", "smolvlm-500m-instruct"), (16, "embedding", "embeddinggemma-300m"),
        (1, "speech", "whisper-base"),
    ],
)  # fmt: skip
def test_the_strongest_that_fits_is_proposed(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, memory: float, work: str, name: str
) -> None:
    machine(monkeypatch, memory)
    found = cli("pull", "--best", "--for", work, "--json").document["proposed"]
    assert found["chosen"]["name"] == name
    assert found["chosen"]["memory"]["high"] <= found["chosen"]["room"]
    assert found["chosen"]["size"] and found["chosen"]["tier"] and found["chosen"]["seconds"]["mid"] > 0
    order = ("tiny", "small", "medium", "large", "frontier")
    better = [row for row in found["known"] if order.index(row["tier"]) > order.index(found["chosen"]["tier"])]
    assert all(row["verdict"] != "fits" or row["name"] in found["why"] for row in better)


def test_a_model_that_answers_slower_than_one_reads_is_named_and_not_proposed(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, 16, bandwidth=10e9)
    found = cli("pull", "--best", "--for", "sight", "--json").document["proposed"]
    assert found["chosen"]["decode"]["mid"] >= 3
    slow = found["why"].partition("slower than one reads here: ")[2]
    assert "qwen2.5-vl-7b-instruct" in slow and found["chosen"]["name"] not in slow


@pytest.mark.parametrize("work", ["chat", "sight", "speech", "embedding"])
def test_a_card_changes_no_proposal_as_what_is_pulled_runs_on_the_processor(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    machine(monkeypatch, 8)
    without = cli("pull", "--best", "--for", work, "--json").document["proposed"]
    for card in (1, 80):
        machine(monkeypatch, 8, card=card)
        assert cli("pull", "--best", "--for", work, "--json").document["proposed"] == without
    assert without["chosen"]["room"] == 8 * GIB


def test_no_model_is_timed_on_a_text_that_it_cannot_read(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 16)
    names = {row["name"] for row in cli("pull", "--best", "--for", "embedding", "--json").document["proposed"]["known"]}
    assert "embeddinggemma-300m" in names, "it reads 2,048 tokens"
    assert not names & {"clip-vit-base-patch32", "siglip-base-patch16-224"}, "they read 77 and 64 tokens of 1,000"


def test_the_proposal_is_said_with_its_numbers_and_nothing_is_fetched_unasked(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, own_weights: Path
) -> None:
    machine(monkeypatch, 6)
    done = cli("pull", "--best", "--for", "sight")
    assert done.code == 0 and done.out == ""
    said = " ".join(done.err.split())
    assert "for sight: qwen3-vl-4b-instruct" in said and "3.0 GB to fetch, 4.4 GiB of memory" in said
    assert "s for a prompt of 1,000 tokens and an answer of 200" in said and "small by its 4.4B parameters" in said
    assert "the strongest that fits, of 5 known: small by its" in said
    assert "stronger, and not certain to fit here: qwen2.5-vl-7b-instruct" in said
    assert "to fetch it: intermodal pull qwen3-vl-4b-instruct" in said
    assert list(own_weights.iterdir()) == []


def test_pull_best_fails_if_no_model_fits_the_memory(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 0.2)
    done = cli("pull", "--best", "--for", "sight")
    assert done.code == 4
    assert "none of 5 models certainly fits" in done.err


@pytest.mark.parametrize("work", ["chat", "sight", "speech", "embedding"])
def test_where_nothing_fits_the_list_that_is_named_has_models_of_that_kind(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    machine(monkeypatch, 0.01)
    done = cli("pull", "--best", "--for", work)
    assert done.code == 4
    command = done.err.strip().rpartition("see: intermodal ")[2].split()
    machine(monkeypatch, 64)
    known = cli("pull", "--best", "--for", work, "--json").document["proposed"]["known"]
    assert any(row["name"] in cli(*command, "--json").out for row in known)


@pytest.mark.parametrize("wrong", [("--for", "sight"), ("whisper-base", "--best"), ("whisper-base", "--yes")])
def test_options_that_contradict_each_other_are_refused(cli: Cli, wrong: tuple[str, ...]) -> None:
    assert cli("pull", *wrong).code == 2


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """The repository of a row that ships, with other bytes in it."""
    files = {"SmolVLM-500M-Instruct-Q8_0.gguf": model(), "mmproj-SmolVLM-500M-Instruct-Q8_0.gguf": EYE}
    with serving(HubServer({"ggml-org/SmolVLM-500M-Instruct-GGUF": files})) as hub:
        monkeypatch.setenv("INTERMODAL_HUB", hub.url)
        yield hub


def test_yes_fetches_what_is_proposed_and_it_keeps_the_name_and_the_facts_of_its_row(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, hub: HubServer, own_weights: Path
) -> None:
    machine(monkeypatch, 1.2)
    assert cli("pull", "--best", "--for", "sight", "--yes").code == 0
    assert (own_weights / "smolvlm-500m-instruct" / "complete.json").exists()
    listed = {row["name"]: row for row in cli("pull", "--list", "--json").document["weights"]}
    assert listed["smolvlm-500m-instruct"]["here"] and listed["smolvlm-500m-instruct"]["title"].startswith("SmolVLM")
    models = {row["id"]: row for row in cli("models", "--json").document["models"]}
    assert "image" in models["embedded:huggingfacetb/smolvlm-500m-instruct"]["input"]
    again = cli("pull", "--best", "--for", "sight")
    assert again.code == 0 and "here already" in again.err


def test_init_proposes_for_each_kind_of_work_and_fetches_what_is_agreed_to(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, hub: HubServer, own_weights: Path
) -> None:
    machine(monkeypatch, 1.2)
    proposed = cli("init", "--json").document["proposed"]
    assert [each["for"] for each in proposed] == ["chat", "sight", "speech"]
    assert all(each["chosen"]["verdict"] == "fits" and each["why"] for each in proposed)
    quiet = cli("init", "--no-pull", "--json").document
    assert quiet["proposed"] == []
    said = cli("init", input="n\nn\ny\nn\n", terminal=True)
    assert said.code == 0, said.err
    assert "for sight: smolvlm-500m-instruct" in said.err
    assert [path.name for path in own_weights.iterdir() if not path.name.startswith(".")] == ["smolvlm-500m-instruct"]
