"""Programs that run beside this one: started, waited for, and stopped again whatever happens in between."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

PATIENCE = 60.0
STOP_SECONDS = 20.0
LAST_LINES = 5


class StartError(Exception):
    """Something that was to run does not: says what, why, and what to do."""


@dataclass(frozen=True)
class Program:
    """A running program and the file that holds what it prints."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def ended(self) -> str:
        """Return how it ended, with its last lines; "" while it runs."""
        code = self.process.poll()
        return "" if code is None else f"{self.name} ended with exit code {code}:\n{self.last_lines()}"

    def last_lines(self) -> str:
        """Return the end of what it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LAST_LINES:])


def find(*names: str, package: str) -> str:
    """Return the path of the first of these names that is on PATH.

    Raises StartError with the Debian package that has it.
    """
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return path
    raise StartError(f"no {names[0]} on PATH: apt-get install {package}, or let `make demo` fetch it")


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_taken(port: int) -> bool:
    """Tell whether somebody listens on a loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port just given up is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def answers(url: str) -> bool:
    """Tell whether a GET is answered with success."""
    return requests.get(url, timeout=5).ok


def wait_for(what: Callable[[], bool], text: str, patience: float = PATIENCE, every: float = 0.05) -> None:
    """Wait until what() is true, asking every so many seconds; what a server that is not up yet throws counts as false.

    Raises StartError with the text after patience seconds.
    """
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            if what():
                return
        except (requests.RequestException, KeyError, IndexError):
            pass
        time.sleep(every)
    raise StartError(f"{text}: not within {patience:g} s")


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    folder: Path,
    ready: Callable[[], bool] | None = None,
    patience: float = PATIENCE,
) -> Iterator[Program]:
    """Run a program in folder until the block ends; its output goes to folder/NAME.log.

    The block begins when ready() is true. Raises StartError when the program ends before that, or is not ready after
    patience seconds.
    """
    log = folder / f"{name}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: S603 - the commands are ours
            list(command),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,  # Ctrl-C is for us: we stop the programs, the last one first
        )
    program = Program(name, process, log)
    try:
        if ready is not None:
            text = f"{name} is ready (its output is in {log})"
            wait_for(lambda: process.poll() is not None or ready(), text, patience)
            if program.ended():
                raise StartError(program.ended())
        yield program
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process: politely first, for certain after STOP_SECONDS."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run(name: str, command: Sequence[str], folder: Path) -> None:
    """Run a program in folder to its end. Raises StartError with its last lines when it fails."""
    with running(name, command, folder) as program:
        program.process.wait()
        if program.process.returncode:
            raise StartError(program.ended())
