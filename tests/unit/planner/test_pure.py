"""Planning reads nothing but its arguments."""

from __future__ import annotations

import builtins
import os
import random
import socket
import time
from typing import Any, NoReturn

import pytest
from tests.plans import runner

from intermodal.planner import not_chosen_reasons, plan
from intermodal.plans.explain import explain_all


def test_a_plan_is_made_without_clock_environment_files_network_or_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    described, _ = runner.parse(runner.FOLDER / "call_and_invoice.case")
    inputs = runner.inputs_of(described)
    plan(inputs.request, inputs.facts, inputs.catalog, inputs.machine, inputs.statistics, inputs.as_of)  # imports done
    fresh = runner.inputs_of(described)

    def refuse(*args: Any, **options: Any) -> NoReturn:
        raise AssertionError("planning must not reach outside its arguments")

    class NoEnvironment(dict[str, str]):
        __getitem__ = get = __contains__ = __iter__ = refuse  # type: ignore[assignment]

    with monkeypatch.context() as patched:
        for name in ("time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "sleep"):
            patched.setattr(time, name, refuse)
        patched.setattr(os, "environ", NoEnvironment())
        patched.setattr(os, "getenv", refuse)
        patched.setattr(os, "urandom", refuse)
        patched.setattr(random, "random", refuse)
        patched.setattr(builtins, "open", refuse)
        patched.setattr(os, "open", refuse)
        patched.setattr(socket, "socket", refuse)
        patched.setattr(socket, "getaddrinfo", refuse)
        made = plan(fresh.request, fresh.facts, fresh.catalog, fresh.machine, fresh.statistics, fresh.as_of)
        text = explain_all(made)
        answer = not_chosen_reasons(fresh, "smollm2")
    assert made.chosen.endpoint == "desk:qwen/qwen3-8b"
    assert "Transcribe" in text and "rejected (floor)" in answer
