"""Every server that goes wrong which we know of, by what it is that goes wrong."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial

from tests.fakes.faulty import (
    BLOCK,
    CHUNKED,
    FULL,
    GZIP,
    MB,
    PULSE,
    Fault,
    bomb,
    chunk,
    drips,
    endless,
    ever_new,
    half_a_record,
    head,
    json_of,
    redirects,
    repeated,
    reset,
    says,
    says_then_reset,
    silent,
    slow_redirect,
)

VECTOR = '{"status":"success","data":{"resultType":"vector","result":['
SERIES = '{{"metric":{{"tenant":"t{0}"}},"value":[1,"1"]}}'
AHEAD = format_datetime(datetime.now(UTC) + timedelta(days=9000), usegmt=True)


def body_faults() -> Iterator[Fault]:
    for name, block in (("zeros", bytes(1 << 16)), ("lists", b"[" * (1 << 16)), ("maps", b'{"a":' * 13000)):
        yield Fault(f"endless body: {name}", endless(block, head()))
        yield Fault(f"endless body in chunks: {name}", endless(chunk(block), head("200 OK", CHUNKED)))
        yield Fault(f"endless body, a block a pulse: {name}", endless(block, head(), every=PULSE))
    yield Fault("endless body: a string", endless(BLOCK, head(), '"'))
    yield Fault("endless body: a number", endless(b"1" * (1 << 16), head()))
    yield Fault("endless body: white space", endless(b" " * (1 << 16), head()))
    yield Fault("endless body: series", endless((SERIES.format(1) + ",") * 1000, head(), VECTOR))
    yield Fault("endless chunks of a byte", endless(chunk(b"x") * 1000, head("200 OK", CHUNKED)))
    yield Fault("endless chunk extension", endless(BLOCK, head("200 OK", CHUNKED), "1;"))
    yield Fault("endless trailers", endless("X-A: b\r\n" * 1000, head("200 OK", CHUNKED), chunk(FULL), "0\r\n"))
    yield Fault("dripped body", drips(FULL * 100, head(length=len(FULL) * 100)))
    yield Fault("dripped body in chunks", drips(chunk(b"x") * 10000, head("200 OK", CHUNKED)))
    yield Fault("dripped body until close", drips(FULL * 100, head()))
    yield Fault("dripped chunk size", drips("0" * 10000, head("200 OK", CHUNKED)))
    yield Fault("body that stalls", says(head(length=len(FULL)), FULL[:20], then="stall"))
    yield Fault("body that stalls in chunks", says(head("200 OK", CHUNKED), chunk(FULL), then="stall"))
    yield Fault("body without an end", says(head(), FULL, then="stall"))
    yield Fault("body that never begins", says(head(length=9), then="stall"))
    yield Fault("half-closed before the body", says(head(length=9), then="half"))
    yield Fault("half-closed in the body", says(head(length=len(FULL)), FULL[:20], then="half"))
    yield Fault("half-closed in a chunk", says(head("200 OK", CHUNKED), "fff\r\nabc", then="half"))
    yield Fault("truncated", says(head(length=len(FULL)), FULL[:20]))
    yield Fault("truncated in chunks", says(head("200 OK", CHUNKED), "fff\r\nabc"))
    yield Fault("truncated before the last chunk", says(head("200 OK", CHUNKED), chunk(FULL)))
    yield Fault("reset in the body", says_then_reset(head(length=len(FULL)), FULL[:20]))
    yield Fault("promises 10 GB and sends them", endless(BLOCK, head(length=10 << 30)))
    yield Fault("promises 10 GB and sends nothing", says(head(length=10 << 30), then="stall"))
    yield Fault("promises a number of 9,000 digits", says(head("200 OK", f"Content-Length: {'9' * 9000}"), FULL))
    yield Fault("Content-Length -1", says(head(length=-1), FULL))
    yield Fault("Content-Length abc", says(head("200 OK", "Content-Length: abc"), FULL))
    yield Fault("two Content-Lengths", says(head("200 OK", "Content-Length: 1", length=2), FULL))
    yield Fault("Content-Length and chunks", says(head("200 OK", CHUNKED, length=3), chunk(FULL), then="stall"))
    yield Fault("a chunk size that is none", says(head("200 OK", CHUNKED), "zz\r\n", FULL))
    yield Fault("a chunk size of 10 GB", endless(BLOCK, head("200 OK", CHUNKED), "280000000\r\n"))
    yield Fault("a negative chunk size", says(head("200 OK", CHUNKED), "-5\r\nabcde\r\n0\r\n\r\n"))


def packed_faults() -> Iterator[Fault]:
    packed = gzip.compress(FULL)
    yield Fault("gzip bomb of 10 GB", bomb)
    yield Fault("gzip bomb of 150 MB", partial(bomb, size=150 * MB))
    yield Fault("gzip of empty members without end", endless(gzip.compress(b"") * 1000, head("200 OK", GZIP)))
    yield Fault(
        "gzip of empty blocks without end", endless(b"\0\0\0\xff\xff" * 9999, head("200 OK", GZIP), packed[:10])
    )
    yield Fault("gzip with a name without end", endless(BLOCK, head("200 OK", GZIP), b"\x1f\x8b\x08\x08" + bytes(6)))
    yield Fault("gzip in gzip", says(head("200 OK", "Content-Encoding: gzip, gzip"), gzip.compress(packed)))
    yield Fault("gzip that is damaged", says(head("200 OK", GZIP), packed[:-8] + bytes(8)))
    yield Fault("gzip that is none", says(head("200 OK", GZIP), FULL))
    yield Fault("gzip that is cut off", says(head("200 OK", GZIP), packed[:-12]))
    yield Fault("gzip that drips", drips(packed, head("200 OK", GZIP, length=len(packed))))
    yield Fault("brotli that nobody asked for", says(head("200 OK", "Content-Encoding: br"), FULL))
    yield Fault("deflate that nobody asked for", says(head("200 OK", "Content-Encoding: deflate"), FULL))


def head_faults() -> Iterator[Fault]:
    yield Fault("accepts and is silent", silent)
    yield Fault("reads and is silent", says(then="stall"))
    yield Fault("hangs up at once", lambda _: None)
    yield Fault("hangs up after the request", says())
    yield Fault("resets at once", reset)
    yield Fault("resets after the request", says_then_reset())
    yield Fault("half-closes at once", says(then="half"))
    for name, text in (("status", "HTTP/1.1"), ("line", "HTTP/1.1 200 OK\r\n"), ("header", "HTTP/1.1 200 OK\r\nX-A")):
        yield Fault(f"stalls in the {name}", says(text, then="stall"))
        yield Fault(f"hangs up in the {name}", says(text))
    yield Fault("drips the status", drips(f"HTTP/1.1 200 {'x' * 9999}"))
    yield Fault("drips headers", drips("X-A: b\r\n" * 9999, "HTTP/1.1 200 OK\r\n"))
    yield Fault("drips a header", drips("X-A: " + "b" * 60000, "HTTP/1.1 200 OK\r\n"))
    yield Fault("headers without end", endless("X-A: b\r\n" * 1000, "HTTP/1.1 200 OK\r\n"))
    yield Fault("a header without end", endless(BLOCK, "HTTP/1.1 200 OK\r\nX-A: "))
    yield Fault("a status without end", endless(BLOCK, "HTTP/1.1 200 "))
    yield Fault("100 Continue without end", endless("HTTP/1.1 100 Continue\r\n\r\n" * 1000))
    yield Fault("100 Continue, one a pulse", endless("HTTP/1.1 100 Continue\r\n\r\n", every=PULSE))
    yield Fault("102 Processing, one a pulse", endless("HTTP/1.1 102 Processing\r\n\r\n", every=PULSE))
    yield Fault("103 Early Hints, then silence", says("HTTP/1.1 103 Early Hints\r\n\r\n", then="stall"))
    yield Fault("101 Switching Protocols", says("HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n", then="stall"))
    yield Fault("an SSH banner", says("SSH-2.0-OpenSSH_9.6\r\n", then="stall"))
    yield Fault("an SMTP banner that drips", drips("220-mail " * 999))
    yield Fault("HTTP/2 frames", says(b"\0\0\x12\4\0\0\0\0\0" + bytes(18), then="stall"))
    yield Fault("HTTP/0.9", says("<html>hello</html>"))
    yield Fault("noise without end", endless(bytes(range(256)) * 256))
    yield Fault("line breaks without end", endless("\r\n" * 9999))
    yield Fault("a status that is no number", says("HTTP/1.1 abc OK\r\n\r\n"))
    yield Fault("status 999", says(head("999 Odd", length=2), "{}"))
    yield Fault("a header without a colon", says("HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", FULL))


def status_faults() -> Iterator[Fault]:
    for status in ("429 Too Many Requests", "503 Service Unavailable"):
        for name, asked in (
            ("1e9", "1e9"), ("1000000000", "1000000000"), ("of 40 digits", "9" * 40), ("as a date", AHEAD),
            ("0", "0"), ("negative", "-5"), ("nonsense", "soon"), ("NaN", "nan"), ("infinite", "inf"),
            ("in the year 99999", "Fri, 31 Dec 99999 23:59:59 GMT"),
        ):  # fmt: skip
            yield Fault(f"{status[:3]} with Retry-After {name}", repeated(status, f"Retry-After: {asked}"))
        yield Fault(f"{status[:3]} always", repeated(status))
    for status in ("401 Unauthorized", "403 Forbidden", "404 Not Found", "500 Internal", "502 Bad", "504 Late"):
        yield Fault(status, repeated(status, body=b"<html>sorry</html>"))
    for status in ("401 Unauthorized", "500 Internal", "503 Service Unavailable"):
        yield Fault(f"{status} with a body without end", endless(BLOCK, head(status)))
        yield Fault(f"{status} with a body that drips", drips(BLOCK, head(status)))
    yield Fault("204 No Content", repeated("204 No Content", body=b""))
    yield Fault("304 Not Modified", repeated("304 Not Modified", body=b""))


def redirect_faults() -> Iterator[Fault]:
    yield Fault("redirects to itself", redirects(lambda call: call.url))
    yield Fault("redirects to ever new paths", ever_new)
    yield Fault("redirects slowly", slow_redirect)
    for status in ("301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"):
        yield Fault(f"redirects to another server: {status[:3]}", redirects(lambda call: call.other, status))
    for name, to in (
        ("with its password", lambda call: call.url.replace("//", "//u:p@")),
        ("to another server without a scheme", lambda call: call.other.partition(":")[2]),
        ("to another name", lambda call: call.url.replace("127.0.0.1", "localhost")),
        ("to https", lambda call: call.url.replace("http:", "https:")),
        ("to a file", lambda _: "file:///etc/passwd"),
        ("to a script", lambda _: "javascript:alert(1)"),
        ("to what is no URL", lambda _: "http://[::x"),
        ("to no port", lambda call: call.url.rpartition(":")[0] + ":99999/"),
        ("to 60 KB", lambda _: "/" + "a" * 60000),
    ):
        yield Fault(f"redirects {name}", redirects(to))
    yield Fault("redirects nowhere", says(head("302 Found", length=0)))
    yield Fault("redirects with a body without end", endless(BLOCK, head("302 Found", "Location: /a")))
    yield Fault("redirects with a body that drips", drips(BLOCK, head("302 Found", "Location: /a")))


def json_faults() -> Iterator[Fault]:
    def answers(name: str, body: bytes | str) -> Fault:
        given = body if isinstance(body, bytes) else body.encode()
        return Fault(f"JSON: {name}", says(head(length=len(given)), given))

    value = VECTOR + '{"metric":{"tenant":"a"},"value":[1,%s]}]}}'
    yield answers("nothing", "")
    yield answers("null", "null")
    yield answers("half", FULL[:50])
    yield answers("HTML", "<html>please log in</html>")
    yield answers("nested 100,000 deep", "[" * 100_000 + "]" * 100_000)
    yield answers("nested in a series", VECTOR + '{"metric":' * 100_000)
    yield answers("a number of a million digits", value % ("1" * 1_000_000))
    yield answers("1e1000000", value % "1e1000000")
    yield answers("an exponent of 30 digits", value % ("1e" + "9" * 30))
    yield answers("NaN", value % "NaN")
    yield answers("a value of 1e1000000", value % '"1e1000000"')
    yield answers("UTF-16", FULL.decode().encode("utf-16"))
    yield answers("no UTF-8", FULL.replace(b"acme", b"\xff\xfe\xfa"))
    yield answers("a key twice", FULL.replace(b'"status":"success"', b'"status":"success","status":"error"'))
    yield answers("two documents", FULL + FULL)
    yield answers("a list of 3 million numbers", '{"status":"success","warnings":[' + "1," * 3_000_000 + "1]}")
    yield answers("a text of 20 MB", json.dumps({"status": "error", "errorType": "x", "error": "y" * (20 * MB)}))
    ends = {"front": VECTOR, "back": "]}}"}
    yield Fault("JSON: 90 MB of series", json_of(90 * MB, lambda _: SERIES.format(1), **ends))
    yield Fault("JSON: 90 MB of tenants", json_of(90 * MB, SERIES.format, **ends))
    yield Fault("JSON: 150 MB of tenants", json_of(150 * MB, SERIES.format, **ends))
    yield Fault("JSON: 90 MB of nulls", json_of(90 * MB, lambda _: "null", **ends))
    yield Fault("JSON: 90 MB of keys", json_of(90 * MB, '"k{0}":1'.format, front="{", back="}"))


def tls_faults() -> Iterator[Fault]:
    yield Fault("TLS that never begins", silent, "https")
    yield Fault("TLS that is HTTP", lambda call: call.send(head(), FULL), "https")
    yield Fault("TLS that is noise", endless(bytes(range(256)) * 256), "https")
    yield Fault("TLS that is closed", lambda _: None, "https")
    yield Fault("TLS that is reset", reset, "https")
    yield Fault("TLS that drips", lambda call: call.drip(b"\x16\x03\x03\x40\x00" + b"\x02" * 16384), "https")
    yield Fault("TLS that sends half a record", half_a_record, "https")
    yield Fault("TLS that alerts", lambda call: call.send(b"\x15\x03\x03\x00\x02\x02\x28"), "https")
    yield Fault("TLS, then silence", silent, "https", speaks=True)
    yield Fault("TLS, then a body that drips", drips(FULL * 99, head(length=len(FULL) * 99)), "https", speaks=True)
    yield Fault("TLS, then a body without end", endless(BLOCK, head()), "https", speaks=True)
    yield Fault("TLS, then 100 Continue", endless("HTTP/1.1 100 Continue\r\n\r\n", every=PULSE), "https", speaks=True)
    yield Fault("TLS, then a reset", says_then_reset(head(length=9)), "https", speaks=True)
    yield Fault(
        "TLS, then a redirect to plain HTTP",
        redirects(lambda call: call.url.replace("https:", "http:")),
        "https",
        speaks=True,
    )


def faults() -> list[Fault]:
    """Return every fault there is."""
    families = (head_faults, body_faults, packed_faults, status_faults, redirect_faults, json_faults, tls_faults)
    return [fault for family in families for fault in family()]
