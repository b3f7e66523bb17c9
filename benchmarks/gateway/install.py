"""Install the peers that the gateway is measured beside, as their documentation says, into a folder outside the tree.

    python benchmarks/gateway/install.py DIR [NAME ...]

LiteLLM and TensorZero get an environment each, Portkey a folder of npm, nginx is a package of the system (Debian's).
The versions are those that were measured; what could not be installed is written to DIR/NAME.error and is said in the
table. 2 minutes, 1 GB.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def _python(*packages: str) -> Callable[[Path], None]:
    def install(folder: Path) -> None:
        _run(sys.executable, "-m", "venv", str(folder))
        _run(str(folder / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", *packages)

    return install


def _portkey(folder: Path) -> None:
    """As it comes it cannot stream: its own @hono/node-server refuses its headers. With these two it can."""
    folder.mkdir(exist_ok=True)
    package = {
        "private": True,
        "dependencies": {"@portkey-ai/gateway": "1.15.2"},
        "overrides": {"@hono/node-server": "1.13.8", "hono": "4.9.7"},
    }
    (folder / "package.json").write_text(json.dumps(package))
    _run("npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts", "--silent")


def _nginx(_folder: Path) -> None:
    if not shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin"):
        _run("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "nginx-light")


def _run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        said = re.sub(r"https?://\S+", "(an address)", done.stdout.strip())[-600:]
        raise OSError(f"{Path(command[0]).name} {command[1]} failed: {said}")


PEERS = {
    "nginx": _nginx,
    "litellm": _python("litellm[proxy]==1.108.7"),  # later ones ask for packages of versions that PyPI does not have
    "portkey": _portkey,
    "tensorzero": _python("tensorzero==2026.6.0"),
    "py-spy": _python("py-spy"),  # for --profile
}


def main() -> None:
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(PEERS):
        raise SystemExit(f"usage: install.py DIR [{' | '.join(PEERS)} ...]")
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or PEERS:
        error = folder / f"{name}.error"
        error.unlink(missing_ok=True)
        try:
            PEERS[name](folder / name)
            print(f"{name}: installed")
        except OSError as problem:
            error.write_text(str(problem).replace(str(folder), "DIR"))
            print(f"{name}: {problem}")


if __name__ == "__main__":
    main()
