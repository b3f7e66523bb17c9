"""Every bad input is one clear sentence, the right exit code, and nothing half-written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from command import intermodal

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("shared_conversions")]


def _make(case: str, folder: Path, media: Path) -> tuple[list[str], int, list[str]]:
    """Arguments, exit code, and words the sentence must hold."""
    import io
    import wave

    path = folder / f"{case}.bin"
    match case:
        case "missing":
            return ["Q", str(folder / "nowhere.wav")], 3, ["nowhere.wav"]
        case "empty":
            path.write_bytes(b"")
            return ["Q", str(path)], 3, ["empty"]
        case "folder":
            return ["Q", str(folder)], 3, ["folder"]
        case "truncated-png":
            path.write_bytes((media / "screenshot-invoice.png").read_bytes()[:2000])
        case "truncated-pdf":
            path.write_bytes((media / "report.pdf").read_bytes()[:900])
        case "zero-seconds":
            silent = io.BytesIO()
            with wave.open(silent, "wb") as file:
                file.setnchannels(1), file.setsampwidth(2), file.setframerate(16000)
            path.write_bytes(silent.getvalue())
        case "text-named-png":
            path = folder / "note.png"
            path.write_text("not an image\n")
            return ["Q", str(path)], 3, ["note.png", "text"]
        case "encrypted-pdf":
            path.write_bytes(_encrypted_pdf())
            return ["Q", str(path)], 3, ["password"]
        case "truncated-video":
            path.write_bytes((media / "bigbuckbunny.mp4").read_bytes()[:20_000])
        case "archive":
            path.write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(26))
        case "random-bytes":
            path.write_bytes(bytes(range(256)) * 40)
        case "unreachable-url":
            return ["Q", "http://127.0.0.1:9/x.png"], 3, ["127.0.0.1"]
        case "file-url":
            return ["Q", "file:///etc/passwd"], 3, ["file:///etc/passwd", "only http and https"]
        case "ftp-url":
            return ["Q", "ftp://x/f"], 3, ["ftp://x/f", "only http and https"]
        case "broken-url":
            return ["Q", "http://[::1"], 3, ["http://[::1", "host"]
        case "unknown-model":
            return ["Q", "--model", "gpt-99"], 2, ["gpt-99"]
        case "broken-schema":
            path.write_text("{not json")
            return ["Q", "--schema", str(path)], 2, ["JSON"]
        case "wrong-schema":
            path.write_text('{"type": "money"}')
            return ["Q", "--schema", str(path)], 2, ["money"]
        case "no-route":
            return ["Q", "--at-least", "frontier"], 4, ["frontier"]
        case "transcript-of-text":
            path.write_text("words")
            return ["Q", str(path), "--output", "transcript"], 2, ["audio"]
        case "nothing":
            return [], 2, ["nothing"]
        case _:
            raise AssertionError(case)
    return ["Q", str(path)], 3, [path.name]


def _encrypted_pdf() -> bytes:
    import io

    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfgen.canvas import Canvas

    made = io.BytesIO()
    canvas = Canvas(made, encrypt=StandardEncryption("secret", ownerPassword="owner"))
    canvas.drawString(72, 720, "locked")
    canvas.save()
    return made.getvalue()


CASES = [
    "missing", "empty", "folder", "truncated-png", "truncated-pdf", "zero-seconds", "text-named-png", "encrypted-pdf",
    "truncated-video", "archive", "random-bytes", "unreachable-url", "file-url", "ftp-url", "broken-url",
    "unknown-model", "broken-schema", "wrong-schema", "no-route", "transcript-of-text", "nothing",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_gets_one_sentence_and_its_exit_code(case: str, tmp_path: Path, media: Path) -> None:
    arguments, code, expected = _make(case, tmp_path, media)
    before = sorted(tmp_path.rglob("*"))
    for verb in ("explain", "ask"):
        ran = intermodal(verb, *arguments)
        assert ran.code == code, f"{ran.code}: {ran.err}"
        assert ran.out == ""
        assert "Traceback" not in ran.err
        first = ran.err.splitlines()[0]
        assert first.startswith("intermodal: ")
        assert "0x" not in first
        for word in expected:
            assert word.lower() in ran.err.lower()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("case", ["missing", "unknown-model", "no-route"])
def test_with_json_the_error_is_a_document_too(case: str, tmp_path: Path, media: Path) -> None:
    arguments, code, _ = _make(case, tmp_path, media)
    ran = intermodal("explain", *arguments, "--json")
    assert ran.code == code
    assert ran.document["kind"] == "intermodal.error"
    assert ran.document["what"]
