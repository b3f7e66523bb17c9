"""The index of pictures: several programs and threads at once, and a file that is of another version."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from intermodal.errors import StoreError
from intermodal.store.image_vectors import FILE, ImageVectors, pack_vector


def test_tables_that_another_program_made_meanwhile_are_used(tmp_path: Path) -> None:
    """As two first searches at once see it: no version when looked for, and tables a moment later."""
    path = tmp_path / FILE
    ImageVectors(path).store("model", "digest", [1.0])
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE schema")
    later = ImageVectors(path)
    later.record_files([("a.png", (1, 2), "digest")])
    assert later.files() == [("a.png", 1, 2, "digest")]
    assert later.stored_digests("model") == {"digest"}
    later.close()


def test_threads_may_share_one_and_close_it_meanwhile(tmp_path: Path) -> None:
    index, failed = ImageVectors(tmp_path / FILE), list[BaseException]()

    def work(name: str) -> None:
        try:
            for number in range(30):
                index.store("model", f"{name} {number}", [float(number)])
                assert index.vector("model", f"{name} {number}") is not None
                if number % 10 == 0:
                    index.close()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(index.stored_digests("model")) == 90
    index.close()


def test_an_index_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE
    ImageVectors(path).store("model", "digest", [1.0])
    with sqlite3.connect(path) as other:
        other.execute("UPDATE schema SET version = 99")
    with pytest.raises(StoreError, match="newer intermodal"):
        ImageVectors(path).stored_digests("model")


def test_an_index_that_is_no_database_says_how_it_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(b"this is not a database, but somebody's file" * 100)
    with pytest.raises(StoreError, match="is not a database") as caught:
        ImageVectors(path).stored_digests("model")
    assert "intermodal find --forget" in caught.value.todo
    ImageVectors(path).delete_cache()
    ImageVectors(path).store("model", "digest", [1.0])
    assert ImageVectors(path).stored_digests("model") == {"digest"}


@pytest.mark.parametrize("wanted", [3, 1_200])
def test_few_vectors_and_many_are_read_each_once_and_of_one_model_only(tmp_path: Path, wanted: int) -> None:
    index = ImageVectors(tmp_path / FILE)
    for number in range(1_300):
        index.store("model", f"digest {number}", [float(number)])
        index.store("another", f"digest {number}", [-1.0])
    digests = {f"digest {number}" for number in range(1_300)[:wanted]} | {"digest of nothing"}
    found = [each for some in index.vectors_of("model", digests) for each in some]
    assert dict(found) == {f"digest {number}": pack_vector([float(number)]) for number in range(wanted)}
    assert len(found) == wanted
    index.close()
