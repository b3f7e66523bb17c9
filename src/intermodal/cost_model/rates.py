"""Rates: an endpoint's price and speed per unit as plain floats, resolved once.

Statistics of real runs take precedence over the catalog's speeds. An unstated speed becomes the wide range of its kind
of place, never zero. An unstated price is infinite until it is multiplied by a count (``call_cost.py``); local prices
are zero.
"""

from __future__ import annotations

import math
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from intermodal.catalog.default_speeds import PLACEHOLDER
from intermodal.catalog.reasoning_effort import (
    NO_THINKING_REQUEST,
    ThinkingRequest,
    resolve_effort,
    sent_thinking_request,
    thinking_tokens,
)
from intermodal.catalog.types import DiffusionSettings, Endpoint, Price, Speed, ThinkingProfile
from intermodal.core.quantity import Quantity, between
from intermodal.core.request import Zone
from intermodal.cost_model.levels import ZEROS, Levels
from intermodal.cost_model.token_calibration import TokenCalibration, endpoint_calibration
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.statistics import NO_STATISTICS, Statistics

UNKNOWN_CONTEXT = 4_096  # assumed if a server states none: the smallest common default

_NOT_MEASURED = "not measured here"
_ELSEWHERE: dict[str, Quantity] = {  # hosted models in general
    "overhead": between(0.2, 0.8, 3.0, PLACEHOLDER),
    "prompt": between(500.0, 3_000.0, 20_000.0, PLACEHOLDER),
    "decode": between(15.0, 60.0, 250.0, PLACEHOLDER),
    "realtime_factor": between(0.005, 0.04, 0.3, PLACEHOLDER),
    "megapixel": between(0.1, 0.7, 3.0, PLACEHOLDER),
    "page": between(0.2, 1.5, 6.0, PLACEHOLDER),
    "picture": between(2.0, 12.0, 60.0, PLACEHOLDER),
    "denoise": between(0.02, 0.3, 5.0, PLACEHOLDER),
    "latent": between(0.02, 0.5, 10.0, PLACEHOLDER),
}
_HERE: dict[str, Quantity] = {  # a runtime on an ordinary machine without a GPU
    "overhead": between(0.0, 0.05, 0.3, _NOT_MEASURED),
    "prompt": between(20.0, 150.0, 2_000.0, _NOT_MEASURED),
    "decode": between(2.0, 10.0, 80.0, _NOT_MEASURED),
    "realtime_factor": between(0.03, 0.3, 1.5, _NOT_MEASURED),
    "megapixel": between(0.2, 0.8, 4.0, _NOT_MEASURED),
    "page": between(0.5, 2.0, 8.0, _NOT_MEASURED),
    "picture": between(10.0, 120.0, 1200.0, _NOT_MEASURED),
    "denoise": between(0.2, 10.0, 300.0, _NOT_MEASURED),
    "latent": between(2.0, 30.0, 300.0, _NOT_MEASURED),
}


def assumed_speed(figure: str, zone: Zone) -> Quantity:
    """Return the assumed speed for a zone, for endpoints without a stated one."""
    return (_HERE if zone in LOCAL_ZONES else _ELSEWHERE)[figure]


class Rates(Struct, frozen=True, gc=False):
    """Price and speed of one endpoint.

    Attributes:
        text, image, audio, out: USD per token. speech: USD per token of generated speech. character: USD per spoken
            character. second: USD per second of audio, at least ``least`` seconds. page: USD per page or image read.
            image_out: USD per token of a generated image, picture: USD per generated image. request: USD per call.
            Infinite if unknown.
        overhead, load: seconds. read_in, write_out: seconds per input and output token.
        hear: seconds per second of audio; hear_film: per second of a video's audio. see: seconds per megapixel read.
            spell: seconds per token read, 0 if unknown. leaf: seconds per page read. draw: seconds per generated image.
        denoise, latent: seconds per megapixel of a diffusion model's evaluations, and of decoding its latents.
            diffusion: how it generates images on this machine, None if it does not.
        context, most_out: tokens (``most_out`` infinite if unlimited). memory: bytes.
        counts: the calibration of its token counts, None if nothing was learned.
        steps: the rates of requests above a number of input tokens, fewest first.
        thought: reasoning tokens before an answer at the requested effort; room: reasoning tokens to leave room for.
        timed_by: sources of the speeds of ``TIMED_FIGURES``, in order.
    """

    text: float
    image: float
    audio: float
    out: float
    speech: float
    character: float
    second: float
    page: float
    image_out: float
    picture: float
    request: float
    least: float
    overhead: Levels
    load: Levels
    read_in: Levels
    write_out: Levels
    hear: Levels
    hear_film: Levels
    see: Levels
    spell: Levels
    leaf: Levels
    draw: Levels
    context: float
    most_out: float
    memory: Levels
    counts: TokenCalibration | None = None
    steps: tuple[tuple[float, Rates], ...] = ()
    thought: Levels = ZEROS
    room: float = 0.0
    timed_by: tuple[str, ...] = ()
    denoise: Levels = ZEROS
    latent: Levels = ZEROS
    diffusion: DiffusionSettings | None = None

    @property
    def length(self) -> float:
        """Return the USD per second of audio in a chat, 0 if audio is billed by tokens."""
        return self.second if self.audio == 0 and self.second < math.inf else 0.0

    def basis_of(self, figure: str) -> str:
        """Return the source of a speed, "" if it was not kept."""
        return self.timed_by[TIMED_FIGURES.index(figure)] if self.timed_by else ""

    def of_request(self, tokens: float) -> Rates:
        """Return the rates of a request with ``tokens`` input tokens."""
        found = self
        for more_than, dearer in self.steps:
            found = dearer if tokens > more_than else found
        return found


# Learned seconds per second of a video's audio: some transcribers are many times slower on music.
FILM_FIGURE = "film_factor"
TIMED_FIGURES = (
    "overhead",
    "load",
    "prompt",
    "decode",
    "realtime_factor",
    "megapixel",
    "page",
    "picture",
    "denoise",
    "latent",
)


def endpoint_rates(
    endpoint: Endpoint, statistics: Statistics, as_of: str, effort: ThinkingRequest = NO_THINKING_REQUEST
) -> Rates:
    """Resolve an endpoint's prices on a day, its speeds, and its reasoning at an effort."""
    price = endpoint.price_on(as_of)
    base = _rates(endpoint, price, statistics, as_of, effort)
    if not price.above:
        return base
    return replace(
        base,
        steps=tuple((float(most), _rates(endpoint, dearer, statistics, as_of, effort)) for most, dearer in price.above),
    )


_KEY, DAYS_AND_EFFORTS = "_rates", 10


def known_rates(endpoint: Endpoint, as_of: str, effort: ThinkingRequest) -> Rates:
    """Return the rates as the catalog states them, without statistics.

    They depend on endpoint, day and effort only, so they are cached on the endpoint, which derived catalogs share.
    """
    cache: dict[tuple[str, ThinkingRequest], Rates] = vars(endpoint).setdefault(_KEY, {})
    found = cache.get((as_of, effort))
    if found is None:
        if len(cache) >= DAYS_AND_EFFORTS:
            cache.clear()
        found = cache[as_of, effort] = endpoint_rates(endpoint, NO_STATISTICS, as_of, effort)
    return found


def reasoning_figure(name: str, effort: str) -> str:
    """Return the name of a figure learned at an effort; unchanged if no effort was requested.

    >>> reasoning_figure("reasoning_tokens", "low"), reasoning_figure("reasoning_tokens", "")
    ('reasoning_tokens@low', 'reasoning_tokens')
    """
    return f"{name}@{effort}" if effort else name


def reasoning_tokens(endpoint: Endpoint, statistics: Statistics, effort: ThinkingRequest) -> tuple[Quantity, float]:
    """Return an endpoint's reasoning tokens before its answer, and how many a limit has to leave room for.

    They are measured here, or else assumed for its model; the room covers both.
    """
    thinking, thinking_request = endpoint.model.thinking, sent_thinking_request(effort, endpoint.host)
    learned_tokens = statistics.get(endpoint.id, reasoning_figure("reasoning_tokens", effort_key(thinking_request)))
    if thinking is None:
        most = float(thinking_request.budget)
        budgeted = between(0.0, most / 4, most, "within the budget that was asked for") if most else Quantity()
    else:
        budgeted = assumed_reasoning(thinking, thinking_request)
        if not budgeted.high:
            return budgeted, 0.0
    if learned_tokens is not None:
        return learned_tokens, max(budgeted.high, _ROOMIER * learned_tokens.high)
    return budgeted, budgeted.high


@lru_cache(1_024)
def assumed_reasoning(thinking: ThinkingProfile, requested: ThinkingRequest = NO_THINKING_REQUEST) -> Quantity:
    """Return how many tokens a model reasons for before an answer at an effort; zero if it does not reason."""
    low, mid, high = thinking_tokens(thinking, requested)
    if not high:
        return Quantity()
    effort = resolve_effort(thinking, requested)
    if effort == "unsaid":
        return between(low, mid, high, "it can reason, and whether it does by default is not published")
    default = "" if requested != NO_THINKING_REQUEST else ", which is its default"
    return between(low, mid, high, f"{thinking.basis} for {effort} effort{default}")


_ROOMIER = 2.0  # room relative to the 80 % quantile of measured reasoning


def effort_key(effort: ThinkingRequest) -> str:
    """Return the key under which answers at this effort are recorded, "" if none was requested."""
    return (
        effort.effort
        or {"off": "none", "on": "on", "": ""}[effort.switch]
        or (f"{effort.budget}" if effort.budget else "")
    )


def _rates(endpoint: Endpoint, price: Price, statistics: Statistics, as_of: str, effort: ThinkingRequest) -> Rates:
    text, image, audio, out, speech, character, second, page, image_out, picture, request = _prices(
        endpoint, price, as_of
    )
    speeds = _speeds(endpoint, statistics)
    overhead, load, prompt, decode, hear, see, leaf, draw, denoise, latent = speeds
    thinks, room = reasoning_tokens(endpoint, statistics, effort)
    return Rates(
        text=text, image=image, audio=audio, out=out, speech=speech, character=character, second=second, page=page,
        image_out=image_out, picture=picture, request=request, least=price.least_seconds,
        overhead=_levels_of(overhead), load=_levels_of(load), read_in=_inverse(prompt), write_out=_inverse(decode),
        hear=_levels_of(hear), hear_film=_levels_of(statistics.get(endpoint.id, FILM_FIGURE) or hear),
        see=_levels_of(see), spell=_seconds_per_read_token(endpoint, decode), leaf=_levels_of(leaf),
        draw=_levels_of(draw),
        context=float(endpoint.context_limit or UNKNOWN_CONTEXT),
        most_out=float(endpoint.model.max_output) if endpoint.model.max_output else math.inf,
        memory=_levels_of(endpoint.memory), counts=endpoint_calibration(endpoint.id, statistics),
        thought=_levels_of(thinks), room=room, timed_by=tuple(speed.basis for speed in speeds),
        denoise=_levels_of(denoise), latent=_levels_of(latent), diffusion=endpoint.model.diffusion,
    )  # fmt: skip


def _prices(endpoint: Endpoint, price: Price, as_of: str) -> tuple[float, ...]:
    nothing = 0.0 if endpoint.host.zone in LOCAL_ZONES else math.inf
    if price.effective_from and as_of and price.effective_from > as_of:  # not yet in effect
        return (*(10 * (nothing,)), 0.0)

    def per(value: float | None, unit: float) -> float:
        return nothing if value is None else value / unit

    text = per(price.input_mtok, 1e6)
    image = text if price.input_image_mtok is None else price.input_image_mtok / 1e6
    audio = 0.0 if price.by_length and price.of_audio is not None else per(price.of_audio, 1e6)
    out = per(price.output_mtok, 1e6)
    speech = out if price.output_audio_mtok is None else price.output_audio_mtok / 1e6
    image_out = out if price.output_image_mtok is None else price.output_image_mtok / 1e6
    return (
        text, image, audio, out, speech, per(price.input_mchar, 1e6),
        per(price.second, 1.0), per(price.page, 1.0), image_out, per(price.picture, 1.0),
        math.inf if price.unsaid else price.request,
    )  # fmt: skip


def _speeds(endpoint: Endpoint, statistics: Statistics) -> tuple[Quantity, ...]:
    """Return the speeds of ``TIMED_FIGURES``, in order."""
    stated_speeds = _stated_speeds(endpoint.speed, endpoint.host.zone)
    if not statistics.rows:
        return stated_speeds
    learned_speeds = (statistics.get(endpoint.id, figure) for figure in TIMED_FIGURES)
    return tuple(
        stated_speed if measured_speed is None else measured_speed
        for measured_speed, stated_speed in zip(learned_speeds, stated_speeds, strict=True)
    )


@lru_cache(1_024)
def _stated_speeds(speed: Speed, zone: Zone) -> tuple[Quantity, ...]:
    return tuple(_stated_figure(speed, figure, zone) for figure in TIMED_FIGURES)


def _stated_figure(speed: Speed, figure: str, zone: Zone) -> Quantity:
    stated_quantity: Quantity = getattr(speed, figure)
    if figure == "load" or stated_quantity.mid > 0:
        return stated_quantity
    if figure == "overhead" and _states_any_speed(speed):
        return stated_quantity
    if figure == "page" and speed.megapixel.mid > 0:
        return stated_quantity  # 0, so that pages are timed by their pixels
    return assumed_speed(figure, zone)


def _states_any_speed(speed: Speed) -> bool:
    return any(q.mid > 0 for q in (speed.prompt, speed.decode, speed.realtime_factor, speed.megapixel, speed.page))


def _seconds_per_read_token(endpoint: Endpoint, decode: Quantity) -> Levels:
    """Return an OCR model's seconds per token if its row states a speed, otherwise zeros.

    A guess would add false seconds.
    """
    reads = "image-to-text" in endpoint.model.tasks and endpoint.speed.decode.mid > 0
    return _inverse(decode) if reads else (0.0, 0.0, 0.0)


def _levels_of(quantity: Quantity) -> Levels:
    return (float(quantity.low), float(quantity.mid), float(quantity.high))


def _inverse(quantity: Quantity) -> Levels:
    """Convert tokens per second to seconds per token; the highest speed gives the lowest time."""
    low = quantity.low or quantity.mid / 4
    return (1 / quantity.high, 1 / quantity.mid, 1 / low)


class MediaRates(Struct, frozen=True, gc=False):
    """Speed of the media worker, in seconds.

    Per round trip, per page of text, per rendered megapixel, per second of video examined (and megapixel of its
    frames), per second of a video's audio.
    """

    worker: Levels
    extract_page: Levels
    render_megapixel: Levels
    frames_second: Levels
    demux_second: Levels


# On one core: laying out a page of text 1.5 to 5 ms, and 35 ms more for a worker's first (0.3 to 1.7 ms for pdfium's
# raw text); rendering a page 4.4 ms (96 dpi) to 24 ms (150 dpi). FFmpeg: 0.4 s for 132 frames of 720p, 0.04 s for 5.3 s
# of audio, measured on 2 cores.
DEFAULT_MEDIA_RATES = MediaRates(
    worker=(0.0, 0.001, 0.05),  # probing has already started it and loaded its libraries
    extract_page=(0.0005, 0.006, 0.04),
    render_megapixel=(0.002, 0.015, 0.15),
    frames_second=(0.01, 0.08, 0.4),
    demux_second=(0.001, 0.008, 0.05),
)


def media_rates(statistics: Statistics) -> MediaRates:
    """Return the media worker's speed: from earlier runs here, otherwise the defaults."""

    def of(figure: str, shipped: Levels) -> Levels:
        learned_figure = statistics.get("media", figure)
        return shipped if learned_figure is None else _levels_of(learned_figure)

    return MediaRates(
        worker=of("worker", DEFAULT_MEDIA_RATES.worker),
        extract_page=of("extract_page", DEFAULT_MEDIA_RATES.extract_page),
        render_megapixel=of("render_megapixel", DEFAULT_MEDIA_RATES.render_megapixel),
        frames_second=of("frames_second", DEFAULT_MEDIA_RATES.frames_second),
        demux_second=of("demux_second", DEFAULT_MEDIA_RATES.demux_second),
    )


def ideal_rates(many: list[Rates]) -> Rates:
    """Return the best of each figure over many endpoints: a limit that these rates miss is missed by all of them."""
    if len(many) == 1:
        return replace(many[0], counts=None, steps=(), timed_by=())
    return Rates(
        text=min([rates.text for rates in many]),
        image=min([rates.image for rates in many]),
        audio=min([rates.audio for rates in many]),
        out=min([rates.out for rates in many]),
        speech=min([rates.speech for rates in many]),
        character=min([rates.character for rates in many]),
        second=min([rates.second for rates in many]),
        page=min([rates.page for rates in many]),
        image_out=min([rates.image_out for rates in many]),
        picture=min([rates.picture for rates in many]),
        request=min([rates.request for rates in many]),
        least=min([rates.least for rates in many]),
        overhead=_min_levels([rates.overhead for rates in many]),
        load=_min_levels([rates.load for rates in many]),
        read_in=_min_levels([rates.read_in for rates in many]),
        write_out=_min_levels([rates.write_out for rates in many]),
        hear=_min_levels([rates.hear for rates in many]),
        hear_film=_min_levels([rates.hear_film for rates in many]),
        see=_min_levels([rates.see for rates in many]),
        spell=_min_levels([rates.spell for rates in many]),
        leaf=_min_levels([rates.leaf for rates in many]),
        draw=_min_levels([rates.draw for rates in many]),
        context=max([rates.context for rates in many]),
        most_out=max([rates.most_out for rates in many]),
        thought=_min_levels([rates.thought for rates in many]),
        room=min([rates.room for rates in many]),
        memory=_min_levels([rates.memory for rates in many]),
        denoise=_min_levels([rates.denoise for rates in many]),
        latent=_min_levels([rates.latent for rates in many]),
        diffusion=many[0].diffusion,  # the same for all members of a class
    )


def _min_levels(many: list[Levels]) -> Levels:
    return (
        min([figure[0] for figure in many]),
        min([figure[1] for figure in many]),
        min([figure[2] for figure in many]),
    )


def rate_dimensions(rates: Rates) -> tuple[float, ...]:
    """Return all figures in which one endpoint can be better than another; smaller is better.

    For prices with steps this includes the highest, and where the first step begins.
    """
    highest = rates.steps[-1][1] if rates.steps else rates
    first = rates.steps[0][0] if rates.steps else math.inf
    return (
        highest.text, highest.image, highest.audio, highest.out, -first,
        rates.text, rates.image, rates.audio, rates.out, rates.speech, rates.character, rates.second, rates.page,
        rates.image_out, rates.picture, rates.request, rates.least,
        *rates.overhead[1:], *rates.load[1:], *rates.read_in[1:], *rates.write_out[1:],
        *rates.hear[1:], *rates.hear_film[1:], *rates.see[1:], *rates.spell[1:], *rates.leaf[1:], *rates.draw[1:],
        *rates.denoise[1:], *rates.latent[1:],
        *rates.memory[1:], -rates.context, -rates.most_out, *rates.thought[1:], rates.room,
    )  # fmt: skip
