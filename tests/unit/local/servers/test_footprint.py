"""What running servers say they hold: fakes of vLLM and Ollama with published answers, and llama-server's options."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.local.servers.fake_servers import OLLAMA_ROW, VLLM_METRICS, ollama, serving, vllm

from intermodal.errors import CredentialsRefused, Unreachable, UsageError
from intermodal.local.servers.footprint import parse_llama_options, read_footprint
from intermodal.sizing.memory import Correction
from intermodal.sizing.shape import ALL


def test_ollama_says_its_bytes_its_context_and_its_version() -> None:
    with serving(ollama(OLLAMA_ROW, parameters='num_gpu                        20\nstop  "<end>"')) as address:
        found = read_footprint(address)
    assert (found.engine, found.model, found.build) == ("ollama", "gemma3", "Ollama 0.40.12")
    assert (found.whole, found.vram) == (6591830464, 5333539264)
    assert found.settings is not None
    assert (found.settings.context, found.settings.gpu_layers) == (4096, 20)


def test_of_several_models_that_ollama_has_loaded_one_has_to_be_named() -> None:
    rows = [OLLAMA_ROW, OLLAMA_ROW | {"name": "llama3.2:latest", "model": "llama3.2:latest", "size_vram": 0}]
    with serving(ollama(*rows)) as address:
        with pytest.raises(UsageError, match=r"has gemma3, llama3\.2:latest loaded"):
            read_footprint(address)
        assert read_footprint(address, model_name="llama3.2").model == "llama3.2:latest"
        with pytest.raises(UsageError, match="not qwen3"):
            read_footprint(address, model_name="qwen3")
    with serving(ollama()) as address, pytest.raises(UsageError, match="no model loaded"):
        read_footprint(address)


def test_vllm_says_its_pages_and_the_share_it_takes() -> None:
    with serving(vllm("Qwen/Qwen3-8B")) as address:
        found = read_footprint(f"{address}/v1")
    assert (found.engine, found.model, found.build, found.tokens) == ("vllm", "Qwen/Qwen3-8B", "vLLM 0.11.0", 573 * 16)
    assert found.serving is not None
    assert (found.serving.utilization, found.serving.block, found.serving.cache_bytes) == (0.82, 16, 2)


def test_a_newer_vllm_says_its_tokens_itself() -> None:
    metrics = VLLM_METRICS.replace('num_gpu_blocks="573"', 'num_gpu_blocks="573",kv_cache_size_tokens="9000"')
    with serving(vllm("m", metrics=metrics.replace('"auto"', '"fp8_e4m3"'))) as address:
        found = read_footprint(address)
    assert found.tokens == 9000
    assert found.serving is not None and found.serving.cache_bytes == 1


def test_an_address_without_a_server_is_reported_as_unreachable() -> None:
    with pytest.raises(Unreachable, match="no server answers there"):
        read_footprint("http://127.0.0.1:9")
    with serving({"/": "<html>"}) as address, pytest.raises(Unreachable, match=r"not a llama\.cpp, vLLM or Ollama"):
        read_footprint(address)
    another = {"/metrics": "up 1\n", "/v1/models": {"data": []}}
    with serving(another) as address, pytest.raises(Unreachable, match=r"not a llama\.cpp, vLLM or Ollama"):
        read_footprint(address)


def test_a_server_behind_a_key_asks_for_it() -> None:
    with serving(vllm("m"), key="k") as address:
        with pytest.raises(CredentialsRefused, match="wants a key"):
            read_footprint(address)
        assert read_footprint(address, key="k").model == "m"


PROPS = {
    "default_generation_settings": {"n_ctx": 4096}, "total_slots": 4, "model_path": "/models/m.gguf",
    "build_info": "b6700-abcdef1", "modalities": {"vision": False},
}  # fmt: skip


def test_slots_that_share_one_cache_are_not_counted_four_times() -> None:
    """The fake is no llama-server: its options are not those of one, so that its log decides."""
    with serving({"/props": PROPS, "/metrics": "llamacpp:predicted_tokens_seconds 41.5\n"}) as address:
        shared = read_footprint(address, log="srv load_model: initializing, n_slots = 4, kv_unified = 'true'")
        apart = read_footprint(address, log="srv load_model: initializing, n_slots = 4, kv_unified = 'false'")
    assert shared.settings is not None and apart.settings is not None
    assert (shared.settings.context, apart.settings.context) == (4096, 16384)
    assert (shared.build, shared.written) == ("llama.cpp b6700-abcdef1", 41.5)


@pytest.mark.parametrize(
    ("replies", "words"),
    [
        ({"/props": PROPS}, "llama.cpp b6700-abcdef1 at "),
        ({"/props": {**PROPS, "build_info": ""}}, "llama.cpp at "),
        (vllm("m"), "vLLM 0.11.0 at "),
        (ollama(OLLAMA_ROW), "Ollama 0.40.12 at "),
    ],
)
def test_a_server_is_called_by_its_program_and_its_build_once(replies: dict[str, object], words: str) -> None:
    with serving(replies) as address:
        assert read_footprint(address).description.startswith(f"{words}{address},")


def test_a_correction_says_what_program_took_it() -> None:
    with serving({"/props": PROPS}) as address:
        build = read_footprint(address).build
    words = Correction(flags="", build=build, taken="2026-11-29", ratios=()).words
    assert words == "as llama.cpp b6700-abcdef1 took here on 2026-11-29"
    docs = Path(__file__).parents[4] / "docs"
    assert all(words in (docs / name).read_text() for name in ("fit.md", "up.md")), "as the docs say it"


def test_an_answer_that_is_nested_too_deep_is_no_answer() -> None:
    deep = {"/props": "[" * 200_000, "/api/ps": "[" * 200_000, "/metrics": "up 1\n"}
    with serving(deep) as address, pytest.raises(Unreachable, match=r"not a llama\.cpp, vLLM or Ollama"):
        read_footprint(address)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("-ngl 99", {"layers": 99}),
        ("--n-gpu-layers all", {"layers": ALL}),
        ("-ngl auto", {"layers": None}),
        ("--cache-type-k=q8_0 -ctv q4_0 -fa 1", {"type_k": "q8_0", "type_v": "q4_0", "flash": "on"}),
        ("-fa off -kvu", {"flash": "off", "unified": True}),
        ("-fa --mmproj eye.gguf", {"flash": "on", "projector": "eye.gguf"}),
        ("-np -1 --cpu-moe", {"slots": 0, "all_experts": True}),
        ("-ub nonsense --cache-ram 0", {"ubatch": 512, "kept": False}),
    ],
)
def test_options_of_a_llama_server_are_read_as_it_reads_them(words: str, expected: dict[str, object]) -> None:
    found = parse_llama_options(["llama-server", *words.split()])
    assert {name: getattr(found, name) for name in expected} == expected


def test_an_argument_counts_before_the_environment() -> None:
    env = {"LLAMA_ARG_UBATCH": "256", "LLAMA_ARG_N_PARALLEL": "3"}
    found = parse_llama_options(["llama-server", "-np", "2"], env)
    assert (found.slots, found.ubatch) == (2, 256)
