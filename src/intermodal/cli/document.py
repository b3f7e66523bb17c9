"""The JSON every verb prints with ``--json``: one document on stdout, with a kind and a version."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

DOCUMENT_VERSION = 1


def print_document(kind: str, body: Any) -> None:
    """Print ``{"kind": "intermodal.<kind>", "version": 1, …body}`` as one indented document."""
    plain = msgspec.to_builtins(body)
    if isinstance(plain, dict):
        plain = {key: value for key, value in plain.items() if key not in ("kind", "version")}
    else:
        plain = {"items": plain}
    document = {"kind": f"intermodal.{kind}", "version": DOCUMENT_VERSION, **plain}
    encoded = msgspec.json.format(msgspec.json.encode(document), indent=2)
    sys.stdout.write(encoded.decode() + "\n")
    sys.stdout.flush()
