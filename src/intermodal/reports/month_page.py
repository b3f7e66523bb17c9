"""A month's bills as one HTML page that needs nothing else, light and dark."""

from __future__ import annotations

from html import escape

from intermodal._version import __version__
from intermodal.plans.svg import clean
from intermodal.reports import month_tables as tables
from intermodal.reports.month_picture import svg
from intermodal.reports.month_tables import Table
from intermodal.reports.monthly import Month

_STYLE = """
:root{color-scheme:light dark;--back:#fff;--text:#1f2328;--dim:#59636e;--line:#d0d7de;--soft:#f6f8fa}
@media (prefers-color-scheme:dark){:root{--back:#0d1117;--text:#e6edf3;--dim:#9198a1;--line:#3d444d;--soft:#161b22}}
body{margin:0 auto;max-width:76rem;padding:1.5rem;background:var(--back);color:var(--text);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}.dim{color:var(--dim)}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem}th,td{border-bottom:1px solid var(--line);
padding:.35rem .7rem;text-align:left;vertical-align:top;white-space:nowrap}thead th{background:var(--soft)}
td.wide{white-space:normal;min-width:16rem}li{margin:.2rem 0}svg{max-width:100%;height:auto}
"""


def page(made: Month) -> str:
    """The whole page."""
    said = "".join(f"<li>{_safe(line.strip())}</li>" for line in tables.sentences(made, notes=True))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{_safe(made.name)}: a month</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{_safe(made.name)}</h1>\n"
        f'<p class="dim">{_safe(tables.headline(made))}; intermodal {_safe(__version__)}</p>\n{svg(made)}\n'
        f"<h2>By kind of part</h2>\n{_table(tables.by_modality(made))}\n"
        f"<h2>What it takes</h2>\n{_table(tables.taken(made))}\n"
        f"<h2>By step</h2>\n{_table(tables.by_step(made))}\n"
        f"<h2>What to know</h2>\n<ul>{said}</ul>\n</main>\n</body>\n</html>\n"
    )


def _table(table: Table) -> str:
    head, rows = table
    body = "".join(f"<tr>{''.join(f'<td>{_safe(cell)}</td>' for cell in row)}</tr>" for row in rows)
    heads = "".join(f'<th scope="col">{_safe(cell)}</th>' for cell in head)
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _safe(text: str) -> str:
    return escape(clean(text))
