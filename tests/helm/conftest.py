"""Tests of the chart need Helm's engine: skipped where PyPI has no build of it for this machine, failed in CI."""

from __future__ import annotations

import importlib.util

import pytest

from tests.fakes.lacking import without


@pytest.fixture(autouse=True)
def _helm() -> None:
    if importlib.util.find_spec("helm_python") is None:
        without("needs helm-python-sdk, of which PyPI has no build for this machine")
