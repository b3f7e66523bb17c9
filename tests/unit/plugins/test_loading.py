"""Plugins cost nothing before they are used: which modules are imported, and when."""

from __future__ import annotations

import os
from pathlib import Path

from tests.installed_plugin import PluginPython, build_wheel, wheel_of
from tests.unit.plugins.conftest import EXAMPLE

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.config import config_file
from intermodal.testing import FakeHost

MARKING = "import pathlib\npathlib.Path({log!r}).open('a').write('{kind} ')\n"
KINDS = {
    "intermodal.protocols": "marked", "intermodal.converters": "marked", "intermodal.runtimes": "marked-too",
    "intermodal.prompts": "marked", "intermodal.outputs": "marked",
}  # fmt: skip


def test_a_request_imports_no_plugin_that_it_does_not_use(python: PluginPython, media: Path) -> None:
    log = python.folder / "imported"
    files, points = {}, {}
    for number, (group, name) in enumerate(KINDS.items()):
        files[f"marked_{number}.py"] = MARKING.format(log=str(log), kind=group)
        points[group] = {name: f"marked_{number}:THING"}
    python.install(build_wheel("intermodal-marked", "1.0", files, points, python.folder))
    with FakeHost(answer="Four.") as fake:
        talker = ServedRow(id="acme/talker", context=8192, input_mtok=1.0, output_mtok=2.0)
        config_file.add_host(os.environ, HostRow(id="box", base_url=fake.base_url, models=(talker,)))
        done = python.intermodal("ask", "-q", "How many?", str(media / "report.pdf"), "-m", "acme/talker")
        assert (done.code, done.out, done.err) == (0, "Four.\n", "")
    for verb in (("models",), ("hosts",), ("--version",)):
        done = python.intermodal(*verb)
        assert done.code == 0 and "warning" not in done.err, done
    assert not log.exists()
    states = {each["kind"]: each["problem"] for each in python.intermodal("plugins", "--json").document["plugins"]}
    assert len(states) == 5 and all("cannot be loaded" in problem for problem in states.values())
    assert set(log.read_text().split()) >= {*KINDS} - {"intermodal.converters"}, (
        "where it may write, one says that it ran"
    )


def test_importing_intermodal_looks_for_no_plugin_and_a_plan_without_plugins_reads_no_metadata(
    python: PluginPython,
) -> None:
    seen = "import sys, intermodal; print([m for m in sys.modules if 'plugin' in m or m == 'importlib.metadata'])"
    assert python.run("-c", seen).out == "[]\n"
    plan = (
        "import sys, intermodal; intermodal.Client().models(); "
        "print('intermodal.core.plugin_registry' in sys.modules, 'importlib.metadata' in sys.modules)"
    )
    assert python.run("-c", plan).out == "True False\n"


def test_the_example_package_provides_one_thing_of_five_kinds_that_can_be_used(python: PluginPython) -> None:
    python.install(wheel_of(EXAMPLE, python.folder), pip=True)
    listed = python.intermodal("plugins", "--json").document["plugins"]
    assert {each["kind"] for each in listed} == {"host", "protocol", "converter", "prompt format", "output"}
    assert {(each["package"], each["version"], each["problem"]) for each in listed} == {
        ("intermodal-example", "0.1", "")
    }
