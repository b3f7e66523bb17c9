"""Regular expressions from clients: the syntax of ECMA 262 (unicode mode), matched by RE2 in linear time.

RE2 has no lookaround and no backreferences, because they cannot be matched in linear time. Lookaheads right after a
leading ``^`` are compiled as separate patterns for the same text: pydantic writes decimals that way. Constructs with
another meaning in RE2 are translated: ``.``, ``\\s``, ``\\u``, classes. Constructs of other languages that RE2 supports
are accepted too: ``(?i)``, ``(?P<name>``, ``\\A``, ``\\z``, ``\\Z``.
"""

from __future__ import annotations

import re
from typing import Any

from intermodal.json_schema.budget import StepBudget
from intermodal.json_schema.errors import InvalidSchema

LONGEST = 10_000  # characters of a pattern
SMALL, LARGE = 128 << 10, 384 << 10  # RE2's memory limits for one pattern in bytes; the smaller is tried first
TOGETHER = 32 << 20  # bytes for all patterns of a schema
_PER_STEP = 32  # bytes of text x instructions of the program in one step: 6 to 20 ns each where states do not fit
_COUNTED = 1000  # maximum repetition count of RE2

Ranges = list[tuple[int, int]]
_LAST = 0x10FFFF
_DIGIT: Ranges = [(0x30, 0x39)]
_WORD: Ranges = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
_SPACE: Ranges = [
    (9, 13), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029), (0x202F, 0x202F),
    (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
]  # fmt: skip
_SHORTHAND = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CONTROL = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_DOT = r"[^\n\r\x{2028}\x{2029}]"
_NAMED = re.compile(r"(?:General_Category=|gc=|(Script=|sc=|Script_Extensions=|scx=))?([A-Za-z_]{1,40})")
_CATEGORIES = {
    "Letter": "L", "Cased_Letter": "", "Lowercase_Letter": "Ll", "Uppercase_Letter": "Lu", "Titlecase_Letter": "Lt",
    "Modifier_Letter": "Lm", "Other_Letter": "Lo", "Mark": "M", "Nonspacing_Mark": "Mn", "Spacing_Mark": "Mc",
    "Enclosing_Mark": "Me", "Number": "N", "Decimal_Number": "Nd", "Letter_Number": "Nl", "Other_Number": "No",
    "Punctuation": "P", "Connector_Punctuation": "Pc", "Dash_Punctuation": "Pd", "Open_Punctuation": "Ps",
    "Close_Punctuation": "Pe", "Initial_Punctuation": "Pi", "Final_Punctuation": "Pf", "Other_Punctuation": "Po",
    "Symbol": "S", "Math_Symbol": "Sm", "Currency_Symbol": "Sc", "Modifier_Symbol": "Sk", "Other_Symbol": "So",
    "Separator": "Z", "Space_Separator": "Zs", "Line_Separator": "Zl", "Paragraph_Separator": "Zp", "Other": "C",
    "Control": "Cc", "Format": "Cf", "Private_Use": "Co", "digit": "Nd", "punct": "P",
}  # fmt: skip


class Pattern:
    """A compiled pattern. ``memory``: the maximum number of bytes that it may hold."""

    __slots__ = ("_length", "_parts", "_program", "memory")

    def __init__(self, parts: list[tuple[Any, bool]], length: tuple[int, int | None]) -> None:
        """Create a pattern from compiled parts.

        ``parts``: RE2 patterns, each with whether it must or must not be found. ``length``: limits on
        the text length.
        """
        self._length = length
        self._parts = [(compiled.search, must_match) for compiled, must_match in parts]
        self._program = sum(compiled.programsize for compiled, _ in parts)
        self.memory = sum(compiled.options.max_mem for compiled, _ in parts)

    def occurs_in(self, text: str, budget: StepBudget) -> bool:
        """Return whether the pattern occurs in the text. RE2's worst case is charged in advance."""
        least, most = self._length
        if len(text) < least or (most is not None and len(text) > most):
            return False
        encoded = text.encode("utf-8", "surrogatepass")
        budget.spend(6 + len(encoded) * self._program // _PER_STEP)
        return all((search(encoded) is not None) is must_match for search, must_match in self._parts)


def compile_pattern(pattern: str, budget: StepBudget) -> Pattern:
    """Translate and compile a pattern. Raises InvalidSchema, which names the construct that RE2 does not support."""
    if len(pattern) > LONGEST:
        raise InvalidSchema(f"the pattern has more than {LONGEST:,} characters", todo="shorten it")
    budget.spend(20 + len(pattern))
    translation = _Translation(pattern)
    parts = translation.required_and_forbidden()
    return Pattern([(_compile(part, pattern, budget), must_match) for part, must_match in parts], translation.length)


def _compile(translated: str, pattern: str, budget: StepBudget) -> Any:
    import re2

    for memory in (SMALL, LARGE):
        options = re2.Options()
        budget.spend(0 if memory == SMALL else LARGE // 20)  # it may take 20 ms: too long for the event loop
        options.max_mem, options.never_capture, options.log_errors = memory, True, False
        try:
            compiled = re2.compile(translated.encode(), options)
        except re2.error as error:
            reason = error.args[0] if error.args else b""
            reason_text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
            if "too large" not in reason_text:
                raise InvalidSchema(f"the pattern {_quote(pattern)} cannot be read ({reason_text[:100]})") from None
            continue
        finally:
            re2.purge()  # its own table would keep the last 128 patterns and all their states
        budget.spend(2 * compiled.programsize)
        return compiled
    what = f"the pattern {_quote(pattern)} is too large: its counts, multiplied, or its classes"
    raise InvalidSchema(what, todo="count less in it; maxLength bounds a length")


def _quote(pattern: str) -> str:
    return repr(pattern if len(pattern) <= 80 else f"{pattern[:77]}...")


class _Translation:
    """One pass through a pattern."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._position = 0
        self._dots = False  # (?s): a dot matches line breaks, too
        self._depth = 0  # groups that are open
        self._either = False  # whether there are alternatives outside of all groups
        self.length: tuple[int, int | None] = (0, None)  # characters of a text, at least and at most

    def required_and_forbidden(self) -> list[tuple[str, bool]]:
        """Return the patterns that must occur in a text (True), and those that must not (False)."""
        flags = self._group() if re.match(r"\(\?[ims]+\)", self._text) else ""
        found: list[tuple[str, bool]] = []
        if self._text.startswith(("^(?=", "^(?!"), self._position):
            self._position += 1
            while self._text.startswith(("(?=", "(?!"), self._position):
                must_match = self._text[self._position + 2] == "="
                self._position += 3
                self._depth += 1
                found.append((f"{flags}^(?:{self._translate_until(0)})", must_match))
            self._either = False
            rest = f"{flags}^(?:{self._translate_until(-1)})"
            if self._either:
                raise self._syntax_error(
                    "it looks ahead in one alternative alone, which cannot be matched in linear time"
                )
        else:
            rest = f"{flags}{self._translate_until(-1)}"
        return [*found, (rest, True)]

    def _translate_until(self, depth: int) -> str:
        """Translate up to the bracket that closes the group at ``depth``, excluding it; -1 for the end."""
        translated: list[str] = []
        while self._position < len(self._text):
            if self._text[self._position] == ")" and depth >= 0 and self._depth == depth + 1:
                self._position += 1
                self._depth -= 1
                return "".join(translated)
            translated.append(self._piece())
        if self._depth or depth >= 0:
            raise self._syntax_error("a group does not end")
        return "".join(translated)

    def _piece(self) -> str:
        char = self._text[self._position]
        if char == "(":
            return self._group()
        if char == ")":
            self._position += 1
            self._depth -= 1
            if self._depth < 0:
                raise self._syntax_error("a group ends that did not begin")
            return self._with_quantifier(")")
        if char in "|^$":
            self._position += 1
            self._either = self._either or (char == "|" and not self._depth)
            return char
        if char in "*+?":
            raise self._syntax_error(f"{char} repeats nothing")
        if char == "{" and self._quantifier():
            raise self._syntax_error("a count repeats nothing")
        begin = self._position
        atom = self._atom(char)
        return self._with_quantifier(atom, begin, single=True) if atom not in (r"\b", r"\B", r"\A", r"\z") else atom

    def _atom(self, char: str) -> str:
        self._position += 1
        if char == ".":
            return r"(?s:.)" if self._dots else _DOT
        if char == "[":
            return self._class()
        if char == "\\":
            return self._escape()
        return _literal(ord(char))

    # ---- groups and counts

    def _group(self) -> str:
        rest = self._text[self._position : self._position + 80]
        if rest.startswith(("(?=", "(?!", "(?<=", "(?<!")):
            raise self._syntax_error(
                "it looks ahead or behind, and not right after ^, so it cannot be matched in linear time"
            )
        named_group = re.match(r"\(\?P?<[^>]{1,64}>", rest)
        flags = re.match(r"\(\?([ims]+)(-[ims]+)?([:)])", rest)
        if named_group or rest.startswith("(?:"):
            self._position += named_group.end() if named_group else 3
            self._depth += 1
            return "(?:"
        if flags and not flags[2]:
            self._position += flags.end()
            self._dots = self._dots or "s" in flags[1]
            self._depth += flags[3] == ":"
            return flags[0]
        if rest.startswith("(?"):
            raise self._syntax_error(f"{rest[:4]} is not a known group")
        self._position += 1
        self._depth += 1
        return "(?:"

    def _quantifier(self) -> re.Match[str] | None:
        return re.compile(r"[*+?]|\{(\d{1,6})(?:(,)(\d{1,6})?)?\}").match(self._text, self._position)

    def _with_quantifier(self, atom: str, begin: int = 0, *, single: bool = False) -> str:
        """Return an atom, which begins at ``begin``, with its quantifier.

        RE2 accepts counts up to 1,000. If a counted character makes up the whole text, the count is checked against the
        length of the text instead.
        """
        found = self._quantifier()
        if found is None:
            return atom
        self._position = found.end()
        lazy = "?" if self._text.startswith("?", self._position) else ""
        self._position += len(lazy)
        if found[1] is None:
            return f"{atom}{found[0]}{lazy}"
        least = int(found[1])
        most = least if not found[2] else int(found[3]) if found[3] else None
        if most is not None and most < least:
            raise self._syntax_error(f"the count {found[0]} ends before it begins")
        if single and self._text[self._position :] == "$" and begin == 1 and self._text[0] == "^":
            self.length = (least, most)
            return f"{atom}*"
        if max(least, most or 0) > _COUNTED:
            raise self._syntax_error(
                f"it counts to more than {_COUNTED:,}", todo="count less; maxLength bounds a length"
            )
        return f"{atom}{found[0]}{lazy}"

    # ---- escapes and classes

    def _escape(self) -> str:
        """Translate an escape outside of a class."""
        char = self._next_char("a backslash at the end")
        if char in "bB":
            return f"\\{char}"
        if char in "AzZ":
            return r"\A" if char == "A" else r"\z"
        if (char.isdecimal() and char != "0") or char == "k":
            raise self._syntax_error("it refers back to a group, which cannot be matched in linear time")
        if char in "pP":
            return f"[{self._property(char)}]"
        if char.lower() in _SHORTHAND:
            ranges = _SHORTHAND[char.lower()]
            return f"[{_range_text(ranges if char.islower() else _complement(ranges))}]"
        return _literal(self._code(char))

    def _code(self, char: str) -> int:
        """Return the code point that an escape stands for."""
        if char in _CONTROL:
            return _CONTROL[char]
        if char == "0":
            return 0
        if char == "c":
            letter = self._next_char("\\c at the end")
            if not (letter.isascii() and letter.isalpha()):
                raise self._syntax_error(f"\\c{letter} is no character")
            return ord(letter) % 32
        if char == "x":
            return self._hex(2)
        if char == "u":
            return self._unicode()
        if char.isascii() and char.isalnum():
            raise self._syntax_error(f"\\{char} is not an escape of ECMA 262")
        return ord(char)

    def _unicode(self) -> int:
        if self._text.startswith("{", self._position):
            found = re.compile(r"\{([0-9A-Fa-f]{1,8})\}").match(self._text, self._position)
            if found is None or int(found[1], 16) > _LAST:
                raise self._syntax_error("\\u{ begins no character")
            self._position = found.end()
            return int(found[1], 16)
        code = self._hex(4)
        low = re.compile(r"\\u([dD][c-fC-F][0-9A-Fa-f]{2})").match(self._text, self._position)
        if 0xD800 <= code < 0xDC00 and low:
            self._position = low.end()
            return 0x10000 + ((code - 0xD800) << 10) + int(low[1], 16) - 0xDC00
        return code

    def _hex(self, digits: int) -> int:
        found = self._text[self._position : self._position + digits]
        if not re.fullmatch(r"[0-9A-Fa-f]+", found) or len(found) < digits:
            raise self._syntax_error(f"an escape needs {digits} hexadecimal digits")
        self._position += digits
        return int(found, 16)

    def _property(self, kind: str) -> str:
        r"""Translate ``\p{...}`` to RE2 syntax, for use inside a class."""
        found = re.compile(r"\{([^{}]{1,80})\}").match(self._text, self._position)
        match = found and _NAMED.fullmatch(found[1])
        if not found or not match:
            raise self._syntax_error(f"\\{kind} needs the name of a property in braces")
        self._position = found.end()
        name = match[2]
        if not match[1] and name in ("Any", "ASCII"):
            ranges: Ranges = [(0, _LAST)] if name == "Any" else [(0, 0x7F)]
            return _range_text(ranges if kind == "p" else _complement(ranges))
        short = name if match[1] else _CATEGORIES.get(name, name)
        if not match[1] and (not short or len(short) > 2 or short == "LC"):
            raise self._syntax_error(f"\\{kind}{{{name}}} is not a general category that RE2 knows")
        return f"\\{kind}{{{short}}}"

    def _class(self) -> str:
        negated = self._text.startswith("^", self._position)
        self._position += negated
        members: list[str] = []
        while True:
            char = self._next_char("a class that does not end")
            if char == "]":
                break
            first = self._member(char)
            if isinstance(first, str):
                members.append(first)
                continue
            dash = self._text.startswith("-", self._position) and not self._text.startswith("-]", self._position)
            if not dash:
                members.append(_range_text([(first, first)]))
                continue
            self._position += 1
            last = self._member(self._next_char("a class that does not end"))
            if isinstance(last, str):
                members += [_range_text([(first, first), (0x2D, 0x2D)]), last]
            elif last < first:
                raise self._syntax_error("a range ends before it begins")
            else:
                members.append(_range_text([(first, last)]))
        if not members:  # [] matches nothing, and [^] anything
            return "[\\x{0}-\\x{10FFFF}]" if negated else "[^\\x{0}-\\x{10FFFF}]"
        return f"[{'^' if negated else ''}{''.join(members)}]"

    def _member(self, char: str) -> int | str:
        """Return the code point of a class member, or its RE2 syntax if it stands for several characters."""
        if char != "\\":
            return ord(char)
        escaped = self._next_char("a backslash at the end")
        if escaped == "b":
            return 8
        if escaped in "pP":
            return self._property(escaped)
        if escaped.lower() in _SHORTHAND:
            ranges = _SHORTHAND[escaped.lower()]
            return _range_text(ranges if escaped.islower() else _complement(ranges))
        return self._code(escaped)

    def _next_char(self, otherwise: str) -> str:
        if self._position >= len(self._text):
            raise self._syntax_error(f"it has {otherwise}")
        self._position += 1
        return self._text[self._position - 1]

    def _syntax_error(self, what: str, todo: str = "write it otherwise, within what RE2 matches") -> InvalidSchema:
        return InvalidSchema(f"the pattern {_quote(self._text)} is not taken: {what}", todo=todo)


def _literal(code: int) -> str:
    char = chr(code)
    return char if char.isascii() and char.isalnum() else f"\\x{{{code:x}}}"


def _range_text(ranges: Ranges) -> str:
    return "".join(f"\\x{{{low:x}}}-\\x{{{high:x}}}" for low, high in ranges)


def _complement(ranges: Ranges) -> Ranges:
    found, begin = [], 0
    for low, high in ranges:
        if low > begin:
            found.append((begin, low - 1))
        begin = high + 1
    return [*found, (begin, _LAST)]
