"""What a call says when it cannot work: one sentence with the command that helps."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.local.runtime_fixtures import E5, SMOLLM2, TINY_EN, endpoint, runtimes

from intermodal.catalog.types import Protocol
from intermodal.errors import NotInstalled
from intermodal.local.embedded import availability

pytestmark = pytest.mark.anyio


async def test_missing_weights_name_the_pull_that_brings_them(tmp_path: Path) -> None:
    with pytest.raises(NotInstalled, match=r"run: intermodal pull whisper-tiny\.en"):
        await runtimes(tmp_path).transcribe(TINY_EN, b"")
    with pytest.raises(NotInstalled, match="run: intermodal pull smollm2-135m-instruct"):
        await runtimes(tmp_path).chat_url(SMOLLM2)


async def test_missing_weights_that_nobody_pinned_name_the_pull_that_is_not_refused(tmp_path: Path) -> None:
    clip = endpoint("contrastive", "clip-vit-base-patch32")
    with pytest.raises(NotInstalled, match="run: intermodal pull clip-vit-base-patch32 --accept-unpinned"):
        await runtimes(tmp_path).embed_texts_contrastive(clip, ("a cat",))


async def test_a_missing_package_names_the_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "find_spec", lambda name: None)
    with pytest.raises(NotInstalled, match=r"run: pip install 'intermodal\[embedded\]'"):
        await runtimes(tmp_path).embed(E5, "x")


@pytest.mark.parametrize("protocol", ["openai"])
async def test_a_protocol_that_is_not_embedded_is_refused(tmp_path: Path, protocol: Protocol) -> None:
    with pytest.raises(NotInstalled, match="no embedded runtime"):
        await runtimes(tmp_path).chat_url(endpoint(protocol))


async def test_nothing_is_loaded_before_the_first_call_and_closing_nothing_is_fine(tmp_path: Path) -> None:
    idle = runtimes(tmp_path)
    assert idle.loaded_endpoints() == ()
    assert idle.peak_memory(E5.id) is None
    await idle.unload(E5.id)
    await idle.close()
