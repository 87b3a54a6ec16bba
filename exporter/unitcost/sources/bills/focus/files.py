"""The files of a FOCUS export: which ones count, which are parts of one export, and which say a day twice."""

from __future__ import annotations

import hashlib
import re
import weakref
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Literal

from unitcost.errors import SourceError
from unitcost.facts import Problem

KINDS = {".csv": "csv", ".csv.gz": "csv.gz", ".parquet": "parquet"}

_SUFFIX = re.compile(r"((?:\.[a-z]+)*?)(\.csv\.gz|\.csv|\.parquet)$", re.IGNORECASE)
# Archives and sheets, and any other compression: DuckDB takes a .zst that was cut off for a whole one.
_PACKED = re.compile(
    r"\.(?:zip|7z|rar|tar|tgz|gz|bz2|xz|zst|lz4|lzo|snappy|br|z|xlsx|xlsm|xlsb|xls|ods|orc|avro)$", re.IGNORECASE
)
_PACKED_TEXT = re.compile(r"\.(?:json|txt|log|md|ya?ml|xml|sql|html?)\.[a-z0-9]+$", re.IGNORECASE)
_BESIDE = re.compile(r"(^|[-_.])(manifest|metadata)$", re.IGNORECASE)
_PARTITION = re.compile(r"^billing_period=(\d{4}-\d{2})$", re.IGNORECASE)
# 2026-11-02, 20261102, 2026-11, 202611 and 2026, each with a time of day behind it or not.
_DATE = re.compile(
    r"(?<!\d)(?:19|20)\d\d(?:([-_.]?)(?:0[1-9]|1[0-2])(?:\1(?:0[1-9]|[12]\d|3[01]))?)?"
    r"(?:T\d\d[-_:.]?\d\d(?:[-_:.]?\d\d)?(?:\.\d+)?Z?|[-_ ]\d\d[-_.:]\d\d[-_.:]\d\d"
    r"|[-_](?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?)?"
    r"(?!\d)"
)
_SPARK_PART = re.compile(r"^(part)(?:[-_]\d+)+(?=[-_.]|$)", re.IGNORECASE)
_SPARK_COUNTER = re.compile(r"[-.]c\d+$", re.IGNORECASE)
# A long number that does not start with 0 is a time stamp or an account, not a part number.
_PART = re.compile(r"^(.*[-_.])(?:\d{1,5}|0\d+)$", re.DOTALL)
_LETTERS = str.maketrans("0123456789", "abcdefghij")


class Copy:
    """A file of our own, gone as soon as nobody holds it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        weakref.finalize(self, path.unlink, missing_ok=True)


@dataclass(frozen=True, slots=True)
class BillFile:
    """One file as it stood when the folder was read; name is its path inside the configured one, with slashes.

    copy: what is read in its stead, where DuckDB cannot read the file as it is spelt.
    """

    path: Path
    name: str
    size: int
    mtime_ns: int
    copy: Copy | None = field(default=None, compare=False)

    @property
    def kind(self) -> str:
        """One of the values of KINDS; SourceError `format` for any other file."""
        found = _SUFFIX.search(self.path.name)
        if found is None:
            hint = UNPACK if _PACKED.search(self.path.name) else "Point path at a FOCUS export"
            raise SourceError("format", str(self.path), UNREAD, hint)
        return KINDS[found.group(2).lower()]

    @property
    def partition(self) -> str | None:
        """The billing period ("2026-10") that a folder BILLING_PERIOD=2026-10 above the file names, or None."""
        for part in self.path.parent.parts[::-1]:
            if found := _PARTITION.match(part):
                return found.group(1)
        return None

    @property
    def stands(self) -> bool:
        """False once someone has cleared away the copy."""
        return self.copy is None or self.copy.path.exists()

    @property
    def pattern(self) -> str:
        """The path as DuckDB reads it: its wildcards escaped."""
        return re.sub(r"([*?\[])", r"[\1]", str(self.copy.path if self.copy else self.path))


@dataclass(frozen=True, slots=True)
class Folder:
    """What stands under a path: bill files, files in a packed form that is not read, and others, each by name."""

    files: list[BillFile]
    packed: list[Path]
    others: list[str]


def find(path: Path) -> Folder:
    """Return the bill files under a path, or the file itself, sorted by name, and what stands beside them.

    Hidden and underscored files and folders are passed over; manifests, metadata and files of other kinds are
    `others`. Raises SourceError `missing` when there is no bill file, or when one goes away while it is looked at, and
    `table` for one of Delta Lake or Iceberg.
    """
    found = Folder([], [], [])
    try:
        if path.is_file():
            return Folder([_bill_file(path, path.name)], [], [])
        if kind := _table(path):
            raise is_table(str(path), kind)
        for file in sorted(path.rglob("*")):
            relative = file.relative_to(path)
            sort = sort_of(relative) if file.is_file() else None
            if sort == "bill":
                found.files.append(_bill_file(file, relative.as_posix()))
            elif sort == "packed":
                found.packed.append(file)
            elif sort == "other":
                found.others.append(relative.as_posix())
    except OSError as error:
        raise SourceError("missing", str(path), f"cannot be read: {error.strerror}") from error
    if not found.files and found.packed:
        raise SourceError("format", str(found.packed[0]), UNREAD, UNPACK)
    if not found.files:
        raise SourceError(
            "missing", str(path), "holds no .csv, .csv.gz or .parquet file", "Point path at a FOCUS export"
        )
    return found


def _table(path: Path) -> str | None:
    """Return of what kind of table a folder is; not every file in one counts."""
    if (path / "_delta_log").is_dir():
        return "Delta Lake"
    return "Iceberg" if any(path.glob("metadata/*.metadata.json")) else None


def is_table(where: str, kind: str) -> SourceError:
    """Return what is to be said of a table, of which DuckDB alone does not know which files count."""
    hint = "Export it as Parquet files, or have an engine that knows the table sum it up"
    return SourceError("table", where, f"is a table of {kind}, which is not read", hint)


UNREAD = "is neither .csv, .csv.gz nor .parquet, so its charges are not read"
UNPACK = "Unpack it or export it in one of these forms; if it holds what is read already, move it out of the folder"


def sort_of(relative: PurePath) -> Literal["bill", "packed", "other"] | None:
    """Tell what a file below the configured path is by its name; None for what is passed over."""
    if any(part.startswith((".", "_")) for part in relative.parts):
        return None
    if _beside(relative):
        return "other"
    if _SUFFIX.search(relative.name):
        return "bill"
    return "packed" if _PACKED.search(relative.name) and not _PACKED_TEXT.search(relative.name) else "other"


def _beside(relative: PurePath) -> bool:
    """Tell whether this is a manifest, metadata or the lock of an open sheet (~$bill.csv)."""
    suffix = _SUFFIX.search(relative.name)
    stems = (*relative.parts[:-1], relative.name[: suffix.start()] if suffix else relative.stem)
    return relative.name.startswith("~") or any(_BESIDE.search(part) for part in stems)


def _bill_file(path: Path, name: str) -> BillFile:
    state = path.stat()
    return BillFile(path, name, state.st_size, state.st_mtime_ns)


def export_name(name: str) -> str:
    """Return a file's name without its part number: what all parts of one export have in common.

    x-00001.csv.gz → x-#.csv.gz, x.1.parquet → x.#.parquet, part_0_0001.csv and part-00003-UUID.c000.parquet too.
    A date or time in the name is never a part number: x-2026-11-02.csv stays what it is.
    """
    folder, slash, file = name.rpartition("/")
    suffix = _SUFFIX.search(file)
    end = suffix.start() if suffix else len(file)
    stem = _DATE.sub(lambda found: found.group().translate(_LETTERS), file[:end])
    if spark := _SPARK_PART.match(stem):
        stem = f"{spark.group(1)}-#{_SPARK_COUNTER.sub('', stem[spark.end() :])}"
    elif part := _PART.match(stem):
        stem = f"{part.group(1)}#"
    return f"{folder}{slash}{stem}{file[end:].lower()}"


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two files that both have charges on a day (the first such day), and why they are no parts of one export.

    same: what they hold is equal to the last digit.
    """

    first: BillFile
    second: BillFile
    day: date
    why: str
    same: bool = False

    def problem(self, key: str) -> Problem:
        """Return what is wrong with billing period `key`."""
        where = f"{self.first.path} and {self.second.path}"
        text = f"{self.why}; the first day that both have is {self.day} of billing period {key}"
        hint = "Keep one of them" if self.same else "Keep the newer, or set overlapping_files: sum if both count"
        return Problem("overlap", where, text, hint)


def overlap(days: Mapping[BillFile, AbstractSet[date]]) -> Overlap | None:
    """Return the first day that stands in two files of different names, given the charge days of each, or None."""
    seen: dict[date, BillFile] = {}
    each = ((day, file) for file, found in days.items() for day in found)
    for day, file in sorted(each, key=lambda at: (at[0], at[1].name)):
        before = seen.setdefault(day, file)
        if export_name(before.name) != export_name(file.name):
            return Overlap(before, file, day, "both have charges of the same days")
    return None


def copies(days: Mapping[BillFile, AbstractSet[date]]) -> Overlap | None:
    """Return two files with the same bytes, parts of one export or not: a part is never delivered twice."""
    by_size: dict[int, list[BillFile]] = {}
    for file, found in days.items():
        if found:
            by_size.setdefault(file.size, []).append(file)
    for files in by_size.values():
        seen: dict[str, BillFile] = {}
        for file in files if len(files) > 1 else ():
            before = seen.setdefault(_digest(file), file)
            if before is not file:
                return Overlap(before, file, min(days[file]), "are the same file twice", same=True)
    return None


@lru_cache(maxsize=4096)
def _digest(file: BillFile) -> str:
    try:
        with file.path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise SourceError("missing", str(file.path), f"cannot be read: {error.strerror}") from error


def fingerprint(files: Iterable[BillFile], settings: Sequence[object]) -> str:
    """Return a digest of the files' names, sizes and times of change, and of whatever else shapes the result."""
    made_of = [(file.name, file.size, file.mtime_ns) for file in sorted(files, key=lambda file: file.name)]
    return hashlib.sha256(repr((made_of, *settings)).encode()).hexdigest()
