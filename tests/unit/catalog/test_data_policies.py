"""What hosts and licences permit is stated with its page and the day it was read; what nobody states stays unknown."""

from __future__ import annotations

from datetime import date

import pytest

from intermodal.catalog.load import find_host
from intermodal.catalog.shipped_rows import DataPolicy, data_policies, describe_data_policy
from intermodal.catalog.snapshot.interpretation import licence_of, licence_rules


@pytest.mark.parametrize("said", data_policies().values(), ids=list(data_policies()))
def test_each_host_states_something_with_its_page_and_the_day_it_was_read(said: DataPolicy) -> None:
    assert said.regions or said.trains is not None or said.retention_days is not None
    assert said.source.startswith("https://") and date(2026, 11, 1) <= date.fromisoformat(said.checked)
    assert not said.dated or date.fromisoformat(said.dated) <= date.fromisoformat(said.checked)
    row = find_host(said.host)
    assert row is not None, "nobody could call it"
    host = row.host()
    assert (host.regions, host.trains, host.retention_days) == (said.regions, said.trains, said.retention_days)
    assert said.source in describe_data_policy(host) and f"read {said.checked}" in describe_data_policy(host)


@pytest.mark.parametrize("name", ["openrouter", "nvidia", "novita-ai", "nebius"])
def test_of_a_host_that_states_nothing_nothing_is_known(name: str) -> None:
    row = find_host(name)
    assert row is not None
    host = row.host()
    assert (host.regions, host.trains, host.retention_days) == ((), None, None) and describe_data_policy(host) == ""


@pytest.mark.parametrize(
    ("model", "permits"),
    [
        ("deepseek/deepseek-v3", "conditions"),
        ("deepseek/deepseek-v3-0324", "commercial"),
        ("deepseek/deepseek-v3.2-exp", "commercial"),
        ("deepseek/deepseek-r1-0528", "commercial"),
        ("deepseek/deepseek-r1-distill-llama-70b:free", "conditions"),
        ("minimax/minimax-m2.5", "conditions"),
        ("moonshotai/kimi-k2.5", "conditions"),
        ("bfl/flux_1-schnell", "commercial"),
        ("fireworks-ai/stable-diffusion-xl-1024-v1-0", "conditions"),
        ("zai/glm-4.6", "commercial"),
    ],
)
def test_a_licence_of_a_family_permits_what_its_own_page_says(model: str, permits: str) -> None:
    found = licence_of(model)
    assert found is not None and found.permits == permits


@pytest.mark.parametrize("model", ["zai/glm-5.3", "minimax/minimax-m3", "xiaomi/mimo-v2.5", "allenai/molmo-7b-d:free"])
def test_a_licence_that_nobody_read_is_not_known(model: str) -> None:
    assert licence_of(model) is None


def test_licences_name_their_page_and_a_day_only_where_it_was_read() -> None:
    for _, row in licence_rules():
        assert row.source.startswith("https://"), row.match
        assert not row.checked or date(2026, 11, 1) <= date.fromisoformat(row.checked), row.match
    assert sum(bool(row.checked) for _, row in licence_rules()) >= 18
