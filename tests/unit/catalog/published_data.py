"""Four small wheels' worth of published data, made by hand in the shape of the real ones."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

MODELS_SCHEMA = """
CREATE TABLE metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE providers (id TEXT PRIMARY KEY, name TEXT, npm TEXT, api TEXT, doc TEXT, env TEXT);
CREATE TABLE models (full_id TEXT PRIMARY KEY, provider_id TEXT, id TEXT, name TEXT, family TEXT, reasoning INTEGER,
  tool_call INTEGER, structured_output INTEGER, knowledge TEXT, open_weights INTEGER, limit_context INTEGER,
  limit_output INTEGER, status TEXT);
CREATE TABLE model_modalities (model_full_id TEXT, direction TEXT, position INTEGER, value TEXT);
CREATE TABLE pricing (model_full_id TEXT, experimental_mode_name TEXT, min_context INTEGER, cost_input REAL,
  cost_output REAL, cost_reasoning REAL, cost_cache_read REAL, cost_cache_write REAL, cost_input_audio REAL,
  cost_output_audio REAL);
"""

PRICES = """
import datetime
from decimal import Decimal

from .types import *

providers: list[Provider] = [
    Provider(
        id='openai', name='OpenAI', api_pattern='x',
        models=[
            ModelInfo(
                id='gpt-4o',
                match=ClauseOr(or_=[ClauseEquals(equals='gpt-4o'), ClauseStartsWith(starts_with='gpt-4o-2')]),
                context_window=120000,
                prices=[
                    ConditionalPrice(prices=ModelPrice(input_mtok=Decimal('5'), output_mtok=Decimal('15'))),
                    ConditionalPrice(
                        constraint=StartDateConstraint(start_date=datetime.date(2099, 12, 1)),
                        prices=ModelPrice(input_mtok=Decimal('2.5'), output_mtok=Decimal('10')),
                    ),
                ],
                price_variants=[
                    PriceVariant(when={'processing': 'batch'}, prices=ModelPrice(input_mtok=Decimal('1.25'))),
                ],
            ),
            ModelInfo(
                id='whisper-1', match=ClauseEquals(equals='whisper-1'), prices=ModelPrice(audio_hours=Decimal('0.36')),
            ),
            ModelInfo(
                id='stepped', match=ClauseRegex(regex='^stepped(-.*)?$'),
                prices=ModelPrice(
                    input_mtok=TieredPrices(base=Decimal('1'), tiers=[Tier(start=200000, price=Decimal('2'))]),
                    output_mtok=Decimal('3'), moon_landings_kcount=Decimal('7'),
                ),
            ),
        ],
    )
]
"""


def models_db(path: Path) -> Path:
    """models.dev with two hosts: openai, and a gateway that serves the same model by another spelling."""
    with sqlite3.connect(path) as db:
        db.executescript(MODELS_SCHEMA)
        db.execute("INSERT INTO metadata VALUES ('generated_at', '2026-08-18T08:14:34+00:00')")
        db.executemany(
            "INSERT INTO providers VALUES (?, ?, ?, ?, ?, ?)",
            [
                ("openai", "OpenAI", "@ai-sdk/openai", None, "https://x.example", "OPENAI_API_KEY"),
                ("gate", "Gate", "@ai-sdk/openai-compatible", "https://gate.example/v1", "https://d", "GATE_KEY;OTHER"),
            ],
        )
        models = [
            ("openai:gpt-4o", "openai", "gpt-4o", "GPT-4o", "gpt", 0, 1, 1, "2023-09", 0, 128000, 16384, None),
            ("gate:OpenAI/GPT-4o", "gate", "OpenAI/GPT-4o", "GPT-4o", "gpt", 0, 1, None, None, 0, 64000, 4096, None),
            ("gate:nothing", "gate", "nothing", "Nothing", "x", 0, 0, 0, None, 1, 0, 0, "deprecated"),
            ("gate:text-embed-x", "gate", "text-embed-x", "Embed", None, 0, 0, 0, None, 0, 8192, 1536, None),
        ]
        db.executemany(f"INSERT INTO models VALUES ({', '.join('?' * 13)})", models)
        kinds = {"openai:gpt-4o": ("text", "image", "pdf"), "gate:OpenAI/GPT-4o": ("text", "image"),
                 "gate:nothing": ("text",), "gate:text-embed-x": ("text",)}  # fmt: skip
        for model, takes in kinds.items():
            for place, kind in enumerate(takes):
                db.execute("INSERT INTO model_modalities VALUES (?, 'input', ?, ?)", (model, place, kind))
            db.execute("INSERT INTO model_modalities VALUES (?, 'output', 0, 'text')", (model,))
        prices = [
            ("openai:gpt-4o", None, 0, 2.5, 10.0, None, 1.25, None, None, None),
            ("gate:OpenAI/GPT-4o", None, 0, 3.0, 12.0, None, None, None, None, None),
            ("gate:OpenAI/GPT-4o", None, 32000, 6.0, 12.0, None, None, None, None, None),
            ("gate:OpenAI/GPT-4o", "fast", 0, 9.0, 90.0, None, None, None, None, None),
            ("gate:nothing", None, 0, 0.0, 0.0, None, None, None, None, None),
        ]
        db.executemany(f"INSERT INTO pricing VALUES ({', '.join('?' * 10)})", prices)
    return path


def entry(start: str | None, seen: str, **rates: Any) -> dict[str, Any]:
    """An entry of model-prices: prices that hold from ``start``, which somebody saw on the day ``seen``."""
    return {"start": start, "rates": {**rates, "valid_from": f"{seen}T00:00:00Z", "source": "https://x.example"}}


HISTORY: dict[str, Any] = {
    "schema": 1,
    "updated_at": "2026-10-26T18:46:35Z",
    "status": {"openai": {"gone": "removed", "gone-and-unknown": "removed"}},
    "schedules": {
        "schedule": [
            {"provider": "openai", "valid_from": "2026-08-16T16:00:00Z", "peak_multiplier": 2.0,
             "peak_hours_utc": [["01:00", "04:00"], ["06:00", "10:00"]]},
            {"provider": "gate", "valid_from": "2025-01-01T00:00:00Z", "valid_until": "2025-02-01T00:00:00Z",
             "peak_multiplier": 9.0, "peak_hours_utc": [["01:00", "04:00"]]},
        ]
    },
    "prices": {
        "openai": {
            "gpt-new": {
                "standard": [entry(None, "2026-09-01", input=1.0, output=4.0),
                             entry("2026-10-01T10:00:00Z", "2026-10-01", input=0.5, output=2.0,
                                   tiers=[{"above": 100000, "input": 1.0, "output": 3.0}])],
                "batch": [entry(None, "2026-09-01", input=0.25, output=1.0)],
            },
            "gone-and-unknown": {"standard": [entry(None, "2025-01-01", input=1.0, output=1.0)]},
        },
        "gate": {"OpenAI/GPT-4o": {"standard": [entry(None, "2026-09-10", input=2.0, output=8.0)]}},
    },
}  # fmt: skip

TABLE: dict[str, dict[str, Any]] = {
    "sample_spec": {"mode": "one of: chat", "litellm_provider": "one of"},
    "gpt-new": {
        "litellm_provider": "openai", "mode": "chat", "max_input_tokens": 900000, "max_output_tokens": 64000,
        "input_cost_per_token": 7e-07, "output_cost_per_token": 2.1e-06, "supports_vision": True,
        "supports_pdf_input": True, "supports_function_calling": True,
    },
    "gpt-quiet": {"litellm_provider": "openai", "mode": "chat", "max_input_tokens": 8000,
                  "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06,
                  "input_cost_per_token_above_200k_tokens": 3e-06, "input_cost_per_token_batches": 5e-07},
    "voice": {"litellm_provider": "openai", "mode": "audio_speech", "input_cost_per_character": 1.5e-05},
    "ears": {"litellm_provider": "openai", "mode": "audio_transcription", "input_cost_per_second": 0.0001},
    "retired": {"litellm_provider": "openai", "mode": "chat", "deprecation_date": "2026-01-01",
                "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
    "1024-x-1024/drawing": {"litellm_provider": "openai", "mode": "image_generation", "output_cost_per_image": 0.1},
    "elsewhere/gpt-new": {"litellm_provider": "elsewhere", "mode": "chat", "input_cost_per_token": 1e-06},
}  # fmt: skip

NOTHING_NEWER = {
    "model-prices": json.dumps({**HISTORY, "prices": {}, "status": {}}).encode(), "litellm": b"{}",
}  # fmt: skip


def newer() -> dict[str, bytes]:
    """The two newer sources, by package."""
    return {"model-prices": json.dumps(HISTORY).encode(), "litellm": json.dumps(TABLE).encode()}
