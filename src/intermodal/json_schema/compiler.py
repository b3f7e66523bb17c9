"""Compilation of a schema into checks, once for all requests that send the same schema.

Keywords must have valid values, as defined by the metaschema of draft 2020-12 (``check_shape``). Compiled schemas are
cached by digest, since clients send the same schema with each request, and the answer is validated later.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import blake2b
from threading import Lock
from typing import Any

import msgspec

from intermodal.core.bounded_cache import BoundedCache
from intermodal.json_schema.budget import BudgetExhausted, StepBudget, check_size
from intermodal.json_schema.errors import InvalidSchema, Violation, shorten
from intermodal.json_schema.keywords import CHECKS, ORDER, TYPES, SchemaNode, is_number
from intermodal.json_schema.patterns import TOGETHER, Pattern, compile_pattern
from intermodal.json_schema.references import NAMED, ONE, SEVERAL, Resource, SchemaResources

_PER_VALUE = 1 << 10  # approximate bytes per value of a compiled schema
_SAMPLES: tuple[Any, ...] = (None, {}, [], "", 0)
SAMPLING = 100_000  # steps for all samples together: a schema that needs more cannot serve any answer


class CompiledSchema:
    """A schema to validate values against. ``memory``: the maximum number of bytes that it may hold."""

    __slots__ = ("_root", "memory")

    def __init__(self, root: SchemaNode, memory: int) -> None:
        self._root = root
        self.memory = memory

    def violation(self, value: Any, budget: StepBudget) -> Violation | None:
        """Return the first violation of a value; None if the value is valid.

        Raises:
            BudgetExhausted: the budget does not suffice to decide.
            Cancelled: ``budget.cancelled`` was set during validation.
        """
        budget.depth, budget.scope = 0, []
        try:
            return self._root.apply(value, budget, None)
        except RecursionError:  # the caller was deep in the stack already
            raise budget.too_deep() from None


def compile_schema(schema: Any, budget: StepBudget) -> CompiledSchema:
    """Compile a schema. Raises InvalidSchema, BudgetExhausted and Cancelled."""
    values = check_size(schema, budget)
    compiler = Compiler(schema, budget)
    root = compiler.node(schema, compiler.resources.main, "")
    compiler.finish()
    return CompiledSchema(root, values * _PER_VALUE + compiler.pattern_memory)


def usable_schema(schema: Any, budget: StepBudget) -> CompiledSchema:
    """Compile a schema and validate small sample values, to reject schemas that cannot be used for validation.

    Raises InvalidSchema, BudgetExhausted and Cancelled.
    """
    compiled = compile_schema(schema, budget)
    part = budget.part(SAMPLING)
    try:
        for sample in _SAMPLES:
            compiled.violation(sample, part)
    except BudgetExhausted as error:
        if error.deep:
            what = "the schema refers to itself and never says anything"
            raise InvalidSchema(what, todo="give the reference something to describe") from None
        if part.total < SAMPLING:
            raise  # less was left than samples may take: the budget is too small
        what = f"holding even an empty object against the schema takes more than {part.total:,} steps"
        raise InvalidSchema(what, todo="let fewer alternatives refer to each other") from None
    finally:
        budget.spend(part.steps_taken)
    return compiled


class Compiler:
    """Compiles schemas into nodes, each schema once, however often it is referenced."""

    def __init__(self, document: Any, budget: StepBudget) -> None:
        self.budget = budget
        self.resources = SchemaResources(document, budget)
        self.pattern_memory = 0
        self._dynamic = False
        self._nodes: dict[tuple[int, int], SchemaNode] = {}
        self._patterns: dict[str, Pattern] = {}
        self._dynamic_nodes: dict[str, dict[int, SchemaNode]] = {}
        self._waiting: list[tuple[SchemaNode, dict[str, Any], str]] = []

    def node(self, schema: Any, outer: Resource, place: str) -> SchemaNode:
        """Return the node of a schema; ``finish`` compiles its checks. Raises InvalidSchema if it is invalid."""
        if isinstance(schema, bool):
            return _ANYTHING if schema else _NOTHING
        if not isinstance(schema, dict):
            raise InvalidSchema(
                f"{_keyword_value_text(schema)} is not a schema, which is an object, true or false", place
            )
        resource = self.resources.resource_of(schema, outer)
        key = (id(schema), id(resource))
        found = self._nodes.get(key)
        if found is None:
            found = self._nodes[key] = SchemaNode(resource, collects=not _UNEVALUATED.isdisjoint(schema))
            self._waiting.append((found, schema, place))
        return found

    def finish(self) -> None:
        """Compile the checks of all requested nodes, and of the nodes that these request in turn."""
        while self._waiting:
            node, schema, place = self._waiting.pop()
            self.budget.spend(5 + 3 * len(schema))
            for keyword, value in schema.items():
                inside = f"{place}/{keyword}" if place else keyword
                check_shape(keyword, value, inside, self.budget)
                self._visit(keyword, value, node.resource, inside)
            for keyword in sorted(CHECKS.keys() & schema.keys(), key=ORDER.__getitem__):
                inside = f"{place}/{keyword}" if place else keyword
                check = CHECKS[keyword](schema[keyword], _Context(self, schema, node.resource, inside))
                if check is not None:
                    node.checks.append(check)
        for node in self._nodes.values() if self._dynamic else ():
            node.scoped = True

    def _visit(self, keyword: str, value: Any, resource: Resource, place: str) -> None:
        """Compile every schema in a keyword, referenced or not, so that errors in it are reported."""
        if keyword in ONE:
            self.node(value, resource, place)
        elif keyword in SEVERAL:
            for number, inner in enumerate(value):
                self.node(inner, resource, f"{place}/{number}")
        elif keyword in NAMED:
            for name, inner in value.items():
                self.node(inner, resource, f"{place}/{name}")

    def dynamic_nodes(self, anchor: str, place: str) -> dict[int, SchemaNode]:
        """Return the target of a dynamic anchor in each resource that has it, keyed by the resource's identity."""
        self._dynamic = True
        found = self._dynamic_nodes.get(anchor)
        if found is None:
            found = self._dynamic_nodes[anchor] = {}
            for resource in self.resources.all():
                self.budget.spend(1)
                if anchor in resource.dynamic:
                    found[id(resource)] = self.node(resource.dynamic[anchor], resource, place)
        return found

    def pattern(self, source: str, place: str) -> Pattern:
        """Return the compiled pattern; each pattern is compiled once. Raises InvalidSchema."""
        found = self._patterns.get(source)
        if found is None:
            try:
                found = compile_pattern(source, self.budget)
            except InvalidSchema as error:
                raise InvalidSchema(error.what, place, error.todo) from None
            self.pattern_memory += found.memory
            if self.pattern_memory > TOGETHER:
                what = f"the patterns of the schema take more than {TOGETHER >> 20} MiB together"
                raise InvalidSchema(what, place, todo="use fewer, or smaller ones")
            self._patterns[source] = found
        return found


class _Context:
    """The context in which a keyword is compiled."""

    __slots__ = ("_compiler", "_resource", "beside", "budget", "place")

    def __init__(self, compiler: Compiler, other_keywords: dict[str, Any], resource: Resource, place: str) -> None:
        self._compiler = compiler
        self._resource = resource
        self.beside = other_keywords
        self.budget = compiler.budget
        self.place = place

    def node(self, schema: Any, step: str | int = "") -> SchemaNode:
        return self._compiler.node(schema, self._resource, f"{self.place}/{step}" if step != "" else self.place)

    def pattern(self, source: str) -> Pattern:
        return self._compiler.pattern(source, self.place)

    def target(self, reference: str) -> tuple[SchemaNode, str]:
        """Return the node that a reference names, and the dynamic anchor in the reference, "" for none."""
        schema, resource, anchor = self._compiler.resources.target(reference, self._resource, self.place)
        return self._compiler.node(schema, resource, self.place), anchor

    def dynamic_nodes(self, anchor: str) -> dict[int, SchemaNode]:
        return self._compiler.dynamic_nodes(anchor, self.place)


def _keyword_value_text(value: Any) -> str:
    return {str: "a text", int: "a number", float: "a number", list: "a list"}.get(type(value), "null")


_UNEVALUATED = frozenset({"unevaluatedItems", "unevaluatedProperties"})
_ANYTHING, _NOTHING = SchemaNode(Resource("", True)), SchemaNode(Resource("", False))
_NOTHING.checks.append(lambda value, budget, members: Violation("", "False schema does not allow {}", value))


# ---- cache ------------------------------------------------------------------------------------------


MOST, MEMORY = 128, 64 << 20  # number of schemas, and total bytes that they may hold
_ENTRY = 4 << 10  # bytes per schema besides its values


class SchemaCache:
    """Compiled schemas by digest; evicts the least recently used first."""

    def __init__(self, memory: int = MEMORY) -> None:
        self._by_digest: BoundedCache[bytes, CompiledSchema] = BoundedCache(
            "compiled schemas", MOST, room=memory, size=lambda _, compiled: compiled.memory + _ENTRY
        )
        self._lock = Lock()

    def get(self, schema: Any, budget: StepBudget, digest: bytes = b"") -> CompiledSchema:
        """Return the compiled schema. Raises the errors of ``usable_schema``; only usable schemas are cached.

        ``digest``: the ``schema_digest`` of this schema, if already computed.
        """
        digest = digest or schema_digest(schema, budget)
        with self._lock:
            found = self._by_digest.get(digest)
            if found is not None:
                self._by_digest.move_to_end(digest)
                return found
        compiled = usable_schema(schema, budget)
        with self._lock:
            self._by_digest[digest] = compiled
        return compiled


_CACHE = SchemaCache()


def cached_schema(schema: Any, budget: StepBudget, digest: bytes = b"") -> CompiledSchema:
    """Return the compiled schema from the cache of this process. Raises InvalidSchema, BudgetExhausted and Cancelled.

    ``digest``: the ``schema_digest`` of this schema, if already computed.
    """
    return _CACHE.get(schema, budget, digest)


def schema_digest(schema: Any, budget: StepBudget) -> bytes:
    """Return the digest that is the cache key of a schema.

    Raises InvalidSchema if the schema is too large or not JSON, BudgetExhausted and Cancelled.
    """
    check_size(schema, budget)
    try:
        return blake2b(msgspec.json.encode(schema), digest_size=16).digest()
    except (TypeError, OverflowError, msgspec.ValidationError, UnicodeEncodeError) as error:
        raise InvalidSchema(f"the schema cannot be written as JSON ({error})") from None


# ---- the metaschema ---------------------------------------------------------------------------------


_ANCHOR = re.compile(r"[A-Za-z_][-A-Za-z0-9._]*\Z")
_TEXTS = (
    "$id", "$schema", "$ref", "$dynamicRef", "$comment", "title", "description", "format", "pattern",
    "contentEncoding", "contentMediaType", "$recursiveRef",
)  # fmt: skip
_COUNTS = (
    "maxLength", "minLength", "maxItems", "minItems", "maxContains", "minContains", "maxProperties", "minProperties",
)  # fmt: skip
_LIMITS = ("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum")
_FLAGS = ("uniqueItems", "deprecated", "readOnly", "writeOnly")

Shape = tuple[Callable[[Any, StepBudget], bool], str]


def check_shape(keyword: str, value: Any, place: str, budget: StepBudget) -> None:
    """Raise InvalidSchema unless the value is allowed for the keyword. Schemas inside the value are not checked."""
    shape = _SHAPES.get(keyword)
    if shape is not None and not shape[0](value, budget):
        raise InvalidSchema(f"{shorten(value)} is not {shape[1]}", place)


def _is_text(value: Any, budget: StepBudget) -> bool:
    return isinstance(value, str)


def _is_count(value: Any, budget: StepBudget) -> bool:
    return TYPES["integer"](value) and value >= 0


def _is_factor(value: Any, budget: StepBudget) -> bool:
    return is_number(value) and value > 0


def _is_names(value: Any, budget: StepBudget) -> bool:
    if not isinstance(value, list):
        return False
    budget.spend(len(value))
    return all(isinstance(name, str) for name in value) and len(set(value)) == len(value)


def _is_types(value: Any, budget: StepBudget) -> bool:
    if isinstance(value, str):
        return value in TYPES
    return _is_names(value, budget) and bool(value) and all(name in TYPES for name in value)


def _is_named(inner: Callable[[Any, StepBudget], bool]) -> Callable[[Any, StepBudget], bool]:
    def check(value: Any, budget: StepBudget) -> bool:
        if not isinstance(value, dict):
            return False
        budget.spend(len(value))
        return all(inner(each, budget) for each in value.values())

    return check


def _is_schema(value: Any, budget: StepBudget) -> bool:
    return isinstance(value, (dict, bool))


_SHAPES: dict[str, Shape] = {
    **dict.fromkeys(_TEXTS, (_is_text, "a text")),
    **dict.fromkeys(_COUNTS, (_is_count, "a whole number of 0 or more")),
    **dict.fromkeys(_LIMITS, (lambda value, budget: is_number(value), "a number")),
    **dict.fromkeys(_FLAGS, (lambda value, budget: isinstance(value, bool), "true or false")),
    **dict.fromkeys(
        SEVERAL, (lambda value, budget: isinstance(value, list) and bool(value), "a list of one or more schemas")
    ),
    **dict.fromkeys(NAMED, (lambda value, budget: isinstance(value, dict), "an object of schemas")),
    "$id": (lambda value, budget: isinstance(value, str) and "#" not in value[:-1], "a URI without a fragment"),
    "$anchor": (lambda value, budget: isinstance(value, str) and _ANCHOR.match(value) is not None, "an anchor's name"),
    "$vocabulary": (_is_named(lambda value, budget: isinstance(value, bool)), "an object of true and false"),
    "dependencies": (
        _is_named(lambda value, budget: _is_schema(value, budget) or _is_names(value, budget)),
        "an object of schemas and lists of names",
    ),
    "dependentRequired": (_is_named(_is_names), "an object of lists of names"),
    "enum": (lambda value, budget: isinstance(value, list), "a list"),
    "examples": (lambda value, budget: isinstance(value, list), "a list"),
    "multipleOf": (_is_factor, "a number above 0"),
    "required": (_is_names, "a list of different names"),
    "type": (_is_types, f"a type or a list of different types; there are {', '.join(sorted(TYPES))}"),
}
_SHAPES["$dynamicAnchor"] = _SHAPES["$recursiveAnchor"] = _SHAPES["$anchor"]
