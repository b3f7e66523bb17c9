"""Replies of local servers, read: what each kind says, and that nothing a server sends is taken for what it is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intermodal.catalog.capability_lessons import CapabilityLesson, with_lessons
from intermodal.catalog.discovered_servers import (
    DiscoveredModel,
    DiscoveredServer,
    ModelReport,
    discovered_hosts,
    merge_reports,
    model_id_for,
    server_root,
)
from intermodal.catalog.host_rows import DiscoveryRules
from intermodal.catalog.shipped_rows import known_hosts
from intermodal.catalog.types import Catalog
from intermodal.local.discovery.listing_readers import READERS, values_at
from intermodal.testing import FakeHost

WORDS = st.sampled_from(
    ["data", "models", "id", "model", "name", "key", "meta", "architecture", "input_modalities", "capabilities",
     "vision", "text", "image",
     "details", "model_info", "general.architecture", "projector_info", "loaded_instances", "config",
     "context_length", "type", "state", "modalities", "default_generation_settings", "remote_host", "digest"]
)  # fmt: skip
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), WORDS)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=6)),
    max_leaves=30,
)
SIGNS = DiscoveryRules(forwarded_keys=("remote_host", "remote"))


@pytest.mark.slow
@given(tree=st.dictionaries(WORDS, TREES, max_size=6), form=st.sampled_from(sorted(READERS)))
@settings(max_examples=300)
def test_no_reply_whatever_it_holds_is_more_than_a_reply(tree: dict[str, Any], form: str) -> None:
    """Every reader takes any JSON, and what it makes of it can be folded and is typed as it says."""
    said = list(READERS[form](tree, "/path", "asked", SIGNS))
    for each in said:
        assert isinstance(each.model, str)
        assert each.context is None or (each.context > 0 and not isinstance(each.context, bool))
        assert all(isinstance(value, bool) for value in each.takes.values())
    merge_reports(said, ("*-cloud",))


@pytest.mark.slow
@given(tree=TREES, key=st.sampled_from(["data.*.id", "models.*.key", "a.b.c", "*", "default_generation_settings"]))
def test_a_key_leads_somewhere_or_nowhere_and_never_fails(tree: Any, key: str) -> None:
    list(values_at(tree, key))


def test_every_reader_that_a_row_names_is_there_and_signs_come_in_the_order_that_tells_soonest() -> None:
    rows = [row.discovery for row in known_hosts() if row.discovery is not None]
    assert {read.form for row in rows for read in row.reads} == set(READERS)
    assert {sign.step for row in rows for sign in row.signs} == {0, 1, 2, 4, 5, 6, 7}


def test_what_is_said_later_is_believed_and_the_difference_is_kept() -> None:
    said = (
        ModelReport(source="/a", model="m", takes={"image": True}),
        ModelReport(source="/b", model="m", takes={"image": False}),
    )
    (model,) = merge_reports(said)
    assert model.input == ("text",)
    assert model.contradictions == ("image: /a says takes it, but /b says no; the last is believed",)
    (turned,) = merge_reports(said[::-1])
    assert turned.input == ("text", "image")


def test_a_name_that_ends_as_ollama_s_cloud_models_do_computes_elsewhere_whatever_is_not_said() -> None:
    said = [ModelReport(source="/a", model=name) for name in ("gpt-oss:120b-cloud", "kimi:cloud", "cloudy:8b")]
    assert [bool(model.elsewhere) for model in merge_reports(said, ("*-cloud", "*:cloud"))] == [True, True, False]
    assert merge_reports(said)[0] == DiscoveredModel(name="gpt-oss:120b-cloud")


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://localhost:11434", "http://127.0.0.1:11434"),
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080"),
        ("http://0.0.0.0:1234/", "http://127.0.0.1:1234"),
        ("http://192.168.1.20/v1", "http://192.168.1.20:80"),
        ("https://gpu.lan/v1", "https://gpu.lan:443"),
        ("127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"),
    ],
)
def test_two_spellings_of_an_address_are_one_server(url: str, root: str) -> None:
    assert server_root(url) == root


def test_a_lesson_holds_for_a_build_and_without_one_for_some_days() -> None:
    with FakeHost() as host:
        endpoint = host.endpoint(input=("text", "image"), zone="machine")
    catalog = Catalog(endpoints=(endpoint,))
    lesson = CapabilityLesson(
        endpoint=endpoint.id, about="image", holds=False, level="observed", day="2026-11-01", message="no"
    )
    assert with_lessons(catalog, (lesson,), "2026-11-20").endpoints[0].input == ("text",)
    assert with_lessons(catalog, (lesson,), "2027-01-20") is catalog
    import msgspec

    built = Catalog(endpoints=(msgspec.structs.replace(endpoint, build="0.12|aa|text+image"),))
    kept = msgspec.structs.replace(lesson, build="0.12|aa|text+image")
    assert with_lessons(built, (kept,), "2027-11-20").endpoints[0].input == ("text",)
    assert with_lessons(built, (lesson,), "2026-11-02") is built


@pytest.mark.parametrize(
    ("called", "plain"),
    [
        ("/models/Qwen3-8B-Q4_K_M.gguf", "qwen/qwen3-8b"),
        ("../SmolLM2-135M-Instruct.IQ3_XS.gguf", "huggingfacetb/smollm2-135m-instruct"),
        ("C:\\llm\\Qwen3-8B-UD-Q2_K_XL-00001-of-00002.gguf", "qwen/qwen3-8b"),
        ("/root/.cache/huggingface/hub/models--Qwen--Qwen3-8B/snapshots/0123abc", "qwen/qwen3-8b"),
        ("/data/models/Qwen3-8B/", "qwen/qwen3-8b"),
        ("/models/own-thing-Q8_0.gguf", "llama.cpp/own-thing-q8_0"),
        ("vendor/model", "vendor/model"),
        ("llama3.2:3b", "llama.cpp/llama3.2-3b"),
    ],
)
def test_a_model_that_its_server_calls_by_a_path_is_called_by_its_name(called: str, plain: str) -> None:
    assert model_id_for("llama.cpp", called) == plain


def test_two_files_of_one_model_stay_two_models() -> None:
    files = ("/m/Qwen3-8B-Q4_K_M.gguf", "/m/Qwen3-8B-Q8_0.gguf")
    models = tuple(DiscoveredModel(name=name, input=("text",)) for name in files)
    server = DiscoveredServer(address="http://127.0.0.1:8080", kind="llama.cpp", models=models)
    (found,) = discovered_hosts((server,), {})
    assert [row.id for row in found.row.models] == ["llama.cpp/qwen3-8b-q4_k_m", "llama.cpp/qwen3-8b-q8_0"]
    assert [row.served_name for row in found.row.models] == list(files), "it is asked for as it calls itself"
