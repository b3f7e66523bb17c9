"""The JSON document that every verb prints with ``--json``: one object with a kind and a version."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from intermodal.core.hints import spell_text

DOCUMENT_VERSION = 1


def print_document(kind: str, body: Any) -> None:
    """Print ``{"kind": "intermodal.<kind>", "version": 1, …body}`` as one indented document.

    Structs in it have every field: a price of 0 is ``{"mid": 0.0}``, so that a program can add up prices.
    """
    plain = msgspec.to_builtins(plain_data(body))
    if isinstance(plain, dict):
        plain = {key: value for key, value in plain.items() if key not in ("kind", "version")}
    else:
        plain = {"items": plain}
    document = {"kind": f"intermodal.{kind}", "version": DOCUMENT_VERSION, **plain}
    try:
        text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    except UnicodeEncodeError:  # a file name that is not valid text is escaped to ASCII
        import json

        text = json.dumps(document, indent=2)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def plain_data(value: Any) -> Any:
    """Return a value as plain data with every field present, so that readers need not know the defaults."""
    if isinstance(value, msgspec.Struct):
        config = value.__struct_config__
        tag = {config.tag_field: config.tag} if config.tag_field else {}
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        return {**tag, **{stored: plain_data(getattr(value, name)) for stored, name in names}}
    if isinstance(value, list | tuple):
        return [plain_data(item) for item in value]
    if isinstance(value, dict):
        return {key: plain_data(item) for key, item in value.items()}
    return spell_text(value, "command line") if isinstance(value, str) else value
