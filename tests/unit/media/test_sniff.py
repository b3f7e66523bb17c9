"""Bytes decide what a part is; what is not taken is named, with what to do."""

from __future__ import annotations

import io
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import intermodal
from intermodal.errors import InputBroken, InputEmpty, InputUnsupported
from intermodal.media import request_media
from intermodal.media import sniff as sniffing
from intermodal.media.sniff import DOCX, EPUB, XLSX, ZIP, read_text, sniff


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("jfk.wav", ("audio", "audio/wav")),
        ("jfk.mp3", ("audio", "audio/mpeg")),
        ("two_cities_25s.flac", ("audio", "audio/flac")),
        ("music.m4a", ("audio", "audio/mp4")),
        ("music.ogg", ("audio", "audio/ogg")),
        ("photo-cat.jpg", ("image", "image/jpeg")),
        ("screenshot-invoice.png", ("image", "image/png")),
        ("report.pdf", ("document", "application/pdf")),
    ],
)
def test_real_media_is_recognised_whatever_it_is_called(media: Path, name: str, expected: tuple[str, str]) -> None:
    data = (media / name).read_bytes()
    for called in (name, "noname", "misleading.txt", "x.png"):
        assert sniff(data, called) == expected


def test_mp3_is_recognised_with_and_without_a_tag(media: Path) -> None:
    data = (media / "jfk.mp3").read_bytes()
    size = 10 + sum((data[6 + i] & 127) << (7 * (3 - i)) for i in range(4)) if data[:3] == b"ID3" else 0
    assert sniff(data[size:], "x") == ("audio", "audio/mpeg")
    assert sniff(b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + data[size:], "x") == ("audio", "audio/mpeg")


def test_mp3_cut_in_the_middle_of_a_frame_is_still_mp3(media: Path) -> None:
    data = (media / "jfk.mp3").read_bytes()
    for start in (700, 1000, 1333):
        assert sniff(data[start:], "cut.mp3") == ("audio", "audio/mpeg")
    frame = b"\xff\xfb\x90\x00"  # one header alone is chance
    with pytest.raises(InputUnsupported, match="no kind"):
        sniff(b"\0" * 99 + frame + b"\0" * 2000, "chance.mp3")


def archive(members: dict[str, bytes], comment: bytes = b"") -> bytes:
    """A ZIP file whose members are stored as they are, so that their own names are among its bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
        file.comment = comment
    return made.getvalue()


BOOK = archive({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<workbook/>"})
LETTER = archive({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<document/>"})


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (BOOK, XLSX),
        (LETTER, DOCX),
        (archive({"book.xlsx": BOOK, "letter.docx": LETTER}), ZIP),
        (archive({"[Content_Types].xml": b"", "word/document.xml": b"", "word/embeddings/book.xlsx": BOOK}), DOCX),
        (archive({"[Content_Types].xml": b"", "xl/workbook.xml": b"", "xl/embeddings/letter.docx": LETTER}), XLSX),
        (archive({"a.txt": b"word/document.xml and [Content_Types].xml"}, b"PK, and [Content_Types].xml, xl/"), ZIP),
        (archive({"META-INF/container.xml": b"", "OEBPS/content.opf": b""}), EPUB),
        (archive({"novel.epub": archive({"META-INF/container.xml": b"", "OEBPS/content.opf": b""})}), ZIP),
        (LETTER[: len(LETTER) // 2], DOCX),  # cut: what opens it says so
        (archive({}), ZIP),
    ],
)
def test_an_archive_is_told_by_its_own_names_and_not_by_those_of_files_in_it(data: bytes, expected: str) -> None:
    assert sniff(data, "x") == ("document", expected)


def test_pdf_may_have_rubbish_before_its_header(media: Path) -> None:
    data = (media / "report.pdf").read_bytes()
    assert sniff(b"\0" * 1000 + data, "x") == ("document", "application/pdf")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"OggS" + bytes(24) + b"\x80theora" + bytes(40), "video"),
        (b"FLV\x01" + bytes(20), "video"),
        (b"G" + bytes(187) + b"G" + bytes(187) + b"G" + bytes(187), "video"),
        (b"FORM\0\0\0\x10AIFFCOMM", "AIFF"),
        (b"II+\0" + bytes(20), "BigTIFF"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b"PK\x07\x08PK\x03\x04" + bytes(26), "ZIP"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(20), "old program"),
        (b"!BDN" + bytes(600), "Outlook data file (PST)"),
        (bytes.fromhex("e4525c7b8cd8a74daeb15378d02996d3") + bytes(20), "OneNote section"),
        (b"\xffWPC" + bytes(300), "WordPerfect"),
        (b"AT&TFORM" + bytes(300), "DjVu"),
        (bytes(60) + b"BOOKMOBI" + bytes(200), "MOBI book"),
        (b"\x1f\x8b\x08" + bytes(20), "gzip"),
        (b"\x7fELF\x02\x01\x01" + bytes(20), "program"),
        (bytes(range(256)) * 4, "no kind"),
    ],
)  # fmt: skip
def test_an_unsupported_file_is_refused_by_name_with_a_fix(data: bytes, words: str) -> None:
    with pytest.raises(InputUnsupported) as caught:
        sniff(data, "thing.bin")
    assert words in caught.value.what
    assert caught.value.where == "thing.bin"
    assert caught.value.todo


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x1aE\xdf\xa3" + bytes(40), ("video", "video/x-matroska")),
        (b"\x1aE\xdf\xa3\x42\x82\x84webm" + b"\x86\x86A_OPUS\x86\x85V_VP9", ("video", "video/webm")),
        (b"\x1aE\xdf\xa3\x42\x82\x84webm" + b"\x86\x86A_OPUS", ("audio", "audio/webm")),
        (b"\x1aE\xdf\xa3\x42\x82\x88matroska" + b"\x86\x86A_FLAC", ("audio", "audio/x-matroska")),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", ("image", "image/svg+xml")),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x -->\n<svg/>", ("image", "image/svg+xml")),
        (b"RIFF\x10\0\0\0AVI LIST", ("video", "video/x-msvideo")),
        (b"II*\0" + bytes(20), ("image", "image/tiff")),
        (b"MM\0*" + bytes(20), ("image", "image/tiff")),
        (b"BM" + b"\x46\0\0\0" + bytes(8) + b"\x28\0\0\0" + bytes(40), ("image", "image/bmp")),
        (b"\0\0\0\x18ftypheic" + bytes(20), ("image", "image/heic")),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif" + bytes(20), ("image", "image/avif")),
    ],
)  # fmt: skip
def test_films_and_pictures_are_told_by_their_first_bytes(data: bytes, expected: tuple[str, str]) -> None:
    assert sniff(data, "thing.bin") == expected


def test_a_film_of_a_kind_that_is_not_taken_says_how_to_convert_it() -> None:
    with pytest.raises(InputUnsupported, match="Flash") as caught:
        sniff(b"FLV\x01" + bytes(20), "a film.flv")
    assert "ffmpeg -i 'a film.flv' film.mp4" in caught.value.todo


def test_a_raw_picture_is_no_tiff() -> None:
    with pytest.raises(InputUnsupported, match="raw image"):
        sniff(b"II*\0" + bytes(20), "holiday.dng")


def test_an_mp4_without_its_index_is_cut_short(media: Path) -> None:
    with pytest.raises(InputBroken, match="cut short"):
        sniff((media / "music.m4a").read_bytes()[:3000], "song.m4a")


def test_nothing_is_an_empty_input() -> None:
    with pytest.raises(InputEmpty):
        sniff(b"", "nothing.txt")


@pytest.mark.parametrize("ending", ["png", "PNG", "wav", "pdf", "mp4", "docx"])
def test_words_named_as_media_are_refused_by_name(ending: str) -> None:
    with pytest.raises(InputBroken, match=rf"is named \.{ending.lower()} but holds text"):
        sniff(b"just some words\n", f"folder.d/picture.{ending}")


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-8", b""), ("utf-8", b"\xef\xbb\xbf"), ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff"),
     ("utf-32-le", b"\xff\xfe\0\0"), ("utf-32-be", b"\0\0\xfe\xff")],
)  # fmt: skip
def test_text_is_read_in_its_encoding_and_without_the_mark(encoding: str, mark: bytes) -> None:
    data = mark + "Straße 5 € 中文".encode(encoding)
    assert sniff(data, "a.txt") == ("text", "text/plain")
    assert read_text(data, "a.txt") == "Straße 5 € 中文"


def test_text_in_another_encoding_says_how_to_convert_it() -> None:
    with pytest.raises(InputBroken, match="iconv"):
        sniff("Die Straße ist lang und trägt viele Bäume am Weg.".encode("latin-1"), "brief.txt")


@pytest.mark.parametrize(
    ("name", "media_type"), [("a.md", "text/markdown"), ("a.csv", "text/csv"), ("Makefile", "text/plain")]
)
def test_the_ending_of_a_text_refines_its_media_type(name: str, media_type: str) -> None:
    assert sniff(b"a,b\n1,2\n", name) == ("text", media_type)


@pytest.mark.parametrize("head", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\0\0\0\0WAVE"])
def test_a_polyglot_is_what_its_first_bytes_say(head: bytes) -> None:
    assert sniff(head + b"PK\x03\x04 %PDF-1.4 <svg>", "x")[0] in ("image", "audio")


@settings(max_examples=300)
@given(
    words=st.text(max_size=60),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    piece=st.integers(1, 9),
)
def test_a_text_that_is_read_in_pieces_is_the_same_text(words: str, encoding: str, piece: int) -> None:
    data = words.encode(encoding, "replace")
    assert _read(data) == _read_in_pieces(data, piece)


@settings(max_examples=300)
@given(data=st.binary(max_size=60), piece=st.integers(1, 9))
def test_bytes_that_are_looked_at_in_pieces_are_taken_for_the_same(data: bytes, piece: int) -> None:
    assert _read(data) == _read_in_pieces(data, piece)


def _read_in_pieces(data: bytes, size: int) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sniffing, "_PIECE", size)
        return _read(data)


def _read(data: bytes) -> str:
    try:
        return read_text(data, "a.txt")
    except (InputBroken, InputUnsupported) as error:
        return f"{type(error).__name__}: {error}"


# ---- off_the_event_loop -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_large_file_is_told_from_others_in_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where, real = set[str](), request_media.sniff

    def noted(data: bytes, name: str) -> Any:
        where.add(threading.current_thread().name)
        return real(data, name)

    monkeypatch.setattr(request_media, "sniff", noted)
    (tmp_path / "large.txt").write_text("word " * 400_000)
    async with intermodal.AsyncClient() as client:
        await client.prepare(intermodal.make_request("What is it about?", tmp_path / "large.txt"))
    assert where and threading.main_thread().name not in where
