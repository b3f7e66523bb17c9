"""HTML in place of an answer: a base_url that leads elsewhere, a login page, a proxy's own error.

Servers send it with status 200, and some with headers that announce JSON or an event stream. Another endpoint may
answer, so the error allows another route.
"""

from __future__ import annotations

from collections.abc import Mapping

from intermodal import errors

_TODO = "check the host's base_url"


def announces_web_page(headers: Mapping[str, str]) -> bool:
    """Return whether the headers (with lower-case names) announce a web page."""
    return headers.get("content-type", "").lower().startswith("text/html")


def begins_with_markup(data: bytes) -> bool:
    """Return whether a body begins with markup: no JSON and no event stream begins so."""
    return data[:1] == b"<"


def web_page_error(endpoint: str, status: int = 200) -> errors.CallError:
    """Return the error for a reply whose headers announce a web page."""
    return _error("answered with a web page and not as a model's server does", endpoint, status)


def markup_error(endpoint: str, status: int = 200) -> errors.CallError:
    """Return the error for a reply whose body is markup, whatever its headers claim."""
    return _error("answered with markup, as of a web page, and not as a model's server does", endpoint, status)


def _error(what: str, endpoint: str, status: int) -> errors.CallError:
    return errors.CallError(what, where=endpoint, todo=_TODO, status=status)
