"""An exporter in this process whose unitcost.yaml a test changes while it runs."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.fakes.company import NOW
from tests.fakes.server import Fake, Reply, Request, serve
from unitcost.config.load import load
from unitcost.ledger.store import Ledger
from unitcost.run.refresh import Refresher
from unitcost.run.reload import ConfigReloader
from unitcost.web.lifecycle import Reloaded
from unitcost.web.server import Server
from unitcost.web.snapshot import Current
from unitcost.web.web_config import WebConfig


def until(what: Callable[[], bool], why: str, seconds: float = 15) -> None:
    """Wait until something is so; fail if it is not in time."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, why
        time.sleep(0.02)


@dataclass
class Running:
    """What refreshes, reads the file again and serves; `config` is what stands in the file."""

    folder: Path
    config: dict[str, Any]
    refresher: Refresher
    reloader: ConfigReloader
    ledger: Ledger
    server: Server

    def reload(self, **changes: Any) -> Reloaded:
        """Change keys of the file (None: remove one), and have it read."""
        self.config = {key: value for key, value in {**self.config, **changes}.items() if value is not None}
        (self.folder / "unitcost.yaml").write_text(yaml.safe_dump(self.config))
        return self.reloader.begin().result(10)

    def text(self) -> str:
        """Return the metrics that are served."""
        snapshot = self.refresher.current.get()
        return "" if snapshot is None else snapshot.text.decode()

    def value(self, series: str) -> float | None:
        """Return the value of a series, spelt with its labels; None where it is not served."""
        found = re.search(rf"^{re.escape(series)} (\S+)$", self.text(), re.MULTILINE)
        return None if found is None else float(found[1])

    def settled(self) -> bool:
        """Tell whether there are numbers and no source is being asked."""
        return self.text() != "" and not any(runner.running or runner.due for runner in self.refresher.runners)


@contextmanager
def running(folder: Path, config: dict[str, Any], listening: str | None = "127.0.0.1:0") -> Iterator[Running]:
    """Refresh in the background and serve on a free port until the block ends. listening: --listen, if it is given."""
    path = folder / "unitcost.yaml"
    path.write_text(yaml.safe_dump(config))
    loaded, directory = load(path)
    with closing(Ledger(loaded.state_dir)) as ledger:
        refresher = Refresher(loaded, directory, ledger, Current(), lambda: NOW)
        reloader = ConfigReloader(path, refresher, listening)
        web_config = WebConfig.of(loaded.web.config_file)
        server = Server(refresher.current, "127.0.0.1:0", web_config, lifecycle=reloader.lifecycle)
        threads = [threading.Thread(target=refresher.run), threading.Thread(target=server.run)]
        for thread in threads:
            thread.start()
        reloader.start(server)
        try:
            yield Running(folder, config, refresher, reloader, ledger, server)
        finally:
            reloader.stop()
            refresher.stop()
            server.stop()
            for thread in threads:
                thread.join(10)


HEADER = "BillingPeriodStart,ChargePeriodStart,BillingCurrency,EffectiveCost,ServiceName,ServiceCategory,Tags"
DAYS = [f"2026-11-{day:02}" for day in range(1, NOW.day)]
"""The complete days of this month."""


def write_company(folder: Path) -> None:
    """Write a bill in dollars and euros, two directories and revenue."""
    lines = [HEADER]
    for day in DAYS:
        acme, beta = ('"{""tenant"": ""%s"", ""feature"": ""chat""}"' % name for name in ("acme", "beta"))  # noqa: UP031
        lines += [f"2026-11-01,{day},USD,10,EC2,Compute,{acme}", f"2026-11-01,{day},USD,1,EC2,Compute,{beta}"]
        lines += [f"2026-11-01,{day},USD,22,RDS,Databases,{{}}", f"2026-11-01,{day},EUR,5,Other,Other,{{}}"]
    (folder / "bill.csv").write_text("\n".join(lines) + "\n")
    (folder / "tenants.csv").write_text("id,name,plan\nacme,Acme Corp,pro\nbeta,Beta Inc,starter\n")
    (folder / "others.csv").write_text("id,name,plan\nacme,Another Acme,pro\n")
    (folder / "mrr.csv").write_text("tenant,mrr\nacme,300\nbeta,49\n")


def usage(url: str, query: str = "requests", **more: Any) -> dict[str, Any]:
    """Return a source of usage; its query names a series."""
    measures = {"requests": f"sum by (tenant) (increase({query}[$window]))"}
    return {"type": "prometheus", "url": url, "measures": measures, **more}


def answered(value: int) -> Reply:
    """Answer that acme used so much."""
    vector = {"resultType": "vector", "result": [{"metric": {"tenant": "acme"}, "value": [0, str(value)]}]}
    return Reply(json.dumps({"status": "success", "data": vector}))


def basic(url: str) -> dict[str, Any]:
    """Return what stands in the file at first. url: of the server of usage."""
    return {
        "tenants": {"directory": "tenants.csv"},
        "history": "4d",
        "refresh": {"every": "1h"},
        "state_dir": "state",
        "currency": {"rates": {"EUR": 2}, "as_of": "2026-11-01"},
        "windows": ["1d"],
        "months": 0,
        "copies": {"keep": 0},
        "sources": {
            "bill": {"type": "focus", "path": "bill.csv"},
            "usage": usage(url),
            "revenue": {"type": "csv_revenue", "path": "mrr.csv"},
        },
    }


@contextmanager
def company(
    folder: Path,
    answer: Callable[[Request], Reply] = lambda _: answered(7),
    listening: str | None = "127.0.0.1:0",
    **more: Any,
) -> Iterator[tuple[Running, Fake]]:
    """Run the company until the block ends, with keys of its file that are otherwise; wait for the first numbers."""
    write_company(folder)
    with serve(answer) as fake, running(folder, {**basic(fake.url), **more}, listening) as given:
        until(given.settled, "the first numbers")
        yield given, fake
