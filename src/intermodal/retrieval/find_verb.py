"""What a client has for finding pictures: the library's side of ``intermodal find``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from intermodal.config import cache_dir

if TYPE_CHECKING:
    from intermodal.retrieval.picture_search import FindResult, PictureFinder, Progress
    from intermodal.store.image_vectors import ImageVectors


class FindVerb:
    """What a client has for finding pictures."""

    async def find(
        self: Any, query: str, *paths: str | Path, top: int = 10, model: str = "", progress: Progress | None = None
    ) -> FindResult:
        """Pictures of folders and files that are nearest to words, or to a picture.

        What a picture looks like is worked out once by a contrastive model on this machine, and kept in the cache.

        Args:
            query: words, or the path of a picture. paths: folders, with all that is below them, and files.
            top: how many. model: which contrastive model; the strongest that is here where none is named.
            progress: gets how many pictures were looked at, of how many, and the file.

        Raises:
            NoRoute: no contrastive model is here; ``reasons`` say why. InputError: a path is not there, or there are no
            pictures. UsageError: an argument is wrong.
        """
        finder: PictureFinder = self.finder(model)
        try:
            return await finder.find(query, paths, top=top, progress=progress)
        finally:
            finder.close()

    def finder(self: Any, model: str = "") -> PictureFinder:
        """A contrastive model with its index, for several queries."""
        from intermodal.retrieval.picture_search import PictureFinder, contrastive_endpoint

        endpoint = contrastive_endpoint(self.catalog, model)
        return PictureFinder(endpoint, self.vectors, self.media, self.runtimes, sums=self.weights.sums)

    @property
    def vectors(self: Any) -> ImageVectors:
        """The index of pictures."""
        from intermodal.store.image_vectors import FILE, ImageVectors

        return ImageVectors(cache_dir(self.env) / FILE)
