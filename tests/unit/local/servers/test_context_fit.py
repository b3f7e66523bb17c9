"""Every request is planned with what fits here: that costs nothing where all of it does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_a_plan_where_nothing_lacks_memory_reads_no_header_and_imports_no_formula_of_one(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom intermodal.cli.main import main\n"
        "try: main(['explain', 'Say hello.', '--json'])\nexcept SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    )
    folders = {f"XDG_{name}_HOME": str(tmp_path / name) for name in ("CACHE", "CONFIG", "DATA", "STATE")}
    env = {**os.environ, **folders}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    loaded = set(done.stderr.split())
    assert "intermodal.local.servers.context_fit" in loaded, "the plan was made with what fits"
    formulas = {"memory", "placement", "model_sources", "machine_options", "compute_graph"}
    assert not loaded & {
        "intermodal.local.servers.context_reduction",
        *(f"intermodal.sizing.{name}" for name in formulas),
    }
