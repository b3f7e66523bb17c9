"""D1, D2, D3, D14: a URL is read one way, checked where it is dialled, and never leads inside."""

from __future__ import annotations

import gzip
import importlib
import ipaddress
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpcore
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.gates.victim import Resolver, Victim, answer, redirect

from intermodal.core.content import UrlSource
from intermodal.errors import InputBroken, InputError, InputMissing, InputTooLarge, UrlBlocked
from intermodal.media.fetch import Fetcher
from intermodal.media.url_policy import Address, is_public, parse_url

pytestmark = [pytest.mark.gate]

HOME = "127.0.0.1"  # where the tests' "public" server lives; 127.0.0.2 and all others stay closed


def only_home(address: Address) -> bool:
    return str(address) == HOME or is_public(address)


# ---- D1 ------------------------------------------------------------------------------------------

LITERALS = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.1.2.3",
    "127.255.255.254", "168.63.129.16", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255",
    "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.255", "198.18.0.1",
    "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "[::]", "[::1]",
    "[0:0:0:0:0:0:0:1]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:169.254.169.254]",
    "[::ffff:0:127.0.0.1]", "[::10.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a00:1]",
    "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]", "[2002:c0a8:1::]", "[2001::1]", "[2001:0:7f00:1::]", "[2001:10::1]",
    "[2001:20::1]", "[2001:db8::1]", "[3fff::1]", "[100::1]", "[fc00::1]", "[fd00:ec2::254]", "[fd00::1]",
    "[fe80::1]", "[fec0::1]", "[ff02::1]", "[5f00::1]", "[4000::1]", "[2606:4700::5efe:7f00:1]",
    "[2606:4700::200:5efe:a00:1]",
]  # fmt: skip
ODD_HOSTS = [
    "2130706433", "017700000001", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "127.0.1", "127.0.0.1.",
    "0x7f.1", "00.0.0.0", "127.0.0.01", "1.1.1.0x1", "1.1.1", "1.1.1.1.1", "256.256.256.256", "0", "0x0",
    "0xA9FEA9FE", "2852039166", "127。0。0。1", "127．0．0．1", "①②⑦.⓪.⓪.①", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "localhost", "LOCALHOST",
    "localhost.", "foo.localhost", "localhost.localdomain", "metadata.google.internal", "printer.local", "router.lan",
    "x.home.arpa", "127.0.0.1%00.example.com", "example.com%2f@127.0.0.1", "%31%32%37.0.0.1", "exa mple.com",
    "exam\tple.com", "exam\nple.com", "example.com\r\nHost: 127.0.0.1", "user@127.0.0.1", "user:pass@example.com",
    "1.1.1.1@127.0.0.1", "127.0.0.1\\@1.1.1.1", "1.1.1.1\\@127.0.0.1", "1.1.1.1\\.127.0.0.1", "[::1%25lo]",
    "[::1%lo]", "[fe80::1%25eth0]", "[::1", "::1", "[127.0.0.1]", "[v1.x]", "[]", "", "example..com", ".example.com",
    "-example.com", "exa_mple-.com", "a" * 64 + ".com", "example.com:", "example.com:0", "example.com:65536",
    "example.com:80x", "example.com:-1", "example.com:٨٠", "example.com:080", "münchen.de", "xn--",
    "example.com\u2025", "exam\u00adple.com", "\ufeffexample.com",
]  # fmt: skip
SCHEMES = [
    "file:///etc/passwd", "file://localhost/etc/passwd", "FILE:///etc/passwd", "ftp://127.0.0.1/x",
    "gopher://127.0.0.1:6379/_x", "dict://127.0.0.1:11211/stat", "ldap://127.0.0.1/x", "jar:http://127.0.0.1!/x",
    "unix:///var/run/docker.sock", "http+unix://%2fvar%2frun%2fdocker.sock/x", "ws://127.0.0.1/", "ssh://127.0.0.1/",
    "s3://bucket/key", "blob:http://127.0.0.1/x", "data:text/plain,hello", "data:text/html;base64,PGI+",
    "data:,hello", "data:image/svg+xml,<svg/>", "data:application/json,{}", "view-source:http://127.0.0.1/",
    "javascript:alert(1)", "about:blank", "http:127.0.0.1", "http:/127.0.0.1", "http:///127.0.0.1", "//127.0.0.1/x",
    "/etc/passwd", "etc/passwd", "..", "C:\\windows\\win.ini", "\\\\127.0.0.1\\share", "127.0.0.1", "1.1.1.1/x",
    " http://1.1.1.1/", "http://1.1.1.1/ x", "http://1.1.1.1/\r\nX: y", "ht\ttp://127.0.0.1/", "http://", "https://",
    "",
]  # fmt: skip


def d1_urls(port: int) -> list[str]:
    """The table. Literals and odd hosts get the victim's port, so that a hole would be a hit."""
    hosts = [f"http://{host}:{port}/" for host in LITERALS + ODD_HOSTS] + [f"https://{host}/" for host in LITERALS]
    return hosts + [scheme.replace("127.0.0.1/", f"127.0.0.1:{port}/") for scheme in SCHEMES]


@pytest.mark.anyio
async def test_d1_no_url_of_the_table_reaches_anything() -> None:
    resolver = Resolver({"metadata.google.internal": [[HOME]], "localhost": [[HOME]]})
    async with Victim({"/": answer()}) as victim, Victim({"/": answer()}, host="::1") as victim6:
        urls = d1_urls(victim.port)
        assert len(urls) >= 120
        for url in [*urls, f"http://[::1]:{victim6.port}/"]:
            with pytest.raises(UrlBlocked) as caught:
                await Fetcher(resolve=resolver).load(UrlSource(url=url))
            assert caught.value.todo
            assert str(caught.value).isprintable()
        assert (victim.hits, victim6.hits) == (0, 0)
        assert resolver.asked == [], "a name was looked up for a URL that must not be"


@pytest.mark.anyio
@pytest.mark.parametrize("inside", [literal.strip("[]") for literal in LITERALS])
async def test_d1_a_name_that_leads_inside_is_blocked(inside: str) -> None:
    resolver = Resolver({"files.example.com": [[inside]]})
    async with Victim({"/": answer()}) as victim:
        with pytest.raises(UrlBlocked, match="not on the open internet"):
            await Fetcher(resolve=resolver).load(UrlSource(url=f"http://files.example.com:{victim.port}/"))
        assert victim.hits == 0


def test_d1_open_addresses_are_open() -> None:
    """The guard is not a wall: what is public passes."""
    for text in (
        "1.1.1.1",
        "8.8.8.8",
        "93.184.216.34",
        "172.32.0.1",
        "100.128.0.1",
        "2606:4700:4700::1111",
        "2a00:1450:4001::1",
    ):
        assert is_public(ipaddress.ip_address(text)), text


# ---- D2 ------------------------------------------------------------------------------------------


def _yarl(url: str) -> str | None:
    host: str | None = importlib.import_module("yarl").URL(url).raw_host
    return host


def _urllib3(url: str) -> str | None:
    host: str | None = importlib.import_module("urllib3.util").parse_url(url).host
    return host.strip("[]") if host else host


def _httpx(url: str) -> str | None:
    found: bytes = importlib.import_module("httpx").URL(url).raw_host  # as sent; ``host`` is decoded for people
    return found.decode() or None


TWINS: dict[str, Callable[[str], str | None]] = {
    "urllib": lambda url: urlsplit(url).hostname, "httpx": _httpx, "urllib3": _urllib3, "yarl": _yarl,
}  # fmt: skip

_piece = st.text(alphabet="abz019.:-_@[]/\\#?%&=+~!$'()*,; \t\r\n\x00\x7f\u00a0\u3002\uff0eéß①", max_size=12)
_host = st.sampled_from(
    [
        "example.com",
        "1.1.1.1",
        "127.0.0.1",
        "[2606:4700::1]",
        "[::1]",
        "EXAMPLE.com",
        "xn--bcher-kva.de",
        "a-b.c",
        "2130706433",
    ]
)
_url = st.one_of(
    st.builds(lambda a, b, c, d: f"http://{a}{b}{c}/{d}", _piece, _host, _piece, _piece),
    st.builds(lambda a, b, c, d: f"http://{a}{b}{c}{d}", _host, _piece, _host, _piece),
    st.builds(lambda s, h, p: f"{s}://{h}/{p}", st.sampled_from(["http", "HTTP", "https", "hTTps"]), _host, _piece),
)


@settings(max_examples=500)
@given(_url)
@example("http://127.0.0.1\\@1.1.1.1/")
@example("http://1.1.1.1#@127.0.0.1/")
@example("http://1.1.1.1?@127.0.0.1/")
@example("http://1.1.1.1;@127.0.0.1/")
@example("http://exam\tple.com/")
def test_d2_what_passes_means_the_same_host_to_every_parser(url: str) -> None:
    try:
        target = parse_url(url)
    except UrlBlocked:
        return
    authority = url.split("://", 1)[1].split("/")[0].split("?")[0].split("#")[0]
    assert not set(authority) & set("\\\t\r\n %@")
    seen = {}
    for name, parse in TWINS.items():
        try:
            seen[name] = (parse(url) or "").lower()
        except ModuleNotFoundError:
            continue  # this parser is not installed here; urllib and httpx always are
        except Exception as error:
            pytest.fail(f"{name} refuses what was let through: {url!r} ({error})")
    assert {"urllib", "httpx"} <= set(seen)
    plain = {str(ipaddress.IPv6Address(host)) if ":" in host else host for host in seen.values()}
    assert plain == {target.host}, seen


# ---- D3 ------------------------------------------------------------------------------------------


def fetcher(resolver: Resolver, **options: Any) -> Fetcher:
    return Fetcher(resolve=resolver, may_dial=only_home, **options)


@pytest.mark.anyio
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.2:{port}/", "http://[::ffff:127.0.0.2]:{port}/", "http://inside.example.com:{port}/",
     "//127.0.0.2:{port}/", "http://localhost:{port}/", "http://2130706434:{port}/", "file:///etc/passwd", "http://x@127.0.0.2:{port}/",
     "http://127.0.0.1\\@127.0.0.2:{port}/", "gopher://127.0.0.2:{port}/"],
)  # fmt: skip
async def test_d3_no_redirect_leads_inside(status: int, target: str) -> None:
    async with Victim({"/": answer()}, host="127.0.0.2") as victim, Victim() as server:
        server.pages["/"] = redirect(target.format(port=victim.port), status)
        resolver = Resolver({"outside.example.com": [[HOME]], "inside.example.com": [["127.0.0.2"]]})
        with pytest.raises(UrlBlocked):
            await fetcher(resolver).load(UrlSource(url=f"http://outside.example.com:{server.port}/"))
        assert server.hits == 1
        assert victim.hits == 0


@pytest.mark.anyio
async def test_d3_a_page_that_redirects_in_html_is_just_text() -> None:
    async with Victim({"/": answer()}, host="127.0.0.2") as victim, Victim() as server:
        page = f'<meta http-equiv="refresh" content="0;url=http://127.0.0.2:{victim.port}/">'.encode()
        server.pages["/"] = answer(body=page)
        loaded = await fetcher(Resolver({})).load(UrlSource(url=f"http://127.0.0.1:{server.port}/"))
        assert loaded.data == page
        assert victim.hits == 0


@pytest.mark.anyio
async def test_d3_five_redirects_are_followed_and_the_rest_is_not() -> None:
    async with Victim() as server:
        server.pages = {f"/{n}": redirect(f"/{n + 1}") for n in range(11)}
        server.pages["/11"] = answer()
        assert (
            await fetcher(Resolver({})).load(UrlSource(url=f"http://127.0.0.1:{server.port}/7"))
        ).data == b"hello"  # 4 hops
        server.hits = 0
        with pytest.raises(UrlBlocked, match="redirects more than 5 times"):
            await fetcher(Resolver({})).load(UrlSource(url=f"http://127.0.0.1:{server.port}/0"))
        assert server.hits == 6


@pytest.mark.anyio
async def test_d3_a_name_is_resolved_once_and_the_checked_address_is_dialled() -> None:
    """A record that flips to the victim after the check finds nobody asking again."""
    async with Victim({"/": answer(body=b"victim")}, host="127.0.0.2") as victim, Victim({"/": answer()}) as server:
        assert victim.port != server.port
        resolver = Resolver({"flip.example.com": [[HOME], ["127.0.0.2"]]})
        loaded = await fetcher(resolver).load(UrlSource(url=f"http://flip.example.com:{server.port}/"))
        assert loaded.data == b"hello"
        assert resolver.asked == ["flip.example.com"]
        assert f"host: flip.example.com:{server.port}" in server.heads[0].lower()
        with pytest.raises(UrlBlocked):  # the second visit resolves anew, and is checked anew
            await fetcher(resolver).load(UrlSource(url=f"http://flip.example.com:{victim.port}/"))
        assert victim.hits == 0


@pytest.mark.anyio
@pytest.mark.parametrize(
    "answers", [[HOME, "127.0.0.2"], ["127.0.0.2", HOME], ["1.1.1.1", "10.0.0.1"], ["1.1.1.1", "::1"]]
)
async def test_d3_one_closed_address_among_open_ones_blocks_the_name(answers: list[str]) -> None:
    async with Victim({"/": answer()}) as server:
        with pytest.raises(UrlBlocked):
            await fetcher(Resolver({"mixed.example.com": [answers]})).load(
                UrlSource(url=f"http://mixed.example.com:{server.port}/")
            )
        assert server.hits == 0


@pytest.mark.anyio
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_d3_the_dialled_address_is_the_checked_one_with_the_name_kept_for_tls(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled, names = [], []

    class Stream(httpcore.AsyncMockStream):
        async def start_tls(self, *args: Any, **kwargs: Any) -> Any:
            names.append(kwargs["server_hostname"])
            assert kwargs["ssl_context"].check_hostname
            return self

    class Backend:
        async def connect_tcp(self, host: str, *_: Any) -> Any:
            dialled.append(host)
            return Stream([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"])

    monkeypatch.setattr(httpcore, "AnyIOBackend", Backend)
    resolver = Resolver({"files.example.com": [["93.184.216.34"]]})
    loaded = await Fetcher(resolve=resolver).load(UrlSource(url=f"{scheme}://files.example.com/a.txt"))
    assert loaded.data == b"ok"
    assert dialled == ["93.184.216.34"]
    assert names == (["files.example.com"] if scheme == "https" else [])


@pytest.mark.anyio
async def test_d3_no_proxy_of_the_environment_steps_between(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Victim({"/": answer()}) as server, Victim() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await fetcher(Resolver({})).load(UrlSource(url=f"http://127.0.0.1:{server.port}/"))
        assert (server.hits, proxy.hits) == (1, 0)


# ---- D14 -----------------------------------------------------------------------------------------

LIMIT = 1 << 20


async def refused(page: bytes | list[bytes | float], *, seconds: float = 5.0) -> InputError:
    async with Victim({"/": page}) as server:
        with anyio.fail_after(seconds + 2), pytest.raises(InputError) as caught:
            await fetcher(Resolver({}), max_bytes=LIMIT, max_seconds=seconds).load(
                UrlSource(url=f"http://127.0.0.1:{server.port}/?key=s3cret")
            )
    assert "s3cret" not in str(caught.value)
    return caught.value


@pytest.mark.anyio
async def test_d14_bytes_are_counted_whatever_the_header_says() -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    assert isinstance(await refused(answer(body=b"x", content_length=str(LIMIT + 1))), InputTooLarge)
    assert isinstance(await refused([head, bytes(LIMIT), b"xx"]), InputTooLarge)
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    assert isinstance(
        await refused([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[chunk] * 40]), InputTooLarge
    )
    bomb = gzip.compress(bytes(64 << 20))
    assert len(bomb) < LIMIT
    assert isinstance(await refused(answer(body=bomb, content_encoding="gzip")), InputTooLarge)


@pytest.mark.anyio
async def test_d14_time_is_counted_over_the_whole_fetch() -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    dripping: list[bytes | float] = [head]
    for _ in range(40):
        dripping += [b"x", 0.1]
    assert isinstance(await refused(dripping, seconds=0.5), InputTooLarge)
    assert isinstance(await refused([5.0, head], seconds=0.5), InputTooLarge)


@pytest.mark.anyio
async def test_d14_a_body_that_breaks_off_is_broken() -> None:
    assert isinstance(await refused(answer(body=b"x", content_length="100")), InputBroken)
    assert isinstance(await refused(answer(body=gzip.compress(b"hello")[:-3], content_encoding="gzip")), InputBroken)
    assert isinstance(await refused(answer(body=b"junk", content_encoding="gzip")), InputBroken)


@pytest.mark.anyio
@pytest.mark.parametrize("status", [204, 206, 400, 401, 403, 404, 410, 418, 429, 500, 503, 599])
async def test_an_error_of_the_server_is_told_in_a_sentence(status: int) -> None:
    error = await refused(answer(status))
    assert isinstance(error, InputMissing)
    assert str(status) in error.what


@pytest.mark.anyio
async def test_a_server_that_is_not_there_is_told_in_a_sentence() -> None:
    async with Victim() as server:
        port = server.port
    with pytest.raises(InputMissing, match="cannot be reached"):
        await fetcher(Resolver({})).load(UrlSource(url=f"http://127.0.0.1:{port}/"))
    with pytest.raises(InputMissing, match="cannot be found"):
        await fetcher(Resolver({})).load(UrlSource(url="http://nowhere.example.com/"))
