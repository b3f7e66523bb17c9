"""A config that promises what its server does not do: found out once, planned around, never asked for there again."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from tests.e2e.conftest import configure
from tests.e2e.servers import LlamaServer, llama_server

import intermodal as package
from intermodal.events import AttemptFailed, Replanned

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_a_server_said_to_see_that_does_not_gets_the_words_of_the_picture_instead(
    text_server: LlamaServer, media: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = text_server.row("text").replace('input = ["text"]', 'input = ["text", "image"]')
    assert '"image"' in row
    configure(tmp_path_factory, monkeypatch, row)
    picture = media / "screenshot-invoice.png"
    request = package.make_request("What colour is the background?", picture, max_tokens=8, temperature=0.0)
    with package.Client() as client:
        planned = client.plan(request)
        assert planned.chosen.endpoint == f"text:{text_server.model}" and len(planned.chosen.steps) == 1, (
            "it is believed"
        )
        text_server.record.forget()
        first = list(client.stream(request))
        again = list(client.stream(request))
        assert len(client.plan(request).chosen.steps) > 1, "and no longer"
    assert text_server.reached.count(b"data:image") == 1, "found out once, whether it was to answer or to describe"
    (failed,) = [event for event in first if isinstance(event, AttemptFailed)]
    assert (failed.code, failed.charged, failed.then) == ("unsupported_modality", "no", "reroute")
    assert any(isinstance(event, Replanned) and "not supported" in event.reason for event in first)
    assert not [event for event in again if isinstance(event, AttemptFailed)]
    for events in (first, again):
        assert package.fold(events).endpoint == f"text:{text_server.model}", "nobody else answers"


def yearbook(pages: int) -> bytes:
    """Pages of figures, one of which tells about the signal box."""
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfgen.canvas import Canvas

    out = BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1)
    for number in range(1, pages + 1):
        lines = [f"In month {month} line {number} carried {number * 7 + month} tons." for month in range(1, 25)]
        if number == pages // 2:
            lines[3] = "The signal box at Trondheim was painted purple in 1931."
        for place, line in enumerate(lines):
            canvas.drawString(60, 780 - 16 * place, line)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def test_a_context_that_turns_out_smaller_than_it_was_said_to_be_is_believed_and_less_is_sent(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shrink: the server says what it holds, and the pages that matter are chosen instead of all."""
    document = tmp_path / "yearbook.pdf"
    document.write_bytes(yearbook(16))
    question = "In which colour was the signal box at Trondheim painted?"
    with llama_server(context=1024) as small:
        row = small.row("text").replace("context = 1024", "context = 200000")
        assert "200000" in row
        configure(tmp_path_factory, monkeypatch, row)
        request = package.make_request(question, document, max_tokens=24, temperature=0.0, model=f"text:{small.model}")
        with package.Client() as client:
            result = package.fold(client.stream(request))
            assert len(client.plan(request).chosen.steps) > 1, "and the next plan knows"
        sent = small.reached.split(b"POST ")
    (failed,) = result.failures
    assert (failed.code, failed.status, failed.charged) == ("context_exceeded", 400, "no")
    assert len(result.replans) == 1 and result.text
    assert len(sent[1:]) == 2 and b"painted purple" in sent[-1] and len(sent[-1]) < len(sent[1]) / 4
