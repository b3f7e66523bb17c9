"""Requests for which no language model is needed: the plan says so, and which kind of model does it, in numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.onnx_folders import CLIP
from tests.unit.gateway.gateway_server import config

import intermodal
from intermodal.core.request import (
    EmbeddingOutput,
    ImageOutput,
    Output,
    ScoresOutput,
    SpeechOutput,
    TranscriptOutput,
)
from intermodal.plans.explain import explain
from intermodal.testing import FakeHost

pytestmark = pytest.mark.e2e
BRUSH = 'id = "cloud/brush"; tasks = ["text-to-image"]; input = ["text"]; picture = 0.01; tier = "large"'
MATCHES = f"""
[hosts.pictures]
protocol = "contrastive"
[[hosts.pictures.models]]
id = "tiny/clip"
weights = "{CLIP}"
"""
SPEAKS = SpeechOutput(verbatim=True)
KINDS = ScoresOutput(labels=("an invoice", "a timetable", "a poem"))
SHOWS = ScoresOutput(labels=("a red star", "a blue circle"))
RECOGNITION, TRANSLATION, SYNTHESIS = "speech recognition", "speech translation", "speech synthesis"
CONTRASTIVE, VECTORS, GENERATOR = "contrastive model", "embedding model", "image generator"
ASKED: tuple[tuple[str, str, Output, dict[str, Any], str], ...] = (
    ("", "jfk.wav", TranscriptOutput(), {}, RECOGNITION),
    ("", "jfk.mp3", TranscriptOutput(format="srt"), {}, RECOGNITION),
    ("", "two_cities_25s.flac", TranscriptOutput(format="vtt"), {"language": "en"}, RECOGNITION),
    ("", "talk-over-stills.mp4", TranscriptOutput(), {}, RECOGNITION),
    ("", "french.flac", TranscriptOutput(), {}, RECOGNITION),
    ("", "french.flac", TranscriptOutput(), {"translate": "en"}, TRANSLATION),
    ("", "french.flac", TranscriptOutput(format="srt"), {"translate": "en", "language": "fr"}, TRANSLATION),
    ("", "talk-over-stills.mp4", TranscriptOutput(), {"translate": "en"}, TRANSLATION),
    ("", "photo-cat.jpg", SHOWS, {}, CONTRASTIVE),
    ("", "photo-coffee.jpg", SHOWS, {}, CONTRASTIVE),
    ("", "bigbuckbunny.mp4", SHOWS, {"model": "tiny/clip"}, CONTRASTIVE),
    ("", "photo-cat.jpg", EmbeddingOutput(), {"model": "tiny/clip"}, CONTRASTIVE),
    ("a red star", "", EmbeddingOutput(), {"model": "tiny/clip"}, CONTRASTIVE),
    ("The train leaves at nine.", "", EmbeddingOutput(), {}, VECTORS),
    ("", "report.pdf", EmbeddingOutput(), {"pages": 1}, VECTORS),
    ("", "scanned.pdf", EmbeddingOutput(), {}, VECTORS),
    ("", "jfk.wav", EmbeddingOutput(), {}, VECTORS),
    ("The train leaves at nine.", "", KINDS, {}, VECTORS),
    ("", "report.pdf", KINDS, {"pages": 1}, VECTORS),
    ("", "jfk.wav", KINDS, {}, VECTORS),
    ("a crane over a harbour", "", ImageOutput(), {}, GENERATOR),
    ("a crane over a harbour", "", ImageOutput(size=(512, 512), count=2), {}, GENERATOR),
    ("The train leaves at nine.", "", SPEAKS, {}, SYNTHESIS),
    ("", "scanned.pdf", SPEAKS, {}, SYNTHESIS),
    ("", "screenshot-invoice.png", SPEAKS, {}, SYNTHESIS),
    ("", "french.flac", SPEAKS, {"translate": "en"}, SYNTHESIS),
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[intermodal.Client]:
    """With a contrastive model of the project's own, and a host that draws."""
    with FakeHost() as host, pytest.MonkeyPatch.context() as patched:
        path = config(tmp_path_factory.mktemp("kinds") / "intermodal.toml", ("cloud", host.base_url, BRUSH))
        path.write_text(path.read_text() + MATCHES)
        patched.setenv("INTERMODAL_CONFIG", str(path))
        with intermodal.Client() as made:
            yield made


@pytest.mark.parametrize(("prompt", "file", "output", "options", "kind"), ASKED, ids=[f"{e[1]} {e[4]}" for e in ASKED])
def test_another_kind_of_model_is_enough(
    client: intermodal.Client, media: Path, prompt: str, file: str, output: Output, options: dict[str, Any], kind: str
) -> None:
    files = (media / file,) if file else ()
    plan = client.plan(prompt, *files, output=output, **options)
    assert (plan.verdict.value, plan.verdict.instead) == ("no_language_model", kind)
    assert "no language model" in plan.headline
    assert not {step.op for step in plan.chosen.steps} & {"generate", "translate", "describe"}
    total = plan.chosen.total
    assert total.cost.known and total.seconds.known and total.seconds.mid > 0
    said = explain(plan)
    assert "no language model" in said and "total: $" in said


def test_a_question_needs_one(client: intermodal.Client, media: Path) -> None:
    plan = client.plan("What does he ask his fellow Americans to do?", media / "jfk.wav")
    assert plan.verdict.value != "no_language_model" and "no language model" not in plan.headline
