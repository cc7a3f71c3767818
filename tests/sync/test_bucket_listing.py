"""Listings of a bucket are whole, however many folders are listed at a time."""

from __future__ import annotations

import http.server
import threading

import pytest

from lensctl.io.storage import s3
from lensctl.rules.errors import ServiceError
from lensctl.sync.bucket_listing import Listing
from tests.toys.fake_s3 import FakeS3
from tests.toys.sync import run, tree


def test_many_folders_are_listed_side_by_side_and_wholly(fake: FakeS3, tmp_path):
    fake.objects = {f"p/q/{i % 7}/{i}": str(i).encode() for i in range(450)} | {"p/q/here": b"1"}
    run("s3://b/p", tmp_path / "target")
    assert tree(tmp_path / "target") == {key[2:]: data for key, data in fake.objects.items()}


def listed(prefix: str) -> list[str]:
    return [key for page in Listing("b", prefix, "s3://b").pages() for key, _ in page]


def test_keys_are_verbatim_and_in_order(fake: FakeS3):
    keys = ["/a", "a", "a//b", "a/", "a/./b", "a b+c%20", "new\nline", "é", "\x07"]
    fake.objects = dict.fromkeys(keys, b"1")
    assert listed("") == sorted(keys)


@pytest.mark.parametrize("fault", ["slowdown", "reset"])
def test_a_listing_that_fails_once_is_asked_for_again(fake: FakeS3, fault: str):
    fake.objects = {f"p/{i:03d}": b"1" for i in range(250)}
    fake.fault = lambda method, key, n: fault if n == 1 else None
    assert listed("p/") == sorted(fake.objects)


@pytest.mark.parametrize("body", [b"<html><body>Log in</body></html>", b""])
def test_what_is_no_listing_is_no_empty_bucket(monkeypatch: pytest.MonkeyPatch, body: bytes):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        facts = {"ENDPOINT_URL": endpoint, "REGION": "us-east-1", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}
        for name, value in facts.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        s3.account.cache_clear()
        with pytest.raises(ServiceError, match="s3://b: S3 returned no listing"):
            listed("")
        s3.account.cache_clear()
        server.shutdown()
