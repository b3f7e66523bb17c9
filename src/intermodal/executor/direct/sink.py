"""The interface that the caller of a direct call implements: it admits the call, writes its answer and charges for it.

The executor decides what is sent, what is shown of the reply and what the call costs. The caller knows its client: the
budget, the format of response heads and errors, and the records that are kept of a request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from intermodal.core.content import ToolCall
from intermodal.events import Usage
from intermodal.executor.attempt.accounting import AttemptEnding
from intermodal.executor.attempt.step_caller import PriorAttempt
from intermodal.executor.direct.compiled_plan import ShortenedCall
from intermodal.protocols.upstream_response import ClientWriter


class Unanswered(NamedTuple):
    """A direct call that did not answer, so that a run must. None of its output was shown.

    ``prior``: the attempt that was made; None if none was. ``why``: completes a sentence after "because".
    """

    prior: PriorAttempt | None
    why: str


class CallReport(msgspec.Struct, frozen=True):
    """A call that ended and that no run continues.

    Attributes:
        how: it was answered; its answer is unusable; it failed; its deadline passed ("late"); its client left.
        code: error code, "" for an answer. sent: a part of the request may have reached the host.
        usage: as the host reported it.
        first: seconds to the first word of a stream. finish: why the answer ended.
    """

    ending: AttemptEnding
    how: Literal["answered", "unusable", "failed", "late", "left"]
    code: str
    sent: bool
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
        """Reserve the cost of the call; return False if that must be awaited, or is refused."""
        ...

    async def admit(self) -> ShortenedCall | None:
        """Reserve the cost of the call; return a call with a lower limit if the budget only has room for that.

        Raises the refusal; EndpointRateExceeded if the rate of the endpoint has no room and a run may call another.
        """
        ...

    def confirm_admission(self) -> None:
        """Confirm that the reservation of ``admit_now`` is used: the request counts."""
        ...

    def release(self) -> None:
        """Release the reservation because nothing was sent."""
        ...

    def abandon(self, failure: Unanswered) -> None:
        """Settle a call that no run will continue."""
        ...

    def record_plan(self) -> None:
        """Record the plan."""
        ...

    # ---- while it is answered

    def wait(self) -> None:
        """Keep a stream open from now on while its host is silent."""
        ...

    def begin(self) -> None:
        """Write the head of a stream whose first word follows."""
        ...

    def metadata(self, cost: float | None, seconds: float, notes: Sequence[str], unreported: tuple[str, ...]) -> bytes:
        """Return the metadata of the answer, written beside its usage.

        ``cost`` in USD, None if unknown; ``unreported``: the token counts that the host did not report.
        """
        ...

    def write_whole(self, body: bytes, cost: float | None) -> None:
        """Write an answer that is not streamed."""
        ...

    # ---- its end

    def record_end(self, report: CallReport) -> None:
        """Charge and record a call that ended."""
        ...

    def store_turn(self, text: str, calls: tuple[ToolCall, ...], items: Sequence[Mapping[str, Any]]) -> None:
        """Store what the next turn of the conversation needs."""
        ...

    def fail(self, error: Exception) -> None:
        """Answer with an error, or report it if output was shown."""
        ...

    def break_off(self, error: BaseException) -> None:
        """Report the error that ends a partly shown stream; the call writes its last event."""
        ...

    def interruption(self) -> BaseException:
        """Return the error of a stream that ends because the caller stops."""
        ...

    def end_cancelled(self) -> None:
        """End a request whose client left or whose server stops."""
        ...

    def continue_after(self, failure: Unanswered | None) -> None:
        """Continue after a call without a task: with the client's next request, or with a run if it failed."""
        ...

    def close(self) -> None:
        """Release everything that references the request."""
        ...
