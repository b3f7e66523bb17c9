"""Errors of these tests are read in words of Python."""

from __future__ import annotations

from tests.worded import errors_in_words_of_python as errors_in_words_of_python
