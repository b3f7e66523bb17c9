"""What an attempt is charged for, by how it ended: one home for the executor and for the gateway's fast path. Pure.

    ended                                   row           cost
    with an answer that was counted         settled       by its usage
    with one that nobody counted            estimated     unknown: the amount set aside counts
    failed after its first word, or in a
    way that may have been billed           estimated     unknown, 0 where the endpoint is free
    failed and certainly not billed         void          0
    given up after it was sent              estimated     unknown, 0 where the endpoint is free
    given up before                         void          0

An endpoint is free where its estimate is known and 0 at its high end. One without a known price is not.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from intermodal.errors import CallError, IntermodalError
from intermodal.protocols.calls import WireUsage
from intermodal.quantity import Quantity

ClosedState = Literal["settled", "estimated", "void"]


class Charge(NamedTuple):
    """How an attempt's row is closed.

    Attributes:
        state: as the row's.
        cost: USD, None when nobody can know it.
        maybe_paid: it may have cost money.
    """

    state: ClosedState
    cost: float | None
    maybe_paid: bool


_VOID = Charge("void", 0.0, False)


def upper_bound(cost: Quantity) -> float | None:
    """USD that count for a call where nobody says what it cost; None where its price is not known."""
    return cost.high if cost.known else None


def is_free(cost: Quantity) -> bool:
    """Whether a call that is estimated to cost this costs nothing for certain."""
    return upper_bound(cost) == 0


def usage_is_complete(usage: WireUsage | None, *, looped: bool, overran: bool) -> bool:
    """Whether the usage is that of the whole answer: not where it was stopped for repeating itself, nor, uncounted, at
    a limit that its host ignored."""
    return not looped and not (overran and (usage is None or usage.output_tokens is None))


def charge_answer(billed: float | None, estimated: Quantity, *, counted: bool) -> Charge:
    """Charge of an attempt that ended with an answer, or with a refusal.

    Args:
        billed: USD by the usage that came back (``bill.bill``). estimated: USD as planned.
        counted: as of ``counted``.
    """
    open_ = not counted or (billed is None and bool(upper_bound(estimated)))
    return Charge("estimated" if open_ else "settled", billed, True)


def charge_failure(error: IntermodalError, estimated: Quantity, *, sent: bool, begun: bool) -> Charge:
    """Charge of an attempt that failed.

    Args:
        sent: a part of the request may have reached the endpoint. begun: its first word came back; whatever ended it
            then, tokens were made before.
    """
    if sent and (begun or (isinstance(error, CallError) and error.billing != "free")):
        return _unknown(estimated)
    return _VOID


def charge_cancel(estimated: Quantity, *, sent: bool) -> Charge:
    """Charge of an attempt that nobody waits for any more: nobody knows what was made by then."""
    return _unknown(estimated) if sent else _VOID


def _unknown(estimated: Quantity) -> Charge:
    return Charge("estimated", 0.0 if is_free(estimated) else None, True)
