"""A small S3 that does on purpose what a real one does by accident, and holds names that a real one may hold."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote_plus, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

PAGE = 100


class FakeS3:
    """Objects of one bucket, by their exact keys, served over HTTP.

    `fault(method, key, n)` is asked before each answer (n: how often this was asked before) and gives None or one of
    slowdown, reset, short, flip (a bit, always the same), flutter (another each time), whole (in spite of Range);
    `etag` makes the ETag of some bytes; objects in `sealed` are said to be encrypted with KMS.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.reset()

    def reset(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.fault: Callable[[str, str, int], str | None] = lambda method, key, n: None
        self.etag: Callable[[bytes], str] = lambda data: hashlib.md5(data).hexdigest()
        self.sealed: set[str] = set()
        self.asked: Counter[tuple[str, str]] = Counter()


@contextmanager
def serve() -> Iterator[FakeS3]:
    fake = FakeS3()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            if "Content_Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def deal(self) -> None:
            parts = urlsplit(self.path)
            key = unquote(parts.path).split("/", 2)[2] if parts.path.count("/") > 1 else ""
            asked = parse_qs(parts.query, keep_blank_values=True)
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            count = fake.asked[self.command, key]
            fake.asked[self.command, key] += 1
            fault = fake.fault(self.command, key, count)
            if fault == "slowdown":
                self.answer(503, b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>")
            elif fault == "reset":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
            elif self.command == "GET" and not key:
                self.answer(200, listing(asked))
            elif self.command == "PUT":
                fake.objects[key] = data
                self.answer(200, ETag=f'"{fake.etag(fake.objects[key])}"')
            elif self.command == "POST" and "delete" in asked:
                names = [unescape(name) for name in re.findall("<Key>(.*?)</Key>", data.decode())]
                for name in names:
                    fake.objects.pop(name, None)
                told = "".join(f"<Deleted><Key>{escape(name)}</Key></Deleted>" for name in names)
                self.answer(200, f"<DeleteResult>{told}</DeleteResult>".encode())
            elif key not in fake.objects:
                self.answer(404, b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>")
            else:
                self.give(key, fault, count)

        def give(self, key: str, fault: str | None, count: int) -> None:
            whole = fake.objects[key]
            etag = f'"{fake.etag(whole)}"'
            if self.headers.get("If-Match", etag) != etag:
                self.answer(412, b"<Error><Code>PreconditionFailed</Code><Message>no</Message></Error>")
                return
            body = whole
            if fault in ("flip", "flutter"):
                body = bytes([whole[0] ^ (1 if fault == "flip" else count + 1)]) + whole[1:]
            facts = {"ETag": etag, "Last_Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
            if key in fake.sealed:
                facts["x_amz_server_side_encryption"] = "aws:kms"
            status, asked = 200, self.headers.get("Range", "")
            if asked and fault != "whole":
                first, last = (int(edge) for edge in asked.removeprefix("bytes=").split("-"))
                facts["Content_Range"] = f"bytes {first}-{min(last, len(body) - 1)}/{len(body)}"
                status, body = 206, body[first : last + 1]
            sent = body[: len(body) // 2] if fault == "short" else body
            self.answer(status, sent, Content_Length=str(len(body)), **facts)
            self.close_connection |= fault == "short"

        do_GET = do_PUT = do_HEAD = do_POST = deal

    def listing(asked: dict[str, list[str]]) -> bytes:
        prefix, start = asked.get("prefix", [""])[0], asked.get("continuation-token", [""])[0]
        delimiter = asked.get("delimiter", [""])[0]
        keys = sorted(key for key in fake.objects if key.startswith(prefix))
        folders = sorted({prefix + key[len(prefix) :].split("/")[0] + "/" for key in keys if "/" in key[len(prefix) :]})
        if delimiter:
            keys = [key for key in keys if "/" not in key[len(prefix) :]]
        left = [key for key in keys if key > start]
        page = left[:PAGE]
        more = str(len(left) > PAGE).lower()
        xml = [f"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{more}</IsTruncated>"]
        for key in page:
            facts = f"<Size>{len(fake.objects[key])}</Size><ETag>&quot;{fake.etag(fake.objects[key])}&quot;</ETag>"
            when = "<LastModified>2024-01-01T00:00:00.000Z</LastModified>"
            xml.append(f"<Contents><Key>{quote_plus(key, safe='/')}</Key>{when}{facts}</Contents>")
        if delimiter and not start:
            xml += [
                f"<CommonPrefixes><Prefix>{quote_plus(name, safe='/')}</Prefix></CommonPrefixes>" for name in folders
            ]
        if len(left) > PAGE:
            xml.append(f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>")
        return ("".join(xml) + "</ListBucketResult>").encode()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
