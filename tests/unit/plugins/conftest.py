"""A Python with pip for plugins, and a way to have plugins in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.installed_plugin import PluginPython

EXAMPLE = Path(__file__).parents[3] / "examples" / "plugin"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent and "python" in getattr(item, "fixturenames", ()):
            item.add_marker("installs")


@pytest.fixture
def python(tmp_path: Path) -> PluginPython:
    return PluginPython(tmp_path)


@pytest.fixture
def put_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a package with one module and one entry point on this process's path."""

    def put(group: str, name: str, code: str, package: str = "intermodal-here", version: str = "3.1") -> None:
        folder, module = tmp_path / f"{package}-{version}", package.replace("-", "_")
        info = folder / f"{module}-{version}.dist-info"
        info.mkdir(parents=True)
        (folder / f"{module}.py").write_text(code)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}:PLUGIN\n")
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(__import__("sys").modules, module, raising=False)

    return put
