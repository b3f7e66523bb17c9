"""How wide the tables of a report's page must be: where no line can end, a browser cuts what does not fit."""

from __future__ import annotations

import re
from html import unescape

from intermodal.plans.svg import width

PAGE = 1200 - 2 * 24  # pixels between the edges of a page
_SIZE, _PADDING = 12.8, 11.2  # of a cell, as ``charts/html.py`` has them at 16 px


def narrowest(page: str) -> list[float]:
    """Pixels that each table takes at least: of each column the longest run in which no line can end."""
    assert "nowrap" not in page
    found = []
    for table in re.findall(r"<table>.*?</table>", page, re.DOTALL):
        columns: list[float] = []
        for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL):
            for place, cell in enumerate(re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)):
                columns += [0.0] * (place + 1 - len(columns))
                runs = re.split(r"\s|<[^>]*>|(?<=-)", cell)
                longest = max(width(unescape(run), _SIZE, bold="<th" in row) for run in runs)
                columns[place] = max(columns[place], longest + _PADDING)
        found.append(sum(columns))
    return found
