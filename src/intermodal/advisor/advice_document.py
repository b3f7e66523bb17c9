"""Advice as a JSON document: every field is present, and null means unknown."""

from __future__ import annotations

from typing import Any

import msgspec

from intermodal.advisor.advice import Advice
from intermodal.quantity import Quantity


def document(advice: Advice) -> dict[str, Any]:
    """The JSON of advice: amounts with low, mid and high, null where they are not known."""
    plain = _plain(advice)
    assert isinstance(plain, dict)
    plain["advice_version"] = plain.pop("version")
    plain["text"] = str(advice)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Quantity):
        known = value.known
        return {
            "low": value.low if known else None, "mid": value.mid if known else None,
            "high": value.high if known else None, "exactness": value.certainty, "basis": value.basis,
        }  # fmt: skip
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value
