"""Gather the pages of the documentation site: ``docs_site.py FOLDER`` copies ``docs/`` there, with what it links to.

The pages are read in the repository as often as on the site, so their links are relative to the repository:
``../ARCHITECTURE.md``, ``../benchmarks/results/gateway.md``, ``../examples/demo.py``. Each linked Markdown file becomes
a page of the site, each other file a download, and each folder a page that lists its files.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "README.md")
LINK = re.compile(r"(\]\()(?![a-z]+:|#)([^)\s]+)(\))")
FENCED = re.compile(r"^([ ]*```.*?^[ ]*```$)", re.M | re.S)


def gather(site: Path) -> None:
    """Write the pages of the site and everything they link to into ``site``, which is emptied before."""
    shutil.rmtree(site, ignore_errors=True)
    waiting = [path for path in DOCS.rglob("*") if path.is_file()] + [ROOT / name for name in PAGES]
    done: set[Path] = set()
    while waiting:
        source = waiting.pop()
        if source in done or not source.exists():  # what is missing is reported when the site is built
            continue
        done.add(source)
        target = site / site_path(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            target.write_text(_listing(source))
        elif source.suffix == ".md":
            text, links = _page(source)
            target.write_text(text)
            waiting += links
        else:
            shutil.copyfile(source, target)


def site_path(source: Path) -> str:
    """Return the path on the site of a file or folder of the repository."""
    if source == ROOT / "README.md":
        return "start.md"  # generators take a README.md for the index of its folder, which is docs/index.md
    if source.is_dir():
        readme = source / "README.md"
        return site_path(readme) if readme.exists() else f"{source.relative_to(ROOT).as_posix()}/listing.md"
    return source.relative_to(DOCS if source.is_relative_to(DOCS) else ROOT).as_posix()


def _page(source: Path) -> tuple[str, list[Path]]:
    """Return the text of a page with its links pointed to where their files are on the site, and these files."""
    links: list[Path] = []

    def pointed(match: re.Match[str]) -> str:
        path, hash_, anchor = match[2].partition("#")
        if not path:
            return match[0]
        target = Path(os.path.normpath(source.parent / path))
        if target.is_dir() and (target / "README.md").exists():
            target /= "README.md"
        links.append(target)
        uri = posixpath.relpath(site_path(target), posixpath.dirname(site_path(source)) or ".")
        return f"{match[1]}{uri}{hash_}{anchor}{match[3]}"

    parts = FENCED.split(source.read_text())
    return "".join(part if part.lstrip().startswith("```") else LINK.sub(pointed, part) for part in parts), links


def _listing(folder: Path) -> str:
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return f"# {folder.relative_to(ROOT).as_posix()}\n\n" + "".join(f"- `{path.name}`\n" for path in files)


if __name__ == "__main__":
    gather(Path(sys.argv[1]).resolve())
