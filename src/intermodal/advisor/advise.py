"""``intermodal.advise``: its options become a question, which is answered for this machine, today's snapshot and the
measurements of earlier runs.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar, Unpack, cast

import msgspec
from msgspec import structs

from intermodal.advisor.advice import Advice
from intermodal.advisor.advise_options import AdviseOptions, Size
from intermodal.advisor.candidate_catalog import candidate_catalog
from intermodal.advisor.decision import decide as advise_on
from intermodal.advisor.question import (
    DAYS,
    MAKES,
    MONTHS,
    PROMPT,
    AdviceQuestion,
    Hardware,
    OutputName,
    OwnedHardware,
    RequestVolume,
    with_defaults,
)
from intermodal.client.request_builder import check_output, checked_region, with_options
from intermodal.concurrency.sync_bridge import SyncBridge
from intermodal.config.config_file import Config, data_dir, load_config, snapshot_file
from intermodal.core.content import Kind
from intermodal.core.hints import hint, setting, spell
from intermodal.core.languages import checked_language
from intermodal.core.request import (
    ASPECTS,
    LICENCES,
    OBJECTIVES,
    RETENTIONS,
    TIERS,
    Aspect,
    ScoresOutput,
    Tier,
)
from intermodal.core.today import today
from intermodal.cost_model.token_counts import CountablePart
from intermodal.errors import UsageError
from intermodal.local.hardware.machine import machine_snapshot
from intermodal.plans.facts import QuestionFacts
from intermodal.plans.machine import Gpu, Machine
from intermodal.plans.statistics import Statistics
from intermodal.questions.question_reader import QuestionReader
from intermodal.sizing.machines import compute_of_cores, describe_cards, machine_of_options, with_assumptions
from intermodal.store.database import Store
from intermodal.store.measured_strengths import strengths

# ---- options ----------------------------------------------------------------------------------------
#
# Build a question from the options of the Python API and the command line.
#
# The second half parses user input such as ``pdf,image``, ``10000/day`` and ``2x24GB``.

MOST_USERS = 1024
T = TypeVar("T", bound=str)


def make_question(
    takes: str | Iterable[str], makes: str | Iterable[str], local_machine: Machine, **options: Unpack[AdviseOptions]
) -> AdviceQuestion:
    """Return the question that the options describe.

    Args:
        takes: input kinds ("pdf", "image"). makes: outputs ("text"), the answer first.
        local_machine: the machine this runs on.

    Raises:
        UsageError: a word is unknown, a size is invalid, or options contradict each other.
    """
    option_names = AdviseOptions.__annotations__
    for name in options:
        if name not in option_names:
            raise UsageError(f"advise has no option {name}", todo=f"options are {', '.join(sorted(option_names))}")
    _check_types(options)
    kinds = parse_kinds(_list_of_words(takes), setting("in"))
    sized = [_piece_of(kind, size) for kind, size in options.get("sizes", {}).items()]
    parts, assumed = with_defaults(kinds, (*sized, *options.get("parts", ())))
    hardware_words = options.get("hardware") or ""
    requests = options.get("requests") or ""
    if not isinstance(requests, str):
        requests = f"{requests:.15g}"
    out = parse_outputs(_list_of_words(makes))
    hardware = parse_hardware(hardware_words, local_machine) if hardware_words else this_machine(local_machine)
    hardware = structs.replace(hardware, users=_users(options.get("users")))
    return AdviceQuestion(
        takes=kinds,
        makes=out[0],
        beside=out[1:],
        parts=parts,
        assumed=assumed,
        hardware=hardware,
        prompt=(options.get("prompt") or "").strip() or PROMPT,
        volume=parse_volume(requests) if requests else None,
        shows=options.get("shows") or "",
        scanned=options.get("scanned", False),
        figures=options.get("figures", False),
        verbatim=options.get("verbatim", False),
        out_tokens=_count(options.get("out_tokens")),
        objective=_require_choice(options.get("objective", "default"), OBJECTIVES, setting("objective")),
        at_least=_tier(options.get("at_least")),
        private=parse_private(_list_of_words(options.get("private", ()))),
        release=tuple(_list_of_words(options.get("release", ()))),
        keep=tuple(
            _require_choice(cast("Aspect", each), ASPECTS, setting("keep"))
            for each in _list_of_words(options.get("keep", ()))
        ),
        language=options.get("language", ""),
        translate=checked_language(options.get("translate", "")),
        labels=_labels(_list_of_words(options.get("labels", ()))),
        hosts=tuple(_list_of_words(options.get("hosts", ()))),
        licence=_require_choice(options.get("licence", "commercial"), LICENCES, setting("licence")),
        regions=tuple(map(checked_region, _list_of_words(options.get("regions", ())))),
        retention=_require_choice(options.get("retention", "any"), RETENTIONS, setting("retention")),
        waits=options.get("waits"),
        local=options.get("local", False),
        latency=_positive(options.get("latency"), setting("latency"), "seconds"),
        max_cost=_amount(options.get("max_cost"), setting("max-cost"), "dollars"),
        owned=_owned_hardware(options),
    )


_WORDS = frozenset(
    {"prompt", "language", "translate", "hardware", "objective", "at_least", "shows", "licence", "retention"}
)
_NUMBERS = frozenset({"out_tokens", "users", "max_cost", "latency", "hardware_price", "life_months", "power", "kwh"})
_LISTS = frozenset({"private", "release", "keep", "hosts", "parts", "regions"})


def _labels(words: Iterable[str]) -> tuple[str, ...]:
    """Return the labels to score. Raises UsageError for labels that a real request would reject."""
    labels = tuple(words)
    if labels:
        check_output(ScoresOutput(labels=labels))
    return labels


def _check_types(options: AdviseOptions) -> None:
    """Raise UsageError if an option has a value of the wrong type."""
    for name, value in options.items():
        if value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        wrong = ""
        if name in _WORDS and not isinstance(value, str):
            wrong = "give a word"
        elif name in _NUMBERS and not number:
            wrong = "give a number"
        elif name == "requests" and not (number or isinstance(value, str)):
            wrong = 'write "10000/day", or a month\'s number'
        elif name in _LISTS and not isinstance(value, str | Iterable):
            wrong = "give a list"
        elif name == "sizes" and not isinstance(value, Mapping):
            wrong = 'write {"pdf": 30}'
        if wrong:
            raise UsageError(f"{value!r} does not fit here", where=setting(name.replace("_", "-")), todo=wrong)


def _piece_of(word: str, size: Size) -> CountablePart:
    """Return a piece of the given size."""
    kind = parse_kinds([word], "sizes")[0]
    numbers = size if isinstance(size, tuple) else (size,)
    wrong = (
        not all(isinstance(each, int | float) for each in numbers)
        or len(numbers) != (2 if kind == "image" else 1)
        or not all(0 < each < math.inf for each in numbers)
    )
    if wrong:
        todo = "write {'image': (1240, 1754)}" if kind == "image" else f"write {{{word!r}: 10}}"
        raise UsageError(f"{size!r} is no size of {word}", where="sizes", todo=todo)
    first = numbers[0]
    if kind == "image":
        wide, high = map(int, numbers)
        return CountablePart(kind=kind, name=f"image {wide}x{high}", width=wide, height=high)
    if kind == "text":
        return CountablePart(kind=kind, name=f"text of {int(first):,} letters", chars=int(first), size=int(first))
    if kind == "document":
        return CountablePart(kind=kind, name=f"pdf {int(first)}p", pages=int(first))
    return CountablePart(kind=kind, name=f"{kind} {first:g}s", seconds=float(first))


def _list_of_words(words: str | Iterable[str]) -> list[str]:
    """Return a list of words from a list or a single word."""
    some: list[object] = [words] if isinstance(words, str) or not _is_listed(words) else list(words)
    for each in some:
        if not isinstance(each, str):
            raise UsageError(f"{each!r} is not a word", todo='give words: "audio", or ["pdf", "image"]')
    return cast("list[str]", some)


def _is_listed(value: object) -> bool:
    return isinstance(value, Iterable)


def _tier(word: Tier | None) -> Tier | None:
    if word is not None:
        _require_choice(word, TIERS, setting("at-least"))
    return word


def _require_choice(word: T, choices: tuple[T, ...], where: str) -> T:
    if word not in choices:
        from difflib import get_close_matches

        near = get_close_matches(word, choices, 2, 0.6)
        todo = f"did you mean {' or '.join(near)}?" if near else f"it is one of {', '.join(choices)}"
        raise UsageError(f"{word!r} is not known", where=where, todo=todo)
    return word


def _count(value: int | None) -> int | None:
    if value is not None and value < 1:
        raise UsageError(f"{value} is not a valid answer length", where=setting("out-tokens"), todo="write 1 or more")
    return value


def _users(value: int | None) -> int:
    if value is not None and not 1 <= value <= MOST_USERS:
        raise UsageError(
            f"{value} is not a valid number of users", where=setting("users"), todo=f"write 1 to {MOST_USERS}"
        )
    return int(value or 1)


def _amount(value: float | None, where: str, what: str) -> float | None:
    if value is not None and not 0 <= value < math.inf:
        raise UsageError(f"{value} is no number of {what}", where=where, todo="write 0 or more")
    return None if value is None else float(value)


def _positive(value: float | None, where: str, what: str) -> float | None:
    found = _amount(value, where, what)
    if found == 0:
        raise UsageError(f"0 is no number of {what}", where=where, todo="write more than 0")
    return found


def _owned_hardware(options: AdviseOptions) -> OwnedHardware | None:
    """Return the cost of hardware, None without a price."""
    price = _positive(options.get("hardware_price"), setting("hardware-price"), "dollars")
    months = _positive(options.get("life_months"), setting("life"), "months")
    watts = _amount(options.get("power"), setting("power"), "watts")
    kwh = _amount(options.get("kwh"), setting("kwh"), "dollars")
    for value, name in ((months, setting("life")), (watts, setting("power")), (kwh, setting("kwh"))):
        if value is not None and price is None:
            raise UsageError(
                "means nothing without what the machine costs", where=name, todo=hint("add {hardware-price=}", "USD")
            )
    if (watts is None) != (kwh is None):
        where, other = (
            (setting("power"), setting("kwh", "USD")) if kwh is None else (setting("kwh"), setting("power", "WATTS"))
        )
        raise UsageError("says half of what power costs", where=where, todo=hint("add {}", other))
    if price is None:
        return None
    return OwnedHardware(price=price, months=months or MONTHS, watts=watts or 0.0, kwh=kwh or 0.0)


# ---- kinds, volumes and hardware as people write them -----------------------------------------------


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
_UNITS = {"gib": 2**30, "gb": 2**30, "mib": 2**20, "mb": 2**20, "tb": 2**40}  # memory sizes are powers of two
_HARDWARE = 'write 24GB of memory, 2x24GB for two graphics cards, "RTX 4090" or 2xH100 for cards, and 8cores beside it'
_MOST = 1e12  # requests per month; more is taken as a mistake


def parse_kinds(words: Iterable[str], where: str) -> tuple[Kind, ...]:
    """Parse the names of input kinds and remove duplicates."""
    found: dict[Kind, None] = {}
    for word in _split(words):
        if word not in _KINDS:
            near = get_close_matches(word, _KINDS, 2, 0.6)
            raise UsageError(f"{word!r} is not a kind of content", where=where, todo=_suggest_names(near, IN))
        found[_KINDS[word]] = None
    if not found:
        raise UsageError("nothing goes in", where=where, todo=f"name some of {', '.join(IN)}")
    return tuple(found)


def parse_outputs(words: Iterable[str]) -> tuple[OutputName, ...]:
    """Parse the names of outputs and remove duplicates; the first is the answer, the others are additional outputs."""
    found: dict[OutputName, None] = {}
    for word in _split(words):
        if word not in _MADE:
            near = get_close_matches(word, _MADE, 2, 0.6)
            raise UsageError(f"{word!r} is not an output kind", where=setting("out"), todo=_suggest_names(near, MAKES))
        found[_MADE[word]] = None
    if not found:
        raise UsageError("no output is named", where=setting("out"), todo=f"name some of {', '.join(MAKES)}")
    return tuple(found)


def parse_volume(word: str) -> RequestVolume:
    """Parse a request rate: ``10000/day``, ``10k a day``, ``300000/month``; a bare number is per month."""
    match = _VOLUME.fullmatch(word.strip())
    unit = match[3].lower() if match and match[3] else "month"
    if match is None or unit not in _PER_MONTH:
        todo = f"write 10000/day; units are {', '.join(_PER_MONTH)}"
        raise UsageError(f"{word!r} is not a request rate", where=setting("requests"), todo=todo)
    number = float(match[1].replace(",", "").replace("_", "") or "nan")
    number *= {"": 1.0, "k": 1e3, "m": 1e6}[match[2].lower()]
    per_month = number * _PER_MONTH[unit]
    if not 0 < per_month <= _MOST:
        raise UsageError(f"{word!r} is not a request rate", where=setting("requests"), todo="write 10000/day")
    return RequestVolume(per_month=per_month, words=f"{number:,.10g} a {unit}")


def parse_hardware(word: str, local_machine: Machine) -> Hardware:
    """Parse a description of hardware, all of whose memory is taken to be free.

    ``24GB`` is memory, ``2x24GB`` or ``24GB 2x`` are two GPUs of that size, ``RTX 4090`` or ``2xH100`` are GPUs by
    name; ``8cores`` may be added.

    ``local_machine``: the machine whose cores are used if none are stated.
    """
    plain = _plain_hardware(word, local_machine)
    return plain if plain is not None else _named_hardware(word, local_machine)


def _plain_hardware(word: str, local_machine: Machine) -> Hardware | None:
    """Parse sizes and numbers; None if there are other words."""
    cards, bytes_, cores = 0, 0.0, local_machine.cores
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
    return Hardware(
        machine=machine, words=f"{words}, {cores} core{'s' if cores != 1 else ''}, as stated", is_stated=True
    )


def _named_hardware(word: str, local_machine: Machine) -> Hardware:
    """Parse GPUs by name; their memory counts as the machine's."""
    cores = local_machine.cores
    names = []
    for each in word.split(","):
        some = re.search(r"\b(\d+)\s*cores?\b", each, re.IGNORECASE)
        cores = int(some[1]) if some and int(some[1]) else cores
        left = each.replace(some[0], "").strip() if some else each.strip()
        names += [left] if left else []
    try:
        found = machine_of_options(names, cores=cores)
    except UsageError as error:
        if not re.search(r"\d", word):  # every GPU name contains a digit
            raise UsageError(
                f"{word!r} is not a hardware size or card", where=setting("hardware"), todo=_HARDWARE
            ) from None
        raise UsageError(error.hints.what, where=setting("hardware"), todo=error.hints.todo) from None
    size = sum(gpu.memory for gpu in found.gpus)
    if not size:
        raise UsageError(f"{word!r} is not a hardware size or card", where=setting("hardware"), todo=_HARDWARE)
    machine = msgspec.structs.replace(found, memory=size, free=size)
    cards = describe_cards(found.gpus)
    return Hardware(
        machine=machine, words=f"{cards}, {cores} core{'s' if cores != 1 else ''}, as stated", is_stated=True
    )


def this_machine(local_machine: Machine) -> Hardware:
    """Return the machine this runs on, with its current free memory."""
    gib = 2**30
    words = (
        f"this machine: {local_machine.memory / gib:.3g} GiB of memory, {local_machine.free / gib:.3g} free, "
        f"{local_machine.cores} core{'s' if local_machine.cores != 1 else ''}"
    )
    machine = with_assumptions(
        msgspec.structs.replace(local_machine, loaded=(), compute=compute_of_cores(local_machine.cores))
    )
    return Hardware(machine=machine, words=words)


def parse_private(words: Iterable[str]) -> tuple[str, ...]:
    """Parse the kinds that may not leave the machine."""
    return cast("tuple[str, ...]", parse_kinds(words, setting("private"))) if _split(words) else ()


def _split(words: Iterable[str]) -> list[str]:
    return [each for word in words for each in re.split(r"[,\s]+", word.lower()) if each]


def _suggest_names(near: list[str], names: tuple[str, ...]) -> str:
    return f"did you mean {' or '.join(near)}?" if near else f"it is one of {', '.join(names)}"


# ---- advise -----------------------------------------------------------------------------------------


@with_options(AdviseOptions)
def advise(
    takes: str | Iterable[str], makes: str | Iterable[str] = "text", *, config: Config | None = None,
    env: Mapping[str, str] | None = None, **options: Unpack[AdviseOptions],
) -> Advice:  # fmt: skip
    """Return the kind of model that hypothetical requests need, and the cost. No host is contacted.

    Args:
        takes: input kinds: "text", "image", "audio", "video", "pdf".
        makes: outputs: "text", "json", "transcript", "scores", "speech", "embedding", "image"; if several, the answer
            first.
        config: the user's own servers and limits; read from the config file if None.
        env: environment for folders; ``os.environ`` if None.
        options: see :class:`intermodal.advisor.advise_options.AdviseOptions`.

    Raises:
        UsageError: the options are invalid or contradict each other.
        NoRoute: no available model answers such a request; ``reasons`` say why.
    """
    return spell(advice_for(takes, makes, config=config, env=env, **options), "python")


def advice_for(
    takes: str | Iterable[str], makes: str | Iterable[str] = "text", *, config: Config | None = None,
    env: Mapping[str, str] | None = None, **options: Unpack[AdviseOptions],
) -> Advice:  # fmt: skip
    """Return the same as ``advise``, with texts that name command-line options."""
    env = os.environ if env is None else env
    config = load_config(env) if config is None else config
    stated_options = {key: value for key, value in options.items() if value is not None}
    usual = {"licence": config.licence if config.licence_stated else "commercial", "regions": config.regions}
    stated_options = {**usual, "retention": config.retention, **stated_options}
    question = make_question(takes, makes, machine_snapshot(), **cast("AdviseOptions", stated_options))
    question = msgspec.structs.replace(
        question,
        hosts=_trusted_hosts(question.hosts, config),
        trusted=config.trusted_hosts,
        time_value=config.time_value,
        question_facts=_prompt_needs(question),
    )
    as_of = today()
    found = candidate_catalog(
        question.hardware, as_of, user=config.hosts, hosts=question.hosts, policy=question.policy,
        measured_strengths=strengths(data_dir(env)), own_snapshot=snapshot_file(env),
    )  # fmt: skip
    # Measurements made here do not apply to stated hardware.
    return advise_on(question, found, as_of, Statistics() if question.hardware.is_stated else _measured_strengths(env))


def _trusted_hosts(names: tuple[str, ...], config: Config) -> tuple[str, ...]:
    """Return the hosts to consider. Raises UsageError if a named one is not trusted by the config."""
    for name in names if config.trusted_hosts else ():
        if name not in config.trusted_hosts:
            raise UsageError(
                f"trusted_hosts of the config does not have {name}", where=setting("host"), todo="add it there"
            )
    return names or config.trusted_hosts


def _prompt_needs(question: AdviceQuestion) -> QuestionFacts | None:
    """Return what the prompt needs of the media, according to the sentence model.

    Returns None for the default prompt, without the sentence model, or if it is undecided.
    """
    if question.prompt == PROMPT:
        return None

    async def read_needs() -> QuestionFacts | None:
        reader = QuestionReader()
        try:
            return await reader.needs(question.prompt, question.takes)
        finally:
            await reader.close()

    bridge = SyncBridge()
    try:
        return bridge.run(read_needs)
    finally:
        bridge.close()


def _measured_strengths(env: Mapping[str, str]) -> Statistics:
    store = Store(data_dir(env) / "store.sqlite3")
    try:
        return store.statistics()
    finally:
        store.close()
