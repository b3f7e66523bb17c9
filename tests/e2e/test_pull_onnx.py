"""From a repository of a hub with ONNX files to labels, ranked passages and found pictures: real models, a hub-shaped
server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.command import intermodal
from tests.media.tiny_eye import world
from tests.unit.sizing.hub_server import HubServer, serving

from intermodal.config.config_file import cache_dir, data_dir

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
MEDIA = Path(__file__).parents[1] / "media"
SUBJECTS, OFFICES, CLIP = "desk/Tiny-Subjects", "desk/tiny-offices", "desk/tiny-clip"
SEVERAL, SIGLIP = "desk/tiny-several", "desk/tiny-siglip"


def files_of(folder: Path, *, without: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Files of a model as a repository has them, by their paths."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if name not in without}


def _with(files: dict[str, bytes], **fields: object) -> bytes:
    """Return the configuration of a model with other values."""
    return json.dumps({**json.loads(files["config.json"]), **fields}).encode()


@pytest.fixture(autouse=True)
def own_weights(own_home: Path) -> Path:
    folder = cache_dir(os.environ) / "weights"
    folder.unlink()
    folder.mkdir()
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    classifier, clip = files_of(MEDIA / "tiny_bert" / "classifier"), files_of(MEDIA / "tiny_clip")
    repositories = {
        SUBJECTS: {**classifier, "onnx/model_quantized.onnx": b"other", "README.md": b"# subjects"},
        OFFICES: files_of(MEDIA / "tiny_bert" / "reranker"),
        CLIP: files_of(MEDIA / "tiny_clip"),
        SEVERAL: {**classifier, "config.json": _with(classifier, problem_type="multi_label_classification")},
        SIGLIP: {**clip, "config.json": _with(clip, model_type="siglip", logit_scale=2.0, logit_bias=-4.0)},
        "Xenova/ms-marco-MiniLM-L-6-v2": files_of(MEDIA / "tiny_bert" / "reranker"),
        "desk/no-tokenizer": {name: data for name, data in classifier.items() if name != "tokenizer.json"},
        "desk/no-head": {**classifier, "config.json": b'{"architectures": ["BertModel"]}'},
        "desk/no-config": {name: data for name, data in classifier.items() if name != "config.json"},
        "desk/outside": {**classifier, "onnx/model.onnx_data": b"weights"},
        "desk/broken": {**classifier, "config.json": b"{"},
    }
    with serving(HubServer(repositories)) as hub:
        monkeypatch.setenv("INTERMODAL_HUB", hub.url)
        yield hub


def test_a_classifier_is_pulled_pinned_and_scores_its_labels(hub: HubServer, own_weights: Path) -> None:
    ran = intermodal("pull", f"hf:{SUBJECTS}")
    assert ran.code == 0, ran.err
    assert "text-classification by encoder" in ran.err
    assert "checked against the hub's SHA-256" in ran.err
    here = {path.name for path in (own_weights / "tiny-subjects").iterdir()}
    assert here == {"complete.json", "model.onnx", "tokenizer.json", "config.json"}
    asked = intermodal("ask", "--json", "--output", "scores", "the parcel with the lamp is a week late")
    assert asked.code == 0, asked.err
    scores = asked.document["scores"]
    assert max(scores, key=scores.__getitem__) == "delivery"
    assert asked.document["plan"]["chosen"]["endpoint"] == "embedded:desk/tiny-subjects"
    lock = json.loads((data_dir(os.environ) / "weights-lock.json").read_text())
    (model,) = lock["models"]
    assert (model["runtime"], model["revision"]) == ("encoder", hub.commit(SUBJECTS))
    assert all(len(file["sha256"]) == 64 for file in model["files"])


def test_a_pulled_head_of_several_labels_judges_each_by_itself_and_says_so(hub: HubServer) -> None:
    assert intermodal("pull", f"hf:{SEVERAL}", "-q").code == 0
    text = "the parcel with the lamp is a week late"
    asked = intermodal("ask", "--json", "--independent", "--labels", "delivery", text)
    assert asked.code == 0, asked.err
    assert asked.document["plan"]["chosen"]["endpoint"] == "embedded:desk/tiny-several"
    assert 0.5 < asked.document["scores"]["delivery"] <= 1
    kind = "each score is the probability of that label by itself (sigmoid)"
    assert any(kind in note for note in asked.document["notes"])
    assert kind in " ".join(intermodal("explain", "--independent", "--labels", "delivery,praise", text).out.split())


def test_a_pulled_siglip_judges_each_label_by_itself_and_a_clip_is_refused_for_that(
    hub: HubServer, tmp_path: Path
) -> None:
    (tmp_path / "red.png").write_bytes(world.shape("red", "star").png)
    asked = ("--independent", "--labels", "a red star", str(tmp_path / "red.png"))
    assert intermodal("pull", f"hf:{CLIP}", "-q").code == 0
    refused = intermodal("explain", *asked)
    assert refused.code != 0 and "is not known to judge each label by itself" in refused.err, refused.err
    assert intermodal("pull", f"hf:{SIGLIP}", "-q").code == 0
    made = intermodal("explain", *asked)
    assert made.code == 0, made.err
    assert "embedded:desk/tiny-siglip" in made.out and "by itself (sigmoid)" in " ".join(made.out.split())


def test_a_reranker_is_pulled_and_ranks(hub: HubServer) -> None:
    assert intermodal("pull", f"hf:{OFFICES}", "-q").code == 0
    lines = b"oslo has 12 parking spaces\nms berg leads the office in oslo"
    ran = intermodal("rerank", "--json", "who manages oslo", "-", stdin=lines)
    assert ran.code == 0, ran.err
    assert (ran.document["by"], ran.document["results"][0]["index"]) == ("reranker", 1)


def test_a_row_of_the_registry_is_pulled_and_pinned_by_what_the_hub_lists(hub: HubServer) -> None:
    ran = intermodal("pull", "ms-marco-minilm-l-6-v2")
    assert ran.code == 0, ran.err
    lines = b"oslo has 12 parking spaces\nms berg leads the office in oslo"
    ranked = intermodal("rerank", "--json", "who manages oslo", "-", stdin=lines)
    assert ranked.code == 0, ranked.err
    assert ranked.document["endpoint"] == "embedded:cross-encoder/ms-marco-minilm-l-6-v2"
    assert ranked.document["results"][0]["index"] == 1


def test_a_contrastive_model_is_pulled_and_finds_pictures(hub: HubServer, tmp_path: Path) -> None:
    assert intermodal("pull", f"hf:{CLIP}", "-q").code == 0
    for colour in ("red", "blue"):
        (tmp_path / f"{colour}.png").write_bytes(world.shape(colour, "star").png)
    ran = intermodal("find", "--json", "a blue star", str(tmp_path))
    assert ran.code == 0, ran.err
    assert Path(ran.document["nearest"][0]["file"]).name == "blue.png"


def test_what_was_pulled_is_fetched_again_as_it_was_and_removed_by_its_name(hub: HubServer) -> None:
    assert intermodal("pull", f"hf:{SUBJECTS}", "-q").code == 0
    again = intermodal("pull", f"hf:{SUBJECTS}", "--json")
    assert again.code == 0, again.err
    assert intermodal("pull", "--remove", "tiny-subjects").code == 0
    assert intermodal("ask", "--output", "scores", "late").code == 2


def test_a_dry_run_says_what_would_come_and_fetches_nothing(hub: HubServer, own_weights: Path) -> None:
    ran = intermodal("pull", "--dry-run", "--json", f"hf:{SUBJECTS}")
    assert ran.code == 0, ran.err
    (plan,) = ran.document["weights"]
    assert plan["runtime"] == "encoder"
    assert plan["labels"] == ["billing", "delivery", "technical fault", "praise"]
    assert plan["memory"]["mid"] > 0
    assert not list(own_weights.glob("*/model.onnx"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no-tokenizer", "has no tokenizer.json, without which its ONNX files are of no use"),
        ("no-head", "names the architecture BertModel"),
        ("no-config", "has no config.json"),
        ("outside", "that holds its own weights"),
        ("broken", "is not JSON"),
        ("no-head:int9", "BertModel"),
    ],
)
def test_a_repository_that_no_runtime_opens_is_refused_before_weights_are_fetched(
    hub: HubServer, name: str, said: str, own_weights: Path
) -> None:
    ran = intermodal("pull", f"hf:desk/{name}")
    assert ran.code not in (0, 1), ran.err
    assert said in ran.err.splitlines()[0]
    assert not list(own_weights.glob("*/model.onnx*"))


def test_a_variant_that_is_not_known_is_refused_with_those_that_are(hub: HubServer) -> None:
    ran = intermodal("pull", f"hf:{SUBJECTS}:int9")
    assert ran.code == 2
    assert "int9 is not a known variant; say fp16, int8, quantized" in ran.err
