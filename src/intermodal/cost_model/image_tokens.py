"""Tokens of an input image, by the named rule of its model (``Model.image_tokens``), and of a generated image.

A rule is a name, numbers and words: ``openai_tile:85:170``. Every rule is one function, under a comment with its
source; a new family is a function and one row of ``IMAGE_RULES``. Without a known rule the count is a wide range whose
basis says so.
"""

from __future__ import annotations

import math
import re
from functools import cache, lru_cache

from intermodal.core.quantity import Quantity, between, exact, unknown
from intermodal.cost_model.rule_syntax import ImageRule, RuleArguments, parse_rule

# OpenAI's images: tiles of 512 pixels, or patches of 32 under a budget that depends on model, detail and date.
#
# Source of all: OpenAI, "Images and vision" guide, as read in spring 2026 and in 2026-11. Nothing is scaled up. The
# guide states that the billed number may differ by one token because of rounding.


_OPENAI_PATCH = 32
_OPENAI_MOST_PATCHES = 30_000  # a request with a larger image is refused; the guide of 2026-11
_OPENAI_SIZE = re.compile(r"[1-9]\d*(/[1-9]\d*)?")
OPENAI_TILE_BASIS, OPENAI_PATCH_BASIS = "OpenAI's tile rule", "OpenAI's patch rule"


def _openai_tiles(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return ``base + tile * ceil(w / 512) * ceil(h / 512)`` after fitting into 2048 pixels and a short side.

    Numbers: base, tile, the short side (768 by default). Low detail is ``base``. The other side is floored;
    ``rounding=open`` if measurements also fit rounding to the nearest (gpt-4.1): the range covers both.

    >>> int(_openai_tiles(1024, 1024, "high", RuleArguments((85, 170))).mid), int(
    ...     _openai_tiles(2048, 4096, "high", RuleArguments((85, 170))).mid)
    (765, 1105)
    """
    base, tile = arguments.numbers[:2]
    if detail == "low":
        return exact(base, OPENAI_TILE_BASIS)
    short = arguments.numbers[2] if len(arguments.numbers) > 2 else 768.0
    scale = min(1.0, 2048 / max(width, height), short / min(width, height))

    def count(wide: float, high: float) -> float:
        return base + tile * math.ceil(max(1.0, wide) / 512) * math.ceil(max(1.0, high) / 512)

    floored = count(math.floor(width * scale + 1e-9), math.floor(height * scale + 1e-9))
    if arguments.words.get("rounding") != "open":
        return exact(floored, OPENAI_TILE_BASIS)
    rounded = count(round(width * scale), round(height * scale))
    if rounded == floored:
        return exact(floored, OPENAI_TILE_BASIS)
    return between(
        min(floored, rounded), floored, max(floored, rounded), f"{OPENAI_TILE_BASIS}; its rounding is not settled"
    )


def _is_openai_rounding(arguments: RuleArguments) -> bool:
    return not arguments.words or dict(arguments.words) == {"rounding": "open"}


def _openai_tile_refusal(width: int, height: int, detail: str, arguments: RuleArguments) -> str:
    return "its images have no detail 'original'" if detail == "original" else ""


def _openai_drawing_input(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return the tokens of an input image of gpt-image-1: tiles with a short side of 512.

    Detail ``high`` is input_fidelity=high. Numbers: base, tile, additional tokens for a square, additional tokens for
    any other shape.

    >>> int(_openai_drawing_input(1024, 1024, "auto", RuleArguments((65, 129, 4160, 6240))).mid)
    194
    >>> int(_openai_drawing_input(1024, 1024, "high", RuleArguments((65, 129, 4160, 6240))).mid)
    4354
    """
    base, tile, square, other = arguments.numbers
    found = _openai_tiles(width, height, "auto", RuleArguments((base, tile, 512.0)))
    if detail != "high":
        return found
    return exact(found.mid + (square if width == height else other), f"{OPENAI_TILE_BASIS}, input_fidelity=high")


def _openai_one_budget(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return patches under one budget for every detail; low detail is first fitted into 512 pixels.

    Numbers: budget, longest side, multiplier.

    >>> int(_openai_one_budget(1024, 1024, "high", RuleArguments((2500, 2048, 1.2))).mid)
    1229
    >>> int(_openai_one_budget(1800, 2400, "high", RuleArguments((1536, 65535, 1.72))).mid)
    2498
    """
    budget, longest, multiplier = arguments.numbers
    side = 512.0 if detail == "low" else longest
    return exact(_openai_billed(_openai_patches(width, height, side, budget), multiplier), OPENAI_PATCH_BASIS)


def _openai_detail_levels(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return patches, with a longest side and a budget for each detail level.

    Numbers: the multiplier. Words: ``low``, ``high``, ``original``, each ``side`` or ``side/budget``; ``auto`` names
    the level it stands for. Without a budget the image is not shrunk, and more than 30,000 patches are refused.

    >>> astra = RuleArguments((1.2,), {"low": "512", "high": "65535/2500", "original": "65535", "auto": "original"})
    >>> int(_openai_detail_levels(4096, 512, "high", astra).mid), int(
    ...     _openai_detail_levels(2048, 2048, "auto", astra).mid)
    (2458, 4916)
    """
    side, budget = _openai_level(detail, arguments)
    return exact(_openai_billed(_openai_patches(width, height, side, budget), arguments.numbers[0]), OPENAI_PATCH_BASIS)


def _are_openai_levels(arguments: RuleArguments) -> bool:
    """Return whether the words have at least ``high``, valid sizes, and an ``auto`` that names one of them."""
    sizes = {word: size for word, size in arguments.words.items() if word != "auto"}
    valid = set(sizes) <= {"low", "high", "original"} and "high" in sizes
    return valid and arguments.words.get("auto", "high") in sizes and all(map(_OPENAI_SIZE.fullmatch, sizes.values()))


def _openai_levels_refusal(width: int, height: int, detail: str, arguments: RuleArguments) -> str:
    if detail not in arguments.words and detail != "auto":
        details = ", ".join(word for word in ("low", "high", "original") if word in arguments.words)
        return f"its images have no detail {detail!r}, they have {details} and auto"
    found = _openai_patches(width, height, *_openai_level(detail, arguments))
    if found <= _OPENAI_MOST_PATCHES:
        return ""
    most = f"a request with an image of more than {_OPENAI_MOST_PATCHES:,} is refused"
    return f"{found:,} patches of {_OPENAI_PATCH} pixels, and {most}"


def _openai_level(detail: str, arguments: RuleArguments) -> tuple[float, float]:
    level = arguments.words.get("auto", "high") if detail == "auto" else detail
    side, _, budget = arguments.words.get(level, arguments.words["high"]).partition("/")
    return float(side), float(budget) if budget else math.inf


def _openai_patches(width: int, height: int, side: float, budget: float) -> int:
    """Return the patches after fitting into ``side``, and under ``budget`` by scaling to whole patches along one side.

    >>> _openai_patches(1800, 2400, 65535, 1536)
    1452
    """
    scale = min(1.0, side / max(width, height))
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    found = math.ceil(wide / _OPENAI_PATCH) * math.ceil(high / _OPENAI_PATCH)
    if found <= budget:
        return found
    factor = math.sqrt(_OPENAI_PATCH * _OPENAI_PATCH * budget / (wide * high))
    across, down = wide * factor / _OPENAI_PATCH, high * factor / _OPENAI_PATCH
    factor *= min(math.floor(across) / across, math.floor(down) / down)
    wide, high = max(1, math.floor(wide * factor)), max(1, math.floor(high * factor))
    return math.ceil(wide / _OPENAI_PATCH) * math.ceil(high / _OPENAI_PATCH)


def _openai_billed(count: int, multiplier: float) -> float:
    return float(math.ceil(count * multiplier - 1e-9))


# Claude's images: 28-pixel cells under a longest edge and a maximum number of tokens.
#
# Source: Anthropic, "Vision" documentation, as of 2026-11, with its table and its code.


_ANTHROPIC_CELL = 28
_ANTHROPIC_LONGEST_SIDE = 8_000  # pixels; a larger image is refused


def _anthropic_cells(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return ``ceil(w / 28) * ceil(h / 28)`` of the largest size under both limits, found by binary search.

    Numbers: longest edge, maximum tokens (1568:1568, or 2576:4784 from Claude 4.7 on). There are no detail levels.

    >>> [int(_anthropic_cells(*size, "auto", RuleArguments((1568, 1568))).mid) for size in ((1000, 1000), (1920, 1080))]
    [1296, 1560]
    """
    edge, most = arguments.numbers

    def tokens(long: int, short: int) -> int:
        return math.ceil(long / _ANTHROPIC_CELL) * math.ceil(short / _ANTHROPIC_CELL)

    long, short = max(width, height), min(width, height)
    ratio = short / long
    low, high = 1, long
    while low < high:
        middle = (low + high + 1) // 2
        other = max(1, round(middle * ratio))
        fits = (
            math.ceil(middle / _ANTHROPIC_CELL) * _ANTHROPIC_CELL <= edge
            and math.ceil(other / _ANTHROPIC_CELL) * _ANTHROPIC_CELL <= edge
        )
        if fits and tokens(middle, other) <= most:
            low = middle
        else:
            high = middle - 1
    return exact(float(tokens(low, max(1, round(low * ratio)))), "Anthropic's 28-pixel rule")


def _anthropic_refusal(width: int, height: int, detail: str, arguments: RuleArguments) -> str:
    longest = max(width, height)
    if longest <= _ANTHROPIC_LONGEST_SIDE:
        return ""
    return f"a side of {longest:,} pixels, and an image with one of more than {_ANTHROPIC_LONGEST_SIDE:,} is refused"


# Gemma's images: a fixed count with crops on request (3, 3n), or a budget that keeps the shape (4).
#
# Source: transformers 5.24, image processors of gemma3 and gemma4.


_GEMMA_CELL = 48  # pixels of a soft token's side: 3 x 3 patches of 16
_GEMMA_LEAST_CROP = 256  # pixels
_GEMMA_MOST_CROPS = 4
_GEMMA_CROP_RATIO = 1.2  # long side over short side
_GEMMA_BUDGET_PLACES = {"low": 0, "auto": 1, "medium": 1, "high": 2, "ultra": 3, "original": 3}


def gemma3(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return a fixed count per image; at ``high`` detail (pan and scan), the same count again for each crop.

    Only long images are cropped. Numbers: tokens per image.

    >>> int(gemma3(1024, 1024, "auto", RuleArguments((256,))).mid), int(
    ...     gemma3(2000, 500, "high", RuleArguments((256,))).mid)
    (256, 1280)
    """
    tokens_per_image = arguments.numbers[0]
    if detail != "high":
        return exact(tokens_per_image, "fixed by the model, pan and scan off")
    return exact(tokens_per_image * (1 + _gemma_crops(width, height)), "fixed by the model, pan and scan on")


def _gemma_crops(width: int, height: int) -> int:
    """Return the number of pan-and-scan crops, along the long side of an image at least 1.2 times as long as wide.

    >>> _gemma_crops(2000, 500), _gemma_crops(1000, 900), _gemma_crops(500, 100)
    (4, 0, 0)
    """
    long, short = max(width, height), min(width, height)
    if long / short < _GEMMA_CROP_RATIO:
        return 0
    count = min(math.floor(long / _GEMMA_LEAST_CROP), math.floor(long / short + 0.5))
    count = min(_GEMMA_MOST_CROPS, max(2, count))
    return 0 if min(math.ceil(long / count), short) < _GEMMA_LEAST_CROP else count


def gemma4(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return the largest number of whole 48-pixel cells under a budget that keeps the shape.

    Small images are scaled up. Numbers: the budget of low, auto (and medium), high, ultra.

    >>> int(gemma4(1024, 1024, "auto", RuleArguments((70, 280, 560, 1120))).mid)
    256
    """
    most = arguments.numbers[_GEMMA_BUDGET_PLACES.get(detail, 1)]
    return exact(float(cells_of_budget(width, height, int(most))), f"Gemma 4's budget of {most:g}")


def cells_of_budget(width: int, height: int, most: int) -> int:
    """Return the cells of the largest image of this shape, with whole cells per side and at most ``most`` cells.

    >>> cells_of_budget(1920, 1080, 280), cells_of_budget(5000, 10, 280)
    (264, 280)
    """
    factor = math.sqrt(most * _GEMMA_CELL * _GEMMA_CELL / (width * height))
    across, down = math.floor(factor * width / _GEMMA_CELL), math.floor(factor * height / _GEMMA_CELL)
    if across == 0:
        return min(math.floor(height / width), most)
    if down == 0:
        return min(math.floor(width / height), most)
    return across * down


# Gemini's images: crops of 258 tokens (2.x), or a budget by media resolution (3.x).
#
# Sources: Google, "Understand and count tokens" and "Media resolution", as of 2026-11. Both are descriptions, and no
# formula was checked against countTokens here, so unspecified cases are ranges.


_GEMINI_SMALL_SIDE = 384  # pixels: both sides at most this is one tile


def _gemini_crops(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return the tokens under Gemini 2.x: 258 for a small image, otherwise 258 per crop of ``min(w, h) / 1.5``.

    Numbers: tokens per tile, then those of an image at low and at medium resolution if known. Older documentation
    clamps the crop to 256..768 pixels, newer does not: the range covers both.

    >>> int(_gemini_crops(384, 384, "auto", RuleArguments((258,))).mid), int(
    ...     _gemini_crops(960, 540, "auto", RuleArguments((258,))).mid)
    (258, 1548)
    """
    tile = arguments.numbers[0]
    basis = "Gemini's tile rule"
    if detail in ("low", "medium") and len(arguments.numbers) == 3:
        return exact(arguments.numbers[1 if detail == "low" else 2], f"media resolution {detail}")
    if max(width, height) <= _GEMINI_SMALL_SIDE:
        return exact(tile, basis)
    unit = max(1, math.floor(min(width, height) / 1.5))
    clamped = min(768, max(256, unit))

    def count(side: int) -> int:
        return math.ceil(width / side) * math.ceil(height / side)

    free, bound = tile * count(unit), tile * count(clamped)
    if free == bound:
        return exact(free, basis)
    return between(min(free, bound), free, max(free, bound), f"{basis}; sources differ on large images")


_GEMINI_RESOLUTIONS = ("low", "medium", "high", "ultra")


def gemini_budget(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return the tokens under Gemini 3.x: a maximum by media resolution; auto is high.

    Numbers: low, medium, high, ultra high. Google calls them maxima. The low end assumes whole rows of 48 pixels under
    the budget, as in Gemma 4; Gemini's own rule is not published.

    >>> int(gemini_budget(1024, 1024, "auto", RuleArguments((280, 560, 1120, 2240))).mid)
    1120
    """
    level = "high" if detail in ("auto", "original") else detail
    most = arguments.numbers[_GEMINI_RESOLUTIONS.index(level)]
    least = min(most, float(cells_of_budget(width, height, int(most))))
    return between(least, most, most, f"media resolution {level}: {most:g} tokens at most")


# Qwen-VL: sides rounded to whole units under a pixel budget, one token per unit.
#
# Source: qwen-vl-utils 0.0.14, ``vision_process.py`` (``smart_resize``); transformers 5.24.


_QWEN_LONGEST_SHAPE = 200  # long side over short side; more is refused


def _qwen_smart_resize(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return the tokens of one image under Qwen-VL's resize rule.

    Numbers: factor (28; Qwen3-VL 32), maximum pixels, minimum pixels (4 units by default), and the minimum pixels of
    other runtimes. The budget is the processor's ``max_pixels`` from the model's own files; a server may set less.
    transformers and vLLM scale small images of Qwen3-VL up to 65,536 pixels, qwen-vl-utils does not.

    >>> [int(_qwen_smart_resize(1024, 1024, "auto", RuleArguments((28, most))).mid) for most in (12845056, 1003520)]
    [1369, 1225]
    """
    factor, most = arguments.numbers[:2]
    least = arguments.numbers[2] if len(arguments.numbers) > 2 else 4 * factor * factor
    basis = f"Qwen-VL's resize rule, max_pixels {most:,.0f}"
    floors = (least, *arguments.numbers[3:])
    found = sorted(
        float(int(wide // factor) * int(high // factor))
        for wide, high in (qwen_resized(width, height, factor, floor, most) for floor in floors)
    )
    if found[0] == found[-1]:
        return exact(found[0], basis)
    return between(found[0], found[-1], found[-1], f"{basis}; runtimes scale small images up differently")


def qwen_resized(width: float, height: float, factor: float, least: float, most: float) -> tuple[float, float]:
    """Return the size an image is resized to: sides multiples of ``factor``, pixels between ``least`` and ``most``."""
    wide, high = max(factor, round(width / factor) * factor), max(factor, round(height / factor) * factor)
    if wide * high > most:
        shrink = math.sqrt(width * height / most)
        return (
            max(factor, math.floor(width / shrink / factor) * factor),
            max(factor, math.floor(height / shrink / factor) * factor),
        )
    if wide * high < least:
        grow = math.sqrt(least / (width * height))
        return math.ceil(width * grow / factor) * factor, math.ceil(height * grow / factor) * factor
    return wide, high


def _qwen_refusal(width: int, height: int, detail: str, arguments: RuleArguments) -> str:
    if max(width, height) <= _QWEN_LONGEST_SHAPE * min(width, height):
        return ""
    return f"more than {_QWEN_LONGEST_SHAPE} times as long as wide, which is refused"


# Pixtral and Mistral Small.
#
# Source: mistral-common 1.13, ``tokens/tokenizers/image.py``.


def _mistral_grid(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return ``(columns + 1) * rows`` of merged patches: each row ends with a break token, the last with an end token.

    Numbers: patch, merge, longest side.

    >>> int(_mistral_grid(1024, 1024, "auto", RuleArguments((16, 1, 1024))).mid), int(
    ...     _mistral_grid(1540, 1540, "auto", RuleArguments((14, 2, 1540))).mid)
    (4160, 3080)
    """
    patch, merge, longest = arguments.numbers
    ratio = max(height / longest, width / longest)
    if ratio > 1:
        width, height = max(1, round(width / ratio)), max(1, round(height / ratio))
    unit = patch * merge
    columns, rows = int((width - 1) // unit) + 1, int((height - 1) // unit) + 1
    return exact(float((columns + 1) * rows), "Mistral's patch rule")


# Images on a canvas of square tiles: which grid of tiles an image gets.


@cache
def _grids(most: int, least: int = 1) -> tuple[tuple[int, int], ...]:
    """Return every (columns, rows) with ``least`` to ``most`` tiles, fewest tiles first."""
    sides = range(1, most + 1)
    found = [(columns, rows) for columns in sides for rows in sides if least <= columns * rows <= most]
    return tuple(sorted(found, key=lambda grid: grid[0] * grid[1]))


def _images_of_tiles(tiles: int) -> int:
    """Return how many images a model sees: the tiles, plus the whole image if there are several tiles."""
    return tiles + 1 if tiles > 1 else 1


def _least_scaling(width: int, height: int, tile: float, most: int) -> tuple[int, int]:
    """Return the grid that needs the least upscaling, or the least downscaling if all grids require it.

    Of several with the same scale, the one with fewest tiles. Source: transformers 5.24, ``get_optimal_tiled_canvas``
    of mllama and cohere2_vision, and ``get_best_fit`` of llama4, which do the same.

    >>> _least_scaling(1024, 1024, 560, 4), _least_scaling(336, 336, 336, 16)
    ((2, 2), (1, 1))
    """
    up: tuple[float, tuple[int, int]] | None = None
    down: tuple[float, tuple[int, int]] = (0.0, (1, 1))
    for grid in _grids(most):
        scale = min(grid[0] * tile / width, grid[1] * tile / height)
        if scale >= 1:
            if up is None or scale < up[0]:
                up = (scale, grid)
        elif scale > down[0]:
            down = (scale, grid)
    return (up or down)[1]


def _nearest_shape(width: int, height: int, tile: float, most: int, least: int = 1) -> tuple[int, int]:
    """Return the grid whose aspect ratio is nearest to the image's.

    Of two equally near, the larger one if the image fills more than half of it. Source: transformers 5.24,
    ``get_optimal_tiled_canvas`` of got_ocr2, which InternVL uses.

    >>> _nearest_shape(896, 448, 448, 12), _nearest_shape(448, 448, 448, 12)
    ((2, 1), (1, 1))
    """
    shape, area = width / height, width * height
    best, nearest = (1, 1), float("inf")
    for grid in _grids(most, least):
        distance = abs(shape - grid[0] / grid[1])
        if distance < nearest:
            best, nearest = grid, distance
        elif distance == nearest and area > 0.5 * tile * tile * grid[0] * grid[1]:
            best = grid
    return best


# Llama's images: 560-pixel tiles outside the prompt (3.2 Vision), 336-pixel tiles inside it (4).


def _llama32_tiles(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return 1,601 tokens per 560-pixel tile, at most four tiles.

    Numbers: tokens per tile, tile, maximum tiles. Hosts bill whole tiles of a grid of at most 2 x 2 (Together's
    documentation: an image that is wider or taller than a tile counts another); the model's own processor (transformers
    5.24, mllama) scales the image up to the next canvas. If the two differ, the range covers both. On a local machine
    the tokens are in the cache of the cross attention, and the prompt has one token.

    >>> [_llama32_tiles(*size, "auto", RuleArguments((1601, 560, 4))).mid
    ...     for size in ((560, 560), (600, 500), (1120, 1120))]
    [1601.0, 3202.0, 6404.0]
    """
    tile_tokens, tile, most = arguments.numbers

    def side(pixels: int) -> int:
        return min(2, math.ceil(pixels / tile))

    hosted = float(tile_tokens * side(width) * side(height))
    columns, rows = _least_scaling(width, height, tile, int(most))
    own = float(tile_tokens * columns * rows)
    if hosted == own:
        return exact(own, "Llama 3.2's tiles")
    return between(min(hosted, own), hosted, max(hosted, own), "Llama 3.2's tiles; hosts and processor cut differently")


def _llama4_tiles(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return 144 tokens per 336-pixel tile of the canvas, plus one tile of the whole image if there are several.

    Numbers: tokens per tile, tile, maximum tiles. Tile separators are not counted.
    Source: transformers 5.24, llama4 processors.

    >>> int(_llama4_tiles(336, 336, "auto", RuleArguments((144, 336, 16))).mid), int(
    ...     _llama4_tiles(672, 672, "auto", RuleArguments((144, 336, 16))).mid)
    (144, 720)
    """
    tile_tokens, tile, most = arguments.numbers
    columns, rows = _least_scaling(width, height, tile, int(most))
    return exact(tile_tokens * _images_of_tiles(columns * rows), "Llama 4's tiles")


# SmolVLM and Idefics3: the image is scaled up to a longest side and cut into tiles; the whole image is added.
#
# Source: transformers 5.24, smolvlm and idefics3 image processors.


_IDEFICS_LONGEST_SIDE = 4096


def _idefics_tiles(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return the tokens of the tiles and of the whole image; ``low`` is without splitting. Row markers are not counted.

    Numbers: tile, longest side, tokens per tile.

    >>> smol = RuleArguments((512, 2048, 64))
    >>> int(_idefics_tiles(256, 256, "auto", smol).mid), int(_idefics_tiles(256, 256, "low", smol).mid)
    (1088, 64)
    """
    tile, longest, tile_tokens = arguments.numbers
    if detail == "low":
        return exact(tile_tokens, "one image, not split")
    wide, high = _idefics_scaled(width, height, int(longest))
    across, down = math.ceil(wide / tile), math.ceil(high / tile)
    count = across * down
    return exact(
        tile_tokens * _images_of_tiles(count), f"tiles of {tile:g} after scaling to {longest:g}, and the whole"
    )


def _idefics_scaled(width: int, height: int, longest: int) -> tuple[int, int]:
    """Scale the long side to ``longest`` and the other to an even number, neither above ``_IDEFICS_LONGEST_SIDE``."""
    shape = width / height
    if width >= height:
        wide, high = longest, int(longest / shape)
        high += high % 2
    else:
        wide, high = int(longest * shape), longest
        wide += wide % 2
    wide, high = max(wide, 1), max(high, 1)
    if max(wide, high) <= _IDEFICS_LONGEST_SIDE:
        return wide, high
    shape = wide / high
    return (
        (_IDEFICS_LONGEST_SIDE, max(1, int(_IDEFICS_LONGEST_SIDE / shape)))
        if wide >= high
        else (max(1, int(_IDEFICS_LONGEST_SIDE * shape)), _IDEFICS_LONGEST_SIDE)
    )


# InternVL: tiles of 448 pixels in the grid of nearest shape, and a thumbnail if there are several.
#
# Source: transformers 5.24, internvl processor with the got_ocr2 image processor.


def _internvl_tiles(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return the tokens of InternVL's tiles. ``low`` is one tile.

    Numbers: tokens per tile, tile, maximum tiles.

    >>> [int(_internvl_tiles(*size, "auto", RuleArguments((256, 448, 12))).mid)
    ...     for size in ((448, 448), (896, 448), (1344, 896))]
    [256, 768, 1792]
    """
    tile_tokens, tile, most = arguments.numbers
    if detail == "low":
        return exact(tile_tokens, "one tile")
    columns, rows = _nearest_shape(width, height, tile, int(most))
    return exact(tile_tokens * _images_of_tiles(columns * rows), "InternVL's tiles")


# LLaVA-NeXT (1.6): the whole image, and the unpadded grid of the best resolution with a newline per row.
#
# LLaVA-1.5 is ``fixed:576``. Source: transformers 5.24, llava_next processor.


LLAVA_TILE, LLAVA_PATCH = 336, 14
_LLAVA_RESOLUTIONS = ((672, 336), (336, 672), (672, 672), (336, 1008), (1008, 336))  # width, height


def _llava_next_grid(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return the tokens of LLaVA-NeXT's grid, between 1,176 and 2,928 depending on the shape.

    >>> int(_llava_next_grid(1000, 1000, "auto", RuleArguments()).mid), int(
    ...     _llava_next_grid(672, 336, "auto", RuleArguments()).mid)
    (2928, 1752)
    """
    wide, high = _llava_resolution(width, height)
    across, down = LLAVA_TILE // LLAVA_PATCH * (wide // LLAVA_TILE), LLAVA_TILE // LLAVA_PATCH * (high // LLAVA_TILE)
    if width / height > across / down:
        used = int(round(height * (across / width), 7))
        down -= (down - used) // 2 * 2
    else:
        used = int(round(width * (down / height), 7))
        across -= (across - used) // 2 * 2
    overview_tokens = (LLAVA_TILE // LLAVA_PATCH) ** 2
    return exact(float(overview_tokens + across * down + down), "LLaVA-NeXT's grid")


def _llava_resolution(width: int, height: int) -> tuple[int, int]:
    """Return the resolution that keeps most pixels, and of several the one that wastes fewest."""
    best, most_pixels, wasted = _LLAVA_RESOLUTIONS[0], -1, 0
    for wide, high in _LLAVA_RESOLUTIONS:
        scale = min(wide / width, high / height)
        used = min(int(width * scale) * int(height * scale), width * height)
        waste = wide * high - used
        if used > most_pixels or (used == most_pixels and waste < wasted):
            best, most_pixels, wasted = (wide, high), used, waste
    return best


# Cohere's images.
#
# Sources: transformers 5.24, cohere2_vision and aya_vision processors. A host of Command A Vision states about 1,610
# tokens for an image of 512 x 512 (Oracle, model page), more than the processors give, so counts are ranges.


_COHERE_HOSTED_TOKENS = 1_610.0


def _command_a_tiles(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return the tokens of Command A Vision: 256 per 512-pixel tile and a line break for each.

    A thumbnail is added if there are several tiles. Numbers: tokens per tile, tile, maximum tiles.

    >>> found = _command_a_tiles(1024, 1024, "auto", RuleArguments((256, 512, 12)))
    >>> int(found.low), int(found.mid), int(found.high)
    (1287, 1287, 1610)
    """
    tile_tokens, tile, most = arguments.numbers
    columns, rows = _least_scaling(width, height, tile, int(most))
    count = columns * rows
    if detail == "low":
        count = 1
    found = 2 + (tile_tokens + 1) * _images_of_tiles(count)
    return between(
        found, found, max(found, _COHERE_HOSTED_TOKENS), "Cohere's tiles; a host states more for a small image"
    )


def _aya_tiles(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return 169 tokens per 364-pixel tile of Aya Vision, and a thumbnail if there are several.

    >>> int(_aya_tiles(364, 364, "auto", RuleArguments((169, 364, 12))).mid)
    169
    """
    tile_tokens, tile, most = arguments.numbers
    columns, rows = _nearest_shape(width, height, tile, int(most))
    return exact(tile_tokens * _images_of_tiles(columns * rows), "Aya Vision's tiles")


# Grok's images.
#
# Source: secondary (descriptions of xAI's documentation), so the count is a range and never exact.


_GROK_MOST_TILES = 6


def _grok_tiles(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return ``(tiles + 1) * 256`` of 448-pixel tiles. Numbers: tokens per tile, tile.

    >>> int(_grok_tiles(448, 448, "auto", RuleArguments((256, 448))).mid)
    512
    """
    tile_tokens, tile = arguments.numbers
    count = min(_GROK_MOST_TILES, math.ceil(width / tile) * math.ceil(height / tile))
    return between(
        tile_tokens,
        tile_tokens * (count + 1),
        tile_tokens * (_GROK_MOST_TILES + 1),
        "Grok's tiles, by secondary sources",
    )


UNKNOWN_RULE = "no published rule for this model's images"
DETAILS = ("auto", "low", "medium", "high", "ultra", "original")


def latent(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return 0 tokens for diffusion models, which encode an input image into a latent."""
    return exact(0.0, "made latent, which is no tokens")


def fixed_tokens(width: int, height: int, detail: str, arguments: RuleArguments) -> Quantity:
    """Return a fixed count per image (LLaVA-1.5 576, Gemma 3n 256, a small encoder 16). Numbers: tokens."""
    return exact(arguments.numbers[0], "fixed by the model")


def _unknown_image_tokens(width: int, height: int) -> Quantity:
    """Return the range over the published families: from one low-detail tile to uncut 28-pixel patches."""
    high = min(16_384.0, max(2_500.0, math.ceil(width / 28) * math.ceil(height / 28)))
    mid = min(1_600.0, max(256.0, width * height / 750))
    return between(64.0, math.ceil(min(mid, high)), high, UNKNOWN_RULE)


_OPENAI = ("auto", "low", "high", "original")
_LEVELS = ("auto", "low", "medium", "high", "ultra")
IMAGE_RULES: dict[str, ImageRule] = {  # name -> function, minimum and maximum count of numbers, details, checks
    "openai_tile": ImageRule(_openai_tiles, 2, 3, _OPENAI, _openai_tile_refusal, _is_openai_rounding),
    "openai_drawing": ImageRule(_openai_drawing_input, 4, 4, ("auto", "low", "high")),
    "openai_patch": ImageRule(_openai_one_budget, 3, 3, _OPENAI),
    "openai_levels": ImageRule(_openai_detail_levels, 1, 1, _OPENAI, _openai_levels_refusal, _are_openai_levels),
    "anthropic": ImageRule(_anthropic_cells, 2, 2, refuses=_anthropic_refusal),
    "gemini_tile": ImageRule(_gemini_crops, 1, 3, _LEVELS),
    "gemini_budget": ImageRule(gemini_budget, 4, 4, _LEVELS),
    "gemma3": ImageRule(gemma3, 1, 1),
    "gemma4": ImageRule(gemma4, 4, 4, _LEVELS),
    "qwen": ImageRule(_qwen_smart_resize, 2, 4, refuses=_qwen_refusal),
    "mistral": ImageRule(_mistral_grid, 3, 3),
    "llama32": ImageRule(_llama32_tiles, 3, 3),
    "llama4": ImageRule(_llama4_tiles, 3, 3),
    "idefics": ImageRule(_idefics_tiles, 3, 3),
    "internvl": ImageRule(_internvl_tiles, 3, 3),
    "llava_next": ImageRule(_llava_next_grid, 0, 0),
    "cohere": ImageRule(_command_a_tiles, 3, 3),
    "aya": ImageRule(_aya_tiles, 3, 3),
    "grok": ImageRule(_grok_tiles, 2, 2),
    "fixed": ImageRule(fixed_tokens, 1, 1),
    "latent": ImageRule(latent, 0, 0),
}


@lru_cache(maxsize=2_048)
def image_tokens(rule: str, width: int, height: int, detail: str = "auto") -> Quantity:
    """Return the tokens of one image of ``width`` x ``height`` pixels under a named rule.

    An unknown rule, or one with invalid numbers, gives the wide range. An image that would be refused is counted as if
    it were accepted; ``image_refusal`` gives the reason.
    """
    found = _family(rule)
    if found is None or width <= 0 or height <= 0:
        return _unknown_image_tokens(max(1, width), max(1, height))
    family, arguments = found
    supported_detail = detail if not family.details or detail in family.details else "auto"
    return family.tokens(width, height, supported_detail, arguments)


def image_refusal(rule: str, width: int, height: int, detail: str = "auto") -> str:
    """Return why an image would be refused under its rule, as far as published; "" if it would not."""
    found = _family(rule)
    if found is None:
        return ""
    family, arguments = found
    if family.details and detail not in family.details:
        return f"its images have no detail {detail!r}, they have {', '.join(family.details)}"
    return family.refuses(width, height, detail, arguments) if family.refuses is not None else ""


def is_image_rule(rule: str) -> bool:
    """Return whether a rule string is valid."""
    return _family(rule) is not None


def _family(rule: str) -> tuple[ImageRule, RuleArguments] | None:
    read = parse_rule(rule)
    family = IMAGE_RULES.get(read[0]) if read is not None else None
    if read is None or family is None:
        return None
    arguments = read[1]
    if not family.least <= len(arguments.numbers) <= family.most or any(number <= 0 for number in arguments.numbers):
        return None
    return (family, arguments) if family.are_words_valid(arguments) else None


# Output tokens of a generated image, by the named rule of its family.
#
# ``table:gpt-image-1``: by size and quality, from a table; ``table:A:B`` if two published tables differ.
# ``each:1290``: the same for every image. ``pixels:6000000:1120:24000000:2000``: 1,120 tokens up to 6,000,000 pixels,
# 2,000 up to 24,000,000.


QUALITIES = ("low", "medium", "high")

# (width, height) -> tokens by quality. gpt-image-1: OpenAI, "Image generation" guide, and consistent with its prices
# per image. gpt-image-2: measurements, which follow no formula: a larger image can take fewer tokens.
_TABLES: dict[str, dict[tuple[int, int], tuple[float | None, float | None, float | None]]] = {
    "gpt-image-1": {
        (1024, 1024): (272.0, 1056.0, 4160.0),
        (1024, 1536): (408.0, 1584.0, 6240.0),
        (1536, 1024): (400.0, 1568.0, 6208.0),
    },
    # From its prices per image ($0.005, $0.011, $0.036) at $8 per million: more tokens than in the guide's table.
    "gpt-image-1-mini": {
        (1024, 1024): (625.0, 1375.0, 4500.0),
        (1024, 1536): (750.0, 1875.0, 6500.0),
        (1536, 1024): (750.0, 1875.0, 6500.0),
    },
    "gpt-image-2": {(1024, 1024): (None, None, 7024.0), (1536, 1024): (None, None, 5488.0)},
}


def generated_image_tokens(rule: str, width: int, height: int, quality: str) -> Quantity:
    """Return the tokens of one generated image; unknown if no table has its size and quality.

    >>> int(generated_image_tokens("table:gpt-image-1", 1024, 1024, "high").mid)
    4160
    """
    name, _, rest = rule.partition(":")
    if name == "each":
        read = parse_rule(rule)
        if read is not None and len(read[1].numbers) == 1:
            return exact(read[1].numbers[0], "the same for every image")
    if name == "pixels" and is_generated_image_rule(rule):
        return _by_pixels(rule, width, height)
    tables = [_TABLES[each] for each in rest.split(":")] if name == "table" and is_generated_image_rule(rule) else []
    if not tables:
        return unknown("no published rule for images that this model makes")
    found = [table.get((width, height), (None, None, None))[QUALITIES.index(quality)] for table in tables]
    counts = [tokens for tokens in found if tokens is not None]
    if len(counts) < len(tables):
        return unknown(f"no table of this model has {width}x{height} at {quality} quality")
    if len(counts) == 1:
        return exact(counts[0], "a table by size and quality")
    return between(min(counts), counts[0], max(counts), "two tables by size and quality, which differ")


def _by_pixels(rule: str, width: int, height: int) -> Quantity:
    read = parse_rule(rule)
    numbers = read[1].numbers if read is not None else ()
    for most, tokens in zip(numbers[::2], numbers[1::2], strict=True):
        if width * height <= most:
            return exact(tokens, "by its size")
    return unknown(f"no image of this model is as large as {width}x{height}")


def is_generated_image_rule(rule: str) -> bool:
    """Return whether a rule string for generated images is valid."""
    name, _, rest = rule.partition(":")
    read = parse_rule(rule)
    if name == "table":
        return all(each in _TABLES for each in rest.split(":"))
    numbers = read[1].numbers if read is not None else ()
    return len(numbers) == 1 if name == "each" else name == "pixels" and len(numbers) > 0 and len(numbers) % 2 == 0
