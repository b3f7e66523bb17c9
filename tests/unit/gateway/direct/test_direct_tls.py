"""Hosts behind TLS, as the direct path meets them: certificates that are wrong are said to be, and those that are right
cost nothing but themselves."""

from __future__ import annotations

import datetime
import ipaddress
import random
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.unit.gateway.direct.test_direct_images import png
from tests.unit.gateway.gateway_server import SEEING, STRONG, GatewayServer, config, sse, until

from intermodal.executor.attempt.step_caller import StepCaller
from intermodal.testing import FakeHost

MIB = 1 << 20
LOCAL = (x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost"))
PEM = serialization.Encoding.PEM


class Authority:
    """Signs certificates; ``file`` is what trusts it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a test")])
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        own = self._begun(self._name, self._key, 10).add_extension(x509.BasicConstraints(True, None), critical=True)
        made = own.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())
        self.file = folder / "authority.pem"
        self.file.write_bytes(made.public_bytes(PEM))

    def _begun(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=9))
        builder = builder.not_valid_after(now + datetime.timedelta(days=days))
        return builder.add_extension(identifier, critical=False).add_extension(issuer, critical=False)

    def context(self, *names: x509.GeneralName, days: int = 9) -> ssl.SSLContext:
        """Of a server with these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "host of a test")])
        named = self._begun(subject, key, days).add_extension(x509.SubjectAlternativeName(names), critical=False)
        made = named.sign(self._key, hashes.SHA256())
        file = self._folder / f"{made.serial_number}.pem"
        plain = serialization.NoEncryption()
        file.write_bytes(
            key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain) + made.public_bytes(PEM)
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


class SecureHost(FakeHost):
    """A fake host behind TLS. ``made``: connections it took."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(answer="the hosted answer")
        self.made = 0
        accept = self._server.get_request

        def counted() -> tuple[socket.socket, object]:
            line, address = accept()
            self.made += 1
            return context.wrap_socket(line, server_side=True, do_handshake_on_connect=False), address

        self._server.get_request = counted  # type: ignore[method-assign]

    @property
    def base_url(self) -> str:
        return super().base_url.replace("http:", "https:")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is asked again is asked at once."""

    async def at_once(caller: StepCaller, seconds: float) -> None:
        assert seconds >= 0

    monkeypatch.setattr(StepCaller, "sleep", at_once)


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    return authority


@pytest.fixture
def secure(trusted: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecureHost]:
    host = SecureHost(trusted.context(*LOCAL))
    with host:
        path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, f"{STRONG}\n{SEEING}"))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        yield host


def test_one_connection_serves_answers_and_streams(secure: SecureHost) -> None:
    with GatewayServer() as house:
        for _ in range(4):
            said = house.chat(max_tokens=100)
            assert said.json()["choices"][0]["message"]["content"] == "the hosted answer"
            stream = sse(house.chat(max_tokens=100, stream=True).text)
            assert stream.done and len(stream.events) > 3
            until(lambda: any(house.gateway.direct.engine.pool._idle.values()))  # the end of its reply is read, too
        direct = house.gateway.direct
        until(lambda: direct.engine.answered_calls == 8)
        assert (direct.engine.pool.opened, direct.engine.pool.reused) == (1, 7)
        assert secure.made == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_mebibyte_arrives_as_it_is_both_ways(secure: SecureHost, stream: bool) -> None:
    chance = random.Random(20_261_126)
    picture = png(640, 480, chance.randbytes(MIB))
    words = "".join(chance.choices("-=+~", k=MIB))  # signs, of which a token may hold many
    secure.answer = words
    url = f"data:image/png;base64,{b64encode(picture).decode()}"
    content = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    with GatewayServer() as house:
        for _ in range(2):
            said = house.chat(content, model="cloud/seeing", stream=stream, max_tokens=4096)
            if stream:
                told = sse(said.text)
                events = (choice["delta"] for event in told.events for choice in event["choices"])
                assert told.done and "".join(delta.get("content") or "" for delta in events) == words
            else:
                assert said.json()["choices"][0]["message"]["content"] == words
            sent = secure.attempts[-1].json["messages"][0]["content"]
            assert [part["image_url"]["url"] == url for part in sent if part["type"] == "image_url"] == [True]
        until(lambda: house.gateway.direct.engine.answered_calls == 2)
        assert secure.made == 1


# ---- certificates and variables that are wrong -----------------------------------------------------------

WRONG = {
    "not trusted": ("its certificate is not trusted", "SSL_CERT_FILE"),
    "another name": ("its certificate is for another name", "base_url"),
    "expired": ("its certificate has expired", "clock"),
    "no certificates": ("SSL_CERT_FILE names no certificates that can be read", "correct SSL_CERT_FILE"),
    "an empty file": ("SSL_CERT_FILE names no certificates that can be read", "correct SSL_CERT_FILE"),
    "plain": ("no TLS connection could be made", "http: or https:"),
}


@contextmanager
def wrong(name: str, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHost]:
    empty = tmp_path / "empty.pem"
    empty.touch()
    files = {"no certificates": str(tmp_path / "nowhere.pem"), "an empty file": str(empty)}
    if name != "not trusted":
        monkeypatch.setenv("SSL_CERT_FILE", files.get(name, str(authority.file)))
    else:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if name == "plain":
        with FakeHost() as plain:
            yield plain
        return
    names = (x509.DNSName("other.example"),) if name == "another name" else LOCAL
    with SecureHost(authority.context(*names, days=-1 if name == "expired" else 9)) as host:
        yield host


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_and_the_next_host_answers(
    name: str, stream: bool, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what, todo = WRONG[name]
    dear = STRONG.replace("= 0.", "= 3.").replace("strong", "only")
    both = STRONG.replace("strong", "both")
    with wrong(name, authority, tmp_path, monkeypatch) as host, FakeHost(answer="from the next") as other:
        url = host.base_url.replace("http:", "https:")
        path = config(
            tmp_path / "i.toml", ("bad", url, f"{dear}\n{both}"),
            ("good", other.base_url, both.replace("= 0.", "= 1.")),
        )  # fmt: skip
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer() as house:
            only = house.chat(model="cloud/only", stream=stream, max_tokens=100)
            assert only.status_code in (502, 503), only.text
            error = only.json()["error"]
            assert what in error["message"] and todo in error["message"], error
            assert "bad" in error["message"]
            said = house.chat(model="cloud/both", stream=stream, max_tokens=100)
            assert said.status_code == 200
            words = said.text
            assert "next" in words
            assert said.headers["x-intermodal-route"] == "good:cloud/both"
            assert not house.log, house.log
            until(lambda: not house.gateway.active)
        assert host.attempts == []


def test_a_host_that_never_shakes_hands_is_given_up(
    trusted: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, FakeHost(answer="from the next") as other:
        lines: list[socket.socket] = []

        def take() -> None:
            try:
                while True:
                    lines.append(mute.accept()[0])
            except OSError:
                return

        threading.Thread(target=take, daemon=True).start()
        dear = STRONG.replace("= 0.", "= 1.")
        url = f"https://127.0.0.1:{mute.getsockname()[1]}/v1"
        path = config(
            tmp_path / "i.toml", ("mute", url, STRONG), ("good", other.base_url, dear), more="[timeouts]\nconnect = 0.5"
        )
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer() as house:
            said = house.chat(max_tokens=100)
            assert said.headers["x-intermodal-route"] == "good:cloud/strong", said.text
        mute.shutdown(socket.SHUT_RDWR)
        for line in lines:
            line.close()
