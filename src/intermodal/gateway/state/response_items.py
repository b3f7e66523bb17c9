"""Items of answers that clients of OpenAI's Responses API refer to by id instead of sending them again.

OpenAI stores answers unless ``store: false`` is sent, and clients rely on it: Vercel's AI SDK sends only the id of an
item from an earlier turn. So items are stored here too, in memory and for their owner, until later items evict them or
the server stops. Whole conversations are not stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from intermodal.core.bounded_cache import BoundedCache
from intermodal.gateway.workers.shared_state import ChunkedSharedTable, row_key
from intermodal.protocols.errors.responses import RequestRefused
from intermodal.protocols.framing.json_body import dumps, loads

MAX_ITEMS, MAX_ITEM_BYTES = 2048, 16 << 20  # items, and bytes of JSON of all of them
MAX_REFERENCED_BYTES = (
    16 << 20
)  # bytes of JSON that one request names: a name takes forty, and each reads the whole item


class ResponseItems:
    """The latest items, bounded by number and bytes of JSON. ``shared``: the table of all workers."""

    def __init__(
        self,
        name: str = "items of answers",
        most: int = MAX_ITEMS,
        room: int = MAX_ITEM_BYTES,
        *,
        shared: ChunkedSharedTable | None = None,
    ) -> None:
        self._shared = shared
        self._kept: BoundedCache[tuple[str, str], bytes] = BoundedCache(
            name, most, room=room, size=lambda _, item: len(item)
        )

    def keeper(self, owner: str) -> Callable[[Mapping[str, Any]], None]:
        """Return a function that keeps items for this owner."""

        def keep(item: Mapping[str, Any]) -> None:
            data = self._kept[owner, item["id"]] = dumps(item)
            if self._shared is not None:
                self._shared.put(row_key(owner, item["id"]), data)

        return keep

    def found(self, owner: str, name: str) -> Any:
        """Return an item by its id; None if there is none or it belongs to another owner."""
        item = self._json(owner, name)
        return None if item is None else loads(item)

    def _json(self, owner: str, name: str) -> bytes | None:
        item = self._kept.get((owner, name))
        return self._shared.get(row_key(owner, name)) if item is None and self._shared is not None else item

    def finder(self, owner: str) -> Callable[[str], Any]:
        """Return a function that finds items by id. It raises RequestRefused (404) if there is none."""

        left = MAX_REFERENCED_BYTES

        def find(name: str) -> Any:
            nonlocal left
            item = self._json(owner, name)
            left -= len(item or b"")
            if left < 0:
                what = f"the items that are named hold more than {MAX_REFERENCED_BYTES >> 20} MiB together"
                raise RequestRefused(what, status=413, todo="name fewer")
            if item is None:
                raise RequestRefused(
                    f"there is no item {name[:100]!r}; items are kept in memory for a while, and not if store is false",
                    status=404, todo="send the item itself", code="item_not_found",
                )  # fmt: skip
            return loads(item)

        return find
