"""Errors of connections: their wording, and whether the request may have been processed and billed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from intermodal import errors
from intermodal.transport.timeouts import Timeouts

# The phase of a failure determines its meaning and whether it may have cost money.
Phase = Literal["connecting", "sending", "waiting", "answering"]

# httpx's exception classes -> (phase that they prove, or "" if the state of the request decides; wording).
FAILURES: Mapping[str, tuple[Phase | Literal[""], str]] = {
    "ConnectTimeout": ("connecting", "cannot be connected to in time"),
    "ConnectError": ("connecting", "cannot be connected to"),
    "PoolTimeout": ("connecting", "has too many requests of ours open"),
    "ProxyError": ("connecting", "cannot be reached through the proxy"),
    "UnsupportedProtocol": ("connecting", "has an address that is neither http nor https"),
    "InvalidURL": ("connecting", "has an address that is not a URL"),
    "LocalProtocolError": ("", "cannot be sent a request like this"),
    "WriteTimeout": ("", "takes the request too slowly"),
    "WriteError": ("", "closed the connection while the request was sent"),
    "ReadTimeout": ("", "is silent"),
    "ReadError": ("", "closed the connection"),
    "CloseError": ("", "closed the connection"),
    "RemoteProtocolError": ("", "closed the connection"),
    "DecodingError": ("answering", "sent a reply whose compression is broken"),
    "TooManyRedirects": ("", "redirects"),
    # Base classes, for subclasses that httpx may add, and errors that only misuse of a reply raises.
    "TimeoutException": ("", "is silent"),
    "NetworkError": ("", "cannot be reached"),
    "ProtocolError": ("", "does not speak HTTP as agreed"),
    "TransportError": ("", "cannot be reached"),
    "RequestError": ("", "cannot be reached"),
    "HTTPStatusError": ("answering", "answered with an error"),
    "HTTPError": ("", "cannot be reached"),
    "StreamError": ("answering", "sent a reply that cannot be read"),
    "StreamConsumed": ("answering", "sent a reply that cannot be read"),
    "StreamClosed": ("answering", "sent a reply that cannot be read"),
    "ResponseNotRead": ("answering", "sent a reply that cannot be read"),
    "RequestNotRead": ("connecting", "cannot be sent a request like this"),
    "CookieConflict": ("answering", "sent a reply that cannot be read"),
}

UNREADABLE = "sent a reply that cannot be read as HTTP"


class NoCertificates(OSError):
    """The file or folder named by an environment variable has no readable certificates."""


def unanswered_error(what: str, where: str, *, was_sent: bool, is_reused: bool, seconds: float) -> errors.Unreachable:
    """Return the error for a connection that ended before any of a reply arrived.

    ``was_sent``: the whole request may have arrived. ``is_reused``: the connection had served another request.
    ``seconds``: time since the request.
    """
    after = " without an answer" if was_sent and what != UNREADABLE else ""
    found = errors.Unreachable(what + after, where=where, sent=was_sent)
    if was_sent and what == FAILURES["ReadError"][1]:
        found.record_close(is_reused=is_reused, seconds=seconds)
    return found


def silent_host_error(
    where: str, timeouts: Timeouts, *, was_sent: bool, answering: bool, wordless: bool
) -> errors.CallError:
    """Return the error for a host that did not answer in time.

    Args:
        was_sent: the whole request may have arrived. answering: some of the reply arrived. wordless: but no word of it.
    """
    if answering and wordless:
        what = f"said no word within {timeouts.first_byte:g} s"
        return errors.StreamCut(what, where=where, todo="allow more time")
    if answering:
        what = f"went silent for {timeouts.idle:g} s in the middle of its answer"
        return errors.StreamCut(what, where=where, todo="ask again")
    what = f"gave no answer within {timeouts.first_byte:g} s"
    return errors.Unreachable(what, where=where, todo="allow more time", sent=was_sent)


_MISNAMED, _EXPIRED = (62, 64), 10  # of OpenSSL: X509_V_ERR_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH, _CERT_HAS_EXPIRED


def connection_failure_reason(error: BaseException) -> tuple[str, str]:
    """Return the cause of a failed connection in words, and the fix.

    The system's own message is not used, since it may name addresses and paths.
    """
    import socket
    import ssl

    waiting: list[BaseException | None] = [error]
    seen_errors: list[BaseException] = []
    while waiting:
        found = waiting.pop()
        if found is None or found in seen_errors:
            continue
        seen_errors.append(found)
        waiting += [found.__cause__, found.__context__, *getattr(found, "exceptions", ())]
    certificate_problem = next((str(found) for found in seen_errors if isinstance(found, NoCertificates)), "")
    if certificate_problem:
        todo = f"correct {certificate_problem}, or unset it: the authorities that browsers trust are used then"
        return f": {certificate_problem} names no certificates that can be read", todo
    text = " ".join(str(found) for found in seen_errors)
    code = next((found.verify_code for found in seen_errors if isinstance(found, ssl.SSLCertVerificationError)), 0)
    if code in _MISNAMED:
        return ": its certificate is for another name", "write the host's base_url with the name in its certificate"
    if code == _EXPIRED:
        return ": its certificate has expired", "have it renewed, and check the clock of this machine"
    if (
        any(isinstance(found, ssl.SSLCertVerificationError) for found in seen_errors)
        or "CERTIFICATE_VERIFY_FAILED" in text
    ):
        return ": its certificate is not trusted", "check the address, or set SSL_CERT_FILE to your own authority"
    if any(isinstance(found, ssl.SSLError) for found in seen_errors):
        return ": no TLS connection could be made", "check whether the address should begin with http: or https:"
    if any(isinstance(found, socket.gaierror) for found in seen_errors):
        return ": its name is not known", "check the host's base_url and the network"
    if any(isinstance(found, ConnectionRefusedError) for found in seen_errors) or "refused" in text.lower():
        return ": nothing listens there", "start the server, or check the host's base_url"
    return "", "check the host's base_url and the network"
