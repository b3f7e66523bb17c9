"""One grammar of names for every verb: an id is the endpoint that it says, or an error, and never another's."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable

import pytest
from tests.unit.cli.conftest import Cli
from tests.unit.cli.conftest import cli as cli

from intermodal.catalog.load import load_catalog, load_snapshot, why_uncallable, with_named_models
from intermodal.catalog.model_names import NameIndex, resolve_name, split_name
from intermodal.catalog.search import find_at_host, find_model_by_name
from intermodal.catalog.shipped_rows import shipped_families, shipped_rows
from intermodal.catalog.snapshot.file import Snapshot, SnapshotRow
from intermodal.catalog.types import Catalog
from intermodal.client.estimates import estimate, find_model, rules_of
from intermodal.cost_model.token_counts import CountablePart
from intermodal.errors import UnknownModel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(installed={}, weights=frozenset(), env={})


def everything(catalog: Catalog) -> dict[str, str]:
    """The host's own name of every endpoint that ``models --all`` lists, by its id."""
    found = {endpoint.id: endpoint.served_as for endpoint in catalog.endpoints}
    there = {(endpoint.host.id, endpoint.served_as) for endpoint in catalog.endpoints}
    return found | {row.endpoint: row.name for row in load_snapshot().rows if (row.host, row.name) not in there}


def test_no_two_rows_of_the_snapshot_have_one_id() -> None:
    several = {
        id: count for id, count in Counter(row.endpoint.lower() for row in load_snapshot().rows).items() if count > 1
    }
    assert several == {}


def test_every_id_that_is_listed_means_itself_wherever_names_are_read(catalog: Catalog) -> None:
    wrong: list[tuple[str, object]] = []
    for id, served_as in everything(catalog).items():
        one = find_at_host(catalog, load_snapshot(), id)
        name = one.name if isinstance(one, SnapshotRow) else one.served_as if one is not None else None
        known_as = one.endpoint if isinstance(one, SnapshotRow) else one.id if one is not None else None
        if (known_as, name) != (id, served_as):
            wrong.append((id, known_as))
    assert wrong == []


def test_every_id_that_is_listed_is_priced_as_itself(catalog: Catalog) -> None:
    rules, models = shipped_families(), load_snapshot()
    wrong = [id for id in everything(catalog) if find_model(catalog, models, rules, id).endpoint != id]
    assert wrong == []


def test_every_id_of_a_host_is_asked_by_that_name_or_is_told_why_it_cannot_be(catalog: Catalog) -> None:
    models, wrong = load_snapshot(), []
    rows = {row.endpoint: row for host in ("edenai", "nano-gpt", "novita-ai", "amazon-bedrock", "perplexity")
            for row in models.of_host(host)}  # fmt: skip
    for id, row in rows.items():
        named = with_named_models(catalog, (id,), env={})
        why = why_uncallable(row, models)
        try:
            if [endpoint.id for endpoint in resolve_name(named, id)] != [id]:
                wrong.append((id, "another"))
        except UnknownModel as error:
            if why is None or why[0] not in error.what:
                wrong.append((id, error.what))
    assert wrong == []
    assert {why_uncallable(row, models) is None for row in rows.values()} == {True, False}


@pytest.mark.parametrize(
    "verb", [("estimate", "--out-tokens", "9", "--model"), ("models", "show"), ("models", "compare")]
)
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nosuchhost:openai/gpt-4o", "there is no host named nosuchhost"),
        ("nosuchhost:gpt-4o", "there is no host named nosuchhost"),
        ("bar:o3", "there is no host named bar"),
        ("nosuchhost:gemma3:4b", "there is no host named nosuchhost"),
        ("alibaba:openai/gpt-4o", "alibaba has no model named openai/gpt-4o; it is at"),
        ("groq:openai/gpt-oss-120", "did you mean groq:openai/gpt-oss-120b"),
    ],
)
def test_a_name_with_a_host_is_never_taken_for_another_hosts(
    cli: Cli, verb: tuple[str, ...], name: str, said: str
) -> None:
    done = cli(*verb, name)
    assert done.code == 2 and said in done.err, done.err


@pytest.mark.parametrize("id", ["cerebras:openai/gpt-oss-120b", "alibaba:qwen/qwen3-8b", "groq:openai/gpt-oss-120b"])
def test_an_estimate_names_its_endpoint_and_who_says_its_price_as_of_when(cli: Cli, id: str) -> None:
    document = cli("estimate", "--model", id, "--out-tokens", "1000", "--json").document
    (row,) = [row for row in load_snapshot().rows if row.endpoint == id]
    tokens = document["tokens"]["mid"]  # the answer, and what is thought before it
    assert document["endpoint"] == id and document["usd"]["mid"] == pytest.approx(tokens * (row.price_out or 0.0) / 1e6)
    assert document["price_source"]["name"] and document["price_source"]["checked"] >= "2026-08-18"


def test_a_model_that_a_host_names_with_a_colon_is_that_model(cli: Cli) -> None:
    document = cli("estimate", "--model", "ft:gpt-4o", "--out-tokens", "1000", "--json").document
    (row,) = [row for row in load_snapshot().rows if row.name == "ft:gpt-4o"]
    assert document["endpoint"] == row.endpoint


def test_a_server_of_ones_own_has_a_price_that_nobody_knows(cli: Cli) -> None:
    document = cli("estimate", "--model", "ollama:qwen2.5vl:7b", "--out-tokens", "100", "--json").document
    assert document["endpoint"] == "ollama:qwen2.5vl:7b"
    assert document["usd"]["mid"] is None and document["price_source"] is None


def test_separators_of_a_name_are_all_alike(cli: Cli) -> None:
    names = (
        "claude-sonnet-4.5",
        "claude-sonnet-4-5",
        "anthropic:anthropic/claude-sonnet-4.5",
        "anthropic:claude-sonnet-4-5",
    )
    found = {cli("estimate", "--model", name, "--out-tokens", "9", "--json").document["endpoint"] for name in names}
    assert found == {"anthropic:anthropic/claude-sonnet-4.5"}


def test_every_name_that_a_host_has_for_a_model_means_one_model(catalog: Catalog) -> None:
    """Without its vendor; "community" is a tier that two models have at one host."""
    models, several = load_snapshot(), []
    names = {row.name.lower().rpartition("/")[2] for row in models.rows} | {
        row.id.rpartition("/")[2] for row in models.rows
    }
    for name in sorted(names - {"community"}):
        try:
            find_model_by_name(catalog, models, name)
        except UnknownModel as error:
            several.append(str(error))
    assert several == []


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("claude-sonnet-4-5@20250929", "anthropic/claude-sonnet-4-5-20250929"),
        ("claude-opus-4-7@default", "anthropic/claude-opus-4.7"),
        ("anthropic.claude-opus-4-7", "anthropic/claude-opus-4.7"),
        ("phi-4-mini", "microsoft/phi-4-mini"),
        ("gpt-5-2025-08-07", "openai/gpt-5-2025-08-07"),
        ("llama-3-3-70b-instruct", "meta/llama-3.3-70b-instruct"),
    ],
)
def test_a_spelling_of_a_platform_is_its_makers_model_in_every_verb(cli: Cli, name: str, id: str) -> None:
    assert cli("estimate", "--model", name, "--out-tokens", "9", "--json").document["model"] == id
    assert cli("models", "show", name, "--json").document["model"]["id"] == id


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("llama3.1:8b", "meta/llama-3.1-8b-instruct"),
        ("llama3.1:8b-instruct-q4_K_M", "meta/llama-3.1-8b-instruct"),
        ("llama3.2-vision:11b", "meta/llama-3.2-11b-vision-instruct"),
        ("gemma3:4b", "google/gemma-3-4b-it"),
        ("gemma3n:e4b", "google/gemma-3n-e4b-it"),
        ("phi4", "microsoft/phi-4"),
        ("phi4:latest", "microsoft/phi-4"),
        ("qwen3:8b", "qwen/qwen3-8b"),
        ("qwen2.5vl:7b", "qwen/qwen2-5-vl-7b-instruct"),
        ("mistral", "mistral/mistral-7b-instruct"),
    ],
)
def test_a_name_of_ollamas_library_is_the_one_such_model_and_says_so(cli: Cli, name: str, id: str) -> None:
    said = f"{name}: read as Ollama's name for {id}"
    estimated = cli("estimate", "--model", name, "--out-tokens", "9", "--json").document
    assert (estimated["model"], estimated["reading"]) == (id, said)
    assert said in cli("estimate", "--model", name, "--out-tokens", "9").out
    shown = cli("models", "show", name, "--json").document["model"]
    assert (shown["id"], shown["reading"]) == (id, said)
    assert said in cli("models", "show", name).out


@pytest.mark.parametrize("verb", [("estimate", "--out-tokens", "9", "--model"), ("models", "show")])
def test_a_name_of_ollamas_library_that_has_several_sizes_lists_them(cli: Cli, verb: tuple[str, ...]) -> None:
    done = cli(*verb, "llama3.1")
    assert done.code == 2 and "could be any of" in done.err
    assert "meta/llama-3.1-8b-instruct" in done.err and "meta/llama-3.1-70b-instruct" in done.err


def test_a_name_of_ollamas_library_is_not_the_start_of_another_makers_name(cli: Cli) -> None:
    """scb10x/llama3.1-typhoon2-70b-instruct is the only model whose name begins with these letters."""
    done = cli("explain", "hi", "--model", "llama3.1")
    assert done.code == 2 and "there is no model named llama3.1; did you mean" in done.err
    assert "meta/llama-3.1-8b-instruct" in done.err and "typhoon" not in done.err
    assert "typhoon2" in cli("explain", "hi", "--model", "llama3.1-typhoon2-70b").err


def test_a_name_of_ollamas_library_is_weighed_as_the_weights_that_pull_has(cli: Cli) -> None:
    ours, theirs = (cli("fit", name, "--ram", "16GB") for name in ("gemma-3-4b-it", "gemma3:4b"))
    assert theirs.err.splitlines()[0] == "gemma3:4b: read as Ollama's name for gemma-3-4b-it"
    assert (theirs.out, theirs.err.splitlines()[1:], theirs.code) == (ours.out, ours.err.splitlines(), ours.code)
    several = cli("fit", "qwen3", "--ram", "16GB")
    assert several.code == 2 and "qwen3-8b" in several.err and "qwen3-4b" in several.err


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("groq:openai/gpt-oss-120b", ("groq", "openai/gpt-oss-120b")),
        ("Groq:whisper", ("groq", "whisper")),
        ("gemma3:4b", ("", "gemma3:4b")),
        ("openai/gpt-oss-120b:free", ("", "openai/gpt-oss-120b:free")),
        ("else:openai/gpt-4o", ("else", "openai/gpt-4o")),
    ],
)
def test_a_tag_is_no_host_and_a_host_is_no_tag(name: str, parts: tuple[str, str]) -> None:
    assert split_name(name, {"groq"}) == parts


def test_what_nobody_says_is_counted_with_a_wide_range_and_refused_only_where_somebody_says_no(
    catalog: Catalog,
) -> None:
    rules, models = shipped_families(), load_snapshot()
    picture = CountablePart(kind="image", name="picture", width=1000, height=800)
    silent = [row for row in models.rows if not row.input and shipped_rows().rows.get(row.id) is None]
    assert len(silent) > 100
    for row in silent:
        subject = find_model(catalog, models, rules, row.endpoint)
        found = estimate(subject, rules_of(subject, rules, "2026-11-28"), (picture,), date="2026-11-28")
        assert not found.rejected, row.endpoint
        (part,) = found.count.parts
        if not part.source:
            assert part.tokens.low < part.tokens.high and "it is unknown whether" in part.tokens.basis
    deaf = next(row for row in models.rows if row.input == ("text",) and row.endpoint == "groq:openai/gpt-oss-120b")
    subject = find_model(catalog, models, rules, deaf.endpoint)
    found = estimate(subject, rules_of(subject, rules, "2026-11-28"), (picture,), date="2026-11-28")
    assert "does not accept images" in found.rejected


def test_a_price_that_depends_on_the_hour_is_a_range_from_the_cheapest_to_the_dearest(cli: Cli) -> None:
    words = ("estimate", "--model", "deepseek:deepseek/deepseek-flash", "--out-tokens", "1000", "--json")
    document = cli(*words).document
    a_token = {level: document["usd"][level] / document["tokens"][level] for level in ("low", "mid", "high")}
    assert a_token["high"] == pytest.approx(2 * a_token["low"])
    assert a_token["mid"] == pytest.approx(a_token["low"])


def test_sources_that_disagree_are_said_with_what_each_makes_of_it(cli: Cli) -> None:
    words = ("estimate", "--model", "mistral:mistral/mistral-large-latest", "--out-tokens", "1000")
    document = cli(*words, "--json").document
    (other,) = document["price_conflicts"]
    assert other["name"] == "genai-prices" and other["usd"] != document["usd"]["mid"]
    assert "but genai-prices: $" in cli(*words).out


def _meant(rows: list[SnapshotRow], word: str) -> list[SnapshotRow]:
    """What a name means, by the definition: the most exact way that finds any decides."""

    def plain(text: str) -> str:
        return re.sub(r"[._]+", "-", text)

    def last(row: SnapshotRow) -> str:
        return row.id.lower().rpartition("/")[2]

    ways: list[Callable[[SnapshotRow], bool]] = [
        lambda row: row.id.lower() == word,
        lambda row: row.name.lower() == word,
        lambda row: last(row) == word,
        lambda row: plain(word) in (plain(row.id.lower()), plain(last(row))),
        lambda row: len(word) >= 3 and last(row).startswith(word),
    ]
    return next((found for way in ways if (found := [row for row in rows if way(row)])), [])


def test_an_index_of_names_finds_what_a_look_through_every_model_finds() -> None:
    models = Snapshot()
    chance = random.Random(20_261_129)
    rows = chance.sample(models.rows, 600)
    index = NameIndex(rows, SnapshotRow.names)
    words = {"", "g", "gp", "gpt", "claude-", "nobody/knows-it"}
    for row in chance.sample(rows, 40):
        for name in (row.id.lower(), row.name.lower(), row.id.lower().rpartition("/")[2]):
            words |= {name, name[: len(name) // 2], name.replace("-", "."), name.replace(".", "_"), name + "x"}
    for word in sorted(words):
        found = index.pick(word)
        assert sorted(row.endpoint for row in found) == sorted(row.endpoint for row in _meant(rows, word)), word


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("gpt-4oo", "openai/gpt-4o"),
        ("claude-sonet-4.5", "anthropic/claude-sonnet-4.5"),
        ("gemni-2.5-pro", "google/gemini-2.5-pro"),
    ],
)
def test_a_misspelt_name_is_offered_the_name_that_was_meant(slip: str, meant: str) -> None:
    assert meant in {row.id for row in Snapshot().names.similar(slip, 3, 0.75)}
