"""QR codes, bar codes and their like among the lines that a reader found on a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from intermodal import errors
from intermodal.content import ReadLine
from intermodal.executor.dependencies import CodeLike, MediaWorkerLike
from intermodal.executor.preparation.model_inputs import ImageInput
from intermodal.local.embedded.ocr_layout import in_reading_order

PRINT_CONFIDENCE: Final = (
    0.9  # confidence from which on a line on a code is print, as a name in its middle is, and no pattern
)


async def decode_codes(pictures: Sequence[ImageInput], media: MediaWorkerLike, name: str) -> list[tuple[CodeLike, ...]]:
    """What codes say on each picture. Of one that cannot be looked at nothing: its words were read all the same."""
    found: list[tuple[CodeLike, ...]] = []
    for picture in pictures:
        try:
            found.append(await media.codes(picture.data, name=name))
        except errors.InputError:
            found.append(())
    return found


def merge_codes(lines: Sequence[ReadLine], codes: Sequence[CodeLike]) -> tuple[ReadLine, ...]:
    """Lines in reading order: what codes say stands where they are, and signs made of their patterns are gone."""
    if not codes:
        return tuple(lines)
    print_ = [
        line for line in lines if line.confidence >= PRINT_CONFIDENCE or not any(_lies_on(line, code) for code in codes)
    ]
    said = [ReadLine(text=_said(code), confidence=1.0, box=code.box) for code in codes]
    if not all(any(line.box) for line in print_):
        return (*print_, *said)  # a reader that does not tell where lines are
    return in_reading_order((*print_, *said))


def _lies_on(line: ReadLine, code: CodeLike) -> bool:
    left, top, right, bottom = line.box
    x0, y0, x1, y1 = code.box
    return x0 <= (left + right) / 2 <= x1 and y0 <= (top + bottom) / 2 <= y1


def _said(code: CodeLike) -> str:
    return f"{code.kind}: {code.text}" if code.text else f"({code.kind} that could not be read)"
