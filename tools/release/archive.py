"""Archives that are the same to the byte when they are made again: sorted, of nobody, at the time of the commit."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

EXECUTABLE, PLAIN = 0o755, 0o644


def write(path: Path, top: str, files: Mapping[str, bytes], when: int) -> None:
    """Write a .tar.gz with these files (name below top → content), all of the Unix time when.

    What begins with #! may be executed.
    """
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=when) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size, entry.mtime = len(content), when
            entry.mode = EXECUTABLE if content.startswith(b"#!") else PLAIN
            archive.addfile(entry, io.BytesIO(content))


def read(path: Path) -> dict[str, bytes]:
    """Return the files of a .tar.gz: name → content."""
    with tarfile.open(path) as archive:
        return {
            entry.name: content.read()
            for entry in archive.getmembers()
            if (content := archive.extractfile(entry)) is not None
        }


def unpack(path: Path, folder: Path) -> Path:
    """Unpack the files of a .tar.gz with one folder at its top; return that folder.

    Names that lead out of the folder are no files of ours: ValueError. (Python 3.11.4 would see to that itself.)
    """
    with tarfile.open(path) as archive:
        for entry in archive.getmembers():
            place = (folder / entry.name).resolve()
            top = folder / place.relative_to(folder.resolve()).parts[0]
            if (content := archive.extractfile(entry)) is not None:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content.read())
                place.chmod(entry.mode & EXECUTABLE)
    return top
