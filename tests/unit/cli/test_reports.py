"""``models``, ``doctor`` and ``usage``: what there is, what is wrong, what was spent; nobody hosted is contacted."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli, Done

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.config import config_file
from intermodal.events import Usage
from intermodal.store.database import Store
from intermodal.store.rows import AttemptOutcome, Range, Reservation, RunRow, Work
from intermodal.testing import FakeHost

KEY = "sk-secret-of-the-test"


def ids(done: Done) -> set[str]:
    assert done.code == 0, done.err
    return {row["id"] for row in done.document["models"]}


def add(fake_url: str, *names: str, host: str = "box", **fields: object) -> None:
    row = HostRow(id=host, base_url=fake_url, models=tuple(ServedRow(id=name) for name in names), **fields)  # type: ignore[arg-type]
    config_file.add_host(os.environ, row)


# ---- models ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_filters_leave_only_what_fits(cli: Cli) -> None:
    everything = ids(cli("models", "--json"))
    assert "embedded:openai/whisper-base" in everything
    ears = ids(cli("models", "whisper", "--host", "groq", "--json"))
    assert {"groq:openai/whisper-large-v3", "groq:openai/whisper-large-v3-turbo"} <= ears
    assert all(id.startswith("groq:") and "whisper" in id for id in ears)
    assert "openai:openai/gpt-4o" in ids(cli("models", "--input", "image", "--at-least", "large", "--json"))
    assert "embedded:paddlepaddle/ppocr-v6-small" not in ids(cli("models", "--at-least", "medium", "--json"))
    vectors = cli("models", "--task", "feature-extraction", "--json").document["models"]
    assert {row["kind"] for row in vectors} == {"embedding", "contrastive image-text"}


def test_ready_leaves_out_what_has_a_key_but_no_consent(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert not any(id.startswith("openai:") for id in ids(cli("models", "--ready", "--json")))
    shown = cli("models", "gpt-4o-mini", "--host", "openai")
    assert "no consent: intermodal hosts add openai" in shown.out
    config_file.consent(os.environ, "openai")
    ready = cli("models", "--ready", "--json")
    assert "openai:openai/gpt-4o-mini" in ids(ready)
    assert KEY not in ready.out + shown.out


def test_a_model_says_its_kind_price_source_and_what_is_missing(cli: Cli) -> None:
    (row,) = cli("models", "gpt-4o-mini", "--host", "openai", "--json").document["models"]
    assert (row["kind"], row["zone"], row["ready"], row["allowed"]) == ("vision-language", "internet", False, False)
    assert row["price"]["source"].startswith(("genai-prices ", "model-prices "))
    assert row["strength"][0]["by"] == "proxy"
    assert row["missing"] == "no consent"


def test_a_host_of_ones_own_is_in_the_list(cli: Cli) -> None:
    add("http://127.0.0.1:1/v1", "qwen/qwen3-8b")
    assert "box:qwen/qwen3-8b" in ids(cli("models", "--ready", "--json"))


@pytest.mark.slow
def test_a_name_that_nothing_has_is_a_slip_and_what_is_near_is_named(cli: Cli) -> None:
    done = cli("models", "no-such-thing")
    assert (done.code, done.out) == (2, "")
    assert "no endpoint has 'no-such-thing' in its id" in done.err
    slip = cli("models", "whispr").err
    assert "did you mean " in slip and "openai/whisper-1" in slip
    assert cli("models", "whispr", "--json").document["code"] == "usage"


def test_filters_that_leave_nothing_are_no_error(cli: Cli) -> None:
    done = cli("models", "whisper", "--host", "openai", "--ready")
    assert (done.code, done.out) == (0, "")
    assert "no endpoint" in done.err


def test_a_host_nobody_knows_is_a_slip_in_models_too(cli: Cli) -> None:
    done = cli("models", "--host", "opena")
    assert (done.code, done.out) == (2, "")
    assert "no host named 'opena'" in done.err
    assert "openai" in done.err


# ---- doctor ----------------------------------------------------------------------------------------


def findings(done: Done) -> dict[tuple[str, str], dict[str, str]]:
    assert done.code == 0, done.err
    return {(row["area"], row["name"]): row for row in done.document["findings"]}


@pytest.mark.slow
def test_doctor_says_what_to_do_about_everything_that_is_not_well(cli: Cli) -> None:
    found = findings(cli("doctor", "--json"))
    assert {"config", "machine", "runtime", "weights", "store", "able"} <= {area for area, _ in found}
    for row in found.values():
        assert row["state"] in ("ok", "missing", "unused", "too big", "unreachable", "broken", "old")
        assert row["state"] == "ok" or row["todo"], row
    text = cli("doctor").out
    assert all(line.strip() for line in text.splitlines())


@pytest.mark.slow
def test_doctor_says_where_everything_is_kept(cli: Cli) -> None:
    found = findings(cli("doctor", "--json"))
    for name, folder in (
        ("config", config_file.config_path(os.environ).parent), ("data", config_file.data_dir(os.environ)),
        ("cache", config_file.cache_dir(os.environ)), ("state", config_file.state_dir(os.environ)),
    ):  # fmt: skip
        assert found["folder", name]["what"].startswith(f"{folder}: ")


@pytest.mark.slow
def test_missing_weights_are_named_with_their_pull(cli: Cli, own_home: Path) -> None:
    (own_home / "cache" / "weights").unlink()
    row = findings(cli("doctor", "--json"))["weights", "whisper-base"]
    assert (row["state"], row["todo"]) == ("missing", "intermodal pull whisper-base")


@pytest.mark.slow
def test_a_key_without_consent_is_discovery_and_nothing_more(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ("host", "openai") not in findings(cli("doctor", "--json"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    done = cli("doctor", "--json")
    row = findings(done)["host", "openai"]
    assert (row["state"], row["todo"]) == ("unused", "to allow it: intermodal hosts add openai")
    assert KEY not in done.out


@pytest.mark.slow
def test_consent_without_a_key_is_said(cli: Cli) -> None:
    config_file.consent(os.environ, "openai")
    row = findings(cli("doctor", "--json"))["host", "openai"]
    assert row["state"] == "missing"
    assert "OPENAI_API_KEY" in row["todo"]


@pytest.mark.slow
def test_a_hosted_service_is_not_contacted(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard of these tests would fail a look-up; the sentence says so too."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    config_file.consent(os.environ, "openai")
    add("https://models.example/v1", "acme/x", host="far")
    found = findings(cli("doctor", "--json"))
    assert "not contacted" in found["host", "openai"]["what"]
    assert found["host", "far"]["what"] == "allowed, no key needed, not contacted"


@pytest.mark.slow
def test_a_host_of_ones_own_is_asked_whether_it_is_there(cli: Cli) -> None:
    with FakeHost(models=("acme/x",)) as fake:
        add(fake.base_url, "acme/x")
        assert findings(cli("doctor", "--json"))["host", "box"]["state"] == "ok"
        add(fake.base_url, "acme/gone", host="other")
        row = findings(cli("doctor", "--json"))["host", "other"]
        assert row["state"] == "broken"
        assert "does not serve acme/gone" in row["what"]
        assert "acme/x" in row["todo"]
        assert not fake.attempts
    with socket.socket() as unused:  # nobody else gets it, and nobody takes calls
        unused.bind(("127.0.0.1", 0))
        add(f"http://127.0.0.1:{unused.getsockname()[1]}/v1", "acme/x", host="off")
        assert findings(cli("doctor", "--json"))["host", "off"]["state"] == "unreachable"


@pytest.mark.slow
def test_hosts_that_never_answer_are_waited_for_together(cli: Cli) -> None:
    """None of five is given up before the last of them was asked: five waits in a row would add up."""
    order: list[str] = []
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()

        def hold(line: socket.socket) -> None:
            with line:
                while line.recv(4096):
                    pass
            order.append("given up")

        def accept() -> None:
            for _ in range(5):
                line, _address = silent.accept()
                order.append("asked")
                threading.Thread(target=hold, args=(line,), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        for number in range(5):
            add(f"http://127.0.0.1:{silent.getsockname()[1]}/v1", "acme/x", host=f"silent-{number}")
        found = findings(cli("doctor", "--json"))
        accepting.join(300)
    assert {found["host", f"silent-{number}"]["state"] for number in range(5)} == {"unreachable"}
    assert order[:5] == ["asked"] * 5


@pytest.mark.slow
def test_weights_that_do_not_fit_are_said_to_be_too_big(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from intermodal.plans.machine import Machine

    monkeypatch.setattr(
        "intermodal.local.hardware.machine.machine_snapshot", lambda: Machine(cores=1, memory=1 << 28, free=1 << 28)
    )
    row = findings(cli("doctor", "--json"))["weights", "whisper-base"]
    assert row["state"] == "too big"
    assert row["todo"]


@pytest.mark.slow
def test_a_store_that_cannot_be_read_is_one_finding_and_no_failure(cli: Cli, own_home: Path) -> None:
    (own_home / "data").mkdir()
    (own_home / "data" / "store.sqlite3").write_bytes(b"this is no database" * 100)
    row = findings(cli("doctor", "--json"))["store", ""]
    assert row["state"] == "broken"


@pytest.mark.slow
def test_a_config_that_cannot_be_used_is_one_finding_and_the_rest_is_looked_at(cli: Cli, own_home: Path) -> None:
    (own_home / "config").mkdir()
    for text, words in (("consnt = []", "unknown key consnt"), ("consent = [", "TOML"),
                        ('[hosts.box]\nbase_url = "nonsense"', "base_url")):  # fmt: skip
        (own_home / "config" / "intermodal.toml").write_text(text)
        found = findings(cli("doctor", "--json"))
        row = found["config", "intermodal.toml"]
        assert row["state"] == "broken"
        assert words in row["what"]
        assert row["todo"]
        assert found["able", "hears speech"]["state"] == "ok"


@pytest.mark.slow
def test_a_home_that_is_a_file_breaks_config_and_store_but_not_doctor(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").write_text("a plain file")
    monkeypatch.setenv("INTERMODAL_HOME", str(tmp_path / "home"))
    found = findings(cli("doctor", "--json"))
    assert found["config", "intermodal.toml"]["state"] == "broken"
    assert found["store", ""]["state"] == "broken"


@pytest.mark.slow
def test_a_store_that_cannot_be_written_is_broken_before_anybody_asks(
    cli: Cli, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda path, mode: False)  # the tests may run as somebody who may write anywhere
        row = findings(cli("doctor", "--json"))["store", ""]
    assert (row["state"], "not writable" in row["what"], "INTERMODAL_HOME" in row["todo"]) == ("broken", True, True)
    (own_home / "data").write_text("a plain file")
    row = findings(cli("doctor", "--json"))["store", ""]
    assert row["state"] == "broken"
    assert "is not a folder" in row["what"]
    asked = cli("ask", "Hi", "--max-tokens", "1")
    assert (asked.code, asked.out) == (9, "")


@pytest.mark.slow
def test_looking_at_a_store_makes_none(cli: Cli, own_home: Path) -> None:
    assert findings(cli("doctor", "--json"))["store", ""]["state"] == "ok"
    assert not (own_home / "data").exists()


@pytest.mark.slow
def test_doctor_and_the_list_of_weights_say_the_same_memory(cli: Cli) -> None:
    shown = cli("pull", "--list").out
    for (area, name), row in findings(cli("doctor", "--json")).items():
        if area == "weights":
            need = row["what"].removeprefix("needs ").partition(",")[0]
            assert "peak" in need or name.startswith("tesseract-"), "of languages the peak was not measured"
            (line,) = (line for line in shown.splitlines() if line.startswith(f"{name} "))
            assert f" {need} " in line


# ---- usage -----------------------------------------------------------------------------------------


def test_an_empty_store_is_said_and_stays_unwritten(cli: Cli, own_home: Path) -> None:
    done = cli("usage")
    assert (done.code, done.out, done.err) == (0, "", "no runs yet\n")
    assert cli("usage", "--json").document["attempts"] == 0
    assert not (own_home / "data" / "store.sqlite3").exists()


def test_usage_adds_up_tokens_money_seconds_and_q_error(cli: Cli, own_home: Path) -> None:
    store = Store(own_home / "data" / "store.sqlite3")
    for run in ("r", "q"):
        attempt = store.reserve(Reservation(run=run, step="s", op="generate", task="text-generation",
                                            endpoint="box:a/b", output_tokens=20, cost_high=0.5))  # fmt: skip
        store.mark_sent(attempt)
        store.settle(attempt, AttemptOutcome(usage=Usage(input_tokens=100, output_tokens=10), cost=0.25, seconds=1.5))
    store.start_run(RunRow(id="r", plan="p", objective="default"))
    store.close()
    done = cli("usage")
    assert "\n1 run (1 running), 2 attempts (0 open)" in done.out, "one is not plural"
    assert "box:a/b   2         0       200        20          $0.50  3.0" in done.out
    (grade,) = (line for line in done.out.splitlines() if "output tokens" in line)
    assert grade.split() == ["box:a/b", "generate", "output", "tokens", "2.00", "2", "2.00", "2.00", "-"]
    document = cli("usage", "--json", "--last", "1").document
    assert document["cost"] == 0.5
    assert document["endpoints"][0]["input_tokens"] == 200
    assert len(document["last"]) == 1
    assert document["last"][0]["outcome"]["usage"] == {"input_tokens": 100, "output_tokens": 10}
    assert cli("usage", "--last", "5").out.count("settled") == 2


def _attempt(store: Store, usage: Usage, *, ends: str = "settle", input_tokens: float = 90.0) -> None:
    row = Reservation(
        run="r", step="s", op="generate", task="text-generation", endpoint="box:a/b", input_tokens=input_tokens,
        output_tokens=20.0, cost_high=0.5,
    )  # fmt: skip
    attempt = store.reserve(row)
    store.mark_sent(attempt)
    getattr(store, ends)(attempt, AttemptOutcome(usage=usage, cost=0.25, seconds=1.5))


def test_tokens_that_a_host_did_not_report_are_unknown_and_in_no_sum(cli: Cli, own_home: Path) -> None:
    store = Store(own_home / "data" / "store.sqlite3")
    _attempt(store, Usage(), ends="estimate")
    _attempt(store, Usage(), ends="void")  # nothing was charged for it, so nothing is unknown
    store.close()
    (told,) = (line for line in cli("usage").out.splitlines() if line.startswith("box:a/b"))
    assert told.split()[:5] == ["box:a/b", "2", "0", "unknown", "unknown"]
    (found,) = cli("usage", "--json").document["endpoints"]
    assert (found["input_tokens"], found["input_unreported"]) == (None, 1)
    assert (found["output_tokens"], found["output_unreported"]) == (None, 1)

    store = Store(own_home / "data" / "store.sqlite3")
    _attempt(store, Usage(input_tokens=100))
    _attempt(store, Usage(output_tokens=7), input_tokens=0.0)  # it reads none
    store.close()
    shown = cli("usage").out
    assert "100 + 1 unknown" in shown and "7 + 2 unknown" in shown
    assert "unknown: tokens of attempts whose host did not report them" in shown
    (found,) = cli("usage", "--json").document["endpoints"]
    assert (found["input_tokens"], found["input_unreported"]) == (100, 1)
    assert (found["output_tokens"], found["output_unreported"]) == (7, 2)
    assert [line.split()[4:6] for line in cli("usage", "--last", "9").out.splitlines()[-4:]] == [
        ["-", "7"], ["100", "unknown"], ["-", "-"], ["unknown", "unknown"],
    ]  # fmt: skip
    before = cli("usage", "--json").document["endpoints"]
    (own_home / "intermodal.toml").write_text("[store]\nrows = 1\n")
    assert cli("usage", "--prune").code == 0
    assert cli("usage", "--json").document["endpoints"] == before, "daily totals keep what is unknown"


@pytest.mark.slow
def test_doctor_names_an_estimate_that_is_off_with_its_evidence(cli: Cli, own_home: Path) -> None:
    store = Store(own_home / "data" / "store.sqlite3")
    for run in range(6):
        row = Reservation(run=f"r{run}", step="s", op="transcribe", task="automatic-speech-recognition",
                          endpoint="box:a/ear", seconds=1.0, seconds_range=Range(low=0.5, high=2.0),
                          work=Work(audio_seconds=10.0))  # fmt: skip
        attempt = store.reserve(row)
        store.mark_sent(attempt)
        store.settle(attempt, AttemptOutcome(seconds=8.0))
    store.close()
    row_found = findings(cli("doctor", "--json"))["estimate", "box:a/ear"]
    assert row_found["state"] == "off" and "after a few more runs" in row_found["todo"]
    drift = row_found["drift"]
    assert (drift["figure"], drift["count"], drift["q_error"]) == ("transcribe seconds", 6, 8.0)
    assert drift["stated"] == {"low": 0.5, "high": 2.0} and drift["seen"] == {"low": 8.0, "high": 8.0}
    said = "8 to 8 s measured, the catalog says 0.5 to 2 (q-error 8.0 over 6 runs since 20"
    assert said in cli("doctor").out


@pytest.mark.slow
def test_doctor_says_nothing_of_estimates_where_nothing_was_run(cli: Cli) -> None:
    assert not any(area == "estimate" for area, _ in findings(cli("doctor", "--json")))
