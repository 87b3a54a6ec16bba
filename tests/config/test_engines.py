"""A bill in an engine's table, as unitcost.yaml has it: each mistake with its path, nothing of a vendor loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from unitcost.config.load import load
from unitcost.config.model import settings_digest
from unitcost.errors import ConfigError

ATHENA = "{type: athena, table: billing.focus, region: eu-central-1}"


def wrong(folder: Path, bill: str) -> list[str]:
    (folder / "bill.csv").touch()
    (folder / "unitcost.yaml").write_text(f"sources: {{bill: {{type: focus, {bill}}}}}", encoding="utf-8")
    try:
        load(folder / "unitcost.yaml")
    except ConfigError as error:
        return [line.partition("unitcost.yaml: ")[2] for line in error.mistakes]
    return []


@pytest.mark.parametrize(
    "engine",
    [
        ATHENA,
        "{type: athena, table: billing.focus, workgroup: w, output: 's3://results/x/'}",
        "{type: athena, table: billing.focus, role_arn: 'arn:aws:iam::123456789012:role/r'}",
        "{type: bigquery, table: my-project.billing.focus, maximum_bytes_billed: 100GB, every: 1h, timeout: 5m}",
        "{type: trino, table: 'lake.\"odd name\".focus', url: 'https://trino:8443', user: me, password: x}",
        "{type: spark, table: billing.focus, url: 'sc://spark:15002/;use_ssl=true', partition: month}",
    ],
)
def test_a_bill_may_stand_in_the_table_of_an_engine(tmp_path: Path, engine: str) -> None:
    assert wrong(tmp_path, f"engine: {engine}") == []


@pytest.mark.parametrize(
    ("bill", "said"),
    [
        (
            "cost: BilledCost",
            "sources.bill.path: is needed: the file or folder of the export; or engine, where it is a",
        ),
        (f"path: bill.csv, engine: {ATHENA}", "sources.bill.path: stands beside engine; keep one of the two"),
        ("engine: athena", "sources.bill.engine: needs a type, which is one of athena, bigquery, trino, spark"),
        (
            "engine: {type: snowflake, table: a.b}",
            "sources.bill.engine: needs a type, which is one of athena, bigquery",
        ),
        ("engine: {type: athena}", "sources.bill.engine.table: Field required"),
        ("engine: {type: athena, table: focus}", "sources.bill.engine.table: must be written as database.table"),
        ("engine: {type: bigquery, table: a.b}", "sources.bill.engine.table: must be written as project.dataset.table"),
        (
            "engine: {type: trino, table: b.c, url: 'http://t'}",
            "sources.bill.engine.table: must be written as catalog.",
        ),
        (
            "engine: {type: spark, table: 'a; DROP b', url: 'sc://s'}",
            "sources.bill.engine.table: is no name of a table",
        ),
        ("engine: {type: spark, table: a.b, url: 'http://s'}", "sources.bill.engine.url: String should match pattern"),
        ("engine: {type: spark, table: a.b, url: 'sc://s/;token=abc'}", "sources.bill.engine.url: must hold no token"),
        ("engine: {type: trino, table: a.b.c, url: 'http://t', password: x}", "a password is sent over https only"),
        (
            "engine: {type: athena, table: a.b, every: 1m}",
            "sources.bill.engine.every: must be at least 10m and at most 7d",
        ),
        ("engine: {type: athena, table: a.b, project: p}", "sources.bill.engine.project: unknown key"),
        ("engine: {type: athena, table: a.b, output: 'gs://x'}", "sources.bill.engine.output: String should match"),
    ],
)
def test_a_mistake_is_told_with_its_path_in_the_file(tmp_path: Path, bill: str, said: str) -> None:
    found = wrong(tmp_path, bill)
    assert [said in line for line in found] == [True], found


def test_how_a_table_is_reached_is_no_part_of_what_it_says(tmp_path: Path) -> None:
    digests = set()
    (tmp_path / "bill.csv").touch()
    for bill in (f"engine: {ATHENA}", "engine: {type: athena, table: billing.other, every: 1h}", "path: bill.csv"):
        assert not wrong(tmp_path, bill)
        digests.add(settings_digest(load(tmp_path / "unitcost.yaml")[0], "bill"))
    assert len(digests) == 1, "which table it is stands in the fingerprint of each billing period, as files do"


def test_no_library_of_a_vendor_is_loaded_to_read_a_configuration(tmp_path: Path) -> None:
    engines = [ATHENA, "{type: bigquery, table: a.b.c}", "{type: trino, table: a.b.c, url: 'http://t'}"]
    bills = ", ".join(f"b{at}: {{type: focus, engine: {engine}}}" for at, engine in enumerate(engines))
    (tmp_path / "unitcost.yaml").write_text(f"sources: {{{bills}}}", encoding="utf-8")
    code = (
        "import sys; from pathlib import Path; from unitcost.config.load import load\n"
        f"config, _ = load(Path({str(tmp_path / 'unitcost.yaml')!r}))\n"
        "from unitcost.sources.registry import TYPES; from unitcost.sources.base import Context\n"
        "for name, settings in config.sources.items(): TYPES[settings.type].source(name, settings, Context())\n"
        "print(*sorted(set(sys.modules) & {'boto3', 'botocore', 'google.cloud.bigquery', 'trino', 'pyspark', 'grpc'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
