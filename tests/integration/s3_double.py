"""Stands in for S3: the parts of its protocol that Parley speaks, over a real socket, kept in memory.

PUT, HEAD, GET (by range), DELETE of objects, and lists. A request is taken only where its address was signed for it
(Signature Version 4 in the query, worked out here anew), or where it carries a signature in its header, which is not
looked at. Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

import contextlib
import hashlib
import hmac
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, unquote, urlsplit

ACCESS_KEY, SECRET_KEY, REGION, BUCKET = "parley", "a secret", "eu-test-1", "sound"


class S3Double:
    """`objects` by key; `url` is its address."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.url = ""

    @contextlib.contextmanager
    def running(self) -> Iterator["S3Double"]:
        objects = self.objects

        class Handler(_Handler):
            kept = objects

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """What obstore reads."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kept: dict[str, bytes]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._is_allowed():
            self.kept[self._key] = body
            self._answer(200, b"", ETag=f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"')

    def do_HEAD(self) -> None:
        self._give()

    def do_GET(self) -> None:
        if urlsplit(self.path).path.rstrip("/") == f"/{BUCKET}":
            self._list()
        else:
            self._give()

    def do_DELETE(self) -> None:
        if self._is_allowed():
            self.kept.pop(self._key, None)
            self._answer(204, b"")

    def do_POST(self) -> None:
        """DeleteObjects."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        keys = [part.partition("</Key>")[0] for part in body.split("<Key>")[1:]]
        for key in keys:
            self.kept.pop(key, None)
        deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        self._answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())

    def _give(self) -> None:
        if not self._is_allowed():
            return
        if (body := self.kept.get(self._key)) is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        headers = {"ETag": '"e"', "Last-Modified": "Sat, 28 Nov 2026 00:00:00 GMT"}
        if asked := self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            part = body[int(first) : int(last) + 1]
            headers["Content-Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(body)}"
            self._answer(206, part, **headers)
        else:
            self._answer(200, body, **headers)

    def _list(self) -> None:
        prefix = dict(parse_qsl(urlsplit(self.path).query)).get("prefix", "")
        entry = "<Contents><Key>{}</Key><Size>{}</Size><LastModified>2026-11-28T00:00:00Z</LastModified></Contents>"
        found = (entry.format(key, len(body)) for key, body in sorted(self.kept.items()) if key.startswith(prefix))
        body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(found)}</ListBucketResult>"
        self._answer(200, body.encode())

    @property
    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}/")

    def _is_allowed(self) -> bool:
        if "Authorization" in self.headers or self._is_signed():
            return True
        self._answer(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        return False

    def _is_signed(self) -> bool:
        """Whether the address was made by whoever knows the secret, for this method, and is not too old."""
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        signature = query.pop("X-Amz-Signature", "")
        if not signature:
            return False
        signed_at = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if datetime.now(UTC) > signed_at + timedelta(seconds=int(query["X-Amz-Expires"])):
            return False
        canonical_query = "&".join(f"{quote(name, safe='')}={quote(query[name], safe='')}" for name in sorted(query))
        headers = f"host:{self.headers['Host']}\n"
        request = "\n".join((self.command, parts.path, canonical_query, headers, "host", "UNSIGNED-PAYLOAD"))
        scope = query["X-Amz-Credential"].partition("/")[2]
        digest = hashlib.sha256(request.encode()).hexdigest()
        to_sign = "\n".join(("AWS4-HMAC-SHA256", query["X-Amz-Date"], scope, digest))
        key = f"AWS4{SECRET_KEY}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.compare_digest(signature, hmac.digest(key, to_sign.encode(), "sha256").hex())

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
