"""Versions of what makes texts of media are those that Python would import."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

import pytest

from intermodal.local.embedded.versions import CONVERTERS, converter_version


@pytest.mark.parametrize("name", sorted(CONVERTERS))
def test_the_version_of_a_converter_has_those_of_its_packages(name: str) -> None:
    said = [name, str(CONVERTERS[name].number)]
    for package in CONVERTERS[name].packages:
        try:
            said += [package, installed(package)]
        except PackageNotFoundError:
            continue
    assert converter_version(name).split(" ") == said


def test_what_is_no_converter_of_ours_has_no_version() -> None:
    assert converter_version("openai") == ""
