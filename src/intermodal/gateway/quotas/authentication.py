"""Authentication by virtual key, and how keys are generated.

As long as no key exists, everyone on this machine may call a gateway on loopback. A gateway that once had keys stays
closed, even after the last key is revoked or has expired.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from intermodal.core.hints import hint
from intermodal.errors import ConfigError, StoreError
from intermodal.gateway.quotas.quota_types import ANONYMOUS, POLICY, QuotaRefusal, VirtualKey
from intermodal.transport.addresses import is_loopback

if TYPE_CHECKING:
    from intermodal.gateway.quotas.quota_store import QuotaStore


# ---- key generation ---------------------------------------------------------------------------------
#
# Secrets of virtual keys: generated here, shown once, stored as their SHA-256.
#
# A secret has 256 random bits, so one fast hash is enough: slow hashes protect passwords chosen by people. Looking a
# key up by its hash leaks nothing by timing, since a client cannot choose the hash of the secret it presents.

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


# ---- authentication ---------------------------------------------------------------------------------

# How long a revoked key may still be accepted: a tenth of a second, part of which passes after the check.
KEY_REFRESH_SECONDS = 0.09
RECHECK_SECONDS = 0.01  # seconds after which an authenticated key is checked again before anything is done
_NEXT_REQUEST_SECONDS = 1.0  # seconds after a request in which another one is expected
_NAMES = ("authorization", "x-api-key", "api-key")
_NONE = QuotaRefusal(
    status=401, code="invalid_api_key",
    words="no key was sent; send one as 'Authorization: Bearer im-…' or 'x-api-key: im-…'",
)  # fmt: skip
_WRONG = QuotaRefusal(status=401, code="invalid_api_key", words="this is not a key of this gateway")
_EXPIRED_KEY = QuotaRefusal(status=401, code="invalid_api_key", words="this key has expired")
_REVOKED_KEY = QuotaRefusal(status=401, code="invalid_api_key", words="this key was revoked")
_SEVERAL = QuotaRefusal(status=400, code="invalid_api_key", words="several different keys were sent; send one")


class Authenticator:
    """The keys known to this process, refreshed ten times a second while requests arrive."""

    def __init__(self, quota_store: QuotaStore, clock: Callable[[], float]) -> None:
        self._quota_store = quota_store
        self._clock = clock
        self._version = -1
        self._looked = -1.0
        self._asked = -1.0
        self._known: dict[bytes, VirtualKey] = {}
        self._by_id: dict[str, VirtualKey] = {}
        self._open = False
        self._unread: StoreError | None = None  # why the last look failed

    def check_bind(self, host: str) -> None:
        """Raise ConfigError if other machines can reach ``host`` and no key exists."""
        self._reload_if_changed()
        if not self._known and not is_loopback(host):
            raise ConfigError(
                "other machines can reach this address, and there is no key yet",
                where=hint("{host=}", host),
                todo="create one: intermodal keys create NAME, or serve 127.0.0.1",
            )
        self._open = is_loopback(host) and not self._known

    @property
    def needs_key(self) -> bool:
        """True if a key is needed."""
        return bool(self._known) or not self._open

    def authenticate(self, headers: Mapping[str, str]) -> VirtualKey | QuotaRefusal:
        """Return the key that a request presents, or a refusal. ``headers``: names in lower case.

        Raises StoreError.
        """
        now = self._asked = self._clock()
        if not 0 <= now - self._looked < KEY_REFRESH_SECONDS:
            self._reload_if_changed()
        elif self._unread is not None:  # the last known state may be revoked
            raise self._unread.with_traceback(None)
        if not self._known and self._open:
            return ANONYMOUS
        presented = {_secret(name, headers[name]) for name in _NAMES if name in headers}
        if len(presented) != 1:
            return _SEVERAL if presented else _NONE
        secret = presented.pop()
        key = self._known.get(digest(secret)) if len(secret) <= MAX_SECRET_LENGTH else None
        if key is None and len(secret) <= MAX_SECRET_LENGTH and self._reload_if_changed():  # created just now
            key = self._known.get(digest(secret))
        if key is None:
            return _WRONG
        if key.revoked is not None:
            return _REVOKED_KEY
        if key.expires is not None and now >= key.expires:
            return _EXPIRED_KEY
        return key

    def is_still_valid(self, key: VirtualKey) -> bool:
        """Return True if a key found before would be found again, without a lookup."""
        now = self._asked = self._clock()
        if not 0 <= now - self._looked < KEY_REFRESH_SECONDS or self._unread is not None:
            return False
        if key is ANONYMOUS:
            return self._open and not self._known
        return self._by_id.get(key.id) is key and key.revoked is None and (key.expires is None or now < key.expires)

    @property
    def had_recent_request(self) -> bool:
        """True if a request came lately, so that ``check_for_changes`` is worthwhile."""
        return 0 <= self._clock() - self._asked < _NEXT_REQUEST_SECONDS

    def check_for_changes(self) -> None:
        """Check in a thread whether keys changed, so that no request waits for it. Raises StoreError."""
        now = self._clock()
        same = self._quota_store.version() == self._version and self._unread is None
        self._looked = now if same else -1.0

    def as_it_is(self, key: VirtualKey) -> VirtualKey:
        """Return the current version of a key found earlier: its limits may have changed."""
        return self._by_id.get(key.id, key)

    def _reload_if_changed(self) -> bool:
        """Reload the keys if they changed; return True in that case."""
        self._looked = self._clock()
        try:
            changed = self._read_keys()
        except StoreError as error:
            self._unread = error
            raise
        self._unread = None
        return changed

    def _read_keys(self) -> bool:
        version = self._quota_store.version()
        if version == self._version:
            return False
        before = {key.id: key for key in self._known.values()}
        # An unchanged key stays the same object: its leases refer to it.
        fresh = (key if before.get(key.id) != key else before[key.id] for key in self._quota_store.every_key())
        self._known, self._version = {key.digest: key for key in fresh}, version
        self._by_id = {key.id: key for key in self._known.values()}
        self._open = self._open and not self._known
        return True


def _secret(name: str, value: str) -> str:
    text = value.strip()
    scheme, _, rest = text.partition(" ")
    return rest.strip() if name == "authorization" and scheme.lower() == "bearer" else text


def model_refusal(key: VirtualKey, *names: str) -> QuotaRefusal | None:
    """Return the refusal if a key does not allow these names, else None. The first name is the requested one."""
    if key.allows_any(*names):
        return None
    allowed_names = ", ".join((*key.models, *(POLICY + name for name in key.policies)))
    return QuotaRefusal(
        status=403,
        code="model_not_allowed",
        words=f"key {key.name!r} may not ask for {names[0]}; it may ask for {allowed_names}",
    )
