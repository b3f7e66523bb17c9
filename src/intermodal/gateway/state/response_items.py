"""Items of answers that clients of OpenAI's responses refer to by their id, instead of sending them again.

OpenAI keeps answers unless a request says ``store: false``, and clients count on it without being told to: Vercel's AI
SDK sends the id of what was said in an earlier turn, and nothing else of it. So items are kept here too, in memory and
for who asked, until they give way to later ones or the server ends. Whole conversations are not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from intermodal.bounded_cache import BoundedCache
from intermodal.gateway.workers.shared_table import ChunkedSharedTable, row_key
from intermodal.protocols.errors.responses import RequestRefused
from intermodal.protocols.framing.json_body import dumps, loads

MAX_ITEMS, MAX_ITEM_BYTES = 2048, 16 << 20  # items, and bytes of JSON of all of them
MAX_REFERENCED_BYTES = (
    16 << 20
)  # bytes of JSON that one request names: a name takes forty, and each time all of the item is read


class ResponseItems:
    """The latest, so many and so many bytes of JSON together. ``shared``: what other workers know, and are told."""

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
        """What keeps an item for whoever this is."""

        def keep(item: Mapping[str, Any]) -> None:
            data = self._kept[owner, item["id"]] = dumps(item)
            if self._shared is not None:
                self._shared.put(row_key(owner, item["id"]), data)

        return keep

    def found(self, owner: str, name: str) -> Any:
        """The item of an id; None where there is none, or it is somebody else's."""
        item = self._json(owner, name)
        return None if item is None else loads(item)

    def _json(self, owner: str, name: str) -> bytes | None:
        item = self._kept.get((owner, name))
        return self._shared.get(row_key(owner, name)) if item is None and self._shared is not None else item

    def finder(self, owner: str) -> Callable[[str], Any]:
        """What finds the item of an id. It raises Refused, 404, for one that is not there or is somebody else's."""

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
                    f"there is no item {name[:100]!r}; it is kept in memory for a while, and not where store is false",
                    status=404, todo="send the item itself", code="item_not_found",
                )  # fmt: skip
            return loads(item)

        return find
