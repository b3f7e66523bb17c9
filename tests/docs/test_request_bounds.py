"""docs/reliability.md names the bounds on what a request can cost, and on what is kept of it, as the code has them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.gates.slow_inputs import OPERATORS

from intermodal.concurrency import offload
from intermodal.config.tables import ServeTable
from intermodal.executor.attempt import circuit_breaker
from intermodal.executor.direct import compiled_plan
from intermodal.gateway import server_client
from intermodal.gateway.direct import direct_chats
from intermodal.gateway.endpoints import media
from intermodal.gateway.http1 import connection
from intermodal.gateway.http1.http_types import HttpLimits
from intermodal.gateway.quotas import budget_leases
from intermodal.gateway.requests import body_limits, multipart
from intermodal.gateway.state import conversations, plan_cache, plan_history
from intermodal.gateway.workers import shared_state
from intermodal.json_schema import compiler
from intermodal.local.discovery import catalog_cache
from intermodal.local.tokenizers import sentencepiece, token_counter
from intermodal.media.text import script_counts, tool_definitions
from intermodal.planner import catalog_index
from intermodal.prompts import rendering
from intermodal.protocols.openai_media import server as openai_media_server
from intermodal.questions import question_reader
from intermodal.store import attempt_journal

PAGE = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
SECTION = PAGE.partition("## Bounds on what a request can cost\n")[2].partition("\n## ")[0]
LIMITS = HttpLimits()
BOUNDS = {
    "bytes of a body": f"{LIMITS.body >> 20} MiB, else 413",
    "bytes of JSON that are no media": f"{LIMITS.text >> 20} MiB, else 413",
    "values in JSON: messages, parts, keys, numbers": f"{body_limits.MAX_VALUES:,}, else 413",
    "values in a request for vectors, tokens included": f"{media.MAX_TOKEN_VALUES:,}, else 413",
    "fields of the body itself": f"{body_limits.MAX_FIELDS:,}, else 400",
    "objects and arrays in each other": f"{body_limits.MAX_DEPTH}, else 400",
    "images, recordings, films, documents": f"{LIMITS.media:,}, else 413",
    "steps of rendering a prompt file": f"{rendering.MOST_STEPS:,}, else 400",
    "texts in a request for vectors": f"{openai_media_server.MAX_TEXTS:,}, else 400",
    "bytes of items that are named by id, each time": f"{conversations.MAX_REFERENCED_BYTES >> 20} MiB, else 413",
    "parts of a form": f"{multipart.MAX_PARTS}, else 413",
    "bytes of the head": f"{LIMITS.head >> 10} KiB, else 431",
    "headers": f"{LIMITS.headers}, else 431",
    "bytes of the path": f"{LIMITS.target >> 10} KiB, else 414",
    "requests that wait on one connection": f"{connection._MAX_PIPELINED}, else 429",
    "bytes of all bodies at once": f"{LIMITS.in_flight >> 20} MiB, else 503",
    "connections": f"{LIMITS.connections:,} a worker, else 503",
}
# Tables of what clients make up, by their names: how many entries, and bytes of all of them.
TABLES: dict[str, tuple[int, int | None]] = {
    "plans by their ids": (plan_history.MAX_PLANS, plan_history.MAX_PLAN_BYTES),
    "plans that other workers know": (plan_history.MAX_PLANS, None),
    "plans by shape": (plan_cache.MAX_SHAPES, None),
    "compiled plans by shape": (direct_chats.CACHED_PLANS, direct_chats.CACHED_BYTES),
    "policies by overrides": (direct_chats.POLICIES, None),
    "bills of plain counts": (compiled_plan.BILLS, None),
    "leases by claim": (budget_leases.CACHED_CLAIMS, None),
    "sizes of texts": (direct_chats.MAX_TEXT_SIZES, direct_chats.TEXT_SIZES_ROOM),
    "what questions ask for": (direct_chats.MAX_QUESTIONS, direct_chats.QUESTIONS_ROOM),
    "what questions need": (question_reader.KEPT, question_reader.ROOM),
    "where conversations were answered": (conversations.MAX_CONVERSATIONS, None),
    "items of answers": (conversations.MAX_ITEMS, conversations.MAX_ITEM_BYTES),
    "signatures of calls": (conversations.MAX_SIGNATURES, conversations.MAX_SIGNATURE_BYTES),
    "catalogs by what was named": (server_client.MAX_CATALOGS, None),
    "catalogs by allowed hosts": (catalog_cache.KEPT, None),
    "endpoints left by shape": (catalog_index.SHAPES, None),
    "compiled schemas": (compiler.MOST, compiler.MEMORY),
    "definitions of tools": (tool_definitions.KEPT, tool_definitions.ROOM),
    "lists of tools that were too long": (circuit_breaker.TOOL_LISTS, None),
    "counts of texts by servers": (token_counter.TOLD, None),
    "texts that servers did not count": (token_counter.VAIN, None),
    "words by what they are made of": (script_counts.REMEMBERED, None),
    "tokens of words": (sentencepiece.WORDS, None),
}
# The most results that functions remember (``functools.lru_cache``), "" of all that are not named here.
FUNCTIONS = {
    "": 2_048, "intermodal.catalog.shipped_rows._row": 8_192, "intermodal.catalog.shipped_rows._today": 8_192,
    "intermodal.catalog.snapshot.interpretation.licence_of": 8_192,
    "intermodal.catalog.snapshot.interpretation.tier_of": 8_192,
    "intermodal.catalog.model_rows.size_in_name": 8_192,
    "intermodal.catalog.search._kind": 4_096, "intermodal.catalog.token_rule_rows.vocabulary_of": 8_192,
}  # fmt: skip


def _rows(name: str) -> list[list[str]]:
    table = re.search(rf"<!-- {name} -->\n(.*)<!-- /{name} -->", SECTION, re.S)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()[2:]]


def test_the_table_has_the_bounds_of_the_code() -> None:
    rows = _rows("request bounds")
    assert {row[0]: row[1] for row in rows} == BOUNDS
    for _, _, where in rows:
        field = where.strip("`").removeprefix("[serve] ")
        assert field in ServeTable.__struct_fields__ or (Path(offload.__file__).parents[1] / field).is_file(), where


def test_the_page_has_every_table_of_what_clients_make_up() -> None:
    rows, source = _rows("kept"), Path(offload.__file__).parents[1]
    shown = {name: (most, f"{room >> 10:,} KiB" if room else "") for name, (most, room) in TABLES.items()}
    assert {row[0]: (int(row[1].replace(",", "")), row[2]) for row in rows} == shown
    code = {path: path.read_text() for path in source.rglob("*.py") if path.name != "bounded_cache.py"}
    made = re.compile(r"\b(?:BoundedCache|ResponseItems|_Words)\(\s*\"([^\"]+)\"|\bname: str = \"(items of answers)\"")
    found = {"".join(name): path for path, text in code.items() for name in made.findall(text)}
    assert found.keys() == TABLES.keys()
    written = {row[0]: source / row[4].strip("`") for row in rows if row[0] != "tokens of words"}
    assert written == {name: path for name, path in found.items() if name != "tokens of words"}
    text = " ".join(SECTION.split())
    assert f"{FUNCTIONS['']:,} results at most" in text and f"{max(FUNCTIONS.values()):,} names of models" in text
    assert f"`tokenizers`, which keeps the tokens of {token_counter.WORDS:,} words of each" in text
    assert f"the journal holds {attempt_journal.TEMPLATES:,} kinds" in text
    shared = (
        f"{shared_state.CONVERSATIONS:,} places of conversations, "
        f"{shared_state.PLANS:,} pieces of plans and {shared_state.ITEMS:,} of items"
    )
    assert f"{shared}, {shared_state.SHARED_BYTES >> 20} MiB together" in text


def test_what_the_config_says_is_what_a_gateway_has_without_it() -> None:
    usual = ServeTable()
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
