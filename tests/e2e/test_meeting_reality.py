"""Plans that meet something else than they expected, or more than fits: said aloud, and answered where it can be."""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import configure
from tests.e2e.servers import LlamaServer
from tests.media.faint import faint

import intermodal as package
from intermodal.events import Replanned
from intermodal.local.weights.store import WeightsStore
from intermodal.testing import FakeHost

sys.path.insert(0, str(Path(__file__).parent))
from command import intermodal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

READER = "text:desk/smollm2-135m"
FACT = "The signal box at Trondheim was painted purple in 1931."


@pytest.fixture(scope="module")
def long_pdf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 pages, one of which tells about the signal box."""
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfgen.canvas import Canvas

    out = BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1)
    for number in range(1, 301):
        lines = [f"Chapter {number} of the yearbook."]
        lines += [
            f"In month {month} the freight of line {number} was {number * 7 + month} tons." for month in range(1, 13)
        ]
        if number == 217:
            lines.append(FACT)
        for place, line in enumerate(lines):
            canvas.drawString(60, 780 - 16 * place, line)
        canvas.showPage()
    canvas.save()
    path = tmp_path_factory.mktemp("long") / "yearbook.pdf"
    path.write_bytes(out.getvalue())
    return path


def test_of_300_pages_the_one_that_is_asked_for_is_found_and_the_rest_said_to_be_left_out(
    no_eye: LlamaServer, long_pdf: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(tmp_path_factory, monkeypatch, no_eye.row("text").replace("context = 8192", "context = 1536"))
    ran = intermodal(
        "ask", "Which colour has the signal box at Trondheim? Answer with the colour.", str(long_pdf), "-m", READER,
        "--temperature", "0", "--max-tokens", "32", timeout=200,
    )  # fmt: skip
    assert ran.answered, ran.err
    assert "purple" in ran.out.lower()
    assert "leaves out pages" in ran.err and "yearbook.pdf" in ran.err
    given = no_eye.reached.decode("utf-8", "replace")
    assert FACT in given
    assert given.count("of the yearbook") < 300


def test_french_for_an_english_transcriber_is_refused_when_it_is_said_to_be_french(
    media: Path, english_ear: None
) -> None:
    ran = intermodal(
        "ask", "What is said about it?", str(media / "french.flac"), "--language", "fr", "--max-tokens", "16"
    )
    assert ran.code == 4
    assert "transcribes only en" in ran.err
    assert ran.out == ""


def test_french_for_an_english_transcriber_is_an_assumption_that_is_said_when_nobody_knows(
    media: Path, english_ear: None
) -> None:
    ran = intermodal("ask", "What is said about it?", str(media / "french.flac"), "--max-tokens", "16")
    told = " ".join(ran.err.split())
    assert ran.code in (0, 4), told
    assert "transcribes only en" in told or "assum" in told, "whichever it is, it is said"
    if ran.code == 0:
        assert "english" in told.lower() or "language" in told.lower()


@pytest.mark.parametrize("kept_here", [False, True], ids=["may leave", "may not leave"])
def test_a_transcript_with_nothing_in_it_is_heard_again_by_the_better_transcriber_that_the_plan_names(
    own_home: Path, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_here: bool
) -> None:
    """The ear here is real; the better one is a fake host, priced by the second."""
    with FakeHost(transcript="two words") as host:
        config = tmp_path / "intermodal.toml"
        config.write_text(
            f'[hosts.cloud]\nbase_url = "{host.base_url}"\nzone = "internet"\n'
            '[[hosts.cloud.models]]\nid = "cloud/ear"\ninput = ["audio"]\n'
            'tasks = ["automatic-speech-recognition"]\ntier = "large"\nsecond = 0.0001\n'
        )
        monkeypatch.setenv("INTERMODAL_CONFIG", str(config))
        options = ("--output", "transcript", "--at-least", "small", "--objective", "cheapest")
        if kept_here:
            options += ("--private", "audio")
        planned = intermodal("explain", "", str(media / "music.ogg"), *options)
        ran = intermodal("ask", "", str(media / "music.ogg"), *options)
    told, plan = " ".join(ran.err.split()), " ".join(planned.out.split())
    if kept_here:
        assert "problems are reported" in plan and host.attempts == [] and "two words" not in ran.out
    else:
        causes = "empty, loops, is doubted or is in another language"
        assert f"if it is {causes}, cloud:cloud/ear hears it, + up to $" in plan
        assert ran.out.strip() == "two words" and len(host.attempts) == 1
        assert "cloud:cloud/ear answers instead of embedded:openai/whisper-base" in told


@pytest.fixture
def english_ear(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who pulled the English ear and no other."""
    from intermodal.config.config_file import cache_dir

    folder = cache_dir({"INTERMODAL_HOME": str(own_home)}) / "weights"
    real = folder.resolve()
    folder.unlink()
    folder.mkdir()
    for each in sorted(real.iterdir()):
        if each.name != "whisper-base":
            (folder / each.name).symlink_to(each, target_is_directory=each.is_dir())
    assert WeightsStore(folder).path("whisper-base") is None


def test_a_page_with_more_text_than_planned_for_is_planned_again_and_the_timeline_shows_it(
    no_eye: LlamaServer, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faint small print looks like little text; what is read does not fit the short context it was planned for."""
    row = no_eye.row("text").replace("context = 8192", "context = 400")
    configure(tmp_path_factory, monkeypatch, row, no_eye.row("long"))
    picture = tmp_path / "faint.png"
    picture.write_bytes(faint(lines=8))
    request = package.make_request("What is the last number?", picture, max_tokens=24, temperature=0.0)
    with package.Client() as client:
        plan = client.plan(request)
        events = list(client.stream(request))
    replans = [event for event in events if isinstance(event, Replanned)]
    assert replans, "it was planned again"
    first: Any = replans[0]
    assert first.endpoint in {plan.chosen.endpoint, *(each.endpoint for each in plan.fallbacks)}
    shown = package.explain_analyze(plan, package.fold(events))
    assert "planned again" in shown.lower()
