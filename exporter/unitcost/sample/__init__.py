"""The sample company: a made-up analytics company with 500 customers, as the files a real one would have."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from unitcost.sample.ai import of_month, write_tokens
from unitcost.sample.bill import write_bill
from unitcost.sample.cluster import write_cluster
from unitcost.sample.company import direct_costs, month_of_costs
from unitcost.sample.customers import all_customers
from unitcost.sample.days import Clock
from unitcost.sample.tables import write_directory, write_mrr, write_usage

__all__ = ["write"]

CONFIG = """\
# A generated company; every file beside this one is made up. Its last whole month is a bill of $51,000.
tenants: {key: tenant, directory: tenants.csv}
history: %(history)dd                   # this month and the four whole months before it
currency: {code: USD}
sources:
  cluster: {type: opencost, path: opencost}
  bill:                          # the cloud's and the model provider's
    type: focus
    path: focus
    cost: EffectiveCost
    scopes: [{scope: openai/, match: {service: OpenAI API}}]   # divided by who used how many tokens of what
  tokens:  {type: csv_tokens, path: tokens.csv, provider: openai}
  revenue: {type: csv_revenue, path: mrr.csv}
  usage:   {type: csv_usage, path: usage.csv}
sharing:                         # first match wins; AI calls of a key that nobody has named match nothing
  - {match: {component: idle},     by: direct_cost}
  - {match: {component: database}, by: requests}
  - {match: {component: commitment}, by: requests}   # the database reservation that is partly unused
  - {match: {component: network},  by: requests}
  - {match: {component: compute},  by: requests}
  - {match: {service: Amazon Simple Storage Service}, by: even}
  - {match: {component: support},  by: {fixed: {acme: 0.6, beta: 0.4}}}   # no support contract yet
plans:
  enterprise: {target_margin: 0.7}
  pro:        {price: 299, target_margin: 0.6}
  starter:    {price: 49, target_margin: 0.5}
  free:       {price: 0}
budgets:                         # a calendar month; what tenants.csv says of a customer comes first
  pro:     {share_of_mrr: 0.8}
  starter: {dollars: 125}
  free:    {dollars: 60}
  default: {share_of_mrr: 0.5}
dimensions: [feature, environment]
ai:
  routing: [{feature: reports, to: openai/gpt-4o-mini, fallback_share: 0.1}]   # what it would save
  cacheable_share: {assistant: 0.6}
"""


def write(folder: Path, now: datetime) -> Path:
    """Write the company as of now (aware; days are UTC) into folder; return the path of its unitcost.yaml.

    The same now gives the same bytes. The files reach from the first of the fourth whole month back until
    now: OpenCost's answers, tokens and usage include today's part, the bill ends yesterday. Raises
    OSError when the folder cannot be written.
    """
    clock = Clock.at(now.astimezone(UTC))
    everyone = all_customers()
    direct = direct_costs(everyone)
    months = [month_of_costs(month, clock, everyone, direct) for month in clock.months]
    folder.mkdir(parents=True, exist_ok=True)
    write_cluster(folder / "opencost", clock, months, everyone)
    uses = [of_month(month) for month in months]
    write_bill(folder / "focus", clock, months, uses, everyone)
    write_directory(folder / "tenants.csv", everyone)
    write_mrr(folder / "mrr.csv", clock, everyone)
    write_tokens(folder / "tokens.csv", clock, months, uses)
    write_usage(folder / "usage.csv", clock, months, everyone)
    config = folder / "unitcost.yaml"
    history = (clock.today - clock.months[0].first).days
    config.write_text(CONFIG % {"history": history}, encoding="utf-8")
    return config
