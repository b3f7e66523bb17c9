"""Hardware: GPUs and chips by name with memory, bandwidth and compute, and machines described by options.

The data are dated rows with their source (``data/``). A GPU without a rental row has no price.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, cast

from msgspec.structs import replace

from intermodal.core.content import Value
from intermodal.core.hints import action, hint, setting
from intermodal.core.quantity import Quantity, between, exact, unknown
from intermodal.errors import UsageError
from intermodal.plans.machine import Gpu, Machine
from intermodal.plans.numbers import with_noun

# GPUs and chips by name: memory, bandwidth and compute, as dated rows with their source.
#
# A name matches a row if it equals the row's name except for case, spaces and brands. Matching is not looser than that:
# a laptop GPU has three fifths of the bandwidth of the desktop GPU it is named after, and other names are as similar.


DATA = Path(__file__).parent / "data"
_Form = Literal["desktop", "laptop", "server", "unified"]
_Limit = Literal["", "metal", "half"]
GIB = 1 << 30

_MARKS = re.compile(r"\((r|tm)\)|[®™]")
_MEMORY = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s*(gb|gib)(?![a-z])")
_LAPTOP = re.compile(r"\blaptop\b|\bnotebook\b")

# Words that vendors and drivers add to a name and users leave out.
_BRANDS = re.compile(
    r"\b(nvidia|amd|ati|intel|apple|geforce|radeon|instinct|tesla|quadro|graphics|generation|gpu|card|corporation|chip)\b"
)

# Form factor or memory type, which tells apart GPUs of one name, often with the same memory size.
_VARIANT = re.compile(r"(pcie|sxm[2-6]?|nvl|cnx|hbm2e|hbm2|hbm3e|hbm3|dgxs|fhhl|\d\dcore)")
_NEAR = 3

# Integrated GPUs without their own memory: a row for one would count the main memory twice.
_SHARED = re.compile(
    r"\b(igpu|integrated|onboard|apu|iris|uhd|hd graphics|vega (3|6|7|8|10|11)|radeon graphics|(radeon )?[4-8]\d0m)\b"
)


class Accelerator(Value):
    """A GPU or chip, as one row of the data files.

    Attributes:
        memory: bytes, for each size it is sold with. bandwidth: bytes per second. watts: 0 if not published.
        compute: operations per second of the fastest matrix products that llama.cpp uses; 0 if not published.
        released: ISO date. source: of these numbers.
        also: other names. limit: the rule for how much of a unified memory the GPU may use.
    """

    vendor: str
    name: str
    form: _Form
    released: str
    memory: tuple[int, ...]
    bandwidth: float
    compute: float
    watts: float
    source: str
    also: tuple[str, ...] = ()
    limit: _Limit = ""

    @property
    def unified(self) -> bool:
        """Return whether the GPU shares the machine's main memory."""
        return self.form == "unified"

    @property
    def title(self) -> str:
        """Return the vendor and name as commonly written."""
        return self.name if self.name.startswith(self.vendor) else f"{self.vendor} {self.name}"


def usable_memory(memory: int, limit: _Limit) -> int:
    """Return how many bytes of unified memory the GPU may use by default.

    Metal's recommended working set is two thirds of up to 36 GiB and three quarters of more (``iogpu.wired_limit_mb``
    raises it); Linux maps half of the memory for an AMD GPU (``ttm.pages_limit``).
    """
    if limit == "metal":
        return memory * 2 // 3 if memory <= 36 * GIB else memory * 3 // 4
    return memory // 2 if limit == "half" else memory


class CardName(Value):
    """A parsed GPU name: ``key`` without brands and variants, the variants, and the memory in bytes, 0 if not named."""

    key: str
    variants: tuple[str, ...]
    memory: int


@lru_cache(2048)
def parse_card_name(words: str) -> CardName:
    """Parse a GPU name into key, variants and memory.

    >>> parse_card_name("NVIDIA GeForce RTX 4090 Laptop GPU").key, parse_card_name("A100-SXM4-80GB").variants
    ('rtx4090mobile', ('sxm4',))
    """
    text = _MARKS.sub(" ", words.lower()).replace("-", " ").replace("_", " ")
    text = _LAPTOP.sub("mobile", text.replace("max q", "maxq"))
    size = _MEMORY.search(text)
    text = _BRANDS.sub(" ", _MEMORY.sub(" ", text))
    joined_name = re.sub(r"[^a-z0-9+.]", "", text)
    variants = tuple(_VARIANT.findall(joined_name))
    return CardName(
        key=_VARIANT.sub("", joined_name), variants=variants, memory=round(float(size[1]) * GIB) if size else 0
    )


@lru_cache(1)
def accelerators() -> tuple[Accelerator, ...]:
    """Return all rows; manually stated rows come first and replace others of the same name."""
    stated_rows = tuple(_rows("stated.csv"))
    stated_names = {_name_key(row.name) for row in stated_rows}
    return (*stated_rows, *(row for row in _rows("accelerators.csv") if _name_key(row.name) not in stated_names))


def find_card(
    words: str, where: str = setting("gpu"), among: tuple[Accelerator, ...] | None = None
) -> tuple[Accelerator, int]:
    """Return the row that a GPU name refers to, and its memory in bytes.

    Raises:
        UsageError: no GPU has that name (the error suggests the nearest), or several with different memory do (the
            error lists them).
    """
    rows = accelerators() if among is None else among
    name = parse_card_name(words)
    found = _match_rows(name, rows)
    if not found:
        raise UsageError(f"no graphics card is known as {words!r}", where=where, todo=_nearest_row_names(words, rows))
    sizes = sorted({size for row in found for size in row.memory})
    if name.memory:
        of_memory = tuple(row for row in found if name.memory in row.memory)
        if not of_memory:
            have = ", ".join(f"{size / GIB:g} GB" for size in sizes)
            raise UsageError(f"{found[0].title} has {have}, not {name.memory / GIB:g} GB", where=where,
                             todo="name one of these")  # fmt: skip
        return _slowest_row(of_memory), name.memory
    if len(sizes) > 1:
        names = ", ".join(f'"{_normalize_name(words)} {size / GIB:g}GB"' for size in sizes)
        raise UsageError(f"{words!r} is sold with different memory", where=where, todo=f"write one of {names}")
    return _slowest_row(found), sizes[0]


def card_of_driver(name: str, memory: int) -> Accelerator | None:
    """Return the row of a GPU from the name and memory that its driver reports; None if no row matches.

    Drivers report a few hundred MiB less than the nominal size.
    """
    near = [
        row
        for row in _match_rows(parse_card_name(name), accelerators())
        if any(0.93 * size <= memory <= 1.01 * size for size in row.memory)
    ]
    return _slowest_row(near) if near else None


def _match_rows(name: CardName, rows: tuple[Accelerator, ...]) -> tuple[Accelerator, ...]:
    """Return the rows that match a parsed name.

    Only named variants are required to match. A name without its series ("4090") matches if it fits one series only.
    """
    also = tuple(row for row in rows if any(_names_row(each, name, row) for each in row.also))
    if also:
        return also
    same = [row for row in rows if parse_card_name(row.name).key == name.key]
    if not same and name.key[:1].isdigit():
        series = [
            row for row in rows if re.fullmatch(f"(rtx|gtx|rx|arc){re.escape(name.key)}", parse_card_name(row.name).key)
        ]
        same = series if len({parse_card_name(row.name).key for row in series}) == 1 else []
    if name.variants:
        same = [row for row in same if set(name.variants) <= _variants_of(row)]
    return tuple(same)


def _names_row(also: str, name: CardName, row: Accelerator) -> bool:
    alias = parse_card_name(also)
    fits = name.memory in (0, alias.memory) if alias.memory else name.memory in (0, *row.memory)
    return fits and (alias.key, alias.variants) == (name.key, name.variants)


def _variants_of(row: Accelerator) -> set[str]:
    """Return the variants of a row, with "sxm" added for "sxm5" because drivers write either."""
    variants = parse_card_name(row.name).variants
    return {*variants, *(each.rstrip("23456") for each in variants if each.startswith("sxm"))}


def _slowest_row(rows: Iterable[Accelerator]) -> Accelerator:
    """Return the slowest of the rows, to estimate conservatively if a name matches several."""
    return min(rows, key=lambda row: (row.bandwidth, row.compute))


def _name_key(name: str) -> tuple[str, tuple[str, ...], int]:
    parsed = parse_card_name(name)
    return parsed.key, parsed.variants, parsed.memory


def _normalize_name(words: str) -> str:
    return _MEMORY.sub("", words).strip()


def complete_card_name(words: str) -> tuple[str, ...]:
    """Return the GPU names that start with ``words``, for shell completion.

    Names have hyphens for spaces, so that the shell treats each as one word; brands may be left out.

    >>> complete_card_name("rtx409")
    ('RTX-4090', 'RTX-4090-D', 'RTX-4090-Max-Q', 'RTX-4090-Mobile')
    """
    letters = re.sub(r"[^a-z0-9]", "", words.lower())
    names = {_short_name(row.name): None for row in accelerators()}
    return tuple(sorted(name for name in names if name.lower().replace("-", "").startswith(letters)))


def _short_name(name: str) -> str:
    """Return a name without brands, with hyphens for spaces."""
    plain = re.sub(_BRANDS.pattern, " ", name, flags=re.IGNORECASE)
    return "-".join(re.findall(r"[A-Za-z0-9+.]+", plain))


def _nearest_row_names(words: str, rows: tuple[Accelerator, ...]) -> str:
    if _SHARED.search(words.lower()):
        return hint(
            "a graphics part without memory of its own is about as fast as the machine's memory: write {gpu=} {ram=}",
            "none",
            "16GB DDR5-5600",
        )
    keys = {parse_card_name(row.name).key: row.title for row in rows} | {
        _name_key(a)[0]: row.title for row in rows for a in row.also
    }
    key = parse_card_name(words).key
    near = get_close_matches(key, keys, _NEAR, 0.6) or _suggest_gpus(key, words, rows)
    names = list(dict.fromkeys(keys.get(each, each) for each in near))
    return f"nearest are {', '.join(names)}" if names else hint("write its memory instead: {gpu=}", "24GB")


def _suggest_gpus(key: str, words: str, rows: tuple[Accelerator, ...]) -> list[str]:
    """Suggest GPUs when no name is spelled similarly.

    Returns the newest ones whose names differ only in their numbers, or the newest of a vendor if only that was named.
    """
    if not key:
        maker = [row for row in rows if row.vendor.lower() in words.lower()]
        return [row.title for row in sorted(maker, key=lambda row: row.released, reverse=True)[:_NEAR]]
    letters = re.sub(r"\d+", "#", key)
    same = [row for row in rows if re.sub(r"\d+", "#", parse_card_name(row.name).key) == letters]
    return [row.title for row in sorted(same, key=lambda row: row.released, reverse=True)[:_NEAR]]


def _rows(name: str) -> Iterable[Accelerator]:
    with (DATA / name).open(newline="") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            yield Accelerator(
                vendor=row["vendor"],
                name=row["name"],
                form=cast("_Form", row["form"]),
                released=row["released"],
                memory=tuple(round(float(size) * GIB) for size in row["memory"].split(";")),
                bandwidth=float(row["bandwidth"]) * 1e9,
                compute=float(row["tflops"] or 0) * 1e12,
                watts=float(row["watts"] or 0),
                source=row["source"],
                also=tuple(filter(None, (row.get("also") or "").split(";"))),
                limit=cast("_Limit", row.get("limit") or ""),
            )


# Machines named by options: ``--gpu "RTX 4090"``, ``--gpu 2xH100``, ``--ram "64GB DDR5-5600"``.


_MOST_CARDS = 64
_NO_CARD = frozenset({"none", "no", "cpu"})

_TIMES = re.compile(r"^(\d+)\s*x\s*(?=\S)|\s+x\s*(\d+)$", re.IGNORECASE)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(gib|gb|g|mib|mb|tib|tb)\b", re.IGNORECASE)
_UNITS = {"gib": GIB, "gb": GIB, "g": GIB, "mib": 1 << 20, "mb": 1 << 20, "tib": 1 << 40, "tb": 1 << 40}
_DDR = re.compile(r"(?:lp)?ddr\d[a-z]?[- ](\d{4,5})", re.IGNORECASE)
_CHANNELS = re.compile(r"(\d+)\s*(?:ch|channels?)\b", re.IGNORECASE)
_MOST_MEMORY = 1e15
_SYSTEM = 2 * GIB  # memory used by the system and other programs; at most a quarter of the machine's memory

# The bandwidth of two memory channels, from DDR4-2666 to DDR5-6400 (channels * transfers * 8 bytes), assumed if none is
# stated.
_TWO_CHANNELS = (42.7e9, 70e9, 102.4e9)

# Operations per second of a core with AVX2: two 8-wide FMAs per cycle, at 1.5 to 6 GHz. Newer cores do more in int8.
_CORE = (48e9, 96e9, 200e9)


def machine_of_options(gpus: Iterable[str], ram: str = "", *, cores: int = 8) -> Machine:
    """Return the machine that ``--gpu`` and ``--ram`` describe.

    Args:
        gpus: the values given; each may list several GPUs, separated by commas. "none" for no GPU.
        ram: memory size, optionally with speed and channels; "" if not stated (the memory is then 0).
        cores: processor cores. GPUs are taken to be idle; the system uses part of the main memory (``_SYSTEM``).

    Raises:
        UsageError: a GPU is unknown or a size is invalid.
    """
    memory, bandwidth = (
        parse_memory(ram) if ram else (0, between(*_bandwidth_range(2), "2 channels of DDR4 or DDR5, assumed"))
    )
    found: list[tuple[Gpu, int]] = []
    for word in (each.strip() for value in gpus for each in value.split(",")):
        if word.lower() in _NO_CARD:
            continue
        if not word:
            raise UsageError("names no card", where=setting("gpu"), todo=hint("write {gpu=}", "RTX 4090"))
        found += _cards(word, memory)
    cards = [card for card, _ in found]
    if len(cards) > _MOST_CARDS:
        raise UsageError(f"{len(cards)} cards", where=setting("gpu"), todo=f"name {_MOST_CARDS} at most")
    shared = max((sold for card, sold in found if card.unified), default=0)
    if shared:
        memory, bandwidth = max(memory, shared), _chip(cards)
    free = _memory_left_by_system(memory)
    return Machine(
        cores=cores,
        memory=memory,
        free=free,
        gpus=tuple(replace(card, free=min(card.memory, free)) if card.unified else card for card in cards),
        bandwidth=bandwidth,
        compute=compute_of_cores(cores),
    )


def _memory_left_by_system(memory: int) -> int:
    """Return the bytes of main memory available for a model, if the free memory cannot be queried."""
    return memory - min(_SYSTEM, memory // 4)


_ASSUMED_CHANNELS = "2 channels of DDR4 or DDR5, assumed"
_ASSUMED_BASIS = action(
    f"{_ASSUMED_CHANNELS} (--measure measures it)", python=_ASSUMED_CHANNELS, http=_ASSUMED_CHANNELS
)


def with_assumptions(machine: Machine, measured_bandwidth: Quantity | None = None) -> Machine:
    """Return the machine with its memory bandwidth and the free memory of unified GPUs filled in.

    The bandwidth is ``measured_bandwidth`` if given, otherwise derived from the chip, otherwise assumed. The free
    memory of a unified GPU is at most that of the machine.
    """
    shared = [gpu for gpu in machine.gpus if gpu.unified]
    assumed = between(*_bandwidth_range(2), _ASSUMED_BASIS)
    bandwidth = measured_bandwidth or (_chip(shared) if shared else assumed)
    gpus = tuple(_with_free_memory(gpu, machine) for gpu in machine.gpus)
    return replace(machine, gpus=gpus, bandwidth=bandwidth)


def _with_free_memory(gpu: Gpu, machine: Machine) -> Gpu:
    if not gpu.unified or gpu.free is not None:
        return gpu
    memory = gpu.memory or machine.memory
    return replace(gpu, memory=memory, free=min(memory, machine.free))


def parse_memory(words: str) -> tuple[int, Quantity]:
    """Return the memory size in bytes and its peak bandwidth in bytes per second.

    ``words`` is ``64GB``, ``64GB DDR5-5600`` or ``256GB DDR4-3200 8ch``.

    >>> parse_memory("64GB DDR5-5600")[1].mid / 1e9
    89.6
    """
    size, speed, channels = _SIZE.search(words), _DDR.search(words), _CHANNELS.search(words)
    left = words
    for part in (size, speed, channels):
        left = left.replace(part[0], "", 1) if part else left
    amount = float(size[1]) * _UNITS[size[2].lower()] if size else 0.0
    many = int(channels[1]) if channels else 2
    if left.strip(" ,") or not 0 < amount <= _MOST_MEMORY or not 1 <= many <= 64:
        raise UsageError(f"{words!r} is no memory", where=setting("ram"), todo='write 64GB, or "64GB DDR5-5600 2ch"')
    if speed is None:
        return int(amount), between(*_bandwidth_range(many), f"{with_noun(many, 'channel')} of DDR4 or DDR5, assumed")
    peak = many * float(speed[1]) * 1e6 * 8
    return int(amount), exact(peak, f"{with_noun(many, 'channel')} of {speed[0]}, {peak / 1e9:.0f} GB/s")


def compute_of_cores(cores: int) -> Quantity:
    """Estimate a processor's operations per second from its core count."""
    low, mid, high = (each * cores for each in _CORE)
    return between(low, mid, high, f"{with_noun(cores, 'core')} with AVX2, from 1.5 to 6 GHz")


def card(row: Accelerator, memory: int, free: int | None = None) -> Gpu:
    """Return a GPU with ``memory`` bytes and the facts of its row. ``free``: free bytes, None if unknown."""
    may = usable_memory(memory, row.limit) if row.unified else memory
    return Gpu(
        name=row.title if _states_memory(row.title) or row.unified else f"{row.title} {memory / GIB:g} GB",
        memory=may, free=may if free is None and row.unified else free, bandwidth=row.bandwidth, compute=row.compute,
        watts=row.watts, unified=row.unified, source=row.source,
    )  # fmt: skip


def _describe_card(gpu: Gpu) -> str:
    """Describe a GPU in one line: name, memory and bandwidth."""
    speed = f", {gpu.bandwidth / 1e9:,.0f} GB/s" if gpu.bandwidth else ""
    suffix = " of the machine's" if gpu.unified else ""
    return f"{gpu.name} ({gpu.memory / GIB:.1f} GiB{suffix}{speed})"


def describe_cards(cards: Iterable[Gpu]) -> str:
    """Describe GPUs in one line, grouping identical ones; "" for none."""
    counts = Counter(map(_describe_card, cards))
    return ", ".join(f"{count} x {words}" if count > 1 else words for words, count in counts.items())


def memory_for_models(machine: Machine) -> tuple[Literal["card", "cards", "memory"], int]:
    """Return where models are placed and the free bytes there: the GPUs if there are any, otherwise main memory."""
    if not machine.gpus:
        return "memory", machine.free
    room = sum(gpu.memory if gpu.free is None else gpu.free for gpu in machine.gpus)
    return "cards" if len(machine.gpus) > 1 else "card", room


def without_cards(machine: Machine) -> Machine:
    """Return the machine without its GPUs, as the embedded runtime sees it: it offloads no layer."""
    return replace(machine, gpus=())


# The free memory of a GPU that is only named is unknown. In llama.cpp's logs a T4 had 14,814 of its 16,384 MiB free, an
# RTX 2070 7,777 of 8,192 and an RTX PRO 6000 97,252 of 98,304: error correction and the driver use the rest.
_LEAST_GIVEN: Final = 0.904


def certain_memory(machine: Machine) -> int:
    """Return the bytes of ``memory_for_models`` that are certainly available."""
    if not machine.gpus:
        return machine.free
    return sum(
        round(gpu.memory * (1.0 if gpu.unified else _LEAST_GIVEN)) if gpu.free is None else gpu.free
        for gpu in machine.gpus
    )


def describe_machine(machine: Machine) -> str:
    """Describe a machine in one line: GPUs or cores, and memory."""
    memory = f"{machine.memory / GIB:.1f} GiB of memory" if machine.memory else "memory not stated"
    memory += f" ({machine.free / GIB:.1f} free)" if machine.memory else ""
    cores = with_noun(machine.cores, "core") + ("" if machine.processor else ", assumed")
    return ", ".join([describe_cards(machine.gpus) or cores, memory])


def _cards(word: str, memory: int) -> list[tuple[Gpu, int]]:
    """Parse one value of ``--gpu`` into GPUs, each with the memory size it is sold with."""
    times = _TIMES.search(word)
    count = int(times[1] or times[2]) if times else 1
    name = (word[: times.start()] + word[times.end() :]).strip() if times else word
    if not 1 <= count <= _MOST_CARDS:
        raise UsageError(
            f"{word!r} is not a valid number of cards", where=setting("gpu"), todo=f"write 1 to {_MOST_CARDS}"
        )
    size = _SIZE.fullmatch(name)
    if size is not None:
        amount = int(float(size[1]) * _UNITS[size[2].lower()])
        if not 0 < amount <= _MOST_MEMORY:
            raise UsageError(f"{word!r} is no card", where=setting("gpu"), todo=hint("write {gpu=}", "24GB"))
        gpu = Gpu(name=f"a card of {amount / GIB:g} GB", memory=amount, free=amount, source="its memory, as stated")
        return [(gpu, amount)] * count
    row, sold = find_card(name if not memory or _SIZE.search(name) else _with_memory(name, memory))
    return [(card(row, sold), sold)] * count


def _with_memory(name: str, memory: int) -> str:
    """Add the machine's memory size to the name of a unified chip, which is sold by it; other names are unchanged."""
    try:
        row, _ = find_card(f"{name} {memory / GIB:g}GB")
    except UsageError:
        return name
    return f"{name} {memory / GIB:g}GB" if row.unified else name


def _chip(cards: list[Gpu]) -> Quantity:
    """Return the bandwidth that the processor gets from unified memory: a share of the GPU's."""
    fastest = max(card.bandwidth for card in cards if card.unified)
    if not fastest:
        return unknown("the bandwidth of its memory is unknown")
    low, mid, high = (share * fastest for share in (0.3, 0.6, 0.9))
    return between(low, mid, high, f"the {fastest / 1e9:,.0f} GB/s of its chip, which the processor shares")


def _bandwidth_range(channels: int) -> tuple[float, float, float]:
    low, mid, high = (peak * channels / 2 for peak in _TWO_CHANNELS)
    return low, mid, high


def _states_memory(name: str) -> bool:
    return re.search(r"\d GB\b", name) is not None


# Rental prices of GPUs: dated rows with their source (``data/rentals.csv``); a GPU without a row has no price.


HOURS: Final = 730  # hours per month in rental prices


class Rental(Value):
    """One rental price. ``card``: GPU name as in a ``Machine``. ``read``: ISO date; ``by``: who read the source."""

    card: str
    usd_hour: float
    provider: str
    source: str
    read: str
    by: str


@lru_cache(1)
def rentals() -> tuple[Rental, ...]:
    """Return all rental prices."""
    with (DATA / "rentals.csv").open(newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return tuple(
        Rental(
            card=card(*find_card(row["card"])).name, usd_hour=float(row["usd_hour"]), provider=row["provider"],
            source=row["source"], read=row["read"], by=row["by"],
        )
        for row in rows
    )  # fmt: skip


def rental_words(machine: Machine) -> str:
    """Describe the monthly rent of the machine's GPUs, from rows of the same GPU.

    Returns "" if the GPUs are of several kinds, only described by memory, or none.
    """
    names = {gpu.name for gpu in machine.gpus}
    if len(names) != 1 or not machine.gpus[0].bandwidth:  # no GPU, several kinds, or only a memory size was stated
        return ""
    many = len(machine.gpus)
    name = next(iter(names))
    found = sorted((row for row in rentals() if row.card == name), key=lambda row: row.usd_hour)
    if not found:
        return f"no rental price of {name} is known, so renting is not compared"
    least, most = found[0], found[-1]
    cards = f"{many} x {name}" if many > 1 else name
    a_month = f"${many * least.usd_hour * HOURS:,.0f}"
    sentence = f"{least.provider} ${least.usd_hour:g} an hour ({least.source}, read {least.read} by {least.by})"
    if most.usd_hour > least.usd_hour:
        a_month += f" to ${many * most.usd_hour * HOURS:,.0f}"
        sentence += f" to {most.provider} ${most.usd_hour:g} ({most.source}, read {most.read} by {most.by})"
    return f"renting {cards} day and night: {a_month} a month, by {with_noun(len(found), 'price')}: {sentence}"
