"""What leaves the machine is what the user allowed: checked on the wire of a host that records everything.

The hosted service is a fake (``intermodal.testing.FakeHost``); the ear, the eye and the local model are real.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from intermodal.testing import FakeHost

sys.path.insert(0, str(Path(__file__).parent))
from command import intermodal

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("shared_conversions")]


@pytest.fixture
def hosted(own_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHost]:
    """A strong hosted model the user has a row for (which is consent); zone internet, as its row says."""
    with FakeHost(answer="the hosted answer") as host:
        config = tmp_path / "intermodal.toml"
        config.write_text(
            f'[hosts.cloud]\nbase_url = "{host.base_url}"\nzone = "internet"\nforced_json = true\n'
            '[[hosts.cloud.models]]\nid = "cloud/strong"\ninput = ["text"]\ncontext = 32000\ntier = "large"\n'
            "input_mtok = 0.1\noutput_mtok = 0.4\n"
        )
        monkeypatch.setenv("INTERMODAL_CONFIG", str(config))
        yield host


def test_a_stronger_hosted_model_answers_when_it_is_allowed(hosted: FakeHost, media: Path) -> None:
    ran = intermodal("ask", "What does he ask?", str(media / "jfk.wav"))
    assert ran.answered, ran.err
    assert ran.out == "the hosted answer\n"
    assert "sends:" in ran.err and "cloud" in ran.err
    [attempt] = hosted.attempts
    assert b"ask what you can do for your country" in attempt.body.lower()


def test_a_private_recordings_words_do_not_leave_either(hosted: FakeHost, media: Path) -> None:
    ran = intermodal("ask", "What does he ask?", str(media / "jfk.wav"), "--private", "audio", "--max-tokens", "24")
    assert ran.answered, ran.err
    assert hosted.attempts == []
    assert "sends: nothing leaves this machine" in ran.err
    named = intermodal("ask", "What does he ask?", str(media / "jfk.wav"), "--private", "jfk.wav", "--max-tokens", "24")
    assert named.answered, named.err
    assert hosted.attempts == []


def test_releasing_the_text_lets_the_words_go_but_not_the_sound(hosted: FakeHost, media: Path) -> None:
    ran = intermodal(
        "ask", "What does he ask?", str(media / "jfk.wav"), "--private", "audio", "--release", "audio:text"
    )
    assert ran.answered, ran.err
    assert ran.out == "the hosted answer\n"
    [attempt] = hosted.attempts
    assert b"country" in attempt.body
    assert b"input_audio" not in attempt.body


def test_local_means_local(hosted: FakeHost) -> None:
    ran = intermodal("ask", "Say hello.", "--local", "--max-tokens", "8")
    assert ran.answered, ran.err
    assert hosted.attempts == []


@pytest.mark.usefixtures("own_conversions")
def test_a_key_in_the_environment_changes_nothing_until_consent(monkeypatch: pytest.MonkeyPatch, media: Path) -> None:
    arguments = ("explain", "What does he ask?", str(media / "jfk.wav"), "--json")
    before = intermodal(*arguments).document
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
    ran = intermodal(*arguments)
    after = ran.document
    assert after == before
    assert after["plan"]["chosen"].get("sends", []) == []
    assert "canary" not in ran.out + ran.err
    why = intermodal("explain", "What does he ask?", str(media / "jfk.wav"), "--why-not", "openai:openai/gpt-4o")
    assert "consent" in why.out


def test_consent_for_one_call_is_enough_for_that_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
    ran = intermodal("explain", "Say hello.", "--host", "openai", "--json")
    assert ran.answered, ran.out
    assert ran.document["plan"]["chosen"]["endpoint"].startswith("openai:")
    assert intermodal("explain", "Say hello.", "--json").document["plan"]["chosen"]["endpoint"].startswith("embedded:")


def test_the_answer_of_a_hosted_model_is_billed_in_the_store(hosted: FakeHost) -> None:
    assert intermodal("ask", "Say hello.", "-q").answered
    usage = intermodal("usage", "--json")
    assert "cloud:cloud/strong" in usage.out


@pytest.mark.parametrize("bound", [("--private", "document"), ("--private", "report.pdf"), ("--local",)])
def test_the_next_turn_of_a_private_conversation_does_not_leave_either(
    hosted: FakeHost, tmp_path: Path, bound: tuple[str, ...]
) -> None:
    from reportlab.pdfgen.canvas import Canvas

    pdf = str(tmp_path / "report.pdf")  # two sentences: every turn reads them again
    canvas = Canvas(pdf, invariant=1)
    canvas.drawString(60, 780, "The managing director is Ingrid Solheim. The head office is in Gothenburg.")
    canvas.save()
    first = intermodal("ask", "-q", "Who is the director?", pdf, "--pages", "1", "--max-tokens", "16", *bound)
    assert first.answered, first.err
    second = intermodal("ask", "And where is the head office?", "--continue", "--max-tokens", "16")
    assert second.answered, second.err
    assert hosted.attempts == []
    assert "sends: nothing leaves this machine" in second.err
    named = intermodal("ask", "And who else?", "--continue", "-m", "cloud:cloud/strong")
    assert named.code == 4
    assert hosted.attempts == []
