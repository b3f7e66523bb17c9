"""A config that promises what its server does not do: found out once, planned around, never asked for there again."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.conftest import configure
from tests.e2e.servers import LlamaServer

import intermodal as package
from intermodal.events import AttemptFailed, Replanned

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_a_server_said_to_see_that_does_not_gets_the_words_of_the_picture_instead(
    text_server: LlamaServer, media: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = text_server.row("text").replace('input = ["text"]', 'input = ["text", "image"]')
    assert '"image"' in row
    configure(tmp_path_factory, monkeypatch, row)
    picture = media / "photo-coffee.jpg"
    request = package.make_request("What is in the picture?", picture, max_tokens=8, temperature=0.0)
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
        # There is next to nothing to read on it, and nobody is asked about nothing.
        assert package.fold(events).endpoint in ("", f"text:{text_server.model}"), "nobody else answers"
