"""Answers of models that are not quite JSON: how many each parser recovers, and how often it makes something up.

Ten answers, each damaged in 23 ways. Of 18 ways the answer that was meant is known, and a parser that refuses loses
it; of five nothing may be returned, since what was meant does not stand there. Ours is what ``ask`` does before it asks
again. Beside it: Python's own reader, json-repair, and BAML's parser, as far as they are installed. The damages were
written by whoever wrote our parser.

    python benchmarks/damaged_answers.py
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import time
from collections.abc import Callable
from typing import Any

import report

from intermodal.executor.outputs import json_answer
from intermodal.json_schema import StepBudget

CURRENCIES = ["EUR", "USD", "CHF"]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "number": {"type": "string"}, "total": {"type": "number"}, "count": {"type": "integer"},
        "paid": {"type": "boolean"}, "currency": {"enum": CURRENCIES},
        "lines": {"type": "array", "items": {"type": "string"}}, "note": {"type": "string"},
    },
    "required": ["number", "total", "count", "paid", "currency", "lines", "note"],
    "additionalProperties": False,
}  # fmt: skip
ANSWERS: list[dict[str, Any]] = [
    {
        "number": f"INV-{2000 + place}", "total": 12.5 + 7.25 * place, "count": place + 2, "paid": place % 2 == 0,
        "currency": CURRENCIES[place % 3], "lines": ["bolts", "a 5 mm drill", f"box {place}"][: 1 + place % 3],
        "note": ["due in May", "it's late: 3 %", "see [2] and {x}", "größer, 東京", ""][place % 5],
    }
    for place in range(10)
]  # fmt: skip
Damage = Callable[[dict[str, Any]], str]


def _written(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _line_of(value: dict[str, Any], name: str, instead: str) -> str:
    """The answer with another value of a member, as it is written."""
    return re.sub(
        rf'"{name}": [^\n]*?(,?)\n', lambda found: f'"{name}": {instead}{found[1]}\n', _written(value), count=1
    )


RECOVERED: dict[str, Damage] = {
    "in a fence of code": lambda value: f"```json\n{_written(value)}\n```",
    "a fence within prose": lambda value: f"Here it is:\n\n```\n{_written(value)}\n```\n\nAnything else?",
    "prose before": lambda value: f"The invoice says: {_written(value)}",
    "prose behind": lambda value: f"{_written(value)}\nI took the total from the last line.",
    "a comma at the end": lambda value: _written(value)[:-2] + ",\n}",
    "a comma at the end of a list": lambda value: re.sub(r"\n  \]", ",\n  ]", _written(value), count=1),
    "comments": lambda value: _written(value).replace(",\n", ",  // as printed\n", 2),
    "single quotes": lambda value: repr({**value, "note": value["note"].replace("'", "")}).replace("'", "'"),
    "names without quotes": lambda value: re.sub(r'^  "(\w+)":', r"  \1:", _written(value), flags=re.MULTILINE),
    "words of Python": lambda value: _line_of(value, "paid", str(value["paid"])),
    "a line break in a text": lambda value: _line_of(value, "note", '"two\nlines"'),
    "commas missing at line ends": lambda value: _written(value).replace('",\n  "', '"\n  "'),
    "a word of a list in other capitals": lambda value: _line_of(value, "currency", f'"{value["currency"].lower()}"'),
    "a number in quotes": lambda value: _line_of(value, "total", f'"{value["total"]}"'),
    "one value where a list is asked for": lambda value: json.dumps({**value, "lines": value["lines"][0]}),
    "prose with braces before": lambda value: f"In {{my}} view [1] it is:\n{_written(value)}",
    "quotes within a text": lambda value: _line_of(value, "note", '"a "5 mm" drill"'),
    "the same twice": lambda value: f"{_written(value)}\n{_written(value)}",
}
REFUSED: dict[str, Damage] = {
    "cut in the middle": lambda value: _written(value)[: len(_written(value)) // 2],
    "cut before its end": lambda value: _written(value).rstrip("}").rstrip(),
    "two answers that differ": lambda value: f"{_written(value)}\n{_written({**value, 'total': 1.0})}",
    "a number in words": lambda value: _line_of(value, "total", '"twelve fifty"'),
    "a word that is not in the list": lambda value: _line_of(value, "currency", '"pounds"'),
}


def _meant(damage: str, value: dict[str, Any]) -> dict[str, Any]:
    if damage == "single quotes":
        return {**value, "note": value["note"].replace("'", "")}
    if damage == "a line break in a text":
        return {**value, "note": "two\nlines"}
    if damage == "quotes within a text":
        return {**value, "note": 'a "5 mm" drill'}
    if damage == "one value where a list is asked for":
        return {**value, "lines": value["lines"][:1]}
    return value


def _ours(text: str) -> Any:
    found = json_answer.parse(text, SCHEMA, StepBudget(1_000_000))
    if found.problem:
        raise ValueError(found.problem)
    return found.data


def _python(text: str) -> Any:
    return _checked(json.loads(text))


def _checked(data: Any) -> Any:
    """What a parser without a schema returns, held against it."""
    from intermodal.json_schema import cached_schema

    if (violation := cached_schema(SCHEMA, StepBudget(1_000_000)).violation(data, StepBudget(1_000_000))) is not None:
        raise ValueError(str(violation))
    return data


def _json_repair() -> Callable[[str], Any]:
    library = importlib.import_module("json_repair")
    return lambda text: _checked(library.loads(text))


BAML = """
enum Currency { EUR
USD
CHF
}
class Invoice {
  number string
  total float
  count int
  paid bool
  currency Currency
  lines string[]
  note string
}
function Read(text: string) -> Invoice {
  client "openai/none"
  prompt #"{{ text }}"#
}
"""


def _baml() -> Callable[[str], Any]:
    from intermodal.prompts.baml.runtime import BamlRuntime

    runtime = BamlRuntime({"main.baml": BAML})
    return lambda text: runtime.parse("Read", text)


PARSERS: dict[str, Callable[[], Callable[[str], Any]]] = {
    "intermodal": lambda: _ours, "json (Python)": lambda: _python, "json-repair": _json_repair, "BAML": _baml,
}  # fmt: skip


def measured(parse: Callable[[str], Any]) -> tuple[dict[str, str], float]:
    """By damage what became of ten answers, as "right/wrong" counts, and microseconds an answer."""
    found: dict[str, str] = {}
    began, count = time.process_time(), 0
    for damage, make in {**RECOVERED, **REFUSED}.items():
        right = wrong = 0
        for value in ANSWERS:
            count += 1
            try:
                made = parse(make(value))
            except Exception:
                right += damage in REFUSED
                continue
            same = made == _meant(damage, value)
            right += damage in RECOVERED and same
            wrong += damage in REFUSED or not same
        found[damage] = f"{right}" + (f" ({wrong} made up)" if wrong else "")
    return found, (time.process_time() - began) / count * 1e6


def main() -> None:
    results: dict[str, tuple[dict[str, str], float]] = {}
    for name, make in PARSERS.items():
        try:
            results[name] = measured(make())
        except ImportError as error:
            print(f"{name}: not measured, {error}", file=sys.stderr)
    names = list(results)
    rows = []
    for damage in (*RECOVERED, *REFUSED):
        words = f"{damage}: nothing may be returned" if damage in REFUSED else damage
        rows.append([words, *(results[name][0][damage] for name in names)])
    sums = [sum(int(cell.split(" ")[0]) for cell in results[name][0].values()) for name in names]
    rows.append([f"**right of {10 * len(rows)}**", *(f"**{each}**" for each in sums)])
    rows.append(["microseconds of the processor an answer", *(f"{results[name][1]:.0f}" for name in names)])
    about = (__doc__ or "").partition("\n\n    python")[0]
    report.write("damaged_answers", "Damaged answers", f"{about}\n\n{report.table(['10 answers each', *names], rows)}")


if __name__ == "__main__":
    main()
