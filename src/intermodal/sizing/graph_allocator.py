"""The buffer size of a tensor graph in which each tensor is freed after its last use, as in ggml.

Source: ``ggml_gallocr_alloc_graph_impl`` and ``ggml_dyn_tallocr`` of ggml's ``ggml-alloc.c``. Tensors are laid out in
the order in which they are computed, in the smallest gap that holds them; some operations write over their input. Gaps
that nothing fits into are why the sum is larger than what is alive at any time, and why it is computed by doing it.
"""

from __future__ import annotations

from math import prod
from typing import Final

EXTERNAL: Final = -1  # weights and caches, and views of them: they lie elsewhere
_ENDLESS: Final = 1 << 62


class TensorGraph:
    """Tensors, added in the order in which a program would build them; ``expand`` decides when they are computed.

    A tensor is its index. ``align``: bytes that tensors begin at multiples of.
    """

    def __init__(self, align: int = 32) -> None:
        self._align = align
        self._sizes: list[int] = []
        self._dims: list[tuple[int, ...]] = []
        self._sources: list[tuple[int, ...]] = []
        self._roots: list[int] = []  # of a view, what it is a view of; else itself
        self._over: list[bool] = []  # may write over an input
        self._kept: set[int] = set()
        self._host: set[int] = set()
        self._seen: set[int] = set()
        self._leafs: list[int] = []
        self._order: list[int] = []

    def leaf(self, *dims: int, width: int = 4) -> int:
        """An input of ``dims`` numbers of ``width`` bytes."""
        return self._add(dims, width, (), root=None, over=False)

    def op(self, dims: tuple[int, ...], *sources: int, over: bool = False, width: int = 4) -> int:
        """A result. ``over``: it may be written over a source of the same dimensions."""
        return self._add(dims, width, sources, root=None, over=over)

    def view(self, source: int, *dims: int) -> int:
        """The same bytes seen otherwise. ``dims``: where what follows takes them from it."""
        return EXTERNAL if source == EXTERNAL else self._add(dims, 0, (source,), root=self._roots[source], over=False)

    def write(self, into: int, *sources: int) -> int:
        """``into`` after rows of it were written over."""
        return self._add((), 0, (*sources, into), root=self._roots[into], over=False)

    def store(self, *sources: int) -> int:
        """A result that is written to a cache: it takes no place here."""
        return self._add((), 0, sources, root=EXTERNAL, over=False)

    def keep(self, tensor: int) -> None:
        """An output: never freed."""
        self._kept.add(tensor)

    def dims(self, tensor: int) -> tuple[int, ...]:
        return self._dims[tensor]

    def expand(self, tensor: int) -> None:
        """Compute it here, and before it everything it needs that was not computed yet, left to right."""
        waiting = [(tensor, 0)]
        while waiting:
            node, at = waiting.pop()
            if at == 0:
                if node in self._seen:
                    continue
                self._seen.add(node)
            sources = self._sources[node]
            while at < len(sources) and (sources[at] == EXTERNAL or sources[at] in self._seen):
                at += 1
            if at < len(sources):
                waiting.append((node, at + 1))
                waiting.append((sources[at], 0))
            elif sources:
                self._order.append(node)
            else:
                self._leafs.append(node)

    def on_host(self, tensor: int) -> int:
        """Mark a result as one that is computed on the host even where everything else is on a device."""
        self._host.add(tensor)
        return tensor

    def size(self) -> int:
        """Bytes of the buffer, where all of it is computed in one place."""
        return self._layout(self._leafs, self._order)

    def host_size(self) -> int:
        """Bytes on the host where the rest is on a device: all inputs, and what is made of them there."""
        made = [node for node in self._order if node in self._host]
        return sum(self._aligned(node) for node in (*self._leafs, *made))

    def device_size(self) -> int:
        """Bytes on a device that gets copies of the inputs it uses."""
        order = [node for node in self._order if node not in self._host]
        used = dict.fromkeys(source for node in order for source in self._sources[node] if source != EXTERNAL)
        copies = [node for node in used if node in self._host or not self._sources[node]]
        return self._layout(copies, order)

    def _layout(self, first: list[int], order: list[int]) -> int:
        sizes = [self._aligned(node) for node in range(len(self._sizes))]
        return _Layout(sizes, self._dims, self._sources, self._roots, self._over).run(first, order, self._kept)

    def _aligned(self, tensor: int) -> int:
        return -(-self._sizes[tensor] // self._align) * self._align

    def _add(self, dims: tuple[int, ...], width: int, sources: tuple[int, ...], *, root: int | None, over: bool) -> int:
        index = len(self._sizes)
        self._sizes.append(prod(dims) * width if dims else 0)
        while dims and dims[-1] == 1:
            dims = dims[:-1]
        self._dims.append(dims)
        self._sources.append(sources)
        self._roots.append(index if root is None else root)
        self._over.append(over)
        return index


class _Layout:
    """One pass over a graph."""

    def __init__(
        self,
        sizes: list[int],
        dims: list[tuple[int, ...]],
        sources: list[tuple[int, ...]],
        roots: list[int],
        over: list[bool],
    ) -> None:
        self._sizes, self._dims, self._sources, self._roots, self._over = sizes, dims, sources, roots, over
        self._children = [0] * len(sizes)
        self._views = [0] * len(sizes)
        self._places: dict[int, int] = {}
        self._gaps: list[list[int]] = [[0, _ENDLESS]]  # [offset, size], by offset
        self._most = 0
        self._kept: set[int] = set()

    def run(self, leafs: list[int], order: list[int], kept: set[int]) -> int:
        self._kept = kept
        for leaf in leafs:
            self._place(leaf)
        for node in order:
            root = self._roots[node]
            if root not in (node, EXTERNAL):
                self._views[root] += 1
            for source in self._sources[node]:
                if source != EXTERNAL:
                    self._children[source] += 1
        for node in order:
            if self._roots[node] == node:
                self._place(node)
            for source in self._sources[node]:
                if source != EXTERNAL:
                    self._used(source)
        return self._most

    def _place(self, node: int) -> None:
        if self._over[node]:
            for source in self._sources[node]:
                if self._gives_way(source, node):
                    self._places[node] = self._places.pop(source)
                    return
        self._places[node] = self._take(self._sizes[node])

    def _gives_way(self, source: int, node: int) -> bool:
        """Whether a result may be written over its source. A view has no place of its own to give."""
        return (
            source in self._places
            and source not in self._kept
            and self._dims[source] == self._dims[node]
            and self._children[source] == 1
            and self._views[source] == 0
        )

    def _used(self, source: int) -> None:
        self._children[source] -= 1
        if self._children[source] or self._views[source]:
            return
        root = self._roots[source]
        if root == EXTERNAL:
            return
        if root != source:
            self._views[root] -= 1
            if self._views[root] or self._children[root]:
                return
        if root in self._places and root not in self._kept:
            self._give(self._places.pop(root), self._sizes[root])

    def _take(self, size: int) -> int:
        gaps = self._gaps
        best, fit = len(gaps) - 1, _ENDLESS
        for index in range(len(gaps) - 1):
            if size <= gaps[index][1] <= fit:
                best, fit = index, gaps[index][1]
        gap = gaps[best]
        offset = gap[0]
        gap[0] += size
        gap[1] -= size
        if gap[1] == 0:
            del gaps[best]
        self._most = max(self._most, offset + size)
        return offset

    def _give(self, offset: int, size: int) -> None:
        gaps = self._gaps
        for index, gap in enumerate(gaps):
            if gap[0] + gap[1] == offset:
                gap[1] += size
                if index + 1 < len(gaps) and gap[0] + gap[1] == gaps[index + 1][0]:
                    gap[1] += gaps[index + 1][1]
                    del gaps[index + 1]
                return
            if offset + size == gap[0]:
                gap[0] = offset
                gap[1] += size
                if index and gaps[index - 1][0] + gaps[index - 1][1] == offset:
                    gaps[index - 1][1] += gap[1]
                    del gaps[index]
                return
        at = next((index for index, gap in enumerate(gaps) if gap[0] >= offset), len(gaps))
        gaps.insert(at, [offset, size])
