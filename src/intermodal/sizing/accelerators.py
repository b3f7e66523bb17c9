"""Graphics cards and chips by name: memory, bandwidth and compute, as dated rows with their source.

A name means a row if it is the row's name but for case, spaces and the maker's brands. Nothing looser: a laptop chip
has three fifths of the bandwidth of the desktop card it is named after, and other names differ by as little.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast

from intermodal.content import Value
from intermodal.errors import UsageError
from intermodal.hints import hint, setting

DATA = Path(__file__).parent / "data"
Form = Literal["desktop", "laptop", "server", "unified"]
Limit = Literal["", "metal", "half"]
GIB = 1 << 30

_MARKS = re.compile(r"\((r|tm)\)|[®™]")
_MEMORY = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s*(gb|gib)(?![a-z])")
_LAPTOP = re.compile(r"\blaptop\b|\bnotebook\b")
# Words that makers and drivers write around a name, and people leave out.
_BRANDS = re.compile(
    r"\b(nvidia|amd|ati|intel|apple|geforce|radeon|instinct|tesla|quadro|graphics|generation|gpu|card|corporation|chip)\b"
)
# How a chip is mounted or which memory is on it: cards of one name, often with the same memory.
_VARIANT = re.compile(r"(pcie|sxm[2-6]?|nvl|cnx|hbm2e|hbm2|hbm3e|hbm3|dgxs|fhhl|\d\dcore)")
_NEAR = 3
# Graphics units of processors without memory of their own: a row would double the machine's memory.
_SHARED = re.compile(
    r"\b(igpu|integrated|onboard|apu|iris|uhd|hd graphics|vega (3|6|7|8|10|11)|radeon graphics|(radeon )?[4-8]\d0m)\b"
)


class Accelerator(Value):
    """One row.

    Attributes:
        memory: bytes, of each size it is sold with. bandwidth: bytes a second. watts: 0 if not published.
        compute: operations a second of the fastest products that llama.cpp uses; 0 if not published.
        released: ISO date. source: of these numbers.
        also: other names. limit: the rule by which its graphics part gets memory.
    """

    vendor: str
    name: str
    form: Form
    released: str
    memory: tuple[int, ...]
    bandwidth: float
    compute: float
    watts: float
    source: str
    also: tuple[str, ...] = ()
    limit: Limit = ""

    @property
    def unified(self) -> bool:
        """Return whether it shares the machine's memory."""
        return self.form == "unified"

    @property
    def title(self) -> str:
        """Return maker and name in everyday form."""
        return self.name if self.name.startswith(self.vendor) else f"{self.vendor} {self.name}"


def usable_memory(memory: int, limit: Limit) -> int:
    """Bytes of a machine's memory that the graphics part of its chip may use.

    Metal's recommended working set is two thirds of up to 36 GiB and three quarters of more (``iogpu.wired_limit_mb``
    raises it); Linux maps half of the memory for a graphics part of AMD (``ttm.pages_limit``). As their systems come.
    """
    if limit == "metal":
        return memory * 2 // 3 if memory <= 36 * GIB else memory * 3 // 4
    return memory // 2 if limit == "half" else memory


class CardName(Value):
    """The facts in a name: the name without brands (``key``) and variants, the variants, and memory in bytes or 0."""

    key: str
    variants: tuple[str, ...]
    memory: int


@lru_cache(2048)
def parse_card_name(words: str) -> CardName:
    """Take a name apart.

    >>> parse_card_name("NVIDIA GeForce RTX 4090 Laptop GPU").key, parse_card_name("A100-SXM4-80GB").variants
    ('rtx4090mobile', ('sxm4',))
    """
    text = _MARKS.sub(" ", words.lower()).replace("-", " ").replace("_", " ")
    text = _LAPTOP.sub("mobile", text.replace("max q", "maxq"))
    size = _MEMORY.search(text)
    text = _BRANDS.sub(" ", _MEMORY.sub(" ", text))
    joined = re.sub(r"[^a-z0-9+.]", "", text)
    variants = tuple(_VARIANT.findall(joined))
    return CardName(key=_VARIANT.sub("", joined), variants=variants, memory=round(float(size[1]) * GIB) if size else 0)


@lru_cache(1)
def accelerators() -> tuple[Accelerator, ...]:
    """Every row, those stated by hand first and instead of others of the same name."""
    stated = tuple(_rows("stated.csv"))
    known = {_whole(row.name) for row in stated}
    return (*stated, *(row for row in _rows("accelerators.csv") if _whole(row.name) not in known))


def find_card(
    words: str, where: str = setting("gpu"), among: tuple[Accelerator, ...] | None = None
) -> tuple[Accelerator, int]:
    """Return the one row that a name means, and its memory in bytes.

    Raises:
        UsageError: nothing is called so (the nearest are named), or several are and differ in memory (they are named).
    """
    rows = accelerators() if among is None else among
    asked = parse_card_name(words)
    found = _called(asked, rows)
    if not found:
        raise UsageError(f"no graphics card is known as {words!r}", where=where, todo=_nearest(words, rows))
    sizes = sorted({size for row in found for size in row.memory})
    if asked.memory:
        kept = tuple(row for row in found if asked.memory in row.memory)
        if not kept:
            have = ", ".join(f"{size / GIB:g} GB" for size in sizes)
            raise UsageError(f"{found[0].title} has {have}, not {asked.memory / GIB:g} GB", where=where,
                             todo="name one of these")  # fmt: skip
        return _slowest(kept), asked.memory
    if len(sizes) > 1:
        names = ", ".join(f'"{_plain(words)} {size / GIB:g}GB"' for size in sizes)
        raise UsageError(f"{words!r} is sold with different memory", where=where, todo=f"write one of {names}")
    return _slowest(found), sizes[0]


def card_of_driver(name: str, memory: int) -> Accelerator | None:
    """The row of a card that a driver names, of as much memory as the driver reports; None where none is known.

    Drivers report some hundred MiB less than the nominal size.
    """
    near = [
        row
        for row in _called(parse_card_name(name), accelerators())
        if any(0.93 * size <= memory <= 1.01 * size for size in row.memory)
    ]
    return _slowest(near) if near else None


def _called(asked: CardName, rows: tuple[Accelerator, ...]) -> tuple[Accelerator, ...]:
    """Return the rows of a name. Of variants, the stated ones; a name without its series matches if one row has it."""
    also = tuple(row for row in rows if any(_means(each, asked, row) for each in row.also))
    if also:
        return also
    same = [row for row in rows if parse_card_name(row.name).key == asked.key]
    if not same and asked.key[:1].isdigit():
        series = [
            row
            for row in rows
            if re.fullmatch(f"(rtx|gtx|rx|arc){re.escape(asked.key)}", parse_card_name(row.name).key)
        ]
        same = series if len({parse_card_name(row.name).key for row in series}) == 1 else []
    if asked.variants:
        same = [row for row in same if set(asked.variants) <= _mounted(row)]
    return tuple(same)


def _means(also: str, asked: CardName, row: Accelerator) -> bool:
    said = parse_card_name(also)
    fits = asked.memory in (0, said.memory) if said.memory else asked.memory in (0, *row.memory)
    return fits and (said.key, said.variants) == (asked.key, asked.variants)


def _mounted(row: Accelerator) -> set[str]:
    """Its variants, also as drivers write them: "sxm" for "sxm5"."""
    said = parse_card_name(row.name).variants
    return {*said, *(each.rstrip("23456") for each in said if each.startswith("sxm"))}


def _slowest(rows: Iterable[Accelerator]) -> Accelerator:
    """Of cards that a name does not tell apart, the one that promises least."""
    return min(rows, key=lambda row: (row.bandwidth, row.compute))


def _whole(name: str) -> tuple[str, tuple[str, ...], int]:
    said = parse_card_name(name)
    return said.key, said.variants, said.memory


def _plain(words: str) -> str:
    return _MEMORY.sub("", words).strip()


def complete_card_name(words: str) -> tuple[str, ...]:
    """Names that begin so, without spaces, so that a shell takes each for one word; brands may be left out.

    >>> complete_card_name("rtx409")
    ('RTX-4090', 'RTX-4090-D', 'RTX-4090-Max-Q', 'RTX-4090-Mobile')
    """
    wanted = re.sub(r"[^a-z0-9]", "", words.lower())
    names = {_short(row.name): None for row in accelerators()}
    return tuple(sorted(name for name in names if name.lower().replace("-", "").startswith(wanted)))


def _short(name: str) -> str:
    """A name as people write it: without brands and spaces."""
    plain = re.sub(_BRANDS.pattern, " ", name, flags=re.IGNORECASE)
    return "-".join(re.findall(r"[A-Za-z0-9+.]+", plain))


def _nearest(words: str, rows: tuple[Accelerator, ...]) -> str:
    if _SHARED.search(words.lower()):
        return hint(
            "a graphics part without memory of its own is about as fast as the machine's memory: write {gpu=} {ram=}",
            "none",
            "16GB DDR5-5600",
        )
    keys = {parse_card_name(row.name).key: row.title for row in rows} | {
        _whole(a)[0]: row.title for row in rows for a in row.also
    }
    asked = parse_card_name(words).key
    near = get_close_matches(asked, keys, _NEAR, 0.6) or _alike(asked, words, rows)
    names = list(dict.fromkeys(keys.get(each, each) for each in near))
    return f"nearest are {', '.join(names)}" if names else hint("write its memory instead: {gpu=}", "24GB")


def _alike(asked: str, words: str, rows: tuple[Accelerator, ...]) -> list[str]:
    """Where no name is spelled nearly so: the newest with other numbers between the same letters, or of a maker."""
    if not asked:
        maker = [row for row in rows if row.vendor.lower() in words.lower()]
        return [row.title for row in sorted(maker, key=lambda row: row.released, reverse=True)[:_NEAR]]
    letters = re.sub(r"\d+", "#", asked)
    same = [row for row in rows if re.sub(r"\d+", "#", parse_card_name(row.name).key) == letters]
    return [row.title for row in sorted(same, key=lambda row: row.released, reverse=True)[:_NEAR]]


def _rows(name: str) -> Iterable[Accelerator]:
    with (DATA / name).open(newline="") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            yield Accelerator(
                vendor=row["vendor"],
                name=row["name"],
                form=cast("Form", row["form"]),
                released=row["released"],
                memory=tuple(round(float(size) * GIB) for size in row["memory"].split(";")),
                bandwidth=float(row["bandwidth"]) * 1e9,
                compute=float(row["tflops"] or 0) * 1e12,
                watts=float(row["watts"] or 0),
                source=row["source"],
                also=tuple(filter(None, (row.get("also") or "").split(";"))),
                limit=cast("Limit", row.get("limit") or ""),
            )
