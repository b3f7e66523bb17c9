"""API keys: read from an environment variable, or from the system keyring if the ``keyring`` extra is installed.

A key is never printed, logged or included in an error. Having a key does not permit use of a host: consent does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intermodal.catalog.types import Host
from intermodal.errors import ConfigError, NotInstalled

SERVICE = "intermodal"  # the service name in the keyring; the user name is the id of the host


def find_key(host: Host, env: Mapping[str, str]) -> str | None:
    """Return the API key of a host; None if there is none.

    Raises:
        ConfigError: the key contains spaces or characters that an HTTP header cannot carry.
    """
    where = host.key_env
    key = env.get(host.key_env, "").strip() if host.key_env else ""
    if not key and host.auth != "none":
        where = "the keyring"
        key = _from_keyring(host.id)
    if not key:
        return None
    return _check_key(key, where, host.id)


def store_key(host: str, key: str) -> None:
    """Store an API key in the system keyring.

    Raises:
        NotInstalled: no keyring is installed, or it is not writable.
        ConfigError: the text cannot be a key.
    """
    checked = _check_key(key.strip(), "the key given", host)
    keyring = _keyring()
    if keyring is None:
        raise NotInstalled(
            "no keyring is installed",
            todo="pip install 'intermodal[keyring]', or keep the key in an environment variable",
        )
    try:
        keyring.set_password(SERVICE, host, checked)
    except keyring.errors.KeyringError:
        raise NotInstalled(
            "the system has no keyring that can be written to", todo="keep the key in an environment variable"
        ) from None


def _check_key(key: str, where: str, host: str) -> str:
    if not (key.isascii() and key.isprintable()) or " " in key or not key:
        raise ConfigError(
            f"the key of {host} has spaces or characters that no key has", where=where, todo="enter it again"
        )
    return key


def _from_keyring(host: str) -> str:
    keyring = _keyring()
    if keyring is None:
        return ""
    try:
        return (keyring.get_password(SERVICE, host) or "").strip()
    except keyring.errors.KeyringError:
        return ""  # locked, or no backend: treated as no key


def _keyring() -> Any:
    """Return the keyring module; None if the extra is not installed."""
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return None
    return keyring
