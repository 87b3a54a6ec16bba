"""Licences: what is installed with the exporter may be used beside Apache-2.0, and docs/licences.md names all of it."""

from __future__ import annotations

import re
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import cast

import pytest
from packaging.licenses import canonicalize_license_expression

from tools.licences import ALLOWED, allowed, licence, needed
from tools.release import sbom

ROOT = Path(__file__).parents[2]
NEEDED = needed()


def of(name: str = "some", **fields: str | list[str]) -> str:
    """Return the licence of a package with these metadata."""
    message = Message()
    for field, values in fields.items():
        for value in [values] if isinstance(values, str) else values:
            message[field.replace("_", "-")] = value
    return licence(name, cast("metadata.PackageMetadata", message))


@pytest.mark.parametrize("name", NEEDED)
def test_each_package_has_a_licence_that_is_allowed(name: str) -> None:
    told = NEEDED[name].licence
    assert canonicalize_license_expression(told) == told
    assert allowed(told), f"{name}: {told} is not in tools/licences.py"


def test_the_core_and_the_images_extras_are_among_them_with_what_they_need_themselves() -> None:
    assert NEEDED["obstore"].by == {"unitcost[azure]", "unitcost[gcs]"}
    assert "unitcost" in NEEDED["boto3"].by
    assert "python-dateutil" in NEEDED["six"].by, "the third in a row"
    assert "pytest" not in NEEDED


def test_the_page_names_each_of_them_with_its_licence() -> None:
    text = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([a-z0-9-]+) \| ([^|]+) \| [^|]+ \|$", text, re.MULTILINE))
    assert rows == {name: one.licence for name, one in NEEDED.items()}, "make golden writes it"


def test_they_are_what_the_image_installs() -> None:
    locked = {pin.partition("==")[0] for pin in sbom.locked(sbom.LOCK.read_text(encoding="utf-8"))}
    assert locked == NEEDED.keys()


def test_the_names_are_those_of_spdx() -> None:
    assert {canonicalize_license_expression(name) for name in ALLOWED} == ALLOWED


@pytest.mark.parametrize(
    ("expression", "fine"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("LGPL-2.1-or-later", False),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("MPL-2.0 AND (Apache-2.0 OR GPL-2.0-only)", True),
        ("MPL-2.0 AND (GPL-2.0-only OR AGPL-3.0-only)", False),
        ("MIT AND GPL-2.0-only OR BSD-3-Clause", True),
        ("BSD License", False),
        ("MIT and GNU General Public License v3 (GPLv3)", False),
        ("(MIT", False),
        ("", False),
    ],
)
def test_an_expression_is_allowed_where_one_choice_is(expression: str, fine: bool) -> None:
    assert allowed(expression) is fine


def test_the_licence_is_read_off_whatever_field_says_it() -> None:
    assert of(License_Expression="MIT OR Apache-2.0", License="GPL") == "MIT OR Apache-2.0"
    assert of(License="Apache License 2.0") == "Apache-2.0"
    assert of(License="", Classifier="License :: OSI Approved :: MIT License") == "MIT"
    assert of(License="BSD", Classifier="License :: OSI Approved :: BSD License") == "BSD License"
    both = [
        "License :: OSI Approved :: MIT License",
        "License :: OSI Approved :: GNU General Public License v3 (GPLv3)",
    ]
    assert of(Classifier=both) == "MIT and GNU General Public License v3 (GPLv3)"
    assert of() == ""
    assert of("python-dateutil", License="Dual License") == "Apache-2.0 OR BSD-3-Clause"
