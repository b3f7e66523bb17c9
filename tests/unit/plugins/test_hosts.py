"""Hosts of plugins: listed, asked after consent, gone when the package is; rows that cannot be used."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.installed_plugin import PluginPython, build_wheel, wheel_of
from tests.unit.plugins.conftest import EXAMPLE

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.config import config_file
from intermodal.testing import FakeHost

ASK = ("ask", "-q", "How many?", "-m", "shop:acme/writer-8b")
SHOP = """
HOST = {
    "base_url": "https://api.example.com/v1", "key_env": "SHOP_API_KEY",
    "models": [{"id": "acme/writer-8b", "context": 8192, "input_mtok": 0.05, "output_mtok": 0.2}],
}
"""


@pytest.fixture
def fake() -> Iterator[FakeHost]:
    with FakeHost(answer="Four.") as made:
        yield made


def install_row(
    python: PluginPython, row: str, *, name: str = "broken", package: str = "intermodal-broken", pip: bool = False
) -> None:
    module = package.replace("-", "_")
    files = {f"{module}.py": row}
    points = {"intermodal.hosts": {name: f"{module}:HOST"}}
    python.install(build_wheel(package, "2.0", files, points, python.folder), pip=pip)


def test_an_installed_host_is_listed_planned_and_asked_after_consent_and_gone_once_uninstalled(
    python: PluginPython, fake: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "shop" not in python.intermodal("hosts").out
    install_row(python, SHOP, name="shop", package="intermodal-shop", pip=True)
    listed = {row["host"]: row for row in python.intermodal("hosts", "--json").document["hosts"]}
    assert listed["shop"]["base_url"] == "https://api.example.com/v1" and not listed["shop"]["allowed"]
    refused = python.intermodal(*ASK)
    assert refused.code == 4 and "no consent for host shop" in refused.err
    assert python.intermodal("hosts", "add", "shop", "--yes").code == 0
    unset = python.intermodal(*ASK)
    assert unset.code == 4 and "SHOP_API_KEY is not set" in unset.err
    config_file.add_host(os.environ, HostRow(id="shop", base_url=fake.base_url))
    monkeypatch.setenv("SHOP_API_KEY", "sk-shop")
    plan = python.intermodal("explain", *ASK[2:])
    assert plan.code == 0 and "Generate  shop:acme/writer-8b" in plan.out, plan.err
    assert fake.attempts == []
    assert python.intermodal(*ASK) == (0, "Four.\n", "")
    assert len(fake.attempts) == 1
    python.uninstall("intermodal-shop", pip=True)
    gone = python.intermodal(*ASK)
    assert gone.code == 2 and "acme/writer-8b" in gone.err


BROKEN = {
    "openai": ("HOST = {}", "its name is one of intermodal's own"),
    "wandb": ("HOST = {'base_url': 'https://a.b/v1'}", "a hosted service has that name"),
    "prompt": ("HOST = {'base_url': 'https://a.b/v1'}", "a host cannot be called 'prompt'"),
    "a": ("import no_such_module", "cannot be loaded (ModuleNotFoundError: No module named 'no_such_module')"),
    "b": ("raise SystemExit(3)", "cannot be loaded (SystemExit: 3)"),
    "c": ("OTHER = {}", "cannot be loaded (AttributeError"),
    "d": ("HOST = ['x']", "HOST is list, not a dict"),
    "e": ("HOST = {'base_ur': 'https://a.b/v1'}", "unknown key base_ur in [hosts.e]"),
    "f": ("HOST = {'name': 'x'}", "its row lacks base_url"),
    "g": ("HOST = {'base_url': 'ftp://a.b'}", "base_url must be an http or https address"),
    "h": ("HOST = {'base_url': 'https://a.b/v1', 'protocol': 'smoke'}", "wrong value in [hosts.h] at protocol"),
    "i": ("HOST = {'base_url': 'https://a.b/v1', 'zone': 'process'}", "sets protocol or zone"),
}


def test_a_host_that_cannot_be_used_is_one_warning_with_package_and_fix_and_stops_no_request(
    python: PluginPython, fake: FakeHost
) -> None:
    files = {f"broken_{name}.py": code for name, (code, _) in BROKEN.items()}
    points = {"intermodal.hosts": {name: f"broken_{name}:HOST" for name in BROKEN}}
    python.install(build_wheel("intermodal-broken", "2.0", files, points, python.folder))
    talker = ServedRow(id="acme/talker", context=8192, input_mtok=1.0, output_mtok=2.0)
    config_file.add_host(os.environ, HostRow(id="box", base_url=fake.base_url, models=(talker,)))
    done = python.intermodal("ask", "-q", "How many?", "-m", "box:acme/talker")
    assert (done.code, done.out) == (0, "Four.\n"), done.err
    warnings = [line for line in done.err.splitlines() if line.startswith("warning: ")]
    listed = python.intermodal("plugins", "--json")
    problems = {each["name"]: each["problem"] for each in listed.document["plugins"] if each["todo"]}
    assert len(warnings) == len(problems) == len(BROKEN) and listed.err == ""
    for name, (_, problem) in BROKEN.items():
        (warning,) = [line for line in warnings if f"host {name!r} of intermodal-broken 2.0 is not used: " in line]
        assert problem in warning and problem in problems[name]


def test_of_two_packages_with_a_host_of_one_name_the_first_by_name_is_used(python: PluginPython) -> None:
    for package, port in (("intermodal-b", 2), ("intermodal-a", 1)):
        install_row(python, f"HOST = {{'base_url': 'http://127.0.0.1:{port}/v1'}}", name="twin", package=package)
    hosts = {row["host"]: row["base_url"] for row in python.intermodal("hosts", "--json").document["hosts"]}
    assert hosts["twin"] == "http://127.0.0.1:1/v1"
    states = {row["package"]: row["problem"] for row in python.intermodal("plugins", "--json").document["plugins"]}
    assert states == {
        "intermodal-a": "",
        "intermodal-b": "intermodal-a 2.0 has that name too, and comes first",
    }


def test_doctor_lists_plugins_with_their_packages_and_versions(python: PluginPython) -> None:
    assert "no plugin is installed" in python.intermodal("plugins").out
    python.install(wheel_of(EXAMPLE, python.folder))
    findings = python.intermodal("doctor", "--json").document["findings"]
    found = {each["name"]: each for each in findings if each["area"] == "plugin"}
    assert found["host example"]["what"] == "intermodal-example 0.1" and found["host example"]["state"] == "ok"
    assert "intermodal-example 0.1" in python.intermodal("plugins").out
