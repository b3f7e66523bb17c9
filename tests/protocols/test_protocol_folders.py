"""The shape of a protocol's folder: the same modules and names in each, so that a new one knows what to hold."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

import intermodal.protocols
from intermodal.catalog.host_rows import HTTP_PROTOCOLS
from intermodal.executor.direct.protocol_adapters import ADAPTERS, ProtocolAdapter
from intermodal.executor.drivers.codecs import CHATS
from intermodal.protocols.reply_decoder import ReplyDecoder

FOLDERS = sorted({module.split(".")[2] for module in CHATS.values()})
SHARED = {"errors", "framing", "openai_media"}


def test_every_folder_of_a_protocol_is_in_the_table_of_codecs() -> None:
    here = Path(intermodal.protocols.__file__).parent
    assert {path.parent.name for path in here.glob("*/__init__.py")} == {*FOLDERS, *SHARED}


def test_every_protocol_over_http_has_a_codec() -> None:
    assert set(HTTP_PROTOCOLS) <= set(CHATS)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_writes_requests_and_reads_replies_under_the_same_names(folder: str) -> None:
    codec = import_module(f"intermodal.protocols.{folder}.codec")
    for name in ("encode_request", "normalise"):
        assert callable(getattr(codec, name))
    assert codec.IMAGE_TYPES
    assert isinstance(codec.QUIRKS, dict)
    assert issubclass(codec.Decoder, ReplyDecoder)
    assert codec.Decoder.__module__ in (codec.__name__, f"intermodal.protocols.{folder}.reply")


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder != "gemini"])
def test_the_server_side_of_a_folder_reads_requests_and_writes_replies(folder: str) -> None:
    server = import_module(f"intermodal.protocols.{folder}.server")
    for name in ("decode_request", "encode_reply", "StreamEncoder"):
        assert callable(getattr(server, name))


@pytest.mark.parametrize("row", ADAPTERS.values(), ids=ADAPTERS)
def test_what_goes_through_as_it_came_is_read_by_the_folder_of_its_protocol(row: ProtocolAdapter) -> None:
    folder = row.dialect.reads.partition(".")[0]
    passthrough = import_module(f"intermodal.protocols.{folder}.passthrough")
    codec = import_module(f"intermodal.protocols.{folder}.codec")
    assert (row.chat_of, row.forwarded) == (passthrough.chat_of, passthrough.KEPT)
    reply = import_module(f"intermodal.protocols.{folder}.reply")
    assert (row.read, row.uncounted) == (reply.read_reply, reply.UNCOUNTED)
    assert (row.encode, row.decode, row.path) == (codec.encode_request, reply.Decoder, codec.PATH)
