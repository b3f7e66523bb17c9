"""Runs the converter of a plugin in the media worker, within the same limits as the built-in converters.

A plugin's module is imported while files may be opened. During conversion, no file can be opened and no module
imported.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import cast

from intermodal.core.plugin_registry import Plugin, load_plugin, plugin_not_usable
from intermodal.errors import Hints, InputBroken, InputTooLarge, IntermodalError, NotInstalled
from intermodal.media.office.conversion_types import MAX_CHARS, MAX_IMAGES, ConvertedFile
from intermodal.media.sniff import plugin_converters

_OPENED = "opened a file or a socket, or imported a module, while it converted; import modules at the top of its own"


class PluginConverter:
    """The converter function of a plugin. Its failures are raised as errors that name the package."""

    def __init__(self, plugin: Plugin, function: Callable[[bytes, str], ConvertedFile | str]) -> None:
        self.plugin = plugin
        self._function = function

    def convert(self, data: bytes, name: str) -> ConvertedFile:
        """Convert a file. Raises InputBroken if the plugin fails, InputTooLarge if the text is too long."""
        result = self._call(data, name)
        if isinstance(result, str):
            result = ConvertedFile(text=result)
        if not isinstance(result, ConvertedFile):
            raise self._converter_error(f"returned {type(result).__name__}, neither text nor a ConvertedFile")
        if len(result.text) > MAX_CHARS:
            raise InputTooLarge(f"holds {len(result.text):,} characters, more than {MAX_CHARS:,}", where=name)
        left = len(result.pictures) - MAX_IMAGES
        notes = (f"{left} images left out: at most {MAX_IMAGES} are taken",) if left > 0 else ()
        return ConvertedFile(
            text=result.text, pictures=result.pictures[:MAX_IMAGES], attachments=result.attachments,
            notes=(f"converted by {self.plugin.title}", *result.notes, *notes),
        )  # fmt: skip

    def _call(self, data: bytes, name: str) -> object:
        # Failures are raised outside of ``except``: the worker's loop treats a failed import as an internal error.
        try:
            return self._function(data, name)
        except (IntermodalError, MemoryError):
            raise
        except (ImportError, OSError) as error:
            opens_file = isinstance(error, ImportError) or error.errno in (errno.EMFILE, errno.EACCES, errno.EPERM)
            what = _OPENED if opens_file else f"failed ({type(error).__name__})"
        except Exception as error:
            what = f"failed ({type(error).__name__})"  # the message of the exception may contain content
        raise self._converter_error(what)

    def _converter_error(self, what: str) -> InputBroken:
        return InputBroken(f"cannot be converted: {self.plugin.title} {what}", todo=self.plugin.removal)


def load_converter(ending: str) -> PluginConverter:
    """Import the converter of an ending. Raises NotInstalled if there is none, or if it cannot be used."""
    plugin = plugin_converters().get(ending)
    if plugin is None:
        what = f"the worker process finds no plugin that converts .{ending} files"
        raise NotInstalled(what, todo="install the plugin with pip: changes of sys.path do not reach the worker")
    hints: Hints
    try:
        function = load_plugin(plugin)
        if not callable(function):
            raise plugin_not_usable(plugin, f"is {type(function).__name__}, not a function")
        return PluginConverter(plugin, cast("Callable[[bytes, str], ConvertedFile | str]", function))
    except NotInstalled as error:
        hints = error.hints
    raise NotInstalled(hints.what, where=hints.where, todo=hints.todo)
