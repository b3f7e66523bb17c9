"""How long a call may take, as people write it: ``[timeouts]`` of ``intermodal.toml``, and of a host there."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from intermodal.content import Value

MAX_TIMEOUT = 86_400.0  # seconds; whoever waits longer than a day waits for nothing
_Seconds = Annotated[float, Meta(gt=0, le=MAX_TIMEOUT)]


class TimeoutSettings(Value, forbid_unknown_fields=True):
    """Seconds that one attempt at a call gets; None where nobody said, and the usual ones hold.

    Attributes:
        connect: until the connection stands.
        first_token: from the end of the request to the first word of the answer (the first byte of one that does not
            come in words); what a server sends to keep a connection alive is no word.
        trial: the same of an endpoint that is tried out or probed while another route is left. It only ever makes the
            wait shorter.
        between_tokens: of silence in the middle of an answer. Comments, pings, blanks and empty pieces are silence.
        thinking: the same while the host sends such signs of life, where its models think in the middle of an answer
            and say nothing of it. It only ever makes the wait longer.
        total: for all of it.
    """

    connect: _Seconds | None = None
    first_token: _Seconds | None = None
    trial: _Seconds | None = None
    between_tokens: _Seconds | None = None
    thinking: _Seconds | None = None
    total: _Seconds | None = None

    def over(self, other: TimeoutSettings) -> TimeoutSettings:
        """What this says, and what ``other`` says where this says nothing."""
        said = {name: value for name in TimeoutSettings.__struct_fields__ if (value := getattr(self, name)) is not None}
        return msgspec.structs.replace(other, **said)
