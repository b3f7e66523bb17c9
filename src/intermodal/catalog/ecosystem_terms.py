"""Names that people take for a model's and that are something else: runtimes, formats, applications."""

from __future__ import annotations

import re
from functools import cache

from intermodal.catalog.host_rows import decode_row
from intermodal.catalog.shipped_rows import DATA, read_toml
from intermodal.content import Value


class EcosystemTerm(Value, forbid_unknown_fields=True):
    """``what`` it is, in a sentence; ``here``: what can be done about it with intermodal, a line each; ``also``: other
    spellings."""

    name: str
    what: str
    here: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    source: str = ""
    checked: str = ""


@cache
def _terms() -> dict[str, EcosystemTerm]:
    where = "catalog/terms.toml"
    rows = [
        decode_row(table, EcosystemTerm, where=where, place="terms")
        for table in read_toml(DATA / "terms.toml", where)["terms"]
    ]
    return {_plain(name): row for row in rows for name in (row.name, *row.also)}


def term_of(name: str) -> EcosystemTerm | None:
    """The term that is called so, capitals, dots and dashes aside."""
    return _terms().get(_plain(name))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
