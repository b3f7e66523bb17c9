"""The JSON Schema (draft 2020-12) of ``intermodal.toml``, for editors, generated from the types that read the file.

Types, defaults and bounds come from the types, descriptions from their docstrings. Rules of ``config_file.py`` that a
schema can express are added here; the others (unknown hosts, contradicting rows) are checked when the file is read.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import msgspec

from intermodal.catalog.host_rows import FOLDER_PROTOCOLS, NOT_NAMES, PRICE_FIELDS, HostRow, ServedRow
from intermodal.catalog.plugin_rows import http_protocols
from intermodal.config.tables import AUTO, POLICY, PROMPT, REQUEST_DEFAULTS, ConfigFile, PolicyTable
from intermodal.core.request import ZONES

_ENTRY = re.compile(r"^(\w+(?:, \w+)*): (.*)$")


def config_json_schema() -> dict[str, Any]:
    """Return the schema. It contains exactly the keys that the file may have."""
    schemas, parts = msgspec.json.schema_components([ConfigFile], ref_template="#/$defs/{name}")
    _refine(parts)
    for cls in _reachable(ConfigFile):
        if cls.__name__ in _reachable_definitions(schemas, parts):
            _describe(parts[cls.__name__], cls)
    top = parts.pop("ConfigFile")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "intermodal.toml"}
    return {**head, **top, "$defs": {name: parts[name] for name in _reachable_definitions(top, parts)}}


def _reachable(cls: type[Any]) -> list[type[Any]]:
    """Return a struct class and all struct classes reachable through its fields."""
    found, open_ = [], [cls]
    while open_:
        each = open_.pop()
        if each in found:
            continue
        found.append(each)
        for field in msgspec.inspect.type_info(each).fields:  # type: ignore[attr-defined]
            open_ += _structs(field.type)
    return found


def _structs(kind: Any) -> list[type[Any]]:
    if isinstance(kind, msgspec.inspect.StructType):
        return [kind.cls]
    inner = [getattr(kind, name) for name in ("type", "item_type", "value_type") if hasattr(kind, name)]
    return [found for each in (*inner, *getattr(kind, "types", ())) for found in _structs(each)]


def _reachable_definitions(top: Any, parts: dict[str, Any]) -> list[str]:
    """Return the names of the definitions reachable from ``top``, sorted."""
    found: set[str] = set()
    open_ = [top]
    while open_:
        names = set(re.findall(r'"#/\$defs/(\w+)"', msgspec.json.encode(open_.pop()).decode())) - found
        found |= names
        open_ += [parts[name] for name in names]
    return sorted(found)


# ---- words -------------------------------------------------------------------------------------------


def _describe(part: dict[str, Any], cls: type[Any]) -> None:
    """Add descriptions to a table and its keys, and remove nulls from types and defaults, since TOML has no null."""
    docs = attribute_docs(cls)
    words = {key: docs[name] for key, name in zip(cls.__struct_encode_fields__, cls.__struct_fields__, strict=True)}
    part["description"] = _plain_docstring(inspect.cleandoc(cls.__doc__ or "").partition("\n\nAttributes:")[0])
    part.pop("title", None)
    if not part.get("required"):
        part.pop("required", None)
    for name, field in part["properties"].items():
        kinds = [kind for kind in field.pop("anyOf", ()) if kind != {"type": "null"}]
        field |= kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {}
        if field.get("default", 0) is None:
            del field["default"]
        if "prefixItems" in field:  # a triple: editors' validators (Taplo) know older drafts, and no prefixItems
            field["items"], *others = field.pop("prefixItems")
            assert all(each == field["items"] for each in others), name
        field["description"] = words[name]


def attribute_docs(cls: type[Any]) -> dict[str, str]:
    """Return the docstring text of each attribute of a class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        names: list[str] = []
        for line in inspect.cleandoc(base.__dict__.get("__doc__") or "").partition("Attributes:\n")[2].splitlines():
            entry = _ENTRY.match(line.removeprefix("    "))
            if entry is not None:
                names = entry[1].split(", ")
                found |= dict.fromkeys(names, entry[2])
            elif line.startswith("     "):
                found |= {name: f"{found[name]} {line.strip()}" for name in names}
            else:
                names = []
    return {name: _plain_docstring(words) for name, words in found.items()}


def _plain_docstring(words: str) -> str:
    """Return a docstring as editors show it: one paragraph, code in single backticks."""
    text = " ".join(words.replace("``", "`").split())
    return text[:1].upper() + text[1:]


# ---- further checks ------------------------------------------------------------------------------------


def _refine(parts: dict[str, Any]) -> None:
    url = r"^https?://[^/?#@\s]+(/[^?#\s]*)?$"
    host, served_fields = parts[HostRow.__name__]["properties"], parts[ServedRow.__name__]["properties"]
    del host["discovery"]  # only shipped rows state how they are discovered
    host["protocol"]["enum"] = [*http_protocols(), *FOLDER_PROTOCOLS]
    host["zone"] = {"enum": [zone for zone in ZONES if zone != "process"]}
    host["base_url"]["pattern"] = f"^$|{url}"
    for price in PRICE_FIELDS:
        served_fields[price] = {"type": "number", "minimum": 0}
    served_fields["parameters"] = {"type": "number", "exclusiveMinimum": 0}
    served_fields["context"] = served_fields["max_output"] = {"type": "integer", "minimum": 1}
    policy = parts[PolicyTable.__name__]["properties"]
    del policy["max_cost_stated"]  # saying max_cost is stating it
    for name in (*REQUEST_DEFAULTS, "streaming"):
        del policy[name]["default"]  # the value at the top of the file
    parts["DiscoveryTable"]["properties"]["addresses"]["items"]["pattern"] = url
    parts["TelemetryTable"]["properties"]["endpoint"]["pattern"] = f"^$|{url}"
    aliases = parts["ServeTable"]["properties"]["aliases"]
    aliases["propertyNames"] = {"pattern": r"\S", "not": {"pattern": f"^({AUTO}$|{POLICY}|{PROMPT})"}}
    aliases["additionalProperties"]["pattern"] = r"\S"
    name_pattern = {"pattern": r"^[A-Za-z0-9._-]*[A-Za-z0-9][A-Za-z0-9._-]*$", "not": {"enum": list(NOT_NAMES)}}
    for table in ("hosts", "policies"):
        parts["ConfigFile"]["properties"][table]["propertyNames"] = name_pattern


__all__ = ["attribute_docs", "config_json_schema"]
