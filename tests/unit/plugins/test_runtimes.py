"""Speech and text recognition of plugins: planned, run in a process of its own, cached by the package's version."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.installed_plugin import PluginPython, build_wheel

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.config import config_file
from intermodal.testing import FakeHost

HOST = """
HOST = {
    "protocol": "stub",
    "models": [
        {"id": "acme/ear", "tasks": ["automatic-speech-recognition"], "input": ["audio"], "tier": "frontier",
         "memory": [1e6, 2e6, 3e6], "speed": {"load": [0.1, 0.1, 0.2], "realtime_factor": [0.001, 0.002, 0.003]}},
        {"id": "acme/reader", "tasks": ["image-to-text"], "input": ["image"], "tier": "frontier",
         "memory": [1e6, 2e6, 3e6], "speed": {"load": [0.1, 0.1, 0.2], "megapixel": [0.01, 0.02, 0.03]}},
    ],
}
"""
WRITER = HOST.replace('["image-to-text"], "input": ["image"]', '["text-generation"]')
RUNTIME = """
import os, pathlib
from intermodal.plugins import ReadLine, Segment
def load(path):
    return "model"
def transcribe(model, pcm, language):
    with open({log!r}, "a") as log:
        log.write("transcribe " + str(os.environ.get("EXAMPLE_API_KEY")) + "\\n")
    yield Segment(start=0.0, end=1.0, text="ask not {word}")
    yield Segment(start=1.0, end=len(pcm) / 32000, text="what your country")
def read(model, png, language):
    table = ((0, 0, "Goods"), (0, 2, "Units"), (1, 0, "Cork"), (1, 1, "oak"), (1, 2, "87"))
    cells = [
        ReadLine(text=text, confidence=0.99, box=(10 + 90 * x, 60 + 30 * y, 90 + 90 * x, 80 + 30 * y), cell=(0, y, x))
        for y, x, text in table
    ]
    odd = ReadLine(text="no cell", confidence=0.99, box=(10, 200, 200, 220), cell=(1,))
    return [ReadLine(text="Invoice {word}", confidence=0.99, box=(10, 10, 200, 40)), *cells, odd]
"""
TRANSCRIPT = ("ask", "-q", "--output", "transcript", "-m", "stub:acme/ear")


def install(python: PluginPython, runtime: str, *, version: str = "2.0", host: str = HOST, name: str = "stub") -> None:
    files = {"stub_host.py": host, "stub_runtime.py": runtime}
    points = {"intermodal.hosts": {"stub": "stub_host:HOST"}, "intermodal.runtimes": {name: "stub_runtime"}}
    python.install(build_wheel("intermodal-stub", version, files, points, python.folder))


def code(python: PluginPython, word: str) -> str:
    return RUNTIME.format(log=str(python.folder / "log"), word=word)


def test_speech_is_heard_by_an_installed_runtime_and_again_only_after_an_update_of_its_package(
    python: PluginPython, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXAMPLE_API_KEY", "sk-example")
    speech = str(media / "jfk.wav")
    install(python, code(python, "one"))
    plan = python.intermodal("explain", "--output", "transcript", speech, "-m", "stub:acme/ear")
    assert "Transcribe  stub:acme/ear" in plan.out and not (python.folder / "log").exists(), plan
    for _ in range(2):
        done = python.intermodal(*TRANSCRIPT, speech)
        assert done.code == 0 and "ask not one what your country" in done.out, done
    assert (python.folder / "log").read_text() == "transcribe None\n", "once, and without a key"
    install(python, code(python, "two"), version="2.1")
    assert "ask not two" in python.intermodal(*TRANSCRIPT, speech).out
    python.uninstall("intermodal-stub")
    gone = python.intermodal(*TRANSCRIPT, speech)
    assert gone.code == 2 and "acme/ear" in gone.err


def test_a_picture_is_read_by_an_installed_runtime_for_a_model_that_cannot_see(
    python: PluginPython, media: Path
) -> None:
    install(python, code(python, "4711"))
    with FakeHost(answer="4711.") as fake:
        talker = ServedRow(id="acme/talker", context=8192, input_mtok=1.0, output_mtok=2.0)
        config_file.add_host(os.environ, HostRow(id="box", base_url=fake.base_url, models=(talker,)))
        asked = ("What is the number?", str(media / "screenshot-invoice.png"), "-m", "box:acme/talker")
        plan = python.intermodal("explain", *asked)
        assert "stub:acme/reader" in plan.out, plan
        done = python.intermodal("ask", *asked)
        assert done.out == "4711.\n", done
        assert "Invoice 4711\nGoods\t\tUnits\nCork\toak\t87\nno cell" in fake.attempts[0].text, "its table with it"


FAILING = {
    "import elsewhere": "cannot be loaded (ModuleNotFoundError: No module named 'elsewhere')",
    "def load(path): return 1 / 0\ndef transcribe(model, pcm, language): ...": "failed to load (ZeroDivisionError)",
    "def load(path): import elsewhere\ndef transcribe(model, pcm, language): ...": "failed to load (ModuleNotFoundErr",
    "def load(path): ...\ndef transcribe(model, pcm, language): return 3": "returned something else than Segments from",
    "def load(path): ...\ndef transcribe(model, pcm, language): yield 1 / 0": "failed to transcribe (ZeroDiv",
    "def load(path): ...": "has no transcribe",
}


def test_a_runtime_that_fails_is_an_error_with_its_package(python: PluginPython, media: Path) -> None:
    files = {f"stub_{number}.py": code for number, code in enumerate(FAILING)}
    names = [f"stub{number}" for number in range(len(FAILING))]
    for number, name in enumerate(names):
        files[f"host_{number}.py"] = HOST.replace('"stub"', f'"{name}"').replace("acme/ear", f"acme/ear{number}")
    points = {
        "intermodal.hosts": {name: f"host_{number}:HOST" for number, name in enumerate(names)},
        "intermodal.runtimes": {name: f"stub_{number}" for number, name in enumerate(names)},
    }
    python.install(build_wheel("intermodal-stub", "2.0", files, points, python.folder))
    speech = str(media / "jfk.wav")
    calls = [
        f"client.ask('', {speech!r}, model='{name}:acme/ear{number}', output=intermodal.TranscriptOutput())"
        for number, name in enumerate(names)
    ]
    for said, problem in zip(python.failures("\n".join(calls)), FAILING.values(), strict=True):
        assert said.startswith("RuntimeCrashed") and f"the plugin intermodal-stub 2.0 {problem}" in said, said


@pytest.mark.parametrize(
    ("host", "name", "problem"),
    [
        (
            HOST.replace('"protocol"', '"base_url": "http://127.0.0.1:1/v1", "protocol"'),
            "stub",
            "its row sets base_url",
        ),
        (WRITER, "stub", "acme/reader does not state tasks of a runtime"),
        (HOST, "whisper", "must be one of"),
    ],
)
def test_a_row_that_a_runtime_cannot_serve_is_reported_and_left_out(
    python: PluginPython, host: str, name: str, problem: str
) -> None:
    install(python, code(python, "one"), host=host, name=name)
    problems = {each["kind"]: each["problem"] for each in python.intermodal("plugins", "--json").document["plugins"]}
    assert problem in problems["host"]
    assert problems["runtime"] == ("its name is one of intermodal's own" if name == "whisper" else "")
