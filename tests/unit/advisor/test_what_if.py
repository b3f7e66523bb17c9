"""A request that nothing reachable can answer: the verdict, a hosted and a local route, and the commands for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli, cli, own_weights

__all__ = ["cli", "own_weights"]

pytestmark = [pytest.mark.usefixtures("own_weights"), pytest.mark.slow]
CAT = ("explain", "What animal is on the photo?")


def test_a_request_that_nothing_can_answer_gets_its_verdict_and_prices_all_the_same(cli: Cli, media: Path) -> None:
    done = cli(*CAT, str(media / "photo-cat.jpg"))
    assert done.code == 4
    assert done.err.startswith("intermodal: no available model can answer this")
    assert done.out == ""
    said = " ".join(done.err.split())
    assert "no service was contacted" in said
    assert said.count("a language model is not enough, text would lose appearance of photo-cat.jpg") == 2
    assert "to use it: intermodal hosts add " in said
    assert "to use it: intermodal pull " in said


def test_the_error_document_has_both_routes_as_fields(cli: Cli, media: Path) -> None:
    document = cli(*CAT, str(media / "photo-cat.jpg"), "--json").document
    assert document["kind"] == "intermodal.error"
    hosted, local = document["what_if"]
    assert (hosted["place"], local["place"]) == ("hosted", "local")
    assert hosted["verdict"] == local["verdict"] == "broader_needed"
    assert hosted["cost"]["mid"] > 0.0
    assert local["cost"]["mid"] == 0.0
    assert hosted["todo"] == [f"intermodal hosts add {hosted['endpoint'].partition(':')[0]}"]


def test_the_weights_to_fetch_are_names_that_pull_knows(cli: Cli, media: Path) -> None:
    route = cli("explain", "What does he ask for?", str(media / "jfk.wav"), "--local", "--json").document["what_if"][0]
    (command,) = route["todo"]
    names = command.removeprefix("intermodal pull ").split()
    assert len(names) == 2  # one that transcribes, one that answers
    known = {row["name"] for row in cli("pull", "--list", "--json").document["weights"]}
    assert set(names) <= known


def test_a_request_that_may_not_leave_the_machine_is_shown_no_host(cli: Cli, media: Path) -> None:
    routes = cli("explain", "Is the speaker angry?", str(media / "jfk.wav"), "--local", "--json").document["what_if"]
    assert [route["place"] for route in routes] == ["local"]
    assert "nothing may leave this machine" in routes[0]["headline"]


def test_only_hosts_that_the_config_trusts_are_shown(
    cli: Cli, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "intermodal.toml"
    config.write_text('trusted_hosts = ["mistral"]\n')
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config))
    routes = cli(*CAT, str(media / "photo-cat.jpg"), "--json").document["what_if"]
    assert routes[0]["endpoint"].startswith("mistral:")


def test_a_named_model_is_not_replaced_by_another(cli: Cli, media: Path) -> None:
    done = cli("explain", "-m", "smollm2-135m-instruct", "What is the total?", "--json")
    assert done.code == 4
    assert done.document["what_if"] == []
