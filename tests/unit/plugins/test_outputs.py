"""Outputs of plugins: asked for as JSON, written in another format, on the command line and in Python."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator

import pytest
from tests.installed_plugin import PluginPython, build_wheel, wheel_of
from tests.unit.plugins.conftest import EXAMPLE

import intermodal
from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.config import config_file
from intermodal.errors import NotInstalled, OutputInvalid, UsageError
from intermodal.testing import FakeHost

EVENT = {"start": "20261201T090000", "title": "Dentist"}
ICS = (
    "BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nDTSTART:20261201T090000\nSUMMARY:Dentist\nEND:VEVENT\nEND:VCALENDAR\n"
)
ASK = ("When is the dentist?", "--output", "ics", "-m", "acme/talker")


@pytest.fixture
def fake() -> Iterator[FakeHost]:
    with FakeHost(answer=json.dumps(EVENT)) as made:
        talker = ServedRow(id="acme/talker", context=8192, input_mtok=1.0, output_mtok=2.0)
        row = HostRow(id="box", base_url=made.base_url, forced_json=True, models=(talker,))
        config_file.add_host(os.environ, row)
        yield made


def test_an_installed_output_is_planned_asked_for_and_written_and_unknown_once_uninstalled(
    python: PluginPython, fake: FakeHost
) -> None:
    python.install(wheel_of(EXAMPLE, python.folder))
    plan = python.intermodal("explain", *ASK)
    assert "Generate  box:acme/talker" in plan.out and "JSON" in plan.out and fake.attempts == [], plan
    assert python.intermodal("ask", "-q", *ASK) == (0, ICS, "")
    assert "DTSTART" not in str(fake.attempts[0].body) and "start" in str(fake.attempts[0].body)
    document = python.intermodal("ask", *ASK, "--json").document
    assert (document["rendered"], document["data"]) == (ICS.rstrip("\n"), EVENT)
    code = "import intermodal; print(intermodal.ask('When?', model='acme/talker', output='ics').value)"
    assert python.run("-c", code) == (0, ICS, "")
    clash = python.intermodal("ask", *ASK, "--labels", "a,b")
    assert clash.code == 2 and "--labels asks for scores, the rest for ics" in clash.err
    python.uninstall("intermodal-example")
    gone = python.intermodal("ask", "-q", *ASK)
    assert gone.code == 2 and "ics" in gone.err and gone.out == ""


HERE = """
from intermodal import plugins
class PLUGIN:
    output = {output}
    @staticmethod
    def render(result):
        {render}
"""


@pytest.mark.slow
def test_an_output_that_fails_is_an_error_that_names_the_package_and_keeps_other_outputs(
    put_on_path: Callable[..., None], fake: FakeHost
) -> None:
    bad = HERE.format(output="plugins.TextOutput()", render="return result.data['nothing']")
    put_on_path("intermodal.outputs", "bad", bad, package="intermodal-bad")
    odd = HERE.format(output="plugins.TextOutput()", render="return 3")
    put_on_path("intermodal.outputs", "odd", odd, package="intermodal-odd")
    with pytest.raises(OutputInvalid, match=r"written as bad: the plugin intermodal-bad 3\.1 failed \(TypeError\)"):
        intermodal.ask("When?", model="acme/talker", output="bad")
    with pytest.raises(OutputInvalid, match=r"the plugin intermodal-odd 3\.1 returned int, not text"):
        intermodal.ask("When?", model="acme/talker", output="odd")
    assert intermodal.ask("When?", model="acme/talker").text == json.dumps(EVENT)
    with pytest.raises(UsageError, match=r"'nothing' is not an output; give one of TextOutput, .*, 'bad', 'odd'"):
        intermodal.ask("When?", output="nothing")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import nothing_like_it", "cannot be loaded (ModuleNotFoundError"),
        ("class PLUGIN: output = None", "has no render"),
        (HERE.format(output="'json'", render="pass"), "asks for str, which is no output"),
        (
            HERE.format(output="plugins.JsonOutput(schema={'type': 3})", render="pass"),
            "has a schema that cannot be used",
        ),
    ],
)
def test_an_output_that_cannot_be_used_is_an_error_of_the_request_that_names_it_before_anything_is_sent(
    put_on_path: Callable[..., None], fake: FakeHost, code: str, problem: str
) -> None:
    put_on_path("intermodal.outputs", "mine", code, package=f"intermodal-out-{abs(hash(code))}")
    with pytest.raises(NotInstalled) as caught:
        intermodal.ask("When?", model="acme/talker", output="mine")
    assert problem in str(caught.value) and "pip uninstall intermodal-out-" in str(caught.value)
    assert fake.attempts == []
    assert intermodal.ask("When?", model="acme/talker").text == json.dumps(EVENT)


def test_an_output_with_a_built_in_name_is_reported(python: PluginPython) -> None:
    files = {"mine.py": HERE.format(output="plugins.TextOutput()", render="return ''")}
    points = {"intermodal.outputs": {"json": "mine:PLUGIN"}}
    python.install(build_wheel("intermodal-mine", "2.0", files, points, python.folder))
    (found,) = python.intermodal("plugins", "--json").document["plugins"]
    assert found["problem"] == "its name is one of intermodal's own"
