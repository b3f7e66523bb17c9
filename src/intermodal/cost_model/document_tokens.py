"""Tokens of a document that a model takes whole, by the named rule of its family.

``page:258``: so many a page. ``gemini_pages``: a budget per page by media resolution. ``openai_pdf`` and
``anthropic_pdf``: the text of a page and a picture of it, whose size is unpublished. ``by_page``: billed by the page.
"""

from __future__ import annotations

from collections.abc import Callable

from intermodal.content import Scripts, Value
from intermodal.cost_model.image_rules.gemma import cells_of_budget
from intermodal.cost_model.image_tokens import image_tokens
from intermodal.cost_model.rule_syntax import parse_rule
from intermodal.cost_model.tokens import text_tokens, unknown_document_tokens
from intermodal.quantity import Quantity, between, exact

UNKNOWN_RULE = "no published rule for this model's documents"
BY_PAGE = "billed by the page, not by tokens"

PAGE = (612.0, 792.0)  # points: US letter
SMALL_DPI, USUAL_DPI, LARGE_DPI = 72.0, 100.0, 200.0  # assumed of a page's picture; no vendor publishes it
PAGE_TEXT = (0.0, 600.0, 3_000.0)  # tokens of a page's text where the letters are unknown: a scan has none


class DocumentSize(Value):
    """A document as far as counting needs it.

    chars, size: characters of its text and their bytes, None where unknown. scripts: its scripts, () where not
        examined.
    vocabulary: whose factors estimate its text, "" where unknown. width, height: of a page, in points.
    """

    pages: int
    chars: int | None = None
    size: int = 0
    scripts: Scripts = ()
    vocabulary: str = ""
    width: float = PAGE[0]
    height: float = PAGE[1]
    detail: str = "auto"


def document_tokens(rule: str, leaves: DocumentSize, image_rule: str) -> Quantity:
    """Return the tokens of one document; without a known rule the range over the published families.

    >>> int(document_tokens("page:258", DocumentSize(pages=10), "").mid)
    2580
    """
    read = parse_rule(rule)
    if read is None or not is_document_rule(rule):
        found = unknown_document_tokens(leaves.pages, leaves.chars or 0)
        return between(found.low, found.mid, found.high, UNKNOWN_RULE)
    return RULES[read[0]][0](leaves, read[1].numbers, image_rule)


def is_document_rule(rule: str) -> bool:
    """Return whether a rule string is valid."""
    read = parse_rule(rule)
    if read is None or read[0] not in RULES or read[1].words:
        return False
    return len(read[1].numbers) == RULES[read[0]][1] and all(number > 0 for number in read[1].numbers)


def _page(leaves: DocumentSize, numbers: tuple[float, ...], image_rule: str) -> Quantity:
    return exact(numbers[0] * leaves.pages, f"{numbers[0]:g} tokens a page")


def _gemini_pages(leaves: DocumentSize, numbers: tuple[float, ...], image_rule: str) -> Quantity:
    """Gemini 3.x: at most so many tokens a page by media resolution (auto is medium), and the text it carries.

    Source: Google, "Media resolution", 2026-11. The documentation is inconsistent on whether the text is billed.
    """
    level = {"low": 0, "auto": 1, "medium": 1}.get(leaves.detail, 2)
    most = numbers[level]
    least = min(most, float(cells_of_budget(round(leaves.width), round(leaves.height), int(most))))
    text = _text(leaves)
    pages = leaves.pages
    basis = f"at most {most:g} tokens a page, and its text"
    return between(least * pages, most * pages, most * pages + text.high, basis)


def _openai(leaves: DocumentSize, numbers: tuple[float, ...], image_rule: str) -> Quantity:
    """OpenAI: the text of every page, and a picture of it, at least where it shows one. Neither size nor condition is
    published (OpenAI, "PDF files" guide): from text alone to a large picture of every page."""
    text = _text(leaves)
    usual, large = (_picture(leaves, image_rule, dpi) for dpi in (USUAL_DPI, LARGE_DPI))
    high = max(usual.high, large.high)
    low = max(text.low, float(leaves.pages))
    if leaves.chars == 0:  # a scan, which shows itself on every page
        low = _picture(leaves, image_rule, SMALL_DPI).low * leaves.pages
    return between(
        low, text.mid + usual.mid * leaves.pages, text.high + high * leaves.pages,
        "text and a picture per page; its size is not published",
    )  # fmt: skip


def _anthropic(leaves: DocumentSize, numbers: tuple[float, ...], image_rule: str) -> Quantity:
    """Claude: a picture of every page, and its text, "1,500 to 3,000 tokens a page" (Anthropic, "PDF support")."""
    pages = leaves.pages
    small, usual, large = (_picture(leaves, image_rule, dpi) for dpi in (SMALL_DPI, USUAL_DPI, LARGE_DPI))
    if leaves.chars is not None:
        text = _text(leaves)
    else:
        least, most = numbers
        text = between(least * pages, (least + most) / 2 * pages, most * pages, "")
    return between(
        text.low + small.low * pages, text.mid + usual.mid * pages, text.high + large.high * pages,
        "text and a picture per page; its size is not published",
    )  # fmt: skip


def _by_page(leaves: DocumentSize, numbers: tuple[float, ...], image_rule: str) -> Quantity:
    return exact(0.0, BY_PAGE)


def _text(leaves: DocumentSize) -> Quantity:
    if leaves.chars is not None:
        return text_tokens(leaves.chars, leaves.size, leaves.scripts, leaves.vocabulary)
    low, mid, high = (tokens * leaves.pages for tokens in PAGE_TEXT)
    return between(low, mid, high, "")


def _picture(leaves: DocumentSize, image_rule: str, dpi: float) -> Quantity:
    return image_tokens(image_rule, round(leaves.width * dpi / 72), round(leaves.height * dpi / 72), "high")


RULES: dict[str, tuple[Callable[[DocumentSize, tuple[float, ...], str], Quantity], int]] = {
    "page": (_page, 1),
    "gemini_pages": (_gemini_pages, 3),
    "openai_pdf": (_openai, 0),
    "anthropic_pdf": (_anthropic, 2),
    "by_page": (_by_page, 0),
}
