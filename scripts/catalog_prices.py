"""Writes ``catalog/data/prices.toml`` from the genai-prices package: run it when the catalog snapshot is made.

    pip install genai-prices
    python scripts/catalog_prices.py 2026-11-25

The argument is the date the snapshot is of. Only models that a shipped host row serves are written, so a
new row gets its price by running this again. Prices that depend on the hour are taken at their dearest,
prices that rise with the size of the prompt at their base, with the size up to which they hold.
"""

from __future__ import annotations

import sys
import tomllib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "src" / "intermodal" / "catalog" / "data"
PER_TOKEN = ("input_mtok", "output_mtok", "input_image_mtok", "input_audio_mtok", "output_audio_mtok")


def served() -> dict[str, list[str]]:
    """Per provider of genai-prices, the names its models are called by."""
    found: dict[str, list[str]] = {}
    for path in sorted((DATA / "hosts").glob("*.toml")):
        row = tomllib.loads(path.read_text("utf-8"))
        if row.get("prices"):
            found.setdefault(row["prices"], []).extend(m.get("served_as") or m["id"] for m in row["models"])
    return found


def plain(value: Any) -> tuple[float | None, int | None]:
    """A price as a number, and the prompt size up to which it holds."""
    tiers = getattr(value, "tiers", None)
    if tiers is None:
        return (None if value is None else float(value)), None
    return float(value.base), min(tier.start for tier in tiers)


def at_its_dearest(model: Any, day: datetime) -> Any:
    """The prices of the hour of that day at which output (or input) costs most."""

    def cost(prices: Any) -> float:
        return sum(plain(getattr(prices, key))[0] or 0.0 for key in PER_TOKEN)

    return max((model.get_prices(day + timedelta(hours=hour)) for hour in range(24)), key=cost)


def row(model: Any, day: datetime) -> dict[str, float | int | str]:
    prices = at_its_dearest(model, day)
    figures: dict[str, float | int | str] = {}
    up_to: list[int] = []
    for key in PER_TOKEN:
        number, limit = plain(getattr(prices, key))
        if number is not None:
            figures[key] = number
        if limit is not None:
            up_to.append(limit)
    hours = plain(prices.input_audio_hours)[0] or plain(prices.audio_hours)[0]
    if hours is not None and "input_mtok" not in figures:
        figures["second"] = float(round(Decimal(str(hours)) / 3600, 12))
    characters = plain(prices.input_mchars)[0]
    if characters is not None:
        figures["input_mchar"] = characters
    pages = plain(prices.input_document_kpages)[0]
    if pages is not None:
        figures["page"] = pages / 1000
    if "input_mtok" in figures and "output_mtok" not in figures:
        figures["output_mtok"] = 0.0  # an embedding has no output tokens
    if up_to:
        figures["up_to"] = min(up_to)
    since = effective_from(model, day)
    if since:
        figures["effective_from"] = since
    return figures


def effective_from(model: Any, day: datetime) -> str:
    """The date of the newest dated price that holds on that day, "" when none is dated."""
    if not isinstance(model.prices, list):
        return ""
    starts = [getattr(price.constraint, "start_date", None) for price in model.prices]
    held = [start for start in starts if start is not None and start <= day.date()]
    return max(held).isoformat() if held else ""


def literal(value: float | int | str) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return f"{value:.12f}".rstrip("0").rstrip(".") if isinstance(value, float) and value < 1e-4 else repr(value)


def main(checked: str) -> None:
    from genai_prices.data import providers

    day = datetime.fromisoformat(checked).replace(tzinfo=UTC)
    by_id = {provider.id: provider for provider in providers}
    lines = [
        "# Written by scripts/catalog_prices.py; do not edit. USD per million tokens or characters, second, page.",
        f'source = "genai-prices {version("genai-prices")} (MIT)"',
        f'checked = "{checked}"',
    ]
    unpriced: list[str] = []
    for provider, names in served().items():
        lines += ["", f"[prices.{provider}]"]
        for name in sorted(set(names)):
            model = by_id[provider].find_model(name)
            figures = row(model, day) if model is not None else {}
            if not figures:
                unpriced.append(f"{provider}:{name}")
                continue
            body = ", ".join(f"{key} = {literal(value)}" for key, value in figures.items())
            lines.append(f'"{name}" = {{ {body} }}')
    (DATA / "prices.toml").write_text("\n".join(lines) + "\n", "utf-8")
    if unpriced:
        sys.exit(f"no price for {', '.join(unpriced)}: rows without one are never chosen under a budget")


if __name__ == "__main__":
    main(sys.argv[1])
