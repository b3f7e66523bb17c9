"""What conversions made, found again by content and by nothing else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from intermodal.core.content import ReadLine, Segment, Transcript
from intermodal.store.conversion_cache import CachedConversion, ContentOrigin, ConversionCache, conversion_key

KEY = conversion_key((ContentOrigin(digest="ab" * 32, shape=(30, 150)),), "read", (), "e")


def derived(text: str = "words") -> CachedConversion:
    transcript = Transcript(language="en", segments=(Segment(start=0, end=1, text=text),))
    return CachedConversion(transcript=transcript, pages=(2,), lines=((ReadLine(text=text, confidence=0.9),),))


def test_a_value_comes_back_as_it_was(tmp_path: Path) -> None:
    cache = ConversionCache(tmp_path)
    assert cache.get(KEY) is None
    cache.store(KEY, derived())
    assert cache.get(KEY) == derived()


@pytest.mark.parametrize(
    "other",
    [
        conversion_key((ContentOrigin(digest="ab" * 32, shape=(150, 30)),), "read", (), "e"),
        conversion_key((ContentOrigin(digest="cd" * 32, shape=(30, 150)),), "read", (), "e"),
        conversion_key((ContentOrigin(digest="ab" * 32, shape=(30, 150)),), "transcribe", (), "e"),
        conversion_key((ContentOrigin(digest="ab" * 32, shape=(30, 150)),), "read", (("dpi", "150"),), "e"),
        conversion_key((ContentOrigin(digest="ab" * 32, shape=(30, 150)),), "read", (), "f"),
        conversion_key((ContentOrigin(digest="ab" * 32, shape=(30, 150)),) * 2, "read", (), "e"),
    ],
    ids=["shape", "bytes", "op", "parameters", "maker", "twice"],
)
def test_whatever_differs_is_another_key(other: str) -> None:
    assert other != KEY and len(other) == 64


def test_values_are_the_owners_alone(tmp_path: Path) -> None:
    cache = ConversionCache(tmp_path / "derived")
    cache.store(KEY, derived())
    (file,) = (tmp_path / "derived").glob("*/*")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_damaged_value_is_a_miss(tmp_path: Path) -> None:
    cache = ConversionCache(tmp_path)
    cache.store(KEY, derived())
    (file,) = tmp_path.glob("*/*.json")
    file.write_bytes(file.read_bytes()[:20])
    assert cache.get(KEY) is None


def test_the_least_recently_used_leaves_first(tmp_path: Path) -> None:
    keys = [conversion_key((ContentOrigin(digest=str(number)),), "read", (), "e") for number in range(3)]
    one = 0
    cache = ConversionCache(tmp_path)
    for age, key in enumerate(keys[:2]):
        cache.store(key, derived())
        (file,) = tmp_path.glob(f"*/{key}.json")
        one = file.stat().st_size
        os.utime(file, (1000 + age, 1000 + age))
    assert cache.get(keys[0]) is not None, "used just now"
    cache.capacity = 2 * one
    cache.store(keys[2], derived())
    assert cache.get(keys[1]) is None and cache.get(keys[0]) is not None and cache.get(keys[2]) is not None


def test_a_value_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    cache = ConversionCache(tmp_path, capacity=10)
    cache.store(KEY, derived())
    assert cache.get(KEY) is None and not list(tmp_path.rglob("*.json"))


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("in the way")
    cache = ConversionCache(tmp_path / "root")
    cache.store(KEY, derived())
    assert cache.get(KEY) is None
