"""Scripts of web pages: those of ``[serve] origins`` may call it and read its answers, no others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.unit.gateway.conftest import POLICIES
from tests.unit.gateway.gateway_server import BY_EXECUTOR, STRONG, GatewayServer, config

from intermodal.gateway.openapi.openapi_document import ERROR_HEADERS, RESPONSE_HEADERS
from intermodal.gateway.quotas.authentication import digest
from intermodal.gateway.quotas.quota_types import VirtualKey
from intermodal.gateway.quotas.sqlite_store import FILE, SqliteQuotaStore
from intermodal.testing import FakeHost, Fault

PAGE, OTHER = "https://chat.example.com", "https://evil.example.com"
SECRET = f"im-page-{'0' * 40}"
ASKS = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}


@pytest.fixture
def paged(host: FakeHost, tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    """One with a key, and a page that may call it."""
    served = POLICIES.replace("[serve.aliases]", f'[serve]\norigins = ["{PAGE}/"]\n[serve.aliases]')
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, STRONG), more=served)
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    (own_home / "data").mkdir(exist_ok=True)
    quota_store = SqliteQuotaStore(own_home / "data" / FILE)
    quota_store.add(VirtualKey(id="k", name="page", digest=digest(SECRET)))
    quota_store.close()
    with GatewayServer() as house:
        yield house


def chat(house: GatewayServer, origin: str = PAGE, *, key: str = SECRET, **more: object) -> httpx.Response:
    return house.chat(headers={"origin": origin, "authorization": f"Bearer {key}"}, **more)


def cors(found: httpx.Response) -> dict[str, str]:
    return {name: said for name, said in found.headers.items() if name.startswith("access-control-") or name == "vary"}


def readable(found: httpx.Response, name: str) -> bool:
    """Whether the page's script sees this header, as a browser decides it."""
    shown = {each.strip() for each in found.headers["access-control-expose-headers"].split(",")}
    return found.headers["access-control-allow-origin"] == PAGE and name in shown


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/v1/plans/x", "/api/chat", "/nothing/here"])
def test_a_browser_asks_first_and_needs_no_key_for_that(paged: GatewayServer, path: str) -> None:
    found = paged.http.options(path, headers={"origin": PAGE, **ASKS})
    assert (found.status_code, found.content) == (204, b"")
    assert found.headers["access-control-allow-origin"] == PAGE
    assert "POST" in found.headers["access-control-allow-methods"]
    assert found.headers["access-control-allow-headers"] == ASKS["access-control-request-headers"]
    assert int(found.headers["access-control-max-age"]) > 0 and "origin" in found.headers["vary"].lower()
    assert "content-length" not in found.headers
    assert paged.http.get(path, headers={"origin": PAGE}).status_code == 401  # what it asks then needs one


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(
    "more",
    [{}, {"stream": True}, BY_EXECUTOR, {"stream": True, **BY_EXECUTOR}],
    ids=str,
)  # fmt: skip
def test_a_page_reads_the_answer_and_how_it_came_about(paged: GatewayServer, more: dict[str, object]) -> None:
    for _ in range(2):  # on a connection that was asked first, too
        found = chat(paged, **more)
        assert found.status_code == 200, found.text
        assert readable(found, "x-intermodal-route") and "vary" in found.headers
        assert found.headers.get_list("access-control-allow-origin") == [PAGE]
        ours = [name for name in found.headers if name.startswith(("x-intermodal-", "x-request-id"))]
        assert ours and all(readable(found, name) for name in ours)
    assert not cors(paged.chat(headers={"authorization": f"Bearer {SECRET}"}, **more))  # on that connection, without


@pytest.mark.usefixtures("either_way")
def test_a_page_reads_why_it_was_refused(paged: GatewayServer, host: FakeHost) -> None:
    assert readable(chat(paged, key="im-none"), "x-should-retry")
    assert readable(chat(paged, model="no/such"), "x-request-id")
    host.fault = Fault("limited", 500)
    found = chat(paged)
    assert found.status_code == 429 and readable(found, "retry-after")


def test_every_header_of_ours_can_be_read(paged: GatewayServer) -> None:
    found = paged.http.get("/healthz", headers={"origin": PAGE})
    assert all(readable(found, name) for name in (*RESPONSE_HEADERS, *ERROR_HEADERS, "x-request-id"))


def test_another_page_is_refused_and_told_nothing(paged: GatewayServer, host: FakeHost) -> None:
    for origin in (OTHER, "null", PAGE + ".evil.example", PAGE.replace("https", "http"), PAGE + ":444"):
        for found in (chat(paged, origin), paged.http.options("/v1/models", headers={"origin": origin, **ASKS})):
            assert found.status_code == 403
            assert not cors(found)
    assert host.attempts == []


def test_options_that_no_browser_asks_for_a_page_are_as_before(paged: GatewayServer) -> None:
    key = {"authorization": f"Bearer {SECRET}"}
    assert paged.http.options("/v1/models", headers=key).status_code == 405
    assert paged.http.options("/v1/models", headers={**key, **ASKS}).status_code == 405
    assert paged.http.options("/v1/models", headers={**key, "origin": PAGE}).status_code == 405
    assert paged.http.options("/v1/models", headers=ASKS).status_code == 401
