"""The line that moves while many things are done: when it comes, what it says, that it goes."""

from __future__ import annotations

import io
import sys

import pytest

from intermodal.cli.rendering.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    return made


def test_a_bar_comes_with_the_first_thing_that_is_done_and_goes_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    with ProgressBar("Read passages", quiet=False) as bar:
        assert terminal.getvalue() == ""
        bar(600, 1_200, "a.txt")
        assert terminal.getvalue().endswith("50% 600 of 1,200  a.txt")
    assert terminal.getvalue().endswith("\r\033[K")


def test_a_bar_of_what_is_sure_to_come_is_there_before_it_and_goes_where_it_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = a_terminal(monkeypatch)
    with pytest.raises(OSError, match="full"), ProgressBar("Measuring", quiet=False, at_once=True):
        assert terminal.getvalue().endswith("Measuring …")
        raise OSError("full")
    assert terminal.getvalue().endswith("\r\033[K")


def test_no_bar_is_drawn_where_nothing_was_done_or_nobody_wants_one(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    with ProgressBar("Read passages", quiet=False):
        pass
    with ProgressBar("Read passages", quiet=True, at_once=True) as bar:
        bar(1, 2)
    assert terminal.getvalue() == ""
