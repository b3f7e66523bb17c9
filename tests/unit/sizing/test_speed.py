"""How fast a model is said to be, against what people measured and what cannot be."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.unit.sizing import models

from intermodal.core.quantity import exact
from intermodal.plans.machine import Gpu, Machine
from intermodal.sizing.machines import machine_of_options
from intermodal.sizing.shape import ALL, Layer, ModelShape, ServingSettings
from intermodal.sizing.speed import device_work, model_speed, replace_estimate, speed_of_parameters, with_measurements

MODELS = {
    "llama-3.2-3b": models.llama_32_3b, "deepseek-r1-14b": models.deepseek_r1_14b, "gpt-oss-20b": models.gpt_oss_20b,
    "tinyllama-1.1b": models.tinyllama,
}  # fmt: skip
ON_CARD = ServingSettings(context=8192, gpu_layers=ALL)


def measured() -> list[tuple[str, str, float]]:
    with (Path(__file__).parent / "data" / "published_speeds.csv").open() as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return [(row["model"], row["machine"], float(row["tokens_a_second"])) for row in rows]


def test_four_of_five_published_measurements_are_inside_the_range() -> None:
    inside = []
    for model, machine, speed in measured():
        found = model_speed(MODELS[model](), ON_CARD, machine_of_options([machine]), prompt=200)
        inside.append(found.decode.low <= speed <= found.decode.high)
        assert speed < found.bound, (model, machine)  # none of these is impossible
    assert len(inside) >= 35
    assert sum(inside) / len(inside) >= 0.8


def test_a_small_model_on_a_fast_card_may_be_as_slow_as_its_kernels_are_started() -> None:
    """A card thrice as fast starts kernels no sooner: the low end and the middle hardly move, the bound does."""
    fast, faster = (
        model_speed(models.smollm2_135m(), ON_CARD, machine_of_options([card]), prompt=200)
        for card in ("RTX 4090", "H100")
    )
    assert faster.bound > 3 * fast.bound
    for found in (fast, faster):
        assert found.decode.low <= 1 / (30 * 84e-6)
        assert found.decode.mid <= 1 / (30 * 52e-6)
        assert found.first_word.high > 30 * 84e-6
        assert "84 us a layer to start its kernels" in found.decode.basis
    large = model_speed(models.deepseek_r1_14b(), ON_CARD, machine_of_options(["RTX 4090"])).decode
    assert "kernels" not in large.basis


def test_kernels_of_a_model_of_which_only_the_size_is_known_are_started_too() -> None:
    small = speed_of_parameters(135e6, 135e6, machine_of_options(["H100"])).decode
    assert small.low < 1000
    assert "kernels" in small.basis
    assert (
        "kernels" not in speed_of_parameters(135e6, 135e6, machine_of_options([], "8GB")).decode.basis
    )  # a processor starts none


def test_experts_that_answer_no_token_are_not_read_for_it() -> None:
    shape = models.qwen3_30b_a3b()
    [part] = device_work(shape, ON_CARD, machine_of_options(["RTX 4090"]))
    routed = shape.routed
    assert part.total_weights == shape.weights - shape.embeddings
    assert part.weights == pytest.approx(part.total_weights - routed + routed * 8 / 128)


def test_experts_kept_in_memory_are_read_from_there() -> None:
    """RTX 2080, 102 GB/s of memory, --n-cpu-moe 36: 36.7 tokens a second (llmfit's community bench, 2026-07)."""
    machine = machine_of_options(["RTX 2080"], "128GB DDR4-3200 4ch")
    settings = replace(ON_CARD, host_experts=36)
    card, host = sorted(device_work(models.qwen3_30b_a3b(), settings, machine), key=lambda part: part.name)
    assert host.weights > 0
    assert card.weights > 0
    found = model_speed(models.qwen3_30b_a3b(), settings, machine, prompt=200)
    assert found.decode.low < 36.7 < found.decode.high


def test_layers_left_on_the_processor_slow_it_down() -> None:
    machine = machine_of_options(["RTX 4090"], "64GB DDR5-5600")
    shape = models.deepseek_r1_14b()
    whole = model_speed(shape, ON_CARD, machine).decode
    half = model_speed(shape, replace(ON_CARD, gpu_layers=24), machine).decode
    none = model_speed(shape, replace(ON_CARD, gpu_layers=0), machine).decode
    assert whole.mid > half.mid > none.mid


def test_two_cards_do_a_token_one_after_the_other() -> None:
    shape = models.deepseek_r1_14b()
    one, two = (
        model_speed(shape, ON_CARD, machine_of_options([cards])).decode for cards in ("RTX 3090", "2x RTX 3090")
    )
    assert two.mid == pytest.approx(one.mid)
    mixed = model_speed(shape, ON_CARD, machine_of_options(["RTX 3090, RTX 3060 12GB"])).decode
    assert mixed.mid < one.mid


def test_a_longer_text_is_written_more_slowly_and_read_longer() -> None:
    shape, machine = models.qwen3_30b_a3b(), machine_of_options(["RTX 4090"])
    short, long = (model_speed(shape, ON_CARD, machine, prompt=count) for count in (100, 30_000))
    assert long.decode.mid < short.decode.mid
    assert long.first_word.mid > short.first_word.mid


def test_a_window_bounds_what_is_looked_back_on() -> None:
    layer = Layer(heads=8, kv_heads=8, key=64, value=64, window=1024, weights=1_000_000)
    shape = ModelShape(layers=(layer,) * 4, parameters=1_000_000, active=1_000_000, output=1_000_000)
    [near], [far] = (
        device_work(shape, ON_CARD, machine_of_options(["RTX 4090"]), past=past) for past in (1024, 100_000)
    )
    assert near.cache == far.cache == 4 * 1024 * 2 * 8 * 64 * 2


def test_texts_at_once_are_each_slower_and_together_faster() -> None:
    shape, machine = models.deepseek_r1_14b(), machine_of_options(["RTX 4090"])
    one, eight = (model_speed(shape, ON_CARD, machine, users=users).decode.mid for users in (1, 8))
    assert eight < one < 8 * eight


def test_texts_at_once_ask_more_experts_but_never_more_than_there_are() -> None:
    shape, machine = models.qwen3_30b_a3b(), machine_of_options(["RTX 4090"])
    read = [device_work(shape, ON_CARD, machine, users=users)[0].weights for users in (1, 4, 10_000)]
    assert read[0] < read[1] < read[2]
    assert read[2] <= shape.weights


def test_a_card_of_which_only_the_memory_is_known_has_an_unknown_speed() -> None:
    found = model_speed(models.deepseek_r1_14b(), ON_CARD, machine_of_options(["24GB"]))
    assert not found.decode.known
    assert "bandwidth" in found.decode.basis
    assert not found.first_word.known
    assert found.bound == 0


def test_a_chip_whose_compute_nobody_states_writes_at_a_known_speed_and_reads_at_an_unknown_one() -> None:
    found = model_speed(models.deepseek_r1_14b(), ON_CARD, machine_of_options(["M5 Max 64GB"]))
    assert found.decode.known
    assert not found.prefill.known
    assert "compute" in found.prefill.basis


def test_nothing_to_run_it_on_is_said() -> None:
    assert not model_speed(ModelShape(), ServingSettings(context=512), Machine()).decode.known


def test_many_operations_on_few_cores_bound_it_too() -> None:
    """Memory that is endlessly fast does not make a processor write endlessly fast."""
    machine = Machine(cores=1, bandwidth=exact(1e15), compute=exact(1e11))
    shape = models.llama_32_3b()
    assert model_speed(shape, ServingSettings(context=8192), machine).decode.high <= 1e11 / (2 * shape.active)


def test_a_measurement_on_this_machine_replaces_the_range() -> None:
    estimate = model_speed(models.llama_32_3b(), ON_CARD, machine_of_options(["RTX 4090"])).decode
    assert replace_estimate(estimate, exact(250.0, "measured")) == exact(250.0, "measured")
    assert replace_estimate(estimate, exact(0.0)) == estimate


def test_what_runs_took_narrows_every_figure_that_follows_from_it() -> None:
    estimate = model_speed(models.llama_32_3b(), ON_CARD, machine_of_options(["RTX 4090"]), prompt=1000)
    found = with_measurements(estimate, exact(200.0, "earlier runs"), exact(5000.0, "earlier runs"))
    assert (found.decode.mid, found.prefill.mid) == (200.0, 5000.0)
    assert found.first_word.mid == pytest.approx(1000 / 5000 + 1 / 200)
    assert with_measurements(estimate, None, None).decode == estimate.decode


def test_memory_of_a_card_decides_how_much_of_the_model_it_has() -> None:
    gpus = (Gpu(name="a", memory=3 << 30, bandwidth=1e12), Gpu(name="b", memory=1 << 30, bandwidth=1e12))
    large, small = device_work(models.llama_32_3b(), ON_CARD, Machine(gpus=gpus))
    assert large.weights == pytest.approx(3 * small.weights)
