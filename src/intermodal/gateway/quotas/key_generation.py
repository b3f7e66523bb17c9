"""Secrets of virtual keys: generated here, shown once, stored as their SHA-256.

A secret has 256 random bits, so one fast hash is enough: slow hashes protect passwords that people invent. Looking a
key up by its hash leaks nothing by timing, since nobody can choose the hash of what they present.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid

PREFIX = "im-"
SHOWN_CHARACTERS = 9  # characters of it that are kept, to tell keys apart
MAX_SECRET_LENGTH = 256  # of what is presented; more is no key of ours


def new_secret() -> str:
    """Return a new secret: ``im-`` and 43 characters of URL-safe base64."""
    return PREFIX + secrets.token_urlsafe(32)


def new_id() -> str:
    return uuid.uuid4().hex[:12]


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
