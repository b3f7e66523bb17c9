"""Rows as people write them: strict about keys, clear about what is wrong, honest about what is guessed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from intermodal.catalog import shipped_rows as shipped_module
from intermodal.catalog.host_rows import HostRow, ServedRow, decode_row, zone_of
from intermodal.catalog.load import load_catalog, load_snapshot
from intermodal.catalog.model_rows import size_in_name, tier_by_size
from intermodal.catalog.shipped_rows import known_hosts, shipped_rows
from intermodal.catalog.types import Catalog, Host
from intermodal.errors import ConfigError
from intermodal.local.weights.registry import shipped_weights

ALL = dict.fromkeys(("llama", "whisper", "ocr", "e5", "openai"), "")


def catalog(**given: object) -> Catalog:
    options: dict[str, object] = {"installed": ALL, "weights": frozenset(), "env": {}, **given}
    return load_catalog(**options)  # type: ignore[arg-type]


def box(*models: ServedRow, **fields: object) -> HostRow:
    return HostRow(id="box", base_url="http://127.0.0.1:8080/v1", models=models, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "layers", "heads", "size"),
    [
        ("huggingfacetb/smollm2-135m-instruct", 30, 3, 64), ("huggingfacetb/smollm2-1.7b-instruct", 24, 32, 64),
        ("qwen/qwen3-1.7b", 28, 8, 128), ("qwen/qwen3-4b", 36, 8, 128), ("qwen/qwen3-8b", 36, 8, 128),
    ],
)  # fmt: skip
def test_the_memory_of_an_embedded_model_holds_its_weights_and_a_full_context(
    model: str, layers: int, heads: int, size: int
) -> None:
    """``layers``, KV ``heads`` and their ``size`` as its config.json has them; keys and values of 2 bytes each."""
    endpoint = catalog().by_id[f"embedded:{model}"]
    weights = {row.name: row.size for row in shipped_weights()}[endpoint.weights]
    resident = weights + (endpoint.context or 0) * layers * heads * size * 2 * 2 + 72e6
    assert endpoint.memory.low <= resident <= endpoint.memory.mid


@pytest.mark.parametrize(
    ("url", "zone"),
    [
        ("http://127.0.0.1:11434/v1", "machine"),
        ("http://localhost:1234/v1", "machine"),
        ("http://LOCALHOST./v1", "machine"),
        ("http://[::1]:8080/v1", "machine"),
        ("http://0.0.0.0:8000/v1", "machine"),
        ("http://192.168.1.7:8000/v1", "network"),
        ("http://10.1.2.3/v1", "network"),
        ("http://172.16.0.1/v1", "network"),
        ("http://[fd00::1]/v1", "network"),
        ("http://169.254.1.1/v1", "network"),
        ("https://api.openai.com/v1", "internet"),
        ("http://172.32.0.1/v1", "internet"),
        ("http://localhost.evil.example/v1", "internet"),
        ("http://127.0.0.1.evil.example/v1", "internet"),
        ("http://intranet/v1", "internet"),
        ("http://127.0.0.1@evil.example/v1", "internet"),
        ("", "internet"),
    ],
)
def test_a_zone_is_near_only_where_the_address_proves_it(url: str, zone: str) -> None:
    assert zone_of(url) == zone


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("qwen3-8b", 8e9), ("Qwen/Qwen3-0.6B", 0.6e9), ("smollm2:135m", 135e6), ("llama3.2:3b", 3e9),
        ("qwen3-30b-a3b", 30e9), ("gpt-4o", None), ("phi-3-mini-4k", None), ("gemma3n:e4b", None), ("big-7bx", None),
        ("meta/llama-4-scout-17b-16e-instruct", None), ("llama-4-maverick-17b-128e", None), ("qwen-7b-2e5", 7e9),
    ],
)  # fmt: skip
def test_a_size_is_read_from_a_name_only_where_it_is_one(name: str, size: float | None) -> None:
    assert size_in_name(name) == size


def test_a_tier_by_size_never_claims_the_frontier() -> None:
    assert tier_by_size(None)[0] == "small"
    assert [tier_by_size(p)[0] for p in (135e6, 1.7e9, 8e9, 70e9, 2e12)] == [
        "tiny", "small", "medium", "large", "large",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"max_price": 5}, "unknown key max_price in [hosts.box]; keys are "),
        ({"base_ur": "x"}, "unknown key base_ur in [hosts.box]; did you mean base_url?"),
        ({"models": [{"id": "a/b", "contxt": 1}]},
         "unknown key contxt in [hosts.box] at models[0]; did you mean context?"),
        ({"models": [{"id": "acme/m1", "forced_json": True}]},
         "unknown key forced_json in [hosts.box] at models[0]; it belongs in [hosts.box]"),
        ({"models": [{"served_as": "b"}]}, "[hosts.box] at models[0] lacks id"),
        ({"zone": "near"}, "wrong value in [hosts.box] at zone: must be one of machine, network, internet, not 'near'"),
        ({"speed": {"decode": [1, 2]}}, "wrong value in [hosts.box] at speed.decode"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_named_with_its_key(table: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        decode_row(table, HostRow, where="intermodal.toml", place="hosts.box")
    assert str(caught.value).startswith("intermodal.toml: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_shipped_row_decodes_and_every_endpoint_has_its_own_id() -> None:
    endpoints = catalog().endpoints
    assert len({endpoint.id for endpoint in endpoints}) == len(endpoints)
    assert all(endpoint.model.strength for endpoint in endpoints)
    assert all(endpoint.id == f"{endpoint.host.id}:{endpoint.model.id}" for endpoint in endpoints)


def test_every_model_that_a_shipped_host_serves_has_a_row() -> None:
    served = {row.id for host in shipped_rows().hosts for row in host.models}
    assert served <= set(shipped_rows().models)


def test_every_price_has_a_source_and_the_date_of_the_snapshot() -> None:
    hosted = [endpoint for endpoint in catalog().endpoints if endpoint.host.zone == "internet"]
    assert hosted
    for endpoint in hosted:
        said = endpoint.price.evidence
        origin = next(each for each in load_snapshot().header.origins if said.source.startswith(f"{each.about} "))
        assert said.checked == (origin.taken or catalog().version), endpoint.id
        assert endpoint.price.input_mtok or endpoint.price.second or endpoint.price.input_mchar, endpoint.id


def test_hosted_tiers_say_that_they_are_proxies() -> None:
    for endpoint in catalog().endpoints:
        assert {strength.evidence.level for strength in endpoint.model.strength} == {"proxy"}
        assert all(strength.evidence.source for strength in endpoint.model.strength)


def test_an_audio_chat_model_has_a_price_of_its_own_for_audio_or_an_unknown_one() -> None:
    """Audio tokens cost many times text tokens: none may be offered at the price of text. One is unknown where nobody
    states it."""
    for endpoint in catalog().endpoints:
        if "audio" in endpoint.input and "text" in endpoint.input and endpoint.host.zone == "internet":
            price = endpoint.price
            assert price.input_audio_mtok or price.second or price.unpriced == ("audio",), endpoint.id


def test_a_step_of_the_price_is_no_limit_of_the_context_and_larger_requests_cost_its_price() -> None:
    from intermodal.catalog.rate_cards import itemize, rate_thresholds
    from intermodal.cost_model.call_cost import token_price
    from intermodal.cost_model.rates import endpoint_rates
    from intermodal.plans.statistics import Statistics

    hosts = ("google", "anthropic", "openai")
    offered = load_catalog(consent=hosts, installed={}, weights=frozenset(), env={})
    rows = {row.endpoint: row for host in hosts for row in load_snapshot().of_host(host)}
    stepped = 0
    for endpoint in offered.endpoints:
        row = rows.get(endpoint.id)
        vectors = (
            [each for each in row.dated_prices if not each.when and each.since <= load_snapshot().version]
            if row
            else []
        )
        if row is None or not vectors or not rate_thresholds(vectors[-1]) or not row.context:
            continue
        stepped += 1
        (above, *_) = rate_thresholds(vectors[-1])
        assert (endpoint.context or 0) >= row.context >= above, endpoint.id
        here = endpoint_rates(endpoint, Statistics(), load_snapshot().version)
        for size in (above, above + 1, row.context):
            said = itemize(vectors[-1], {"input_tokens": size, "output_tokens": 500}).usd
            assert token_price(here, float(size), 0.0, 0.0, 500.0) == pytest.approx(said), (endpoint.id, size)
    assert stepped > 5


def test_an_image_rule_of_the_catalog_is_one_that_costing_knows() -> None:
    from intermodal.cost_model.image_tokens import IMAGE_RULES

    for model in shipped_rows().models.values():
        name, *numbers = model.image_tokens.split(":")
        assert not name or (name in IMAGE_RULES and len(numbers) == IMAGE_RULES[name][1]), model.id


def test_embedded_endpoints_stay_in_the_process_tree_and_cost_nothing() -> None:
    embedded = [endpoint for endpoint in catalog().endpoints if endpoint.id.startswith("embedded:")]
    assert {"embedded:huggingfacetb/smollm2-135m-instruct", "embedded:openai/whisper-base",
            "embedded:openai/whisper-tiny.en", "embedded:paddlepaddle/ppocr-v6-small",
            "embedded:intfloat/multilingual-e5-small"} <= {endpoint.id for endpoint in embedded}  # fmt: skip
    assert {endpoint.host.zone for endpoint in embedded} == {"process"}
    assert {endpoint.price.input_mtok for endpoint in embedded} == {0.0}
    assert all(endpoint.memory.mid > 0 for endpoint in embedded)


def test_the_weights_of_every_embedded_row_can_be_pulled() -> None:
    from intermodal.local.weights.registry import shipped_weights

    names = {row.name for row in shipped_weights()}
    assert {endpoint.weights for endpoint in catalog().endpoints if endpoint.weights} <= names


def test_an_endpoint_without_its_weights_says_what_to_pull() -> None:
    ear = catalog().by_id["embedded:openai/whisper-base"]
    assert (ear.ready, ear.missing, ear.todo) == (False, "its weights are not here", "intermodal pull whisper-base")
    assert catalog(weights=frozenset({"whisper-base"})).by_id[ear.id].ready


def test_an_endpoint_says_the_pull_that_is_not_refused() -> None:
    """Weights whose sums nobody knows are fetched with --accept-unpinned only."""
    from intermodal.local.weights.registry import shipped_weights

    pulls = {row.name: row.pull for row in shipped_weights()}
    absent = [endpoint for endpoint in catalog().endpoints if endpoint.missing == "its weights are not here"]
    assert {endpoint.weights: endpoint.todo for endpoint in absent} == {e.weights: pulls[e.weights] for e in absent}
    assert pulls["clip-vit-base-patch32"] == "intermodal pull clip-vit-base-patch32 --accept-unpinned"
    assert pulls["whisper-base"] == "intermodal pull whisper-base"


def test_an_endpoint_without_its_runtime_says_what_to_install() -> None:
    without = {**ALL, "ocr": "pip install 'intermodal[embedded]'"}
    eye = catalog(installed=without).by_id["embedded:paddlepaddle/ppocr-v6-small"]
    assert not eye.ready
    assert eye.todo == "pip install 'intermodal[embedded]'"


def test_a_key_changes_nothing_before_there_is_consent() -> None:
    assert catalog() == catalog(env={"OPENAI_API_KEY": "sk-x"})


def test_an_allowed_host_is_ready_with_its_key_only() -> None:
    endpoint = "openai:openai/gpt-4o-mini"
    without, keyed = catalog(consent=("openai",)), catalog(consent=("openai",), env={"OPENAI_API_KEY": "sk-x"})
    assert without.by_id[endpoint].missing == "OPENAI_API_KEY is not set"
    assert not catalog(consent=("openai",), env={"OPENAI_API_KEY": "  "}).by_id[endpoint].ready
    assert keyed.by_id[endpoint].ready


def test_a_key_never_gets_into_the_catalog() -> None:
    import msgspec

    assert b"sk-very-secret" not in msgspec.json.encode(catalog(env={"OPENAI_API_KEY": "sk-very-secret"}))


def test_a_host_the_user_wrote_is_consent_to_that_host_alone() -> None:
    assert catalog(user=(box(),), consent=("groq",)).consent == ("box", "groq")


def test_more_models_for_a_shipped_host_are_no_consent_to_it() -> None:
    own = HostRow(id="openai", models=(ServedRow(id="openai/new", served_as="new", input_mtok=1.0, output_mtok=2.0),))
    made = catalog(user=(own,))
    assert made.consent == ()
    assert made.by_id["openai:openai/new"].host.base_url == "https://api.openai.com/v1"
    assert "openai:openai/gpt-4o" in made.by_id


def test_a_shipped_host_moved_to_another_address_is_as_far_as_that_address() -> None:
    moved = catalog(user=(HostRow(id="openai", base_url="http://127.0.0.1:9/v1"),))
    assert moved.by_id["openai:openai/gpt-4o"].host.zone == "machine"
    stated = catalog(user=(HostRow(id="openai", base_url="http://127.0.0.1:9/v1", zone="internet"),))
    assert stated.by_id["openai:openai/gpt-4o"].host.zone == "internet"


def test_a_shipped_host_speaks_the_protocol_that_the_config_states_and_its_own_otherwise() -> None:
    shipped = next(row for row in known_hosts() if row.id == "ollama")
    assert shipped.protocol == "ollama"
    url = "http://127.0.0.1:11434/v1"
    assert shipped.overlaid(HostRow(id="ollama", base_url=url)).host().protocol == "ollama"
    stated = msgspec.convert({"id": "ollama", "base_url": url, "protocol": "openai"}, HostRow)
    assert shipped.overlaid(stated).host().protocol == "openai"


def test_a_known_model_at_a_host_of_ones_own_keeps_its_facts() -> None:
    made = catalog(
        user=(
            box(
                ServedRow(id="qwen/qwen3-8b", served_as="qwen3:8b"),
            ),
        )
    )
    endpoint = made.by_id["box:qwen/qwen3-8b"]
    assert endpoint.model.parameters == 8.2e9
    assert endpoint.served_as == "qwen3:8b"
    assert endpoint.ready
    assert endpoint.host.zone == "machine"


def test_an_unknown_model_is_described_by_its_row_and_its_name() -> None:
    endpoint = catalog(
        user=(
            box(
                ServedRow(id="acme/eyes-7b", input=("text", "image")),
            ),
        )
    ).by_id["box:acme/eyes-7b"]
    assert endpoint.model.kind == "vision-language"
    strength = endpoint.tier("image-text-to-text")
    assert strength is not None
    assert (strength.tier, strength.evidence.level, strength.evidence.source) == ("medium", "proxy", "7B")


def test_a_stated_tier_and_price_are_taken_and_said_to_be_stated() -> None:
    row = ServedRow(id="acme/big", tier="frontier", input_mtok=1.0, output_mtok=3.0, context=4096)
    endpoint = catalog(user=(box(row),)).by_id["box:acme/big"]
    strength = endpoint.tier("text-generation")
    assert strength is not None
    assert (strength.tier, strength.evidence.source) == ("frontier", "stated in the host's row")
    assert (endpoint.price.input_mtok, endpoint.price.output_mtok, endpoint.context) == (1.0, 3.0, 4096)


def test_an_unstated_price_is_zero_on_this_machine_and_unknown_on_the_internet() -> None:
    row = ServedRow(id="acme/big")
    assert catalog(user=(box(row),)).by_id["box:acme/big"].price.input_mtok == 0.0
    far = catalog(user=(box(row, zone="internet"),)).by_id["box:acme/big"]
    assert far.price.input_mtok is None


def test_nobody_timed_it_is_a_range_and_not_a_zero() -> None:
    speed = catalog(user=(box(ServedRow(id="acme/big")),)).by_id["box:acme/big"].speed
    assert 0 < speed.decode.low < speed.decode.high
    assert speed.decode.basis == "a placeholder, not measured"


def test_a_key_in_the_keyring_makes_ready_without_asking_the_keyring() -> None:
    made = catalog(user=(HostRow(id="openai", key="keyring"),))
    assert made.by_id["openai:openai/gpt-4o"].ready
    assert made.consent == ()


def test_the_same_things_give_the_same_catalog() -> None:
    rows = (box(ServedRow(id="a/b")), HostRow(id="other", base_url="http://10.0.0.1/v1"))
    assert catalog(user=rows) == catalog(user=rows)


def test_a_catalog_is_the_same_bytes_after_it_was_saved_and_read() -> None:
    import msgspec

    made = msgspec.json.encode(catalog(user=(box(ServedRow(id="a/b")),)))
    assert msgspec.json.encode(msgspec.json.decode(made, type=Catalog)) == made


def test_shipped_hosts_that_need_consent_all_have_a_key_variable() -> None:
    assert known_hosts()
    assert all(row.key_env.endswith(("_API_KEY", "_TOKEN")) for row in known_hosts() if row.host().zone == "internet")


def test_each_shipped_file_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read, reading = list[Path](), shipped_module.read_toml

    def counted(path: Path, where: str) -> dict[str, object]:
        read.append(path)
        return reading(path, where)

    monkeypatch.setattr(shipped_module, "read_toml", counted)
    shipped_rows.cache_clear()
    assert catalog() == catalog(weights=frozenset())
    assert len(read) == len(set(read)) > 10


def test_a_catalog_that_is_built_again_reads_only_the_rows_of_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server builds one whenever its config, its weights or a server of this machine changes."""
    own = HostRow(id="desk", base_url="http://127.0.0.1:9/v1", models=(ServedRow(id="openai/gpt-5"),))
    before = catalog(user=(own,))
    hosts, host = list[str](), HostRow.host

    def counted(row: HostRow) -> Host:
        hosts.append(row.id)
        return host(row)

    monkeypatch.setattr(HostRow, "host", counted)
    after = catalog(user=(own,), weights=frozenset({"whisper-base"}))
    assert hosts == ["desk"]
    assert [each.id for each in after.endpoints] == [each.id for each in before.endpoints]
    assert after.beyond == before.beyond
