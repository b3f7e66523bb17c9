"""Everything that a plugin is written with: what each group of entry points takes, and the types that it needs.

``intermodal.hosts``       a ``dict``: the row of a host, with the fields of ``[hosts.NAME]`` in intermodal.toml
``intermodal.converters``  a ``FileConverter``, called in the sandboxed media worker for files with that ending
``intermodal.prompts``     a ``PromptFormat``: reads prompt files by the endings of their names

The name of an entry point is that of the host, or the ending of the files. ``docs/plugins.md`` explains each with an
example; ``examples/plugin`` is a whole package. Names are imported on first use, so that importing this module costs
next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from intermodal.content import Text
    from intermodal.errors import InputBroken, PromptError
    from intermodal.media.office.conversion_types import ConvertedFile, EmbeddedFile
    from intermodal.prompts.prompt_file import Argument, PromptFile, PromptFormat, Template
    from intermodal.request import Message

__all__ = [
    "Argument",
    "ConvertedFile",
    "EmbeddedFile",
    "FileConverter",
    "InputBroken",
    "Message",
    "PromptError",
    "PromptFile",
    "PromptFormat",
    "Template",
    "Text",
]

_HOME = {
    **dict.fromkeys(("Argument", "PromptFile", "PromptFormat", "Template"), "prompts.prompt_file"),
    **dict.fromkeys(("ConvertedFile", "EmbeddedFile"), "media.office.conversion_types"),
    **dict.fromkeys(("InputBroken", "PromptError"), "errors"),
    "Message": "request", "Text": "content",
}  # fmt: skip


class FileConverter(Protocol):
    """A function that turns a file into text, with pictures and attachments where it has any."""

    def __call__(self, data: bytes, name: str, /) -> ConvertedFile | str:
        """Convert. ``name`` is that of the file. Raises InputBroken for a file that is damaged."""
        ...


if not TYPE_CHECKING:  # a checker would take any name for one of this module's

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(f"intermodal.{_HOME[name]}"), name)
        return value
