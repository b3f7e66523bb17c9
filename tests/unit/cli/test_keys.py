"""``intermodal keys``: a secret is shown once, limits are kept as they were said, mistakes are one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli

from intermodal.gateway.quotas.authentication import digest
from intermodal.gateway.quotas.quota_types import NANODOLLARS, Budget, RateLimit
from intermodal.gateway.quotas.sqlite_store import FILE, SqliteQuotaStore


@pytest.fixture
def file(own_home: Path) -> Path:
    return own_home / "data" / FILE


def test_a_key_is_shown_once_and_kept_as_a_hash(cli: Cli, file: Path) -> None:
    made = cli(
        "keys", "create", "app", "--budget", "5", "--tokens", "2_000_000/day", "--rpm", "60", "--model", "qwen/*"
    )
    assert made.code == 0
    secret = made.out.strip()
    assert secret.startswith("im-") and len(secret) == 46, "standard output holds the secret and nothing else"
    (key,) = SqliteQuotaStore(file).every_key()
    assert key.digest == digest(secret)
    assert key.budgets == (
        Budget(unit="usd", limit=5 * NANODOLLARS),
        Budget(unit="tokens", limit=2_000_000, period="day"),
    )
    assert (key.rate, key.models) == (RateLimit(rpm=60), ("qwen/*",))
    for shown in (cli("keys", "list"), cli("keys", "list", "--json"), cli("keys", "revoke", "app", "--json")):
        assert shown.code == 0 and secret not in shown.out + shown.err


def test_keys_are_listed_with_what_they_spent(cli: Cli, file: Path) -> None:
    assert cli("keys", "list", "--json").document["keys"] == []
    assert not file.exists(), "looking makes no file"
    cli("keys", "create", "app", "--budget", "5/total")
    quota_store = SqliteQuotaStore(file)
    (key,) = quota_store.every_key()
    with quota_store._database.writing() as connection:
        connection.execute("INSERT INTO spending VALUES (?, '', 1500000000, 500000000)", (f"{key.id}/usd/total",))
    assert "$1.50 of $5.00 in all" in cli("keys", "list").out
    assert cli("keys").out == cli("keys", "list").out
    (told,) = cli("keys", "list", "--json").document["keys"]
    assert told["spending"][0] == {
        "unit": "usd", "period": "total", "since": "", "limit": 5.0, "spent": 1.5, "set_aside": 0.0, "unknown": 0.5,
    }  # fmt: skip


def test_a_revoked_key_stays_on_record_and_its_name_is_free(cli: Cli) -> None:
    first = cli("keys", "create", "app").out.strip()
    assert cli("keys", "create", "app").code == 2
    assert cli("keys", "revoke", first[:9]).code == 0
    assert cli("keys", "revoke", "app").code == 2
    assert cli("keys", "create", "app").code == 0
    states = [key["state"] for key in cli("keys", "list", "--all", "--json").document["keys"]]
    assert states == ["revoked", "active"]


@pytest.mark.parametrize(
    "words",
    [
        ["create", "a b"], ["create", ""], ["create", "x" * 65], ["create", "a", "--budget", "5/fortnight"],
        ["create", "a", "--budget", "-1"], ["create", "a", "--budget", "nan"], ["create", "a", "--budget", "inf/day"],
        ["create", "a", "--budget", "1e40"], ["create", "a", "--budget", "5", "--budget", "6/month"],
        ["create", "a", "--tokens", "many"], ["create", "a", "--tokens", "1.5"], ["create", "a", "--expires", "0h"],
        ["create", "a", "--expires", "0.0d"], ["create", "a", "--rpm", "0"], ["create", "a", "--expires", "soon"],
        ["create", "a", "--expires", "2001-01-01"], ["create", "a", "--model", "q*n*"], ["revoke", "nobody"],
        ["create", "a", "--rpm", "none"], ["create", "a", "--budget", "none"], ["set", "nobody", "--rpm", "5"],
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_and_makes_nothing(cli: Cli, file: Path, words: list[str]) -> None:
    done = cli("keys", *words)
    assert done.code == 2 and done.out == "" and "Traceback" not in done.err
    assert not file.exists() or not SqliteQuotaStore(file).every_key()


@pytest.mark.parametrize(
    "words",
    [
        [], ["--budget", "none", "--budget", "5"], ["--rpm", "0"], ["--rpm", "many"], ["--tpm", "-1"],
        ["--model", "any", "--model", "x"], ["--expires", "2001-01-01"], ["--budget", "5/fortnight"],
    ],
)  # fmt: skip
def test_a_change_that_is_none_changes_nothing(cli: Cli, file: Path, words: list[str]) -> None:
    cli("keys", "create", "app", "--budget", "5")
    before = SqliteQuotaStore(file).every_key()
    done = cli("keys", "set", "app", *words)
    assert done.code == 2 and done.out == "" and "Traceback" not in done.err
    assert SqliteQuotaStore(file).every_key() == before
    cli("keys", "revoke", "app")
    assert cli("keys", "set", "app", "--rpm", "5").code == 2


def test_limits_are_changed_and_what_is_not_said_stays(cli: Cli, file: Path) -> None:
    secret = cli("keys", "create", "app", "--budget", "5", "--budget", "1/day", "--tokens", "1000/day", "--rpm", "60",
                 "--tpm", "900", "--expires", "30d", "--model", "qwen/*", "--policy", "house").out.strip()  # fmt: skip
    (before,) = SqliteQuotaStore(file).every_key()
    done = cli("keys", "set", "app", "--budget", "20/month", "--rpm", "none", "--model", "any", "--expires", "never")
    assert done.code == 0 and "$20" in done.out and secret not in done.out + done.err
    (key,) = SqliteQuotaStore(file).every_key()
    assert (key.id, key.name, key.digest, key.start, key.created) == (
        before.id, before.name, digest(secret), before.start, before.created
    )  # fmt: skip
    tokens = Budget(unit="tokens", limit=1000, period="day")
    assert set(key.budgets) == {Budget(unit="usd", limit=20 * NANODOLLARS), tokens}
    assert (key.rate, key.models, key.policies, key.expires) == (RateLimit(tpm=900), (), ("house",), None)
    document = cli("keys", "set", secret[:9], "--budget", "none", "--policy", "a", "--policy", "b", "--json").document
    assert (document["rpm"], document["tpm"], document["policies"]) == (None, 900, ["a", "b"])
    (key,) = SqliteQuotaStore(file).every_key()
    assert key.budgets == (tokens,)


def test_a_secret_given_as_a_name_is_not_said_again(cli: Cli) -> None:
    secret = "im-" + "x" * 43
    done = cli("keys", "revoke", secret)
    assert done.code == 2 and secret not in done.err


def test_a_name_that_nobody_knows_is_remarked_and_the_key_is_made(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "i.toml"
    path.write_text(
        "[policies.careful]\n[serve.aliases]\nshort = 'box/one'\n"
        "[hosts.box]\nbase_url = 'http://127.0.0.1:1/v1'\n[[hosts.box.models]]\nid = 'box/one'\n"
    )
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    known = ("--model", "box/one", "--model", "box:box/one", "--model", "auto", "--model", "any/*", "--model", "short")
    made = cli("keys", "create", "app", *known, "--policy", "careful")
    assert made.code == 0 and "note:" not in made.err, made.err
    slips = cli("keys", "create", "b", "--model", "nope/zzz", "--model", "policy:careful", "--policy", "nope")
    assert slips.code == 0 and slips.out.startswith("im-")
    notes = [line for line in slips.err.splitlines() if line.startswith("note: key b: it may ask for ")]
    assert len(notes) == 3 and all(name in slips.err for name in ("nope/zzz", "policy:careful", "policy:nope"))
    assert "see: intermodal models" in slips.err and "/v1/models" not in slips.err
    assert "nope/other" in cli("keys", "set", "app", "--model", "nope/other").err
