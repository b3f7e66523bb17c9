"""Scans for servers: queries all addresses concurrently, within a second.

A server is first asked for its models, then identified by the catalog's rules (``ServerFingerprint.step``), then asked
for details of its models. Replies are kept as they arrive: at the timeout, the result consists of those received.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from intermodal import errors
from intermodal.catalog.discovered_servers import DiscoveredModel, DiscoveredServer, ModelReport, merge_reports
from intermodal.catalog.host_rows import DiscoveryRules, HostRow, ListingRequest
from intermodal.local.discovery.listing_readers import LOADED_MODEL_FORMS, READERS, values_at
from intermodal.protocols.calls import EncodedRequest
from intermodal.transport.addresses import HostAddress, port_is_open
from intermodal.transport.client import Transport
from intermodal.transport.timeouts import Timeouts

SECONDS = 0.9  # timeout of the whole scan
MOST_MODELS = 200  # maximum number of models queried individually per server
_AT_ONCE = 8  # concurrent queries of single models
_LARGEST = 8 << 20  # maximum bytes of a reply
_JSON = (("content-type", "application/json"),)


async def scan_servers(
    servers: Iterable[HostAddress],
    kinds: Sequence[HostRow],
    *,
    date: str,
    before: Mapping[str, DiscoveredServer] | None = None,
) -> tuple[DiscoveredServer, ...]:
    """Return the servers found at these addresses, in their order. Addresses without a listener are omitted.

    Args:
        servers: root addresses, with the host's key if it has one.
        kinds: host rows with rules to identify and query servers.
        date: current time, UTC to the minute.
        before: previous results by address. Details of a model with the same digest on the same server version are
            reused.
    """
    import anyio

    transport = Transport()
    visits = [_Visit(server, kinds, transport, (before or {}).get(server.base_url), date) for server in servers]
    try:
        with anyio.move_on_after(SECONDS):
            async with anyio.create_task_group() as group:
                for visit in visits:
                    group.start_soon(visit.visit)
    finally:
        with anyio.CancelScope(shield=True):
            await transport.aclose()
    return tuple(server for visit in visits if (server := visit.server()) is not None)


class _Visit:
    """The scan of one address, with its replies so far."""

    def __init__(
        self,
        place: HostAddress,
        kinds: Sequence[HostRow],
        transport: Transport,
        before: DiscoveredServer | None,
        date: str,
    ) -> None:
        self._place, self._transport, self._before, self._date = place, transport, before, date
        self._kinds = {row.id: row.discovery for row in kinds if row.discovery is not None}
        self._replies: dict[str, tuple[int, bytes]] = {}
        self._there = self._whole = False
        self._kind = ""
        self._version = ""
        self._said: dict[int, list[ModelReport]] = {}

    async def visit(self) -> None:
        if not await port_is_open(self._place.base_url):
            return
        self._there = True
        self._kind = await self._detect_kind()
        if self._kind:
            await self._read_listings(self._kinds[self._kind])
        self._whole = True

    def server(self) -> DiscoveredServer | None:
        if not self._there or (self._whole and not self._replies):
            return None
        signs = self._kinds.get(self._kind, DiscoveryRules())
        models = merge_reports(self._reports, signs.forwarded_names)
        return DiscoveredServer(
            address=self._place.base_url, kind=self._kind, version=self._version, date=self._date, models=models,
            complete=self._whole, message="" if self._kind else self._describe_unknown(),
        )  # fmt: skip

    def _describe_unknown(self) -> str:
        """Return a description of a server of unknown kind."""
        if not self._whole:
            return "listens, and gave no answer in time"
        status, body = self._replies.get("/v1/models", (0, b""))
        if status in (401, 403):
            return "wants a key"
        if any(True for _ in values_at(_parse_json(body), "data.*.id")):
            return "speaks OpenAI's protocol, and does not identify itself"
        return "no model server that is known"

    # ---- identification -------------------------------------------------------------------------

    async def _detect_kind(self) -> str:
        signs = [(sign, kind) for kind, row in self._kinds.items() for sign in row.signs]
        for sign, kind in sorted(signs, key=lambda pair: pair[0].step):
            if await self._matches_rule(sign.path, sign.key, sign.says) and (
                sign.also is None or await self._matches_rule(*sign.also)
            ):
                return kind
        return ""

    async def _matches_rule(self, path: str, key: str, says: str) -> bool:
        """Return whether the reply at a path matches a rule, as ``ServerFingerprint`` defines it."""
        import re

        status, body = await self._get(path)
        if status != 200:
            return False
        if not key:
            return re.search(says, body[:4096].decode("utf-8", "replace")) is not None
        found = values_at(_parse_json(body), key)
        return any(not says or (isinstance(each, str) and re.search(says, each)) for each in found)

    async def _get(self, path: str) -> tuple[int, bytes]:
        """Return status and body, or (0, b"") without a reply. Successful replies are cached by path."""
        if path not in self._replies:
            try:
                async with self._transport.get(self._place, path) as response:
                    self._replies[path] = response.status, await response.read_body(_LARGEST)
            except errors.IntermodalError:
                return 0, b""
        return self._replies[path]

    # ---- models ---------------------------------------------------------------------------------

    @property
    def _reports(self) -> list[ModelReport]:
        """Return the reports in the order of the row's reads, whichever arrived first."""
        return [each for number in sorted(self._said) for each in self._said[number]]

    async def _read_listings(self, row: DiscoveryRules) -> None:
        import anyio

        if row.version:
            _, body = await self._get(row.version[0])
            self._version = next(
                (word for word in values_at(_parse_json(body), row.version[1]) if isinstance(word, str)), ""
            )
        for number, read in enumerate(row.reads):
            if not read.each:
                self._apply_reply(number, read, "", (await self._get(read.path))[1], row)
        for number, read in enumerate(row.reads):
            if read.each:
                names = [
                    model for model in merge_reports(self._reports) if not self._reuse_report(model, number, read.path)
                ][:MOST_MODELS]
                limiter = anyio.CapacityLimiter(_AT_ONCE)
                async with anyio.create_task_group() as group:
                    for model in names:
                        group.start_soon(self._read_model, number, read, model.name, row, limiter)

    def _reuse_report(self, model: DiscoveredModel, number: int, path: str) -> bool:
        """Reuse the previous report of a model if the digest and the server version are unchanged.

        Returns whether it did.
        """
        before = self._before
        if before is None or not before.complete or before.version != self._version or not model.digest:
            return False
        old = next((each for each in before.models if (each.name, each.digest) == (model.name, model.digest)), None)
        if old is None:
            return False
        chat = old.makes in ("", "text") and bool(old.input)
        self._said.setdefault(number, []).append(
            ModelReport(
                source=path, model=old.name, makes=old.makes, tools=old.tools,
                takes={"text": True, "image": "image" in old.input, "audio": "audio" in old.input} if chat else {},
                trained=old.trained, elsewhere=old.elsewhere, parameters=old.parameters,
            )
        )  # fmt: skip
        return True

    async def _read_model(
        self, number: int, read: ListingRequest, model: str, row: DiscoveryRules, limiter: Any
    ) -> None:
        request = EncodedRequest(path=read.path, headers=_JSON, segments=(json.dumps({"model": model}).encode(),))
        limits = Timeouts(connect=SECONDS, first_byte=SECONDS, idle=SECONDS)
        async with limiter:
            try:
                async with self._transport.post(self._place, request, timeouts=limits) as response:
                    body = await response.read_body(_LARGEST)
            except errors.IntermodalError:
                return
        self._apply_reply(number, read, model, body, row)

    def _apply_reply(self, number: int, read: ListingRequest, model: str, body: bytes, row: DiscoveryRules) -> None:
        tree = _parse_json(body)
        if isinstance(tree, Mapping):
            model_reports = READERS[read.form](tree, read.path, model, row)
            self._said.setdefault(number, []).extend(
                each for each in model_reports if each.model or read.form in LOADED_MODEL_FORMS
            )


def _parse_json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
