"""Which tenant a spelling means: white space around it is no part of a name, aliases stand for an id, names may fold.

session.sql has the same for the names in the ledger (`tidy` and `folded`), with the same result.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

SPACES = "\t\n\v\f\r\x85"
AROUND = "\t\n\r "


def fold(text: str) -> str:
    """Return what names have in common that differ only by case, Unicode form (NFC) or white space.

    White space includes no-break spaces and characters without width. Letters fold one by one: ß stays ß, and İ is i.
    """
    seen = "".join(char for char in text if unicodedata.category(char) != "Cf")
    spaced = "".join(" " if char in SPACES or unicodedata.category(char)[0] == "Z" else char for char in seen)
    composed = unicodedata.normalize("NFC", " ".join(filter(None, spaced.split(" "))))
    return "".join(char.lower()[0] for char in composed)


@dataclass(frozen=True)
class Names:
    """Spellings → tenant ids. aliases: (spelling, id), the ids' own included. folding: as `tenants.fold: case` says."""

    aliases: Iterable[tuple[str, str]] = ()
    folding: bool = False
    _meant: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_meant", dict(self.keys()))

    def keys(self) -> list[tuple[str, str]]:
        """Return what is looked up, a spelling as key() has it, with the id it stands for; each once."""
        return [*{self.key(alias): (self.key(alias), tenant) for alias, tenant in self.aliases}.values()]

    def key(self, spelt: str) -> str:
        """Return what two spellings of one name have in common."""
        return fold(spelt) if self.folding else spelt.strip(AROUND)

    def tenant(self, spelt: str) -> str:
        """Return the tenant that a spelling means: the id it stands for, else its key."""
        key = self.key(spelt)
        return self._meant.get(key, key)
