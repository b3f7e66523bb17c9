"""D4, D5: who may touch a user's media, read from the source; and what the worker can see of us."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.gates.test_media_urls import d1_urls
from tests.gates.victim import Resolver, Victim, answer

from intermodal.core.content import Audio, Document, File, Image, UrlSource, Video
from intermodal.core.request import Message, Request
from intermodal.errors import InputError
from intermodal.media.fetch import Fetcher
from intermodal.media.request_media import open_request
from intermodal.media.worker_client import MediaWorker

PACKAGE = Path(__file__).parents[2] / "src" / "intermodal"
MODULES = sorted(PACKAGE.rglob("*.py"))
OPENERS = {
    # The second opens what our own worker encoded, as OCR does through OpenCV: no bytes of a user reach it.
    "Image.open": {"media/image/decoder.py", "media/image/pixels.py"},
    "av.open": {"media/container.py"},
    "PdfDocument": {"media/pdf/document.py"},
}  # fmt: skip

pytestmark = [pytest.mark.gate]


def test_d4_each_decoder_is_called_in_one_module() -> None:
    found: dict[str, set[str]] = {opener: set() for opener in OPENERS}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                for opener in OPENERS:
                    if name == opener or name.endswith("." + opener):
                        found[opener].add(path.relative_to(PACKAGE).as_posix())
    assert found == OPENERS


def test_d4_nothing_but_the_worker_loads_a_decoder() -> None:
    """The decoding modules are imported by name inside the fenced child, and by nobody else."""
    names = ("image/decoder", "image/animation", "image/barcodes", "video/frame_image", "video/probe", "video/frames",
             "video/subtitle_tracks", "audio/decoder", "audio/channel_separation", "container",
             "pdf/document", "office/svg")  # fmt: skip
    decoders = {f"intermodal.media.{name}".replace("/", ".") for name in names}
    inside = {f"media/{name}.py" for name in names}  # which build on each other
    guilty = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            imported: set[str] = set()
            if isinstance(node, ast.Import):
                imported = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported = {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
            if imported & decoders and path.relative_to(PACKAGE).as_posix() not in inside:
                guilty.append(path.relative_to(PACKAGE).as_posix())
    assert guilty == []


def test_d5_runtimes_are_handed_bytes_never_places() -> None:
    """Nothing in local/embedded/ or protocols/ knows the sources of parts: no path of a user can reach a server."""
    for folder in ("local/embedded", "protocols"):
        paths = list((PACKAGE / folder).rglob("*.py"))
        assert paths, f"{folder} is elsewhere"
        for path in paths:
            source = path.read_text()
            if path.parent.name == "anthropic":  # the field of an image in Anthropic's protocol, and its types
                for own in ("AnthropicUrlSource", "block.source", "self.source"):
                    source = source.replace(own, "")
            for word in ("UrlSource", "PathSource", "BytesSource", ".source"):
                assert word not in source, f"{path.name} knows {word}"


@pytest.mark.anyio
@pytest.mark.parametrize("part", [File, Image, Audio, Video, Document])
async def test_d4_every_kind_of_part_is_opened_by_the_same_module(part: type[File]) -> None:
    async with Victim({"/": answer()}) as victim, MediaWorker() as worker:
        fetcher = Fetcher(resolve=Resolver({}))
        urls = d1_urls(victim.port)
        for url in urls[:: len(urls) // 10]:
            request = Request(messages=(Message(role="user", parts=(part(source=UrlSource(url=url)),)),))
            with pytest.raises(InputError):
                await open_request(request, worker, fetcher=fetcher)
        assert victim.hits == 0


def environment(worker: MediaWorker) -> bytes:
    return Path(f"/proc/{worker.pid}/environ").read_bytes()


@pytest.mark.anyio
async def test_the_worker_sees_no_keys_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    async with MediaWorker() as worker:
        await worker.start()
        assert b"canary" not in environment(worker)


@pytest.mark.anyio
async def test_a_module_of_the_users_folder_is_not_imported_by_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, media: Path
) -> None:
    for name in ("PIL", "msgspec", "av", "io", "warnings"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken over')\n")
    monkeypatch.chdir(tmp_path)
    async with MediaWorker() as worker:
        assert (await worker.probe((media / "photo-cat.jpg").read_bytes())).width == 451
