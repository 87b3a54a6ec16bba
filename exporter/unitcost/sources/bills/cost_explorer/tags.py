"""Why no charge carries a tag: whether it is activated as a cost allocation tag, and the command that activates it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from shlex import quote
from typing import Any

from unitcost.errors import SourceError
from unitcost.facts import Note, Problem
from unitcost.sources.base import OR_NONE
from unitcost.sources.bills.cost_explorer.api import Api

NOT_TOLD = ("auth", "retry_later", "request", "http")
"""Errors of the question about tags that say nothing of the costs."""


def explain(api: Api, name: str, tags: Sequence[tuple[str, str]]) -> Iterator[Problem | Note]:
    """Say of each tag (key, the setting that names it) that no charge has it, and why, which takes one paid request.

    Raises SourceError where it cannot be asked for a reason that concerns every other question too.
    """
    keys = [key for key, _ in tags]
    try:
        answer = api.ask("list_cost_allocation_tags", {"TagKeys": keys, "MaxResults": 100})
    except SourceError as error:
        if error.reason not in NOT_TOLD:
            raise
        answer = None
        yield Note(
            f"{name}: whether the tag is activated cannot be asked ({error.text}); ce:ListCostAllocationTags is had in"
            " the management account of an organization only"
        )
    for key, setting in tags:
        text, hint = _state(key, answer)
        other = f"sources.{name}.{setting}{f', {OR_NONE}' if setting == 'tenant' else ''}"
        yield Problem("untagged", name, f"no charge has the tag {key}{text}", f"{hint}; or correct {other}")


def command(key: str) -> str:
    """Return the command that activates a cost allocation tag."""
    status = quote(f"TagKey={key},Status=Active")
    return f"aws ce update-cost-allocation-tags-status --cost-allocation-tags-status {status}"


def _state(key: str, answer: dict[str, Any] | None) -> tuple[str, str]:
    """Return what is known of a tag's state, and what to do."""
    if answer is None:
        return "", f"If it is not activated, let the management account do it: {command(key)}"
    told = answer.get("CostAllocationTags") or []
    found = next((tag for tag in told if isinstance(tag, dict) and tag.get("TagKey") == key), None)
    if found is None:
        return (
            ", which AWS does not know as a cost allocation tag",
            f"Tag a resource with it (case matters), wait until AWS lists it, up to 24 hours, then: {command(key)}",
        )
    if found.get("Status") != "Active":
        return ", which is not activated", f"Activate it: {command(key)}"
    since = str(found.get("LastUpdatedDate") or "")[:10]
    return (
        f", which is active{f' since {since}' if since else ''}",
        "Tag the resources; a tag counts from its activation on, and shows after up to 24 hours",
    )
