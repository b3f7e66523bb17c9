"""A cache of text sizes: system prompts recur in every request."""

from __future__ import annotations

from sys import getsizeof
from typing import TYPE_CHECKING

from intermodal.catalog.types import Catalog
from intermodal.client.planner_inputs import vocabularies_to_count
from intermodal.core.bounded_cache import BoundedCache
from intermodal.cost_model.answer_length import kind_of
from intermodal.gateway.state.plan_cache import bucket_top, estimate_tokens
from intermodal.media.text.script_counts import count_scripts
from intermodal.planner.planning_case import question_excerpt
from intermodal.protocols.parsed_chat import TextSizes
from intermodal.questions.keyword_needs import needed_aspects

if TYPE_CHECKING:
    from intermodal.client.async_client import AsyncClient

KEPT = 1024
_LONGEST = 8 << 10  # characters of the longest text that is cached
ROOM = 1 << 20  # bytes of all cached texts
ASKED, ASKED_ROOM = 512, 512 << 10  # cached questions, and their bytes


class TextSizeCache:
    """Text sizes and question kinds of one gateway."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._known: BoundedCache[str, TextSizes] = BoundedCache(
            "sizes of texts", KEPT, room=ROOM, size=lambda text, _: getsizeof(text)
        )
        self._questions: BoundedCache[tuple[str, bool], tuple[object, ...]] = BoundedCache(
            "what questions ask for", ASKED, room=ASKED_ROOM, size=lambda key, _: getsizeof(key[0])
        )
        self._catalog = Catalog()
        self._names: tuple[tuple[str, ...], tuple[str, ...]] = (), ()  # tokenizers; vocabularies for estimates

    def alone(self) -> TextSizeCache:
        """Return a copy for another thread, without the sizes cached here."""
        found = TextSizeCache(self._client)
        found._catalog, found._names = self._catalog, self._names
        return found

    def count_by(self, catalog: Catalog) -> bool:
        """Count with the vocabularies of this catalog; return True if they differ from the previous ones."""
        if self._catalog is catalog:
            return False
        names, before = (tuple(sorted(vocabularies_to_count(catalog))), catalog.vocabularies), self._names
        if names != before:
            self._known.clear()
        self._catalog, self._names = catalog, names
        return names != before

    def sizes(self, text: str) -> TextSizes:
        """Return the sizes of a text in every unit that is counted."""
        found = self._known.get(text)
        if found is None:
            size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
            made_of = count_scripts(text)
            rough = estimate_tokens(len(text), size, made_of, self._names[1])
            shape = (bucket_top(len(text)), *map(bucket_top, rough), bucket_top(size), *self._counts(text))
            found = TextSizes(shape, len(text), made_of, size)
            if len(text) <= _LONGEST:
                self._known[text] = found
        return found

    def _counts(self, text: str) -> list[tuple[str, int]]:
        count = self._client.vocabularies.count
        found = ((name, count(name, text)) for name in self._names[0])
        return [(name, bucket_top(number)) for name, number in found if number is not None]

    def question(self, text: str, *, pictured: bool) -> tuple[object, ...]:
        """Return the kind of answer requested and, if ``pictured``, the needed aspects of pictures."""
        text = question_excerpt(text)
        found = self._questions.get((text, pictured))
        if found is None:
            found = (kind_of(text), needed_aspects(text)) if pictured else (kind_of(text),)
            self._questions[text, pictured] = found
        return found
