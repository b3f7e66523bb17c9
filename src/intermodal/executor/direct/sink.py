"""What the caller of a direct call implements: it admits the call, writes its answer and charges for it.

The executor decides what is sent, what is shown of the reply and what the call costs. The caller knows its client: the
budget, the format of heads and errors, the records that are kept of a request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from intermodal.content import ToolCall
from intermodal.events import Usage
from intermodal.executor.attempt.accounting import AttemptEnding
from intermodal.executor.attempt.step_caller import PriorAttempt
from intermodal.executor.direct.compiled_plan import ShortenedCall
from intermodal.protocols.upstream_response import ClientWriter


class Unanswered(NamedTuple):
    """A direct call that did not answer, so that a run is to. Nothing of it was shown.

    ``tried``: the attempt that was made; None if none was. ``why``: in words that end a sentence after "because".
    """

    tried: PriorAttempt | None
    why: str


class CallReport(msgspec.Struct, frozen=True):
    """A call that ended and that no run continues.

    Attributes:
        how: it answered; it came to an answer that cannot be used; it failed; its deadline passed; its client left.
        code: of its error, "" for an answer. sent: a part of the request may have reached the host.
        tokens: that count, None if nobody can tell. usage: as the host reported it.
        first: seconds to the first word of a stream. finish: why the answer ended.
    """

    ending: AttemptEnding
    how: Literal["answered", "unusable", "failed", "late", "left"]
    code: str
    sent: bool
    tokens: int | None
    usage: Usage
    first: float | None
    finish: str


class DirectSink(Protocol):
    """The caller's side of one direct call."""

    @property
    def writer(self) -> ClientWriter:
        """Writes to the client."""
        ...

    # ---- before it is sent

    def admit_now(self) -> bool:
        """Reserve the cost of the call; return False if that has to be waited for, or is refused."""
        ...

    async def admit(self) -> ShortenedCall | None:
        """Reserve the cost of the call; return the same call with a lower limit if only that has room.

        Raises the refusal.
        """
        ...

    def admitted(self) -> None:
        """Note that what ``admit_now`` reserved is used: the request counts."""
        ...

    def release(self) -> None:
        """Give back what was reserved: nothing was sent."""
        ...

    def abandon(self, failure: Unanswered) -> None:
        """Settle a call that no run will continue."""
        ...

    def planned(self) -> None:
        """Record the plan."""
        ...

    # ---- while it is answered

    def wait(self) -> None:
        """Keep a stream open from now on while its host is silent."""
        ...

    def begin(self) -> None:
        """Write the head of a stream: its first word follows."""
        ...

    def metadata(self, cost: float | None, seconds: float, notes: Sequence[str]) -> bytes:
        """Return the metadata of the answer, written beside its usage. ``cost`` in USD, None if unknown."""
        ...

    def whole(self, body: bytes, cost: float | None) -> None:
        """Write an answer that is not streamed."""
        ...

    # ---- its end

    def ended(self, report: CallReport) -> None:
        """Charge and record a call that ended."""
        ...

    def answered(self, text: str, calls: tuple[ToolCall, ...], items: Sequence[Mapping[str, Any]]) -> None:
        """Remember what the next turn of the conversation needs."""
        ...

    def fail(self, error: Exception) -> None:
        """Answer with an error, or report it where something was shown."""
        ...

    def break_off(self, error: BaseException) -> None:
        """Report the error that ends a stream whose beginning was shown; its last event is written by the call."""
        ...

    def interruption(self) -> BaseException:
        """Return the error of a stream that ends because the caller stops."""
        ...

    def cancelled(self) -> None:
        """End a request whose client left, or whose server stops."""
        ...

    def done(self, failure: Unanswered | None) -> None:
        """Go on after a call without a task: with the client's next request, or with a run where it failed."""
        ...

    def close(self) -> None:
        """Let go of everything that holds the request."""
        ...
