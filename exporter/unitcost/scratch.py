"""The folder of this process for temporary files, removed at its end; that of a process that was killed, by the next.

A bill's plain copy or its sums can be as large as the bill: a container that is killed for its memory, time and again,
would fill its disk with them.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from threading import Lock

PREFIX = "unitcost-scratch-"
_NAME = re.compile(rf"{PREFIX}\w{{8}}")
"""As tempfile names it: what is called otherwise is nobody's to remove."""


WITHOUT_LOCKS = {errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""What file systems say that lock no folders (NFS the first): on them nothing is taken for left behind."""

_folders: dict[str, Path] = {}
_lock = Lock()


def scratch() -> Path:
    """Return the folder; it is made when it is first asked for, or was taken away. Raises OSError where it cannot be.

    It lies where temporary files go (TMPDIR). What stands in it is removed when the process ends, if not before.
    """
    with _lock:
        base = tempfile.gettempdir()
        found = _folders.get(base)
        if found is None or not found.is_dir():
            _sweep(Path(base))
            found = _folders[base] = _made(base)
        return found


def place() -> str:
    """Say where the folder lies, or would."""
    try:
        return tempfile.gettempdir()
    except OSError:  # none that can be written
        return "the folder for temporary files (TMPDIR)"


def remove() -> None:
    """Remove the folder and all that is in it, at the end of the process."""
    for folder in list(_folders.values()):
        shutil.rmtree(folder, ignore_errors=True)


atexit.register(remove)


def _made(base: str) -> Path:
    """Make a folder and lock it for as long as this process lives."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        try:
            _locked(path)
        except (FileNotFoundError, BlockingIOError):
            continue  # another process takes it for one that was left behind
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            return path
        if path.is_dir():
            return path


def _sweep(base: Path) -> None:
    """Remove the folders of processes that are no more: nobody holds their locks."""
    for path in base.glob(f"{PREFIX}*"):
        if _NAME.fullmatch(path.name) is None:
            continue
        with suppress(OSError):  # one that lives, another user's, no folder, or gone meanwhile
            handle = _locked(path)
            shutil.rmtree(path, ignore_errors=True)
            os.close(handle)


def _locked(path: Path) -> int:
    """Lock a folder and return what it is open as: the lock, which systemd's cleaning of /tmp respects, goes with that.

    Raises BlockingIOError where another process holds it, another OSError where it cannot be locked.
    """
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle
