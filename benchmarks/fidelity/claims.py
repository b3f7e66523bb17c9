"""What EXPLAIN claims of media, held against what arrived."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import report

from fidelity.checks import CLOCK, SHORT, Arrived, share
from fidelity.ours import Row
from fidelity.samples import Sample

INTACT = 0.8  # share of a file's words that must arrive where words are said to be kept
HALF = 0.5  # and where most of them are
FEW = 0.7  # share from which on it is false that few of them are
_FEW = re.compile(r"\bkeeps few words|\bfew of (?:its|the) words")


@dataclass(frozen=True)
class Claim:
    """A claim about a file that can be tested: what is said, and whether it is so."""

    name: str
    aspect: str
    true: bool


def flagged(row: Row) -> bool:
    """Whether plan or answer says that not all words arrive as they are."""
    return bool(SHORT.search(row.told))


def arrived(sample: Sample, row: Row) -> float:
    """The share of the file's words that arrived."""
    return share(sample.truth, row.text)


def claims(sample: Sample, row: Row) -> list[Claim]:
    """The testable ones of what the plan says to keep.

    Words are kept where four of five arrive, or where anybody says that they may not, and most of them where half
    arrive; few of them arrive where seven of ten do not; times where one stands in the prompt, and where they are
    stated at the right words; layout and speakers where half of the checks of them hold. Of a file that ends in an
    error nothing arrives: the error has to say what to do, and the plan must not have kept its words without a doubt.
    """
    if row.error:
        claimed = "words" in row.keeps and bool(sample.truth)
        doubts = [Claim(sample.name, "words", bool(SHORT.search(row.planned)))] if claimed else []
        return [Claim(sample.name, "errors", bool(row.fix)), *doubts]
    found = []
    if "words" in row.keeps and sample.truth:
        found.append(Claim(sample.name, "words", arrived(sample, row) >= INTACT or flagged(row)))
    if "keeps most words" in row.planned and sample.truth:
        found.append(Claim(sample.name, "most words", arrived(sample, row) >= HALF))
    if _FEW.search(row.told) and sample.truth:
        found.append(Claim(sample.name, "few words", arrived(sample, row) < FEW))
    if "timing" in row.keeps and "timing" not in sample.keep and sample.truth:
        found.append(Claim(sample.name, "timing", CLOCK.search(row.text) is not None))
    for aspect in ("timing", "layout", "speakers"):
        if aspect in row.keeps and (aspect != "timing" or aspect in sample.keep):
            held = [check.holds(Arrived(row.text, row.told)) for check in sample.checks if check.aspect == aspect]
            if held:
                found.append(Claim(sample.name, aspect, 2 * sum(held) >= len(held)))
    return found


def false_claims(picked: Sequence[Sample], rows: Mapping[str, Row]) -> list[Claim]:
    """Claims of the plans that the prompts do not bear out."""
    return [claim for sample in picked for claim in claims(sample, rows[sample.name]) if not claim.true]


def claims_table(picked: Sequence[Sample], rows: Mapping[str, Row]) -> str:
    """How many claims are true, and how many of the files that do not arrive whole are said not to."""
    every = [claim for sample in picked for claim in claims(sample, rows[sample.name])]
    lines = []
    for aspect in dict.fromkeys(claim.aspect for claim in every):
        some = [claim for claim in every if claim.aspect == aspect]
        lines.append((aspect, str(len(some)), str(sum(claim.true for claim in some))))
    told = [(arrived(sample, rows[sample.name]), flagged(rows[sample.name])) for sample in picked if sample.truth]
    short = [said for part, said in told if part < INTACT]
    whole = [said for part, said in told if part >= INTACT]
    flags = (
        f"Of {len(short)} files of which less than {INTACT:.0%} of the words arrive, {sum(short)} are flagged; "
        f"of {len(whole)} others {sum(whole)} are."
    )
    return "\n\n".join(["## Claims", report.table(("EXPLAIN keeps", "claims", "true"), lines), flags])
