"""Does it fit, and what would make it fit: on shapes of published models and machines of data rows."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.sizing import models

from intermodal.core.quantity import between, exact, unknown
from intermodal.errors import UsageError
from intermodal.plans.machine import Machine
from intermodal.sizing.fit_changes import FitChange, fit_changes
from intermodal.sizing.machines import GIB, certain_memory, machine_of_options
from intermodal.sizing.placement import (
    CapacityCheck,
    PlacedModel,
    everything_on_cards,
    largest_context,
    largest_fitting,
    place_model,
    place_quantized,
    table_contexts,
    with_context,
)
from intermodal.sizing.quantizations import QUANTIZATIONS, average_bits, quantization, quantization_of, requantize
from intermodal.sizing.server_command import ModelReference, server_command
from intermodal.sizing.shape import ServingSettings
from intermodal.sizing.speed import model_speed

QWEN = ModelReference(reference="hf:Qwen/Qwen3-30B-A3B-GGUF/Qwen3-30B-A3B-Q4_K_M.gguf", quantization="Q4_K_M")


def placed(machine: Machine, context: int = 32768, slots: int = 1) -> PlacedModel:
    settings = everything_on_cards(ServingSettings(context=context * slots, slots=slots), machine)
    return place_model(models.qwen3_30b_a3b(), settings, machine)


def found(machine: Machine, context: int = 32768, slots: int = 1) -> tuple[FitChange, ...]:
    return fit_changes(QWEN, placed(machine, context, slots), machine)


def test_what_a_change_writes_is_of_each_text_as_the_verdict_is() -> None:
    machine = machine_of_options(["RTX 4090"])
    now = placed(machine, 8192, slots=14)
    said = model_speed(now.shape, now.settings, machine, users=14).decode
    [kept] = [change for change in found(machine, 8192, slots=14) if change.what == "keep keys and values as q4_0"]
    assert kept.decode.mid == pytest.approx(said.mid, rel=0.25)  # of one text alone eight times as much


def test_whoever_has_a_chip_whose_memory_is_the_machines_is_offered_no_card_for_it() -> None:
    [other] = [change for change in found(machine_of_options(["M2 16GB"])) if not change.same_machine]
    assert other.what.startswith("use a machine with a card of 24 GB")
    assert other.gives_up == "another machine"


def test_the_terms_are_all_that_is_needed_on_several_cards_too() -> None:
    for cards in ("RTX 4090", "RTX 3090, RTX 3060 12GB"):
        two = placed(machine_of_options([cards]))
        assert two.checks[0].needed == two.memory.total("device")
    assert two.memory.bytes_of("further cards").mid > 250 * 2**20


def test_a_model_trained_for_less_than_any_usual_context_has_a_table_of_that() -> None:
    assert table_contexts(models.tinyllama(), ()) == (2048,)


@pytest.mark.parametrize(
    ("needed", "room", "verdict"),
    [
        (exact(5), 5, "fits"), (exact(6), 5, "no"), (between(3, 4, 6, ""), 5, "tight"), (between(3, 5, 6, ""), 4, "no"),
        (unknown("x"), 5, "unknown"),
    ],
)  # fmt: skip
def test_a_range_fits_only_if_all_of_it_does(needed: object, room: int, verdict: str) -> None:
    assert CapacityCheck(where="card", needed=needed, room=room, certain=room).verdict == verdict  # type: ignore[arg-type]


def test_qwen3_30b_in_four_bits_fits_a_card_of_24_gb_at_32k_and_not_one_of_16() -> None:
    at_24 = placed(machine_of_options(["RTX 4090"]))
    assert at_24.verdict == "fits"
    assert 20.0 < at_24.checks[0].needed.mid / GIB < 21.0  # 17.1 of weights, 3.0 of keys and values, buffers
    assert placed(machine_of_options(["RTX 5080"])).verdict == "no"


def test_what_a_card_gives_in_the_best_case_alone_is_not_enough_to_fit() -> None:
    assert CapacityCheck(where="card", needed=exact(10), room=10, certain=9).verdict == "tight"
    assert CapacityCheck(where="card", needed=exact(9), room=10, certain=9).verdict == "fits"
    (t4,) = machine_of_options(("T4",)).gpus
    assert certain_memory(machine_of_options(("T4",))) < 14_814 * 2**20 < t4.memory
    measured = replace(machine_of_options(("T4",)), gpus=(replace(t4, free=t4.memory),))
    assert certain_memory(measured) == t4.memory


def test_memory_beside_a_card_has_to_have_room_too() -> None:
    machine = machine_of_options(["RTX 3060 12GB"], "8GB")
    settings = ServingSettings(context=8192, gpu_layers=-1, host_experts=40)
    found = place_model(models.qwen3_30b_a3b(), settings, machine)
    assert [check.where for check in found.checks] == ["card", "memory"]
    assert found.checks[0].verdict == "fits"
    assert found.verdict == "no"
    assert found.deciding_check is not None
    assert found.deciding_check.where == "memory"


def test_a_chip_with_shared_memory_is_held_against_its_share_and_against_the_whole() -> None:
    card, memory = placed(machine_of_options(["M3"], "24GB"), context=8192).checks
    assert (card.room, memory.room) == (16 * GIB, 22 * GIB)
    assert memory.needed.mid > card.needed.mid  # the whole program is in it


def test_more_cards_take_more_than_one_of_their_memory_would() -> None:
    one, two = placed(machine_of_options(["24GB"])), placed(machine_of_options(["2x12GB"]))
    assert two.checks[0].room == one.checks[0].room
    assert two.checks[0].needed.mid > one.checks[0].needed.mid
    assert two.checks[0].where == "cards"


@pytest.mark.parametrize("gpu", ["RTX 3090", "RTX 5090", "RTX 5080"])
def test_the_largest_context_fits_and_one_step_more_does_not(gpu: str) -> None:
    machine = machine_of_options([gpu])
    for slots in (1, 3):
        asked = placed(machine, 1024, slots)
        most = largest_context(asked, machine)
        trained = asked.shape.context or 0
        if most:
            at_most = place_model(asked.shape, with_context(asked.settings, most), machine)
            assert at_most.verdict == "fits"
        if most < trained:
            more = place_model(asked.shape, with_context(asked.settings, most + 256), machine)
            assert more.verdict != "fits"


def test_the_largest_of_a_step_is_found() -> None:
    assert largest_fitting(1000, lambda count: count <= 700, 256) == 512
    assert largest_fitting(10, lambda count: True) == 10
    assert largest_fitting(10, lambda count: False) == 0


def test_contexts_of_the_table_end_where_training_ended() -> None:
    shape = models.qwen3_30b_a3b()
    assert table_contexts(shape, ()) == (4096, 8192, 16384, 32768)
    assert table_contexts(shape, (20000,)) == (4096, 8192, 16384, 20000, 32768)
    assert table_contexts(shape, (8192, 131072)) == (8192, 131072)


# ---- what would make it fit ------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gpus", "ram", "context", "slots"),
    [
        (["RTX 4090"], "64GB", 40960, 4), (["RTX 3060 12GB"], "32GB", 32768, 1), (["RTX 5080"], "", 32768, 2),
        ([], "16GB", 8192, 1), (["M3"], "16GB", 8192, 1), (["2x RTX 3060 8GB"], "64GB", 32768, 1),
    ],
)  # fmt: skip
def test_every_change_that_is_proposed_fits_and_the_cheapest_comes_first(
    gpus: list[str], ram: str, context: int, slots: int
) -> None:
    some = found(machine_of_options(gpus, ram), context, slots)
    assert some
    assert [change.cost for change in some] == sorted(change.cost for change in some)
    for change in some:
        assert change.needed.high <= change.room, change.what
        assert change.command.startswith("llama-server -hf Qwen/Qwen3-30B-A3B-GGUF:")
        assert change.gives_up


def test_a_cache_that_is_too_large_is_quantized_or_shortened_first() -> None:
    some = found(machine_of_options(["RTX 4090"]), 36864, 2)
    assert [change.what for change in some[:1]] == ["keep keys and values as q8_0"]
    assert "-ctk q8_0 -ctv q8_0 -fa on" in some[0].command
    assert any(change.what.startswith("use a context of") for change in some)
    assert any(change.what == "serve 1 text at once" for change in some)


def test_experts_go_to_memory_where_only_weights_are_too_large() -> None:
    some = {change.what.split(" of ")[0]: change for change in found(machine_of_options(["RTX 3060 12GB"], "32GB"))}
    change = some["keep the experts"]
    assert "--n-cpu-moe" in change.command
    assert "of its speed" in change.gives_up


def test_layers_stay_on_the_processor_of_a_model_without_experts() -> None:
    machine = machine_of_options(["RTX 5060"], "32GB")
    shape = models.deepseek_r1_14b()
    subject = ModelReference(reference="R1-14B-Q4_K_M.gguf", quantization="Q4_K_M")
    some = fit_changes(subject, place_model(shape, ServingSettings(context=8192, gpu_layers=-1), machine), machine)
    [change] = [change for change in some if change.what.startswith("put ")]
    layers = int(change.what.split()[1])
    assert 0 < layers < 48
    assert f"-ngl {layers}" in change.command
    assert any(change.what.startswith("take Q3_K_M") or change.what.startswith("take Q2_K") for change in some)
    assert any("R1-14B-Q2_K.gguf" in change.command or "R1-14B-Q3_K_M.gguf" in change.command for change in some)


def test_memory_that_was_not_stated_is_said_to_be_needed() -> None:
    some = [change for change in found(machine_of_options(["RTX 3060 12GB"])) if "--n-cpu-moe" in change.command]
    assert some
    assert "of which none was stated (--ram)" in some[0].gives_up


def test_another_card_is_the_last_resort_and_no_setting() -> None:
    some = found(machine_of_options([], "8GB"), 8192)
    assert not some[-1].same_machine
    assert some[-1].what.startswith("use a card of 24 GB")


# ---- quantizations ---------------------------------------------------------------------------------


def test_a_file_is_known_by_its_name_then_by_its_types() -> None:
    shape = models.qwen3_30b_a3b()
    assert quantization_of("Qwen3-30B-A3B-Q4_K_M.gguf", shape) == "Q4_K_M"
    assert quantization_of("model-iq4_xs-00001-of-00002.gguf", shape) == "IQ4_XS"
    assert quantization_of("model.gguf", shape) == "Q4_K"
    assert quantization_of("BF16ish.gguf", replace(shape, types=())) == ""


def test_another_quantization_is_estimated_near_what_such_a_file_weighs() -> None:
    """Files of Qwen3-30B-A3B on the hub: Q8_0 32.5 GB, Q5_K_M 21.7, Q3_K_M 14.7, Q2_K 11.3 (in 10^9 bytes)."""
    shape = models.qwen3_30b_a3b()
    assert average_bits(shape) == pytest.approx(4.86, abs=0.01)
    for name, published in (("Q8_0", 32.5e9), ("Q5_K_M", 21.7e9), ("Q3_K_M", 14.7e9), ("Q2_K", 11.3e9)):
        own = place_model(shape, ServingSettings(context=8192, gpu_layers=-1), machine_of_options(["H100"]))
        other = place_quantized(own, own.settings, machine_of_options(["H100"]), QUANTIZATIONS[name])
        weights = other.memory.bytes_of("weights")
        assert weights.certainty == "estimated"
        assert weights.low * 0.99 <= published <= weights.high * 1.01, name


def test_the_files_own_weights_are_exact() -> None:
    assert placed(machine_of_options(["H100"])).memory.bytes_of("weights").certainty == "exact"
    assert requantize(models.qwen3_30b_a3b(), QUANTIZATIONS["Q8_0"]).weights > models.qwen3_30b_a3b().weights


def test_an_unknown_quantization_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="Q4_K_M"):
        quantization("Q4_KM")


def test_a_command_has_what_was_asked_for() -> None:
    subject = ModelReference(
        reference="m.gguf", path="/models/my m.gguf", quantization="Q4_K_M", projector="p.gguf", draft="d.gguf"
    )
    words = server_command(subject, ServingSettings(context=8192, slots=2, ubatch=1024, type_k="q8_0", type_v="q8_0"))
    assert words.startswith("llama-server -m '/models/my m.gguf' -c 8192 -np 2 -ctk q8_0 -ctv q8_0 -fa on -ub 1024")
    assert words.endswith("--mmproj p.gguf -md d.gguf")
    url = ModelReference(reference="https://host/m-Q4_K_M.gguf", quantization="Q4_K_M")
    assert "-mu https://host/m-Q2_K.gguf" in server_command(url, ServingSettings(context=512), "Q2_K")


@pytest.mark.parametrize(
    ("name", "own", "siblings", "expected"),
    [
        ("/m/x-Q4_K_M.gguf", "Q4_K_M", (),
         "llama-quantize --allow-requantize /m/x-Q4_K_M.gguf /m/x-Q3_K_M.gguf Q3_K_M && llama-server -m "),
        ("/m/x-Q4_K_M.gguf", "Q4_K_M", ("x-Q3_K_M.gguf",), "llama-server -m /m/x-Q3_K_M.gguf "),
        ("/m/x-F16.gguf", "F16", (), "llama-quantize /m/x-F16.gguf /m/x-Q3_K_M.gguf Q3_K_M && "),
        ("/m/x-q8_0/X-Q8_0.gguf", "Q8_0", (),
         "llama-quantize --allow-requantize /m/x-q8_0/X-Q8_0.gguf /m/x-q8_0/X-Q3_K_M.gguf Q3_K_M && llama-server -m "
         "/m/x-q8_0/X-Q3_K_M.gguf "),
        ("/m/q8_0/X-Q8_0.gguf", "Q8_0", ("X-Q3_K_M.gguf",), "llama-server -m /m/q8_0/X-Q3_K_M.gguf "),
        ("/m/q8_0/x.gguf", "Q8_0", (),
         "llama-quantize --allow-requantize /m/q8_0/x.gguf /m/q8_0/x-Q3_K_M.gguf Q3_K_M && "),
        ("/m/x.gguf", "Q8_0", (), "llama-quantize --allow-requantize /m/x.gguf /m/x-Q3_K_M.gguf Q3_K_M && "),
    ],
)  # fmt: skip
def test_a_file_in_another_quantization_is_made_before_it_is_run_unless_it_is_there(
    name: str, own: str, siblings: tuple[str, ...], expected: str
) -> None:
    subject = ModelReference(reference=name, path=name, quantization=own, siblings=siblings)
    assert server_command(subject, ServingSettings(context=512), "Q3_K_M").startswith(expected)
    assert server_command(subject, ServingSettings(context=512)).startswith(f"llama-server -m {name} ")
