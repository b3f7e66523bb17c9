"""Files that a plugin converts: in the sandboxed worker, by the ending of their names, and what fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.installed_plugin import Finished, PluginPython, build_wheel, wheel_of
from tests.unit.plugins.conftest import EXAMPLE

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.config import config_file
from intermodal.testing import FakeHost

CALENDAR = (
    "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;TZID=Europe/Berlin:20261201T090000\r\nSUMMARY:Dentist\r\n"
    "END:VEVENT\r\nBEGIN:VEVENT\r\nDTSTART:20261202T120000Z\r\nSUMMARY:Lunch\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
MODEL = ("-m", "acme/talker")


@pytest.fixture
def fake() -> Iterator[FakeHost]:
    with FakeHost(answer="Noted.") as made:
        talker = ServedRow(id="acme/talker", context=8192, input_mtok=1.0, output_mtok=2.0)
        config_file.add_host(os.environ, HostRow(id="box", base_url=made.base_url, models=(talker,)))
        yield made


def asked(python: PluginPython, fake: FakeHost, file: Path, *options: str) -> tuple[Finished, str]:
    fake.attempts.clear()
    done = python.intermodal("ask", "What is there?", str(file), *MODEL, *options)
    return done, str(fake.attempts[0].body) if fake.attempts else ""


def install(python: PluginPython, code: str, ending: str = "blob", package: str = "intermodal-blob") -> None:
    module = package.replace("-", "_")
    points = {"intermodal.converters": {ending: f"{module}:convert"}}
    python.install(build_wheel(package, "2.0", {f"{module}.py": code}, points, python.folder))


def test_a_file_of_an_installed_converter_is_planned_and_asked_about_as_its_text_and_as_it_is_once_uninstalled(
    python: PluginPython, fake: FakeHost
) -> None:
    file = python.folder / "week.ics"
    file.write_text(CALENDAR)
    python.install(wheel_of(EXAMPLE, python.folder))
    plan = python.intermodal("explain", "What is there?", str(file), *MODEL)
    assert plan.code == 0 and "converted by intermodal-example 0.1" in plan.out, plan
    done, sent = asked(python, fake, file)
    assert done.code == 0 and done.out == "Noted.\n", done.err
    assert "Appointments of week.ics:" in sent and "- 20261201T090000 Dentist" in sent and "VEVENT" not in sent
    python.uninstall("intermodal-example")
    done, sent = asked(python, fake, file)
    assert done.code == 0 and "BEGIN:VEVENT" in sent and "Appointments of" not in sent


def test_a_converter_takes_bytes_that_intermodal_refuses_and_archives_but_no_picture_by_another_name(
    python: PluginPython, fake: FakeHost, media: Path
) -> None:
    install(python, "def convert(data, name):\n    return f'{len(data)} bytes of {name}'\n")
    for data in (b"\x00\x01\x02\x03binary", b"7z\xbc\xaf\x27\x1c rest", b"\xe9\xe8 latin-1", b"PK\x03\x04" + bytes(60)):
        file = python.folder / "a.BLOB"
        file.write_bytes(data)
        done, sent = asked(python, fake, file)
        assert done.code == 0 and f"{len(data)} bytes of a.BLOB" in sent, (data, done.err)
    file.write_bytes((media / "screenshot-invoice.png").read_bytes())
    assert "bytes of a.BLOB" not in asked(python, fake, file)[1]
    file.write_bytes(b"")
    assert "is empty" in asked(python, fake, file)[0].err


def test_a_label_on_a_converted_file_holds_for_its_text_and_its_pictures(python: PluginPython, fake: FakeHost) -> None:
    picture = (
        "import base64\n"
        "from intermodal.plugins import ConvertedFile, EmbeddedFile\n"
        f"PNG = {(EXAMPLE.parent / 'media' / 'screenshot-invoice.png').read_bytes()!r}\n"
        "def convert(data, name):\n"
        "    return ConvertedFile(text='secret [image 1]', pictures=(EmbeddedFile(data=PNG),))\n"
    )
    install(python, picture)
    config_file.add_host(
        os.environ,
        HostRow(id="box", base_url=fake.base_url, zone="internet", models=(
            ServedRow(id="acme/talker", context=8192, input_mtok=1.0, output_mtok=2.0),)),
    )  # fmt: skip
    file = python.folder / "a.blob"
    file.write_bytes(b"\x00\x01")
    for label in ("a.blob", "document", "text"):
        done, sent = asked(python, fake, file, "--private", label)
        assert done.code == 4 and sent == "", (label, done)
    document = python.intermodal("explain", "What?", str(file), "--json", *MODEL).document
    assert "a.blob, image 1" in str(document)


FAILING = {
    "from elsewhere import nothing": "cannot be loaded (ModuleNotFoundError: No module named 'elsewhere')",
    "convert = 3": "is int, not a function",
    "def convert(data, name): return 1 / 0": "intermodal-blob 2.0 failed (ZeroDivisionError)",
    "def convert(data, name): return data": "intermodal-blob 2.0 returned bytes, neither text nor a ConvertedFile",
    "def convert(data, name): return open('/etc/hostname').read()": "opened a file or a socket",
    "def convert(data, name): import colorsys": "imported a module, while it converted",
    "import socket\ndef convert(data, name): socket.socket()": "opened a file or a socket",
    "import os\ndef convert(data, name): os._exit(3)": "cannot be decoded",
    "def convert(data, name): return 'x' * 9_000_000": "holds 9,000,000 characters",
}


def test_a_converter_that_fails_is_an_error_of_its_file_alone(python: PluginPython, fake: FakeHost) -> None:
    files = {f"blob_{number}.py": code for number, code in enumerate(FAILING)}
    points = {"intermodal.converters": {f"blob{number}": f"blob_{number}:convert" for number in range(len(FAILING))}}
    python.install(build_wheel("intermodal-blob", "2.0", files, points, python.folder))
    calls = []
    for number in range(len(FAILING)):
        file = python.folder / f"a.blob{number}"
        file.write_bytes(b"\x00\x01")
        calls.append(f"client.ask('What?', {str(file)!r}, model='acme/talker')")
    (python.folder / "b.txt").write_text("plain words")
    calls.append(f"client.ask('What?', {str(python.folder / 'b.txt')!r}, model='acme/talker')")
    *failures, other = python.failures("\n".join(calls))
    for said, problem in zip(failures, FAILING.values(), strict=True):
        assert problem in said and said.startswith(("Input", "NotInstalled")), said
    assert other == "Noted." and len(fake.attempts) == 1


def test_the_list_of_plugins_tells_converters_that_cannot_be_imported_and_endings_that_are_taken(
    python: PluginPython,
) -> None:
    install(python, "from elsewhere import nothing")
    install(python, "def convert(data, name): return ''", ending="pdf", package="intermodal-pdf")
    install(python, "def convert(data, name): return ''", ending="ifc", package="intermodal-ifc")
    problems = {each["name"]: each["problem"] for each in python.intermodal("plugins", "--json").document["plugins"]}
    assert problems.pop("ifc") == ""
    assert problems == {
        "blob": "cannot be loaded (ModuleNotFoundError: No module named 'elsewhere')",
        "pdf": "its name is one of intermodal's own",
    }
