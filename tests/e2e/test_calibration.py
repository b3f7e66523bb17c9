"""A score is called uncalibrated until ``intermodal eval`` measured how often the best label is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.e2e.command import intermodal
from tests.e2e.onnx_folders import CLIP, config
from tests.media.tiny_eye import world

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
LABELS = ["a circle", "a square", "a triangle", "a star"]


def test_eval_makes_scores_measured_and_forgetting_makes_them_uncalibrated_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path, "contrastive", tiny_clip=CLIP)))
    rows = []
    for number, (shape, colour) in enumerate((s, c) for s in world.SHAPES for c in ("red", "green", "blue", "yellow")):
        for ground in ("white", "gray"):
            file = tmp_path / f"{number}-{ground}.png"
            file.write_bytes(world.shape(colour, shape, ground).png)  # pyright: ignore[reportArgumentType]
            rows.append({"files": [file.name], "labels": LABELS, "output": "scores", "expected": f"a {shape}",
                         "compare": "labels"})  # fmt: skip
    data = tmp_path / "shapes.jsonl"
    data.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    asked = ("ask", "--labels", ",".join(LABELS), "--model", "test/tiny-clip", str(tmp_path / "0-white.png"))
    before = intermodal(*asked)
    assert before.answered and "not calibrated (intermodal eval measures that)" in before.err, before.err
    measured = intermodal("eval", str(data), "--model", "test/tiny-clip", "--json")
    assert measured.code == 0, measured.err
    (found,) = measured.document["measured"]
    assert found["items"] == len(rows) == 32 and 0.25 < found["sure"] <= 1
    after = intermodal(*asked)
    assert f"was measured: right on {found['right']} of 32 of" in after.err and "on average" in after.err, after.err
    assert "nobody measured" not in after.err
    assert intermodal("eval", str(data), "--forget").code == 0
    assert "not calibrated" in intermodal(*asked).err
