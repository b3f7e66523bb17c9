"""The HTML page of ``intermodal find``: thumbnails with scores and files."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from intermodal.charts.html import STYLE, document
from intermodal.plans.numbers import counted
from intermodal.plans.svg import clean

if TYPE_CHECKING:
    from intermodal.retrieval.picture_search import FindResult

_STYLE = (
    STYLE
    + """
ol.found{display:grid;grid-template-columns:repeat(auto-fill,minmax(12rem,1fr));gap:1rem;list-style:none;padding:0}
ol.found img{display:block;max-width:100%;height:auto;background:var(--soft)}figure{margin:0}
figcaption{font-size:.85rem;overflow-wrap:anywhere}
"""
)


def page(found: FindResult, thumbnails: Sequence[tuple[bytes, str]]) -> str:
    """The page; ``thumbnails`` are those of the nearest, in their order, each with its media type."""
    asked = f"looks like {Path(found.query).name}" if found.by == "picture" else f"“{found.query}”"
    head = (
        f"{counted(found.pictures, 'picture')} compared by {found.endpoint}. A score is the cosine of two vectors: it "
        "says which picture is nearer, not how sure anybody is."
    )
    rows = []
    for number, (near, (data, media_type)) in enumerate(zip(found.nearest, thumbnails, strict=True), 1):
        name, where = escape(clean(Path(near.file).name)), escape(clean(near.file))
        source = f"data:{media_type};base64,{b64encode(data).decode()}"
        rows.append(
            f'<li><figure><img src="{source}" alt="{name}"><figcaption>{number}. {near.score:.3f} '
            f'<span title="{where}">{name}</span></figcaption></figure></li>'
        )
    body = f'<p class="dim">{escape(head)}</p>\n<ol class="found">\n' + "\n".join(rows) + "\n</ol>"
    return document(f"Found: {clean(asked)}", body, _STYLE, pictures=True)
