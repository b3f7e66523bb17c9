"""Converts EPUB books (EPUB 3.3, and 2): the chapters in reading order, each like a page. Runs in the worker.

Included: title and authors, text, tables, lists, links to the web, footnotes, images. Left out: the table of contents
unless it is a chapter, audio and videos (counted). Scripts are not run. Books with copy protection are rejected.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import unquote

from intermodal.errors import InputBroken, InputEmpty, InputEncrypted
from intermodal.media.office.conversion_types import MAX_CHARS, ConvertedFile
from intermodal.media.office.html_pages import markdown
from intermodal.media.office.image_collector import ImageCollector, Probe
from intermodal.media.office.office_package import OfficePackage, local_name
from intermodal.media.office.text_encoding import decode_text
from intermodal.plans.numbers import with_noun

_TODO = "check that the file is complete and opens elsewhere"
_CHAPTERS = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")
_MANGLED_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")  # no protection of the text


def convert(data: bytes, name: str, probe: Probe) -> ConvertedFile:
    package = OfficePackage(data, markup=False)  # pages of books may have a document type
    _check_protection(package)
    place = _package_document(package)
    root = package.xml(place)
    if root is None:
        raise InputBroken("cannot be read as a book: its list of chapters is missing", todo=_TODO)
    gallery, notes, size = ImageCollector(probe), list[str](), 0
    blocks = [_title(root)]
    folder = posixpath.dirname(place)
    for chapter in _chapters(root, folder):
        page = package.read_member(chapter)
        inside = partial(_target_bytes, package, chapter)
        text, found = markdown(decode_text(page, markup=True)[0], gallery, inside, titled=False)
        notes += found
        size += len(text)
        if size > MAX_CHARS:
            notes.append(f"only its first {MAX_CHARS:,} characters are taken")
            break
        blocks.append(text)
    if not any(blocks[1:]) and not gallery.collected_images:
        raise InputEmpty("holds no text and no images", where=name, todo="check what wrote this file")
    played = sum(str(each.get("media-type", "")).startswith(("audio/", "video/")) for each in root.iter())
    if played:
        notes.append(f"{with_noun(played, 'recording or film', 'recordings or films')} inside left out")
    text = "\n\n".join(block for block in blocks if block)
    return ConvertedFile(text=text, pictures=gallery.collected_images, notes=(*dict.fromkeys(notes), *gallery.notes()))


def _check_protection(package: OfficePackage) -> None:
    """Raise InputEncrypted if the pages of a book are encrypted; obfuscated fonts are accepted."""
    root = package.xml("META-INF/encryption.xml")
    algorithms = [str(each.get("Algorithm", "")) for each in root.iter() if local_name(each) == "EncryptionMethod"] if (
        root is not None) else []  # fmt: skip
    if any(algorithm not in _MANGLED_FONTS for algorithm in algorithms):
        raise InputEncrypted("is under copy protection", todo="pass a copy without it")


def _package_document(package: OfficePackage) -> str:
    """Return the member that lists the contents of the book."""
    root = package.xml("META-INF/container.xml")
    for each in root.iter() if root is not None else ():
        if local_name(each) == "rootfile" and each.get("full-path"):
            return str(each.get("full-path"))
    raise InputBroken("cannot be read as a book: META-INF/container.xml is missing", todo=_TODO)


def _title(root: Any) -> str:
    tagged_texts = [(local_name(each), " ".join((each.text or "").split())) for each in root.iter()]
    title = next((words for tag, words in tagged_texts if tag == "title" and words), "")
    authors = [words for tag, words in tagged_texts if tag == "creator" and words]
    byline = f"by {', '.join(dict.fromkeys(authors))}" if authors else ""
    return "\n\n".join(part for part in (f"# {title}" if title else "", byline) if part)[:2_000]


def _chapters(root: Any, folder: str) -> Iterator[str]:
    """Return the members in reading order (the spine), each once."""
    manifest = {str(each.get("id")): each for each in root.iter() if local_name(each) == "item"}
    members: dict[str, None] = {}
    for each in root.iter():
        item = manifest.get(str(each.get("idref"))) if local_name(each) == "itemref" else None
        if item is not None and item.get("media-type") in _CHAPTERS:
            members[_resolve_path(folder, str(item.get("href") or ""))] = None
    return iter(members)


def _resolve_path(folder: str, href: str) -> str:
    return posixpath.normpath(posixpath.join("/", folder, unquote(href.partition("#")[0]))).lstrip("/")


def _target_bytes(package: OfficePackage, chapter: str, source: str) -> bytes | None:
    return package.read_member(_resolve_path(posixpath.dirname(chapter), source)) or None
