"""The keywords of draft 2020-12, each compiled into a check of values.

A check counts its steps in advance. It stops at the first violation, except if it collects evaluated ``members``:
then every branch is evaluated.

Values are compared by the rules of JSON Schema (below); each value compared counts as a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import isfinite
from typing import Any, Protocol

from intermodal.json_schema.budget import DEPTH, StepBudget
from intermodal.json_schema.errors import Violation, nearest_violation
from intermodal.json_schema.patterns import Pattern
from intermodal.json_schema.references import Resource

# One compiled schema: its checks, and the members of a value that they evaluated.


class EvaluatedMembers:
    """The properties and items of one value that a matching schema evaluated, for ``unevaluated...``.

    ``items``: the number of leading items evaluated. ``indexes``: of other items.
    """

    __slots__ = ("all_items", "all_names", "indexes", "items", "names")

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.indexes: set[int] = set()
        self.items = 0
        self.all_names = self.all_items = False

    def add(self, other: EvaluatedMembers, budget: StepBudget) -> None:
        budget.spend(1 + len(other.names) + len(other.indexes))
        self.names |= other.names
        self.indexes |= other.indexes
        self.items = max(self.items, other.items)
        self.all_names = self.all_names or other.all_names
        self.all_items = self.all_items or other.all_items


Check = Callable[[Any, StepBudget, "EvaluatedMembers | None"], "Violation | None"]


class SchemaNode:
    """A schema with its checks, which are added after its creation.

    ``collects``: it has an ``unevaluated...`` keyword. ``scoped``: its result depends on the path of references to it.
    """

    __slots__ = ("checks", "collects", "resource", "scoped")

    def __init__(self, resource: Resource, *, collects: bool = False) -> None:
        self.checks: list[Check] = []
        self.collects = collects
        self.resource = resource
        self.scoped = False

    def apply(self, value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        """Return the first violation of a value; None if the value is valid.

        ``members`` collects evaluated members; None if not needed. Raises BudgetExhausted and Cancelled, after which
        ``budget`` must not be used again.
        """
        budget.left -= 1 + len(self.checks)
        if budget.left < 0:
            budget.refill()
        depth = budget.depth
        if depth >= DEPTH:
            raise budget.too_deep()
        budget.depth = depth + 1
        entered = self.scoped and self._enter_resource(budget)
        noted = EvaluatedMembers() if self.collects else members
        found = None
        for check in self.checks:
            found = check(value, budget, noted)
            if found is not None:
                break
        else:
            if self.collects and members is not None and noted is not None:
                members.add(noted, budget)
        if entered:
            budget.scope.pop()
        budget.depth = depth
        return found

    def _enter_resource(self, budget: StepBudget) -> bool:
        """Enter this node's resource; return whether it differs from the current one."""
        if budget.scope and budget.scope[-1] is self.resource:
            return False
        budget.scope.append(self.resource)
        return True


Sized = type[str] | type[list[Any]] | type[dict[str, Any]]


class Context(Protocol):
    """The context of a keyword: its schema, and the compiler for other schemas."""

    beside: dict[str, Any]
    budget: StepBudget
    place: str

    def node(self, schema: Any, step: str | int = "") -> SchemaNode: ...

    def pattern(self, source: str) -> Pattern: ...

    def target(self, reference: str) -> tuple[SchemaNode, str]: ...

    def dynamic_nodes(self, anchor: str) -> dict[int, SchemaNode]: ...


# ---- any value
def _type(types: Any, context: Context) -> Check:
    names: Sequence[str] = (types,) if isinstance(types, str) else types
    tests = tuple(TYPES[name] for name in names)
    message = f"{{}} is not of type {', '.join(map(repr, names))}"
    if len(tests) == 1:
        (test,) = tests

        def check_value(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
            return None if test(value) else Violation("type", message, value)

        return check_value

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        return None if any(test(value) for test in tests) else Violation("type", message, value)

    return check


def _enum(values: Any, context: Context) -> Check:
    allowed = {_canonical(value, context.budget) for value in values}

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        if _canonical(value, budget) in allowed:
            return None
        return Violation("enum", "{} is not one of {}", value, values)

    return check


def _const(constant: Any, context: Context) -> Check:
    canonical = _canonical(constant, context.budget)
    length = len(constant) if isinstance(constant, (dict, list)) else -1

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        same_length = (len(value) if isinstance(value, (dict, list)) else -1) == length
        if same_length and _canonical(value, budget) == canonical:
            return None
        return Violation("const", "{} was expected", constant)

    return check


# ---- numbers and texts
def _limit_keyword(keyword: str, message: str, wrong: Callable[[Any, Any], bool]) -> Callable[[Any, Context], Check]:
    """Return the compiler of a keyword that compares a number with a limit."""

    def compile_limit(limit: Any, context: Context) -> Check:
        def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
            if is_number(value) and wrong(value, limit):
                return Violation(keyword, f"{{}} is {message} {{}}", value, limit)
            return None

        return check

    return compile_limit


def _multiple_of(factor: Any, context: Context) -> Check:
    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        if is_number(value) and not _is_multiple(value, factor, budget):
            return Violation("multipleOf", "{} is not a multiple of {}", value, factor)
        return None

    return check


def _length_keyword(
    keyword: str,
    kind: type[str] | type[list[Any]] | type[dict[str, Any]],
    messages: tuple[str, str],
    wrong: Callable[[Any, Any], bool],
    special: int,
) -> Callable[[Any, Context], Check]:
    """Return the compiler of a keyword that compares a length with a limit.

    ``messages``: in general, and for a ``special`` limit.
    """

    def compile_limit(limit: Any, context: Context) -> Check:
        message = f"{{}} {messages[1] if limit == special else messages[0]}"

        def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
            return Violation(keyword, message, value) if isinstance(value, kind) and wrong(len(value), limit) else None

        return check

    return compile_limit


def _pattern(source: Any, context: Context) -> Check:
    pattern = context.pattern(source)

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        if isinstance(value, str) and not pattern.occurs_in(value, budget):
            return Violation("pattern", "{} does not match {}", value, source)
        return None

    return check


# ---- objects
def _properties(schemas: Any, context: Context) -> Check:
    nodes = {name: context.node(inner, name) for name, inner in schemas.items()}

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        if not isinstance(value, dict):
            return None
        budget.spend(len(value))
        for name, inner in value.items():
            node = nodes.get(name)
            if node is None:
                continue
            if members is not None:
                members.names.add(name)
            wrong = node.apply(inner, budget, None)
            if wrong is not None:
                return wrong.prefixed_with(name)
        return None

    return check


def _pattern_properties(schemas: Any, context: Context) -> Check:
    nodes = [(context.pattern(source), context.node(inner, source)) for source, inner in schemas.items()]

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        if not isinstance(value, dict):
            return None
        for pattern, node in nodes:
            for name, inner in value.items():
                if not pattern.occurs_in(name, budget):
                    continue
                if members is not None:
                    members.names.add(name)
                wrong = node.apply(inner, budget, None)
                if wrong is not None:
                    return wrong.prefixed_with(name)
        return None

    return check


def _additional_properties(schema: Any, context: Context) -> Check:
    node = context.node(schema)
    property_names = frozenset(context.beside.get("properties", ()))
    patterns = [context.pattern(source) for source in context.beside.get("patternProperties", ())]

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        if not isinstance(value, dict):
            return None
        budget.spend(len(value))
        for name, inner in value.items():
            if name in property_names or any(pattern.occurs_in(name, budget) for pattern in patterns):
                continue
            if schema is False:
                message = "Additional properties are not allowed ({} was unexpected)"
                return Violation("additionalProperties", message, name)
            wrong = node.apply(inner, budget, None)
            if wrong is not None:
                return wrong.prefixed_with(name)
        if members is not None:
            members.all_names = True
        return None

    return check


def _property_names(schema: Any, context: Context) -> Check:
    node = context.node(schema)

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        if isinstance(value, dict):
            for name in value:
                wrong = node.apply(name, budget, None)
                if wrong is not None:
                    return wrong
        return None

    return check


def _compile_required(names: Any, context: Context) -> Check:
    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        if isinstance(value, dict):
            budget.spend(min(len(names), len(value)) // 4)
            for name in names:
                if name not in value:
                    return Violation("required", "{} is a required property", name)
        return None

    return check


def _dependent_required(lists: Any, context: Context) -> Check:
    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        if not isinstance(value, dict):
            return None
        budget.spend(1 + len(lists))
        for name, needed in lists.items():
            if name not in value:
                continue
            budget.spend(min(len(needed), len(value)))
            for each in needed:
                if each not in value:
                    return Violation("dependentRequired", "{} is a dependency of {}", each, name)
        return None

    return check


def _dependent_schemas(schemas: Any, context: Context) -> Check:
    nodes = {name: context.node(inner, name) for name, inner in schemas.items()}

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        if not isinstance(value, dict):
            return None
        budget.spend(1 + len(nodes))
        for name, node in nodes.items():
            wrong = node.apply(value, budget, members) if name in value else None
            if wrong is not None:
                return wrong
        return None

    return check


# ---- arrays
def _prefix_items(schemas: Any, context: Context) -> Check:
    nodes = [context.node(inner, number) for number, inner in enumerate(schemas)]

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        if not isinstance(value, list):
            return None
        for number, (node, item) in enumerate(zip(nodes, value, strict=False)):
            wrong = node.apply(item, budget, None)
            if wrong is not None:
                return wrong.prefixed_with(number)
        if members is not None:
            members.items = max(members.items, len(nodes))
        return None

    return check


def _items(schema: Any, context: Context) -> Check:
    node = context.node(schema)
    first = len(context.beside.get("prefixItems", ()))

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        if not isinstance(value, list):
            return None
        if schema is False and len(value) > first:
            return Violation("items", f"Expected at most {first} items but found {len(value) - first} extra")
        for number in range(first, len(value)):
            wrong = node.apply(value[number], budget, None)
            if wrong is not None:
                return wrong.prefixed_with(number)
        if members is not None:
            members.all_items = True
        return None

    return check


def _contains(schema: Any, context: Context) -> Check:
    node = context.node(schema)
    least, most = context.beside.get("minContains", 1), context.beside.get("maxContains")

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        if not isinstance(value, list):
            return None
        found = 0
        for number, item in enumerate(value):
            if most is None and members is None and found >= least:
                return None
            if node.apply(item, budget, None) is not None:
                continue
            found += 1
            if members is not None:
                members.indexes.add(number)
            if most is not None and found > most:
                return Violation("maxContains", "Too many items match the given schema (expected at most {})", most)
        if found >= least:
            return None
        if not found:
            return Violation("contains", "{} does not contain items matching the given schema", value)
        message = "Too few items match the given schema (expected at least {} but only {} matched)"
        return Violation("minContains", message, least, found)

    return check


def _unique_items(required: Any, context: Context) -> Check | None:
    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        if not isinstance(value, list) or len(value) < 2:
            return None
        canonical: set[str] = set()
        for item in value:
            key = _canonical(item, budget)
            if key in canonical:
                return Violation("uniqueItems", "{} has non-unique elements", value)
            canonical.add(key)
        return None

    return check if required else None


# ---- several schemas for one value
def _ref(reference: Any, context: Context) -> Check:
    return context.target(reference)[0].apply


def _dynamic_ref(reference: Any, context: Context) -> Check:
    static, anchor = context.target(reference)
    if not anchor:
        return static.apply
    nodes = context.dynamic_nodes(anchor)

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        budget.spend(len(budget.scope))
        node = next((nodes[id(resource)] for resource in budget.scope if id(resource) in nodes), static)
        return node.apply(value, budget, members)

    return check


def _all_of(schemas: Any, context: Context) -> Check:
    nodes = [context.node(inner, number) for number, inner in enumerate(schemas)]

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        for node in nodes:
            wrong = node.apply(value, budget, members)
            if wrong is not None:
                return wrong
        return None

    return check


def _any_of(schemas: Any, context: Context) -> Check:
    nodes = [context.node(inner, number) for number, inner in enumerate(schemas)]

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        wrongs: list[Violation] = []
        fits = False
        for node in nodes:
            own = EvaluatedMembers() if members is not None else None
            wrong = node.apply(value, budget, own)
            if wrong is not None:
                wrongs.append(wrong)
                continue
            if own is None or members is None:
                return None
            fits = True
            members.add(own, budget)
        if fits:
            return None
        return nearest_violation(wrongs, Violation("anyOf", "{} is not valid under any of the given schemas", value))

    return check


def _one_of(schemas: Any, context: Context) -> Check:
    nodes = [context.node(inner, number) for number, inner in enumerate(schemas)]

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        wrongs: list[Violation] = []
        first: int | None = None
        for number, node in enumerate(nodes):
            own = EvaluatedMembers() if members is not None else None
            wrong = node.apply(value, budget, own)
            if wrong is not None:
                wrongs.append(wrong)
            elif first is not None:
                message = (
                    f"{{}} is valid under more than one of the given schemas (number {first + 1} and {number + 1})"
                )
                return Violation("oneOf", message, value)
            else:
                first = number
                if own is not None and members is not None:
                    members.add(own, budget)
        if first is not None:
            return None
        return nearest_violation(wrongs, Violation("oneOf", "{} is not valid under any of the given schemas", value))

    return check


def _not(schema: Any, context: Context) -> Check:
    node = context.node(schema)

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        if node.apply(value, budget, None) is not None:
            return None
        return Violation("not", "{} should not be valid under {}", value, schema)

    return check


def _if(schema: Any, context: Context) -> Check:
    node = context.node(schema)
    place = context.place.removesuffix("if")
    then, otherwise = (
        context.node(context.beside[name], f"{place}{name}") if name in context.beside else None
        for name in ("then", "else")
    )

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        own = EvaluatedMembers() if members is not None else None
        if node.apply(value, budget, own) is not None:
            return otherwise.apply(value, budget, members) if otherwise is not None else None
        if own is not None and members is not None:
            members.add(own, budget)
        return then.apply(value, budget, members) if then is not None else None

    return check


# ---- unevaluated items and properties
def _unevaluated_properties(schema: Any, context: Context) -> Check:
    node = context.node(schema)

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        if not isinstance(value, dict) or members is None or members.all_names:
            return None
        budget.spend(len(value))
        for name, inner in value.items():
            if name in members.names:
                continue
            if schema is False:
                message = "Unevaluated properties are not allowed ({} was unexpected)"
                return Violation("unevaluatedProperties", message, name)
            wrong = node.apply(inner, budget, None)
            if wrong is not None:
                return wrong.prefixed_with(name)
        members.all_names = True
        return None

    return check


def _unevaluated_items(schema: Any, context: Context) -> Check:
    node = context.node(schema)

    def check(value: Any, budget: StepBudget, members: EvaluatedMembers | None) -> Violation | None:
        if not isinstance(value, list) or members is None or members.all_items:
            return None
        budget.spend(len(value))
        for number in range(members.items, len(value)):
            if number in members.indexes:
                continue
            wrong = node.apply(value[number], budget, None)
            if wrong is not None:
                return wrong.prefixed_with(number)
        members.all_items = True
        return None

    return check


# In order of application: the cheapest and most selective first, ``unevaluated...`` last.
CHECKS: dict[str, Callable[[Any, Context], Check | None]] = {
    "type": _type,
    "const": _const,
    "enum": _enum,
    "required": _compile_required,
    "minimum": _limit_keyword("minimum", "less than the minimum of", lambda value, limit: value < limit),
    "maximum": _limit_keyword("maximum", "greater than the maximum of", lambda value, limit: value > limit),
    "exclusiveMinimum": _limit_keyword(
        "exclusiveMinimum", "less than or equal to the minimum of", lambda value, limit: value <= limit
    ),
    "exclusiveMaximum": _limit_keyword(
        "exclusiveMaximum", "greater than or equal to the maximum of", lambda value, limit: value >= limit
    ),
    "multipleOf": _multiple_of,
    "minLength": _length_keyword(
        "minLength", str, ("is too short", "should be non-empty"), lambda size, limit: size < limit, 1
    ),
    "maxLength": _length_keyword(
        "maxLength", str, ("is too long", "is expected to be empty"), lambda size, limit: size > limit, 0
    ),
    "minItems": _length_keyword(
        "minItems", list, ("is too short", "should be non-empty"), lambda size, limit: size < limit, 1
    ),
    "maxItems": _length_keyword(
        "maxItems", list, ("is too long", "is expected to be empty"), lambda size, limit: size > limit, 0
    ),
    "minProperties": _length_keyword(
        "minProperties", dict, ("does not have enough properties", "should be non-empty"),
        lambda size, limit: size < limit, 1,
    ),
    "maxProperties": _length_keyword(
        "maxProperties", dict, ("has too many properties", "is expected to be empty"),
        lambda size, limit: size > limit, 0,
    ),
    "pattern": _pattern,
    "dependentRequired": _dependent_required,
    "$ref": _ref,
    "$dynamicRef": _dynamic_ref,
    "properties": _properties,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "propertyNames": _property_names,
    "prefixItems": _prefix_items,
    "items": _items,
    "contains": _contains,
    "uniqueItems": _unique_items,
    "dependentSchemas": _dependent_schemas,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
    "if": _if,
    "unevaluatedItems": _unevaluated_items,
    "unevaluatedProperties": _unevaluated_properties,
}  # fmt: skip
ORDER = {keyword: number for number, keyword in enumerate(CHECKS)}

# ---- values -----------------------------------------------------------------------------------------
TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: value is True or value is False,
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "integer": lambda value: (
        not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    ),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
}
is_number = TYPES["number"]


def _canonical(value: Any, budget: StepBudget) -> str:
    """Return a text that is equal for two values exactly if they are equal in JSON Schema.

    1 equals 1.0 but not true; the order of names is ignored. The key is a text because numbers can be chosen so that
    their hashes collide.

    >>> _canonical({"b": 1.0, "a": [True]}, StepBudget(100)) == _canonical({"a": [True], "b": 1}, StepBudget(100))
    True
    """
    pieces: list[str] = []
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, _Written):
            pieces.append(item)
        elif isinstance(item, str):
            budget.spend(1 + len(item) // 512)
            pieces.append(f"s{len(item)}:{item}")
        elif item is None or isinstance(item, bool):
            budget.spend(1)
            pieces.append(f"c{item}")
        elif isinstance(item, (int, float)):
            budget.spend(1)
            pieces.append(f"n{_check_number(item, budget)};")
        elif isinstance(item, list):
            budget.spend(1 + len(item))
            pieces.append(f"l{len(item)}[")
            waiting.extend(reversed(item))
        else:
            budget.spend(1 + 4 * len(item))
            pieces.append(f"o{len(item)}{{")
            for name in sorted(item, reverse=True):
                waiting += (item[name], _Written(f"{len(name)}:{name}"))
    return "".join(pieces)


class _Written(str):
    """A piece that is written unchanged."""

    __slots__ = ()


def _check_number(value: int | float, budget: StepBudget) -> str:
    if isinstance(value, float):
        if not value.is_integer():
            return repr(value)
        value = int(value)
    budget.spend(value.bit_length() // 512)
    return hex(value)


def _is_multiple(value: int | float, factor: int | float, budget: StepBudget) -> bool:
    """Return whether a number is a multiple of another.

    For a fractional factor this uses floating-point division, and exact arithmetic if that overflows.
    """
    if not _isfinite_number(value):
        return False
    try:
        if isinstance(factor, float):
            quotient = value / factor
            return int(quotient) == quotient
        return value % factor == 0
    except OverflowError:
        budget.spend(1_000 + (_bit_size(value) + _bit_size(factor)) // 8)
        return (Fraction(value) / Fraction(factor)).denominator == 1


def _isfinite_number(value: int | float) -> bool:
    return isinstance(value, int) or isfinite(value)


def _bit_size(value: int | float) -> int:
    return value.bit_length() if isinstance(value, int) else 1_100
