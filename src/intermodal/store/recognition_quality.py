"""Record which images and recordings were recognised badly, so that the next plan reports it.

The text itself is cached elsewhere. ``readers`` is the version of text recognition at that time
(``local/embedded/tesseract.py``); after it changes, the entry is a miss.
"""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from intermodal.core.languages import code_of
from intermodal.local.embedded.versions import converter_version
from intermodal.plans.facts import UNKNOWN_SCRIPT, Facts, PageFacts, PartFacts
from intermodal.store.conversion_cache import CachedConversion, ContentOrigin, ConversionCache, conversion_key

MOST_LOOKED = 100  # scanned pages of a document that are examined
T = TypeVar("T", PartFacts, PageFacts)


def remember_reading(
    cache: ConversionCache, part: PartFacts, page: int, readers: str, *, by: str, sure: tuple[int, int] = (0, 0)
) -> None:  # fmt: skip
    """Record how well an image or a page was read by the endpoint ``by``.

    ``sure``: number of lines that it was sure of, and of all lines; (0, 0) if most words could not be read at all.
    """
    op = "doubted" if sure[1] else "script"
    cache.store(_key(part, page, op, readers), CachedConversion(name=part.name, op=op, maker=by, sure=sure))


def remember_hearing(cache: ConversionCache, part: PartFacts, *, by: str, sure: tuple[int, int], language: str) -> None:
    """Record how well a recording or a film was transcribed by the model ``by``.

    ``sure``: seconds of speech that it was sure of, and all seconds of speech; (0, 0), for a good transcript, removes
    the entry of this model, but not those of others. ``language``: as stated by the user, since with a wrong language
    any speech is transcribed badly.
    """
    key = _transcription_key(part, language)
    if sure[1]:
        cache.store(key, CachedConversion(name=part.name, op="doubted", maker=by, sure=sure))
        return
    cached = cache.peek(key)
    if cached is not None and cached.maker == by:
        cache.remove(key)


def with_recognition_quality(facts: Facts, cache: ConversionCache, readers: str, language: str = "") -> Facts:
    """Add recorded recognition quality of the same bytes to the facts.

    For speech, only quality recorded with the stated ``language`` is added.
    """
    parts = tuple(_recall_quality(part, cache, readers, language) for part in facts.parts)
    return facts if parts == facts.parts else replace(facts, parts=parts)


def _recall_quality(part: PartFacts, cache: ConversionCache, readers: str, language: str) -> PartFacts:
    if part.kind in ("audio", "video"):
        cached = cache.peek(_transcription_key(part, language))
        return part if cached is None else replace(part, read_before=cached.sure, read_by=cached.maker)
    if part.kind == "image":
        return _with_recognition(part, part, 0, cache, readers)
    scans = {page.number for page in [page for page in part.pages if page.scanned][:MOST_LOOKED]}
    if not scans:
        return part
    pages = (
        _with_recognition(page, part, page.number, cache, readers) if page.number in scans else page
        for page in part.pages
    )
    return replace(part, pages=tuple(pages))


def _with_recognition(facts: T, part: PartFacts, page: int, cache: ConversionCache, readers: str) -> T:
    if not facts.script and cache.peek(_key(part, page, "script", readers)) is not None:
        return replace(facts, script=UNKNOWN_SCRIPT)
    doubted = cache.peek(_key(part, page, "doubted", readers))
    return facts if doubted is None else replace(facts, read_before=doubted.sure)


def _key(part: PartFacts, page: int, op: str, readers: str) -> str:
    return conversion_key((ContentOrigin(digest=part.digest),), op, (("page", str(page)),), readers)


def _transcription_key(part: PartFacts, language: str) -> str:
    language_parameter = (("language", code_of(language)),) if language else ()
    return conversion_key(
        (ContentOrigin(digest=part.digest),),
        "doubted",
        (("page", "0"), *language_parameter),
        converter_version("whisper"),
    )
