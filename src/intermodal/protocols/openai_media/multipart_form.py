"""Requests as multipart forms (RFC 7578): the OpenAI endpoints that accept files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from intermodal.core.content import Value
from intermodal.protocols.calls import EncodedRequest


class FormFile(Value, frozen=True):
    """A file in a form. ``field``: its field; ``name``: the file's own, whose extension tells its format."""

    field: str
    name: str
    media_type: str
    data: bytes


def encode_form(path: str, fields: Mapping[str, object], files: Sequence[FormFile]) -> EncodedRequest:
    """Return the request as a form, at least one file in it. Files are segments of their own, not copied."""
    # A digest of the files, so that the same call gives the same bytes; no file contains the hash of all.
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.data)
    boundary = digest.hexdigest()[:40]
    headers = (("content-type", f"multipart/form-data; boundary={boundary}"), ("accept", "application/json"))
    return EncodedRequest(path=path, headers=headers, segments=tuple(_segments(fields, files, boundary)))


def _segments(fields: Mapping[str, object], files: Sequence[FormFile], boundary: str) -> Iterator[bytes]:
    head = "".join(
        f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    for file in files:
        head += (
            f'--{boundary}\r\ncontent-disposition: form-data; name="{file.field}"; filename="{file.name}"\r\n'
            f"content-type: {file.media_type}\r\n\r\n"
        )
        yield head.encode()
        yield file.data
        head = "\r\n"
    yield f"\r\n--{boundary}--\r\n".encode()
