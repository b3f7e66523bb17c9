"""A home of its own for a benchmark: nothing learned, configured or cached, but the weights are there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from intermodal.config.config_file import cache_dir


@contextmanager
def fresh_home() -> Iterator[dict[str, str]]:
    """The environment of a user who just installed intermodal; without anybody's keys."""
    with tempfile.TemporaryDirectory(prefix="intermodal-bench-") as home:
        env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        env["INTERMODAL_HOME"] = home
        cache = cache_dir(env)
        cache.mkdir(parents=True)
        (cache / "weights").symlink_to(cache_dir(os.environ) / "weights", target_is_directory=True)
        yield env
