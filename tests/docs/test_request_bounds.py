"""docs/reliability.md names the bounds on what a request can cost as the code has them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.gates.slow_inputs import OPERATORS

from intermodal import offload
from intermodal.config_file import Serve
from intermodal.gateway import connection, counted, forms, items, tokens
from intermodal.gateway.messages import HttpLimits
from intermodal.wire import openai_works_served

PAGE = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
SECTION = PAGE.partition("## Bounds on what a request can cost\n")[2].partition("\n## ")[0]
LIMITS = HttpLimits()
BOUNDS = {
    "bytes of a body": f"{LIMITS.body >> 20} MiB, else 413",
    "bytes of JSON that are no media": f"{LIMITS.text >> 20} MiB, else 413",
    "values in JSON: messages, parts, keys, numbers": f"{counted.VALUES:,}, else 413",
    "values in a request for vectors, tokens included": f"{tokens.MOST:,}, else 413",
    "fields of the body itself": f"{counted.FIELDS:,}, else 400",
    "objects and arrays in each other": f"{counted.DEPTH}, else 400",
    "pictures, recordings, films, documents": f"{LIMITS.media:,}, else 413",
    "texts in a request for vectors": f"{openai_works_served.MAX_TEXTS:,}, else 400",
    "bytes of items that are named by id, each time": f"{items.MOST_FOUND >> 20} MiB, else 413",
    "parts of a form": f"{forms.PARTS}, else 413",
    "bytes of the head": f"{LIMITS.head >> 10} KiB, else 431",
    "headers": f"{LIMITS.headers}, else 431",
    "bytes of the path": f"{LIMITS.target >> 10} KiB, else 414",
    "requests that wait on one connection": f"{connection._PIPELINED}, else 429",
    "bytes of all bodies at once": f"{LIMITS.in_flight >> 20} MiB, else 503",
    "connections": f"{LIMITS.connections:,}, else 503",
}


def test_the_table_has_the_bounds_of_the_code() -> None:
    table = re.search(r"<!-- request bounds -->\n(.*)<!-- /request bounds -->", SECTION, re.S)
    assert table is not None
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()[2:]]
    assert {row[0]: row[1] for row in rows} == BOUNDS
    for _, _, where in rows:
        field = where.strip("`").removeprefix("[serve] ")
        assert field in Serve.__struct_fields__ or (Path(offload.__file__).parent / field).is_file(), where


def test_what_the_config_says_is_what_a_gateway_has_without_it() -> None:
    usual = Serve()
    assert (usual.max_body << 20, usual.max_text << 20, usual.max_media) == (LIMITS.body, LIMITS.text, LIMITS.media)


def test_the_page_says_when_a_computation_is_long() -> None:
    text = " ".join(SECTION.split())
    long = (
        f"more than {offload.MANY} parts, {offload.TOOLS} tools, {offload.LONG >> 10} KiB of text or "
        f"{offload.HEAVY >> 20} MiB of media"
    )
    assert long in text and f"schemas of more than {offload.VALUES:,} values" in text
    assert offload.THREADS == 4 and "one of four threads" in text
    assert f"{len(OPERATORS)} operators" in text
