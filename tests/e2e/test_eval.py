"""``intermodal eval`` on the embedded models and the repository's own media: real answers, kept, measured, shown."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from command import intermodal

pytestmark = pytest.mark.e2e
EXAMPLES = Path(__file__).parents[2] / "examples" / "eval" / "rail.jsonl"


def chosen(tmp_path: Path, media: Path, *names: str) -> str:
    """Some of the example items, with their files where they are."""
    (tmp_path / "data").mkdir()
    (tmp_path / "media").symlink_to(media)
    rows = [json.loads(line) for line in EXAMPLES.read_text().splitlines()]
    path = tmp_path / "data" / "some.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows if row["id"] in names))
    return str(path)


def test_transcribers_are_compared_on_speech_and_a_model_on_text_and_pictures(tmp_path: Path, media: Path) -> None:
    data = chosen(tmp_path, media, "jfk-words", "capital", "report-office", "invoice-from", "cat-what")
    done = intermodal("eval", data, "--json", "--html", str(tmp_path / "r.html"))
    assert done.answered, done.err
    body = done.document
    assert body["items"] == 5 and body["missing"] == 0 and body["spent"] == 0
    assert list(body["without_route"]) == ["cat-what"]  # no eye here, and the item keeps appearance
    ears = {row["route"]["endpoint"]: row for row in body["routes"] if "whisper" in row["route"]["endpoint"]}
    assert {"embedded:openai/whisper-base", "embedded:openai/whisper-tiny.en"} <= ears.keys()
    assert all(row["right"] == 1 for row in ears.values())
    assert any(pair["items"] == 1 and pair["both"] == 1 for pair in body["comparisons"])
    goes_in = {row["route"]["summary"] for row in body["routes"]}
    assert {"text only", "text of the document", "text read from the image"} <= goes_in
    assert all(row["seconds"] > 0 and row["input_tokens"] for row in body["routes"] if "smollm2" in str(row["route"]))
    assert all("too few to give a tier" in row["why"] and not row["remembered"] for row in body["measured"])
    assert "<svg" in (tmp_path / "r.html").read_text()


def test_an_interrupted_evaluation_goes_on_where_it_stopped(tmp_path: Path, media: Path) -> None:
    names = ("sum", "capital", "days", "sky", "legs", "sun", "months", "opposite")
    data, journal = chosen(tmp_path, media, *names), tmp_path / "runs.jsonl"
    command = [
        sys.executable,
        "-m",
        "intermodal.cli.main",
        "eval",
        data,
        "--model",
        "smollm2-135m",
        "--most-routes",
        "1",
    ]
    command += ["--journal", str(journal)]
    with subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and (not journal.exists() or journal.read_bytes().count(b"\n") < 2):
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=300)
    kept = journal.read_bytes().count(b"\n")
    assert running.returncode == 130 and 2 <= kept < 8
    assert f"{kept} of 8 runs are kept; the same command goes on from there" in said.decode()
    done = intermodal(*command[3:])
    assert done.answered and f"8 runs, {kept} of them kept from before" in done.err
    assert journal.read_bytes().count(b"\n") == 8
