"""``intermodal serve`` as a process of its own: it says where it listens, answers, and ends in order."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.unit.cli.conftest import Cli
from tests.unit.gateway.gateway_server import STRONG, config

from intermodal.gateway.workers.sockets import find_bind_error
from intermodal.testing import FakeHost, Fault
from intermodal.testing.emulated_servers import EmulatedOllama, Engine, ListedModel

pytestmark = pytest.mark.slow


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHost]:
    with FakeHost(answer="the hosted answer") as fake:
        monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path / "i.toml", ("cloud", fake.base_url, STRONG))))
        yield fake


@contextmanager
def serving(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the address it says."""
    command = [sys.executable, "-m", "intermodal.cli.main", "serve", "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ.copy())
    assert process.stderr is not None
    try:
        said = process.stderr.readline()
        found = re.search(r"http://\S+", said)
        assert found is not None, said + process.stderr.read()
        yield process, found[0]
    finally:
        process.kill()
        process.wait(300)
        process.stderr.close()


def test_serve_answers_and_stops_on_a_signal(host: FakeHost) -> None:
    with serving() as (process, url):
        assert url.startswith("http://127.0.0.1:")
        tree = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
        found = httpx.post(f"{url}/v1/chat/completions", json=tree, timeout=300, trust_env=False)
        assert found.json()["choices"][0]["message"]["content"] == "the hosted answer"
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_name_that_stands_for_nothing_is_said_once_and_the_others_are_served(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    """As ``--check`` says it. Nobody looks at the check of a config that is in service already."""
    more = '[serve.aliases]\n"gpt-4o" = "policy:gone"\nmine = "cloud/strong"\n'
    path = config(tmp_path / "c.toml", ("cloud", host.base_url, STRONG), more=more)
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    with serving("--workers", workers) as (process, url):
        assert process.stderr is not None
        said = next(line for line in process.stderr if "warning" in line)
        line = path.read_text().splitlines().index('"gpt-4o" = "policy:gone"') + 1
        assert f"{path} line {line}: gpt-4o: " in said and "gone" in said
        tree = {"model": "mine", "messages": [{"role": "user", "content": "hello"}]}
        assert httpx.post(f"{url}/v1/chat/completions", json=tree, timeout=300, trust_env=False).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0
        assert "policy:gone" not in process.stderr.read()


def test_an_answer_on_its_way_ends_before_the_process_does(host: FakeHost) -> None:
    host.fault = Fault("slow", 1.5)
    with serving() as (process, url):
        tree = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=tree, timeout=300, trust_env=False) as answer:
            process.send_signal(signal.SIGINT)
            assert answer.read().endswith(b"data: [DONE]\n\n")
        assert process.wait(300) == 0


def test_a_port_that_is_taken_is_said(host: FakeHost, cli: Cli) -> None:
    port = host.base_url.rpartition(":")[2].partition("/")[0]
    done = cli("serve", "--port", port)
    assert done.code == 2
    assert f"127.0.0.1:{port}" in done.err and "--port" in done.err


def test_another_address_needs_a_key(host: FakeHost, cli: Cli) -> None:
    done = cli("serve", "--host", "0.0.0.0", "--port", "0", "--check")
    assert done.code == 2
    assert "keys create" in done.err
    assert cli("keys", "create", "app").code == 0
    checked = cli("serve", "--host", "0.0.0.0", "--port", "0", "--check", "--json")
    assert checked.code == 0, checked.err
    assert checked.document["keys"] is True


def test_an_address_that_is_none_is_said(host: FakeHost, cli: Cli) -> None:
    for said in ("not a host", "", "unix:/tmp/x.sock", "http://127.0.0.1"):
        done = cli("serve", "--host", said, "--check")
        assert done.code == 2 and "must be an address of this machine" in done.err, done.err


def test_where_an_address_stands_that_needs_a_key(
    host: FakeHost, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(tmp_path / "c.toml", ("cloud", host.base_url, STRONG), more='[serve]\nhost = "0.0.0.0"\n')
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    line = path.read_text().splitlines().index('host = "0.0.0.0"') + 1
    assert f"{path} line {line}: other machines can reach this address" in cli("serve", "--check").err


@pytest.mark.parametrize("said", ["203.0.113.7", "[2001:db8::7]"])  # of nobody, for documents
def test_check_tries_the_address(host: FakeHost, cli: Cli, said: str) -> None:
    assert cli("keys", "create", "app").code == 0
    done = cli("serve", "--host", said, "--port", "0", "--check", "--json")
    assert done.code == 2
    found = [each for each in done.document["findings"] if each["level"] == "wrong"]
    assert [each["where"] for each in found] == [f"--host {said}"]
    assert f"{said}:0: " in found[0]["what"] and "--host" in found[0]["todo"]
    started = cli("serve", "--host", said, "--port", "0")
    assert started.code == 2 and "--host" in started.err


def test_check_beside_a_gateway_that_runs_is_no_mistake(host: FakeHost, cli: Cli) -> None:
    port = host.base_url.rpartition(":")[2].partition("/")[0]
    done = cli("serve", "--port", port, "--check", "--json")
    assert done.code == 0, done.err
    assert [each["what"] for each in done.document["findings"]] == [f"127.0.0.1:{port}: address already in use"]


def test_an_ipv6_address_is_said_as_clients_take_it(host: FakeHost) -> None:
    if find_bind_error("::1", 0) is not None:
        pytest.skip("there is no IPv6 here")
    with serving("--host", "::1") as (_, url):
        assert url.startswith("http://[::1]:")
        assert httpx.get(f"{url}/healthz", timeout=300, trust_env=False).status_code == 200


def test_check_says_which_host_has_no_key(
    host: FakeHost, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(tmp_path / "c.toml", ("cloud", host.base_url, STRONG))
    path.write_text(path.read_text().replace("[hosts.cloud]", '[hosts.cloud]\nkey_env = "CLOUD_KEY"'))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    monkeypatch.delenv("CLOUD_KEY", raising=False)
    notes = cli("serve", "--check", "--json").document["findings"]
    assert [each["what"] for each in notes] == ["host cloud has no key: CLOUD_KEY is not set"]
    assert notes[0]["level"] == "note" and notes[0]["where"].startswith(f"{path} line ")
    monkeypatch.setenv("CLOUD_KEY", "a-key")
    assert cli("serve", "--check", "--json").document["findings"] == []


def test_check_says_whether_it_could_serve(host: FakeHost, cli: Cli) -> None:
    done = cli("serve", "--check", "--json")
    assert done.code == 0, done.err
    assert done.document["kind"] == "intermodal.serve"
    assert done.document["ready"] is True and "cloud/strong" in done.document["models"]
    assert done.document["keys"] is False
    text = cli("serve", "--check").out
    assert "127.0.0.1:8787, without keys" in text and "media      ready" in text
    assert host.attempts == []


def test_a_config_that_is_wrong_is_said_by_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    for text, word in (("[serve]\nprt = 1\n", "prt"), ("[policies.x]\nmax_kost = 1\n", "max_kost"),
                       ("[policies.x]\nfarthest = 'mars'\n", "farthest")):  # fmt: skip
        path = tmp_path / "wrong.toml"
        path.write_text(text)
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        done = cli("serve", "--check")
        assert done.code == 2 and word in done.err, (text, done.err)


CHECKED = """
[policies.house]
farthest = "machine"
model = "cloud/strong"
[policies.lost]
model = "cloud/stronk"
[serve]
origins = ["https://chat.example.com"]
[serve.aliases]
gpt-4o = "cloud/strong"
gpt-5 = "policy:hose"
gpt-6 = "gpt-4o"
"cloud:cloud/strong" = "policy:house"
[serve.rates."cloud:cloud/strong"]
rpm = 5
[serve.rates."cloud:cloud/stronk"]
rpm = 5
"""


def test_check_finds_what_can_never_be_with_its_line(
    host: FakeHost, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(tmp_path / "c.toml", ("cloud", host.base_url, STRONG), more=CHECKED)
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    cli("keys", "create", "app", "--policy", "gone", "--policy", "house")
    done = cli("serve", "--check", "--json")
    assert done.code == 2, done.err
    document = done.document
    wrong = {each["where"]: each["what"] for each in document["findings"] if each["level"] == "wrong"}
    lines = path.read_text().splitlines()

    def at(text: str) -> str:
        return f"{path} line {lines.index(text) + 1}"

    assert set(wrong) == {
        at("[policies.lost]"), at('gpt-5 = "policy:hose"'), at('gpt-6 = "gpt-4o"'),
        at('[serve.rates."cloud:cloud/stronk"]'),
    }  # fmt: skip
    notes = [each["what"] for each in document["findings"] if each["level"] == "note"]
    assert any("policy:house answers no chat now" in note for note in notes), notes
    assert any("policy:gone" in note for note in notes) and not any("--" in note for note in notes), notes
    assert [note for note in notes if "cloud:cloud/strong is called as a model" in note and "gets policy:house" in note]
    assert not [note for note in notes if "gpt-4o is called" in note]
    answers = {each["name"]: each["answers"] for each in document["asked_for"]}
    assert answers["gpt-4o"] == "cloud:cloud/strong" and answers["gpt-5"] == ""
    assert document["keys_active"] == 1 and document["rates"]["cloud:cloud/strong"] == {"rpm": 5}
    assert document["limits"]["body_bytes"] == 64 << 20
    text = cli("serve", "--check")
    assert text.code == 2 and "4 wrong in the config" in text.err
    assert str(path) in text.out and "https://chat.example.com" in text.out
    assert host.attempts == []


def test_check_and_doctor_name_prompt_files_that_cannot_be_used(
    host: FakeHost, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "greet.prompt").write_text("Greet {{name}}.")
    (folder / "broken.prompt").write_text("---\nmodel: x\n---\n{{#if name}}")
    aliases = '[serve]\nprompts = "prompts"\n[serve.aliases]\nhello = "prompt:greet"\nlost = "prompt:gone"\n'
    path = config(tmp_path / "p.toml", ("cloud", host.base_url, STRONG), more=aliases)
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    done = cli("serve", "--port", "0", "--check", "--json")
    assert done.code == 2 and done.document["prompts"] == ["greet"]
    wrong = {each["where"]: each["what"] for each in done.document["findings"] if each["level"] == "wrong"}
    assert set(wrong) == {"broken.prompt:4", f"{path} line 5"} and "prompt named gone" in wrong[f"{path} line 5"]
    told = {each["name"]: each for each in cli("doctor", "--json").document["findings"] if each["area"] == "prompts"}
    assert (told[""]["state"], told["broken.prompt:4"]["state"]) == ("ok", "broken")
    assert told[""]["what"] == f"{folder} serves 1 prompt"
    text = cli("serve", "--port", "0", "--check")
    assert "1 wrong in the config, 1 wrong prompt file" in text.err


def test_check_names_what_a_prompt_file_takes_and_is_not_there(host: FakeHost, cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "greet.prompt").write_text("Greet {{name}}.\n{{> tone}}")
    (folder / "logo.poml").write_text('<poml>\n<p>What is it?</p>\n<img src="logo.png"/></poml>')
    done = cli("serve", "--port", "0", "--prompts", str(folder), "--check")
    assert done.code == 2 and "it could not serve so: 2 wrong prompt files" in done.err
    assert "greet.prompt:2: there is no partial 'tone'; put it into _tone.prompt" in done.out
    assert "logo.poml:3: logo.png is not there" in done.out


def test_a_folder_of_prompts_that_is_not_there_is_refused(host: FakeHost, cli: Cli, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    done = cli("serve", "--port", "0", "--prompts", gone)
    assert done.code == 3 and f"{gone}: is no folder" in done.err
    assert f"--prompts {gone}" in cli("serve", "--port", "0", "--prompts", gone, "--check").out


def test_every_worker_serves_the_prompt_files_that_there_are_now(host: FakeHost, tmp_path: Path) -> None:
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "greet.prompt").write_text("Greet {{name}}.")
    tree = {"messages": [], "prompt_variables": {"name": "Ada"}}
    with serving("--prompts", str(folder), "--workers", "2") as (_, url):
        for name in ("greet", "salute"):
            (folder / f"{name}.prompt").write_text(f"{name.title()} {{{{name}}}}, again.")
            good = 0
            until = time.monotonic() + 300
            while good < 8:  # connections of their own, which any worker may get
                answer = httpx.post(f"{url}/v1/chat/completions", json=tree | {"model": f"prompt:{name}"},
                                    timeout=300, trust_env=False)  # fmt: skip
                now = answer.status_code == 200 and b"again" in host.attempts[-1].body
                good = good + 1 if now else 0
                assert now or time.monotonic() < until, answer.text


def test_check_resolves_an_alias_of_a_model_that_a_server_of_this_machine_has(
    host: FakeHost, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INTERMODAL_DISCOVERY")
    with EmulatedOllama(Engine(host.base_url), (ListedModel("talker"),)) as door:
        text = (
            f'[serve.aliases]\n"gpt-4o" = "talker"\n[discovery]\nusual_ports = false\naddresses = ["{door.address}"]\n'
        )
        (tmp_path / "found.toml").write_text(text)
        monkeypatch.setenv("INTERMODAL_CONFIG", str(tmp_path / "found.toml"))
        done = cli("serve", "--port", "0", "--check", "--json")
    assert done.code == 0, done.out
    (alias,) = [each for each in done.document["asked_for"] if each["name"] == "gpt-4o"]
    assert alias["answers"].endswith("/talker")


def test_check_of_what_cannot_serve_is_one_document(host: FakeHost, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from intermodal.gateway.endpoints import monitoring

    monkeypatch.setattr(monitoring, "callable_endpoints", lambda catalog: iter(()))
    done = cli("serve", "--check", "--json")
    assert done.code == 2 and done.document["ready"] is False
    assert done.document["checks"]["endpoints"] is False
