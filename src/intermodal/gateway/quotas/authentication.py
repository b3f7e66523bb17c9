"""Who may call: with no key made and on loopback anybody of this machine, otherwise nobody without a key.

A gateway that once had keys stays closed, also when the last of them is revoked or has expired.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from intermodal.errors import ConfigError, StoreError
from intermodal.gateway.quotas.key_generation import MAX_SECRET_LENGTH, digest
from intermodal.gateway.quotas.quota_types import ANONYMOUS, POLICY, QuotaRefusal, VirtualKey
from intermodal.hints import hint

if TYPE_CHECKING:
    from intermodal.gateway.quotas.quota_store import QuotaStore

# So long a key that was revoked may still be taken: a tenth of a second, of which a part passes after the look.
KEY_REFRESH_SECONDS = 0.09
RECHECK_SECONDS = 0.01  # seconds after which who was let in is looked at again before anything is done
_EXPECTED = 1.0  # seconds after a request in which another is looked out for
_NAMES = ("authorization", "x-api-key", "api-key")
_NONE = QuotaRefusal(
    status=401, code="invalid_api_key",
    words="no key was sent; send one as 'Authorization: Bearer im-…' or 'x-api-key: im-…'",
)  # fmt: skip
_WRONG = QuotaRefusal(status=401, code="invalid_api_key", words="this is no key of this gateway")
_EXPIRED = QuotaRefusal(status=401, code="invalid_api_key", words="this key has expired")
_REVOKED = QuotaRefusal(status=401, code="invalid_api_key", words="this key was revoked")
_SEVERAL = QuotaRefusal(status=400, code="invalid_api_key", words="several different keys were sent; send one")


def is_loopback_host(host: str) -> bool:
    """Whether only this machine can connect to what listens there. A name counts only when it is localhost."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Authenticator:
    """Keys as this process knows them, looked up again ten times a second while requests come."""

    def __init__(self, books: QuotaStore, clock: Callable[[], float]) -> None:
        self._books = books
        self._clock = clock
        self._version = -1
        self._looked = -1.0
        self._asked = -1.0
        self._known: dict[bytes, VirtualKey] = {}
        self._by_id: dict[str, VirtualKey] = {}
        self._open = False
        self._unread: StoreError | None = None  # why the last look failed

    def check_bind(self, host: str) -> None:
        """Raises ConfigError for an address others can reach while there is no key they would need."""
        self._look()
        if not self._known and not is_loopback_host(host):
            raise ConfigError(
                "others can reach this address, and there is no key yet",
                where=hint("{host=}", host),
                todo="make one: intermodal keys create NAME, or serve 127.0.0.1",
            )
        self._open = is_loopback_host(host) and not self._known

    @property
    def keyed(self) -> bool:
        """A key is asked for."""
        return bool(self._known) or not self._open

    def who(self, headers: Mapping[str, str]) -> VirtualKey | QuotaRefusal:
        """Whose request this is. ``headers``: names in lower case. Raises StoreError."""
        now = self._asked = self._clock()
        if not 0 <= now - self._looked < KEY_REFRESH_SECONDS:
            self._look()
        elif self._unread is not None:  # what was known before may be revoked
            raise self._unread.with_traceback(None)
        if not self._known and self._open:
            return ANONYMOUS
        presented = {_secret(name, headers[name]) for name in _NAMES if name in headers}
        if len(presented) != 1:
            return _SEVERAL if presented else _NONE
        secret = presented.pop()
        key = self._known.get(digest(secret)) if len(secret) <= MAX_SECRET_LENGTH else None
        if key is None and len(secret) <= MAX_SECRET_LENGTH and self._look():  # made this very moment
            key = self._known.get(digest(secret))
        if key is None:
            return _WRONG
        if key.revoked is not None:
            return _REVOKED
        if key.expires is not None and now >= key.expires:
            return _EXPIRED
        return key

    def still(self, key: VirtualKey) -> bool:
        """Whether who was found before is who would be found now: nothing is to be looked up, and it may call."""
        now = self._asked = self._clock()
        return (
            0 <= now - self._looked < KEY_REFRESH_SECONDS and self._unread is None and self._by_id.get(key.id) is key
            and key.revoked is None and (key.expires is None or now < key.expires)
        )  # fmt: skip

    @property
    def expecting(self) -> bool:
        """Somebody asked lately, so that it is worth while to ``look_ahead``."""
        return 0 <= self._clock() - self._asked < _EXPECTED

    def look_ahead(self) -> None:
        """In a thread, see whether keys changed, so that nobody who asks has to wait for it. Raises StoreError."""
        now = self._clock()
        same = self._books.version() == self._version and self._unread is None
        self._looked = now if same else -1.0

    def key(self, name: str) -> VirtualKey:
        """By its id, as ``who`` found it."""
        return self._by_id.get(name, ANONYMOUS)

    def as_it_is(self, key: VirtualKey) -> VirtualKey:
        """A key that was found a while ago: its limits may be others now."""
        return self._by_id.get(key.id, key)

    def _look(self) -> bool:
        """Read the keys again if they changed; True if so."""
        self._looked = self._clock()
        try:
            changed = self._read()
        except StoreError as error:
            self._unread = error
            raise
        self._unread = None
        return changed

    def _read(self) -> bool:
        version = self._books.version()
        if version == self._version:
            return False
        before = {key.id: key for key in self._known.values()}
        # A key that did not change stays the same object: what is drawn for it hangs on that.
        fresh = (key if before.get(key.id) != key else before[key.id] for key in self._books.every_key())
        self._known, self._version = {key.digest: key for key in fresh}, version
        self._by_id = {key.id: key for key in self._known.values()}
        self._open = self._open and not self._known
        return True


def _secret(name: str, value: str) -> str:
    text = value.strip()
    scheme, _, rest = text.partition(" ")
    return rest.strip() if name == "authorization" and scheme.lower() == "bearer" else text


def model_refusal(key: VirtualKey, *names: str) -> QuotaRefusal | None:
    """None, or why this key may not ask for what goes by these names; the first is what was asked for."""
    if key.asks(*names):
        return None
    there = ", ".join((*key.models, *(POLICY + name for name in key.policies)))
    return QuotaRefusal(
        status=403,
        code="model_not_allowed",
        words=f"key {key.name!r} may not ask for {names[0]}; it may ask for {there}",
    )
