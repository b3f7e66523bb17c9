"""docs/openapi.json is what the gateway serves at /openapi.json (``--bless`` writes it)."""

from __future__ import annotations

import json
from pathlib import Path

from intermodal.gateway.openapi.openapi_document import build_document
from intermodal.gateway.routes import ROUTES

PUBLISHED = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_the_published_document_is_the_one_that_is_served(bless: bool) -> None:
    made = json.dumps(build_document(ROUTES), indent=1, ensure_ascii=False) + "\n"
    if bless:
        PUBLISHED.write_text(made)
    assert PUBLISHED.read_text() == made, "make bless, if this is what it should say"
