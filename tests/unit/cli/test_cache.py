"""``intermodal cache``: what was made of files is listed, shown and removed, by the first letters of its key."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli

from intermodal.core.content import ReadLine, Segment, Transcript
from intermodal.store.conversion_cache import CachedConversion, ConversionCache

HEARD, READ, OLD = "ab12" + "0" * 60, "ab12" + "f" * 60, "cd34" + "0" * 60


@pytest.fixture
def held(own_home: Path) -> ConversionCache:
    cache = ConversionCache(own_home / "cache" / "derived")
    said = Transcript(language="en", segments=(Segment(start=0, end=1, text="The crane is here."),))
    cache.store(
        HEARD, CachedConversion(transcript=said, name="call.wav", op="transcribe", maker="embedded:whisper-base")
    )
    lines = ((ReadLine(text="KONTOR 7", confidence=0.9),), (ReadLine(text="page two", confidence=0.9),))
    cache.store(READ, CachedConversion(pages=(1, 2), lines=lines, name="scan.pdf", op="read", maker="embedded:ocr"))
    cache.store(OLD, CachedConversion(texts=("a photograph of a cat",)))  # as versions before this one wrote them
    for age, key in enumerate((HEARD, READ, OLD)):
        os.utime(cache.root / key[:2] / f"{key}.json", (1_700_000_000 - age,) * 2)
    return cache


def test_values_are_listed_with_what_they_are_and_of_which_file(cli: Cli, held: ConversionCache) -> None:
    lines = cli("cache", "ls").out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == [HEARD[:12], READ[:12], OLD[:12]]
    assert "transcript" in lines[1] and "call.wav" in lines[1] and "embedded:whisper-base" in lines[1]
    assert "text read" in lines[2] and "scan.pdf" in lines[2]
    assert "what is seen" in lines[3] and "1 kB" in lines[3]
    assert cli("cache").out == cli("cache", "ls").out
    document = cli("cache", "ls", "--json").document
    first = document["values"][0]
    assert document["kind"] == "intermodal.cache" and first["name"] == "call.wav" and first["op"] == "transcribe"
    assert first["used"] == "2023-11-14T22:13:20+00:00" and first["bytes"] > 50
    assert document["values"][2]["name"] is None, "what is not known is not guessed"


def test_the_text_of_a_value_is_shown_and_looking_is_no_use_of_it(cli: Cli, held: ConversionCache) -> None:
    before = [entry.used for entry in held.entries()]
    assert cli("cache", "show", "ab120").out == "The crane is here.\n"
    assert cli("cache", "show", READ.upper()).out == "KONTOR 7\n\f\npage two\n"
    assert cli("cache", "show", "cd34", "--json").document["text"] == "a photograph of a cat"
    assert [entry.used for entry in held.entries()] == before


def test_cache_rm_removes_single_values_or_all(cli: Cli, held: ConversionCache) -> None:
    assert cli("cache", "rm", "cd34", "cd340").out.startswith("removed 1 value,")
    assert [entry.key for entry in held.entries()] == [HEARD, READ]
    assert cli("cache", "rm", "--all", "--json").document["keys"] == [HEARD, READ]
    assert held.entries() == [] and cli("cache", "rm", "--all").out == "removed 0 values\n"
    assert cli("cache", "ls", "--json").document["values"] == []
    assert "the cache is empty" in cli("cache", "ls").err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "ab12"), "ab12 begins 2 keys"),
        (("show", "ab"), "too short"),
        (("rm", "ffff"), "no value has the key ffff"),
        (("rm",), "takes keys, or --all"),
        (("rm", "ab12", "--all"), "takes keys, or --all"),
        (("show", "../../etc"), "no value has the key"),
    ],
)
def test_a_value_that_is_not_told_is_said(
    cli: Cli, held: ConversionCache, arguments: tuple[str, ...], words: str
) -> None:
    done = cli("cache", *arguments)
    assert done.code == 2 and words in done.err and len(held.entries()) == 3


def test_a_value_that_cannot_be_read_is_listed_and_can_be_removed(cli: Cli, held: ConversionCache) -> None:
    (held.root / "cd" / f"{OLD}.json").write_text("{")
    assert "unreadable" in cli("cache", "ls").out
    assert "cannot be read" in cli("cache", "show", "cd34").err
    assert cli("cache", "rm", "cd34").code == 0 and len(held.entries()) == 2


def test_the_shell_completes_keys(held: ConversionCache) -> None:
    from click.shell_completion import ShellComplete

    from intermodal.cli.main import app

    found = ShellComplete(app, {}, "intermodal", "X").get_completions(["cache", "show"], "ab")
    assert [(item.value, item.help) for item in found] == [
        (HEARD[:12], "transcript of call.wav"), (READ[:12], "text read of scan.pdf"),
    ]  # fmt: skip
