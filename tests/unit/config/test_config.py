"""The config file: strict to read, edited in place, in the user's folder and nowhere else; and where keys are found."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.catalog.shipped_rows import known_hosts
from intermodal.catalog.types import Host, TimeoutSettings
from intermodal.client import request_builder
from intermodal.config import api_keys, config_file
from intermodal.config.config_file import Config, cache_dir, config_path, data_dir, load_config
from intermodal.errors import ConfigError, NotInstalled
from intermodal.transport.timeouts import Timeouts

Env = dict[str, str]


@pytest.fixture
def env(tmp_path: Path) -> Env:
    return {"INTERMODAL_HOME": str(tmp_path / "home")}


def written(env: Env, text: str) -> Path:
    path = config_path(env)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# ---- where -----------------------------------------------------------------------------------------


def test_one_variable_moves_config_data_and_cache_together(tmp_path: Path) -> None:
    env = {"INTERMODAL_HOME": str(tmp_path)}
    assert {config_path(env).parent.parent, data_dir(env).parent, cache_dir(env).parent} == {tmp_path}


def test_the_config_variable_wins(tmp_path: Path) -> None:
    env = {"INTERMODAL_HOME": str(tmp_path), "INTERMODAL_CONFIG": "~/other.toml"}
    assert config_path(env) == Path.home() / "other.toml"


def test_a_file_in_the_current_folder_grants_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: Env) -> None:
    (tmp_path / "intermodal.toml").write_text('consent = ["openai"]')
    monkeypatch.chdir(tmp_path)
    assert load_config(env).consent == ()
    assert config_path({}).is_absolute()
    assert tmp_path not in config_path({}).parents


def test_no_file_is_the_defaults(env: Env) -> None:
    assert load_config(env) == Config()


def test_a_config_that_was_named_must_be_there(tmp_path: Path) -> None:
    """Going on without it could send out what it forbids."""
    with pytest.raises(ConfigError, match="not there"):
        load_config({"INTERMODAL_CONFIG": str(tmp_path / "slip.toml")})


# ---- reading ---------------------------------------------------------------------------------------


def test_everything_a_config_can_say_is_read(env: Env) -> None:
    written(
        env,
        """
        consent = ["openai"]
        max_cost = 1
        time_value = 0.01
        private = ["audio"]
        declined = ["groq"]
        [hosts.box]
        base_url = "http://127.0.0.1:8080/v1"
        forced_json = true
        [[hosts.box.models]]
        id = "qwen/qwen3-8b"
        served_as = "qwen3:8b"
        context = 4096
    """,
    )
    read = load_config(env)
    assert (read.consent, read.max_cost, read.time_value) == (("openai",), 1.0, 0.01)
    assert (read.private, read.declined) == (("audio",), ("groq",))
    assert read.hosts[0].id == "box"
    assert read.hosts[0].models == (ServedRow(id="qwen/qwen3-8b", served_as="qwen3:8b", context=4096),)


SERVED = '[hosts.a]\nbase_url = "http://x/v1"\n[[hosts.a.models]]\nid = "a/b"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("consnt = []", "unknown key consnt in the top level; did you mean consent?"),
        ("max_cost = 'a'", "wrong value in the top level at max_cost: must be a number, not a string in quotes"),
        ("consent = 'openai'", "at consent: must be a list in brackets, not a string in quotes"),
        ("[serve]\naliases = ['a']", "in [serve] at aliases: must be a table, not a list in brackets"),
        ("[policies.x]\ndeadline = '30s'", "in [policies.x] at deadline: must be a number, not a string in quotes"),
        ("max_cost = -1", "at max_cost: must be 0 or more"),
        ("pay_twice = 1", "wrong value in the top level at pay_twice: must be true or false, not a whole number"),
        ("timeouts = 3", "wrong value in the top level at timeouts"),
        ("timeouts.first_token = 0", "at timeouts.first_token: must be more than 0"),
        ("timeouts.total = -3", "at timeouts.total"),
        ("timeouts.idle = 3", "unknown key idle in the top level at timeouts"),
        ("timeouts.connect = nan", "at timeouts.connect"),
        ("timeouts.connect = inf", "at timeouts.connect"),
        ("[hosts.box]\nbase_url = 'http://10.0.0.1/v1'\ntimeouts.total = 'a'", "[hosts.box] at timeouts.total"),
        ("max_cost = nan", "at max_cost: must be 0 or more"),
        ("time_value = inf", "at time_value: must be 1,000,000,000 or less"),
        ("a = [", "is not TOML"),
        ("[serve.aliases]\n'' = 'a/b'", "[serve.aliases] has an alias without a name, for a/b; write the name that "),
        ("[serve.aliases]\n'auto' = 'a/b'", "[serve.aliases] has an alias auto, which is a name of intermodal's own"),
        ("[serve.aliases]\n'policy:x' = 'a/b'\n[policies.x]", "an alias policy:x, which is a name of intermodal's own"),
        ("[serve.aliases]\n'a' = ''", "[serve.aliases] says nothing for a"),
        ("[serve]\nmetrics = 'all'", "at metrics: must be one of keys, off, open, not 'all'; correct it"),
        ("[serve]\nlog_level = 'loud'", "at log_level: must be one of debug, error, info, warning, not 'loud'"),
        ("[policies.a]\nobjective = 'best of all'", "must be one of best, cheapest, default, fastest, "),
        ("[policies.a]\nfarthest = 'mars'", "must be one of internet, machine, network, process, not 'mars'"),
        ("[policies.a]\nkeep = ['words', 'mood']", "at keep[1]: must be one of alignment, appearance, comparison, "),
        ("[policies.a]\nlanguage = 'English'", "at language: must be the two or three letters of a language"),
        ("[store]\nkeep = '90'", 'at keep: must be hours ("12h"), days ("90d"), weeks ("4w") or "forever"'),
        ("[serve]\nhost = 'not a host'", "at host: must be an address of this machine or a name that stands for one"),
        ("[serve]\nhost = ''", "wrong value in [serve] at host: must be an address"),
        ("[serve]\nhost = 'unix:/tmp/x.sock'", "wrong value in [serve] at host: must be an address"),
        ("[serve]\nnames = ['http://a']", "at names[0]: must be a name or an address without scheme and port"),
        ("[serve]\norigins = ['*']", "at origins[0]: must be scheme, host and port of a page and nothing after them"),
        (SERVED + 'tier = "huge"', "models[0].tier: must be one of frontier, large, medium, small, tiny, not 'huge'"),
        ('[hosts.a]\nprotocol = "grpc"', "ollama, contrastive, diffusion, encoder, not 'grpc'; correct it"),
        ('consent = ["nobody"]', "consent names a host that is not known: nobody"),
        ("[hosts.a]", "lacks base_url"),
        ('[hosts.a]\nbase_url = "ftp://x/v1"', "http or https"),
        ('[hosts.a]\nbase_url = "http://u:p@x/v1"', "without user"),
        ('[hosts.a]\nbase_url = "http://x/v1?key=1"', "without user, query"),
        ('[hosts.a]\nbase_url = "http://x:99999/v1"', "http or https"),
        ('[hosts.embedded]\nbase_url = "http://x/v1"', "cannot be called 'embedded'"),
        ('[hosts."a:b"]\nbase_url = "http://x/v1"', "cannot be called"),
        ('[hosts.a]\nbase_url = "http://x/v1"\nprotocol = "llama"', "only built-in rows"),
        ('[hosts.a]\nbase_url = "http://x/v1"\nzone = "process"', "only built-in rows"),
        ('[hosts.a]\nbase_url = "http://x/v1"\nprices = "openai"', "unknown key prices in [hosts.a]"),
        (SERVED + "contxt = 5", "unknown key contxt in [hosts.a] at models[0]; did you mean context?"),
        (SERVED + "input_mtok = -1", "[hosts.a] a/b: input_mtok is -1, and must be 0 or more"),
        (SERVED + "output_mtok = nan", "[hosts.a] a/b: output_mtok is nan"),
        (SERVED + "context = 0", "[hosts.a] a/b: context is 0, and must be 1 or more"),
        (SERVED + "context = 10\nmax_output = 20", "max_output is 20, more than the context of 10"),
        (SERVED + '\n[[hosts.a.models]]\nid = "a/b"\ninput_mtok = 2', "[hosts.a] a/b: is described twice"),
        (SERVED + 'input = ["text"]\ntasks = ["image-text-to-text"]', "its tasks have image-text-to-text"),
    ],
)  # fmt: skip
def test_a_wrong_config_is_one_clear_sentence(env: Env, text: str, said: str) -> None:
    path = written(env, text)
    with pytest.raises(ConfigError) as caught:
        load_config(env)
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_mark_that_an_editor_put_before_it_is_no_part_of_it(env: Env) -> None:
    path = written(env, "consent = ['openai']\n")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_config(env).consent == ("openai",)
    config_file.consent(env, "groq")
    assert load_config(env).consent == ("openai", "groq")
    path.write_bytes(b"\xef\xbb\xbf\nmax_cost = -1\n")
    with pytest.raises(ConfigError, match=" line 2"):
        load_config(env)


@pytest.mark.parametrize(
    "text",
    [
        "key = '{}'",
        "api_key = '{}'",
        "token = '{}'",
        "secret = '{}'",
        "zone = '{}'",
        "protocol = '{}'",
        "auth = '{}'",
        "[[hosts.a.models]]\nid = 'a/b'\ntier = '{}'",
    ],
)
@pytest.mark.parametrize("secret", ["sk-verysecret123", "0123456789abcdef0123456789abcdef"])
def test_a_key_that_was_written_into_the_config_is_not_shown(env: Env, text: str, secret: str) -> None:
    written(env, f"[hosts.a]\nbase_url = 'http://x/v1'\n{text.format(secret)}")
    with pytest.raises(ConfigError) as caught:
        load_config(env)
    assert secret not in str(caught.value)
    assert " line " in str(caught.value)
    named = text.partition(" ")[0]
    assert named in str(caught.value) or text.startswith("[[")
    assert ("key_env" in str(caught.value)) == (named in ("key", "api_key", "token", "secret"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\n# one\nmax_cost = -1\n", 3),
        ("consent = [\n  'openai',\n  'nobody',\n]\n", 1),
        ("private = [\n  'a', # ]\n  'b',\n]\n\n[serve]\nnames = [\n'x']\nport = 99999\n", 9),
        ("[serve]\nhost = 'x'\n\n[serve.rates.'a:b']\ntpm = 5\nrpm = 0\n", 6),
        ("[policies.a]\n[policies.b]\nmax_kost = 1\n", 3),
        ("[serve.aliases]\n'a' = 'a/b'\n\n'' = 'a/b'\n", 4),
        ("[serve.aliases]\n'a' = 'a/b'\n'auto' = 'a/b'\n", 3),
        ("[policies.a]\n[policies.'x y']\n", 2),
        ("[discovery]\naddresses = ['http://127.0.0.1:1', 'http://example.com']\n", 2),
        (SERVED + "context = 10\n[[hosts.a.models]]\nid = 'a/c'\n[[hosts.a.models]]\nid = 'a/d'\ncontext = 0\n", 8),
        ("hosts = 3\n", 1),
    ],
)
def test_a_config_error_names_the_line(env: Env, text: str, line: int) -> None:
    path = written(env, text)
    with pytest.raises(ConfigError) as caught:
        load_config(env)
    assert f"{path} line {line}" in str(caught.value)


def test_a_limit_that_is_written_is_stated_even_where_it_is_the_usual_one(env: Env) -> None:
    """A price that nobody knows passes under the usual limit, and fails one that somebody wrote."""
    written(env, "[policies.plain]\n[policies.own]\nmax_cost = 0.05\n")
    read = load_config(env)
    assert not read.max_cost_stated
    assert (read.policies["plain"].takes_unknown_prices, read.policies["own"].takes_unknown_prices) == (True, False)
    written(env, "max_cost = 0.05\n[policies.plain]\n")
    read = load_config(env)
    assert read.max_cost_stated and not read.policies["plain"].takes_unknown_prices
    options: dict[str, Any] = {}
    request_builder.apply_config_defaults(options, read)
    assert not request_builder.make_request("hello", **options).policy.takes_unknown_prices


def test_a_config_that_is_not_text_is_said(env: Env) -> None:
    written(env, "").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(env)


def test_a_config_that_is_a_folder_is_said(env: Env) -> None:
    config_path(env).mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(env)


# ---- writing ---------------------------------------------------------------------------------------


def test_consent_is_written_once_and_read_back(env: Env) -> None:
    config_file.consent(env, "openai")
    path = config_file.consent(env, "openai")
    assert load_config(env).consent == ("openai",)
    assert path.read_text().count('"openai"') == 2  # one of them in the comment of the head


def test_consent_goes_above_the_tables_and_keeps_the_users_words(env: Env) -> None:
    path = written(env, '# mine\nmax_cost = 0.1 # little\n\n[hosts.box] # mine too\nbase_url = "http://10.0.0.1/v1"\n')
    config_file.consent(env, "groq")
    text = path.read_text()
    assert load_config(env).consent == ("groq",)
    assert "# mine\n" in text
    assert "max_cost = 0.1 # little" in text
    assert "[hosts.box] # mine too" in text
    assert text.index("consent") < text.index("[hosts.box]")


def test_a_host_is_written_and_read_back_as_it_was(env: Env) -> None:
    row = HostRow(
        id="box", base_url="http://10.0.0.1:8000/v1", zone="network", forced_json=True, key_env="BOX_KEY",
        models=(ServedRow(id="acme/a-7b", served_as="a:7b", input=("text", "image")), ServedRow(id="acme/b")),
    )  # fmt: skip
    config_file.consent(env, "openai")
    config_file.add_host(env, row)
    assert load_config(env).hosts == (row,)
    assert load_config(env).consent == ("openai",)
    other = HostRow(id="other", base_url="http://127.0.0.1/v1")
    config_file.add_host(env, other)
    assert load_config(env).hosts == (row, other)


def test_a_host_added_again_takes_the_place_of_the_old_one(env: Env) -> None:
    config_file.add_host(env, HostRow(id="box", base_url="http://127.0.0.1:1/v1", key_env="OLD"))
    config_file.add_host(env, HostRow(id="box", base_url="http://127.0.0.1:2/v1"))
    assert load_config(env).hosts == (HostRow(id="box", base_url="http://127.0.0.1:2/v1"),)


def test_removing_takes_back_row_and_consent(env: Env) -> None:
    config_file.consent(env, "openai")
    config_file.add_host(env, HostRow(id="box", base_url="http://127.0.0.1:1/v1"))
    assert config_file.remove_host(env, "openai")
    assert config_file.remove_host(env, "box")
    assert not config_file.remove_host(env, "box")
    assert (load_config(env).consent, load_config(env).hosts) == ((), ())


def test_removing_what_is_not_there_writes_nothing(env: Env) -> None:
    assert not config_file.remove_host(env, "openai")
    assert not config_path(env).exists()


def test_an_edit_that_would_break_the_file_leaves_it_as_it_was(env: Env) -> None:
    path = written(env, "max_cost = 0.1\n")
    with pytest.raises(ConfigError):
        config_file.consent(env, "nobody")
    with pytest.raises(ConfigError):
        config_file.add_host(env, HostRow(id="bad name", base_url="http://127.0.0.1/v1"))
    assert path.read_text() == "max_cost = 0.1\n"
    assert list(path.parent.iterdir()) == [path]


def test_a_new_file_is_its_owners_only_and_an_old_one_keeps_its_mode(env: Env) -> None:
    path = config_file.create(env)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    config_file.consent(env, "openai")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


CONSENTS = """
import os, sys
from intermodal.config.config_file import consent
import tomlkit
print("ready", flush=True)
sys.stdin.readline()
consent(os.environ, "groq")
"""


def test_of_two_edits_at_once_none_is_lost(env: Env, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above all not a consent that is taken back."""
    config_file.consent(env, "openai")
    where = {**os.environ, **env, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", CONSENTS], stdin=-1, stdout=-1, env=where) as other:
        assert other.stdin is not None and other.stdout is not None
        other.stdout.readline()
        write = config_file.replace_file

        def late(path: Path, body: bytes, *, mode: int) -> None:
            assert other.stdin is not None
            other.stdin.write(b"\n")
            other.stdin.flush()
            with suppress(subprocess.TimeoutExpired):  # an edit that waited for nobody would be made by then
                other.wait(2)
            write(path, body, mode=mode)

        monkeypatch.setattr(config_file, "replace_file", late)
        assert config_file.remove_host(env, "openai")
    assert other.returncode == 0
    assert load_config(env).consent == ("groq",)


def test_a_config_behind_a_link_stays_behind_it(env: Env, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text("max_cost = 0.2\n")
    link = config_path(env)
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    config_file.consent(env, "openai")
    assert link.is_symlink()
    assert 'consent = ["openai"]' in real.read_text()


def test_creating_twice_changes_nothing(env: Env) -> None:
    before = config_file.create(env).read_text()
    assert config_file.create(env).read_text() == before
    assert load_config(env) == Config(path=str(config_path(env)))


# ---- keys ------------------------------------------------------------------------------------------

HOST = Host(id="box", key_env="BOX_KEY", auth="bearer")


class Ring:
    """A keyring in memory."""

    errors = SimpleNamespace(KeyringError=RuntimeError)

    def __init__(self, *, broken: bool = False) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.broken = broken

    def get_password(self, service: str, user: str) -> str | None:
        if self.broken:
            raise RuntimeError("locked")
        return self.kept.get((service, user))

    def set_password(self, service: str, user: str, secret: str) -> None:
        if self.broken:
            raise RuntimeError("locked")
        self.kept[service, user] = secret


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Ring:
    made = Ring()
    monkeypatch.setitem(sys.modules, "keyring", made)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "keyring.errors", made.errors)  # type: ignore[arg-type]
    return made


def test_a_key_comes_from_its_variable_first(ring: Ring) -> None:
    api_keys.store_key("box", "from-ring")
    assert api_keys.find_key(HOST, {"BOX_KEY": " from-env\n"}) == "from-env"
    assert api_keys.find_key(HOST, {}) == "from-ring"


def test_a_key_that_the_config_says_is_in_the_keyring_is_not_taken_from_the_environment(ring: Ring, env: Env) -> None:
    written(env, '[hosts.openai]\nkey = "keyring"\n')
    (own,) = load_config(env).hosts
    host = next(row for row in known_hosts() if row.id == "openai").overlaid(own).host()
    keys = {"OPENAI_API_KEY": "of-another-account"}
    assert api_keys.find_key(host, keys) is None, "another account would pay"
    api_keys.store_key("openai", "from-ring")
    assert api_keys.find_key(host, keys) == "from-ring"


def test_a_host_without_auth_gets_no_key(ring: Ring) -> None:
    api_keys.store_key("box", "from-ring")
    assert api_keys.find_key(Host(id="box"), {"BOX_KEY": "x", "": "y"}) is None


def test_no_keyring_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert api_keys.find_key(HOST, {}) is None
    with pytest.raises(NotInstalled, match=r"intermodal\[keyring\]"):
        api_keys.store_key("box", "secret")


def test_a_locked_keyring_is_no_key(ring: Ring) -> None:
    ring.broken = True
    assert api_keys.find_key(HOST, {}) is None
    with pytest.raises(NotInstalled):
        api_keys.store_key("box", "secret")


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_cannot_be_one_is_refused_without_being_shown(ring: Ring, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        api_keys.find_key(HOST, {"BOX_KEY": key})
    assert key not in str(caught.value)
    assert "BOX_KEY" in str(caught.value)


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch, env: Env) -> None:
    config_file.consent(env, "openai")
    monkeypatch.setenv("INTERMODAL_HOME", env["INTERMODAL_HOME"])
    assert load_config().consent == load_config(os.environ).consent == ("openai",)


def test_timeouts_of_a_host_outrank_those_of_all_and_a_shipped_host_takes_them(env: Env) -> None:
    written(
        env,
        """
        pay_twice = false
        [timeouts]
        first_token = 20
        total = 90.5
        [hosts.box]
        base_url = "http://10.0.0.1/v1"
        timeouts = { first_token = 900 }
        [hosts.openai.timeouts]
        connect = 1
    """,
    )
    read = load_config(env)
    assert read.pay_twice is False
    assert read.timeouts == TimeoutSettings(first_token=20, total=90.5)
    box, openai = read.hosts
    usual = Timeouts().as_said(read.timeouts)
    assert usual.as_said(box.host().timeouts) == Timeouts(first_byte=900, total=90.5)
    known = next(row for row in known_hosts() if row.id == "openai").overlaid(openai).host()
    assert usual.as_said(known.timeouts) == Timeouts(connect=1, first_byte=20, total=90.5)
    assert known.base_url and known.key_env, "and nothing else of it changed"


def test_rates_of_endpoints_are_read_and_nothing_below_one_is_a_rate(env: Env) -> None:
    written(env, '[serve.rates."openai:gpt-5-mini"]\nrpm = 500\n')
    assert load_config(env).serve.rates["openai:gpt-5-mini"].rpm == 500
    written(env, '[serve.rates."openai:gpt-5-mini"]\nrpm = 0\n')
    with pytest.raises(ConfigError, match="1 or more"):
        load_config(env)
