"""``intermodal config``: where the file is, whether it can be used, and the schema for editors."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from tests.unit.cli.conftest import Cli


def test_config_prints_the_path_of_the_file_and_that_it_is_optional(cli: Cli, own_home: Path) -> None:
    done = cli("config")
    assert (done.code, done.out) == (0, f"{own_home / 'config' / 'intermodal.toml'}\n")
    assert "is optional" in done.err
    assert cli("config", "--json").document["exists"] is False


def test_a_config_error_names_file_and_line(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "own.toml"
    path.write_text("# mine\n[serve]\nprt = 1\n")
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    done = cli("config")
    assert done.code == 2 and f"{path} line 3: unknown key prt in [serve]" in done.err
    path.write_text("# mine\n[serve]\nport = 1\n")
    assert cli("config").code == 0


def test_the_schema_is_printed(cli: Cli) -> None:
    done = cli("config", "schema")
    made = json.loads(done.out)
    jsonschema.Draft202012Validator.check_schema(made)
    jsonschema.validate({"serve": {"port": 80}}, made)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"serve": {"prt": 80}}, made)
