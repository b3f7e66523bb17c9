"""Cards and machines by their names: one name means one row, and no laptop chip is taken for a desktop card."""

from __future__ import annotations

from collections import defaultdict

import pytest

from intermodal.core.quantity import exact
from intermodal.errors import UsageError
from intermodal.plans.machine import Gpu, Machine
from intermodal.sizing.machines import (
    GIB,
    accelerators,
    card_of_driver,
    complete_card_name,
    describe_machine,
    find_card,
    machine_of_options,
    parse_card_name,
    parse_memory,
    usable_memory,
    with_assumptions,
)

MIB = 1 << 20


@pytest.mark.parametrize(
    "words", ["RTX 4090", "RTX4090", "rtx 4090", "NVIDIA GeForce RTX 4090", "geforce-rtx-4090", "4090"]
)
def test_spellings_of_a_card_mean_the_same_row(words: str) -> None:
    row, memory = find_card(words)
    assert (row.title, row.form, memory) == ("NVIDIA GeForce RTX 4090", "desktop", 24 * GIB)
    assert row.bandwidth == pytest.approx(1008e9, rel=0.005)  # NVIDIA: 1,008 GB/s


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("RTX 4090 Laptop", "GeForce RTX 4090 Mobile"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "GeForce RTX 4090 Mobile"),
        ("RTX 4090 Max-Q", "GeForce RTX 4090 Max-Q"),
        ("RX 7900M", "Radeon RX 7900M"),
        ("Arc A770M", "Arc A770M"),
    ],
)
def test_a_laptop_chip_is_a_row_of_its_own(words: str, name: str) -> None:
    row, memory = find_card(words)
    assert (row.name, row.form) == (name, "laptop")
    assert memory == 16 * GIB


def test_no_name_of_a_laptop_chip_means_a_desktop_card_or_the_other_way_round() -> None:
    forms = defaultdict(set)
    for row in accelerators():
        forms[parse_card_name(row.name).key].add(row.form == "laptop")
    assert [key for key, some in forms.items() if len(some) > 1] == []


def test_every_row_is_found_by_its_own_name_and_memory() -> None:
    for row in accelerators():
        found, memory = find_card(f"{row.name} {row.memory[0] / GIB:g}GB")
        assert (parse_card_name(found.name).key, memory) == (parse_card_name(row.name).key, row.memory[0])


@pytest.mark.parametrize(
    ("words", "choices"),
    [
        ("RTX 3060", ('"RTX 3060 8GB"', '"RTX 3060 12GB"')),
        ("A100", ('"A100 40GB"', '"A100 80GB"')),
        ("RTX 4060 Ti", ('"RTX 4060 Ti 8GB"', '"RTX 4060 Ti 16GB"')),
        ("M4 Max", ('"M4 Max 36GB"', '"M4 Max 48GB"', '"M4 Max 64GB"', '"M4 Max 128GB"')),
    ],
)
def test_a_card_that_is_sold_with_different_memory_is_asked_back(words: str, choices: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as refused:
        find_card(words)
    assert all(choice in refused.value.todo for choice in choices)
    for choice in choices:
        find_card(choice.strip('"'))


def test_memory_decides_which_of_two_chips_is_meant() -> None:
    assert find_card("M4 Max 36GB")[0].bandwidth == 410e9
    assert find_card("M4 Max 64GB")[0].bandwidth == 546e9


@pytest.mark.parametrize(
    ("words", "near"), [
        ("RTX 4900", "RTX 4090"), ("H10", "H100"), ("RTX 4090 Ti", "RTX 3090 Ti"), ("M9", "Apple M5"),
        ("M9 Max", "Apple M5 Max"), ("apple", "Apple M5"),
    ],
)  # fmt: skip
def test_an_unknown_card_is_refused_with_the_nearest(words: str, near: str) -> None:
    with pytest.raises(UsageError, match=r"no graphics card is known as") as refused:
        find_card(words)
    assert near in refused.value.todo


@pytest.mark.parametrize("words", ["iGPU", "radeon 780m", "Iris Xe", "UHD 630", "Vega 8", "AMD Radeon 890M Graphics"])
def test_a_part_without_memory_of_its_own_is_asked_for_as_memory_and_not_as_another_card(words: str) -> None:
    with pytest.raises(UsageError) as refused:
        find_card(words)
    assert "--gpu none --ram" in refused.value.wording_for("command line").todo and "nearest" not in refused.value.todo


def test_every_name_that_a_shell_is_told_means_one_card_or_asks_for_its_memory_alone() -> None:
    for name in complete_card_name(""):
        try:
            find_card(name)
        except UsageError as refused:
            assert "sold with different memory" in str(refused), name
    assert "RTX-4090" in complete_card_name("rtx 40") and complete_card_name("rtx4090m") == (
        "RTX-4090-Max-Q",
        "RTX-4090-Mobile",
    )


def test_memory_that_a_card_does_not_come_with_is_refused_with_what_it_has() -> None:
    with pytest.raises(UsageError, match="has 8 GB, 12 GB, not 24 GB"):
        find_card("RTX 3060 24GB")


@pytest.mark.parametrize(
    ("name", "memory", "title"),
    [
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 16376, "NVIDIA GeForce RTX 4090 Mobile"),
        ("NVIDIA GeForce RTX 3060", 12288, "NVIDIA GeForce RTX 3060 12 GB"),
        ("NVIDIA H100 80GB HBM3", 81559, "NVIDIA H100 SXM5 80 GB"),
        ("NVIDIA A100-SXM4-80GB", 81920, "NVIDIA A100 SXM4 80 GB"),
        ("Tesla T4", 15360, "NVIDIA Tesla T4"),
        ("NVIDIA H200", 143771, "NVIDIA H200 SXM 141 GB"),
    ],
)
def test_what_a_driver_calls_a_card_is_its_row(name: str, memory: int, title: str) -> None:
    row = card_of_driver(name, memory * MIB)
    assert row is not None
    assert row.title == title


def test_a_card_with_other_memory_than_its_name_is_sold_with_has_no_row() -> None:
    assert card_of_driver("NVIDIA GeForce RTX 4090", 48 * GIB) is None


def test_no_row_is_faster_than_memory_of_its_day() -> None:
    """A slip of a factor of ten in the data would be a promise of ten times the speed."""
    for row in accelerators():
        assert 5e9 <= row.bandwidth <= 8.2e12, row
        assert row.compute < 3e15, row
        assert row.source, row


def test_several_cards_are_named_by_number_by_comma_and_by_repeating() -> None:
    assert [gpu.memory for gpu in machine_of_options(["2xH100"]).gpus] == [80 * GIB] * 2
    assert (
        len(machine_of_options(["2x RTX 3090, RTX 4090"]).gpus)
        == len(machine_of_options(["RTX 3090 x2", "RTX 4090"]).gpus)
        == 3
    )
    assert machine_of_options(["RX 7900 XTX"]).gpus[0].memory == 24 * GIB  # an "x" in a name is no number
    assert machine_of_options(["none"], "8GB").gpus == ()


def test_a_card_may_be_named_by_its_memory_alone_and_has_no_speed_then() -> None:
    [gpu] = machine_of_options(["24GB"]).gpus
    assert (gpu.memory, gpu.bandwidth) == (24 * GIB, 0)


@pytest.mark.parametrize("words", ["0xH100", "65xH100", "RTX 4090,", ",", "0GB"])
def test_an_invalid_card_is_refused(words: str) -> None:
    with pytest.raises(UsageError, match="^gpu: "):
        machine_of_options([words])


@pytest.mark.parametrize("words", ["64", "a lot", "64GB 3 pounds", "0GB", "64GB DDR5-5600 0ch", "-5GB"])
def test_an_invalid_amount_of_memory_is_refused(words: str) -> None:
    with pytest.raises(UsageError, match="^ram: "):
        parse_memory(words)


def test_memory_of_stated_speed_gives_what_its_channels_give() -> None:
    assert parse_memory("64GB DDR5-5600")[1] == exact(89.6e9, "2 channels of DDR5-5600, 90 GB/s")
    assert parse_memory("256GB DDR4-3200 8ch")[1].mid == 204.8e9
    assumed = parse_memory("64GB")[1]
    assert assumed.certainty == "estimated"
    assert assumed.low < 51.2e9 < 89.6e9 < assumed.high  # DDR4-3200 and DDR5-5600 are within


def test_memory_of_a_machine_with_a_card_is_unknown_unless_stated() -> None:
    assert machine_of_options(["RTX 4090"]).memory == 0
    assert "memory not stated" in describe_machine(machine_of_options(["RTX 4090"]))


def test_the_graphics_part_of_a_chip_gets_the_share_that_its_system_gives() -> None:
    assert usable_memory(16 * GIB, "metal") == 16 * GIB * 2 // 3
    assert usable_memory(64 * GIB, "metal") == 48 * GIB
    machine = machine_of_options(["M3"], "16GB")
    assert (machine.memory, machine.gpus[0].memory) == (16 * GIB, 16 * GIB * 2 // 3)
    assert machine.gpus[0].unified
    assert machine_of_options(["DGX Spark"]).gpus[0].memory == 128 * GIB


def test_what_is_free_of_a_chip_is_at_most_what_is_free_of_the_memory() -> None:
    gpu = Gpu(name="Apple M3", memory=10 * GIB, unified=True, bandwidth=100e9)
    assert with_assumptions(Machine(memory=16 * GIB, free=6 * GIB, gpus=(gpu,))).gpus[0].free == 6 * GIB
    card = Gpu(name="a card", memory=24 * GIB, free=20 * GIB)
    assert with_assumptions(Machine(memory=16 * GIB, free=6 * GIB, gpus=(card,))).gpus[0].free == 20 * GIB


def test_a_measured_bandwidth_is_taken_before_an_assumed_one() -> None:
    measured = exact(40e9, "measured")
    assert with_assumptions(Machine(), measured).bandwidth == measured
    assert "assumed" in with_assumptions(Machine()).bandwidth.basis
