"""The error for a schema that is invalid, or that asks for more than is supported."""

from __future__ import annotations


class InvalidSchema(Exception):
    """An invalid schema. ``place``: the JSON Pointer of what is wrong, "" for the schema itself. ``todo``: how to
    correct it."""

    def __init__(self, what: str, place: str = "", todo: str = "correct the schema") -> None:
        super().__init__(what)
        self.what = what
        self.place = place
        self.todo = todo
