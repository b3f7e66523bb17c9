"""Small files are written whole, with the mode that they had."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from intermodal.files.atomic_file import file_mode, replace_file


def test_a_file_is_there_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    replace_file(path, b"one")
    replace_file(path, b"two")
    assert path.read_bytes() == b"two" and os.listdir(tmp_path) == ["a.json"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_was_there_stays_where_nothing_can_be_put_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    (path / "within").mkdir(parents=True)
    with pytest.raises(OSError):
        replace_file(path, b"two")
    assert os.listdir(tmp_path) == ["folder"] and (path / "within").is_dir()


def test_a_file_keeps_its_mode_and_a_new_one_has_that_of_any_program(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    before = os.umask(0o027)
    try:
        assert file_mode(path, private=False) == 0o640 and file_mode(path, private=True) == 0o600
    finally:
        os.umask(before)
    replace_file(path, b"one", mode=0o644)
    assert file_mode(path, private=True) == 0o644
