"""Read the model table in the wheel of ``litellm``: modalities, limits and prices, including the newest models.

One JSON file, read as data. Prices are per token, second, character or page; the names of the keys encode prices for
particular requests (batches, service tiers, long prompts).
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from intermodal.catalog.rate_cards import Rate, RateCard, base_rate
from intermodal.errors import ConfigError

MEMBER = "litellm/model_prices_and_context_window_backup.json"
_TODO = "a newer intermodal may read it: pip install -U intermodal"
_MILLION = 1_000_000.0
_COSTS = {  # key -> unit, and units of the count that the unit's price is for
    "input_cost_per_token": ("input_mtok", _MILLION),
    "output_cost_per_token": ("output_mtok", _MILLION),
    "output_cost_per_reasoning_token": ("output_reasoning_mtok", _MILLION),
    "cache_read_input_token_cost": ("cache_read_mtok", _MILLION),
    "cache_creation_input_token_cost": ("cache_write_mtok", _MILLION),
    "cache_creation_input_token_cost_above_1hr": ("cache_write_1h_mtok", _MILLION),
    "input_cost_per_audio_token": ("input_audio_mtok", _MILLION),
    "output_cost_per_audio_token": ("output_audio_mtok", _MILLION),
    "input_cost_per_image_token": ("input_image_mtok", _MILLION),
    "cache_read_input_image_token_cost": ("cache_image_read_mtok", _MILLION),
    "output_cost_per_image_token": ("output_image_mtok", _MILLION),
    "input_cost_per_character": ("input_mchars", _MILLION),
    "ocr_cost_per_page": ("input_document_kpages", 1000.0),
}
_HOUR = ("audio_hours", 3600.0)
_STEP = re.compile(r"_above_(\d+)k_tokens$")
_VARIANTS = {"_batches": {"processing": "batch"}, "_flex": {"service_tier": "flex"},
             "_priority": {"service_tier": "priority"}}  # fmt: skip
_FLAGS = {"supports_vision": "image", "supports_audio_input": "audio", "supports_video_input": "video",
          "supports_pdf_input": "document"}  # fmt: skip
_CAN = {"supports_function_calling": "tools", "supports_reasoning": "reasoning", "supports_response_schema": "json"}
# The output of each mode, and its input if a mode has only one; models of other modes are skipped.
_MODES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "chat": ((), ("text",)), "responses": ((), ("text",)), "embedding": ((), ("embedding",)),
    "image_generation": ((), ("image",)), "image_edit": (("text", "image"), ("image",)),
    "audio_transcription": (("audio",), ("text",)), "audio_speech": (("text",), ("audio",)),
    "rerank": (("text",), ("scores",)), "ocr": (("image", "document"), ("text",)),
}  # fmt: skip
_PART_OF_A_NAME = re.compile(r"^(ft:|\d+-x-\d+/|(low|medium|high|standard|hd)/)")  # a price variant, not a model


class LitellmModel(NamedTuple):
    """A model at a provider. ``input`` and ``output`` are () if the table does not state inputs.

    ``retired``: the ISO date from which it is no longer served, "" if none is announced.
    """

    provider: str
    name: str
    input: tuple[str, ...]
    output: tuple[str, ...]
    context: int | None
    max_output: int | None
    can: tuple[str, ...]
    vectors: tuple[RateCard, ...]
    retired: str


def read_litellm_table(data: bytes) -> list[LitellmModel]:
    """Return every model of the table. Raises ConfigError if it does not have the expected structure."""
    try:
        table = msgspec.json.decode(data, type=dict[str, dict[str, Any]])
        return [_model_of_row(name, row) for name, row in table.items() if _is_model(name, row)]
    except (msgspec.DecodeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"is not the table of litellm that intermodal knows ({error})", where=MEMBER, todo=_TODO
        ) from None


def _is_model(name: str, row: dict[str, Any]) -> bool:
    bare_name = name.removeprefix(f"{row.get('litellm_provider')}/")
    return row.get("mode") in _MODES and bool(row.get("litellm_provider")) and not _PART_OF_A_NAME.match(bare_name)


def _model_of_row(name: str, row: dict[str, Any]) -> LitellmModel:
    provider = row["litellm_provider"]
    into, out = _kinds(row)
    return LitellmModel(
        provider=provider, name=name.removeprefix(f"{provider}/"), input=into, output=out,
        context=_as_int(row.get("max_input_tokens")),
        max_output=None if out == ("embedding",) else _as_int(row.get("max_output_tokens")),
        can=tuple(word for key, word in _CAN.items() if row.get(key)), vectors=_vectors(row),
        retired=row.get("deprecation_date") or "",
    )  # fmt: skip


def _kinds(row: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return inputs and outputs. A missing flag states nothing; if all flags are missing, both are ()."""
    takes, makes = _MODES[row["mode"]]
    makes = tuple(row.get("supported_output_modalities") or makes)
    if takes:
        return takes, makes
    modalities = row.get("supported_modalities")
    if not modalities and not any(key in row for key in _FLAGS):
        return (), ()
    kinds = {"text", *(modalities or ()), *(kind for key, kind in _FLAGS.items() if row.get(key))}
    return tuple(sorted(kinds & {"text", *_FLAGS.values()})), makes


def _as_int(value: Any) -> int | None:
    return int(value) if value else None


def _vectors(row: dict[str, Any]) -> tuple[RateCard, ...]:
    standard = _vector(row, "", {})
    found = [standard, *(_vector(row, ending, when) for ending, when in _VARIANTS.items())]
    return tuple(filter(_has_price, found)) if _has_price(standard) else ()


def _has_price(vector: RateCard) -> bool:
    return any(map(base_rate, vector.units.values()))


def _vector(row: dict[str, Any], ending: str, when: dict[str, str]) -> RateCard:
    units: dict[str, Rate] = {}
    for key, (unit, per) in _COSTS.items():
        first = row.get(key + ending)
        if first is None:
            continue
        steps = sorted(
            (int(step[1]) * 1000, _usd(value, per))
            for name, value in row.items()
            if name.startswith(key) and name.endswith(ending) and value is not None
            and (step := _STEP.fullmatch(name[len(key) : len(name) - len(ending)]))
        )  # fmt: skip
        units[unit] = ((0, _usd(first, per)), *steps) if steps else _usd(first, per)
    seconds = row.get(f"input_cost_per_second{ending}")
    if seconds and row["mode"] == "audio_transcription":
        units[_HOUR[0]] = _usd(seconds, _HOUR[1])
    return RateCard(units=units, when=when)


def _usd(value: Any, per: float) -> float:
    return round(float(value) * per, 9)
