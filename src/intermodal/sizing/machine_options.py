"""Machines named by options: ``--gpu "RTX 4090"``, ``--gpu 2xH100``, ``--ram "64GB DDR5-5600"``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final, Literal

from msgspec.structs import replace

from intermodal.errors import UsageError
from intermodal.hints import hint, setting
from intermodal.plans.machine import Gpu, Machine
from intermodal.plans.numbers import counted
from intermodal.quantity import Quantity, between, exact, unknown
from intermodal.sizing.accelerators import GIB, Accelerator, find_card, usable_memory

MOST_CARDS = 64
NO_CARD = frozenset({"none", "no", "cpu"})

_TIMES = re.compile(r"^(\d+)\s*x\s*(?=\S)|\s+x\s*(\d+)$", re.IGNORECASE)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(gib|gb|g|mib|mb|tib|tb)\b", re.IGNORECASE)
_UNITS = {"gib": GIB, "gb": GIB, "g": GIB, "mib": 1 << 20, "mb": 1 << 20, "tib": 1 << 40, "tb": 1 << 40}
_DDR = re.compile(r"(?:lp)?ddr\d[a-z]?[- ](\d{4,5})", re.IGNORECASE)
_CHANNELS = re.compile(r"(\d+)\s*(?:ch|channels?)\b", re.IGNORECASE)
_MOST_MEMORY = 1e15
SYSTEM = 2 * GIB  # of a machine's memory, for its system and other programs; a quarter of a small one

# The bandwidth of two channels of memory, from DDR4-2666 to DDR5-6400 (channels * transfers * 8 bytes): the assumption
# where none is stated.
_TWO_CHANNELS = (42.7e9, 70e9, 102.4e9)
# A core's products with AVX2: two multiply-adds of 8 numbers a clock, at 1.5 to 6 GHz. Newer ones do more in int8.
_CORE = (48e9, 96e9, 200e9)


def machine_of_options(gpus: Iterable[str], ram: str = "", *, cores: int = 8) -> Machine:
    """The machine that ``--gpu`` and ``--ram`` name.

    Args:
        gpus: each as it was given; one may name several, divided by commas. "none" for no card.
        ram: memory, its speed and channels beside it if they are known; "" for memory that nobody stated (0).
        cores: of its processor. Cards are free; of memory the system has its part (``SYSTEM``).

    Raises:
        UsageError: a card or a size that is none.
    """
    memory, bandwidth = parse_memory(ram) if ram else (0, between(*_assumed(2), "2 channels of DDR4 or DDR5, assumed"))
    found: list[tuple[Gpu, int]] = []
    for word in (each.strip() for given in gpus for each in given.split(",")):
        if word.lower() in NO_CARD:
            continue
        if not word:
            raise UsageError("names no card", where=setting("gpu"), todo=hint("write {gpu=}", "RTX 4090"))
        found += _cards(word, memory)
    cards = [card for card, _ in found]
    if len(cards) > MOST_CARDS:
        raise UsageError(f"{len(cards)} cards", where=setting("gpu"), todo=f"name {MOST_CARDS} at most")
    shared = max((sold for card, sold in found if card.unified), default=0)
    if shared:
        memory, bandwidth = max(memory, shared), _chip(cards)
    free = memory_left_by_system(memory)
    return Machine(
        cores=cores,
        memory=memory,
        free=free,
        gpus=tuple(replace(card, free=min(card.memory, free)) if card.unified else card for card in cards),
        bandwidth=bandwidth,
        compute=compute_of_cores(cores),
    )


def memory_left_by_system(memory: int) -> int:
    """Return the bytes of a machine's memory that a model may take, if its free memory cannot be queried."""
    return memory - min(SYSTEM, memory // 4)


def with_assumptions(machine: Machine, measured: Quantity | None = None) -> Machine:
    """Return a machine with its memory bandwidth: as ``measured``, else of its chip, else assumed; and with the free
    memory of a chip's graphics part, which is at most that of the machine.
    """
    shared = [gpu for gpu in machine.gpus if gpu.unified]
    assumed = between(*_assumed(2), "2 channels of DDR4 or DDR5, assumed (--measure finds it out)")
    bandwidth = measured or (_chip(shared) if shared else assumed)
    gpus = tuple(_with_free(gpu, machine) for gpu in machine.gpus)
    return replace(machine, gpus=gpus, bandwidth=bandwidth)


def _with_free(gpu: Gpu, machine: Machine) -> Gpu:
    if not gpu.unified or gpu.free is not None:
        return gpu
    memory = gpu.memory or machine.memory
    return replace(gpu, memory=memory, free=min(memory, machine.free))


def parse_memory(words: str) -> tuple[int, Quantity]:
    """Bytes of memory, and bytes a second it gives at most: ``64GB``, ``64GB DDR5-5600``, ``256GB DDR4-3200 8ch``.

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
        return int(amount), between(*_assumed(many), f"{counted(many, 'channel')} of DDR4 or DDR5, assumed")
    peak = many * float(speed[1]) * 1e6 * 8
    return int(amount), exact(peak, f"{counted(many, 'channel')} of {speed[0]}, {peak / 1e9:.0f} GB/s")


def compute_of_cores(cores: int) -> Quantity:
    """Operations a second of a processor of which only the cores are known."""
    low, mid, high = (each * cores for each in _CORE)
    return between(low, mid, high, f"{counted(cores, 'core')} with AVX2, from 1.5 to 6 GHz")


def card(row: Accelerator, memory: int, free: int | None = None) -> Gpu:
    """Return a card of ``memory`` bytes with the facts of its row. ``free``: bytes of them, None if unknown."""
    may = usable_memory(memory, row.limit) if row.unified else memory
    return Gpu(
        name=row.title if _sized(row.title) or row.unified else f"{row.title} {memory / GIB:g} GB",
        memory=may, free=may if free is None and row.unified else free, bandwidth=row.bandwidth, compute=row.compute,
        watts=row.watts, unified=row.unified, source=row.source,
    )  # fmt: skip


def describe_card(gpu: Gpu) -> str:
    """A card in a line: its name, memory and bandwidth."""
    speed = f", {gpu.bandwidth / 1e9:,.0f} GB/s" if gpu.bandwidth else ""
    of = " of the machine's" if gpu.unified else ""
    return f"{gpu.name} ({gpu.memory / GIB:.1f} GiB{of}{speed})"


def describe_cards(cards: Iterable[Gpu]) -> str:
    """Cards in a line, alike ones counted; "" for none."""
    alike = Counter(map(describe_card, cards))
    return ", ".join(f"{count} x {words}" if count > 1 else words for words, count in alike.items())


def memory_for_models(machine: Machine) -> tuple[Literal["card", "cards", "memory"], int]:
    """Where models go, and the bytes that are free there: the cards where there are any, else the memory."""
    if not machine.gpus:
        return "memory", machine.free
    room = sum(gpu.memory if gpu.free is None else gpu.free for gpu in machine.gpus)
    return "cards" if len(machine.gpus) > 1 else "card", room


def without_cards(machine: Machine) -> Machine:
    """Return the machine as a model in a process of ours sees it: processor and memory, as no layer of it is put on a
    card.
    """
    return replace(machine, gpus=())


# The free memory of a named card is unknown. By llama.cpp's logs a T4 gave 14,814 of its 16,384 MiB, an RTX 2070 7,777
# of 8,192 and an RTX PRO 6000 97,252 of 98,304: error correction and the driver take the rest.
LEAST_GIVEN: Final = 0.904


def certain_memory(machine: Machine) -> int:
    """The bytes of ``memory_for_models`` that are there for certain."""
    if not machine.gpus:
        return machine.free
    return sum(
        round(gpu.memory * (1.0 if gpu.unified else LEAST_GIVEN)) if gpu.free is None else gpu.free
        for gpu in machine.gpus
    )


def describe_machine(machine: Machine) -> str:
    """A machine in a line: cards, cores, memory."""
    memory = f"{machine.memory / GIB:.1f} GiB of memory" if machine.memory else "memory not stated"
    memory += f" ({machine.free / GIB:.1f} free)" if machine.memory else ""
    cores = counted(machine.cores, "core") + ("" if machine.processor else ", assumed")
    return ", ".join([describe_cards(machine.gpus) or cores, memory])


def _cards(word: str, memory: int) -> list[tuple[Gpu, int]]:
    """The cards of one word, each with the memory it is sold with."""
    times = _TIMES.search(word)
    count = int(times[1] or times[2]) if times else 1
    name = (word[: times.start()] + word[times.end() :]).strip() if times else word
    if not 1 <= count <= MOST_CARDS:
        raise UsageError(
            f"{word!r} is not a valid number of cards", where=setting("gpu"), todo=f"write 1 to {MOST_CARDS}"
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
    """A chip whose memory is the machine's is asked for with that; a card has its own."""
    try:
        row, _ = find_card(f"{name} {memory / GIB:g}GB")
    except UsageError:
        return name
    return f"{name} {memory / GIB:g}GB" if row.unified else name


def _chip(cards: list[Gpu]) -> Quantity:
    """Return the processor beside a graphics part: it reads the same memory, at most as fast."""
    fastest = max(card.bandwidth for card in cards if card.unified)
    if not fastest:
        return unknown("the bandwidth of its memory is unknown")
    low, mid, high = (share * fastest for share in (0.3, 0.6, 0.9))
    return between(low, mid, high, f"the {fastest / 1e9:,.0f} GB/s of its chip, which the processor shares")


def _assumed(channels: int) -> tuple[float, float, float]:
    low, mid, high = (peak * channels / 2 for peak in _TWO_CHANNELS)
    return low, mid, high


def _sized(name: str) -> bool:
    return re.search(r"\d GB\b", name) is not None
