"""The documentation site builds, and a link that leads nowhere stops the build."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.e2e


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with the configuration of the site and its pages."""
    (tmp_path / "zensical.toml").write_text((ROOT / "zensical.toml").read_text())
    gathered = [sys.executable, str(ROOT / "scripts" / "docs_site.py"), str(tmp_path / "out" / "site-source")]
    subprocess.run(gathered, check=True, timeout=300)
    return tmp_path


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def test_the_site_builds_without_a_dead_link_and_every_page_is_in_its_navigation(site: Path) -> None:
    done = build(site)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Is a language model enough" in (site / "out" / "site" / "start.html").read_text()
    listed = re.findall(r'"([\w/-]+\.md)"', (ROOT / "zensical.toml").read_text())
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages <= set(listed), "a page is missing from the navigation in zensical.toml"


def test_a_dead_link_and_a_dead_anchor_stop_the_build(site: Path) -> None:
    page = site / "out" / "site-source" / "limits.md"
    page.write_text(page.read_text() + "\n[dead](nowhere.md) [lost](cli.md#no-such-heading)\n")
    done = build(site)
    assert done.returncode != 0
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    assert "nowhere.md" in said
    assert "no-such-heading" in said
