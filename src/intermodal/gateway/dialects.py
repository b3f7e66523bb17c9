"""Which codec of ``wire/`` speaks behind a door of the chat kind: a table, not a branch. Codecs load when needed."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Protocol, cast

from intermodal.wire._json import dumps
from intermodal.wire.call import ChatCall, WireEvent
from intermodal.wire.fields import taken


class Encoder(Protocol):
    def feed(self, event: WireEvent) -> bytes: ...


def _seconds() -> int:
    return int(time.time())


@dataclass(frozen=True)
class Dialect:
    """How one API is spoken.

    Attributes:
        reads, writes: modules of ``wire/`` with ``decode_request``, and with ``encode_reply`` and ``StreamEncoder``.
        about: what the writers want to know of an answer besides the model's name.
        comment: what keeps a silent stream open, and says what is going on; b"" where the framing has no comments.
        table: the name of its requests in ``wire/fields.py``, which has their fields.
        deep: what stands in the middle of what is said and is not understood, by name, and how it is found in a body.
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
    deep: Mapping[str, re.Pattern[bytes]] = field(default_factory=dict)

    @property
    def takes(self) -> frozenset[str]:
        """Fields of a request that may say something. Others are named in a header of the answer."""
        return taken(self.table)

    def decode(self, body: bytes, **more: Any) -> ChatCall:
        """Raises ValueError for a body that is no call."""
        return cast("ChatCall", import_module(f"intermodal.wire.{self.reads}").decode_request(body, **more))

    @property
    def stream_type(self) -> str:
        return cast("str", import_module(f"intermodal.wire.{self.writes}").STREAM_TYPE)

    def encoder(self, name: str, **more: Any) -> Encoder:
        made = import_module(f"intermodal.wire.{self.writes}").StreamEncoder(name, **self.about(), **more)
        return cast("Encoder", made)

    def encode(self, events: Iterable[WireEvent], name: str, **more: Any) -> tuple[int, bytes]:
        """Status and body of a whole answer."""
        made = import_module(f"intermodal.wire.{self.writes}").encode_reply(events, name, **self.about(), **more)
        return cast("tuple[int, bytes]", made)


def openai_error(error: BaseException) -> bytes:
    from intermodal.wire.openai_chat_served import error_of

    return dumps({"error": error_of(error)})


def anthropic_error(error: BaseException) -> bytes:
    from intermodal.wire.anthropic_served import error_of

    return dumps(error_of(error))


def ollama_error(error: BaseException) -> bytes:
    from intermodal.wire.ollama_served import error_of

    return dumps(error_of(error))


# Asked for, or of an answer before. A quote in a string has a backslash before it: words about citations are none.
_CITED = re.compile(rb'"citations"\s*:\s*(?:\{[^{}]*"enabled"\s*:\s*true|\[\s*\{)')
CHAT = Dialect(
    reads="openai_chat_served", writes="openai_chat_served", comment=b": %b\n\n",
    about=lambda: {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": _seconds()}, table="openai",
)  # fmt: skip
RESPONSES = Dialect(
    reads="openai_responses_served", writes="openai_responses_written", comment=b": %b\n\n",
    about=lambda: {"id": f"resp_{uuid.uuid4().hex}", "created": _seconds()}, table="openai-responses",
    asks="input", refers=True,
)  # fmt: skip
MESSAGES = Dialect(
    reads="anthropic_served", writes="anthropic_served", comment=b": %b\n\n",
    about=lambda: {"id": f"msg_{uuid.uuid4().hex}"}, table="anthropic", deep={"citations": _CITED},
)  # fmt: skip
OLLAMA = Dialect(
    reads="ollama_served", writes="ollama_served", comment=b"",
    about=lambda: {"now": lambda: datetime.now(UTC).isoformat().replace("+00:00", "Z")}, table="ollama",
)  # fmt: skip
GENERATE = replace(
    OLLAMA, reads="ollama_generate_served", writes="ollama_generate_served", asks="prompt", table="ollama-generate",
)  # fmt: skip
ERRORS: Mapping[str, Callable[[BaseException], bytes]] = {
    "openai": openai_error, "anthropic": anthropic_error, "ollama": ollama_error,
}  # fmt: skip
