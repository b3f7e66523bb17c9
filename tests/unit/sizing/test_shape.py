"""What headers say, and do not say, of a model's memory: exact, a range that says why, or refused."""

from __future__ import annotations

import pytest
from tests.unit.sizing import headers
from tests.unit.sizing.headers import header, tensor

from intermodal.errors import UsageError, WeightsError
from intermodal.sizing.gguf_shape import gguf_shape, part_names
from intermodal.sizing.memory import model_memory
from intermodal.sizing.shape import ALL, ServingSettings

LAYER = (tensor("blk.0.attn_q.weight", (64, 64)), tensor("blk.1.attn_q.weight", (64, 64)))
TABLE = tensor("token_embd.weight", (64, 100))
OUTPUT = tensor("output.weight", (64, 100))
SMALL = {"block_count": 2, "embedding_length": 64, "attention__head_count": 2}


def test_a_tied_model_has_its_table_twice_once_it_is_on_a_device() -> None:
    tied = headers.shape("llama", [TABLE, *LAYER], **SMALL)
    assert tied.has_tied_embeddings
    assert model_memory(tied, ServingSettings(context=512)).bytes_of("weights").mid == tied.weights
    on_device = model_memory(tied, ServingSettings(context=512, gpu_layers=ALL))
    assert on_device.bytes_of("weights", "host").mid == TABLE.size
    assert on_device.bytes_of("weights", "device").mid == 2 * LAYER[0].size + TABLE.size


def test_a_model_with_an_output_of_its_own_has_nothing_twice() -> None:
    found = headers.shape("llama", [TABLE, OUTPUT, *LAYER], **SMALL)
    assert not found.has_tied_embeddings
    on_device = model_memory(found, ServingSettings(context=512, gpu_layers=ALL))
    assert (on_device.bytes_of("weights", "host").mid, on_device.bytes_of("weights").mid) == (TABLE.size, found.weights)


def test_the_last_layers_go_to_the_device_first_and_the_output_counts_as_one() -> None:
    found = headers.shape("llama", [TABLE, OUTPUT, *LAYER], **SMALL)
    for layers, on_device in ((1, OUTPUT.size), (2, OUTPUT.size + LAYER[1].size), (3, found.weights - TABLE.size)):
        split = model_memory(found, ServingSettings(context=512, gpu_layers=layers))
        assert split.bytes_of("weights", "device").mid == on_device
        assert (
            split.bytes_of("cache", "device").mid
            == (layers - 1) * model_memory(found, ServingSettings(context=512)).bytes_of("cache").mid / 2
        )


def test_experts_stay_on_the_host_where_asked_and_few_of_them_are_active() -> None:
    experts = tensor("blk.0.ffn_up_exps.weight", (64, 32, 8))
    gate = tensor("blk.0.ffn_gate_inp.weight", (64, 8))
    found = headers.shape(
        "qwen3moe", [TABLE, OUTPUT, *LAYER, experts, gate], expert_count=8, expert_used_count=2, **SMALL
    )
    assert found.routed == experts.size
    assert found.active_weights == OUTPUT.size + 2 * LAYER[0].size + gate.size + experts.size / 4
    assert found.active == found.parameters - 64 * 100 - 64 * 32 * 8 * 3 / 4
    kept = model_memory(found, ServingSettings(context=512, gpu_layers=ALL, host_experts=1))
    assert kept.bytes_of("weights", "host").mid == TABLE.size + experts.size


def test_heads_may_be_a_list_with_zeros_and_such_layers_keep_nothing() -> None:
    found = headers.shape("llama", LAYER, **{**SMALL, "attention__head_count_kv": (0, 2)})
    assert [layer.kv_heads for layer in found.layers] == [0, 2]
    assert model_memory(found, ServingSettings(context=512)).bytes_of("cache").mid == 512 * 2 * 32 * 2 * 2


def test_an_unknown_architecture_gets_a_range_and_says_so() -> None:
    found = headers.shape("llama9", LAYER, **SMALL)
    result = model_memory(found, ServingSettings(context=512))
    assert result.problems == ("the architecture llama9 is not known here",)
    cache = result.bytes_of("cache")
    assert cache.certainty == "estimated"
    assert cache.low * 10 < cache.mid < cache.high
    assert result.total().certainty == "estimated"


def test_an_unknown_architecture_that_says_no_heads_is_unknown_not_zero() -> None:
    result = model_memory(headers.shape("quux", LAYER, block_count=2), ServingSettings(context=512))
    assert not result.bytes_of("cache").known
    assert not result.total().known


def test_a_window_whose_layers_the_file_does_not_name_is_a_range() -> None:
    result = model_memory(
        headers.shape("mimo2", LAYER, attention__sliding_window=128, **SMALL), ServingSettings(context=4096)
    )
    assert result.bytes_of("cache").certainty == "estimated"
    assert "sliding window" in result.problems[0]


def test_a_part_of_a_split_file_alone_is_refused() -> None:
    first = header("llama", [TABLE], **SMALL)
    first.metadata["split.count"] = 2
    with pytest.raises(WeightsError, match="is split into 2 files, of which 1 were given"):
        gguf_shape([first], name="m-00001-of-00002.gguf")
    second = header("", LAYER)
    assert gguf_shape([first, second]).weights == TABLE.size + 2 * LAYER[0].size


def test_names_of_all_parts_follow_from_one() -> None:
    assert part_names("a-00002-of-00003.gguf") == tuple(f"a-0000{number}-of-00003.gguf" for number in (1, 2, 3))
    assert part_names("a.gguf") == ("a.gguf",)
    assert part_names("a-00001-of-99999.gguf") == ("a-00001-of-99999.gguf",)


@pytest.mark.parametrize(
    "facts",
    [
        {"block_count": 10**9}, {"block_count": 2, "attention__head_count": (1,)},
        {"block_count": 2, "attention__head_count": -1}, {"block_count": 1, "attention__head_count": 2**60},
        {"block_count": 1}, {"block_count": 2, "expert_count": 10**6},
        {"block_count": 2, "expert_count": 8, "expert_used_count": 10**9},
    ],
)  # fmt: skip
def test_impossible_counts_are_refused(facts: dict[str, object]) -> None:
    with pytest.raises(WeightsError):
        headers.shape("llama", LAYER, **facts)


@pytest.mark.parametrize(
    "settings",
    [
        ServingSettings(context=512, type_v="q8_0", flash_attention=False), ServingSettings(context=512, type_k="q5_k"),
        ServingSettings(context=0), ServingSettings(context=512, slots=0),
    ],
)  # fmt: skip
def test_settings_that_llama_cpp_refuses_are_refused(settings: ServingSettings) -> None:
    with pytest.raises(UsageError):
        model_memory(headers.llama_8b(), settings)


def test_a_projector_is_weights_to_the_byte_and_a_range_of_what_it_computes_in() -> None:
    facts = {
        "vision.image_size": 896, "vision.patch_size": 14, "vision.embedding_length": 1152,
        "vision.attention.head_count": 16, "vision.feed_forward_length": 4304,
    }  # fmt: skip
    eye = header("clip", [tensor("v.blk.0.attn_q.weight", (1152, 1152))], **facts)
    eye.metadata.update({"clip.has_vision_encoder": True, "clip.projector_type": "gemma3"})
    projector = gguf_shape([eye])
    assert [(encoder.kind, encoder.patches) for encoder in projector.encoders] == [("vision", 4096)]
    found = model_memory(headers.llama_8b(), ServingSettings(context=512, gpu_layers=ALL, projector=projector))
    assert found.bytes_of("projector", "device").mid == 1152 * 1152 * 2
    computed = found.bytes_of("projector compute", "device")
    assert computed.low > 4096 * 4304 * 2
    assert computed.high > 4096 * 4096 * 16 * 4  # every pair of patches, a head


def test_a_projector_that_says_nothing_of_itself_is_a_wide_range_that_says_so() -> None:
    eye = header("clip", [tensor("v.x", (64, 64))])
    found = model_memory(headers.llama_8b(), ServingSettings(context=512, projector=gguf_shape([eye])))
    assert found.problems == ("it describes no encoder",)
    computed = found.bytes_of("projector compute")
    assert computed.low * 5 < computed.high


def test_models_that_only_make_vectors_keep_nothing_between_calls() -> None:
    found = model_memory(headers.shape("bert", LAYER, pooling_type=1, **SMALL), ServingSettings(context=512))
    assert found.bytes_of("cache").mid == 0
    assert found.bytes_of("cache").certainty == "exact"
