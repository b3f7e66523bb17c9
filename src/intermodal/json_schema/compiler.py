"""Compilation of a schema into checks."""

from __future__ import annotations

from typing import Any

from intermodal.json_schema.budget import BudgetExhausted, StepBudget
from intermodal.json_schema.invalid_schema import InvalidSchema
from intermodal.json_schema.keywords import CHECKS, ORDER
from intermodal.json_schema.metaschema import check_shape
from intermodal.json_schema.node import SchemaNode
from intermodal.json_schema.patterns import TOGETHER, Pattern, compile_pattern
from intermodal.json_schema.references import NAMED, ONE, SEVERAL, Resource, SchemaResources
from intermodal.json_schema.size_limits import check_size
from intermodal.json_schema.violation import Violation

_PER_VALUE = 1 << 10  # bytes that a value of a schema takes once it is compiled, about
_SAMPLES: tuple[Any, ...] = (None, {}, [], "", 0)
SAMPLING = 100_000  # steps that these may take together: a schema that takes more is no use for any answer


class CompiledSchema:
    """A schema to validate values against. ``memory``: the bytes that it may come to hold."""

    __slots__ = ("_root", "memory")

    def __init__(self, root: SchemaNode, memory: int) -> None:
        self._root = root
        self.memory = memory

    def violation(self, value: Any, budget: StepBudget) -> Violation | None:
        """Return what is wrong with a value, None where it is valid.

        Raises:
            BudgetExhausted: the budget does not suffice to decide.
            Cancelled: ``budget.cancelled`` was set meanwhile.
        """
        budget.depth, budget.scope = 0, []
        try:
            return self._root.apply(value, budget, None)
        except RecursionError:  # who called was deep in other calls already
            raise budget.too_deep() from None


def compile_schema(schema: Any, budget: StepBudget) -> CompiledSchema:
    """Return the compiled schema. Raises InvalidSchema, BudgetExhausted and Cancelled."""
    values = check_size(schema, budget)
    compiler = Compiler(schema, budget)
    root = compiler.node(schema, compiler.resources.main, "")
    compiler.finish()
    return CompiledSchema(root, values * _PER_VALUE + compiler.pattern_memory)


def usable_schema(schema: Any, budget: StepBudget) -> CompiledSchema:
    """Return the compiled schema after a trial with small values, which finds schemas that no value can be validated
    against.

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
            raise  # less was left than samples may take: it is the budget that is too small
        what = f"holding even an empty object against the schema takes more than {part.total:,} steps"
        raise InvalidSchema(what, todo="let fewer alternatives refer to each other") from None
    finally:
        budget.spend(part.spent)
    return compiled


class Compiler:
    """Makes nodes of schemas, each once, however often it is referred to."""

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
        """The node of a schema, whose checks ``finish`` makes. Raises InvalidSchema for what is no schema."""
        if isinstance(schema, bool):
            return _ANYTHING if schema else _NOTHING
        if not isinstance(schema, dict):
            raise InvalidSchema(f"{_word(schema)} is no schema, which is an object, true or false", place)
        resource = self.resources.resource_of(schema, outer)
        key = (id(schema), id(resource))
        found = self._nodes.get(key)
        if found is None:
            found = self._nodes[key] = SchemaNode(resource, collects=not _UNEVALUATED.isdisjoint(schema))
            self._waiting.append((found, schema, place))
        return found

    def finish(self) -> None:
        """Make the checks of all nodes that are wanted, and of those that these want."""
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
        """Have every schema in a keyword compiled, also where nothing refers to it: what is wrong is said."""
        if keyword in ONE:
            self.node(value, resource, place)
        elif keyword in SEVERAL:
            for number, inner in enumerate(value):
                self.node(inner, resource, f"{place}/{number}")
        elif keyword in NAMED:
            for name, inner in value.items():
                self.node(inner, resource, f"{place}/{name}")

    def dynamic_nodes(self, anchor: str, place: str) -> dict[int, SchemaNode]:
        """What a dynamic anchor is in each resource that has it, by the resource's identity."""
        self._dynamic = True
        found = self._dynamic_nodes.get(anchor)
        if found is None:
            found = self._dynamic_nodes[anchor] = {}
            for resource in self.resources.all():
                self.budget.spend(1)
                if anchor in resource.dynamic:
                    found[id(resource)] = self.node(resource.dynamic[anchor], resource, place)
        return found

    def pattern(self, written: str, place: str) -> Pattern:
        """A pattern, compiled once. Raises InvalidSchema."""
        found = self._patterns.get(written)
        if found is None:
            try:
                found = compile_pattern(written, self.budget)
            except InvalidSchema as error:
                raise InvalidSchema(error.what, place, error.todo) from None
            self.pattern_memory += found.memory
            if self.pattern_memory > TOGETHER:
                what = f"the patterns of the schema take more than {TOGETHER >> 20} MiB together"
                raise InvalidSchema(what, place, todo="use fewer, or smaller ones")
            self._patterns[written] = found
        return found


class _Context:
    """What a keyword is compiled with."""

    __slots__ = ("_compiler", "_resource", "beside", "budget", "place")

    def __init__(self, compiler: Compiler, beside: dict[str, Any], resource: Resource, place: str) -> None:
        self._compiler = compiler
        self._resource = resource
        self.beside = beside
        self.budget = compiler.budget
        self.place = place

    def node(self, schema: Any, step: str | int = "") -> SchemaNode:
        return self._compiler.node(schema, self._resource, f"{self.place}/{step}" if step != "" else self.place)

    def pattern(self, written: str) -> Pattern:
        return self._compiler.pattern(written, self.place)

    def target(self, reference: str) -> tuple[SchemaNode, str]:
        """The node that a reference names, and the dynamic anchor that it named it by, "" for none."""
        schema, resource, anchor = self._compiler.resources.target(reference, self._resource, self.place)
        return self._compiler.node(schema, resource, self.place), anchor

    def dynamic_nodes(self, anchor: str) -> dict[int, SchemaNode]:
        return self._compiler.dynamic_nodes(anchor, self.place)


def _word(value: Any) -> str:
    return {str: "a text", int: "a number", float: "a number", list: "a list"}.get(type(value), "null")


_UNEVALUATED = frozenset({"unevaluatedItems", "unevaluatedProperties"})
_ANYTHING, _NOTHING = SchemaNode(Resource("", True)), SchemaNode(Resource("", False))
_NOTHING.checks.append(lambda value, budget, seen: Violation("", "False schema does not allow {}", value))
