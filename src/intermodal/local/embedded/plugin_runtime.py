"""Child: speech or text recognition by a runtime that a plugin provides.

The plugin is imported here and nowhere else. It receives decoded samples and pixels; its errors are reported with the
name of its package.
"""

from __future__ import annotations

from typing import Any

from intermodal.catalog.plugin_rows import runtime_plugins
from intermodal.concurrency.worker_process import serve
from intermodal.core.content import ReadLine, Segment, Transcript
from intermodal.core.plugin_registry import Plugin, describe_failure, load_plugin
from intermodal.errors import Hints, IntermodalError, NotInstalled, RuntimeCrashed
from intermodal.files.file_bytes import Data, read_whole

_RATE = 16_000
_models: dict[tuple[str, str], Any] = {}


def check(runtime: str) -> bool:
    """Import a plugin's runtime. Raises RuntimeCrashed if it cannot be used."""
    _runtime(runtime, "load")
    return True


def load(path: str, name: str, runtime: str) -> None:
    """Load the model of a path (once)."""
    if (runtime, path) not in _models:
        _models[runtime, path] = _call_plugin(runtime, "load", path)


def transcribe(path: str, name: str, runtime: str, pcm: Data, language: str, translate: bool = False) -> dict[str, Any]:
    """Transcribe samples. Returns the reply format of the built-in runtimes."""
    load(path, name, runtime)
    samples = read_whole(pcm, name)
    seconds = len(samples) / 2 / _RATE
    returned = _call_plugin(runtime, "transcribe", _models[runtime, path], samples, language)
    if not isinstance(returned, Transcript):
        returned = Transcript(
            language=language, seconds=seconds, segments=_values(runtime, "transcribe", returned, Segment)
        )
    segments = [[each.start, each.end, each.text, each.certainty] for each in returned.segments]
    return {
        "language": returned.language, "confidence": returned.confidence, "seconds": returned.seconds or seconds,
        "certainty": returned.certainty, "segments": segments, "unheard": returned.unheard,
        "masked": returned.masked,
    }  # fmt: skip


def read_lines(
    path: str, name: str, runtime: str, png: bytes, languages: dict[str, str] | None = None, script: str = "",
    language: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Read the lines of an image. Returns the reply format of the built-in runtimes."""
    load(path, name, runtime)
    lines_read = _values(
        runtime, "read", _call_plugin(runtime, "read", _models[runtime, path], png, language), ReadLine
    )
    return {"lines": [[line.text, line.confidence, _corners(line), line.unread, _cell(line)] for line in lines_read]}


def _cell(line: ReadLine) -> tuple[int, ...]:
    return line.cell if len(line.cell) == 3 else ()


def _corners(line: ReadLine) -> list[tuple[float, float]]:
    if len(line.corners) == 8:
        return list(zip(line.corners[::2], line.corners[1::2], strict=True))
    left, top, right, bottom = line.box
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _values(runtime: str, function: str, returned: Any, kind: type[Any]) -> tuple[Any, ...]:
    """Return the results of a plugin's function. Raises RuntimeCrashed if any is not an instance of ``kind``."""
    if isinstance(returned, (list, tuple)) and all(isinstance(each, kind) for each in returned):
        return tuple(returned)
    plugin = runtime_plugins()[runtime]
    raise _plugin_error(plugin, f"returned something else than {kind.__name__}s from {function}")


def _call_plugin(runtime: str, function: str, *arguments: Any) -> Any:
    """Call a function of a plugin, and exhaust it if it is a generator.

    Raises RuntimeCrashed with the package's name.
    """
    plugin, found = _runtime(runtime, function)
    # Raised outside ``except``: the child's loop would treat a chained ImportError as a missing dependency of
    # intermodal.
    try:
        returned = getattr(found, function)(*arguments)
        return list(returned) if hasattr(returned, "__next__") else returned
    except (IntermodalError, MemoryError):
        raise
    except ImportError as error:
        what = f"failed to {function} ({describe_failure(error)})"
    except Exception as error:
        what = f"failed to {function} ({type(error).__name__})"  # its text may contain user content
    raise _plugin_error(plugin, what)


def _runtime(runtime: str, function: str) -> tuple[Plugin, Any]:
    plugin = runtime_plugins().get(runtime)
    if plugin is None:
        what = f"the process of its model finds no plugin with a runtime {runtime}"
        raise RuntimeCrashed(what, todo="install the plugin with pip: changes of sys.path do not reach it", sent=False)
    hints: Hints
    try:
        return plugin, load_plugin(plugin, function)
    except NotInstalled as error:
        hints = error.hints
    raise _plugin_error(plugin, hints.what)


def _plugin_error(plugin: Plugin, what: str) -> RuntimeCrashed:
    return RuntimeCrashed(f"the plugin {plugin.title} {what}", todo=plugin.removal, sent=False)


if __name__ == "__main__":
    serve({"check": check, "load": load, "transcribe": transcribe, "read": read_lines})
