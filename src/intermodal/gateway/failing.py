"""What went wrong, for a log that may hold no content: a stable word for it, and the place of a mistake of our own."""

from __future__ import annotations

import os
import traceback

from intermodal.errors import IntermodalError
from intermodal.wire.served import Refused, answered


def code_of(error: BaseException) -> str:
    """A word for an error, the same for all of its kind; never a value."""
    if isinstance(error, Refused):
        return error.code or f"refused_{error.status}"
    if isinstance(error, IntermodalError):
        return error.code
    return "invalid_request" if answered(error).status == 400 else "internal"


def place_of(error: BaseException) -> str:
    """File and line, inside the package where there is one; never a value."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}intermodal{os.sep}" in frame.filename] or frames
    if not ours:
        return "somewhere"
    _, _, path = ours[-1].filename.rpartition(f"intermodal{os.sep}")
    return f"in {path} line {ours[-1].lineno}"
