"""Secrets of virtual keys: generated here, shown once, stored as their SHA-256.

A secret has 256 random bits, so one fast hash is enough: slow hashes protect passwords chosen by people. Looking a key
up by its hash leaks nothing by timing, since a client cannot choose the hash of the secret it presents.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid

PREFIX = "im-"
SHOWN_CHARACTERS = 9  # characters of a key that are kept to tell keys apart
MAX_SECRET_LENGTH = 256  # characters of a presented secret; longer ones are rejected


def new_secret() -> str:
    """Return a new secret: ``im-`` and 43 characters of URL-safe base64."""
    return PREFIX + secrets.token_urlsafe(32)


def new_id() -> str:
    return uuid.uuid4().hex[:12]


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
