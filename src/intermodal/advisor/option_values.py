"""Parsers of kinds, volumes and hardware: ``pdf,image``, ``10000/day``, ``2x24GB``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import cast

import msgspec

from intermodal.advisor.question import DAYS, MAKES, Hardware, OutputName, RequestVolume
from intermodal.content import Kind
from intermodal.errors import UsageError
from intermodal.hints import setting
from intermodal.plans.machine import Gpu, Machine
from intermodal.sizing.machine_options import compute_of_cores, describe_cards, machine_of_options, with_assumptions

_KINDS: dict[str, Kind] = {
    "text": "text", "words": "text",
    "image": "image", "images": "image", "picture": "image", "photo": "image", "screenshot": "image",
    "audio": "audio", "sound": "audio", "speech": "audio", "recording": "audio",
    "video": "video", "film": "video",
    "pdf": "document", "document": "document", "documents": "document",
}  # fmt: skip
IN = ("text", "image", "audio", "video", "pdf")
_MADE: dict[str, OutputName] = {
    **{name: name for name in MAKES},
    "audio": "speech", "voice": "speech", "picture": "image", "embeddings": "embedding", "vector": "embedding",
}  # fmt: skip
_PER_MONTH = {"hour": 24 * DAYS, "day": DAYS, "week": DAYS / 7, "month": 1.0, "year": 1 / 12}
_VOLUME = re.compile(r"([\d,_]+(?:\.\d+)?)([km]?)(?:\s*(?:/|per|a|an)\s*([a-z]+))?", re.IGNORECASE)
_MEMORY = re.compile(r"(?:(\d+)x)?(\d+(?:\.\d+)?)(gib|gb|mib|mb|tb)", re.IGNORECASE)
_TIMES = re.compile(r"(\d+)x", re.IGNORECASE)
_CORES = re.compile(r"(\d+)cores?", re.IGNORECASE)
_UNITS = {"gib": 2**30, "gb": 2**30, "mib": 2**20, "mb": 2**20, "tb": 2**40}  # memory is sold by powers of two
_HARDWARE = 'write 24GB of memory, 2x24GB for two graphics cards, "RTX 4090" or 2xH100 for cards, and 8cores beside it'
_MOST = 1e12  # requests a month, or bytes by the thousand; more is a slip


def parse_kinds(words: Iterable[str], where: str) -> tuple[Kind, ...]:
    """Kinds by their names, each once."""
    found: dict[Kind, None] = {}
    for word in _split(words):
        if word not in _KINDS:
            near = get_close_matches(word, _KINDS, 2, 0.6)
            raise UsageError(f"{word!r} is no kind of content", where=where, todo=_or(near, IN))
        found[_KINDS[word]] = None
    if not found:
        raise UsageError("nothing goes in", where=where, todo=f"name some of {', '.join(IN)}")
    return tuple(found)


def parse_outputs(words: Iterable[str]) -> tuple[OutputName, ...]:
    """What comes out, each once; the first is the answer, the others come beside it."""
    found: dict[OutputName, None] = {}
    for word in _split(words):
        if word not in _MADE:
            near = get_close_matches(word, _MADE, 2, 0.6)
            raise UsageError(f"{word!r} is not an output kind", where=setting("out"), todo=_or(near, MAKES))
        found[_MADE[word]] = None
    if not found:
        raise UsageError("no output is named", where=setting("out"), todo=f"name some of {', '.join(MAKES)}")
    return tuple(found)


def parse_volume(word: str) -> RequestVolume:
    """``10000/day``, ``10k a day``, ``300000/month``; a bare number is a month's."""
    said = _VOLUME.fullmatch(word.strip())
    unit = said[3].lower() if said and said[3] else "month"
    if said is None or unit not in _PER_MONTH:
        todo = f"write 10000/day; units are {', '.join(_PER_MONTH)}"
        raise UsageError(f"{word!r} is not a request rate", where=setting("requests"), todo=todo)
    number = float(said[1].replace(",", "").replace("_", "") or "nan")
    number *= {"": 1.0, "k": 1e3, "m": 1e6}[said[2].lower()]
    per_month = number * _PER_MONTH[unit]
    if not 0 < per_month <= _MOST:
        raise UsageError(f"{word!r} is not a request rate", where=setting("requests"), todo="write 10000/day")
    return RequestVolume(per_month=per_month, words=f"{number:,.10g} a {unit}")


def parse_hardware(word: str, here: Machine) -> Hardware:
    """``24GB`` is memory, ``2x24GB`` or ``24GB 2x`` two graphics cards of that size, ``RTX 4090`` or ``2xH100`` cards
    by their names; ``8cores`` besides. All is free.

    ``here``: the machine whose cores are taken where none are stated.
    """
    plain = _plain_hardware(word, here)
    return plain if plain is not None else _named_hardware(word, here)


def _plain_hardware(word: str, here: Machine) -> Hardware | None:
    """Of sizes and numbers alone; None where there are other words."""
    cards, bytes_, cores = 0, 0.0, here.cores  # no bytes where something is not a hardware size or card
    for each in word.replace(",", " ").split():
        memory, some = _MEMORY.fullmatch(each), _CORES.fullmatch(each)
        if memory is not None and not bytes_:
            cards = int(memory[1] or 0)
            many = 1 if memory[1] is None else cards
            bytes_ = many * float(memory[2]) * _UNITS[memory[3].lower()]
        elif (times := _TIMES.fullmatch(each)) is not None and bytes_ and not cards:
            cards = int(times[1])
            bytes_ *= cards
        elif some is not None and int(some[1]):
            cores = int(some[1])
        else:
            return None
    if not 0 < bytes_ <= 1e15:
        raise UsageError(f"{word!r} is not a hardware size or card", where=setting("hardware"), todo=_HARDWARE)
    size = int(bytes_)
    gpus = tuple(Gpu(name="stated", memory=size // cards) for _ in range(cards))
    machine = with_assumptions(Machine(cores=cores, memory=size, free=size, gpus=gpus, compute=compute_of_cores(cores)))
    each_gib = f"{size / max(cards, 1) / 2**30:.3g} GiB"
    words = f"{cards} graphics card{'s' if cards > 1 else ''} of {each_gib}" if cards else f"{each_gib} of memory"
    return Hardware(machine=machine, words=f"{words}, {cores} core{'s' if cores != 1 else ''}, as stated", stated=True)


def _named_hardware(word: str, here: Machine) -> Hardware:
    """Cards by their names, of which the memory counts."""
    cores = here.cores
    names = []
    for each in word.split(","):
        some = re.search(r"\b(\d+)\s*cores?\b", each, re.IGNORECASE)
        cores = int(some[1]) if some and int(some[1]) else cores
        left = each.replace(some[0], "").strip() if some else each.strip()
        names += [left] if left else []
    try:
        found = machine_of_options(names, cores=cores)
    except UsageError as error:
        if not re.search(r"\d", word):  # no card is called by letters alone
            raise UsageError(
                f"{word!r} is not a hardware size or card", where=setting("hardware"), todo=_HARDWARE
            ) from None
        raise UsageError(error.hints.what, where=setting("hardware"), todo=error.hints.todo) from None
    size = sum(gpu.memory for gpu in found.gpus)
    if not size:
        raise UsageError(f"{word!r} is not a hardware size or card", where=setting("hardware"), todo=_HARDWARE)
    machine = msgspec.structs.replace(found, memory=size, free=size)
    cards = describe_cards(found.gpus)
    return Hardware(machine=machine, words=f"{cards}, {cores} core{'s' if cores != 1 else ''}, as stated", stated=True)


def this_machine(here: Machine) -> Hardware:
    """The machine this runs on, with what is free now."""
    gib = 2**30
    words = (
        f"this machine: {here.memory / gib:.3g} GiB of memory, {here.free / gib:.3g} free, "
        f"{here.cores} core{'s' if here.cores != 1 else ''}"
    )
    machine = with_assumptions(msgspec.structs.replace(here, loaded=(), compute=compute_of_cores(here.cores)))
    return Hardware(machine=machine, words=words)


def parse_private(words: Iterable[str]) -> tuple[str, ...]:
    """Kinds that may not leave, as the planner's labels."""
    return cast("tuple[str, ...]", parse_kinds(words, setting("private"))) if _split(words) else ()


def _split(words: Iterable[str]) -> list[str]:
    return [each for word in words for each in re.split(r"[,\s]+", word.lower()) if each]


def _or(near: list[str], names: tuple[str, ...]) -> str:
    return f"did you mean {' or '.join(near)}?" if near else f"it is one of {', '.join(names)}"
