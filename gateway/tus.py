"""The tus resumable upload protocol, version 1.0.0, as a server decides it: headers in, decisions out, no I/O.

    OPTIONS  what the server can               options()
    POST     a new upload, or its first part   new_upload(), first_part()
    HEAD     how far it is                     check_alive(), describe()
    PATCH    one more part, at the offset      check_alive(), part_of(); behind its body kept(), advanced()
    DELETE   away with it                      check_alive()

Extensions: creation, creation-with-upload, expiration, checksum, termination. Not concatenation: parts sent side by
side would each be an upload of its own, and one connection fills most links. Not a length that comes later: whether a
file is too long is said before it is sent. `gateway/uploads.py` is the HTTP around this.
Source: https://tus.io/protocols/resumable-upload
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import format_datetime

from parley.errors import ClientError, TooLarge

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,checksum,termination"
PART_TYPE = "application/offset+octet-stream"
_METHODS = frozenset({"OPTIONS", "POST", "HEAD", "PATCH", "DELETE"})
_ALGORITHMS = {"sha1": 20, "sha256": 32}
"""Names of the protocol, which `hashlib` shares, and the bytes of their digests; sha1 is required."""
_NUMBER = re.compile(r"[0-9]{1,18}")
_KEY = re.compile(r"[!-+\--~]+")
"""ASCII without blank and comma."""
_METADATA_CHARACTERS = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """What an upload may be."""

    max_bytes: int = 5_000_000_000
    max_part_bytes: int = 32 * 1024 * 1024
    """Of one request; proxies refuse more."""
    lifetime: timedelta = timedelta(days=1)
    """From the last part on; then what is unfinished is deleted."""


@dataclass(frozen=True, slots=True)
class NewUpload:
    """An upload before it has an id."""

    length: int
    metadata: str
    """As the client sent it: `parse_metadata` reads it."""
    expires_at: datetime
    idempotency_key: str | None = None
    """Of the request: the same one again gets the same upload. Not of tus, but an HTTP header as everywhere."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload as it is kept: `offset` of its `length` bytes are durable."""

    id: str
    length: int
    offset: int
    metadata: str
    expires_at: datetime
    recording_id: str | None = None
    job_id: str | None = None
    """What a complete upload has become."""

    @property
    def complete(self) -> bool:
        return self.offset == self.length


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the client says its part hashes to. `algorithm` is a name of `hashlib`."""

    algorithm: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """A part whose body may be read: where it belongs, and the bytes that it may have at most."""

    offset: int
    max_bytes: int
    checksum: Checksum | None


def options(limits: Limits) -> dict[str, str]:
    """The headers that answer OPTIONS."""
    return {
        "Tus-Resumable": VERSION,
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(limits.max_bytes),
        "Tus-Checksum-Algorithm": ",".join(_ALGORITHMS),
    }


def method_of(method: str, headers: Mapping[str, str]) -> str:
    """The method that counts: clients that can send no PATCH say it in a header. Names in `headers` are lower case."""
    method = headers.get("x-http-method-override", method).upper()
    if method not in _METHODS:
        raise ClientError(f"tus knows no method {method[:20]!r}.", code="method_not_allowed")
    return method


def check_version(headers: Mapping[str, str]) -> None:
    """Raises ClientError (412) where the client speaks another version; nothing else may be looked at before."""
    if (version := headers.get("tus-resumable")) != VERSION:
        said = "no version of tus" if version is None else f"tus {version[:20]!r}"
        raise ClientError(f"The request names {said}; this server speaks {VERSION}.", code="tus_version")


def new_upload(headers: Mapping[str, str], limits: Limits, now: datetime) -> NewUpload:
    """What POST asks for. Raises ClientError for headers that are wrong, TooLarge for a length over the limit."""
    if "upload-concat" in headers or "upload-defer-length" in headers:
        raise ClientError("Upload-Concat and Upload-Defer-Length are not supported; Upload-Length is needed.")
    length = _number(headers, "upload-length")
    if not length:
        raise ClientError("An upload of 0 bytes holds no audio.", code="no_audio")
    if length > limits.max_bytes:
        raise TooLarge(f"The upload has {length} bytes; the limit is {limits.max_bytes}.")
    metadata = headers.get("upload-metadata", "")
    parse_metadata(metadata)
    return NewUpload(length, metadata, now + limits.lifetime)


def parse_metadata(header: str) -> dict[str, str]:
    """`Upload-Metadata` as keys and values; a key without a value has the empty one. Raises ClientError."""
    if len(header) > _METADATA_CHARACTERS:
        raise ClientError(f"Upload-Metadata has {len(header)} characters; the limit is {_METADATA_CHARACTERS}.")
    values: dict[str, str] = {}
    for pair in filter(None, map(str.strip, header.split(","))):
        key, _, encoded = pair.partition(" ")
        if not _KEY.fullmatch(key) or key in values:
            raise ClientError(f"Upload-Metadata has the key {key[:40]!r}, which is malformed or there twice.")
        try:
            values[key] = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, ValueError):
            raise ClientError(f"Upload-Metadata {key!r} is no UTF-8 text in Base64.") from None
    return values


def first_part(headers: Mapping[str, str], upload: NewUpload, limits: Limits) -> Part | None:
    """The part that POST brings along; None where it brings none."""
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return None
    return _part(headers, 0, upload.length, limits)


def part_of(headers: Mapping[str, str], upload: Upload, limits: Limits) -> Part:
    """The part that PATCH brings, before its body is read. Raises ClientError where it does not belong here now (409),
    or a header is wrong.
    """
    offset = _number(headers, "upload-offset")
    if offset != upload.offset:
        raise wrong_offset(upload.id, offset)
    return _part(headers, offset, upload.length, limits)


def wrong_offset(upload_id: str, offset: int) -> ClientError:
    """For a part that came before, comes too early, or lost a race against another for the same place."""
    message = f"A part at {offset} does not continue upload {upload_id!r}; ask (HEAD) where it goes on."
    return ClientError(message, code="wrong_offset", retryable=True)


def check_alive(upload: Upload, now: datetime) -> None:
    """Raises ClientError (410) for an upload that was left unfinished for too long. A complete one does not expire."""
    if not upload.complete and now >= upload.expires_at:
        message = f"Upload {upload.id!r} expired at {upload.expires_at.isoformat(timespec='seconds')}."
        raise ClientError(message, code="upload_expired")


def over_limit(part: Part, received: int) -> TooLarge:
    """For a body that turns out longer than its part may be."""
    return TooLarge(f"The part at {part.offset} has {received} bytes or more; it may have {part.max_bytes}.")


def kept(part: Part, received: int, digest: bytes | None, *, whole: bool) -> int:
    """How many of the `received` bytes are kept; `whole` is False where the connection broke.

    `digest` is the hash of what was received, by the algorithm of the part's checksum. What arrived of a broken request
    is kept, so that it is not sent again; with a checksum nothing can be said of it, and it is not. Raises ClientError
    (460) for a whole part with another hash than it was announced with.
    """
    if part.checksum is None:
        return received
    if not whole:
        return 0
    if digest != part.checksum.digest:
        message = f"The part at {part.offset} does not match its {part.checksum.algorithm}; nothing of it was kept."
        raise ClientError(message, code="checksum_mismatch", retryable=True)
    return received


def advanced(upload: Upload, size: int, limits: Limits, now: datetime) -> Upload:
    """The upload with `size` bytes more."""
    return replace(upload, offset=upload.offset + size, expires_at=now + limits.lifetime)


def describe(upload: Upload) -> dict[str, str]:
    """The headers that say how far an upload is: of HEAD, and of answers to POST and PATCH."""
    headers = {
        "Tus-Resumable": VERSION,
        "Upload-Offset": str(upload.offset),
        "Upload-Length": str(upload.length),
        "Cache-Control": "no-store",
    }
    if upload.metadata:
        headers["Upload-Metadata"] = upload.metadata
    if not upload.complete:
        headers["Upload-Expires"] = format_datetime(upload.expires_at, usegmt=True)
    if upload.recording_id:
        headers["Parley-Recording-Id"] = upload.recording_id
    if upload.job_id:
        headers["Parley-Job-Id"] = upload.job_id
    return headers


def _part(headers: Mapping[str, str], offset: int, length: int, limits: Limits) -> Part:
    if (kind := headers.get("content-type", "")) != PART_TYPE:
        raise ClientError(f"A part has the Content-Type {PART_TYPE}, not {kind[:80]!r}.", code="tus_content_type")
    part = Part(offset, min(limits.max_part_bytes, length - offset), _checksum(headers))
    if "content-length" in headers and (size := _number(headers, "content-length")) > part.max_bytes:
        raise over_limit(part, size)
    return part


def _checksum(headers: Mapping[str, str]) -> Checksum | None:
    if (header := headers.get("upload-checksum")) is None:
        return None
    algorithm, _, encoded = header.partition(" ")
    try:
        digest = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != _ALGORITHMS.get(algorithm):
        known = ", ".join(_ALGORITHMS)
        raise ClientError(f"Upload-Checksum {header[:80]!r} is none; it is one of {known} and its hash in Base64.")
    return Checksum(algorithm, digest)


def _number(headers: Mapping[str, str], name: str) -> int:
    value = headers.get(name)
    if value is None or not _NUMBER.fullmatch(value):
        raise ClientError(f"{name.title()} is {value if value is None else value[:40]!r}, not a number of bytes.")
    return int(value)
