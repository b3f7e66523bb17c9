"""Who may call: open on loopback while there is no key, closed in every other case."""

from __future__ import annotations

from pathlib import Path

import pytest

from intermodal.errors import ConfigError
from intermodal.gateway.quotas.authentication import Authenticator, digest, model_refusal, new_secret
from intermodal.gateway.quotas.quota_types import ANONYMOUS, QuotaRefusal, VirtualKey
from intermodal.gateway.quotas.sqlite_store import FILE, SqliteQuotaStore


class World:
    def __init__(self, folder: Path) -> None:
        self.now = 1e9
        self.quota_store = SqliteQuotaStore(folder / FILE)
        self.access = Authenticator(self.quota_store, lambda: self.now)

    def add(self, name: str, expires: float | None = None) -> str:
        secret = new_secret()
        self.quota_store.add(VirtualKey(id=name, name=name, digest=digest(secret), expires=expires))
        return secret

    def status(self, *headers: tuple[str, str]) -> int:
        found = self.access.authenticate(dict(headers))
        return found.status if isinstance(found, QuotaRefusal) else 200


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def bearer(secret: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {secret}")


def test_without_keys_loopback_is_open_and_nothing_else_is_served(world: World) -> None:
    assert world.status() == 401, "before it is known where it listens, nobody comes in"
    world.access.check_bind("127.0.0.1")
    assert world.access.authenticate({}) is ANONYMOUS
    assert world.status(bearer("sk-anything")) == 200
    for host in ("0.0.0.0", "::", "192.168.1.4", "gateway.example", "localhost.example"):
        with pytest.raises(ConfigError, match="keys create"):
            world.access.check_bind(host)


def test_a_key_closes_the_gateway_for_good(world: World) -> None:
    world.access.check_bind("127.0.0.1")
    assert world.status() == 200
    secret = world.add("app")
    world.now += 0.2
    assert world.status() == 401
    assert world.status(bearer(secret)) == 200
    assert world.status(("x-api-key", secret)) == 200
    world.quota_store.revoke("app", world.now)
    world.now += 0.2
    assert world.status(bearer(secret)) == 401
    assert world.status() == 401, "revoking the last key does not open it again"


def test_a_new_key_is_taken_at_once_and_a_revoked_one_within_a_tenth_of_a_second(world: World) -> None:
    first = world.add("first")
    world.access.check_bind("0.0.0.0")
    second = world.add("second")
    assert world.status(bearer(second)) == 200
    world.quota_store.revoke("first", world.now)
    world.now += 0.11
    assert world.status(bearer(first)) == 401


def test_keys_end_when_they_said(world: World) -> None:
    secret = world.add("app", expires=world.now + 10)
    world.access.check_bind("127.0.0.1")
    assert world.status(bearer(secret)) == 200
    world.now += 10
    assert world.status(bearer(secret)) == 401


@pytest.mark.parametrize(
    "header",
    [
        ("authorization", ""),
        ("authorization", "Bearer"),
        ("authorization", "Bearer im-"),
        ("authorization", "Basic aW06"),
        ("authorization", "Bearer " + "i" * 100_000),
        ("authorization", "Bearer ' OR 1=1 --"),
        ("authorization", "Bearer im-\xc3\xa9"),
        ("authorization", "Bearer \xff\xfe\x00\udc80"),
        ("x-api-key", "%00"),
        ("cookie", "key=im-123"),
    ],
)
def test_an_invalid_authorization_header_gets_401(world: World, header: tuple[str, str]) -> None:
    world.add("app")
    world.access.check_bind("127.0.0.1")
    assert world.status(header) == 401


def test_two_different_keys_are_refused_and_the_same_twice_is_one(world: World) -> None:
    one, two = world.add("one"), world.add("two")
    world.access.check_bind("127.0.0.1")
    assert world.status(bearer(one), ("x-api-key", two)) == 400
    assert world.status(bearer(one), ("x-api-key", one)) == 200


def test_the_secret_is_nowhere_in_the_store(world: World, tmp_path: Path) -> None:
    secret = world.add("app")
    world.quota_store.close()
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()


def test_a_key_asks_for_what_it_may(world: World) -> None:
    key = VirtualKey(id="k", name="k", models=("qwen/*", "auto"), policies=("careful",))
    assert model_refusal(key, "qwen/qwen3-8b") is None
    assert model_refusal(key, "qwen3-8b", "qwen/qwen3-8b") is None, "a short name stands for the model it means"
    assert model_refusal(key, "auto") is None
    assert model_refusal(key, "policy:careful") is None
    for refused in map(model_refusal, [key] * 3, ["openai/gpt-4o", "autos", "policy:wild"]):
        assert refused is not None and refused.status == 403
    assert model_refusal(VirtualKey(id="k", name="k"), "policy:any") is None
    assert model_refusal(VirtualKey(id="k", name="k", models=("*",)), "policy:any") is not None, "no way around a list"
    assert model_refusal(VirtualKey(id="k", name="k", policies=("any",)), "auto") is not None
