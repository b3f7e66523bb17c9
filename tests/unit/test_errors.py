"""Errors are one tree: every class has its own code and a documented exit code."""

from __future__ import annotations

from collections.abc import Iterator

from intermodal import errors


def _tree(cls: type[errors.IntermodalError]) -> Iterator[type[errors.IntermodalError]]:
    yield cls
    for sub in cls.__subclasses__():
        if sub.__module__ == "intermodal.errors":
            yield from _tree(sub)


def test_codes_are_unique_and_find_their_class_again() -> None:
    classes = list(_tree(errors.IntermodalError))
    assert len({cls.code for cls in classes}) == len(classes)
    for cls in classes:
        assert errors.by_code(cls.code) is cls


def test_the_docstring_draws_every_class() -> None:
    assert errors.__doc__ is not None
    for cls in _tree(errors.IntermodalError):
        assert cls.__name__ in errors.__doc__


def test_an_error_is_one_sentence_of_where_what_and_what_to_do() -> None:
    error = errors.InputEmpty("the file is empty", where="call.wav", todo="check the recording")
    assert str(error) == "call.wav: the file is empty; check the recording"
