"""What must be true of a prompt that a file went into. Each check counts one; none knows who made the prompt.

Blanks, letter case, typographic quotes and dashes and the marks of Markdown do not count. Nothing else is forgiven: a
letter that was misread is a string that did not arrive.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_SAME = str.maketrans(
    {
        "‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‐": "-", "‑": "-", "−": "-",
        "\N{NO-BREAK SPACE}": " ", "\N{SOFT HYPHEN}": "", "ﬁ": "fi", "ﬂ": "fl", "ﬀ": "ff", "ﬃ": "ffi", "…": "...",
    }
)  # fmt: skip
_MARKS = re.compile(r"\\(?=[\W_])|\*\*|__|`")
_WORD = re.compile(r"[^\W_]+(?:[.,:/'-][^\W_]+)*")
CLOCK = re.compile(r"(?<![\d:])(?:(\d+):)?(\d{1,3}):(\d\d)(?:[.,](\d{1,3}))?(?![\d:])")
_FRAME = re.compile(r"^[^\n]*:\n(?=---\w+$)|^---\w+$", re.MULTILINE)  # which file it is of, where it begins and ends
_NOTHING = re.compile(r"\((?:no (?:speech|text|words)[^)]*|nothing[^)]*)\)")


def plain(text: str) -> str:
    """Text as checks compare it: one blank between words, lower case, without marks of Markdown."""
    return " ".join(_MARKS.sub("", text.translate(_SAME)).casefold().split())


def tight(text: str) -> str:
    """The same without any blank: what is set apart on paper has no blanks of its own."""
    return plain(text).replace(" ", "")


def words(text: str) -> list[str]:
    """The words of a text, for counting which of them arrived."""
    return _WORD.findall(plain(text))


def share(truth: str, prompt: str) -> float:
    """Share of the words of the truth that are in the prompt, each as often as it is there; 1 for no words."""
    wanted, found = Counter(words(truth)), Counter(words(prompt))
    total = sum(wanted.values())
    return sum(min(count, found[word]) for word, count in wanted.items()) / total if total else 1.0


def error_rate(truth: str, heard: str) -> float:
    """Word error rate: the fewest insertions, deletions and substitutions over the words of the truth."""
    wanted, found = words(truth), words(heard)
    row = list(range(len(found) + 1))
    for place, word in enumerate(wanted, 1):
        before, row[0] = row[0], place
        for column, other in enumerate(found, 1):
            before, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, before + (word != other))
    return row[-1] / max(1, len(wanted))


@dataclass(frozen=True)
class Arrived:
    """What reached the model of a file, and what was said of it besides.

    ``text``: the prompt without the question and the frame around the file's words. ``told``: the plan's text, the
    notes of the answer and what its checks found.
    """

    text: str
    told: str = ""


@dataclass(frozen=True)
class Check:
    """``what`` is the kind of check, ``of`` what it looks for. ``aspect``: what fails with it."""

    what: str
    of: tuple[str, ...] = ()
    number: float = 0.0
    more: float = 0.0
    aspect: str = field(default="words")

    def holds(self, arrived: Arrived) -> bool:
        """Whether it is so."""
        return _LOOKS[self.what](self, arrived)

    @property
    def said(self) -> str:
        """The check in words, for a list of failures."""
        shown = " | ".join(each if len(each) <= 60 else f"{each[:57]}..." for each in self.of)
        numbers = "".join(f" {value:g}" for value in (self.number, self.more) if value)
        return f"{self.what}{numbers}: {shown}" if shown else f"{self.what}{numbers}"


def has(*texts: str) -> list[Check]:
    """Each string arrives."""
    return [Check("has", (text,)) for text in texts]


def lacks(*texts: str) -> list[Check]:
    """Each string does not: it is hidden, it is a menu, or it was never there."""
    return [Check("lacks", (text,)) for text in texts]


def order(*texts: str) -> Check:
    """The strings arrive, one after the other."""
    return Check("order", texts, aspect="layout")


def row(*cells: str) -> Check:
    """The cells stand in one line, in this order, and apart from each other."""
    return Check("row", cells, aspect="layout")


def neighbours(*cells: str) -> Check:
    """The cells stand beside each other in one line, with a tab or a rule between two; an empty one holds nothing."""
    return Check("neighbours", cells, aspect="layout")


def share_of(text: str, least: float) -> Check:
    """At least this share of the words arrives."""
    return Check("share", (text,), least)


def heard(text: str, most: float) -> Check:
    """The word error rate is at most this."""
    return Check("heard", (text,), most)


def silent() -> Check:
    """No word arrives of a file without any."""
    return Check("silent")


def at(text: str, seconds: float, slack: float) -> Check:
    """A time stands before the text in its line or above it, no further from the truth than ``slack`` seconds."""
    return Check("at", (text,), seconds, slack, aspect="timing")


def apart(first: str, second: str) -> Check:
    """The two are said by speakers who are told apart by name, number or channel."""
    return Check("apart", (first, second), aspect="speakers")


def indented(line: str, deeper: str) -> Check:
    """The second line begins further to the right than the first."""
    return Check("indented", (line, deeper), aspect="layout")


def heading(text: str) -> Check:
    """The text stands in a line that is marked as a heading, as Markdown has them."""
    return Check("heading", (text,), aspect="layout")


# Words in which a plan, a note or a check says that not all of a file arrives as it is.
SHORT = re.compile(
    r"(?:most|few|none|some) of (?:its|the|their) words|words \((?:most|few|none)\)|keeps (?:most|few)|loses words|"
    r"guess|doubt|legible|cannot be read|not be read|unread|hardly|incomplete|may be (?:missing|wrong)|are missing|"
    r"no text (?:was |layer |)found|no speech|garbled|unmapped|invisible|not (?:all|every) |"
    r"of \d[\d,]* (?:lines|words|pages|scenes|letters)|\bscripts?\b|pages? (?:is |are )?left out|repeats itself|"
    r"in another language",
    re.IGNORECASE,
)


def read_or_told(text: str) -> Check:
    """Nine of ten of the words arrive, or somebody says that they do not."""
    return Check("read or told", (text,), 0.9)


# ---- how each is looked at ------------------------------------------------------------------------------


def _place(text: str, prompt: str) -> int:
    return tight(prompt).find(tight(text))


def _has(check: Check, arrived: Arrived) -> bool:
    return _place(check.of[0], arrived.text) >= 0


def _order(check: Check, arrived: Arrived) -> bool:
    seen, start = tight(arrived.text), 0
    for text in check.of:
        found = seen.find(tight(text), start)
        if found < 0:
            return False
        start = found + 1
    return True


def _row(check: Check, arrived: Arrived) -> bool:
    return any(_in_line(check.of, line) for line in arrived.text.splitlines())


def _in_line(cells: Sequence[str], line: str) -> bool:
    """Cells in a line with a blank, a tab or a rule between any two of them."""
    seen, start = plain(line.replace("|", " | ").replace("\t", " \t ")), 0
    for place, cell in enumerate(map(plain, cells)):
        found = seen.find(cell, start)
        if found < 0 or (place and found and seen[found - 1].isalnum()):
            return False
        start = found + len(cell)
    return True


def _neighbours(check: Check, arrived: Arrived) -> bool:
    wanted = list(map(plain, check.of))
    for line in arrived.text.splitlines():
        cells = [plain(each) for each in re.split(r"[\t|]", line.strip("|"))]
        if any(cells[start : start + len(wanted)] == wanted for start in range(len(cells))):
            return True
    return False


def spoken(text: str) -> str:
    """What was said or shown, without frames, times and the names of speakers and tracks before it."""
    lines = []
    for line in _FRAME.sub("", _NOTHING.sub(" ", text.casefold())).splitlines():
        lines.append(re.sub(r"^[\W\d]*(?:[a-z][\w .-]{0,30}:)?", "", CLOCK.sub(" ", line)))
    return "\n".join(lines)


def _silent(check: Check, arrived: Arrived) -> bool:
    return not words(spoken(arrived.text))


def _at(check: Check, arrived: Arrived) -> bool:
    """The last time before the text, in the same line or one above it."""
    wanted = tight(check.of[0])
    lines = arrived.text.splitlines()
    for number, line in enumerate(lines):
        joined = tight("".join(lines[number : number + 2]))
        if wanted not in tight(line) and not (
            wanted in joined and wanted not in tight("".join(lines[number + 1 : number + 2]))
        ):
            continue
        before = [*lines[max(0, number - 3) : number], _until(line, check.of[0])]
        times = [_seconds(found) for each in before for found in CLOCK.finditer(each)]
        return bool(times) and abs(times[-1] - check.number) <= check.more
    return False


def _until(line: str, text: str) -> str:
    place = line.casefold().find(text.casefold()[:12])
    return line if place < 0 else line[:place]


def _seconds(found: re.Match[str]) -> float:
    hours, minutes, seconds, part = found.groups()
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{part or 0}")


def _apart(check: Check, arrived: Arrived) -> bool:
    first, second = (_speaker(text, arrived.text) for text in check.of)
    return bool(first and second) and first != second


def _speaker(text: str, prompt: str) -> str:
    """The label before the line with this text: its last words before a colon, without times."""
    wanted = tight(text)
    label = ""
    for line in prompt.splitlines():
        shown = CLOCK.sub("", line)
        match = re.match(r"[\W\d]*([A-Za-z][\w .-]{0,30}):", shown) or re.match(
            r"\W*\[?([A-Za-z][\w .-]{0,30})\]", shown
        )
        label = match[1].strip().casefold() if match else label
        if wanted in tight(line):
            return label
    return ""


def _indented(check: Check, arrived: Arrived) -> bool:
    depths = []
    for text in check.of:
        line = next((each for each in arrived.text.splitlines() if tight(text) in tight(each)), None)
        if line is None:
            return False
        expanded = line.expandtabs(4)
        depths.append(len(expanded) - len(expanded.lstrip()))
    return depths[0] < depths[1]


def _heading(check: Check, arrived: Arrived) -> bool:
    lines = (line.strip() for line in arrived.text.splitlines())
    return any(line.startswith("#") and tight(check.of[0]) in tight(line) for line in lines)


_LOOKS: dict[str, Callable[[Check, Arrived], bool]] = {
    "heading": _heading,
    "has": _has,
    "lacks": lambda check, arrived: not _has(check, arrived),
    "order": _order,
    "row": _row,
    "neighbours": _neighbours,
    "share": lambda check, arrived: share(check.of[0], arrived.text) >= check.number,
    "heard": lambda check, arrived: error_rate(check.of[0], spoken(arrived.text)) <= check.number,
    "silent": _silent,
    "at": _at,
    "apart": _apart,
    "indented": _indented,
    "read or told": lambda check, arrived: (
        share(check.of[0], arrived.text) >= check.number or SHORT.search(arrived.told) is not None
    ),
}
