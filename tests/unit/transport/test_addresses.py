"""Addresses of hosts and of servers."""

from __future__ import annotations

import pytest

from intermodal.transport.addresses import is_loopback


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True),
     ("LOCALHOST.", True), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("", False),
     ("127.0.0.1.example", False), ("0177.1", False)],
)  # fmt: skip
def test_loopback_is_what_only_this_machine_reaches(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
