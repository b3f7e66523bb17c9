"""A Python in which plugins are installed and removed, as a user does, without a network.

The wheel is made here of what the plugin's ``pyproject.toml`` says, since a build backend would have to be fetched. Its
files are put where pip puts those of a pure wheel; that pip does so is left to the tests which ask for ``pip``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

PIP = ("--disable-pip-version-check", "--no-input", "--quiet")


class Finished(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


def build_wheel(
    name: str, version: str, files: Mapping[str, str], entry_points: Mapping[str, Mapping[str, str]], folder: Path
) -> Path:
    """Write a pure Python wheel (PEP 427) of these files; return its path."""
    plain = name.replace("-", "_")
    points = "\n".join(
        line
        for group, rows in entry_points.items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in rows.items()), "")
    )
    info = f"{plain}-{version}.dist-info"
    contents = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": points,
    }
    record = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},"
        f"{len(text.encode())}"
        for path, text in contents.items()
    ]
    contents[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    wheel = folder / f"{plain}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        for path, text in contents.items():
            packed.writestr(path, text)
    return wheel


def wheel_of(project: Path, folder: Path, version: str = "") -> Path:
    """Write the wheel of a project of one folder of modules."""
    said = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    files = {path.name: path.read_text("utf-8") for path in sorted(project.glob("*.py"))}
    return build_wheel(said["name"], version or said["version"], files, said["entry-points"], folder)


class PluginPython:
    """A virtual environment that sees this one's packages, and a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        self.python = folder / "venv" / "bin" / "python"
        (self.site,) = (folder / "venv" / "lib").glob("python*/site-packages")
        paths = [path for path in sys.path if path and Path(path).is_dir() and "site-packages" in path]
        source = Path(__file__).parent.parent / "src"
        (self.site / "parent.pth").write_text("\n".join([str(source), *paths]) + "\n", "utf-8")

    def install(self, wheel: Path, *, pip: bool = False) -> None:
        """Install a wheel in place of any other version. ``pip``: with pip, which takes a second."""
        if pip:
            self._pip("install", "--no-index", "--no-deps", "--force-reinstall", str(wheel))
            return
        self._remove(wheel.name.split("-")[0])
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(self.site)

    def uninstall(self, name: str, *, pip: bool = False) -> None:
        if pip:
            self._pip("uninstall", "--yes", name)
        else:
            assert self._remove(name.replace("-", "_")), f"{name} is not installed"

    def _remove(self, plain: str) -> bool:
        found = [*self.site.glob(f"{plain}-*.dist-info")]
        for info in found:
            for line in (info / "RECORD").read_text("utf-8").splitlines():
                path = self.site / line.split(",")[0]
                path.unlink(missing_ok=True)
                for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
                    compiled.unlink()
            shutil.rmtree(info)
        return bool(found)

    def _pip(self, verb: str, *arguments: str) -> None:
        command = [str(self.python), "-m", "pip", *PIP, verb, *arguments]  # --python would start pip twice
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def intermodal(self, *arguments: str) -> Finished:
        """Run the command line."""
        return self.run("-m", "intermodal.cli.main", *arguments)

    def failures(self, calls: str) -> list[str]:
        """Run calls of a client in one process, each an expression of Python a line: what each answered or raised."""
        script = (
            "import intermodal, json, sys\n"
            "from pathlib import Path\n"
            "said = []\n"
            "with intermodal.Client() as client:\n"
            "    for call in sys.argv[1].splitlines():\n"
            "        try:\n"
            "            said.append(eval(call).text)\n"
            "        except intermodal.IntermodalError as error:\n"
            "            said.append(f'{type(error).__name__}: {error}')\n"
            "print(json.dumps(said))\n"
        )
        done = self.run("-c", script, calls)
        assert done.code == 0, done.err
        found: list[str] = json.loads(done.out)
        return found

    def run(self, *arguments: str) -> Finished:
        done = subprocess.run(
            [str(self.python), *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONWARNINGS": "error::UserWarning"}, cwd=self.folder,
        )  # fmt: skip
        return Finished(done.returncode, done.stdout, done.stderr)
