"""The schema that editors check ``intermodal.toml`` by, held against what reading the file really does.

Every key is given every kind of wrong and right value. What the file may say the schema never refuses; what it may not
say the schema refuses too, but for what no schema can know, which is listed here.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from tests.unit.config.test_config import SERVED
from tests.unit.gateway.conftest import POLICIES

from intermodal.config import config_file
from intermodal.config import tables as config_tables
from intermodal.config.schema import config_json_schema
from intermodal.errors import ConfigError

VALIDATOR = jsonschema.Draft202012Validator(config_json_schema())
WHOLE = """
consent = ["openai"]
max_cost = 0.2
time_value = 0.001
private = ["audio", "call.wav"]
declined = ["groq"]
pay_twice = false
explore = false
free_tiers = true
licence = "commercial"
regions = ["eu", "us"]
retention = "no-training"
trusted_hosts = ["openai", "groq"]
discovery = {enabled = true, usual_ports = false, addresses = ["http://127.0.0.1:9000"]}
timeouts = {connect = 5, first_token = 100, trial = 20, between_tokens = 30, thinking = 90, total = 500}
[hosts.box]
name = "Box"
base_url = "http://10.0.0.1:8080/v1"
protocol = "openai"
auth = "bearer"
key_env = "BOX_KEY"
key = "env"
zone = "network"
forced_json = true
tells_schema = true
quirks = ["no_system"]
max_images = 4
counts_text = "vllm"
rerank = "/rerank"
carries = ["document"]
not_asked = ["*-pro"]
regions = ["eu"]
trains = false
retention_days = 0
conditions_source = "https://example.com/privacy"
conditions_checked = "2026-11-28"
least_seconds = 10
timeouts = {connect = 5}
source = "https://example.com"
checked = "2026-11-25"
[hosts.box.speed]
overhead = [0.1, 0.2, 0.3]
load = [1, 2, 3]
prompt = [1, 2, 3]
decode = [1, 2, 3]
realtime_factor = [1, 2, 3]
megapixel = [1, 2, 3]
page = [1, 2, 3]
picture = [1, 2, 3]
denoise = [1, 2, 3]
latent = [1, 2, 3]
basis = "measured"
[[hosts.box.models]]
id = "acme/eye-7b"
served_as = "eye:7b"
name = "Eye"
quirks = []
tools = true
tools_with_json = false
tasks = ["image-text-to-text"]
input = ["text", "image"]
context = 4096
max_output = 512
languages = ["en"]
translates = ["en"]
labels = ["good", "bad"]
independent = true
steps = 20
guidance = 7.0
side = 512
unit = 64
buffers = [1, 2, 3]
tokenizer = "qwen3"
image_tokens = "openai_tile:85:170"
marks = ["<turn>"]
parameters = 7e9
tier = "small"
input_mtok = 0.1
output_mtok = 0.2
input_image_mtok = 0.1
input_audio_mtok = 0.1
output_audio_mtok = 0.1
output_image_mtok = 0.1
input_mchar = 0.1
second = 0.1
page = 0.1
picture = 0.1
request = 0.1
memory = [1, 2, 3]
memory_basis = "as htop shows it"
weights = "eye"
unpinned = true
source = "x"
checked = "2026-11-25"
[policies.house]
evidence = "mark"
objective = "cheapest"
at_least = "small"
model = "acme/eye-7b"
max_cost = 0.1
deadline = 30
farthest = "machine"
private = ["audio"]
release = ["audio:text"]
keep = ["tone"]
language = "de"
translate = "en"
hosts = ["groq"]
pages = [1, 2]
time_value = 0.1
streaming = "buffered"
pay_twice = true
resends = 1
explore = false
free_tiers = true
licence = "any"
regions = ["us"]
retention = "none"
[telemetry]
enabled = true
endpoint = "http://127.0.0.1:4318"
service = "house"
content = false
[store]
keep = "30d"
rows = 500000
[serve]
host = "0.0.0.0"
port = 80
workers = 4
names = ["gateway.example.com", "[::1]"]
origins = ["https://chat.example.com:8443"]
max_body = 10
max_text = 4
max_media = 50
prompts = "prompts"
max_tokens = 2000
drain = 5
log_format = "json"
streaming = "buffered"
log_level = "warning"
metrics = "open"
aliases = {"gpt-4o" = "policy:house"}
rates = {"box:acme/eye-7b" = {rpm = 3, tpm = 1000}}
"""
TABLE = tomllib.loads(WHOLE)
# Neither infinity, which JSON has not, nor 7.0, which JSON calls an integer.
VALUES: tuple[Any, ...] = (
    -1, 0, 1, 7, 0.5, 10**13, True, "", "x", "a b", "a/b", "en", "audio", "machine", "process",
    "openai", "llama", "https://example.com", "http://u:p@x/v1", "http://127.0.0.1:9/v1?a=b", "audio:text", [], [1],
    "2h", "0d",
    [-1], [0], ["x"], ["audio"], ["tone"], [1, 2, 3], [1, 2], ["https://a.example"], ["a.example/path"], {}, {"x": 1},
    {"x": "y"},
)  # fmt: skip
# What only reading can know: whether a host is known, how far an address is, whether figures and tasks fit together.
ONLY_READING = (
    ("consent",), ("trusted_hosts",),
    ("discovery", "addresses"), ("hosts", "box"), ("hosts", "box", "base_url"), ("hosts", "box", "id"),
    ("hosts", "box", "rerank"),
    *(("hosts", "box", "models", 0, key) for key in ("tasks", "input", "context", "max_output")),
)  # fmt: skip


def accepted(table: Any) -> bool:
    try:
        config_file.parse(table, "intermodal.toml")
    except ConfigError:
        return False
    return True


def places(table: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key, tables included."""
    for key, value in table.items() if isinstance(table, dict) else enumerate(table):
        if isinstance(key, str):
            yield (*above, key)
        if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
            yield from places(value, (*above, key))


def changed(place: tuple[Any, ...], value: Any) -> Any:
    table = copy.deepcopy(TABLE)
    inside = table
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = value
    return table


def test_the_example_says_every_key_there_is() -> None:
    table = copy.deepcopy(TABLE)
    assert accepted(table) and VALIDATOR.is_valid(table)
    said = {
        "intermodal.toml": table, "HostRow": table["hosts"]["box"], "ServedRow": table["hosts"]["box"]["models"][0],
        "SpeedRow": table["hosts"]["box"]["speed"], "TimeoutSettings": table["timeouts"], "ServeTable": table["serve"],
        "PolicyTable": table["policies"]["house"], "DiscoveryTable": table["discovery"],
        "TelemetryTable": table["telemetry"],
        "StoreTable": table["store"],
        "EndpointRate": table["serve"]["rates"]["box:acme/eye-7b"],
    }  # fmt: skip
    made = config_json_schema()
    for name, part in (("intermodal.toml", made), *made["$defs"].items()):
        assert set(part["properties"]) - {"id", "speed"} == set(said[name]) - {"id", "speed"}, name


@pytest.mark.slow
@pytest.mark.parametrize("place", [*places(TABLE)], ids=lambda place: ".".join(map(str, place)))
def test_reading_and_the_schema_agree_on_every_value(place: tuple[Any, ...]) -> None:
    for value in VALUES:
        table = changed(place, value)
        read, valid = accepted(table), VALIDATOR.is_valid(table)
        if read:
            assert valid, f"the schema refuses {value!r}, which may be said"
        elif place not in ONLY_READING:
            assert not valid, f"the schema takes {value!r}, which may not be said"


@pytest.mark.parametrize("place", [(), *places(TABLE)], ids=lambda place: ".".join(map(str, place)))
def test_a_key_that_is_none_is_refused_by_both(place: tuple[Any, ...]) -> None:
    table = copy.deepcopy(TABLE)
    inside = table
    for step in place:
        inside = inside[step]
    if isinstance(inside, dict) and place not in (("hosts",), ("policies",), ("serve", "aliases"), ("serve", "rates")):
        inside["max_kost"] = 1
        assert not accepted(table) and not VALIDATOR.is_valid(table)


@pytest.mark.parametrize("name", ["a b", "a:b", "", "--", "embedded", "policy", "Haus-2.x_y"])
@pytest.mark.parametrize("table", ["hosts", "policies"])
def test_both_know_what_may_be_a_name(table: str, name: str) -> None:
    made = {table: {name: {"base_url": "http://127.0.0.1/v1"} if table == "hosts" else {}}}
    assert accepted(made) == VALIDATOR.is_valid(made) == (name == "Haus-2.x_y")


@pytest.mark.parametrize("text", [POLICIES, SERVED, config_file.HEADER, "", "[hosts.openai.timeouts]\nconnect = 1\n"])
def test_what_other_tests_have_read_keeps_to_it(text: str) -> None:
    table = tomllib.loads(text)
    assert accepted(table)
    VALIDATOR.validate(table)


def test_a_policy_has_the_fields_of_a_policy() -> None:
    """Bounds are added to some; a field that is new in one is new in the other."""
    from intermodal.core.request import Policy

    assert set(config_tables.PolicyTable.__struct_fields__) == set(Policy.__struct_fields__)
