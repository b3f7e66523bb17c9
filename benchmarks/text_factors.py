"""Fit the tokens that vocabularies make of each script, and say how far the estimate is off on other texts.

``python benchmarks/text_factors.py FOLDER`` reads texts and real tokenizers out of packages unpacked in FOLDER
(``text_sources.py`` lists them), fits one factor per vocabulary and script on one half of the sources, and writes
``src/intermodal/cost_model/text_factors.py`` and ``benchmarks/results/text_factors.md``. The texts that are reported on
are of other sources than those that were fitted on: other authors, other subjects. Needs numpy, regex, tiktoken and
tokenizers.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from text_sources import Sample, counters, samples

from intermodal.media.text.script_counts import NAMES, count_scripts

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "src" / "intermodal" / "cost_model" / "text_factors.py"
REPORT = Path(__file__).parent / "results" / "text_factors.md"

# The vocabularies of which an unknown model's may be like any.
LIKELY = (
    "claude3",
    "claude4.7",
    "gemma3",
    "llama3",
    "qwen3",
    "qwen3.5",
    "deepseek3",
    "tekken",
    "o200k_base",
    "command-r",
)
# The same of a model whose weights are here: no vendor's own that nobody else has.
OPEN = (
    "gemma2", "gemma3", "llama2", "llama3", "llama4", "qwen3", "qwen3.5", "deepseek3", "tekken", "o200k_base",
    "command-r",
)  # fmt: skip
# Languages that requests are mostly in weigh more than the hundred others.
WEIGHT = {
    "en": 6, "de": 4, "fr": 4, "es": 4, "it": 3, "pt": 3, "nl": 3, "pl": 3, "ru": 6, "uk": 3, "cs": 2, "sv": 2, "tr": 3,
    "vi": 3, "id": 3, "hu": 2, "fi": 2, "ja": 4, "zh": 5, "ko": 4, "ar": 4, "fa": 2, "hi": 3, "el": 2, "he": 2,
    "code": 6, "en words": 8,
}  # fmt: skip
RARE = 0.4  # any other language
WIDEST, NARROWEST = (0.4, 2.5), (0.76, 1.33)  # of a script's range, times its factor
TAIL = 0.005  # of the fitted texts beyond a range at either end
STANDS_FOR = {"oriya": "gurmukhi"}  # a script of which there is no text, and one that vocabularies treat alike
MARGIN = 1.03  # under the least and over the most of the vocabularies that an unknown one may be like
Array = Any


def matrix(texts: list[Sample]) -> Array:
    """A row of units by script for each text."""
    rows = [dict(count_scripts(each.text)) for each in texts]
    return np.array([[row.get(name, 0) for name in NAMES] for row in rows], float)


def weights(texts: list[Sample]) -> Array:
    """Each language by how much it matters, however many texts of it there are."""
    many = Counter(each.language for each in texts)
    return np.array([WEIGHT.get(each.language, RARE) / many[each.language] for each in texts])


def fitted(units: Array, tokens: Array, weight: Array) -> Array:
    """Factors of 0 and more that make the relative errors small, outliers counting less: least squares by
    coordinate descent, weighted anew four times."""
    rows, doubt = units / tokens[:, None], np.ones(len(tokens))
    found = np.full(units.shape[1], 0.5)
    for _ in range(5):
        scale = weight * doubt
        gram = (rows * scale[:, None]).T @ rows + 1e-6 * np.eye(units.shape[1])
        aim = rows.T @ scale
        for _ in range(400):
            for at in range(len(found)):
                found[at] = max(0.0, found[at] + (aim[at] - gram[at] @ found) / gram[at, at])
        doubt = 1 / np.maximum(np.abs(rows @ found - 1), 0.05)
    return found


def quantile(values: Array, weight: Array, share: float) -> float:
    order = np.argsort(values)
    at = np.cumsum(weight[order]) / weight.sum()
    return float(values[order][min(len(values) - 1, int(np.searchsorted(at, share)))])


def ranges(units: Array, tokens: Array, weight: Array, factors: Array) -> list[tuple[float, float, float]]:
    """Low, middle and high by script: from the texts that are mostly of it, together."""
    each = units * factors
    middle = each.sum(axis=1)
    ratio = tokens / np.maximum(middle, 1.0)
    found = []
    for at, factor in enumerate(factors):
        mostly = each[:, at] >= 0.5 * middle
        low, high = NARROWEST
        if mostly.sum() >= 3:
            low = min(low, 0.97 * quantile(ratio[mostly], weight[mostly], TAIL))
            high = max(high, 1.03 * quantile(ratio[mostly], weight[mostly], 1 - TAIL))
        found.append((factor * max(low, WIDEST[0]), factor, factor * min(high, WIDEST[1])))
    for script, other in STANDS_FOR.items():
        middle = found[NAMES.index(other)][1]
        found[NAMES.index(script)] = (middle * WIDEST[0], middle, middle * WIDEST[1])
    return found


def unknown(
    table: dict[str, list[tuple[float, float, float]]], likely: tuple[str, ...]
) -> list[tuple[float, float, float]]:
    """Factors of a vocabulary that nobody knows: the middle of the likely ones, from their least to their most."""
    found = []
    for each in zip(*(table[name] for name in likely), strict=True):
        middle = float(np.exp(np.mean([np.log(max(mid, 1e-3)) for _, mid, _ in each])))
        low, high = min(mid for _, mid, _ in each), max(mid for _, mid, _ in each)
        found.append((min(low / MARGIN, middle * NARROWEST[0]), middle, max(high * MARGIN, middle * NARROWEST[1])))
    return found


def written(table: dict[str, list[tuple[float, float, float]]], origins: dict[str, str]) -> str:
    """The module with the table."""
    lines = [
        '"""Tokens that vocabularies make of a unit of each script: fewest, typical, most. Made by',
        "``benchmarks/text_factors.py``, which fits them against the real tokenizers named beside each; the units are",
        'those of ``media/text/script_counts.py``. The vocabulary "" is one that nobody knows, from the least to the',
        "most of ten;",
        '"open" one that nobody knows of open weights, from the least to the most of eleven.',
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "Factors = dict[str, tuple[float, float, float]]",
        "",
        "FACTORS: dict[str, Factors] = {",
    ]
    for name, row in table.items():
        lines += [f'    "{name}": {{  # {origins[name]}']
        line = "       "
        for script, (low, mid, high) in zip(NAMES, row, strict=True):
            said = f' "{script}": ({low:.3g}, {mid:.3g}, {high:.3g}),'
            if len(line) + len(said) > 119:
                lines.append(line)
                line = "       "
            line += said
        lines += [line, "    },"]
    return "\n".join([*lines, "}  # fmt: skip", ""])


def before(text: str) -> tuple[float, float, float]:
    """The estimate as it was before there were scripts: words, figures and signs, by the same factor everywhere."""
    long, wide = 8, re.compile("[\u2e80-\U0010ffff]+")

    def weight(piece: str) -> float:
        if piece[0].isdigit() or piece[0] == "\n":
            return 1
        if not piece[0].isalpha():
            return (len(piece) + 1) / 2
        if not piece.isascii():
            dense = len(piece) - len(wide.sub("", piece))
            return dense * 1.8 + (1 + (len(piece) - dense) / 1.8 if dense < len(piece) else 0)
        return 1 + max(0, len(piece) - long) / 4 + (max(0, len(piece) - 2) / 3 if piece.isupper() else 0)

    count = round(sum(map(weight, re.findall(r"[^\W\d_]+|\d|[^\w\s]+|_+|\n+", text))))
    return max(1.0, count * 0.55), max(1.0, count * 1.03), max(1.0, count * 1.5)


def judged(found: list[tuple[float, float, float]], tokens: Array) -> tuple[float, float, float]:
    """Share inside the range, median q, median width of the range (high over low)."""
    inside = [low <= real <= high for (low, _, high), real in zip(found, tokens, strict=True)]
    errors = [max(mid / real, real / mid) for (_, mid, _), real in zip(found, tokens, strict=True)]
    return float(np.mean(inside)), median(errors), median(high / low for low, _, high in found)


def main(folder: Path) -> None:
    from intermodal.cost_model.tokens import text_tokens

    fit, held = samples(folder, held=False), samples(folder, held=True)
    count, origins = counters(folder)
    units, weight = matrix(fit), weights(fit)
    table: dict[str, list[tuple[float, float, float]]] = {}
    real: dict[str, Array] = {}
    for name, tokens_of in count.items():
        tokens = np.array([max(1, tokens_of(each.text)) for each in fit], float)
        table[name] = ranges(units, tokens, weight, fitted(units, tokens, weight))
        real[name] = np.array([max(1, tokens_of(each.text)) for each in held], float)
    table[""], origins[""] = unknown(table, LIKELY), f"of {len(LIKELY)} others"
    table["open"], origins["open"] = unknown(table, OPEN), f"of {len(OPEN)} others"
    TABLE.write_text(written(table, origins), "utf-8")

    import importlib

    from intermodal.cost_model import text_factors

    importlib.reload(text_factors)
    from intermodal.cost_model import tokens as cost_model

    cost_model.__dict__["FACTORS"] = text_factors.FACTORS  # made a moment ago
    cost_model.text_tokens.cache_clear()
    lines, by_script = [], defaultdict(list)
    old = [before(each.text) for each in held]
    for name in count:
        new = [levels(text_tokens(len(each.text), 0, count_scripts(each.text), name)) for each in held]
        any_ = [levels(text_tokens(len(each.text), 0, count_scripts(each.text))) for each in held]
        cells = [judged(which, real[name]) for which in (old, new, any_)]
        lines.append(f"| {name} | " + " | ".join(f"{a:.1%} | {b:.3f} | {c:.2f}" for a, b, c in cells) + " |")
        for each, one, then, tokens in zip(held, new, old, real[name], strict=True):
            by_script[each.script].append((then, one, tokens))
    REPORT.write_text(report(fit, held, lines, by_script, origins), "utf-8")


def levels(quantity: Any) -> tuple[float, float, float]:
    return quantity.low, quantity.mid, quantity.high


def report(fit: list[Sample], held: list[Sample], lines: list[str], by_script: Any, origins: dict[str, str]) -> str:
    """The results in words."""
    said = [
        "# Tokens of text without its vocabulary",
        "",
        "Made by `benchmarks/text_factors.py`: factors fitted on "
        f"{len(fit):,} texts ({sources(fit)}) and reported on {len(held):,} of other sources ({sources(held)}), "
        f"{len({each.language for each in held})} languages. *Inside*: share of the true counts within the range; *q*: "
        "median of the larger over the smaller of estimate and truth; *width*: median of the range's high over its "
        "low. *Before* is the one factor there was for all scripts and vocabularies; *unknown* the estimate for a "
        "model whose vocabulary nobody knows, held against this one.",
        "",
        "| vocabulary | before: inside | q | width | now: inside | q | width | unknown: inside | q | width |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *lines,
        "",
        "## By script, all vocabularies together",
        "",
        "| script | texts | before: inside | q | width | now: inside | q | width |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for script, found in sorted(by_script.items()):
        tokens = [each[2] for each in found]
        cells = [judged([each[at] for each in found], tokens) for at in (0, 1)]
        said.append(
            f"| {script} | {len(found) // len(lines)} | "
            + " | ".join(f"{a:.1%} | {b:.3f} | {c:.2f}" for a, b, c in cells)
            + " |"
        )
    every = [each for found in by_script.values() for each in found]
    cells = [judged([each[at] for each in every], [each[2] for each in every]) for at in (0, 1)]
    said.append(
        f"| **all** | {len(every) // len(lines)} | "
        + " | ".join(f"{a:.1%} | {b:.3f} | {c:.2f}" for a, b, c in cells)
        + " |"
    )
    said += ["", "## Tokenizers", "", *(f"* `{name}`: {origin}" for name, origin in origins.items() if name), ""]
    return "\n".join(said)


def sources(texts: list[Sample]) -> str:
    return ", ".join(f"{source} {count}" for source, count in Counter(each.source for each in texts).most_common())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
