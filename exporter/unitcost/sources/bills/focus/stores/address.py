"""Where an export lies in an object store: `s3://bucket/prefix`, `az://container/prefix`, `gs://bucket/prefix`."""

from __future__ import annotations

import re
from dataclasses import dataclass

SCHEMES = {"s3": "s3", "az": "az", "gs": "gs", "s3a": "s3", "abfs": "az", "gcs": "gs"}
"""How people spell them → how they are told."""
_ADDRESS = re.compile(r"([a-z0-9]+)://([^/]*)/*(.*)", re.IGNORECASE | re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]{1,221}")


@dataclass(frozen=True, slots=True)
class Address:
    """A place in a bucket or container. prefix: without slashes at its ends, "" for the whole of it."""

    scheme: str
    bucket: str
    prefix: str = ""

    @classmethod
    def parse(cls, text: str) -> Address | None:
        """Return what a text says; None where it is a path. Raises ValueError for what no store is reached by."""
        found = _ADDRESS.fullmatch(text)
        if found is None:
            return None
        scheme, bucket, prefix = found.groups()
        if scheme.lower() not in SCHEMES:
            raise ValueError(f"{scheme}:// is no store that is read; use s3://, az:// or gs://, or a path")
        if _BUCKET.fullmatch(bucket) is None:
            raise ValueError(f"{scheme}:// is followed by no name of a bucket or container")
        if not prefix.isprintable() or "?" in prefix:
            raise ValueError("must be a bucket and a prefix, without a query; credentials belong below store")
        return cls(SCHEMES[scheme.lower()], bucket, "/".join(part for part in prefix.split("/") if part))

    @property
    def root(self) -> str:
        """What keys there begin with: "", or the prefix with a slash at its end."""
        return f"{self.prefix}/" if self.prefix else ""

    def of(self, key: str) -> str:
        """Return the address of an object of this bucket."""
        return f"{self.scheme}://{self.bucket}/{key}"

    def __str__(self) -> str:
        return self.of(self.prefix)
