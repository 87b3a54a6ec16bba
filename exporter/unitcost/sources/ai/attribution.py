"""Whose the projects, workspaces and API keys of a model provider's account are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from unitcost.sources import values

DEFAULT = "default"
"""What the map calls the project or workspace that has no id."""
GROUP = "tenant"
"""The group of a pattern that holds the tenant."""


def checked_pattern(text: str) -> str:
    """Return a pattern of names as it is. Raises ValueError where it is none or has no group for the tenant."""
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    if GROUP not in pattern.groupindex:
        raise ValueError(f"has no group that names the tenant, (?P<{GROUP}>…)")
    return text


@dataclass(frozen=True)
class Names:
    """The names of ids. Each list is asked when it is needed, and once in a refresh at the most.

    projects: of projects or workspaces. keys: of the API keys in one, None: in the default one.
    """

    projects: Callable[[], Mapping[str, str]]
    keys: Callable[[str | None], Mapping[str, str]]


class Attribution:
    """Says whose something is: by its API key, then by its project or workspace; by the map, then by the pattern.

    tenants: id or name → tenant. pattern: of whole names, with the group `tenant`. ids: what the provider's ids begin
    with; names are asked only where the map has something else, or there is a pattern.
    """

    def __init__(self, tenants: Mapping[str, str], pattern: str | None, ids: tuple[str, ...], names: Names) -> None:
        self._tenants = tenants
        self._pattern = re.compile(pattern) if pattern is not None else None
        self._by_name = pattern is not None or any(one != DEFAULT and not one.startswith(ids) for one in tenants)
        self._names = names
        self._known: dict[tuple[str | None, str | None], str | None] = {}

    @property
    def used(self) -> bool:
        """Whether anything is said of tenants at all."""
        return bool(self._tenants) or self._pattern is not None

    def tenant(self, project: str | None, key: str | None = None) -> str | None:
        """Return the tenant, or None for nobody. Raises SourceError where a name cannot be asked."""
        if not self.used:
            return None
        if (project, key) not in self._known:
            self._known[project, key] = self._found(project, key)
        return self._known[project, key]

    def _found(self, project: str | None, key: str | None) -> str | None:
        found = None if key is None else self._of(key, lambda: self._names.keys(project).get(key))
        if found is not None:
            return found
        if project is None:
            return self._tenants.get(DEFAULT)
        return self._of(project, lambda: self._names.projects().get(project))

    def _of(self, spelt: str, name: Callable[[], str | None]) -> str | None:
        if spelt in self._tenants or not self._by_name:
            return self._tenants.get(spelt)
        named = name()
        if named is None:
            return None
        if named in self._tenants:
            return self._tenants[named]
        found = self._pattern.fullmatch(named) if self._pattern is not None else None
        return values.tenant_or_nobody(found[GROUP] or "") if found is not None else None
