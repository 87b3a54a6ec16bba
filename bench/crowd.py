"""How a scrape fares in a crowd: idle connections, dripping ones, and guessers of passwords, all at once.

    python bench/crowd.py [--tls] [--seconds 60] [--cost 10] [--impatient 3] [--keep] [--nice 10]

Serves the sample company with a web.yml, and lets nobody of the crowd go away: whose connection is closed comes again
after a second, who guessed wrong guesses again at once. All of them come from the address of the right users, and guess
the passwords of their names: nothing but the password tells them apart. The ledger holds its days already, as at every
start but the first. Prints the slowest scrape of users that the
server sees for the first time, and of those it knows, its memory, and how many lines it logs a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import os
import resource
import secrets
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import cache
from http.client import HTTPConnection, HTTPSConnection
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import bcrypt

from unitcost import sample

USERS = 20
DRIP_SECONDS = 0.1
AGAIN_SECONDS = 1.0
MINUTE = 60.0
OPENSSL = "openssl req -x509 -newkey rsa:2048 -noenc -days 2 -subj /CN=localhost -keyout server.key -out server.crt"

spawn = get_context("spawn")


def encoded(user: int, password: str) -> str:
    return "Basic " + base64.b64encode(f"user{user}:{password}".encode()).decode()


@cache
def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Crowd:
    """Everybody but the right users, in one event loop."""

    def __init__(self, port: int, args: argparse.Namespace) -> None:
        self._port = port
        self._tls = trusting() if args.tls else None
        self._args = args
        self.seen: Counter[str] = Counter()

    async def run(self) -> None:
        """Go on until cancelled."""
        kinds = ((self._idle, self._args.idle), (self._drip, self._args.dripping), (self._guess, self._args.guessers))
        await asyncio.gather(*(self._again(kind) for kind, count in kinds for _ in range(count)))

    async def _again(self, kind: Callable[[], Awaitable[None]]) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                await kind()
            self.seen[f"{kind.__name__.strip('_')} ended"] += 1
            if kind != self._guess:
                await asyncio.sleep(AGAIN_SECONDS)

    async def _idle(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            await reader.read(1)
        finally:
            writer.close()

    async def _drip(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._tls)
        closed = asyncio.ensure_future(reader.read())
        try:
            writer.write(b"GET /metrics HTTP/1.1\r\nX-Drip: ")
            while not closed.done():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(DRIP_SECONDS)
        finally:
            writer.close()
            closed.cancel()

    async def _guess(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._tls)
        try:
            while True:
                login = encoded(secrets.randbelow(USERS), secrets.token_hex(8))
                writer.write(f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: {login}\r\n\r\n".encode())
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), self._args.impatient or None)
                self.seen[head.split()[1].decode()] += 1
                length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
                await reader.readexactly(int(length))
                if not self._args.keep:
                    return
        finally:
            writer.close()


def crowd_process(port: int, args: argparse.Namespace, told: Connection) -> None:
    os.nice(args.nice)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = Crowd(port, args)

    async def run() -> None:
        task = asyncio.ensure_future(crowd.run())
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, told.recv)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())
    told.send(dict(crowd.seen))


def scrape(port: int, user: int, *, tls: bool) -> float:
    """Scrape once over a connection of its own; return the seconds."""
    begin = time.perf_counter()
    connection = (
        HTTPSConnection("127.0.0.1", port, timeout=60, context=trusting())
        if tls
        else HTTPConnection("127.0.0.1", port, timeout=60)
    )
    connection.request("GET", "/metrics", headers={"Authorization": encoded(user, f"right{user}")})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.status == 200, response.status
    assert len(body) > 10_000
    return time.perf_counter() - begin


def rss(pid: int) -> float:
    """Return the megabytes that a process has in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def scheduled(pid: int) -> tuple[float, float]:
    """Return the seconds that the main thread has run, and has waited for a processor that others used."""
    ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(ran) / 1e9, int(waited) / 1e9


def company(folder: Path, args: argparse.Namespace) -> Path:
    path = sample.write(folder, datetime.now(UTC))
    hashes = [bcrypt.hashpw(f"right{n}".encode(), bcrypt.gensalt(args.cost)).decode() for n in range(USERS)]
    users = ", ".join(f"user{n}: {hashed}" for n, hashed in enumerate(hashes))
    text = f"basic_auth_users: {{{users}}}\n"
    if args.tls:
        subprocess.run(OPENSSL.split(), cwd=folder, check=True, capture_output=True)
        text += "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
    (folder / "web.yml").write_text(text)
    path.write_text(path.read_text() + f"web: {{config_file: web.yml}}\nstate_dir: {folder / 'state'}\n")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--dripping", type=int, default=200)
    parser.add_argument("--guessers", type=int, default=140)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--cost", type=int, default=10, help="of bcrypt")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--keep", action="store_true", help="guessers keep their connection")
    parser.add_argument(
        "--impatient", type=float, default=0, help="guessers go away after so many seconds and come again"
    )
    parser.add_argument(
        "--nice", type=int, default=10, help="of the crowd, which elsewhere would take no processor from the server"
    )
    parser.add_argument("--descriptors", type=int, default=1024, help="that the server may have")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = company(folder, args)
        unitcost = [sys.executable, "-m", "unitcost"]
        subprocess.run([*unitcost, "serve", "--once", "--config", str(path)], check=True, stdout=subprocess.DEVNULL)
        command = ["prlimit", f"--nofile={args.descriptors}:{args.descriptors}", *unitcost]
        with (folder / "log").open("w") as log:
            server = subprocess.Popen([*command, "serve", "--config", str(path), "--listen", "127.0.0.1:0"], stderr=log)
        try:
            measure(server.pid, folder / "log", args)
        finally:
            server.terminate()
            begin = time.perf_counter()
            code = server.wait(60)
            print(f"stopped with {code} after {time.perf_counter() - begin:.1f} s")


def measure(pid: int, log: Path, args: argparse.Namespace) -> None:
    while "serving on" not in log.read_text():
        time.sleep(0.1)
    port = int(log.read_text().split("serving on ")[1].split()[0].rpartition(":")[2])
    # The first user is known before the crowd comes, as a Prometheus is that has scraped already.
    while True:
        try:
            print(f"before the crowd: {scrape(port, 0, tls=args.tls) * 1e3:.0f} ms, {rss(pid):.0f} MB")
            break
        except AssertionError:
            time.sleep(0.2)
    begun_with = len(log.read_text().splitlines())
    ours, theirs = spawn.Pipe()
    crowd = spawn.Process(target=crowd_process, args=(port, args, theirs), daemon=True)
    crowd.start()
    begin = time.perf_counter()
    before = scheduled(pid)
    memory, known, unseen = rss(pid), [0.0], [0.0]
    user = 0
    while time.perf_counter() - begin < args.seconds:
        if user + 1 < USERS and len(known) % 10 == 0:
            user += 1
            unseen.append(scrape(port, user, tls=args.tls))
        known.append(scrape(port, user, tls=args.tls))
        memory = max(memory, rss(pid))
        time.sleep(0.2)
    lines = len(log.read_text().splitlines()) - begun_with
    seconds = time.perf_counter() - begin
    ran, waited = (now - then for now, then in zip(scheduled(pid), before, strict=True))
    ours.send("end")
    said = ours.recv()
    crowd.join()
    print(f"{args.idle:,} idle, {args.dripping} dripping, {args.guessers} guessers for {seconds:.0f} s: {said}")
    print(f"a right user that is unseen: {max(unseen) * 1e3:,.0f} ms at most, {len(unseen) - 1} scrapes")
    print(f"a right user that is known: {max(known) * 1e3:,.0f} ms at most, {len(known) - 1} scrapes")
    print(f"memory: {memory:.0f} MB at most; log: {lines * MINUTE / seconds:.0f} lines a minute")
    print(f"the server's thread ran {ran:.1f} s and waited {waited:.1f} s for a processor (0 on a quiet machine)")


if __name__ == "__main__":
    main()
