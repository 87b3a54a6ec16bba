"""The exporter as its users meet it: started, scraped by a real Prometheus, killed, started again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
import requests

from tests.fakes.opencost import Replay
from tests.fakes.processes import exporter, prometheus, wait_for
from tests.fakes.server import Reply, Request, serve
from tests.fakes.stored import utc

AS_OF = "2026-11-23T12:00:00Z"
REPLAYED = """
tenants: {{key: tenant, directory: tenants.csv}}
history: 5d
refresh: {{every: 1s}}
sources: {{cluster: {{type: opencost, url: "{url}", timeout: 20}}}}
"""


def company(folder: Path, url: str) -> None:
    (folder / "tenants.csv").write_text("id,name,aliases\nacme,Acme,\ngamma,Gamma,Gamma-Corp\n")
    (folder / "unitcost.yaml").write_text(REPLAYED.format(url=url))


@pytest.mark.needs("prometheus", "promtool")
def test_a_real_prometheus_scrapes_the_sample_in_both_formats_and_answers_with_the_bill_and_what_happened(
    sample_company: Path,
    tmp_path: Path,
) -> None:
    config = shutil.copytree(sample_company, tmp_path / "sample") / "unitcost.yaml"
    with exporter(tmp_path, "--config", str(config), "--as-of", AS_OF) as unitcost:
        wait_for(unitcost.ready, "the first snapshot")
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=unitcost.get().content, capture_output=True, check=False
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")

        def as_text(request: Request) -> Reply:
            answer = requests.get(unitcost.url + request.path, headers={"Accept": "text/plain"}, timeout=10)
            return Reply(answer.content, headers={"Content-Type": answer.headers["Content-Type"]})

        with serve(as_text) as plain:
            jobs = {"openmetrics": unitcost.url, "text": plain.url}
            with prometheus(tmp_path, {job: url.removeprefix("http://") for job, url in jobs.items()}) as server:
                for job in jobs:
                    wait_for(partial(server.has, f'margin_ratio{{job="{job}"}}'), f"{job} has series")
                    [tenants] = server.query(f'sum(tenant_cost_dollars{{window="last_month", job="{job}"}})')
                    [bill] = server.query(f'sum(bill_dollars{{window="last_month", job="{job}"}})')
                    [each] = server.query(f'platform_cost_per_request{{window="last_month", job="{job}"}}')
                    assert float(tenants["value"][1]) == pytest.approx(51_000, abs=1e-6)
                    assert float(bill["value"][1]) == pytest.approx(51_000, abs=1e-6)
                    assert float(each["value"][1]) == pytest.approx(0.00102, abs=1e-12)
                    [launch] = server.query(f'unitcost_event_timestamp_seconds{{kind="value_new", job="{job}"}}')
                    assert launch["metric"]["text"] == "New feature: assistant, $556 on its first day"
                    assert float(launch["value"][1]) == utc(2026, 11, 4).timestamp()


def test_a_process_killed_in_a_refresh_serves_its_last_good_numbers_at_once_when_it_starts_again(
    tmp_path: Path,
) -> None:
    replay = Replay()
    stalling = False

    def answer(request: Request) -> Reply:
        reply = replay(request)
        return Reply(reply.body, reply.status, reply.headers, stall=15) if stalling else reply

    with serve(answer) as opencost:
        company(tmp_path, opencost.url)
        with exporter(tmp_path, "--as-of", AS_OF) as first:
            wait_for(lambda: bool(first.values("tenant_cost_dollars")), "the first numbers")
            good = first.values("tenant_cost_dollars")
            stalling = True
            seen = len(opencost.requests)
            wait_for(lambda: len(opencost.requests) > seen, "a refresh is under way")
            os.kill(first.process.pid, signal.SIGKILL)
            first.process.wait()
        started = time.monotonic()
        with exporter(tmp_path, "--as-of", AS_OF) as second:
            wait_for(second.ready, "ready before the stalling source answers", patience=10)
            assert time.monotonic() - started < 10
            assert second.values("tenant_cost_dollars") == good


def test_a_report_beside_a_running_exporter_is_of_a_copy_of_its_ledger(tmp_path: Path) -> None:
    with serve(Replay()) as opencost:
        company(tmp_path, opencost.url)
        run = [sys.executable, "-m", "unitcost", "report", "--as-of", AS_OF, "--window", "1d", "--format", "csv"]
        with exporter(tmp_path, "--as-of", AS_OF) as unitcost:
            wait_for(lambda: bool(unitcost.values("tenant_cost_dollars")), "the first numbers")
            beside = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
            another = subprocess.run(
                [*run, "--window", "9d"], cwd=tmp_path, capture_output=True, text=True, check=False
            )
        alone = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert beside.returncode == 0, beside.stderr
    assert beside.stdout == alone.stdout
    assert "total,,Total,,80.012" in beside.stdout
    assert "another process holds the ledger: this is of a copy of it, sources were not asked" in beside.stderr
    assert another.stdout.startswith("window,"), "of a window that the exporter does not serve too"


def test_a_second_exporter_on_one_state_dir_ends_with_one_clear_line(tmp_path: Path) -> None:
    with serve(Replay()) as opencost:
        company(tmp_path, opencost.url)
        with exporter(tmp_path, "--as-of", AS_OF) as first:
            command = [sys.executable, "-m", "unitcost", "serve", "--listen", "127.0.0.1:0"]
            second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30)
    assert second.returncode == 1
    assert second.stderr.strip().count("\n") == 0
    assert f"is in use by another process (PID {first.process.pid}); stop it, or give this one" in second.stderr


def test_after_a_silent_partial_answer_every_gauge_is_unchanged_and_the_source_says_so(tmp_path: Path) -> None:
    replay = Replay()
    poor = (Path(__file__).parents[1] / "data/opencost-real/errors/silent-partial-2026-11-21.json").read_bytes()
    broken = False

    def answer(request: Request) -> Reply:
        if broken and request.path == "/allocation" and request.params["window"].startswith("2026-11-21"):
            return Reply(poor)
        return replay(request)

    with serve(answer) as opencost:
        company(tmp_path, opencost.url)
        with exporter(tmp_path, "--as-of", AS_OF) as unitcost:
            wait_for(lambda: bool(unitcost.values("tenant_cost_dollars")), "the first numbers")
            names = ("tenant_cost_dollars", "platform_cost_dollars", "bill_dollars", "unallocated_cost_dollars")
            good = {name: unitcost.values(name) for name in names}
            broken = True
            wait_for(
                lambda: any(
                    ("reason", "partial") in labels for labels in unitcost.values("unitcost_source_errors_total")
                ),
                "the partial answer is counted",
            )
            assert {name: unitcost.values(name) for name in names} == good
            assert list(unitcost.values("unitcost_source_up").values()) == [0.0]
        checked = subprocess.run(
            [sys.executable, "-m", "unitcost", "check", "--as-of", AS_OF],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 1
        assert "2026-11-21" in checked.stdout
        assert "FAILED" in checked.stdout


def test_replayed_days_sum_to_the_files_and_one_customer_has_one_name(tmp_path: Path) -> None:
    """2026-11-18 has a null and 2026-11-17 no data: neither is a day of zero cost."""
    folder = Path(__file__).parents[1] / "data" / "opencost-real"
    parts = ("cpuCost", "ramCost", "gpuCost", "pvCost", "networkCost", "loadBalancerCost")
    expected: dict[str, Decimal] = {}
    for day in (19, 20, 21, 22):
        answer = json.loads((folder / f"tenant-2026-11-{day}.json").read_text(), parse_float=Decimal)
        for name, entry in answer["data"][0].items():
            tenant = {"Gamma-Corp": "gamma"}.get(name, name)
            expected[tenant] = expected.get(tenant, Decimal(0)) + sum(Decimal(entry[part]) for part in parts)
    with serve(Replay()) as opencost:
        company(tmp_path, opencost.url)
        run = [sys.executable, "-m", "unitcost", "report", "--window", "5d", "--format", "csv", "--as-of", AS_OF]
        found = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 1, "two days of the window are missing"
    assert "cluster: 1 days missing, 2026-11-18 to 2026-11-18: not the whole window" in found.stderr
    lines = [line.split(",") for line in found.stdout.splitlines()[1:]]
    costs = {line[2] or line[1]: Decimal(line[5]) for line in lines}
    nobody = expected.pop("__idle__") + expected.pop("__unallocated__")
    assert costs == {**expected, "unallocated": nobody, "total": nobody + sum(expected.values())}
