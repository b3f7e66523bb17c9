"""The client APIs and the codec of each, as a table. Codecs are imported on first use."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, cast

from intermodal.protocols.calls import ChatCall, ReplyEncoder, WireEvent
from intermodal.protocols.request_fields import accepted_fields


def _seconds() -> int:
    return int(time.time())


@dataclass(frozen=True)
class ClientApi:
    """An API that clients use: its codec, its framing and its fields.

    Attributes:
        reads, writes: modules of ``protocols/``: one with ``decode_request``, one with ``encode_reply`` and
            ``StreamEncoder``.
        about: returns the keyword arguments that the encoder needs besides the model's name.
        comment: template of the comment that keeps an idle stream open and reports progress; b"" if the framing has no
            comments.
        table: the name of its requests in ``protocols/request_fields.py``, which lists their fields.
        asks: the field that holds the messages or the prompt.
        refers: requests may refer to items of earlier answers, so the codec is passed functions to store and look them
            up.
    """

    reads: str
    writes: str
    about: Callable[[], dict[str, Any]]
    comment: bytes
    table: str
    asks: str = "messages"
    refers: bool = False

    @property
    def takes(self) -> frozenset[str]:
        """The request fields that are accepted. Other fields are listed in a response header."""
        return accepted_fields(self.table)

    def decode(self, body: bytes, **more: Any) -> ChatCall:
        """Decode a request body. Raises ValueError if it is not a valid call."""
        return cast("ChatCall", import_module(f"intermodal.protocols.{self.reads}").decode_request(body, **more))

    @property
    def stream_type(self) -> str:
        return cast("str", import_module(f"intermodal.protocols.{self.writes}").STREAM_TYPE)

    def encoder(self, name: str, **more: Any) -> ReplyEncoder:
        encoder = import_module(f"intermodal.protocols.{self.writes}").StreamEncoder(name, **self.about(), **more)
        return cast("ReplyEncoder", encoder)

    def encode(self, events: Iterable[WireEvent], name: str, **more: Any) -> tuple[int, bytes]:
        """Return the status and body of a complete answer."""
        response = import_module(f"intermodal.protocols.{self.writes}").encode_reply(
            events, name, **self.about(), **more
        )
        return cast("tuple[int, bytes]", response)


OPENAI_CHAT = ClientApi(
    reads="openai_chat.server", writes="openai_chat.server", comment=b": %b\n\n",
    about=lambda: {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": _seconds()}, table="openai",
)  # fmt: skip
OPENAI_RESPONSES = ClientApi(
    reads="openai_responses.server", writes="openai_responses.server", comment=b": %b\n\n",
    about=lambda: {"id": f"resp_{uuid.uuid4().hex}", "created": _seconds()}, table="openai-responses",
    asks="input", refers=True,
)  # fmt: skip
ANTHROPIC_MESSAGES = ClientApi(
    reads="anthropic.server", writes="anthropic.server", comment=b": %b\n\n",
    about=lambda: {"id": f"msg_{uuid.uuid4().hex}"}, table="anthropic",
)  # fmt: skip
OLLAMA_CHAT = ClientApi(
    reads="ollama.server", writes="ollama.server", comment=b"",
    about=lambda: {"now": lambda: datetime.now(UTC).isoformat().replace("+00:00", "Z")}, table="ollama",
)  # fmt: skip
OLLAMA_GENERATE = replace(
    OLLAMA_CHAT, reads="ollama.server_generate", writes="ollama.server_generate", asks="prompt",
        table="ollama-generate",
)  # fmt: skip
