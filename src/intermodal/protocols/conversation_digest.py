"""What a conversation is known by: bytes for its roles and parts, in order, which a SHA-256 is made of.

Clients send the whole conversation and no id, so its content is its name. The executor makes the digest of a request's
parts, the direct path while it reads a body; both are the same. Call ids and thinking are left out: not every client
sends them.
"""

from __future__ import annotations

import hashlib
from typing import Any

PART = b"\0"  # before each part
BEGINNINGS = {role: b"\0\0%b" % role.encode() for role in ("system", "user", "assistant", "tool")}  # of a message
TEXT_BEGINNINGS = {role: beginning + PART for role, beginning in BEGINNINGS.items()}  # of one that begins with a text


def begin_digest(owner: str) -> Any:
    """Return the digest of a conversation before its first message, which is one of its owner's."""
    return hashlib.sha256(owner.encode())


def text_identity(text: str) -> bytes:
    """Return what tells a text from others: blanks around it do not."""
    return text.strip().encode("utf-8", "replace")


def exact_identity(text: str) -> bytes:
    """Return what tells a tool's name, its result or the URL of media from others."""
    return text.encode("utf-8", "replace")
