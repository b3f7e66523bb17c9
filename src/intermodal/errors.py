"""Every error intermodal raises, in one tree.

    IntermodalError
    ├── UsageError                 the call itself is wrong                     exit 2
    │   ├── UnknownModel           no such model or endpoint in the catalog
    │   ├── SchemaInvalid          the answer schema is not usable
    │   ├── PromptError            a prompt file, or an argument of it, is not usable
    │   └── ConfigError            intermodal.toml is not usable
    ├── InputError                 a file, URL or text is not usable            exit 3
    │   ├── InputMissing           it does not exist, or is not readable
    │   ├── InputEmpty             zero bytes, zero seconds, zero pages
    │   │   └── NoContentFound     a file of silence, or of pages and images without text
    │   ├── InputBroken            truncated or undecodable
    │   ├── InputEncrypted         locked by a password
    │   ├── InputUnsupported       a file type that is not supported
    │   ├── InputUnreadable        its text is in a script that no reader here knows
    │   ├── InputTooLarge          over a limit on pixels, pages, seconds, bytes
    │   └── UrlBlocked             a URL that must not be fetched
    ├── NoRoute                    no plan satisfies request and policy         exit 4
    │   ├── PlanStale              an approved plan no longer matches its inputs
    │   └── DoesNotFit             a server needs more memory than is free
    ├── CallError                  an endpoint failed                           exit 5
    │   ├── Unreachable            no host answered
    │   ├── CredentialsRefused     401 / 403
    │   ├── RateLimited            429
    │   ├── Overloaded             503 / 529
    │   ├── ContextExceeded        the prompt does not fit the context
    │   │   └── RequestTooLarge    too many bytes, pixels or files
    │   ├── UnsupportedModality    the endpoint does not accept a modality
    │   ├── ContentRefused         refused by a content policy
    │   ├── StreamCut              the stream ended prematurely
    │   └── RuntimeCrashed         a local runtime died
    ├── OutputInvalid              the answer violates the schema, after repair exit 6
    │   └── OutputUnchecked        validating the answer takes too much work
    ├── NotInstalled               a runtime or weights are missing             exit 7
    │   └── WeightsError           download or checksum failed
    ├── BudgetExceeded             the run would cost more than allowed         exit 8
    └── StoreError                 the local store cannot be read or written    exit 9

Interrupted by the user (Ctrl-C): exit 130.

Each error states *what* happened, *where*, and what to *do*; ``str(error)`` is one sentence built from the three. An
exception belongs to Python, so it names keyword arguments; the command line and the gateway word the same hints with
their own options (``core/hints.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple

from intermodal.core.hints import Surface, spell_text

# What may follow a failed attempt; ``executor/attempt/retry.py`` decides how often and when. never: nothing. resend:
# the same endpoint, then another. once: the same endpoint once more, then another. wait: the same endpoint after the
# delay that it states, or another. reroute: another endpoint. shrink: a smaller request, or an endpoint with a higher
# limit.
Retry = Literal["never", "resend", "once", "wait", "reroute", "shrink"]
# Whether the failed attempt is charged: certainly not, unknown, certainly.
Billing = Literal["free", "maybe", "billed"]


class Hints(NamedTuple):
    """The parts of an error message, with the settings in them kept as values."""

    what: str
    where: str = ""
    todo: str = ""
    reasons: tuple[str, ...] = ()

    def wording_for(self, surface: Surface) -> Hints:
        """Return a copy whose parts are plain text worded for ``surface``."""
        what, where, todo = (spell_text(text, surface) for text in self[:3])
        return Hints(what, where, todo, tuple(spell_text(reason, surface) for reason in self.reasons))

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}; {self.todo}" if self.todo else text


class IntermodalError(Exception):
    """Root of the tree.

    Args:
        what: what happened, without a full stop.
        where: the file, URL, option or endpoint at fault; "" if there is none.
        todo: what the user can do about it; "" if there is nothing.
        step: id of the plan step that failed, "" outside a run.
        reasons: one sentence per reason if there are several, shown one per line below the error.

    ``hints``: these sentences with their settings as values, so that other surfaces can word them. The attributes
    ``what``, ``where``, ``todo`` and ``reasons`` return Python wording.

    ``details``: additional fields of its JSON document on the command line; ``supplement``: additional lines of its
    text output there.

    ``stale``: a connection kept open from an earlier request was closed without a message. That says nothing about this
    request or its recipient: a host closes such a connection when it has been idle for too long, or after each reply
    (llama.cpp after each stream), and the close crossed with the request.
    """

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    stale = False
    details: Mapping[str, Any] = MappingProxyType({})
    supplement = ""

    def __init__(
        self, what: str, *, where: str = "", todo: str = "", step: str = "", reasons: tuple[str, ...] = ()
    ) -> None:
        self.hints = Hints(what, where, todo, reasons)
        self.step = step
        super().__init__(spell_text(what, "python"))

    @property
    def what(self) -> str:
        return spell_text(self.hints.what, "python")

    @what.setter
    def what(self, text: str) -> None:
        self.hints = self.hints._replace(what=text)
        self.args = (spell_text(text, "python"), *self.args[1:])

    @property
    def where(self) -> str:
        return spell_text(self.hints.where, "python")

    @where.setter
    def where(self, text: str) -> None:
        self.hints = self.hints._replace(where=text)

    @property
    def todo(self) -> str:
        return spell_text(self.hints.todo, "python")

    @todo.setter
    def todo(self, text: str) -> None:
        self.hints = self.hints._replace(todo=text)

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(spell_text(reason, "python") for reason in self.hints.reasons)

    def wording_for(self, surface: Surface) -> Hints:
        """Return the message worded for ``surface``; ``str()`` of it is one sentence."""
        return self.hints.wording_for(surface)

    def __str__(self) -> str:
        return str(self.wording_for("python"))


class UsageError(IntermodalError):
    exit_code = 2
    code = "usage"


class UnknownModel(UsageError):
    """No such model or endpoint. ``several``: the name is ambiguous."""

    code = "unknown_model"
    several = False


class SchemaInvalid(UsageError):
    code = "schema_invalid"


class PromptError(UsageError):
    """A prompt file is not usable as written, or the arguments do not match its declarations.

    ``where`` is file and line.
    """

    code = "prompt"


class ConfigError(UsageError):
    """The config file is not usable.

    ``key``: path of the error in the file, table by table ("serve", "port"); () if unknown.
    """

    code = "config"

    def __init__(self, what: str, *, where: str = "", todo: str = "", key: tuple[str | int, ...] = ()) -> None:
        super().__init__(what, where=where, todo=todo)
        self.key = key


class InputError(IntermodalError):
    exit_code = 3
    code = "input"


class InputMissing(InputError):
    code = "input_missing"


class InputEmpty(InputError):
    code = "input_empty"


class NoContentFound(InputEmpty):
    """No content was found in the files of a question, so no model was called.

    A model without input would invent an answer.
    """

    code = "no_content_found"


class InputBroken(InputError):
    code = "input_broken"


class InputEncrypted(InputError):
    code = "input_encrypted"


class InputUnsupported(InputError):
    code = "input_unsupported"


class InputUnreadable(InputError):
    """Most words in the files of a question are in a script that no reader here knows, so no model was called."""

    code = "input_unreadable"


class InputTooLarge(InputError):
    code = "input_too_large"


class UrlBlocked(InputError):
    code = "url_blocked"


class NoRoute(IntermodalError):
    """No plan satisfies the request and the policy.

    ``reasons`` has one sentence per rule that rejected something, nearest miss first; ``rule`` is the rule of the
    first.
    """

    exit_code = 4
    code = "no_route"
    rule = ""


class PlanStale(NoRoute):
    code = "plan_stale"


class DoesNotFit(NoRoute):
    code = "does_not_fit"


class CallError(IntermodalError):
    """An endpoint failed.

    Attributes:
        status: the HTTP status, or the status stated in the body; 0 if there was none.
        retry_after: seconds that the endpoint asks to wait before a retry, None if it does not.
        sent: the request body may have reached the endpoint (and cost money).
        retry, billing: what may follow, and whether this attempt is charged; by default those of the class.
        resendable: the endpoint's own statement (``x-should-retry``) on resending the request unchanged; None without
            one.
        limit: its stated limit: tokens of context, or files for a ``RequestTooLarge``.
        taught: the endpoint was found not to accept the request, so an identical request is never sent there again.
    """

    exit_code = 5
    code = "call"
    _retry: ClassVar[Retry] = "reroute"
    _billing: ClassVar[Billing] = "maybe"

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        todo: str = "",
        step: str = "",
        status: int = 0,
        retry_after: float | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(what, where=where, todo=todo, step=step)
        self.status = status
        self.retry_after = retry_after
        self.sent = sent
        self.retry: Retry = self._usually()
        self.billing: Billing = "free" if not sent or 400 <= status < 500 else type(self)._billing
        self.resendable: bool | None = None
        self.limit: int | None = None
        self.taught = False

    def _usually(self) -> Retry:
        if type(self) is not CallError or self.status < 300:  # the status is a success, but the answer is invalid
            return type(self)._retry
        return "once" if self.status >= 500 else "never"


CROSSING = 1.0  # seconds; a connection that a host closed before it saw the request is reported within a round trip


class Unreachable(CallError):
    """No host answered.

    ``hung_up``: the host received the request and closed the connection without a reply, and the close is not
    ``stale``.
    """

    code = "unreachable"
    retryable = True
    hung_up = False

    def record_close(self, *, is_reused: bool, seconds: float) -> None:
        """Record that the connection was closed without a reply ``seconds`` after the request.

        ``is_reused``: the connection was reused from an earlier request.
        """
        self.stale = is_reused and seconds < CROSSING
        self.hung_up = not self.stale
        if self.stale:
            self.retry = "once"

    def _usually(self) -> Retry:
        return "reroute" if self.sent else "resend"


class CredentialsRefused(CallError):
    code = "credentials_refused"
    _billing = "free"


class RateLimited(CallError):
    code = "rate_limited"
    retryable = True
    _retry = "wait"
    _billing = "free"


class Overloaded(CallError):
    code = "overloaded"
    retryable = True
    _retry = "wait"
    _billing = "free"


class ContextExceeded(CallError):
    """The prompt does not fit the context.

    ``cut``: size in tokens of a prompt that the endpoint truncated instead of refusing; None if it refused the prompt.
    """

    code = "context_exceeded"
    _retry = "shrink"
    _billing = "free"
    cut: int | None = None


class RequestTooLarge(ContextExceeded):
    code = "request_too_large"


class UnsupportedModality(CallError):
    """The endpoint does not accept a modality.

    ``kind`` is the modality ("image", "audio", "video", "document"), "" if the endpoint did not state it.
    """

    code = "unsupported_modality"
    _billing = "free"
    kind: str = ""


class ContentRefused(CallError):
    code = "content_refused"
    _retry = "never"  # asking another host would evade the refusal: the reason is passed on instead
    _billing = "billed"


class StreamCut(CallError):
    code = "stream_cut"


class RuntimeCrashed(CallError):
    code = "runtime_crashed"
    retryable = True
    _retry = "once"
    _billing = "free"


class OutputInvalid(IntermodalError):
    exit_code = 6
    code = "output_invalid"


class OutputUnchecked(OutputInvalid):
    """Checking the answer against the schema exceeds the work limit, so the answer is not returned as valid."""

    code = "output_unchecked"


class NotInstalled(IntermodalError):
    exit_code = 7
    code = "not_installed"


class WeightsError(NotInstalled):
    code = "weights"


class BudgetExceeded(IntermodalError):
    exit_code = 8
    code = "budget_exceeded"


class StoreError(IntermodalError):
    """The store cannot be read or written. Nothing was sent, because the call could not be recorded."""

    exit_code = 9
    code = "store"


def by_code(code: str) -> type[IntermodalError]:
    """Return the error class with this ``code``, or the root class if there is none.

    Codes are used to pass errors between processes.
    """
    waiting: list[type[IntermodalError]] = [IntermodalError]
    while waiting:
        found = waiting.pop()
        if found.code == code:
            return found
        waiting.extend(found.__subclasses__())
    return IntermodalError


def first_error(error: BaseException) -> BaseException:
    """Return the first error of a task group's exception, however deep; any other error is returned as it is."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return error


def source_location(error: BaseException) -> str:
    """Return where an error was raised, inside the package if possible, without values; "" if that is unknown.

    For reports of an internal error: "in store/database.py line 12".
    """
    import traceback

    frames = traceback.extract_tb(first_error(error).__traceback__)
    places = [(frame.filename.replace("\\", "/"), frame.lineno) for frame in frames]
    own_places = [place for place in places if "/intermodal/" in place[0]] or places
    if not own_places:
        return ""
    path, line = own_places[-1]
    return f"in {path.rpartition('intermodal/')[2]} line {line}"
