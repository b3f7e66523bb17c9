"""Errors of these tests are read in words of Python."""

from __future__ import annotations

from tests.error_wording import errors_in_words_of_python as errors_in_words_of_python
