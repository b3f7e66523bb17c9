"""The client APIs and the codec that serves each: a table, not branches. Codecs load when they are first needed."""

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
        about: what the writers want to know of an answer besides the model's name.
        comment: what keeps a silent stream open, and says what is going on; b"" where the framing has no comments.
        table: the name of its requests in ``protocols/request_fields.py``, which has their fields.
        asks: the field that holds what is said.
        refers: requests may name items of earlier answers, which the codec is given the means to keep and to find.
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
        """The fields of a request that are accepted. Others are named in a header of the response."""
        return accepted_fields(self.table)

    def decode(self, body: bytes, **more: Any) -> ChatCall:
        """Raises ValueError for a body that is no call."""
        return cast("ChatCall", import_module(f"intermodal.protocols.{self.reads}").decode_request(body, **more))

    @property
    def stream_type(self) -> str:
        return cast("str", import_module(f"intermodal.protocols.{self.writes}").STREAM_TYPE)

    def encoder(self, name: str, **more: Any) -> ReplyEncoder:
        made = import_module(f"intermodal.protocols.{self.writes}").StreamEncoder(name, **self.about(), **more)
        return cast("ReplyEncoder", made)

    def encode(self, events: Iterable[WireEvent], name: str, **more: Any) -> tuple[int, bytes]:
        """Status and body of a whole answer."""
        made = import_module(f"intermodal.protocols.{self.writes}").encode_reply(events, name, **self.about(), **more)
        return cast("tuple[int, bytes]", made)


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
