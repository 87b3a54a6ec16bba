"""A configuration that is wrong in any way ends with exit 2 and a line for each mistake, quickly, never a traceback."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path

import pytest

from unitcost.cli.main import main
from unitcost.config.load import load

FIXED = "sharing: [{match: {component: idle}, by: {fixed: %s}}]"
TOKENS = "{type: ai_tokens, url: 'http://p', preset: litellm}"
PROMETHEUS = "sources: {usage: {type: prometheus, url: 'http://p:9090', measures: {r: 'x[$window]'}, %s}}"
URL = "sources: {c: {type: opencost, url: '%s'}}"
DEEP = "[" * 3000
LAUGHS = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 9))
MERGES = "\n".join(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 10)}]}}" for n in range(1, 9))
CHAIN = "\n".join(f"c{n}: &c{n} [*c{n - 1}]" for n in range(1, 100))

YAML: dict[str, tuple[str | bytes, str]] = {
    "no YAML": ("sources: [", "is not YAML (line 1)"),
    "a tab as indentation": ("sources:\n\ta: 1", "is not YAML (line 2)"),
    "deep lists": (f"windows: {DEEP}", "is not YAML (line 1): nested deeper than 40 levels"),
    "deep mappings": ("a: " + "{a: " * 3000, "nested deeper than 40 levels"),
    "deep blocks": ("\n".join(" " * n + "a:" for n in range(300)), "nested deeper than 40 levels"),
    "a list that holds itself": ("windows: &w [1d, *w]", "repeat themselves"),
    "a mapping that holds itself": ("alerts: &a {margin: *a}", "repeat themselves"),
    "a merge of itself": ("alerts: &a {<<: *a}", "repeat themselves"),
    "a billion laughs": (f"l0: &l0 [lol]\n{LAUGHS}", "more than 20,000 values"),
    "a billion merges": (f"m0: &m0 {{a: b}}\n{MERGES}", "more than 20,000 values"),
    "a chain of aliases": (f"c0: &c0 [x]\n{CHAIN}", "nest deeper than 40 levels"),
    "an alias of nothing": ("state_dir: *x", "an alias (*name) without an anchor"),
    "!!int x": ("refresh: {restate_days: !!int x}", "is no int"),
    "!!float x": ("refresh: {restate_days: !!float x}", "is no float"),
    "!!bool x": ("refresh: {restate_days: !!bool x}", "is no bool"),
    "!!null x": ("refresh: {restate_days: !!null x}", "is no null"),
    "!!int of a list": ("refresh: {restate_days: !!int [1]}", "a tag that does not fit its value"),
    "!!map of a list": ("refresh: !!map [1]", "a tag that does not fit its value"),
    "!!timestamp": ("currency: {as_of: !!timestamp x}", "a tag (!name) that is not known"),
    "!!set": ("windows: !!set {1d, 30d}", "a tag (!name) that is not known"),
    "!!omap": ("plans: !!omap [pro: {price: 1}]", "a tag (!name) that is not known"),
    "!!binary": ("state_dir: !!binary aGFsbG8=", "a tag (!name) that is not known"),
    "!!python": ("state_dir: !!python/object/apply:os.system [ls]", "a tag (!name) that is not known"),
    "a tag of its own": ("state_dir: !secret x", "a tag (!name) that is not known"),
    "a list as a key": ("? [a, b]\n: c", "a key must be text"),
    "a mapping as a key": ("{a: b}: c", "a key must be text"),
    "a key that stands twice": ("history: 90d\nhistory: 30d", "the key history stands there twice"),
    "the same key, quoted": ("history: 90d\n'history': 30d", "the key history stands there twice"),
    "a merge of no mapping": ("alerts: {<<: 5}", "expected a mapping"),
    "a NUL byte": ("state_dir: a\0b", "the character U+0000"),
    "a NUL as an escape": ('state_dir: "a\\0b"', "the character U+0000"),
    "an escape of terminals": ('plans: {"\\e[31mred": {price: 1}}', "the character U+001B"),
    "half a character": ('state_dir: "\\ud800"', "the character U+D800"),
    "an escape beyond Unicode": ('state_dir: "\\UFFFFFFFF"', "an escape that is too large"),
    "a version beyond numbers": (f"%YAML {'9' * 5000}.1\n---\na: b", "is not YAML"),
    "two documents": ("a: b\n---\nc: d", "is not YAML"),
    "UTF-16": ("history: 90d".encode("utf-16"), "is not UTF-8"),
    "Latin-1": ("plans: {é: {}}".encode("latin-1"), "is not UTF-8"),
    "ten megabytes of windows": ("windows: [" + "1d, " * 2_500_000 + "]", "is larger than 256 KiB"),
    "a large list": ("windows: [" + "1d," * 70_000 + "]", "more than 20,000 values"),
    "text": ("hello", "must be a mapping"),
    "nothing": ("", "must be a mapping"),
    "a comment": ("# nothing", "must be a mapping"),
    "a number": ("5", "must be a mapping"),
}

VALUES = {
    "a day that is none": ("currency: {as_of: 2026-13-45}", "currency.as_of: must be a day written as 2026-11-01"),
    "the 30th of February": ("currency: {as_of: 2026-02-30}", "currency.as_of: must be a day"),
    "a day as a number": ("currency: {as_of: 20261101}", "currency.as_of: must be a day"),
    "a day with a time": ("currency: {as_of: '2026-11-01T00:00:00Z'}", "currency.as_of: must be a day"),
    "a day as a list": ("currency: {as_of: [2026, 11, 1]}", "currency.as_of: must be a day"),
    "a history beyond time": ("history: 99999999999999d", "history: must be a duration"),
    "a history of 2,190 years": ("history: 800000d", "history: must be at least 1d and at most 3660d"),
    "a history of seconds": ("history: 30s", "history: must be at least 1d"),
    "a history without a unit": ("history: 90", "history: must be a duration"),
    "a history as YAML 1.1 takes it": ("history: 12:30", "history: must be a duration"),
    "a history in other digits": ("history: ٩٠d", "history: must be a duration"),
    "no history": ("history: 0d", "history: must be a duration"),
    "refresh never": ("refresh: {every: 999999d}", "refresh.every: must be at least 1s and at most 7d"),
    "refresh at once": ("refresh: {every: 0s}", "refresh.every: must be a duration"),
    "true days": ("refresh: {restate_days: true}", "refresh.restate_days: must be a number"),
    "days below zero": ("refresh: {restate_days: -1}", "refresh.restate_days:"),
    "half days": ("refresh: {restate_days: 1.5}", "refresh.restate_days:"),
    "endless days": ("refresh: {restate_days: .inf}", "refresh.restate_days:"),
    "a number of 5,000 digits": (f"refresh: {{restate_days: {'9' * 5000}}}", "refresh.restate_days:"),
    "octal days": ("refresh: {restate_days: 0o7}", "refresh.restate_days:"),
    "a section that is a list": ("refresh: [5m]", "refresh: must be a mapping"),
    "a section that is a text": ("tenants: tenant", "tenants: must be a mapping"),
    "a home of nobody": ("state_dir: ~nobody-here/x", "state_dir: begins with ~"),
    "a file as state_dir": ("state_dir: mrr.csv", "state_dir:"),
    "a state_dir of 5,000 letters": (f"state_dir: {'x' * 5000}", "state_dir:"),
    "a state_dir that is a number": ("state_dir: 5", "state_dir:"),
    "a directory of nobody": ("tenants: {directory: ~nobody-here/x}", "tenants.directory: begins with ~"),
    "a directory that is a folder": ("tenants: {directory: .}", "tenants.directory:"),
    "a directory that never ends": ("tenants: {directory: /dev/zero}", "tenants.directory: /dev/zero is neither"),
    "a directory of 5,000 letters": (f"tenants: {{directory: {'x' * 5000}}}", "tenants.directory:"),
    "a key that is a number": ("tenants: {key: 5}", "tenants.key.0: must be text"),
    "a key that is empty": ("tenants: {key: ''}", "tenants.key"),
    "no key": ("tenants: {key: []}", "tenants.key"),
    "a key twice": ("tenants: {key: [a, a]}", "tenants.key: names a key twice"),
    "a key that is a mapping": ("tenants: {key: {a: b}}", "tenants.key"),
    "a fold that is a list": ("tenants: {fold: [case]}", "tenants.fold:"),
    "a rate of 1e300": ("currency: {as_of: 2026-11-01, rates: {EUR: 1.0e+300}}", "currency.rates.EUR:"),
    "a rate of 1e11": ("currency: {as_of: 2026-11-01, rates: {EUR: 100000000000}}", "currency.rates.EUR:"),
    "a rate of 1e-300": ("currency: {as_of: 2026-11-01, rates: {EUR: 1.0e-300}}", "currency.rates.EUR:"),
    "a rate beyond floats": ("currency: {as_of: 2026-11-01, rates: {EUR: '1e1000000'}}", "currency.rates.EUR:"),
    "a rate of nothing": ("currency: {as_of: 2026-11-01, rates: {EUR: 0}}", "currency.rates.EUR:"),
    "an endless rate": ("currency: {as_of: 2026-11-01, rates: {EUR: .inf}}", "currency.rates.EUR:"),
    "a rate that is no number": ("currency: {as_of: 2026-11-01, rates: {EUR: .nan}}", "currency.rates.EUR:"),
    "a signalling rate": ("currency: {as_of: 2026-11-01, rates: {EUR: sNaN}}", "currency.rates.EUR:"),
    "a true rate": ("currency: {as_of: 2026-11-01, rates: {EUR: true}}", "currency.rates.EUR: must be a number"),
    "a rate in sixties": ("currency: {as_of: 2026-11-01, rates: {EUR: 1:08}}", "currency.rates.EUR:"),
    "a rate with a comma": ("currency: {as_of: 2026-11-01, rates: {EUR: '1,08'}}", "currency.rates.EUR:"),
    "a rate of the currency itself": ("currency: {as_of: 2026-11-01, rates: {USD: 2}}", "rates.USD: one USD is 1 USD"),
    "a currency in lower case": ("currency: {code: usd}", "currency.code:"),
    "a currency that YAML 1.1 takes for false": ("currency: {code: no}", "currency.code:"),
    "rates that are a list": ("currency: {as_of: 2026-11-01, rates: [EUR]}", "currency.rates: must be a mapping"),
    "a fixed share with too many digits": (
        FIXED % "{a: '0.00000000000000000000000001', b: '0.99999999999999999999999999'}",
        "sharing.0.by.fixed.a: must have at most 18 digits",
    ),
    "fixed shares below zero": (FIXED % "{a: 2, b: -1}", "sharing.0.by.fixed.a:"),
    "a share of a text": (FIXED % "{a: all}", "sharing.0.by.fixed.a:"),
    "a share that is no number": (FIXED % "{a: .nan}", "sharing.0.by.fixed.a:"),
    "shares of nobody": (FIXED % "{}", "sharing.0.by: fixed shares sum to 0"),
    "shares of a reserved name": (FIXED % "{__idle__: 1}", "fixed.__idle__: is a reserved name"),
    "shares that are a list": (FIXED % "[a, b]", "sharing.0.by.fixed:"),
    "a rule without a match": ("sharing: [{by: even}]", "sharing.0.match:"),
    "a match of nothing": ("sharing: [{match: {}, by: even}]", "sharing.0.match:"),
    "a match of a number": ("sharing: [{match: {service: 5}, by: even}]", "sharing.0.match.service: must be text"),
    "a rule that is a text": ("sharing: [even]", "sharing.0:"),
    "rules that are a mapping": ("sharing: {match: {component: idle}, by: even}", "sharing:"),
    "a by that is a list": ("sharing: [{match: {component: idle}, by: [even]}]", "sharing.0.by:"),
    "a window of 10,000 days": ("windows: [10000d]", "windows: 10000d: must be Nd"),
    "a window of no day": ("windows: [0d]", "windows: 0d"),
    "no windows": ("windows: []", "windows:"),
    "a window twice": ("windows: [1d, 1d]", "windows: each at most once"),
    "windows that are numbers": ("windows: [30]", "windows.0: must be text"),
    "a thousand windows": (f"windows: [{', '.join(f'{n}d' for n in range(1, 1000))}]", "windows:"),
    "a dimension twice": ("dimensions: [a, a]", "dimensions: each at most once"),
    "an empty dimension": ("dimensions: ['']", "dimensions.0:"),
    "dimensions that are a text": ("dimensions: feature", "dimensions: must be a list"),
    "a component that is none": ("components: {X: gold}", "components.X:"),
    "a component that is a list": ("components: {X: [ai]}", "components.X:"),
    "endless tenants": ("limits: {tenants: .inf}", "limits.tenants:"),
    "more tenants than numbers": (f"limits: {{tenants: {10**30}}}", "limits.tenants:"),
    "true tenants": ("limits: {tenants: yes}", "limits.tenants:"),
    "a price of 1e300": ("plans: {pro: {price: 1.0e+300}}", "plans.pro.price:"),
    "a price below zero": ("plans: {pro: {price: -1}}", "plans.pro.price:"),
    "a margin of 1": ("plans: {pro: {target_margin: 1}}", "plans.pro.target_margin:"),
    "a margin beyond all": ("plans: {pro: {target_margin: -1.0e+300}}", "plans.pro.target_margin:"),
    "a plan that is nothing": ("plans: {pro: }", "plans.pro:"),
    "an unknown key of a plan": ("plans: {pro: {prize: 1}}", "plans.pro.prize: unknown key"),
    "a budget of two kinds": ("budgets: {default: {dollars: 1, share_of_mrr: 1}}", "budgets.default: give one of"),
    "an endless budget": ("budgets: {default: {dollars: .inf}}", "budgets.default.dollars:"),
    "a budget of nobody's plan": ("budgets: {2024: {dollars: 1}}", "budgets.2024: is neither"),
    "an address without a port": ("web: {listen: localhost}", "web.listen: 'localhost' is no address"),
    "a port of 65536": ("web: {listen: ':65536'}", "web.listen:"),
    "a port of 5,000 digits": (f"web: {{listen: ':{'9' * 5000}'}}", "web.listen:"),
    "a host of 70 letters": (f"web: {{listen: '{'x' * 70}:9488'}}", "web.listen:"),
    "an address of no IPv6": ("web: {listen: '[::x]:9488'}", "web.listen:"),
    "a listen that is a number": ("web: {listen: 9488}", "web.listen: must be text"),
    "a listen in sixties": ("web: {listen: 12:30:45}", "web.listen:"),
    "a web file that is a folder": ("web: {config_file: .}", "web.config_file:"),
    "a route to nowhere": ("ai: {routing: [{feature: chat}]}", "ai.routing.0.to:"),
    "a route that is more than whole": (
        "ai: {routing: [{feature: chat, to: x, fallback_share: 1.5}]}",
        "ai.routing.0.fallback_share:",
    ),
    "a share of text that can be cached": ("ai: {cacheable_share: {chat: true}}", "ai.cacheable_share.chat:"),
    "an alert after 300 years": ("alerts: {wait: 110000d}", "alerts.wait: must be at most 366d"),
    "an alert of 1e300 dollars": ("alerts: {margin: {loss_dollars: 1.0e+300}}", "alerts.margin.loss_dollars:"),
    "an alert beyond any factor": ("alerts: {cost_spike: {factor: 1.0e-300}}", "alerts.cost_spike.factor:"),
    "an alert of no number": ("alerts: {cost_spike: {factor: .nan}}", "alerts.cost_spike.factor:"),
    "a budget's level of a text": ("alerts: {budget: {levels: {much: info}}}", "alerts.budget.levels.much:"),
    "a Grafana without a host": ("alerts: {grafana: 'http://'}", "alerts.grafana: has no host"),
    "a Grafana with a password": ("alerts: {grafana: 'http://a:b@grafana'}", "alerts.grafana: must have no user info"),
    "links into a query": ("web: {external_url: 'http://unitcost/?a=b'}", "web.external_url: must have no user info"),
    "an external url of no server": ("web: {external_url: unitcost:9488}", "web.external_url: must start with http"),
    "a Grafana that is a script": ("alerts: {grafana: 'javascript:alert(1)'}", "alerts.grafana: must start with http"),
    "an unknown key": ("retention: 90d", "retention: unknown key"),
    "a key with a line break": ('"a\\nb": c', r"a b: unknown key"),
}

SOURCES = {
    "a type that is a list": (
        "sources: {a: {type: [a]}}",
        "sources.a.type: ['a'] is none of ai_tokens, anthropic, aws_cost_explorer, csv",
    ),
    "a type that is a mapping": ("sources: {a: {type: {b: c}}}", "sources.a.type:"),
    "a type that is a number": ("sources: {a: {type: 5}}", "sources.a.type: 5 is none of"),
    "no type": ("sources: {a: {path: mrr.csv}}", "sources.a.type: None is none of"),
    "a source that is a list": ("sources: {a: [focus]}", "sources.a: must be a mapping with a type"),
    "a source that is nothing": ("sources: {a: }", "sources.a: must be a mapping with a type"),
    "sources that are a list": ("sources: [{type: focus}]", "sources: name at least one source"),
    "a name with a space": ("sources: {'a b': {type: csv_revenue, path: mrr.csv}}", "sources.a b:"),
    "a name of 5,000 letters": (f"sources: {{{'a' * 500}: {{type: csv_revenue, path: mrr.csv}}}}", "sources.aaa"),
    "a thousand sources": (
        "sources: {" + ", ".join(f"a{n}: {{type: csv_revenue, path: mrr.csv}}" for n in range(1000)) + "}",
        "sources: ",
    ),
    "an address that is no IPv6": (URL % "http://[::x", "sources.c.url: has no host or port"),
    "an address in half brackets": (URL % "http://[::1", "sources.c.url: has no host or port"),
    "a port that is none": (URL % "http://c:http", "sources.c.url: has no host or port"),
    "a port of 0": (URL % "http://c:0", "sources.c.url: has no host or port"),
    "a port of 99999": (URL % "http://c:99999", "sources.c.url: has no host or port"),
    "no host": (URL % "http:///api", "sources.c.url: has no host or port"),
    "a port alone": (URL % "http://:9003", "sources.c.url: has no host or port"),
    "a host with two points": (URL % "http://a..b/", "sources.c.url: has no host or port"),
    "a host of 70 letters": (URL % f"http://{'x' * 70}/", "sources.c.url: has no host or port"),
    "a space in a url": (URL % "http://a b/", "sources.c.url: must be plain ASCII"),
    "a line break in a url": ('sources: {c: {type: opencost, url: "http://c/\\n"}}', "sources.c.url: must be plain"),
    "a url in other letters": (URL % "http://bücher/", "sources.c.url: must be plain ASCII"),
    "an anchor in a url": (URL % "http://c/#x", "sources.c.url: must not have a part after #"),
    "a file as url": (URL % "file:///etc/passwd", "sources.c.url: must start with http://"),
    "a url that is a number": ("sources: {c: {type: opencost, url: 9003}}", "sources.c.url: must be text"),
    "a url that is a list": ("sources: {c: {type: opencost, url: [a]}}", "sources.c.url: must be text"),
    "timeout 0": (PROMETHEUS % "timeout: 0", "sources.usage.timeout:"),
    "a timeout below zero": (PROMETHEUS % "timeout: -5", "sources.usage.timeout:"),
    "an endless timeout": (PROMETHEUS % "timeout: .inf", "sources.usage.timeout:"),
    "a timeout that is no number": (PROMETHEUS % "timeout: .nan", "sources.usage.timeout:"),
    "a timeout of 1e300": (PROMETHEUS % "timeout: 1.0e+300", "sources.usage.timeout:"),
    "a timeout of a duration": (PROMETHEUS % "timeout: 30s", "sources.usage.timeout:"),
    "a true timeout": (PROMETHEUS % "timeout: true", "sources.usage.timeout: must be a number"),
    "a header with a line break": (PROMETHEUS % 'headers: {X-Key: "a\\nHost: b"}', "headers: must be one line"),
    "a header in other letters": (PROMETHEUS % "headers: {X-Key: schlüssel}", "headers: must be one line"),
    "a header without a name": (PROMETHEUS % "headers: {'': a}", "sources.usage.headers:"),
    "a header's name with a colon": (PROMETHEUS % "headers: {'A: b': a}", "sources.usage.headers:"),
    "headers that are a list": (PROMETHEUS % "headers: [a]", "sources.usage.headers:"),
    "a header that is a number": (PROMETHEUS % "headers: {X-Scope-OrgID: 5}", "headers.X-Scope-OrgID: must be text"),
    "a token with a line break": (PROMETHEUS % 'bearer_token: "abc\\n"', "bearer_token: must be one line"),
    "a token that is a number": (PROMETHEUS % "bearer_token: 5", "bearer_token: must be text"),
    "a token file of nobody": (PROMETHEUS % "bearer_token_file: ~nobody-here/x", "bearer_token_file: begins with ~"),
    "a token file that is a folder": (PROMETHEUS % "bearer_token_file: .", "bearer_token_file:"),
    "a token file that never ends": (PROMETHEUS % "bearer_token_file: /dev/zero", "bearer_token_file:"),
    "a CA that is none": (PROMETHEUS % "ca_file: mrr.csv", "ca_file:"),
    "a user without a password": (PROMETHEUS % "username: a", "basic authentication needs"),
    "a measure without a window": (
        "sources: {u: {type: prometheus, url: 'http://p', measures: {r: x}}}",
        "sources.u.measures: 'r' lacks $window",
    ),
    "a measure in capitals": (
        "sources: {u: {type: prometheus, url: 'http://p', measures: {R: 'x[$window]'}}}",
        "sources.u.measures: 'R' is not a name",
    ),
    "no measures": ("sources: {u: {type: prometheus, url: 'http://p', measures: {}}}", "sources.u.measures:"),
    "measures that are a text": ("sources: {u: {type: prometheus, url: 'http://p', measures: r}}", "u.measures:"),
    "a guard of 1": (URL % "http://c', partial_guard: 1, cluster: 'x", "sources.c.partial_guard:"),
    "a true guard": (URL % "http://c', partial_guard: true, cluster: 'x", "sources.c.partial_guard: must be a number"),
    "a tenant that is no key": (URL % "http://c', tenant: 'pod:x", "sources.c.tenant: String should match pattern"),
    "tenants that are no key": (
        "sources: {c: {type: opencost, url: 'http://c', tenant: ['label:x', 5]}}",
        "sources.c.tenant.1: must be text",
    ),
    "no tenant's key": ("sources: {c: {type: opencost, url: 'http://c', tenant: []}}", "sources.c.tenant: List should"),
    "a column that is none": ("sources: {r: {type: csv_revenue, path: mrr.csv, columns: {x: y}}}", "r.columns.x:"),
    "a column that is a number": ("sources: {r: {type: csv_revenue, path: mrr.csv, columns: {mrr: 5}}}", "columns.mrr"),
    "a path that is a folder": ("sources: {r: {type: csv_revenue, path: .}}", "sources.r.path:"),
    "a path of nobody": ("sources: {b: {type: focus, path: ~nobody-here/x}}", "sources.b.path: begins with ~"),
    "a bill that never ends": ("sources: {b: {type: focus, path: /dev/zero}}", "sources.b.path: /dev/zero is neither"),
    "a bill of 5,000 letters": (f"sources: {{b: {{type: focus, path: {'x' * 5000}}}}}", "sources.b.path:"),
    "a cost that is a list": ("sources: {b: {type: focus, path: mrr.csv, cost: [BilledCost]}}", "sources.b.cost:"),
    "a component of a bill": ("sources: {b: {type: focus, path: mrr.csv, components: {a: b}}}", "b.components:"),
    "a bill that is none": (URL % "http://c', billed_by: [x], cluster: 'x", "sources.c.billed_by:"),
    "required, perhaps": ("sources: {r: {type: csv_revenue, path: mrr.csv, required: perhaps}}", "r.required:"),
    "tokens counted twice": (
        f"sources: {{a: {TOKENS}, b: {TOKENS}}}",
        "sources.b: counts tokens that a may count as well; give each of them `providers`",
    ),
    "tokens of which only one source is told apart": (
        f"sources: {{a: {TOKENS[:-1]}, selector: 'x=\"1\"'}}, b: {TOKENS}}}",
        "sources.b: counts tokens that a may count as well",
    ),
    "providers that two sources count": (
        f"sources: {{a: {TOKENS[:-1]}, providers: [openai, azure]}}, b: {TOKENS[:-1]}, providers: [openai]}}}}",
        "sources.b: counts tokens that a may count as well",
    ),
    "tokens without a rate of the dollar": (
        f"currency: {{code: EUR}}\nsources: {{a: {TOKENS}}}",
        "currency.rates: the prices of AI are in dollars; give the rate of USD",
    ),
    "LiteLLM's export beside its counters": (
        f"sources: {{a: {TOKENS}, b: {{type: focus, path: mrr.csv, scopes: [{{scope: litellm/x}}]}}}}",
        "sources.b.scopes.0: LiteLLM's export holds the tokens that a counts",
    ),
    "a scope that is a cluster": (
        "sources: {b: {type: focus, path: mrr.csv, scopes: [{scope: k8s/prod}]}}",
        "sources.b.scopes.0.scope: is a cluster",
    ),
    "a variable that is not set": (URL % "http://${NOT_SET_ANYWHERE}", "NOT_SET_ANYWHERE is not set"),
}

WEB = {
    "a version that is a list": ("tls_server_config: {min_version: [x]}", "min_version: must be TLS12 or TLS13"),
    "a version that is a number": ("tls_server_config: {max_version: 1.3}", "max_version: must be TLS12 or TLS13"),
    "client auth that is a list": ("tls_server_config: {client_auth_type: [x]}", "client_auth_type: must be one of"),
    "a certificate of nobody": ("tls_server_config: {cert_file: ~nobody-here/x}", "cert_file:"),
    "a certificate that is a folder": ("tls_server_config: {cert_file: .}", "cert_file:"),
    "a certificate that is none": ("tls_server_config: {cert_file: mrr.csv, key_file: mrr.csv}", "tls_server_config:"),
    "a certificate of 5,000 letters": (f"tls_server_config: {{cert_file: {'x' * 5000}}}", "cert_file:"),
    "users that are a list": ("basic_auth_users: [a]", "basic_auth_users: must be a mapping"),
    "a password in clear": ("basic_auth_users: {a: hunter2hunter2}", "basic_auth_users.a: must be a bcrypt hash"),
    "a header that is a list": ("http_server_config: {headers: {X-Frame-Options: [a]}}", "X-Frame-Options:"),
    "headers that are a list": ("http_server_config: {headers: [a]}", "http_server_config.headers: must be a mapping"),
    "a file that is a list": ("- a", "must be a mapping"),
    "TLS that is a number": ("tls_server_config: 5", "tls_server_config: must be a mapping"),
    "deep lists in the web file": (f"basic_auth_users: {DEEP}", "nested deeper than 40 levels"),
    "an endless list in the web file": ("basic_auth_users: &a {b: *a}", "repeat themselves"),
    "laughs in the web file": (f"l0: &l0 [lol]\n{LAUGHS}", "more than 20,000 values"),
}

GOOD = "sources: {revenue: {type: csv_revenue, path: mrr.csv}}\n"


def whole(part: str) -> str:
    return part if part.startswith("sources:") else GOOD + part


CASES: dict[str, tuple[str | bytes, str]] = {
    **YAML,
    **{name: (whole(part), expected) for name, (part, expected) in VALUES.items()},
    **SOURCES,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mrr.csv").write_text("tenant,mrr\nacme,5000\n", encoding="utf-8")
    return tmp_path


def refused(path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines that `check` ends with: exit 2, a line each with the file, within a second or so."""
    started = time.process_time()
    assert main(["check", "--config", str(path)]) == 2
    assert time.process_time() - started < 2
    out, err = capsys.readouterr()
    assert not out
    assert "Traceback" not in err
    lines = err.splitlines()
    assert lines
    for line in lines:
        assert line.startswith((f"{path.parent}", "and "))
        assert len(line) <= 600
        assert line.isprintable()
    return lines


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_configuration_ends_with_exit_2_and_a_line_that_says_where(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    given, expected = CASES[name]
    path = folder / "unitcost.yaml"
    path.write_bytes(given if isinstance(given, bytes) else given.encode())
    lines = refused(path, capsys)
    assert expected in "\n".join(lines)
    assert len(lines) <= 3


@pytest.mark.parametrize("name", WEB)
def test_a_wrong_web_config_ends_with_exit_2_and_a_line_that_says_where(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    given, expected = WEB[name]
    (folder / "web.yml").write_text(given, encoding="utf-8")
    path = folder / "unitcost.yaml"
    path.write_text(GOOD + "web: {config_file: web.yml}", encoding="utf-8")
    assert expected in "\n".join(refused(path, capsys))


def test_two_hundred_wrong_configurations_are_tried() -> None:
    assert len(CASES) + len(WEB) >= 200


@pytest.mark.parametrize(
    "given",
    [
        "0001-01-01",
        "9999-12-31",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2026-13-45",
        "now",
        "\x1b[31m",
    ],
)
def test_a_time_that_is_none_ends_with_exit_2(capsys: pytest.CaptureFixture[str], given: str) -> None:
    assert main(["report", "--sample", "--as-of", given]) == 2
    assert "is no time; write 2026-11-01" in capsys.readouterr().err
    assert main(["backfill", "--sample", "--output", "x", "--from", given]) == 2
    assert "is no day; write 2026-11-01" in capsys.readouterr().err


def test_many_mistakes_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "unitcost.yaml"
    path.write_text(GOOD + "\n".join(f"key{n}: x" for n in range(1000)), encoding="utf-8")
    lines = refused(path, capsys)
    assert len(lines) == 51
    assert lines[-1] == "and 950 more mistakes"


def test_names_are_the_text_that_stands_there(folder: Path) -> None:
    path = folder / "unitcost.yaml"
    text = """\ufeff
        tenants: {key: on}
        sources: {revenue: &r {type: csv_revenue, path: mrr.csv}, old: {<<: *r, required: no}}
        plans: {2024: {price: 1}, no: {price: 2}, 012: {price: 3}, 12:30: {price: 4}, null: {price: 5}, 1.0: {}}
        budgets: {2024: {dollars: 1_000}}
        dimensions: [no, 2026-11-01, 0o7, 1:30]
    """
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    config, _ = load(path)
    assert config.tenants.key == ("on",)
    assert list(config.plans) == ["2024", "no", "012", "12:30", "null", "1.0"]
    assert config.dimensions == ("no", "2026-11-01", "0o7", "1:30")
    assert not config.settings("old").required
