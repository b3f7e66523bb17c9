"""POML's expressions: the subset of JavaScript that prompts use, over plain data, with steps counted.

Names, numbers, strings, lists and objects, operators, items and attributes of data, and a table of methods. No function
outside the table can be called.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from intermodal.prompts.rendering import RenderingBudget, TemplateError

_TOKEN = re.compile(
    r"\s*(?:(\d+(?:\.\d+)?)|([A-Za-z_$][\w$]*)|(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
    r"|(===|!==|==|!=|>=|<=|&&|\|\||[-+*/%<>!?:.,()\[\]{}]))",
    re.DOTALL,
)
_PATTERN = re.compile(r"\s*(/(?:[^/\\\n]|\\.)+/[gims]*)")
_MOST_DEEP = 40
_WORDS = {"true": True, "false": False, "null": None, "undefined": None}
Node = tuple[Any, ...]  # a kind and its operands


def parse(text: str) -> Node:
    """Return the tree of an expression. Raises TemplateError, without a line."""
    return _Parser(text).parse()


def names(node: Node) -> list[str]:
    """Return the names that an expression reads, in order."""
    if node[0] == "name":
        return [node[1]]
    found: list[str] = []
    for each in node[1:]:
        if isinstance(each, tuple) and each and isinstance(each[0], str):
            found += names(each)
        elif isinstance(each, list):
            for one in each:
                found += names(one if not isinstance(one[0], tuple) else one[1])
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        self._at = 0
        self._deep = 0
        at = 0
        text = text.strip()
        while at < len(text):
            pattern = _PATTERN.match(text, at) if self._is_value() else None
            if pattern is not None:
                self._tokens.append(("pattern", pattern[1]))
                at = pattern.end()
                continue
            found = _TOKEN.match(text, at)
            if found is None or found.end() == at:
                raise TemplateError(f"{text[at : at + 20]!r} is not read here", todo=_TODO)
            kind = ("number", "name", "text", "sign")[(found.lastindex or 1) - 1]
            self._tokens.append((kind, found[found.lastindex or 0]))
            at = found.end()

    def _is_value(self) -> bool:
        """Return whether a value comes next, in which case a slash begins a pattern instead of dividing."""
        return not self._tokens or (self._tokens[-1][0] == "sign" and self._tokens[-1][1] not in (")", "]", "}"))

    def parse(self) -> Node:
        if not self._tokens:
            raise TemplateError("an expression is empty", todo="write a name")
        node = self._choice()
        if self._at < len(self._tokens):
            raise TemplateError(f"{self._tokens[self._at][1]!r} is not read here", todo=_TODO)
        return node

    def _accept(self, *signs: str) -> str:
        """Consume the next token if it is one of these signs and return it, else return ""."""
        if self._at < len(self._tokens) and self._tokens[self._at][0] == "sign" and self._tokens[self._at][1] in signs:
            self._at += 1
            return self._tokens[self._at - 1][1]
        return ""

    def _require(self, sign: str) -> None:
        if not self._accept(sign):
            raise TemplateError(f"a {sign} is missing", todo=_TODO)

    def _choice(self) -> Node:
        self._deep += 1
        if self._deep > _MOST_DEEP:
            raise TemplateError("is nested too deep", todo="use fewer brackets")
        node = self._binary(0)
        if self._accept("?"):
            yes = self._choice()
            self._require(":")
            node = ("choice", node, yes, self._choice())
        self._deep -= 1
        return node

    def _binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._unary()
        node = self._binary(level + 1)
        while sign := self._accept(*_LEVELS[level]):
            node = ("binary", node, self._binary(level + 1), sign)
        return node

    def _unary(self) -> Node:
        sign = self._accept("!", "-")
        if not sign:
            return self._item()
        self._deep += 1
        if self._deep > _MOST_DEEP:
            raise TemplateError("is nested too deep", todo="use fewer signs")
        node = ("unary", self._unary(), sign)
        self._deep -= 1
        return node

    def _item(self) -> Node:
        node = self._value()
        while True:
            if self._accept("."):
                name = self._next_token("name")
                node = (
                    ("call", node, name, self._parse_list(")")) if self._accept("(") else ("part", node, ("text", name))
                )
            elif self._accept("["):
                node = ("part", node, self._choice())
                self._require("]")
            elif self._accept("("):
                raise TemplateError("calls a function", todo=f"methods are {', '.join(sorted(_METHODS))}")
            else:
                return node

    def _next_token(self, kind: str) -> str:
        if self._at >= len(self._tokens) or self._tokens[self._at][0] != kind:
            raise TemplateError(f"a {kind} is missing", todo=_TODO)
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _parse_list(self, end: str) -> list[Node]:
        nodes: list[Node] = []
        while not self._accept(end):
            if nodes:
                self._require(",")
            nodes.append(self._choice())
        return nodes

    def _value(self) -> Node:
        if self._accept("("):
            node = self._choice()
            self._require(")")
            return node
        if self._accept("["):
            return ("list", self._parse_list("]"))
        if self._accept("{"):
            return ("object", self._fields())
        if self._at >= len(self._tokens):
            raise TemplateError("an expression ends too early", todo=_TODO)
        kind, word = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            return ("number", float(word) if "." in word else int(word[:300]))
        if kind == "text":
            return ("text", _unquote(word))
        if kind == "pattern":
            return ("pattern", word)
        if kind == "name":
            return ("word", _WORDS[word]) if word in _WORDS else ("name", word)
        raise TemplateError(f"{word!r} is not read here", todo=_TODO)

    def _fields(self) -> list[Node]:
        nodes: list[Node] = []
        while not self._accept("}"):
            if nodes:
                self._require(",")
            kind, word = self._tokens[self._at] if self._at < len(self._tokens) else ("", "")
            self._at += 1
            if kind not in ("name", "text"):
                raise TemplateError("a name of a field is missing", todo=_TODO)
            self._require(":")
            nodes.append((("text", word if kind == "name" else _unquote(word)), self._choice()))
        return nodes


def _unquote(word: str) -> str:
    """Return the value of a quoted string, with JavaScript's escapes resolved."""
    text = _ESCAPE.sub(_letter, word[1:-1])
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # combine surrogate pairs


def _letter(match: re.Match[str]) -> str:
    code, plain = match[1] or match[2] or match[3], match[4] or ""
    if code is None:
        if plain in ("u", "x"):
            raise TemplateError(f"an escape is not whole: {match[0]}", todo="write \\u00e9, \\u{e9} or \\xe9")
        return _ESCAPES.get(plain, plain)
    if int(code, 16) > 0x10FFFF:
        raise TemplateError(f"there is no letter {match[0][:20]}", todo="letters end at \\u{10ffff}")
    return chr(int(code, 16))


_TODO = "use names, items, operators and methods of texts and lists"
_ESCAPE = re.compile(r"\\(?:u\{([0-9A-Fa-f]{1,12})\}|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|(\r\n|.))", re.DOTALL)
_ESCAPES = {
    "n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": "", "\r\n": "", "\u2028": "",
    "\u2029": "",
}  # fmt: skip
_LEVELS = (("||",), ("&&",), ("===", "!==", "==", "!="), (">=", "<=", ">", "<"), ("+", "-"), ("*", "/", "%"))


# ---- values ----------------------------------------------------------------------------------------


def value(node: Node, names: Mapping[str, Any], budget: RenderingBudget) -> Any:
    """Return the value of an expression; None if absent. Raises TemplateError, without a line."""
    budget.step(1, 0)
    kind = node[0]
    if kind == "name":
        return names.get(node[1])
    if kind in ("text", "number", "word"):
        return node[1]
    if kind == "pattern":
        return _pattern(node[1])
    if kind in ("list", "object"):
        many = [value(each, names, budget) for each in node[1]] if kind == "list" else None
        members = {name[1]: value(each, names, budget) for name, each in node[1]} if many is None else many
        budget.consume_value(members)
        return members
    if kind == "choice":
        return value(node[2] if is_truthy(value(node[1], names, budget)) else node[3], names, budget)
    if kind == "unary":
        inner = value(node[1], names, budget)
        return not is_truthy(inner) if node[2] == "!" else -_to_number(inner)
    if kind == "part":
        return _member_of(value(node[1], names, budget), value(node[2], names, budget))
    if kind == "call":
        return _call_value(node, names, budget)
    return _binary_value(node, names, budget)


def is_truthy(found: Any) -> bool:
    """Return whether a value is truthy as in JavaScript: lists and objects always are, even empty ones."""
    return bool(found) or isinstance(found, list | Mapping)


def value_text(found: Any) -> str:
    """Return a value as text."""
    if found is None:
        return ""
    if isinstance(found, str):
        return str.__str__(found)
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float) and found.is_integer():
        return str(int(found))
    return str(found) if isinstance(found, int | float) else json.dumps(found, ensure_ascii=False)


def _member_of(place: Any, key: Any) -> Any:
    if key == "length" and isinstance(place, str | list):
        return len(place)
    if isinstance(place, Mapping):
        return place.get(value_text(key))
    if isinstance(place, list | str) and isinstance(key, int) and not isinstance(key, bool) and 0 <= key < len(place):
        return place[key]
    return None


def _to_number(found: Any) -> int | float:
    if isinstance(found, int | float):
        return found
    raise TemplateError(f"{value_text(found)[:40]!r} is no number", todo="reckon with numbers")


def _binary_value(node: Node, names: Mapping[str, Any], budget: RenderingBudget) -> Any:
    sign = node[3]
    left = value(node[1], names, budget)
    if sign in ("&&", "||"):
        return value(node[2], names, budget) if is_truthy(left) == (sign == "&&") else left
    right = value(node[2], names, budget)
    if sign in ("===", "=="):
        return isinstance(left, bool) == isinstance(right, bool) and left == right
    if sign in ("!==", "!="):
        return not (isinstance(left, bool) == isinstance(right, bool) and left == right)
    if sign == "+" and not (isinstance(left, int | float) and isinstance(right, int | float)):
        joined_text = value_text(left) + value_text(right)
        budget.step(0, len(joined_text))
        return joined_text
    try:
        return _SIGNS[sign](left, right)
    except (TypeError, ZeroDivisionError, OverflowError):
        raise TemplateError(f"{sign} does not fit its values", todo="compare and reckon with numbers") from None


_SIGNS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": lambda one, other: one + other, "-": lambda one, other: _to_number(one) - _to_number(other),
    "*": lambda one, other: _product(_to_number(one), _to_number(other)),
    "/": lambda one, other: one / _to_number(other),
    "%": lambda one, other: _to_number(one) % _to_number(other), ">": lambda one, other: one > other,
    "<": lambda one, other: one < other, ">=": lambda one, other: one >= other, "<=": lambda one, other: one <= other,
}  # fmt: skip


def _product(one: float, other: float) -> float:
    return one * other if max(abs(one), abs(other)) < 1e100 else float(one) * float(other)


def _call_value(node: Node, names: Mapping[str, Any], budget: RenderingBudget) -> Any:
    place = value(node[1], names, budget)
    arguments = [value(each, names, budget) for each in node[3]]
    method = _METHODS.get(node[2])
    if method is None:
        raise TemplateError(f"no method {node[2]!r} is known", todo=f"methods are {', '.join(sorted(_METHODS))}")
    if place is None:
        return None
    try:
        result = method(place, *arguments)
    except (TypeError, ValueError, AttributeError, IndexError):
        raise TemplateError(f"{node[2]} does not fit its value", todo="give it another") from None
    budget.step(1, len(result) if isinstance(result, str | list) else 0)
    return result


def _slice(place: Any, first: Any = 0, last: Any = None) -> Any:
    return place[int(first) : None if last is None else int(last)]


def _contains_item(place: Any, what: Any) -> bool:
    return what in place if isinstance(place, list) else value_text(what) in place


@dataclass(frozen=True)
class _Pattern:
    """A regular expression, matched in linear time."""

    compiled: Any
    everywhere: bool

    def replace_in(self, text: str, new: str) -> str:
        if self.everywhere and (len(text) + 1) * len(new) > 4 * len(text) + (1 << 20):
            raise ValueError
        result: str = self.compiled.sub(lambda found: new, text, 0 if self.everywhere else 1)
        return result


def _pattern(literal: str) -> _Pattern:
    import re2

    body, _, flags = literal[1:].rpartition("/")
    inline = "".join(each for each in flags if each in "ims")
    try:
        return _Pattern(re2.compile(f"(?{inline}){body}" if inline else body), "g" in flags)
    except re2.error:
        raise TemplateError(f"{literal[:40]!r} is no pattern", todo="write it without looking ahead or back") from None


def _bounded_replace(place: str, old: Any, new: Any, count: int = -1) -> str:
    if isinstance(old, _Pattern):
        return old.replace_in(place, value_text(new))
    was, replacement = value_text(old), value_text(new)
    if len(place) + (place.count(was) if count < 0 else 1) * len(replacement) > 4 * len(place) + (1 << 20):
        raise ValueError
    return place.replace(was, replacement, count)


_METHODS: Mapping[str, Callable[..., Any]] = {
    "toUpperCase": lambda place: place.upper(),
    "toLowerCase": lambda place: place.lower(),
    "trim": lambda place: place.strip(),
    "trimStart": lambda place: place.lstrip(),
    "trimEnd": lambda place: place.rstrip(),
    "startsWith": lambda place, what: place.startswith(value_text(what)),
    "endsWith": lambda place, what: place.endswith(value_text(what)),
    "includes": _contains_item,
    "slice": _slice,
    "substring": _slice,
    "split": lambda place, by: place.split(value_text(by)),
    "join": lambda place, by=",": value_text(by).join(map(value_text, place)),
    "replace": lambda place, old, new: _bounded_replace(place, old, new, 1),
    "replaceAll": _bounded_replace,
    "concat": lambda place, *others: [*place, *(x for o in others for x in (o if isinstance(o, list) else [o]))],
    "toString": value_text,
}
