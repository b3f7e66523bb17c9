"""Running ``intermodal`` as a user does: a fresh process, its own home, stdout and stderr apart."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

ANSWERED = (0, 10, 11, 12)


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def answered(self) -> bool:
        """Whether an answer came; a small model makes values up (10), is cut (11) or repeats itself (12)."""
        return self.code in ANSWERED

    @property
    def document(self) -> dict[str, Any]:
        """stdout as the one JSON document it must be."""
        made = json.loads(self.out)
        assert isinstance(made, dict)
        assert made["version"] == 1
        return made


def intermodal(*arguments: str, stdin: bytes = b"", timeout: float = 300) -> Ran:
    """Run the command in the environment the test has (home, config and keys are the test's own)."""
    ran = subprocess.run(
        [sys.executable, "-m", "intermodal.cli.main", *arguments], input=stdin, capture_output=True, timeout=timeout
    )
    return Ran(ran.returncode, ran.stdout.decode(), ran.stderr.decode())
