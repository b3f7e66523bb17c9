"""Pictures out: what is wished for, who can be told it, and what drawing takes.

What nobody stated is decided here, so that a price is a number and not a hope: a square of 1024 pixels, and of models
that sell by quality the medium one.
"""

from __future__ import annotations

from intermodal.catalog.drawing import (
    COUNT,
    FORMAT,
    NEGATIVE,
    QUALITY,
    RATIO,
    RATIOS,
    SEED,
    SIZE,
    SPELLED,
    STEPS,
    picture_words,
)
from intermodal.catalog.nouns import Endpoint, Host
from intermodal.costing.drawn import drawn_tokens
from intermodal.costing.levels import ZEROS, Level, Levels, levels, times
from intermodal.costing.price import drawing_price
from intermodal.costing.rates import Rates
from intermodal.costing.speed import draw_seconds
from intermodal.request import ImageOutput, Request

USUAL_SIZE = (1024, 1024)
USUAL_QUALITY = "medium"
_BY_QUALITY = "table:"  # rules of models whose pictures cost by quality

Params = tuple[tuple[str, str], ...]
Wishes = tuple[tuple[str, ...], tuple[int, int] | None]


def wanted(request: Request) -> ImageOutput:
    """The output, of a request for pictures."""
    assert isinstance(request.output, ImageOutput)
    return request.output


def wishes(request: Request) -> Wishes:
    """What the user stated that not every host can be told, and the size among it."""
    output = request.output
    if not isinstance(output, ImageOutput):
        return (), None
    stated = {
        SIZE: output.size is not None, COUNT: output.count > 1, QUALITY: bool(output.quality),
        FORMAT: output.format in ("jpeg", "webp"),  # a PNG is made here of whatever comes back
        SEED: request.sampling.seed is not None, STEPS: output.steps is not None, NEGATIVE: bool(output.negative),
    }  # fmt: skip
    return tuple(word for word, is_stated in stated.items() if is_stated), output.size


def cannot_be_told(host: Host, request: Request) -> str:
    """What keeps a host from being asked for these pictures, in words; "" when nothing does."""
    has = picture_words(host)
    if not has:
        return "is spoken to in a protocol in which intermodal asks for no pictures"
    stated, size = wishes(request)
    if RATIO in has and size is not None and size in RATIOS:
        stated = tuple(word for word in stated if word != SIZE)
    elif RATIO in has and size is not None:
        sizes = ", ".join(f"{width}x{height}" for width, height in RATIOS)
        return f"draws {sizes}, and no picture of {size[0]}x{size[1]}"
    missing = [SPELLED[word] for word in stated if word not in has]
    return f"cannot be told {' and '.join(missing)}" if missing else ""


def params_of(endpoint: Endpoint, request: Request) -> Params:
    """What the call says, stated or decided here; what is not there is not said."""
    output, has = wanted(request), picture_words(endpoint.host)
    size, quality = _size(endpoint, output), _quality(endpoint, output)
    said: list[tuple[str, object]] = [
        ("size", f"{size[0]}x{size[1]}" if has & {SIZE, RATIO} else ""),
        ("quality", quality if QUALITY in has else ""),
        ("count", output.count if output.count > 1 else ""),
        ("steps", output.steps or ""),
        ("negative", output.negative),
        ("format", output.format),
    ]
    return tuple((name, str(value)) for name, value in said if value)


def _size(endpoint: Endpoint, output: ImageOutput) -> tuple[int, int]:
    return output.size or USUAL_SIZE


def _quality(endpoint: Endpoint, output: ImageOutput) -> str:
    """As stated; else the medium one of a model that sells by quality, and none of any other."""
    return output.quality or (USUAL_QUALITY if endpoint.model.drawn.startswith(_BY_QUALITY) else "")


def drawn(endpoint: Endpoint, request: Request) -> Levels:
    """Tokens of all pictures together; infinite where nobody says how many they are, none where they are sold each."""
    if endpoint.price.picture is not None:
        return ZEROS
    output = wanted(request)
    width, height = _size(endpoint, output)
    one = drawn_tokens(endpoint.model.drawn, width, height, _quality(endpoint, output) or USUAL_QUALITY)
    return times(levels(one), float(output.count))


def draw_call(
    request: Request, rates: Rates, level: Level, text: float, image: float, tokens: float
) -> tuple[float, float]:
    """USD and seconds of the call that draws, without loading."""
    count = wanted(request).count
    return drawing_price(rates, text, image, tokens, count), draw_seconds(rates, level, count)


def title_of(params: Params) -> str:
    """What is drawn, in words: "a picture, 1024x1024, medium quality"."""
    said = dict(params)
    many = f"{said['count']} pictures" if "count" in said else "a picture"
    quality = f"{said['quality']} quality" if "quality" in said else ""
    return ", ".join(filter(None, (many, said.get("size", ""), quality)))
