"""Hosts of the snapshot: behind consent as any, counted until then, and never cheaper than somebody says they are."""

from __future__ import annotations

import msgspec
import pytest

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.catalog.load import find_host, load_catalog, load_snapshot, unknown_host, with_named_models
from intermodal.catalog.rate_cards import RateCard
from intermodal.catalog.snapshot import interpretation
from intermodal.catalog.snapshot.file import SnapshotHeader, SnapshotRow
from intermodal.catalog.types import Catalog
from intermodal.core.request import TIERS

ALL = dict.fromkeys(("llama", "whisper", "ocr", "e5", "openai"), "")
HEADER = SnapshotHeader(intermodal_snapshot=1, made="2026-11-25", size=0)


def catalog(**given: object) -> Catalog:
    options: dict[str, object] = {"installed": ALL, "weights": frozenset(), "env": {}, **given}
    return load_catalog(**options)  # type: ignore[arg-type]


def row(**fields: object) -> SnapshotRow:
    plain = {"host": "acme", "name": "m", "id": "acme/m", "tasks": ("text-generation",), "input": ("text",),
             "output": ("text",), **fields}  # fmt: skip
    for name in ("models_dev_prices", "prices"):
        if name in plain:
            plain[name] = msgspec.Raw(msgspec.json.encode(plain[name]))
    return SnapshotRow(**plain)  # type: ignore[arg-type]


@pytest.mark.parametrize("prices", [{"models_dev_prices": {"units": {"input_mtok": 0.1, "output_mtok": 0.2}}},
                                    {"prices": [{"units": {"input_mtok": 0.1, "output_mtok": 0.2}}]}])  # fmt: skip
def test_a_search_on_every_call_has_a_price_or_the_call_has_none(prices: dict[str, object]) -> None:
    plain, searches = (
        interpretation.prices_of(row(id=id, **prices), HEADER) for id in ("acme/sonata", "acme/sonar-pro")
    )
    assert plain is not None and not plain.now.unsaid
    assert searches is not None and searches.now.unsaid
    paid = row(id="acme/sonar-pro", prices=[{"units": {"input_mtok": 0.1, "output_mtok": 0.2, "requests_kcount": 5}}])
    priced = interpretation.prices_of(paid, HEADER)
    assert priced is not None and not priced.now.unsaid and priced.now.request == 0.005


def test_without_consent_a_host_of_the_snapshot_is_a_count() -> None:
    made = catalog()
    places = {each.host: dict(each.tasks) for each in made.elsewhere}
    assert places["openrouter"]["text-generation"] > 100
    assert "cortecs" in places
    assert not any(endpoint.host.id == "cortecs" for endpoint in made.endpoints)


def test_consent_lists_what_was_counted() -> None:
    for host in ("cortecs", "openrouter", "groq"):
        counted = {task: count for each in catalog().elsewhere if each.host == host for task, count in each.tasks}
        made = catalog(consent=(host,))
        assert host not in {each.host for each in made.elsewhere}
        new = {e.id for e in made.endpoints} - {e.id for e in catalog().endpoints}
        writers = [id for id in new if "text-generation" in made.by_id[id].model.tasks]
        # A host may list one model under two names; both are counted, one is an endpoint.
        assert 0.9 * counted["text-generation"] <= len(writers) <= counted["text-generation"]


def test_a_key_in_the_environment_lists_nothing() -> None:
    assert catalog(env={"CORTECS_API_KEY": "sk", "OPENROUTER_API_KEY": "sk"}) == catalog()


def test_an_allowed_host_of_the_snapshot_is_ready_with_its_key_only() -> None:
    without, keyed = catalog(consent=("cortecs",)), catalog(consent=("cortecs",), env={"CORTECS_API_KEY": "sk"})
    mine = [endpoint for endpoint in without.endpoints if endpoint.host.id == "cortecs"]
    assert mine
    assert {endpoint.missing for endpoint in mine} == {"CORTECS_API_KEY is not set"}
    assert all(keyed.by_id[endpoint.id].ready for endpoint in mine)
    assert {keyed.by_id[endpoint.id].host.zone for endpoint in mine} == {"internet"}


def test_a_moved_host_is_taken_at_its_own_word_alone() -> None:
    moved = catalog(user=(HostRow(id="openrouter", base_url="http://127.0.0.1:9/v1"),))
    assert {e.id for e in moved.endpoints} == {e.id for e in catalog().endpoints}


def test_a_row_of_the_user_s_overrides_the_snapshot() -> None:
    mine = ServedRow(id="openai/gpt-4.1", served_as="gpt-4.1", input_mtok=9.0, output_mtok=9.0, context=1000)
    own = HostRow(id="openai", models=(mine,))
    endpoint = catalog(user=(own,), consent=("openai",)).by_id["openai:openai/gpt-4.1"]
    assert (endpoint.price.input_mtok, endpoint.context) == (9.0, 1000)
    assert endpoint.price.evidence.source == "the host's row"


@pytest.mark.parametrize("name", ["atomic-chat", "databricks", "vercel", "google-vertex", "amazon-bedrock"])
def test_a_host_that_cannot_be_called_or_is_here_is_not_offered(name: str) -> None:
    assert name in load_snapshot().places
    assert find_host(name) is None
    what, todo = unknown_host(name, ())
    assert name in what
    assert "--base-url" in todo


def test_a_name_near_a_host_is_offered() -> None:
    assert "did you mean" in unknown_host("openruter", ())[1]
    assert "openrouter" in unknown_host("openruter", ())[1]


def test_a_price_of_nothing_is_unknown_but_where_the_name_says_free() -> None:
    nothing = {"models_dev_prices": RateCard(units={"input_mtok": 0.0, "output_mtok": 0.0})}
    assert interpretation.prices_of(row(**nothing), HEADER) is None
    free = interpretation.prices_of(row(name="m:free", **nothing), HEADER)
    assert free is not None
    assert (free.now.input_mtok, free.now.output_mtok) == (0.0, 0.0)


def test_a_missing_output_price_is_unknown_where_tokens_come_out_and_nothing_where_none_do() -> None:
    only_in = {"prices": (RateCard(units={"input_mtok": 1.0}),)}
    writes = interpretation.prices_of(row(**only_in), HEADER)
    embeds = interpretation.prices_of(row(output=("embedding",), tasks=("feature-extraction",), **only_in), HEADER)
    assert writes is not None and embeds is not None
    assert (writes.now.output_mtok, embeds.now.output_mtok) == (None, 0.0)


def test_a_price_announced_for_later_waits_for_its_day() -> None:
    dated = (RateCard(units={"input_mtok": 2.0, "output_mtok": 4.0}),
             RateCard(units={"input_mtok": 1.0, "output_mtok": 2.0}, since="2026-12-24"))  # fmt: skip
    found = interpretation.prices_of(row(prices=dated), HEADER)
    assert found is not None
    endpoint = msgspec.structs.replace(catalog().endpoints[0], price=found.now, later=found.later)
    assert [endpoint.price_on(day).input_mtok for day in ("2026-11-25", "2026-12-23", "2026-12-24", "")] == [
        2.0, 2.0, 1.0, 2.0,
    ]  # fmt: skip


def test_sound_goes_where_it_is_heard_and_a_price_that_nobody_states_stays_unknown() -> None:
    hosts = ("openrouter", "cortecs", "openai", "mistral")
    heard = [each for each in catalog(consent=hosts).endpoints if each.host.id in hosts and "text" in each.input]
    unstated = 0
    for endpoint in heard:
        price = endpoint.price
        if "audio" in endpoint.input:
            stated = price.input_audio_mtok is not None or price.second is not None
            assert stated or price.unpriced == ("audio",) or price.input_mtok in (None, 0.0), endpoint.id
            unstated += not stated
    assert unstated
    (voxtral,) = (each for each in heard if each.id == "openrouter:mistral/voxtral-small-24b-2507")
    assert "audio" in voxtral.input and voxtral.price.unpriced == ("audio",)


def test_an_hour_of_sound_beside_a_price_of_text_is_a_price_of_sound() -> None:
    chat = {"tasks": ("text-generation", "audio-text-to-text"), "input": ("text", "audio"), "output": ("text",)}
    text = {"input_mtok": 0.1, "output_mtok": 0.4}
    hours, silent, tokens = (
        interpretation.prices_of(row(prices=(RateCard(units={**text, **more}),), **chat), HEADER)
        for more in ({"audio_hours": 0.36}, {}, {"input_audio_mtok": 3.0, "audio_hours": 0.36})
    )
    assert hours is not None and (hours.now.second, hours.now.unpriced) == (0.0001, ())
    assert silent is not None and (silent.now.second, silent.now.unpriced) == (None, ("audio",))
    assert tokens is not None and (tokens.now.second, tokens.now.unpriced) == (None, ())


def test_a_transcriber_whose_sound_has_no_price_has_none_at_all() -> None:
    """Where the data has a price of text, or dollars a minute where tokens stand, an hour of sound is not cheap."""
    ear = {"tasks": ("automatic-speech-recognition",), "input": ("audio",), "output": ("text",)}
    minutes = RateCard(units={"input_mtok": 0.003, "output_mtok": 0.0})
    assert interpretation.prices_of(row(models_dev_prices=minutes, **ear), HEADER) is None
    assert (
        interpretation.prices_of(row(prices=(RateCard(units={"input_mtok": 1.25, "output_mtok": 5.0}),), **ear), HEADER)
        is None
    )
    sound = RateCard(units={"input_mtok": 1.25, "output_mtok": 5.0, "input_audio_mtok": 3.0})
    found = interpretation.prices_of(row(prices=(sound,), **ear), HEADER)
    assert found is not None and found.now.input_audio_mtok == 3.0
    hours = interpretation.prices_of(row(prices=(RateCard(units={"audio_hours": 0.36}),), **ear), HEADER)
    assert hours is not None and hours.now.second == 0.0001


def test_a_declared_capability_is_not_relied_on() -> None:
    for endpoint in catalog(consent=("openrouter",)).endpoints:
        if endpoint.host.id == "openrouter":
            assert "no_logprobs" in endpoint.host.quirks
            assert endpoint.scoring in ((), ("zero-shot-classification",))
    cortecs = [e for e in catalog(consent=("cortecs",)).endpoints if e.host.id == "cortecs"]
    assert {e.host.forced_json for e in cortecs} == {True, False}


def test_what_holds_a_session_or_speaks_another_interface_is_left_out() -> None:
    names = {e.served_as for e in catalog(consent=("openai",)).endpoints if e.host.id == "openai"}
    assert not [name for name in names if name.endswith("-pro") or "codex" in name or "realtime" in name]
    assert "gpt-5-mini" in names


def test_every_endpoint_of_the_snapshot_has_a_tier_that_says_it_is_a_proxy() -> None:
    for endpoint in catalog(consent=("openrouter", "cortecs", "openai")).endpoints:
        for strength in endpoint.model.strength:
            assert strength.tier in TIERS
            assert strength.evidence.level == "proxy" and strength.evidence.source, endpoint.id


@pytest.mark.parametrize(
    ("model", "tier"),
    [
        ("anthropic/claude-opus-4.8", "frontier"), ("anthropic/claude-haiku-4-5", "large"),
        ("anthropic/claude-3-haiku", "medium"), ("openai/gpt-3.5-turbo", "small"), ("openai/gpt-5-nano", "medium"),
        ("openai/gpt-5.2", "frontier"), ("google/gemini-2.5-pro", "frontier"),
        ("google/gemini-2.5-flash-lite", "medium"),
        ("qwen/qwen3-30b-a3b", "medium"), ("qwen/qwen3-235b-a22b", "large"), ("meta/llama-3.2-1b-instruct", "small"),
        ("openai/whisper-large-v3", "large"), ("acme/never-heard-of", "small"),
    ],
)  # fmt: skip
def test_a_line_or_a_size_makes_the_tier(model: str, tier: str) -> None:
    assert interpretation.tier_of(model)[0] == tier


def test_a_model_named_is_looked_up_everywhere_and_still_needs_consent() -> None:
    base = catalog()
    found = with_named_models(base, ("deepseek-v3.2",))
    new = [endpoint for endpoint in found.endpoints if endpoint.id not in base.by_id]
    assert new
    assert {endpoint.model.id.rpartition("/")[2] for endpoint in new} == {"deepseek-v3.2"}
    assert not {endpoint.host.id for endpoint in new} & set(found.consent)
    before = sum(count for each in base.elsewhere for task, count in each.tasks if task == "text-generation")
    after = sum(count for each in found.elsewhere for task, count in each.tasks if task == "text-generation")
    assert before - after == len(new), "an endpoint is listed or counted, never both"


def test_a_name_that_something_nearer_has_brings_in_nothing() -> None:
    base = catalog()
    assert with_named_models(base, ("gpt-4o", "openai/gpt-4o-mini", "whisper-base", "")) is base


def test_a_name_that_nothing_has_brings_in_what_is_near_it() -> None:
    found = with_named_models(catalog(), ("claud-opus-4.8",))
    assert "anthropic/claude-opus-4.8" in {endpoint.model.id for endpoint in found.endpoints}


def test_a_catalog_with_hosts_of_the_snapshot_is_the_same_bytes_after_it_was_saved_and_read() -> None:
    made = msgspec.json.encode(catalog(consent=("openrouter",)))
    assert msgspec.json.encode(msgspec.json.decode(made, type=Catalog)) == made
