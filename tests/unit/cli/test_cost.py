"""``intermodal cost``: a workload's month, for several plans; its document in three formats, and every slip in it."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.page_width import PAGE, narrowest
from tests.unit.cli.conftest import Cli

from intermodal import Client, make_request
from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.config import config_file
from intermodal.plans.machine import Machine
from intermodal.workloads.workload import SCHEMA

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parent / "cost.expected"
ROWS = (
    ServedRow(id="acme/seer-70b", served_as="seer", context=65536, input=("text", "image"), input_mtok=1.0,
              output_mtok=4.0),
    ServedRow(id="acme/talker-8b", served_as="talker", context=32768, input_mtok=0.1, output_mtok=0.4),
    ServedRow(id="openai/whisper-large-v3", served_as="ear", second=0.0001),
    ServedRow(id="acme/mystery-70b", served_as="mystery", context=32768),
)  # fmt: skip
CALLS = """\
workload: 1
name: support calls
as_of: 2026-11-25
requests: {per_day: 100, days: 20}  # on working days
prompt: What does the caller want, and does the invoice agree?
parts:
  - audio: 3m
    name: call.wav
  - image: 1024x1024
    name: invoice.png
    text_density: 0.2
  - pdf: 4p
    name: terms.pdf
output: {tokens: 100}
policy: {hosts: [box], time_value: 0}
plans:
  - {name: seen, model: "box:acme/seer-70b", keep: [appearance]}
  - {name: read, model: "box:acme/talker-8b"}
  - {name: unknown, model: "box:acme/mystery-70b"}
  - {name: too cheap, model: "box:acme/seer-70b", max_cost: 0.000001}
"""


@pytest.fixture(autouse=True)
def box(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host of one's own that nobody must call, and a machine that is the same everywhere."""
    row = HostRow(id="box", base_url="https://box.invalid/v1", key_env="BOX_KEY", zone="internet", models=ROWS)
    config_file.add_host(os.environ, row)
    machine = Machine(cores=2, memory=8 << 30, free=6 << 30)
    monkeypatch.setattr("intermodal.local.hardware.machine.machine_snapshot", lambda loaded: machine)


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(text: str = CALLS, name: str = "calls.yaml") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return written


def plans(cli: Cli, path: str) -> dict[str, dict[str, Any]]:
    done = cli("cost", path, "--json")
    assert done.code == 0, done.out + done.err
    return {plan["name"]: plan for plan in done.document["plans"]}


# ---- the bills -------------------------------------------------------------------------------------


def test_the_table_is_as_expected(cli: Cli, write: Any, bless: bool) -> None:
    done = cli("cost", write(CALLS.partition("  - {name: too cheap")[0]))
    assert done.code == 0, done.err
    if bless:
        GOLDEN.write_text(done.out)
    assert done.out == GOLDEN.read_text()


def test_every_total_is_the_sum_of_its_kinds_and_of_its_steps(cli: Cli, write: Any) -> None:
    for plan in plans(cli, write()).values():
        if plan["total"] is None:
            continue
        for level in ("low", "mid", "high"):
            total = plan["total"][level]
            assert sum(usd[level] for usd in plan["usd"].values()) == pytest.approx(total, abs=1e-4)
            assert sum(step["usd"][level] for step in plan["steps"]) == pytest.approx(total, abs=1e-4)


def test_a_month_is_the_planners_own_request_as_often_as_it_comes(cli: Cli, write: Any) -> None:
    """Of a request whose every part is real, the bill is the plan's, times the requests."""
    path = write("workload: 1\nrequests: {per_month: 1000}\nprompt: Who wrote this?\n"
                 "plans: [{name: one, model: 'box:acme/talker-8b', hosts: [box]}]\n")  # fmt: skip
    (plan,) = plans(cli, path).values()
    os.environ["BOX_KEY"] = "made-up"
    try:
        with Client() as client:
            made = client.plan(make_request("Who wrote this?", model="box:acme/talker-8b", hosts="box"))
    finally:
        del os.environ["BOX_KEY"]
    cost = made.chosen.total.cost
    assert plan["total"]["mid"] == pytest.approx(1000 * cost.mid, rel=1e-3)
    assert plan["total"]["high"] == pytest.approx(1000 * cost.high, rel=1e-3)
    assert plan["tokens_in"]["mid"] == pytest.approx(1000 * made.chosen.total.input_tokens.mid, rel=1e-3)


def test_what_a_kind_costs_is_what_its_conversion_and_its_words_cost(cli: Cli, write: Any) -> None:
    """Three minutes at $0.0001 a second 2,000 times are $36; the words heard are tokens of the answering call."""
    read = plans(cli, write())["read"]
    (heard,) = (step for step in read["steps"] if step["op"] == "transcribe")
    assert heard["usd"]["mid"] == pytest.approx(36.0) and heard["modality"] == "audio"
    assert read["usd"]["audio"]["mid"] == pytest.approx(36.0 + heard["tokens_out"]["mid"] * 0.1e-6, rel=1e-3)
    assert read["usd"]["output"]["mid"] == pytest.approx(2000 * 100 * 0.4e-6, rel=1e-6)
    assert read["hours_here"]["mid"] > 0, "the image is read on this machine"
    assert "appearance" in read["loses"] and "appearance" not in plans(cli, write())["seen"]["loses"]


def test_a_price_nobody_knows_makes_a_bill_unknown_and_never_nothing(cli: Cli, write: Any) -> None:
    path = write()
    found = plans(cli, path)["unknown"]
    assert found["total"] is None and found["usd"]["output"] is None and found["refused"] is None
    assert "unknown and not $0" in cli("cost", path).out


def test_a_plan_that_there_is_none_of_is_said_and_the_others_are_billed(cli: Cli, write: Any) -> None:
    found = plans(cli, write())
    assert found["too cheap"]["usd"] is None and "max" in found["too cheap"]["refused"]
    assert found["seen"]["total"]["mid"] > 0


def test_real_files_have_real_facts(cli: Cli, write: Any, media: Path) -> None:
    path = write(f"workload: 1\nrequests: {{per_month: 10}}\nprompt: What is said about it?\nparts:\n"
                 f"  - file: {media / 'jfk.wav'}\n"
                 "plans: [{name: one, model: 'box:acme/talker-8b', hosts: [box], time_value: 0}]\n")  # fmt: skip
    (plan,) = plans(cli, path).values()
    (heard,) = (step for step in plan["steps"] if step["op"] == "transcribe")
    assert "11 s" in heard["what"], "jfk.wav is 11 seconds long"


def test_many_parts_alike_cost_as_often_as_they_are(cli: Cli, write: Any) -> None:
    text = CALLS.replace("    name: invoice.png\n", "    name: invoice.png\n    count: COUNT\n")
    one, four = (
        plans(cli, write(text.replace("COUNT", str(count))))["seen"]["usd"]["image"]["mid"] for count in (1, 4)
    )
    assert four == pytest.approx(4 * one, rel=0.01)


def test_nothing_is_sent_and_nothing_is_written_down(cli: Cli, write: Any, own_home: Path) -> None:
    assert cli("cost", write()).code == 0
    assert not (own_home / "data" / "store.sqlite3").exists()
    assert "box" not in config_file.load_config(os.environ).consent


# ---- images --------------------------------------------------------------------------------------


def test_the_picture_is_xml_that_says_what_it_shows(cli: Cli, write: Any, tmp_path: Path) -> None:
    target = tmp_path / "month.svg"
    assert cli("cost", write(CALLS.replace("name: seen", 'name: "<seen> & told"')), "--svg", str(target)).code == 0
    tree = ET.fromstring(target.read_text())
    words = " ".join(tree.itertext())
    assert "<seen> & told" in words and "unknown" in words and "no route is allowed" in words
    shares = [each for each in tree.iter() if each.get("class", "").startswith("of-")]
    assert len({each.get("class") for each in shares}) >= 4


def test_the_page_holds_the_tables_and_the_picture_and_needs_nothing_else(cli: Cli, write: Any, tmp_path: Path) -> None:
    target = tmp_path / "month.html"
    assert cli("cost", write(), "--html", str(target), "--json").code == 0
    page = target.read_text()
    assert page.startswith("<!DOCTYPE html>") and "<svg" in page and page.count("<table>") == 3
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "") and "<script" not in page
    assert max(narrowest(page)) <= PAGE, "no table is cut at 1200 pixels"


def test_a_target_that_is_the_workload_is_refused(cli: Cli, write: Any) -> None:
    path = write()
    done = cli("cost", path, "--svg", path)
    assert done.code == 2 and "is an input of this request" in done.err
    assert Path(path).read_text() == CALLS


# ---- the document ----------------------------------------------------------------------------------


def test_yaml_toml_and_json_say_the_same(cli: Cli, write: Any) -> None:
    import yaml

    plain = yaml.safe_load(CALLS) | {"as_of": "2026-11-25"}
    toml = """\
workload = 1
name = "support calls"
as_of = 2026-11-25
prompt = "What does the caller want, and does the invoice agree?"
output = {tokens = 100}
[requests]
per_day = 100
days = 20
[policy]
hosts = ["box"]
time_value = 0
[[parts]]
audio = "3m"
name = "call.wav"
[[parts]]
image = "1024x1024"
name = "invoice.png"
text_density = 0.2
[[parts]]
pdf = "4p"
name = "terms.pdf"
[[plans]]
name = "seen"
model = "box:acme/seer-70b"
keep = ["appearance"]
[[plans]]
name = "read"
model = "box:acme/talker-8b"
[[plans]]
name = "unknown"
model = "box:acme/mystery-70b"
[[plans]]
name = "too cheap"
model = "box:acme/seer-70b"
max_cost = 0.000001
"""
    said = [
        cli("cost", path).out
        for path in (write(), write(json.dumps(plain, indent="\t"), "calls.json"), write(toml, "calls.toml"))
    ]
    assert said[0] == said[1] == said[2] and "support calls" in said[0]


SLIPS = [
    (CALLS.replace("prompt:", "promt:"), 5, "no key 'promt' is known here; did you mean 'prompt'?"),
    (CALLS.replace("keep: [appearance]", "kepe: [appearance]"), 17, "did you mean 'keep'?"),
    (CALLS.replace("keep: [appearance]", "keep: [apearance]"), 17, "did you mean 'appearance'?"),
    (CALLS.replace("audio: 3m", "audio: 3 minutes"), 7, "'3 minutes' is not a duration; write it as 10s or 1m30s"),
    (CALLS.replace("- image: 1024x1024", "- image: 1024"), 9, "image: 1024 is not text (put it in quotes)"),
    (CALLS.replace("- image: 1024x1024", "- image: 1024x"), 9, "is not a size in pixels"),
    (CALLS.replace("    name: terms.pdf", "    silent: true"), 13, "silent does not belong to pdf"),
    (CALLS.replace("  - pdf: 4p\n", "  - pdf: 4p\n    audio: 3s\n"), 12, "not audio and pdf"),
    (CALLS.replace("per_day: 100, days: 20", "per_day: 100, per_month: 20"), 4, "give per_day or per_month"),
    (CALLS.replace("per_day: 100", "per_day: -1"), 4, "-1 is not more than 0"),
    (CALLS.replace("workload: 1", "workload: 2"), 1, "is of version 2 of the format"),
    (CALLS.replace("as_of: 2026-11-25", "as_of: 2026-13-45"), 3, "is not a day"),
    (CALLS.replace("name: read", "name: seen"), 18, "two plans are called 'seen'"),
    (CALLS.replace("name: call.wav", "audio: 4m"), 8, "'audio' is there twice"),
    (CALLS.replace("output: {tokens: 100}", "output: {tokens: yes}"), 14, "tokens: \"yes\" is not a whole number"),
    (CALLS.replace("output: {tokens: 100}", "output: {kind: scores}"), 14, "scores need labels"),
    (CALLS.replace("plans:", "plans: &a\n  - *a"), 16, ""),
    (CALLS.replace("{name: read,", "{name: read, host: gogle,"), 18, "did you mean google"),
    (CALLS.replace("- pdf: 4p", "- pdf: 30000p"), 6, "30,000 pages in one request"),
    (CALLS.replace("    text_density: 0.2", "    text_density: 1e999"), 11, "inf is not a finite number"),
    (CALLS.replace("- audio: 3m", "- file: https://a.example/b.wav"), 7, "nothing is fetched for a bill"),
    (CALLS.replace("  - audio", " - audio"), 8, "is not YAML"),
    ("workload: 1\nrequests: {per_day: 1}\nprompt: a\n", 1, "'plans' is missing"),
    ("workload: 1\nrequests: {per_day: 1}\nplans: [{name: a}]\n", 1, "nothing is asked"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "said"), SLIPS, ids=[said or "alias" for _, _, said in SLIPS])
def test_a_slip_is_one_sentence_with_file_and_line(cli: Cli, write: Any, text: str, line: int, said: str) -> None:
    path = write(text)
    done = cli("cost", path)
    assert done.code == 2 and done.out == ""
    assert f"calls.yaml:{line}: " in done.err and said in done.err and done.err.count("\n") <= 2, done.err


def test_a_slip_in_toml_and_in_json_has_its_line_too(cli: Cli, write: Any) -> None:
    toml = 'workload = 1\nprompt = "a"\n[requests]\nper_day = 1\n[[plans]]\nname = "a"\n[[plans]]\nmodle = "b"\n'
    assert "calls.toml:8: no key 'modle'" in cli("cost", write(toml, "calls.toml")).err
    assert "calls.toml:2: is not TOML" in cli("cost", write('workload = 1\nprompt = "a\n', "calls.toml")).err
    text = '{"workload": 1,\n\t"prompt": "a", "requests": {\n"per_dya": 1}, "plans": []}'
    assert "calls.json:3: no key 'per_dya' is known here; did you mean 'per_day'?" in cli(
        "cost", write(text, "calls.json")
    ).err  # fmt: skip
    nan = '{"workload": 1,\n"requests": {"per_day": NaN}, "prompt": "a", "plans": [{"name": "b"}]}'
    assert "calls.json:2: nan is not a finite number" in cli("cost", write(nan, "calls.json")).err
    assert "calls.json:2: is not JSON" in cli("cost", write('{"workload": 1,\n 2}', "calls.json")).err


@pytest.mark.parametrize("text", ["", "[]", "- a", "a: &b [*b, *b]", "\x00", "a: " + "[" * 5000], ids=range(6))
def test_what_is_no_workload_is_refused_in_a_sentence(cli: Cli, write: Any, text: str) -> None:
    done = cli("cost", write(text))
    assert done.code == 2 and "Traceback" not in done.err and done.err.startswith("intermodal: ")


def test_a_document_that_stands_for_billions_is_refused_at_once(cli: Cli, write: Any) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    done = cli("cost", write("\n".join(lines)))
    assert done.code == 2 and "more values than the limit" in done.err


def test_a_file_that_is_not_there_is_said(cli: Cli, tmp_path: Path) -> None:
    done = cli("cost", str(tmp_path / "none.yaml"))
    assert done.code == 2 and "none.yaml: cannot be read" in done.err


def test_a_model_nobody_knows_is_said_with_its_plan(cli: Cli, write: Any) -> None:
    done = cli("cost", write(CALLS.replace("box:acme/talker-8b", "box:acme/talker-9b")))
    assert done.code == 2 and "plan 'read': " in done.err and "talker-8b" in done.err


def test_the_shipped_example_is_what_the_document_shows_and_runs(cli: Cli) -> None:
    root = Path(__file__).parents[3]
    example = root / "examples" / "workloads" / "support-calls.yaml"
    assert f"```yaml\n{example.read_text()}```" in (root / "docs" / "cost.md").read_text()
    found = {plan["name"]: plan for plan in cli("cost", str(example), "--json").document["plans"]}
    assert found["here"]["total"]["high"] == 0 and found["here"]["hours_here"]["mid"] > 1
    assert found["cheapest of three hosts"]["total"]["mid"] < found["gpt-4o, picture kept"]["total"]["mid"]


def test_the_published_schema_is_the_one_that_is_used() -> None:
    published = Path(__file__).parents[3] / "docs" / "workload.schema.json"
    assert published.read_text() == SCHEMA.read_text()
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA.read_text()))


DISCOUNTS = """\
workload: 1
as_of: 2026-11-25
requests: {per_month: 1000}
prompt: Say what this is about.
parts: [{letters: 40000}]
output: {tokens: 500}
policy: {time_value: 0, host: openai}
plans:
  - {name: plain, model: "openai:openai/gpt-4.1"}
  - {name: batch, model: "openai:openai/gpt-4.1", batch: true}
  - {name: cached, model: "openai:openai/gpt-4.1", cached: 2000}
  - {name: all of it cached, model: "openai:openai/gpt-4.1", cached: 10000000}
  - {name: both, model: "openai:openai/gpt-4.1", cached: 2000, batch: true}
  - {name: neither, model: "groq:meta/llama-3.1-8b-instant", host: groq, cached: 2000, batch: true}
  - {name: neither plain, model: "groq:meta/llama-3.1-8b-instant", host: groq}
"""


def test_a_batch_and_cached_text_are_billed_at_their_own_prices(cli: Cli, tmp_path: Path) -> None:
    """gpt-4.1: $2 and $8 a million, half of it in a batch; cached text $0.50, in a batch too."""
    path = tmp_path / "calls.yaml"
    path.write_text(DISCOUNTS)
    found = {plan["name"]: plan for plan in cli("cost", str(path), "--json").document["plans"]}
    usd = {name: {kind: plan["usd"][kind]["mid"] for kind in ("text", "output")} for name, plan in found.items()}
    tokens = found["plain"]["tokens_in"]["mid"] / 1e6
    assert usd["plain"] == pytest.approx({"text": tokens * 2, "output": 4.0})
    assert usd["batch"] == pytest.approx({"text": tokens, "output": 2.0})
    assert usd["cached"] == pytest.approx({"text": tokens * 2 - 2 * 1.5, "output": 4.0})
    assert usd["all of it cached"] == pytest.approx({"text": tokens * 0.5, "output": 4.0})
    assert usd["both"] == pytest.approx({"text": tokens - 2 * 0.5, "output": 2.0})
    assert found["neither"]["total"] == found["neither plain"]["total"]
    said = " ".join(found["neither"]["warnings"])
    assert "no price of a batch" in said and "no price of cached text" in said
    assert "within a day" in " ".join(found["batch"]["warnings"])
    assert not any("batch" in words or "cached" in words for words in found["plain"]["warnings"])


@pytest.mark.parametrize(
    ("day", "usd"), [("2025-05-01", 10.0), ("2025-07-01", 2.0), ("2026-11-25", 2.0)], ids=lambda each: str(each)
)
def test_prices_are_those_of_the_day_that_is_named(cli: Cli, tmp_path: Path, day: str, usd: float) -> None:
    """o3 cost $10 a million until June 2025 and $2 since."""
    path = tmp_path / "calls.yaml"
    path.write_text(
        f"workload: 1\nas_of: {day}\nrequests: {{per_month: 1000}}\nprompt: Say something.\noutput: {{tokens: 0}}\n"
        "plans: [{name: o3, host: openai, model: 'openai:openai/o3'}]\n"
    )
    (plan,) = cli("cost", str(path), "--json").document["plans"]
    assert plan["usd"]["text"]["mid"] == pytest.approx(plan["tokens_in"]["mid"] * usd / 1e6)


def test_a_stated_length_is_that_of_the_answer_and_thinking_comes_on_top(cli: Cli, write: Any) -> None:
    asks = "workload: 1\nrequests: {per_month: 1000}\nprompt: Who wrote Hamlet?\n"
    asks += "plans: [{name: it, model: 'openai:MODEL', hosts: [openai]}]\n"
    bills = {}
    for model in ("o3", "gpt-4o-mini"):
        for stated in ("output: {tokens: 100}\n", "output: {tokens: 100, max_tokens: 100}\n"):
            (plan,) = plans(cli, write(asks.replace("MODEL", model) + stated)).values()
            bills[model, "max" in stated] = plan["tokens_out"]
    assert bills["o3", False]["mid"] == 1000 * 800 and bills["o3", False]["low"] >= 1000 * 100
    assert bills["o3", False]["high"] > bills["o3", False]["mid"]
    assert bills["o3", True]["high"] == 1000 * 100  # a limit that is sent counts what is thought
    assert {bills["gpt-4o-mini", limit]["mid"] for limit in (False, True)} == {1000 * 100}
