"""Every parser of the product, fed with mutations.

A parser may refuse its input with a UnitcostError and nothing else. What it accepts is stored in a real ledger, and now
and then derived and rendered; sums must be finite.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import duckdb

from tests.fakes.ai_accounts import anthropic_account, openai_account, source
from tests.fakes.ai_providers import answered
from tests.fakes.cost_explorer import KEY_ID, SECRET, CostExplorerFake, Paying
from tests.fakes.cost_explorer import account as aws_account
from tests.fakes.cur2 import HOUR
from tests.fakes.mutations import HALF, flip, mutated
from tests.fakes.opencost import DATA, REAL, by_cluster
from tests.fakes.server import Reply, Request, serve
from tests.fakes.stored import MemoryStored, utc
from tests.fakes.tables import as_csv
from unitcost.config.directory import Directory
from unitcost.config.load import load
from unitcost.config.model import Config, settings_digest
from unitcost.days import window
from unitcost.economics.windows import look
from unitcost.errors import ConfigError, UnitcostError, describe
from unitcost.facts import Asked, Batch, Problem, Stored
from unitcost.ledger.derive import Model, derive
from unitcost.ledger.paid import PaidRequests
from unitcost.ledger.store import Ledger
from unitcost.metrics.families import families
from unitcost.metrics.state import ExporterState
from unitcost.run.setup import Setup, terms
from unitcost.sources.base import Context, Source
from unitcost.sources.bills.cost_explorer.settings import CostExplorerSettings
from unitcost.sources.bills.cost_explorer.source import CostExplorer
from unitcost.sources.bills.focus.settings import FocusSettings
from unitcost.sources.bills.focus.source import Focus
from unitcost.sources.cluster.opencost.settings import OpenCostSettings
from unitcost.sources.cluster.opencost.source import OpenCost
from unitcost.sources.registry import TYPES
from unitcost.sources.revenue.csv_revenue import CsvRevenue, CsvRevenueSettings
from unitcost.sources.usage.csv_usage import CsvUsage, CsvUsageSettings
from unitcost.sources.usage.prometheus import Prometheus, PrometheusSettings
from unitcost.web.app import wants_gzip, wants_openmetrics
from unitcost.web.snapshot import Snapshot
from unitcost.web.web_config import WebConfig

NOW = utc(2026, 11, 23, 12)
FIRST = date(2026, 11, 21)
RATES = {"USD": Decimal(1), "EUR": Decimal("1.08")}


class Books:
    """A ledger that takes what sources hand over, and a clock that never moves."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.ledger = Ledger(None)
        self.taken = 0
        self._model = Model(
            sources=[(kind, kind, True) for kind in ("cluster", "bill", "usage", "revenue")],
            billed_by=[("cluster", "bill")],
            rates=sorted(RATES.items()),
            aliases=[],
            rules=[(0, {"component": "idle"}, "direct_cost", None), (1, {"component": "other"}, "measure", "requests")],
            fixed=[],
            dimensions=["feature"],
        )

    def take(self, source: Source, *, whole: bool, stored: Stored | None = None) -> None:
        """Store what a source says; whole: derive and render it too. Raises UnitcostError, or what should not be.

        stored: what it is told of before, None: what there is.
        """
        stored = stored or self.ledger.stored(source.kind, "")
        question = Asked(NOW, FIRST, 3, stored, Paying(PaidRequests(None)))
        for item in source.batches(question):
            if isinstance(item, Batch):
                self.ledger.put(source.kind, "", item, NOW, RATES, ["cluster"])
                self.taken += 1
            elif isinstance(item, Problem):
                assert describe(item.where, item.text, item.hint).isprintable()
        for table, column in (("cost", "amount"), ("usage", "quantity"), ("revenue", "mrr")):
            [(total,)] = self.ledger.rows(f"SELECT sum({column}) FROM {table}")
            assert total is None or total.is_finite()
        if whole:
            self._publish()

    def _publish(self) -> None:
        derive(self.ledger, self._model, NOW, self._config.history)
        look(self.ledger, terms(self._config, Directory()), NOW)
        Snapshot.of(families(self.ledger, ExporterState({}, NOW, with_directory=False)), "", NOW)


CONTEXT = Context(tenant_keys=("tenant", "namespace"), dimensions=("feature",), billed=True)
ALLOCATION = str(by_cluster(Reply((REAL / "tenant-2026-11-22.json").read_bytes())).body).encode()
ASSETS = (REAL / "assets-2026-11-22.json").read_bytes()


@dataclass(frozen=True)
class Parser:
    """One parser. kind: of its grammar. run: feeds it; seeds: real examples."""

    name: str
    kind: str
    seeds: Sequence[bytes]
    run: Callable[[bytes, random.Random], None]

    def input(self, seed: int) -> bytes:
        """Return the input of a seed."""
        rng = random.Random(seed)
        return mutated(rng, rng.choice(self.seeds), self.kind)

    def feed(self, seed: int) -> bool:
        """Feed the input of a seed; return whether it was accepted. Raises what is no UnitcostError."""
        said = ""
        try:
            self.run(self.input(seed), random.Random(seed))
        except UnitcostError as error:
            said = str(error)
        assert said.replace("\u200c", "").replace("\u200d", "").replace("\n", "").isprintable()
        return not said


CONFIGURATION = b"""\
tenants: {key: [tenant, tenant-id], fold: case, directory: tenants.csv}
refresh: {every: 5m, restate_days: 3}
history: 90d
state_dir: ./state
currency: {code: USD, rates: {EUR: 1.08}, as_of: 2026-11-01}
sources:
  base: &base {type: csv_revenue, path: mrr.csv, required: true}
  other: {<<: *base, required: false}
  cluster: {type: opencost, url: "http://opencost.opencost:9003", tenant: [label:tenant, namespace], timeout: 20}
  recorded: {type: opencost, path: recorded, billed_by: [], partial_guard: 0.5, aggregate: [namespace]}
  bill: {type: focus, path: bill.csv, cost: EffectiveCost, components: {Compute: compute}, missing_days: zero}
  revenue: {type: csv_revenue, path: mrr.csv, columns: {mrr: mrr}, required: false}
  usage: {type: prometheus, url: "http://u:p@prometheus:9090/x?key=value", headers: {X-Scope-OrgID: a},
          measures: {requests: 'sum by (tenant) (increase(http_requests_total[$window]))'}}
  product: {type: csv_usage, path: usage.csv}
  aws: {type: aws_cost_explorer, tenant: customer, cluster_tag: "aws:eks:cluster-name", every: 8h, request_budget: 50,
        role_arn: "arn:aws:iam::123456789012:role/x", components: {AWS Lambda: compute}, record_types: apart}
  ai: {type: openai, admin_key: sk-admin-x, account: acme, tenants: {proj_a: acme}, tenant_pattern: "c-(?P<tenant>.+)"}
sharing:
  - {match: {component: database}, by: requests}
  - {match: {component: idle, feature: chat}, by: direct_cost}
  - {match: {component: support}, by: {fixed: {acme: 0.6, beta: 0.4}}}
plans: {starter: {price: 49, target_margin: 0.6}, 2024: {price: 1}}
budgets: {default: {share_of_mrr: 0.3}, starter: {dollars: 20}}
dimensions: [feature, environment, cost-center]
components: {Amazon Route 53: network}
windows: [1d, 30d, mtd, last_month]
limits: {tenants: 2000}
web: {listen: "0.0.0.0:9488", config_file: web.yml}
alerts:
  grafana: http://grafana:3000
  budget: {levels: {50: info, 100: critical}, minimum_dollars: 20, wait: 0s}
  burn: {fast: {window: 1d, rate: 3}}
  cost_spike: {factor: 2, dollars: 50, baseline: 30d}
  data: {source_stale: 6h, incomplete_windows: [30d]}
"""
WEB = b"""\
basic_auth_users: {prometheus: $2b$10$abcdefghijklmnopqrstuuxcc4ODOLB9CJ3ykNHRF9HUVfbcvpxcW}
http_server_config: {http2: true, headers: {Strict-Transport-Security: max-age=600, X-Frame-Options: deny}}
"""
TLS = b"""\
tls_server_config: {cert_file: a.crt, key_file: a.key, client_auth_type: NoClientCert, min_version: TLS12}
"""
DIRECTORY = b"""\
id,name,plan,budget_dollars,aliases,status
acme,Acme Corp,pro,500,Acme-Corp;ACME,active
beta,"Beta, Inc",starter,,,active
gamma,Gamma,free,20.50,G,closed
"""
USAGE = b"""\
day,tenant,measure,quantity
2026-11-21,acme,requests,1200
2026-11-21,beta,requests,0.25
2026-11-22,acme,active_users,12
2026-11-22,Total,requests,5
"""
REVENUE = b"""\
tenant,mrr,currency,plan,as_of,subscription
acme,5000,USD,pro,2026-11-01,a
acme,50.25,EUR,pro,2026-11-21,b
beta,299,USD,starter,2026-10-01,
"""
VECTOR = {
    "status": "success",
    "data": {
        "resultType": "vector",
        "result": [
            {"metric": {"tenant": "acme"}, "value": [1763424000, "1200.5"]},
            {"metric": {"tenant": "beta", "job": "x"}, "value": [1763424000.781, "1e3"]},
            {"metric": {}, "value": [1763424000, "3"]},
        ],
    },
    "warnings": ["PromQL info: metric might not be a counter"],
    "infos": [],
}
ACCEPT = (
    b"application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1, gzip;q=0, identity"
)


@contextmanager
def parsers(folder: Path) -> Iterator[Mapping[str, Parser]]:
    """Yield every parser by its name; its files lie in a folder, its server on loopback, until the block ends."""
    files = {"tenants.csv": DIRECTORY, "mrr.csv": REVENUE, "usage.csv": USAGE, "bill.csv": bill(), "web.yml": b"{}"}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "recorded").mkdir(exist_ok=True)
    company = folder / "unitcost.yaml"
    company.write_bytes(b"history: 5d\nsources: {revenue: {type: csv_revenue, path: mrr.csv}}\n")
    answers = {"allocation": ALLOCATION, "assets": ASSETS, **dict.fromkeys(UNUSED, b'{"data": [], "has_more": false}')}
    with serve(lambda request: _answer(request, answers)) as server:
        given = SourceRunner(folder, server.url, answers, Books(load(company)[0]))
        yield {parser.name: parser for parser in given.parsers()}


def _answer(request: Request, answers: Mapping[str, bytes]) -> Reply:
    """Return what is set for the path, as an answer for the day that is asked for."""
    data = answers[request.path.rpartition("/")[2]]
    start = request.params.get("window", "").partition("T")[0]
    if start:
        days = {b"2026-11-22T": start, b"2026-11-23T": str(datetime.fromisoformat(start).date() + timedelta(1))}
        data = re.sub(rb"2026-11-2[23]T", lambda found: days[found[0]].encode() + b"T", data)
    return Reply(data)


BILLS = {"openai": openai_account(FIRST, NOW.date()), "anthropic": anthropic_account(FIRST, NOW.date())}
REPORTS = {
    "openai": ("/v1/organization/costs", "/v1/organization/usage/completions"),
    "anthropic": ("/v1/organizations/cost_report", "/v1/organizations/usage_report/messages"),
}
UNUSED = ("embeddings", "images", "audio_speeches", "audio_transcriptions", "web_search_calls")


def explored(fake: CostExplorerFake) -> bytes:
    """Return what a fake of Cost Explorer says of the days that are asked for, on one page."""
    fake.per_page = 1000
    tenant = {"Type": "TAG", "Key": "customer"}, {"Type": "DIMENSION", "Key": "SERVICE"}
    span = {"Start": str(FIRST), "End": str(NOW.date())}
    asked = {"TimePeriod": span, "Granularity": "DAILY", "Metrics": ["AmortizedCost"], "GroupBy": [*tenant]}
    body = fake.costs(asked).body
    return body if isinstance(body, bytes) else body.encode()


def bill() -> bytes:
    """Return real rows, moved into the days that are asked for."""
    lines = (DATA / "focus-1.0-sample.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    text = "".join([lines[0], *lines[1:900:90]])
    return text.replace("2024-09-", "2026-11-").replace("2024-10-", "2026-12-").encode()


@dataclass(frozen=True)
class SourceRunner:
    """What the parsers read from and write to. answers: of the server, by the end of the path."""

    folder: Path
    url: str
    answers: dict[str, bytes]
    books: Books

    def parsers(self) -> Iterator[Parser]:
        """Yield each parser with its examples."""
        errors = [
            (REAL / "errors" / name).read_bytes() for name in ("bad-filter.json", "future.json", "bad-window.txt")
        ]
        recorded = [(REAL / "tenant-2026-11-22.json").read_bytes(), (DATA / "opencost-allocation.json").read_bytes()]
        yield Parser("unitcost.yaml", "yaml", [CONFIGURATION], self._configuration)
        yield Parser("web.yml", "yaml", [WEB, WEB + TLS], self._web)
        yield Parser("directory", "csv", [DIRECTORY], self._directory)
        yield Parser("csv_usage", "csv", [USAGE], self._usage)
        yield Parser("csv_revenue", "csv", [REVENUE], self._revenue)
        yield Parser("focus_csv", "csv", [bill()], self._focus_csv)
        yield Parser("focus_parquet", "csv", [bill()], self._focus_parquet)
        yield Parser("cur2", "csv", [as_csv(HOUR).encode()], self._cur2)
        yield Parser("opencost", "json", [ALLOCATION, ALLOCATION, ALLOCATION, *errors], self._allocation)
        yield Parser("opencost_assets", "json", [ASSETS], self._assets)
        yield Parser("opencost_recorded", "json", [*recorded, ASSETS], self._recorded)
        yield Parser("prometheus", "json", [json.dumps(VECTOR).encode()], self._prometheus)
        for name, paths in REPORTS.items():
            seeds = [answered(BILLS[name], path, FIRST, NOW.date()) for path in paths]
            yield Parser(name, "json", seeds, partial(self._provider, name, dict(zip(paths, seeds, strict=True))))
        yield Parser("aws_cost_explorer", "json", [explored(aws_account(FIRST, NOW.date()))], self._explorer)
        yield Parser("accept", "text", [ACCEPT], self._accept)

    def _written(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def _take(self, source: Source, rng: random.Random) -> None:
        self.books.take(source, whole=rng.random() < DERIVED)

    def _configuration(self, data: bytes, _: random.Random) -> None:
        config, directory = load(self._written("fuzzed.yaml", data))
        Setup.of(config, directory).model.digest()
        assert NOW.date() - config.history < min(window(name, NOW).end for name in config.windows)
        for name, settings in config.sources.items():
            TYPES[settings.type].source(
                name, settings, replace(config.context(), names=lambda: directory.names("case"))
            )
            assert settings_digest(config, name)

    def _web(self, data: bytes, _: random.Random) -> None:
        WebConfig.load(self._written("fuzzed-web.yml", data))

    def _directory(self, data: bytes, _: random.Random) -> None:
        found, wrong = Directory.read(self._written("fuzzed-tenants.csv", data))
        found.names("case")
        if wrong := [*wrong, *found.clashes()]:
            raise ConfigError(wrong)

    def _usage(self, data: bytes, rng: random.Random) -> None:
        settings = CsvUsageSettings(path=self._written("fuzzed-usage.csv", data))
        self._take(CsvUsage("usage", settings, CONTEXT), rng)

    def _revenue(self, data: bytes, rng: random.Random) -> None:
        path = self._written("fuzzed-mrr.csv", data)
        settings = CsvRevenueSettings(path=path, rows=rng.choice(("changes", "snapshots")))
        self._take(CsvRevenue("revenue", settings, CONTEXT), rng)

    def _focus_csv(self, data: bytes, rng: random.Random) -> None:
        self._focus(self._written("fuzzed-bill.csv", data), rng)

    def _focus_parquet(self, data: bytes, rng: random.Random) -> None:
        path = self.folder / "fuzzed-bill.parquet"
        _to_parquet(self._written("fuzzed-for-parquet.csv", data), path, rng)
        if rng.random() < 0.1:
            path.write_bytes(flip(rng, path.read_bytes()))
        self._focus(path, rng)

    def _cur2(self, data: bytes, rng: random.Random) -> None:
        self._focus(self._written("fuzzed-cur.csv", data), rng, split=rng.random() < HALF)

    def _focus(self, path: Path, rng: random.Random, *, split: bool = False) -> None:
        settings = FocusSettings(
            type="focus",
            path=path,
            cost=rng.choice(("BilledCost", "EffectiveCost")),
            tenant=rng.choice((None, None, "SubAccountName")),
            missing_days=rng.choice(("unknown", "zero")),
            split_cost_allocation=split,
        )
        self._take(Focus("bill", settings, replace(CONTEXT, fold=rng.random() < HALF)), rng)

    def _allocation(self, data: bytes, rng: random.Random) -> None:
        self.answers.update(allocation=data, assets=ASSETS)
        self._opencost(rng)

    def _assets(self, data: bytes, rng: random.Random) -> None:
        self.answers.update(allocation=ALLOCATION, assets=data)
        self._opencost(rng)

    def _opencost(self, rng: random.Random) -> None:
        settings = OpenCostSettings(type="opencost", url=self.url, timeout=30, collector=rng.random() < 0.2)
        self._take(OpenCost("cluster", settings, CONTEXT, pause=lambda _: None), rng)

    def _recorded(self, data: bytes, rng: random.Random) -> None:
        path = self._written("fuzzed-recorded.json", data)
        settings = OpenCostSettings(type="opencost", path=path, aggregate=["label:tenant"])
        self._take(OpenCost("cluster", settings, CONTEXT, pause=lambda _: None), rng)

    def _prometheus(self, data: bytes, rng: random.Random) -> None:
        self.answers["query"] = data
        settings = PrometheusSettings(url=self.url, measures={"requests": "x[$window]"}, timeout=30)
        self._take(Prometheus("usage", settings, CONTEXT), rng)

    def _provider(self, name: str, good: Mapping[str, bytes], data: bytes, rng: random.Random) -> None:
        for path, answer in good.items():
            amounts = b"amount" in answer
            self.answers[path.rpartition("/")[2]] = data if amounts == (b"amount" in data) else answer
        self._take(source(BILLS[name], self.url, timeout=30), rng)

    def _explorer(self, data: bytes, rng: random.Random) -> None:
        self.answers[""] = data
        given = {"tenant": "customer", "endpoint": self.url, "access_key_id": KEY_ID, "secret_access_key": SECRET}
        settings = CostExplorerSettings.model_validate({"type": "aws_cost_explorer", "request_budget": 1000, **given})
        source = CostExplorer("bill", settings, CONTEXT, tries=1)
        self.books.take(source, whole=rng.random() < DERIVED, stored=MemoryStored(NOW))

    def _accept(self, data: bytes, _: random.Random) -> None:
        text = data.decode("latin-1")
        assert {wants_openmetrics(text), wants_gzip(text)} <= {True, False}


DERIVED = 0.02
"""The part of the inputs that is derived and rendered too, which takes a hundred times as long as reading."""


def _to_parquet(table: Path, path: Path, rng: random.Random) -> None:
    """Write a CSV as Parquet, with columns of types that exports have, and some that they have not."""
    types = ("VARCHAR", "DOUBLE", "DECIMAL(38, 12)", "TIMESTAMP", "TIMESTAMPTZ", "DATE", "BIGINT", "BOOLEAN", "BLOB")
    odd = ("VARCHAR[]", "FLOAT", "HUGEINT", "DECIMAL(4, 2)", "TIME", "INTERVAL")
    with duckdb.connect() as connection:
        try:
            read = (
                f"read_csv('{table}', all_varchar = true, header = true, delim = ',', quote = '\"', nullstr = 'NULL')"
            )
            connection.execute(f"CREATE TABLE bill AS SELECT * FROM {read}")  # a reader would take our casts for types
            names = [row[0] for row in connection.execute("DESCRIBE bill").fetchall()]
            cells = []
            for name in names:
                quoted = '"' + name.replace('"', '""') + '"'
                usual = (
                    "DOUBLE" if name.endswith("Cost") else "TIMESTAMP" if name.endswith(("Start", "End")) else "VARCHAR"
                )
                as_type = rng.choice(types) if rng.random() < 0.05 else usual
                as_type = rng.choice(odd) if rng.random() < 0.02 else as_type
                cells.append(f"TRY_CAST({quoted} AS {as_type}) AS {quoted}")
            connection.execute(f"COPY (SELECT {', '.join(cells)} FROM bill) TO '{path}' (FORMAT parquet)")
        except duckdb.Error:
            path.write_bytes(table.read_bytes())  # no table any more
