"""The units in which AI is sold, each apart from the others: what is in one is in no other."""

from __future__ import annotations

from typing import NamedTuple


class Unit(NamedTuple):
    """A unit: for how many of it a price is told, and the prices of genai-prices that are its, the first there is."""

    per: int
    keys: tuple[str, ...] = ()


MILLION, HOUR = 1_000_000, 3600

UNITS = {
    "input": Unit(MILLION, ("input_mtok",)),
    "cache_read": Unit(MILLION, ("cache_read_mtok", "input_mtok")),
    "cache_write": Unit(MILLION, ("cache_write_5m_mtok", "cache_write_mtok", "input_mtok")),
    "cache_write_1h": Unit(MILLION, ("cache_write_1h_mtok", "cache_write_mtok", "input_mtok")),
    "output": Unit(MILLION, ("output_mtok",)),
    "input_audio": Unit(MILLION, ("input_audio_mtok",)),
    "output_audio": Unit(MILLION, ("output_audio_mtok",)),
    "input_image": Unit(MILLION, ("input_image_mtok",)),
    "output_image": Unit(MILLION, ("output_image_mtok",)),
    "characters": Unit(MILLION, ("input_mchars",)),
    "audio_seconds": Unit(HOUR, ("input_audio_hours", "audio_hours")),
    "images": Unit(1),
    "pages": Unit(1000, ("input_document_kpages",)),
    "searches": Unit(1000, ("web_searches_kcount",)),
    "requests": Unit(1000, ("requests_kcount",)),
}
"""Tokens first. `input` is what was neither read from a cache nor written to one; reasoning is in `output`. Cached
input of a model without a price for it costs what other input does."""


def measure_of(unit: str) -> str:
    """Return the measure of usage that a unit is counted in: ai_tokens, ai_images, ai_requests and so on."""
    return "ai_tokens" if any(key.endswith("_mtok") for key in UNITS[unit].keys) else f"ai_{unit}"


TOKEN_UNITS = tuple(unit for unit in UNITS if measure_of(unit) == "ai_tokens")
"""What is counted in tokens."""

OWN = "self-hosted"
"""The provider of models that one serves oneself: their machines cost, and their tokens nothing."""
