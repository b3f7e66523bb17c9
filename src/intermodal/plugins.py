"""Everything that a plugin is written with: what each group of entry points takes, and the types that it needs.

``intermodal.hosts``    a ``dict``: the row of a host, with the fields of ``[hosts.NAME]`` in intermodal.toml
``intermodal.prompts``  a ``PromptFormat``: reads prompt files by the endings of their names

The name of an entry point is that of the host. ``docs/plugins.md`` explains each with an example; ``examples/plugin``
is a whole package. Names are imported on first use, so that importing this module costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intermodal.content import Text
    from intermodal.errors import PromptError
    from intermodal.prompts.prompt_file import Argument, PromptFile, PromptFormat, Template
    from intermodal.request import Message

__all__ = ["Argument", "Message", "PromptError", "PromptFile", "PromptFormat", "Template", "Text"]

_HOME = {
    **dict.fromkeys(("Argument", "PromptFile", "PromptFormat", "Template"), "prompts.prompt_file"),
    "Message": "request", "PromptError": "errors", "Text": "content",
}  # fmt: skip

if not TYPE_CHECKING:  # a checker would take any name for one of this module's

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(f"intermodal.{_HOME[name]}"), name)
        return value
