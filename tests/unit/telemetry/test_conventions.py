"""Names, units and buckets are those of the published signals, and not what somebody remembers of them."""

from __future__ import annotations

import ast
import re
from importlib import import_module, util
from pathlib import Path
from typing import Any

import pytest

from intermodal.telemetry import signals

PACKAGE = Path(util.find_spec("intermodal").submodule_search_locations[0])  # type: ignore[union-attr, index]
PUBLISHED = ("gen_ai", "http", "url", "server", "error", "network")


def _published_attributes() -> set[str]:
    """Of the package that OpenTelemetry generates from its conventions."""
    found = set[str]()
    for group in PUBLISHED:
        for home in ("opentelemetry.semconv._incubating.attributes", "opentelemetry.semconv.attributes"):
            if util.find_spec(f"{home}.{group}_attributes") is not None:
                module = import_module(f"{home}.{group}_attributes")
                found |= {value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}
    return found


def _said() -> set[str]:
    """Every word in the code of the package that looks like a name of these conventions."""
    looks = re.compile(rf"({'|'.join(PUBLISHED)})\.[a-z_.]+")
    found = set[str]()
    for path in sorted((PACKAGE / "telemetry").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and looks.fullmatch(node.value):
                found.add(node.value)
    return found


def test_every_attribute_is_a_published_one() -> None:
    measures = {measure.name for measure in signals.MEASURES}
    said = _said() - measures
    assert len(said) > 15, "the conventions' names are somewhere else now"
    assert not said - _published_attributes()


def _instruments(group: str) -> dict[str, tuple[str, str]]:
    """Name -> unit, description, as published."""
    made: dict[str, tuple[str, str]] = {}

    class Meter:
        def create_histogram(self, name: str, description: str = "", unit: str = "") -> None:
            made[name] = (unit, description)

        create_counter = create_up_down_counter = create_histogram

    module: Any = import_module(f"opentelemetry.semconv._incubating.metrics.{group}_metrics")
    for name, value in vars(module).items():
        if name.startswith("create_gen_ai") or name == "create_http_server_request_duration":
            value(Meter())
    return made


def test_every_measure_is_a_published_one_with_its_unit() -> None:
    if util.find_spec("opentelemetry.semconv._incubating.metrics.http_metrics") is None:
        pytest.skip("this version of the conventions' package has no metrics")
    published = _instruments("gen_ai") | _instruments("http")
    for measure in signals.MEASURES:
        assert published.get(measure.name) == (measure.unit, measure.about), measure.name


@pytest.mark.parametrize(("ours", "enum"), [(signals.OPERATIONS, "GenAiOperationNameValues"),
                                            (signals.PROVIDERS, "GenAiProviderNameValues"),
                                            (signals.OUTPUTS, "GenAiOutputTypeValues")])  # fmt: skip
def test_what_is_called_otherwise_is_called_as_published(ours: dict[str, str], enum: str) -> None:
    module: Any = import_module("opentelemetry.semconv._incubating.attributes.gen_ai_attributes")
    published = {each.value for each in getattr(module, enum)}
    assert set(ours.values()) <= published


def test_hosts_that_the_conventions_know_go_by_their_names() -> None:
    """A host of ours whose name is nearly one of theirs is in the table."""
    from intermodal.catalog.shipped_rows import known_hosts

    module: Any = import_module("opentelemetry.semconv._incubating.attributes.gen_ai_attributes")
    published = {each.value for each in module.GenAiProviderNameValues}
    for host in known_hosts():
        said = signals.PROVIDERS.get(host.id, host.id)
        near = {name for name in published if name.replace("_", "").replace("ai", "") == host.id.replace("ai", "")}
        assert said in published or not near, (host.id, near)
