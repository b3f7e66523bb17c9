"""Converts Jupyter notebooks (nbformat 4 and 3) cell by cell: text, code and outputs. Runs in the worker.

The result has the text of Markdown cells, code in fences, and the text of outputs. Images of outputs are returned as
images, never as base64 in the text. Of an output in several forms, one is used: Markdown, plain text, or its HTML as
text.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from intermodal.errors import InputBroken, InputEmpty, InputTooLarge
from intermodal.media.office.conversion_types import MAX_CHARS, ConvertedFile
from intermodal.media.office.html_pages import markdown
from intermodal.media.office.image_collector import ImageCollector, Probe
from intermodal.media.office.text_encoding import decode_text
from intermodal.plans.numbers import with_noun

_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PICTURES = ("image/png", "image/jpeg", "png", "jpeg")
_FENCE = re.compile(r"`{3,}")
_MAX_OUTPUT = 200_000  # characters of one output
_DATA_URI = re.compile(r"data:[\w.+-]{1,60}/[\w.+-]{1,60};base64,[A-Za-z0-9+/=\s]{40,}")


def convert(data: bytes, name: str, probe: Probe) -> ConvertedFile:
    try:
        book = json.loads(decode_text(data)[0])
        cells = book.get("cells")
        if cells is None:  # nbformat 3
            cells = [cell for sheet in book["worksheets"] for cell in sheet["cells"]]
        language = str((book.get("metadata", {}).get("language_info") or {}).get("name") or "python")
        reader = _Reader(probe, re.sub(r"[^\w+#.-]", "", language)[:20])
        blocks = [block for cell in cells for block in reader.cell(cell)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputBroken(
            "cannot be read as a notebook", todo="open it and save it again, or pass it as text"
        ) from None
    text = "\n\n".join(block for block in blocks if block.strip())
    if not text:
        raise InputEmpty("is a notebook without cells", where=name, todo="check what wrote this file")
    if len(text) > MAX_CHARS:
        raise InputTooLarge(f"holds {len(text):,} characters, more than {MAX_CHARS:,}", todo="clear its outputs")
    return ConvertedFile(
        text=text, pictures=reader.gallery.collected_images, notes=(*reader.notes(), *reader.gallery.notes())
    )


class _Reader:
    def __init__(self, probe: Probe, language: str) -> None:
        self.gallery = ImageCollector(probe)
        self._language = language
        self._cut = 0

    def notes(self) -> list[str]:
        return [f"{with_noun(self._cut, 'output')} cut at {_MAX_OUTPUT:,} characters"] if self._cut else []

    def cell(self, cell: dict[str, Any]) -> list[str]:
        source = _join_lines(cell.get("source", cell.get("input", "")))
        kind = cell.get("cell_type")
        if kind == "markdown":
            return [self._cell_markdown(source, cell.get("attachments") or {})]
        if kind == "heading":
            return [f"{'#' * min(6, int(cell.get('level') or 1))} {source}"]
        if kind != "code":
            return [source]
        count = cell.get("execution_count", cell.get("prompt_number"))
        blocks = [_fence(source, self._language)] if source.strip() else []
        output_blocks = [each for output in cell.get("outputs") or () for each in self._output(output)]
        if output_blocks:
            head = f"Output [{count}]:" if isinstance(count, int) else "Output:"
            blocks += [head, *output_blocks]
        return blocks

    def _cell_markdown(self, text: str, attached: dict[str, Any]) -> str:
        """Return the Markdown of a cell, with pasted images at their place."""

        def mark_attachment(match: re.Match[str]) -> str:
            forms = attached.get(match[2]) or {}
            return self._image_mark(forms, match[1]) if isinstance(forms, dict) else ""

        text = re.sub(r"!\[([^\]]{0,200})\]\(attachment:([^)\s]{1,200})[^)]{0,200}\)", mark_attachment, text)
        return _DATA_URI.sub("[data left out]", text)

    def _output(self, output: dict[str, Any]) -> list[str]:
        kind = output.get("output_type")
        if kind == "stream":
            return [self._output_text(_join_lines(output.get("text", "")))]
        if kind in ("error", "pyerr"):
            trace = "\n".join(map(str, output.get("traceback") or ()))
            message = f"{output.get('ename', 'Error')}: {output.get('evalue', '')}"
            return [
                self._output_text(
                    trace if str(output.get("evalue", "")) in _COLOURS.sub("", trace) and trace else message
                )
            ]
        forms = output.get("data", output)
        picture = self._image_mark(forms, "")
        if picture:
            return [picture]
        for form in ("text/markdown", "text/latex", "latex"):
            if forms.get(form):
                return [_DATA_URI.sub("[data left out]", _join_lines(forms[form]))[:_MAX_OUTPUT]]
        plain = _join_lines(forms.get("text/plain", forms.get("text", "")))
        page = _join_lines(forms.get("text/html", forms.get("html", "")))
        if page and ("<table" in page or not plain or plain.startswith("<IPython")):
            page_text, _ = markdown(page, self.gallery)
            if page_text:
                return [page_text[:_MAX_OUTPUT]]
        return [self._output_text(plain)] if plain else []

    def _image_mark(self, forms: dict[str, Any], alt: str) -> str:
        for form in _PICTURES:
            if forms.get(form):
                try:
                    return self.gallery.image_mark(base64.b64decode("".join(_join_lines(forms[form]).split())), alt)
                except (binascii.Error, ValueError):
                    return ""
        return ""

    def _output_text(self, text: str) -> str:
        text = _DATA_URI.sub("[data left out]", _COLOURS.sub("", text)).rstrip()
        if len(text) > _MAX_OUTPUT:
            self._cut += 1
            text = text[:_MAX_OUTPUT]
        return _fence(text, "") if text else ""


def _join_lines(lines: Any) -> str:
    return "".join(map(str, lines)) if isinstance(lines, list) else str(lines or "")


def _fence(text: str, language: str) -> str:
    """Return text between fences longer than any fence in it (CommonMark 0.31, 4.5)."""
    fence = "`" * max(3, *(len(found) + 1 for found in _FENCE.findall(text)), 3)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
