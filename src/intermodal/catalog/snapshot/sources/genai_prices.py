"""Read the prices in the wheel of ``genai-prices``: per provider, models with dated prices and the names they match.

The wheel has no data file: its data is one Python module that builds objects. It is parsed, never run: the reader
accepts only calls of a few known names with literal arguments.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from functools import cached_property
from typing import Any

from intermodal.catalog.rate_cards import UNITS, Rate, RateCard
from intermodal.errors import ConfigError

MEMBER = "genai_prices/data.py"
_TODO = "a newer intermodal may read it: pip install -U intermodal"
_COMPACT_DATE = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


_CONSTRUCTOR_NAMES = frozenset({
    "Provider", "ModelInfo", "ModelPrice", "TieredPrices", "Tier", "ConditionalPrice", "PriceVariant",
    "StartDateConstraint", "TimeOfDateConstraint", "UsageExtractor", "UsageExtractorMapping", "ArrayMatch",
    "ClauseEquals", "ClauseStartsWith", "ClauseEndsWith", "ClauseContains", "ClauseRegex", "ClauseOr", "ClauseAnd",
})  # fmt: skip


class ParsedCall(dict[str, Any]):
    """A parsed call: its name and its keyword arguments."""

    def __init__(self, name: str, arguments: dict[str, Any]) -> None:
        super().__init__(arguments)
        self.name = name


class GenaiPricesModel:
    """A model with its prices."""

    def __init__(self, provider: str, call: ParsedCall) -> None:
        self.provider = provider
        self.id: str = call["id"]
        self.title: str = call.get("name") or call["id"]
        self.context: int | None = call.get("context_window")
        self._parsed_call = call

    def matches_name(self, name: str) -> bool:
        return _matches(self._parsed_call["match"], name)

    @cached_property
    def vectors(self) -> tuple[RateCard, ...]:
        """Its prices in the order of the data; conditional prices follow the standard ones."""
        prices = self._parsed_call["prices"]
        standard = prices if isinstance(prices, list) else [ParsedCall("ConditionalPrice", {"prices": prices})]
        found = [_vector(each["prices"], each.get("constraint"), {}) for each in standard]
        for variant in self._parsed_call.get("price_variants") or ():
            found.append(_vector(variant["prices"], variant.get("constraint"), dict(variant["when"])))
        return tuple(each for each in found if each.units)

    @property
    def units(self) -> Iterator[str]:
        """Every unit it is priced in, including those that ``UNITS`` lacks."""
        prices = self._parsed_call["prices"]
        standard = prices if isinstance(prices, list) else [{"prices": prices}]
        for each in (*standard, *(self._parsed_call.get("price_variants") or ())):
            yield from (unit for unit, value in each["prices"].items() if value is not None)


class GenaiPrices:
    """All providers of the data."""

    def __init__(self, providers: list[ParsedCall]) -> None:
        self.models: dict[str, list[GenaiPricesModel]] = {
            provider["id"]: [GenaiPricesModel(provider["id"], model) for model in provider["models"]]
            for provider in providers
        }
        self._fallbacks: dict[str, list[str]] = {
            provider["id"]: list(provider.get("fallback_model_providers") or ()) for provider in providers
        }

    @cached_property
    def unknown_units(self) -> tuple[str, ...]:
        """The units that intermodal does not know; counts in them stay unpriced."""
        found = {unit for models in self.models.values() for model in models for unit in model.units}
        return tuple(sorted(found - UNITS.keys()))

    def find(self, provider: str, name: str) -> GenaiPricesModel | None:
        """Return the provider's model with this name, or a fallback provider's, by the data's own matching rules."""
        lower = name.lower()
        dashed = _COMPACT_DATE.sub(r"-\1-\2-\3", lower)
        for called in dict.fromkeys((lower, dashed)):
            for each in (provider, *self._fallbacks.get(provider, ())):
                found = next((model for model in self.models.get(each, ()) if model.matches_name(called)), None)
                if found is not None:
                    return found
        return None


def read_genai_prices(text: str) -> GenaiPrices:
    """Read the module's text. Raises ConfigError if it does not have the expected structure."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise ConfigError(f"is not what genai-prices used to be ({error})", where=MEMBER, todo=_TODO) from None
    for node in module.body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "providers" and node.value is not None:
            return GenaiPrices(_value(node.value))
    raise ConfigError("has no list of providers", where=MEMBER, todo=_TODO)


def _value(node: ast.expr) -> Any:
    """Return a literal, a list, a dict, or a call of a known name whose arguments are such values."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(each) for each in node.elts]
    if isinstance(node, ast.Dict):
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values, strict=True) if key}
    if isinstance(node, ast.Call):
        return _call(ast.unparse(node.func), [_value(each) for each in node.args], node.keywords)
    if isinstance(node, ast.Attribute):  # only datetime.timezone.utc occurs
        return ast.unparse(node)
    raise ConfigError(f"holds something that is not data at line {node.lineno}", where=MEMBER, todo=_TODO)


def _call(name: str, arguments: list[Any], keywords: list[ast.keyword]) -> Any:
    if name == "Decimal":
        return Decimal(arguments[0])
    if name == "datetime.date":
        return f"{arguments[0]:04d}-{arguments[1]:02d}-{arguments[2]:02d}"
    if name == "datetime.time":
        return int(arguments[0]) * 60 + (int(arguments[1]) if len(arguments) > 1 else 0)
    if name not in _CONSTRUCTOR_NAMES:
        raise ConfigError(f"builds {name}, which nobody here knows", where=MEMBER, todo=_TODO)
    return ParsedCall(name, {each.arg or "": _value(each.value) for each in keywords})


def _matches(clause: ParsedCall, name: str) -> bool:
    (word,) = clause.values()
    if isinstance(word, list):
        return (any if clause.name == "ClauseOr" else all)(_matches(each, name) for each in word)
    tests: dict[str, Callable[[], bool]] = {
        "ClauseEquals": lambda: name == word.lower(),
        "ClauseStartsWith": lambda: name.startswith(word.lower()),
        "ClauseEndsWith": lambda: name.endswith(word.lower()),
        "ClauseContains": lambda: word.lower() in name,
        "ClauseRegex": lambda: re.search(word, name) is not None,
    }
    if clause.name not in tests:
        raise ConfigError(f"matches names by {clause.name}, which nobody here knows", where=MEMBER, todo=_TODO)
    return tests[clause.name]()


def _vector(prices: ParsedCall, constraint: ParsedCall | None, when: dict[str, str]) -> RateCard:
    hours: tuple[int, ...] = ()
    since = ""
    if constraint is not None:
        since = constraint.get("start_date", "")
        if "start_time" in constraint:
            hours = (constraint["start_time"], constraint["end_time"])
    return RateCard(units=dict(_units(prices.items())), since=since, hours=hours, when=when)


def _units(prices: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, Rate]]:
    for unit, value in prices:
        if value is None or unit not in UNITS:
            continue
        if isinstance(value, ParsedCall):
            yield unit, ((0, float(value["base"])), *((step["start"], float(step["price"])) for step in value["tiers"]))
        else:
            yield unit, float(value)
