"""HTML pages: the shared style, tables and escaping, and the pages of a monthly bill and of a search.

A page is self-contained, light and dark, and loads nothing. The pages of advice and of an evaluation are in
``advice.py`` and ``evaluation.py``.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from intermodal._version import __version__
from intermodal.plans.numbers import with_noun
from intermodal.plans.svg import clean
from intermodal.workloads import monthly_cost as tables
from intermodal.workloads.monthly_cost import MonthlyCost, Table, svg

if TYPE_CHECKING:
    from intermodal.retrieval.image_search import FindResult

_BREAKS = re.compile(r"(?<=\w)([:/_]|\.\.)(?=\w)")  # where a line may break in ids, paths and ranges

STYLE = """
:root{color-scheme:light dark;--back:#fff;--text:#1b1f24;--dim:#57606a;--line:#d0d7de;--soft:#f3f5f7;--good:#116329;
--bad:#a40e26;--h1:#0b57a4;--h2:#a33a00;--h3:#1a6b3c;--h4:#7a3aa0;--h5:#8a5a00;--h6:#a0265c;--h7:#0a6a74;--h8:#505861}
@media (prefers-color-scheme:dark){:root{--back:#14171b;--text:#e3e7eb;--dim:#9aa4ae;--line:#3a424b;--soft:#1e2329;
--good:#62d184;--bad:#ff8f99;--h1:#6fb1f5;--h2:#f79a68;--h3:#66cf91;--h4:#cf9df0;--h5:#e0b354;--h6:#f390ba;--h7:#5fc9d4;
--h8:#b3bcc5}}
body{margin:0 auto;max-width:76rem;padding:1.5rem;background:var(--back);color:var(--text);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}p{margin:.4rem 0;max-width:60rem}
.dim{color:var(--dim)}.pictures{display:flex;flex-wrap:wrap;gap:1rem}.pictures svg{flex:1 1 26rem;max-width:36rem}
svg{max-width:100%;height:auto}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.8rem;line-height:1.4;width:100%}
caption{text-align:left;color:var(--dim);padding:.3rem 0}th,td{border-bottom:1px solid var(--line);padding:.3rem .35rem;
text-align:left;vertical-align:top}th{font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
thead th{background:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}
details{margin:0}summary{cursor:pointer}pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.3rem 0;font-size:.85rem}
"""
STYLE += "@media print{body{max-width:none}details>*{display:block}}"


def document(title: str, body: str, style: str = STYLE, *, pictures: bool = False) -> str:
    """Return a whole page whose content security policy forbids scripts, fonts and external images.

    ``pictures``: whether to allow embedded images.
    """
    images = "; img-src data:" if pictures else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        f"content=\"default-src 'none'; style-src 'unsafe-inline'{images}\">\n"
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def cell_text(text: str) -> str:
    """Escape the text of a cell, and allow line breaks within ids, paths and ranges."""
    return _BREAKS.sub(r"\1<wbr>", escape(clean(text)))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], note: str) -> str:
    """Return a table. Columns whose heads start with ``n:`` are numeric.

    Ids and ranges may break across lines, so that many columns fit on a page.
    """
    kinds = [' class="n"' if name.startswith("n:") else "" for name in head]
    heads = "".join(
        f'<th scope="col"{kind}>{cell_text(name.removeprefix("n:"))}</th>'
        for name, kind in zip(head, kinds, strict=True)
    )
    lines = []
    for row in rows:
        first, *rest = zip(row, kinds, strict=True)
        cells = f'<th scope="row"{first[1]}>{cell_text(first[0])}</th>'
        cells += "".join(f"<td{kind}>{cell_text(cell)}</td>" for cell, kind in rest)
        lines.append(f"<tr>{cells}</tr>")
    return (
        f'<div class="scroll"><table><caption>{escape(note)}</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


# ---- monthly bill -----------------------------------------------------------------------------------


def monthly_cost_page(monthly_bill: MonthlyCost) -> str:
    """Return the page of a monthly bill."""
    items = "".join(
        f"<li>{_escape_text(line.strip().removeprefix('- '))}</li>"
        for line in tables.sentences(monthly_bill, notes=True)
    )
    body = (
        f'<p class="dim">{_escape_text(tables.headline(monthly_bill))}; intermodal {_escape_text(__version__)}</p>\n'
        f"{svg(monthly_bill)}\n"
        f"<h2>By kind of part</h2>\n{_table(tables.by_modality(monthly_bill))}\n"
        f"<h2>What it takes</h2>\n{_table(tables.plan_requirements(monthly_bill))}\n"
        f"<h2>By step</h2>\n{_table(tables.by_step(monthly_bill))}\n"
        f"<h2>What to know</h2>\n<ul>{items}</ul>"
    )
    return document(f"{clean(monthly_bill.name)}: a month", body)


def _table(table_: Table) -> str:
    head, rows = table_
    return table(head, rows, "")


def _escape_text(text: str) -> str:
    return escape(clean(text))


# ---- search results ---------------------------------------------------------------------------------


_SEARCH_STYLE = (
    STYLE
    + """
ol.found{display:grid;grid-template-columns:repeat(auto-fill,minmax(12rem,1fr));gap:1rem;list-style:none;padding:0}
ol.found img{display:block;max-width:100%;height:auto;background:var(--soft)}figure{margin:0}
figcaption{font-size:.85rem;overflow-wrap:anywhere}
"""
)


def search_page(find_result: FindResult, thumbnails: Sequence[tuple[bytes, str]]) -> str:
    """Return the page of a search. ``thumbnails``: of the nearest images in their order, each with its media type."""
    query_text = (
        f"looks like {Path(find_result.query).name}" if find_result.by == "picture" else f"“{find_result.query}”"
    )
    head = (
        f"{with_noun(find_result.pictures, 'image')} compared by {find_result.endpoint}. A score is the cosine of two "
        "vectors: it says which image is nearer, not how sure anybody is."
    )
    rows = []
    for number, (near, (data, media_type)) in enumerate(zip(find_result.nearest, thumbnails, strict=True), 1):
        name, where = escape(clean(Path(near.file).name)), escape(clean(near.file))
        source = f"data:{media_type};base64,{b64encode(data).decode()}"
        rows.append(
            f'<li><figure><img src="{source}" alt="{name}"><figcaption>{number}. {near.score:.3f} '
            f'<span title="{where}">{name}</span></figcaption></figure></li>'
        )
    body = f'<p class="dim">{escape(head)}</p>\n<ol class="found">\n' + "\n".join(rows) + "\n</ol>"
    return document(f"Found: {clean(query_text)}", body, _SEARCH_STYLE, pictures=True)
