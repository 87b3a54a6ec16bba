"""Tests that need a program: skipped with the reason where it cannot be had, failed where CI demands it."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.lacking import without
from tests.fakes.sample_ledger import filled_once
from unitcost.redaction import SECRETS

UNPACKED = Path(__file__).parents[1] / ".make" / "tools" / "usr" / "bin"
"""Where tools/setup puts programs."""
LONGEST = "test_demo_whole.py"
OF_NPM = {"azurite-blob"}
"""Programs that only npm's registry has, which not every machine that runs CI can reach."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--image", action="store_true", help="build and run the image too (make image-test): minutes")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(tool, ...): programs that must be on PATH for this test")
    config.addinivalue_line("markers", "image: builds the image, which --image asks for")
    os.environ["PATH"] = f"{UNPACKED}{os.pathsep}{os.environ['PATH']}"  # as `make test` has it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process of several waits for it at the end (pytest -n)."""
    items.sort(key=lambda item: (item.path.name != LONGEST, "stack" not in item.path.parts))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if next(item.iter_markers("image"), None) and not item.config.getoption("image"):
        pytest.skip("builds the image, which takes minutes: make image-test")
    missing = [tool for marker in item.iter_markers("needs") for tool in marker.args if shutil.which(str(tool)) is None]
    if not missing:
        return
    reason = f"needs {', '.join(missing)} on PATH (make test installs them where it may)"
    if {*map(str, missing)} <= OF_NPM:
        pytest.skip(reason)
    without(reason)


LEVEL = logging.getLogger().level


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Undo what a command does to the root logger, which is the process's own outside of tests.

    Before a test too: a fixture of its module may have run a command.
    """
    root = logging.getLogger()
    root.setLevel(LEVEL)
    handlers = list(root.handlers)
    yield
    root.setLevel(LEVEL)
    root.handlers[:] = handlers


@pytest.fixture(autouse=True)
def _no_secrets_of_others() -> Iterator[None]:
    """Forget the secrets of a test: what is one there may be any word elsewhere."""
    yield
    SECRETS.clear()


@pytest.fixture(scope="session")
def sample_company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the sample company as of AS_OF with its ledger; copy it to change something."""
    return filled_once(tmp_path_factory)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Return what writes a file as it is given, the same file each time."""
    path = tmp_path / "given.csv"

    def write(content: str | bytes) -> Path:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
