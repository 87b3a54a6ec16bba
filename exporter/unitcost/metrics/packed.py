"""Bytes with what gzip makes of them, so that what stays the same in many answers is compressed once."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

LEVEL = 5
"""Measured on 100,000 series: 6 takes 60 % longer for 1 % fewer bytes."""

HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Of a gzip file (RFC 1952): deflate, no flags, no time, unknown system."""

LAST = b"\x03\x00"
"""The empty block that ends a deflate stream."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Bytes, and the same as blocks of a deflate stream that end on a whole byte and point at nothing before them."""

    plain: bytes
    deflated: bytes

    @classmethod
    def of(cls, plain: bytes) -> Packed:
        """Compress; the same bytes give the same blocks."""
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        return cls(plain, packer.compress(plain) + packer.flush(zlib.Z_FULL_FLUSH))


def joined(parts: Iterable[Packed]) -> tuple[bytes, bytes]:
    """Return all parts, one behind the other: plain, and as one gzip file."""
    parts = list(parts)
    plain = b"".join(part.plain for part in parts)
    tail = struct.pack("<LL", zlib.crc32(plain), len(plain) % 2**32)
    return plain, b"".join([HEAD, *(part.deflated for part in parts), LAST, tail])
