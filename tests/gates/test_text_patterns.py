"""No regular expression of ours looks at a long text more than a few times: those of clients, models, hosts and files.

Every pattern that a module holds is found by itself and given texts that are made to be bad for it: its own letters,
repeated, with an end that it does not want. What looks at each letter from each letter would take minutes for one of
them; what looks at each once takes milliseconds. It is interrupted after seconds of the processor, not of the clock.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest

import intermodal
from intermodal.cost_model import answer_length
from intermodal.executor.conversion import checks
from intermodal.executor.outputs import speech
from intermodal.executor.preparation import prompt
from intermodal.media.text.invisible_characters import strip_invisible
from intermodal.planner.conversion import page_relevance
from intermodal.protocols import answer_state
from intermodal.protocols.errors import classification
from intermodal.questions import keyword_needs as questions

pytestmark = pytest.mark.gate

LENGTH = 20_000  # characters
PATIENCE = 0.25  # seconds of the processor for one text: hundreds of times what one look takes
# Where other people's texts go through.
ROOMS = (
    "cost_model",
    "evidence",
    "executor",
    "gateway",
    "json_schema",
    "local",
    "media",
    "planner",
    "protocols",
    "questions",
    "request_from_call",
    "telemetry",
)
# Used at the beginning of a text or for all of it alone (match, fullmatch), or for what is cut short before.
ANCHORED = {
    "cost_model.image_tokens._OPENAI_SIZE": "matches all of a short name",
    "json_schema.compiler._ANCHOR": "matches at the beginning",
    "local.weights.registry._MEMBER": "matches all of a row of ours",
    "media.url_policy._LABEL": "matches all of a label",
    "media.url_policy._NUMERIC": "matches all of a label",
    "protocols.conversation._FAILED": "matches at the beginning",
    "protocols.errors.retry_after._NUMBER": "matches all of 200 characters at most",
    "protocols.errors.retry_after._PARTS": "of 64 characters at most",
    "protocols.errors.retry_after._TRY_AGAIN": "of 2,000 characters at most",
}


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Every compiled pattern, by where it stands."""
    for module in pkgutil.walk_packages(intermodal.__path__, "intermodal."):
        name = module.name.removeprefix("intermodal.")
        if not name.startswith(ROOMS) or ".embedded" in name or name == "media.worker":
            continue
        try:
            held = vars(importlib.import_module(module.name))
        except ImportError:  # an extra that is not installed
            continue
        for attribute, value in held.items():
            for pattern in found_in(value):
                yield f"{name}.{attribute}", pattern
    for row in classification.ERROR_RULES:
        if row.words:
            yield "protocols.errors.rules.ROWS", re.compile(row.words, re.IGNORECASE)
    for words, _ in classification.MODALITY_PATTERNS:
        yield "protocols.errors.rules.KINDS", re.compile(words, re.IGNORECASE)


def found_in(value: Any, depth: int = 0) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth < 4 and isinstance(value, (tuple, list, set, frozenset)):
        for each in value:
            yield from found_in(each, depth + 1)
    elif depth < 4 and isinstance(value, dict):
        for each in value.values():
            yield from found_in(each, depth + 1)
    elif depth < 4 and hasattr(value, "__struct_fields__") and not isinstance(value, type):
        for name in value.__struct_fields__:
            yield from found_in(getattr(value, name), depth + 1)


def bad_for(written: str) -> Iterator[str]:
    """Texts for a pattern: pieces of it, repeated, after another piece of it, with an end that does not fit."""
    letters = dict.fromkeys(re.findall(r"[A-Za-z]{2,}|[^\sA-Za-z0-9\\]", written))
    units = ["a", "0", " ", "\n", "-", "a ", "\u200c", *list(letters)[:20]]
    for begin in ["", *list(letters)[:4]]:
        for unit in units[:6]:
            yield begin + (unit * LENGTH)[:LENGTH] + "\x01é"
    for unit in units:
        for other in ("", " ", "a"):
            yield ((unit + other) * LENGTH)[:LENGTH] + "\x01"


class TooSlow(Exception):
    pass


@pytest.fixture
def patience() -> Iterator[None]:
    def over(number: int, frame: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGVTALRM, over)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


@pytest.mark.usefixtures("patience")
def test_no_pattern_looks_at_a_text_again_and_again() -> None:
    slow: list[str] = []
    for where, pattern in patterns():
        if where in ANCHORED:
            continue
        binary = isinstance(pattern.pattern, bytes)
        written = pattern.pattern.decode("latin-1") if binary else pattern.pattern
        for text in bad_for(written):
            given: Any = text.encode() if binary else text
            signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
            try:
                pattern.sub(b"" if binary else "", given)
            except TooSlow:
                slow.append(f"{where} {written[:80]!r} at {text[:12]!r}")
                break
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    assert not slow, "\n".join(slow)


LOOKED_AT = {
    "what a question is about": questions.needed_aspects,
    "what kind of answer it wants": answer_length.kind_of,
    "which pages it names": page_relevance.named_pages,
    "what can be seen of a text": strip_invisible,
    "text of a file as a model gets it": prompt.sanitize,
    "whether it repeats itself": checks.repeats,
    "whether it begins to": lambda text: answer_state.LoopGuard().record_piece(text),
    "Markdown, without its signs": speech.strip_markdown,
    "the lines that a voice speaks": speech.speech_lines,
    "what of a host's words is quoted": classification.quote,
}
UNITS = (
    "is ", "is blue ", "page 1 ", "[", "![](", "[a](b", "-", "|", "| - ", "\n", " ", " \n", "*a", "* ", "``` ", "#",
    "<|", "<|a", "<\uff5c", "<__media", "<a|", "[/", "### ", "<|im_end|>", "م\u200c",
    ".", ". \"", "a. ", "word ", "a\u200c", "\u200d", "é", "\"input\":", "key-", "data:a;base64,", "/tmp/", "。", "x",
)  # fmt: skip


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("what", LOOKED_AT)
def test_what_is_looked_for_in_words_takes_a_few_looks(what: str) -> None:
    slow = []
    for unit in UNITS:
        for end in ("\x01", "é?"):
            text = f"é{unit * LENGTH}"[:LENGTH] + end
            signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
            try:
                LOOKED_AT[what](text)
            except TooSlow:
                slow.append(f"{unit!r} … {end!r}")
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    assert not slow, "\n".join(slow)
