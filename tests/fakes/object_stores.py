"""Object stores on loopback: moto's S3, Azurite, and the part of Google's XML API that is read."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import boto3
import obstore
import requests
from botocore.config import Config
from moto.server import ThreadedMotoServer
from obstore.store import AzureStore

from tests.fakes.processes import free_port, wait_for
from tests.fakes.relay import Relay, relay

BUCKET = "billing"
SECRET = "a-secret-of-the-store"
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account that every Azurite has, as its documentation says."""


@dataclass
class Bucket:
    """A bucket or container. scheme: of addresses; settings: of a source's `store`; put, remove, names: of objects."""

    scheme: str
    settings: dict[str, Any]
    relay: Relay
    put: Callable[[str, bytes], None]
    remove: Callable[[str], None]

    names: Callable[[], list[str]]
    clear: Callable[[], None] = lambda: None

    def emptied(self) -> Bucket:
        """Remove everything, forget what was asked, and return it with settings that a test may change."""
        self.clear()
        while keys := self.names():
            for key in keys:
                self.remove(key)
        self.relay.forget()
        self.relay.otherwise, self.relay.cut = (lambda *_: None), (lambda _: None)
        return replace(self, settings=dict(self.settings))

    def address(self, prefix: str = "") -> str:
        """Return an address in it."""
        return f"{self.scheme}://{BUCKET}/{prefix}"


@contextmanager
def s3() -> Iterator[Bucket]:
    """Run moto's S3 with a bucket."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        keys = {"aws_access_key_id": "an-id", "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
        client = boto3.session.Session(**keys).client(
            "s3", endpoint_url=f"http://{host}:{port}", config=Config(s3={"addressing_style": "path"})
        )

        def clear() -> None:  # of all that moto holds in this process
            requests.post(f"http://{host}:{port}/moto-api/reset", timeout=30).raise_for_status()
            client.create_bucket(Bucket=BUCKET)

        clear()
        with relay(f"http://{host}:{port}") as front:
            yield Bucket(
                "s3",
                {
                    "endpoint": front.url,
                    "region": "us-east-1",
                    "access_key_id": "an-id",
                    "secret_access_key": SECRET,
                },
                front,
                lambda key, body: client.put_object(Bucket=BUCKET, Key=key, Body=body) and None,
                lambda key: client.delete_object(Bucket=BUCKET, Key=key) and None,
                lambda: [one["Key"] for one in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])],
                clear,
            )
        client.close()
    finally:
        server.stop()


@contextmanager
def azurite() -> Iterator[Bucket]:
    """Run Azurite with a container."""
    port = free_port()
    command = ["azurite-blob", "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    command += ["--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            direct = f"http://127.0.0.1:{port}"
            wait_for(lambda: _listens(port), "Azurite listens")
            _make_container(direct)
            config = {"account_name": ACCOUNT, "account_key": ACCOUNT_KEY, "endpoint": f"{direct}/{ACCOUNT}"}
            store = AzureStore(BUCKET, config=config, client_options={"allow_http": True})  # type: ignore[arg-type]
            with relay(direct) as front:
                endpoint = f"{front.url}/{ACCOUNT}"
                yield Bucket(
                    "az",
                    {"account": ACCOUNT, "account_key": ACCOUNT_KEY, "endpoint": endpoint},
                    front,
                    lambda key, body: obstore.put(store, key, body) and None,
                    lambda key: obstore.delete(store, key),
                    lambda: [one["path"] for page in obstore.list(store) for one in page],
                )
        finally:
            process.terminate()
            process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def _make_container(direct: str) -> None:
    """Make the container; obstore only knows what lies in one."""
    date, version = format_datetime(datetime.now(UTC), usegmt=True), "2021-08-06"
    # https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
    resource = f"/{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container"
    text = "PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:{version}\n{resource}"
    signed = hmac.new(base64.b64decode(ACCOUNT_KEY), text.encode(), hashlib.sha256).digest()
    headers = {"x-ms-date": date, "x-ms-version": version}
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(signed).decode()}"
    made = requests.put(f"{direct}/{ACCOUNT}/{BUCKET}?restype=container", headers=headers, timeout=30)
    assert made.status_code == 201, made.text


@dataclass
class Kept:
    """An object of the fake of Google's store."""

    body: bytes
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body).hexdigest()}"'


PAGE = 1000


@contextmanager
def gcs() -> Iterator[Bucket]:
    """Serve the part of Google's XML API that obstore reads by: objects in pages, folders, an object if it matches."""
    objects: dict[str, Kept] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
            if bucket != BUCKET:
                self._say(404, b"<Error><Code>NoSuchBucket</Code></Error>")
            elif not key:
                self._say(200, _listing(objects, {k: v[0] for k, v in parse_qs(parts.query).items()}))
            elif key not in objects:
                self._say(404, b"<Error><Code>NoSuchKey</Code></Error>")
            elif self.headers.get("If-Match", objects[key].etag) != objects[key].etag:
                self._say(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            else:
                one = objects[key]
                said = {"ETag": one.etag, "Last-Modified": format_datetime(one.modified, usegmt=True)}
                self._say(200, one.body, said)

        def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        with relay(f"http://127.0.0.1:{server.server_address[1]}") as front:
            yield Bucket(
                "gs",
                {"endpoint": front.url},
                front,
                lambda key, body: objects.__setitem__(key, Kept(body)),
                objects.__delitem__,
                lambda: list(objects),
            )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _listing(objects: dict[str, Kept], params: dict[str, str]) -> bytes:
    prefix, mark = params.get("prefix", ""), params.get("delimiter")
    after = params.get("continuation-token", params.get("start-after", ""))
    keys = sorted(key for key in objects if key.startswith(prefix) and key > after)
    folders = sorted({key[: key.index(mark, len(prefix)) + 1] for key in keys if mark and mark in key[len(prefix) :]})
    if mark:
        keys = [key for key in keys if mark not in key[len(prefix) :]]
    page, rest = keys[:PAGE], keys[PAGE:]
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>{objects[key].modified:%Y-%m-%dT%H:%M:%S.%fZ}</LastModified>"
        f"<ETag>{escape(objects[key].etag)}</ETag><Size>{len(objects[key].body)}</Size></Contents>"
        for key in page
    )
    contents += "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in folders)
    more = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if rest else ""
    cut = f"<IsTruncated>{str(bool(rest)).lower()}</IsTruncated>{more}"
    return f"<ListBucketResult>{cut}{contents}</ListBucketResult>".encode()
