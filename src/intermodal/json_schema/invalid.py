"""The error of a schema that is none, or that asks for more than is done."""

from __future__ import annotations


class InvalidSchema(Exception):
    """``place``: the JSON Pointer of what is wrong, "" for the schema itself. ``todo``: what its author can do."""

    def __init__(self, what: str, place: str = "", todo: str = "correct the schema") -> None:
        super().__init__(what)
        self.what = what
        self.place = place
        self.todo = todo
