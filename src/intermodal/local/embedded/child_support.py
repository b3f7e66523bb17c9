"""Shared by all child processes: import the library, load the model, and report failures clearly."""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

from intermodal.errors import NotInstalled, RuntimeCrashed, WeightsError

T = TypeVar("T")


def import_library(name: str) -> ModuleType:
    """Import a library of the ``embedded`` extra. Raises ``NotInstalled``."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise NotInstalled(f"{name} is not installed", todo="run: pip install 'intermodal[embedded]'") from None
    except ImportError as error:
        # The library is installed, but a system dependency is missing, usually a shared object such as libgomp.so.1.
        raise NotInstalled(
            f"{name} cannot be loaded ({_shorten_error(error)})",
            todo="install the system library it names (Debian: apt install libgomp1)",
        ) from None


def load_model(what: str, load: Callable[[], T]) -> T:
    """Run a loader and convert its exceptions into one typed error."""
    try:
        return load()
    except WeightsError as error:  # it names only a file, and many models have files of that name
        error.where = ", ".join(filter(None, (what, error.where)))
        raise
    except (NotInstalled, MemoryError):
        raise
    except Exception as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        raise RuntimeCrashed(
            f"the model could not be loaded ({type(error).__name__})",
            where=what,
            todo=f"run: intermodal pull {what}, or free some memory",
        ) from None


def return_free_memory() -> None:
    """Return free heap memory to the system, if the C library supports it (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def without_nul(text: str) -> str:
    """Return the text with NUL and lone surrogates replaced.

    A NUL would silently end a C string, and a lone surrogate has no UTF-8 encoding.
    """
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")


def thread_count() -> int:
    """Return the number of compute threads, as set by the parent."""
    return max(1, int(os.environ.get("OMP_NUM_THREADS", "1")))


def threads_may_spin() -> bool:
    """Return whether waiting threads may spin, as the parent decided from the system load."""
    return os.environ.get("GOMP_SPINCOUNT") != "0"


def _shorten_error(error: ImportError) -> str:
    return str(error).splitlines()[0].split(": ")[0][:120] if str(error) else type(error).__name__
