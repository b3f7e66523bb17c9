"""Where a mistake of our own was made, for a log that may hold no content."""

from __future__ import annotations

import os
import traceback


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
