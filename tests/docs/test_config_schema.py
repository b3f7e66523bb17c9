"""docs/intermodal.schema.json is what the types of the config say (``--bless`` writes it); examples keep to it."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from intermodal.config.schema import config_json_schema

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "docs" / "intermodal.schema.json"
TOML = re.compile(r"^```toml\n(.*?)^```$", re.M | re.S)
OTHERS = re.compile(r"^id = ", re.M)  # rows of the catalog, in CONTRIBUTING.md: another file


def examples() -> list[Any]:
    found = []
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for number, block in enumerate(TOML.findall(document.read_text())):
            if not OTHERS.match(block):
                found.append(pytest.param(block, id=f"{document.name} {number}"))
    return found


def test_the_published_schema_is_the_one_of_the_types(bless: bool) -> None:
    made = json.dumps(config_json_schema(), indent=2, ensure_ascii=False) + "\n"
    if bless:
        PUBLISHED.write_text(made)
    assert PUBLISHED.read_text() == made, "make bless, if this is what it should say"


def test_the_config_schema_is_valid_and_describes_every_key() -> None:
    made = config_json_schema()
    jsonschema.Draft202012Validator.check_schema(made)
    for name, part in (("intermodal.toml", made), *made["$defs"].items()):
        assert part["description"], name
        assert part["additionalProperties"] is False, name
        for key, field in part["properties"].items():
            assert len(field["description"]) > 8, (name, key)
            assert "null" not in json.dumps(field), f"TOML has no null: {name}.{key}"
            assert "prefixItems" not in field, "Taplo refuses every value under it"


@pytest.mark.parametrize("block", examples())
def test_every_example_of_the_documents_keeps_to_it(block: str) -> None:
    jsonschema.validate(tomllib.loads(block), config_json_schema())
