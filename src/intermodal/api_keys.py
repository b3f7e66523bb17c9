"""API keys: read from an environment variable, else from the system's keyring where that extra is installed.

A key is never printed, logged or put into an error. It does not decide what may be used: consent does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intermodal.catalog.types import Host
from intermodal.errors import ConfigError, NotInstalled

SERVICE = "intermodal"  # the keyring's name for us; the user name there is the host's id


def find_key(host: Host, env: Mapping[str, str]) -> str | None:
    """Return the key of a host, None when there is none.

    Raises:
        ConfigError: the key has spaces or characters that no HTTP header may carry.
    """
    where = host.key_env
    key = env.get(host.key_env, "").strip() if host.key_env else ""
    if not key and host.auth != "none":
        where = "the keyring"
        key = _from_keyring(host.id)
    if not key:
        return None
    return _checked(key, where, host.id)


def store_key(host: str, key: str) -> None:
    """Store a key in the system's keyring.

    Raises:
        NotInstalled: there is no keyring here.
        ConfigError: the text cannot be a key.
    """
    checked = _checked(key.strip(), "the key given", host)
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


def _checked(key: str, where: str, host: str) -> str:
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
        return ""  # locked, or no backend: the same as no key


def _keyring() -> Any:
    """Return the keyring module, None when the extra is not installed."""
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return None
    return keyring
