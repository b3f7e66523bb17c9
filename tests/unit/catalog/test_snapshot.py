"""The snapshot file: read by the line and by the host, and one clear sentence when it is not what it should be."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from intermodal.catalog import load
from intermodal.catalog.host_rows import HostRow
from intermodal.catalog.model_kinds import MODEL_KINDS
from intermodal.catalog.search import ModelFilter, filter_rows, row_kind
from intermodal.catalog.shipped_rows import known_hosts
from intermodal.catalog.snapshot.endpoints import cheapest_models, snapshot_host_rows
from intermodal.catalog.snapshot.file import (
    SHIPPED_SNAPSHOT,
    SNAPSHOT_FORMAT,
    Snapshot,
    SnapshotHeader,
    SnapshotHost,
    SnapshotRow,
)
from intermodal.errors import ConfigError


def lines(*rows: SnapshotRow) -> bytes:
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def written(path: Path, *rows: SnapshotRow, made: str = "2027-01-01", **changes: object) -> Path:
    """A snapshot of one host "acme", with whatever is to be wrong about its header."""
    body = lines(*rows)
    place = SnapshotHost(id="acme", name="Acme", url="https://acme.example/v1", keys=("ACME_API_KEY",),
                  package="@ai-sdk/openai-compatible", size=len(body), rows=len(rows),
                  tasks=(("text-generation", len(rows)),))  # fmt: skip
    header = SnapshotHeader(intermodal_snapshot=SNAPSHOT_FORMAT, made=made, size=len(body), places=(place,))
    plain = {**msgspec.to_builtins(header), **changes}
    path.write_bytes(msgspec.json.encode(plain) + b"\n" + body)
    return path


ROW = SnapshotRow(host="acme", name="big", id="acme/big", tasks=("text-generation",), input=("text",), output=("text",),
          context=8192, price_in=1.0, price_out=2.0)  # fmt: skip


def test_the_shipped_snapshot_is_whole() -> None:
    shipped = Snapshot()
    assert len(shipped.rows) == shipped.header.first[1] + sum(place.rows for place in shipped.places.values())
    assert len({(row.host, row.name) for row in shipped.rows}) == len(shipped.rows)
    assert all(row.id.count("/") >= 1 and row.host for row in shipped.rows)
    assert {row.host for row in shipped.rows} == shipped.places.keys()


def test_one_host_s_models_are_the_same_read_alone() -> None:
    alone, whole = Snapshot(), Snapshot()
    for host in ("openai", "openrouter", "groq", "anthropic"):
        assert alone.of_host(host)
        assert {row.name for row in alone.of_host(host)} == {row.name for row in whole.rows if row.host == host}
    assert alone.of_host("nobody") == []
    assert "rows" not in vars(alone), "reading hosts read the whole file"


def test_a_model_is_found_by_endpoint_and_at_every_host_by_its_id() -> None:
    shipped = Snapshot()
    assert shipped.by_endpoint["openai:openai/gpt-4o"].context == 128_000
    assert {"openai", "azure"} <= {row.host for row in shipped.by_model["openai/gpt-4o"]}
    found = shipped.find_by_host("mistral", "mistral-small-2603")
    assert found is not None
    assert found.id == "mistral/mistral-small-4"


def test_every_origin_has_its_licence_version_and_day() -> None:
    for origin in Snapshot().header.origins:
        assert origin.licence == "MIT"
        assert origin.version
    assert Snapshot().header.origins[0].taken < Snapshot().header.made


def test_every_row_has_a_kind_that_has_a_name() -> None:
    assert {row_kind(row) for row in Snapshot().rows} <= set(MODEL_KINDS)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(b""), "is not a snapshot of models"),
        (lambda path: path.write_bytes(b"\x80\x00PK"), "is not a snapshot of models"),
        (lambda path: path.write_bytes(b"[1, 2]\n"), "broken header"),
        (lambda path: path.write_bytes(b'{"intermodal_snapshot": "x"}\n'), "is not a snapshot of models"),
        (lambda path: path.write_bytes(b'{"intermodal_snapshot": 1}\n'), "broken header"),
        (
            lambda path: written(path, ROW, intermodal_snapshot=SNAPSHOT_FORMAT + 1, new_things=[]),
            "by a newer intermodal",
        ),
        (lambda path: path.write_bytes(path.read_bytes()[:-10]), "is cut or was edited"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x\n"), "is cut or was edited"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_snapshot_is_one_clear_error(tmp_path: Path, damage: object, said: str) -> None:
    path = written(tmp_path / "models.jsonl", ROW)
    damage(path)  # type: ignore[operator]
    with pytest.raises(ConfigError) as caught:
        Snapshot(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "intermodal models refresh" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "models.jsonl", ROW, ROW)
    data = path.read_bytes()
    path.write_bytes(data[:-12] + b"x" * 11 + b"\n")
    with pytest.raises(ConfigError, match=r"line 3 is broken"):
        _ = Snapshot(path).rows


def test_lines_that_are_missing_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "models.jsonl"
    written(path, ROW)
    text = path.read_bytes().replace(b'"rows":1', b'"rows":3')
    path.write_bytes(text)
    with pytest.raises(ConfigError, match="has 1 models where 3 belong"):
        _ = Snapshot(path).rows


def test_the_user_s_own_snapshot_is_used_when_it_is_later_and_not_when_it_is_older(tmp_path: Path) -> None:
    later = written(tmp_path / "later.jsonl", ROW, made="2099-01-01")
    older = written(tmp_path / "older.jsonl", ROW, made="2020-01-01")
    assert load.load_snapshot(later).path == later
    assert load.load_snapshot(older).path == SHIPPED_SNAPSHOT
    assert load.load_snapshot(tmp_path / "none.jsonl").path == SHIPPED_SNAPSHOT


def test_a_corrupt_snapshot_of_the_user_s_own_is_said_and_not_skipped(tmp_path: Path) -> None:
    path = tmp_path / "models.jsonl"
    path.write_text("nonsense")
    with pytest.raises(ConfigError, match=str(path)):
        load.load_snapshot(path)


def test_a_filter_leaves_what_fits_and_nothing_else() -> None:
    rows = Snapshot().rows
    wanted = ModelFilter(kind="vision-language", takes=frozenset({"image", "document"}), makes=frozenset({"text"}),
                    hosts=frozenset({"openrouter"}), max_price=0.5)  # fmt: skip
    found = filter_rows(rows, wanted)
    assert found
    for row in rows:
        fits = (
            row_kind(row) == "vision-language" and {"image", "document"} <= set(row.input) and "text" in row.output
            and row.host == "openrouter" and row.price_in is not None and row.price_in <= 0.5
        )  # fmt: skip
        assert (row in found) == fits


def test_the_cheapest_models_that_take_media_are_named_in_the_shipped_header() -> None:
    """They are chosen when a snapshot is made; by the rules of today most would be chosen again."""
    shipped = Snapshot()
    hosts = {row.id: row for row in known_hosts() if row.base_url}
    named = {(row.id, served.served_name) for row in hosts.values() for served in row.models}
    rest = [row for row in shipped.rows if (row.host, row.name) not in named]
    now = set(cheapest_models(rest, shipped.header, snapshot_host_rows(shipped.header) | hosts))
    assert len(now & set(shipped.header.cheapest)) > 0.7 * len(now)
    known = load.load_catalog(installed={}, weights=frozenset())
    assert {"image", "audio"} <= {kind for endpoint in known.beyond for kind in endpoint.input}
    assert not {endpoint.id for endpoint in known.beyond} & {endpoint.id for endpoint in known.endpoints}


def test_what_asks_a_tenth_of_what_others_ask_for_the_same_model_is_not_the_cheapest() -> None:
    said = [SnapshotRow(host=name, name="eye", id="acme/eye-70b", tasks=("image-text-to-text",),
                input=("text", "image"), output=("text",), context=8192, price_in=usd, price_out=usd,
                models_dev_prices=msgspec.Raw(b'{"units":{"input_mtok":%g,"output_mtok":%g}}' % (usd, usd)))
            for name, usd in (("a", 1.0), ("b", 0.9), ("c", 1.1), ("slip", 0.01))]  # fmt: skip
    hosts = {row.host: HostRow(id=row.host, base_url=f"https://{row.host}.example/v1") for row in said}
    header = SnapshotHeader(intermodal_snapshot=SNAPSHOT_FORMAT, made="2027-01-01", size=0)
    assert cheapest_models(said, header, hosts) == (("b", "eye"),)
