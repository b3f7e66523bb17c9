"""What a file is, told by its bytes: a large one is looked through off the event loop, whoever asks."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import intermodal
from intermodal.media import request_media


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
