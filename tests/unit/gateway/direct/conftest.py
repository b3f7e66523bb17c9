"""The cases of a module (``CASES``) through both paths: those of its ``SAMPLE``, where it has one, or all of them with
--full-gates."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from types import ModuleType

import pytest
from tests.unit.gateway.direct.both_paths import BothPaths


def names_of(module: ModuleType, config: pytest.Config) -> Collection[str]:
    return module.CASES if config.getoption("--full-gates") else getattr(module, "SAMPLE", module.CASES)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames and hasattr(metafunc.module, "SAMPLE"):
        metafunc.parametrize("name", names_of(metafunc.module, metafunc.config))


@pytest.fixture(scope="module")
def beside(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BothPaths]:
    cases = {name: request.module.CASES[name] for name in names_of(request.module, request.config)}
    with (
        pytest.MonkeyPatch.context() as patch,
        BothPaths(cases, tmp_path_factory.mktemp("beside"), patch).open() as both,
    ):
        yield both
