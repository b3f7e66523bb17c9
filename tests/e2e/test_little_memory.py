"""A local model where there is memory for a part of its context only: it is offered, and runs, with that."""

from __future__ import annotations

import re

import msgspec
import pytest
from tests.e2e.servers import weights_of

from intermodal import Client, errors
from intermodal.local.hardware import machine
from intermodal.plans.machine import Machine

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
MODEL = "embedded:huggingfacetb/smollm2-135m-instruct"
WHOLE = 8192
_SNAPSHOT = machine.machine_snapshot


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """MiB that are free, which a test may change."""
    left = [300]

    def snapshot(loaded: tuple[str, ...] = ()) -> Machine:
        return msgspec.structs.replace(_SNAPSHOT(loaded), free=left[0] << 20)

    weights_of("smollm2-135m-instruct")
    monkeypatch.setattr(machine, "machine_snapshot", snapshot)
    return left


def context(plan: str) -> int:
    """The context that the model of a plan runs with: all of it where EXPLAIN says nothing of it."""
    found = re.search(r"runs with a context of ([\d,]+) tokens: with 8,192 it needs", " ".join(plan.split()))
    return int(found[1].replace(",", "")) if found else WHOLE


def test_a_model_runs_with_a_context_that_fits_the_memory(free: list[int]) -> None:
    with Client() as client:
        assert 512 <= context(client.explain("Say hello.", model=MODEL)) < WHOLE
        answer = client.ask("Say hello.", model=MODEL, max_tokens=4)
        assert answer.text.strip()


def test_less_memory_means_less_context_and_enough_means_all_of_it(free: list[int]) -> None:
    contexts = []
    for free[0] in (360, 330, 300, 270, 4096):
        with Client() as client:
            contexts.append(context(client.explain("Say hello.", model=MODEL)))
    assert contexts[:4] == sorted(contexts[:4], reverse=True) and len(set(contexts[:4])) == 4
    assert contexts[4] == WHOLE


def test_a_text_that_is_too_long_for_what_is_left_is_refused_with_both_reasons(free: list[int]) -> None:
    free[0] = 270
    with Client() as client, pytest.raises(errors.NoRoute) as refused:
        client.explain("word " * 6000, model=MODEL)
    assert "holds" in str(refused.value)
    assert re.search(r"with 8,192 it needs [\d.]+ [MG]iB of memory, and [\d.]+ [MG]iB are free", str(refused.value))


def test_a_model_larger_than_the_memory_is_refused_with_both_numbers(free: list[int]) -> None:
    free[0] = 100
    with Client() as client, pytest.raises(errors.NoRoute) as refused:
        client.explain("Say hello.", model=MODEL)
    assert re.search(r"needs [\d.]+ GiB of memory, and [\d.]+ GiB are free", str(refused.value))
