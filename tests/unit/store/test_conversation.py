"""The last conversation, and only that one."""

from __future__ import annotations

from pathlib import Path

import pytest

from intermodal.core.content import File, PathSource, Text
from intermodal.core.request import Message, Policy
from intermodal.store.database import Store


def conversation(text: str) -> tuple[Message, ...]:
    return (
        Message(role="user", parts=(Text(text=text), File(source=PathSource(path="call.wav")))),
        Message(role="assistant", parts=(Text(text="yes"),)),
    )


def test_a_conversation_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    assert Store(path).save_conversation(conversation("and now?"), "host:model", Policy(private=("audio",)))
    found = Store(path).last_conversation()
    assert found is not None and found.messages == conversation("and now?") and found.endpoint == "host:model"
    assert found.policy.private == ("audio",)


def test_only_the_last_one_is_kept_and_the_one_before_is_wiped(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite3")
    store.save_conversation(conversation("the first secret"), "e", Policy())
    store.save_conversation(conversation("another"), "e", Policy())
    store.close()
    assert b"the first secret" not in store.path.read_bytes()
    found = store.last_conversation()
    assert found is not None and found.messages == conversation("another")


def test_a_conversation_over_the_size_limit_is_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intermodal.store.database.MAX_CONVERSATION", 100)
    store = Store(tmp_path / "store.sqlite3")
    assert not store.save_conversation(conversation("x" * 200), "e", Policy())
    assert store.last_conversation() is None
