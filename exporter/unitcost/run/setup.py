"""What the configuration says, in the words of the ledger and of the questions to it."""

from __future__ import annotations

from dataclasses import dataclass

from unitcost.config.directory import Directory
from unitcost.config.model import Config, settings_digest
from unitcost.config.sections import METHODS, Fixed
from unitcost.economics.ai_savings import WhatIf
from unitcost.economics.windows import Terms
from unitcost.ledger.derive import Model
from unitcost.names import Names
from unitcost.run.pricing import pricing
from unitcost.sources.ai.settings import Ai
from unitcost.sources.ai.units import TOKEN_UNITS


@dataclass(frozen=True)
class Setup:
    """What configuration and tenant directory say together. names: which tenant a spelling means."""

    names: Names
    model: Model
    terms: Terms

    @classmethod
    def of(cls, config: Config, directory: Directory) -> Setup:
        """Put it together."""
        names = directory.names(config.tenants.fold)
        return cls(names, counting(config, names), terms(config, directory))


def counting(config: Config, names: Names) -> Model:
    """Return what the configuration says about counting."""
    kinds = {name: kind for name, kind in config.kinds().items() if name not in config.compared()}
    bills = [name for name, kind in kinds.items() if kind == "bill"]
    billed_by = []
    for name, kind in kinds.items():
        if kind in {"cluster", "tokens"}:
            billed_by += [(name, bill) for bill in config.billed_by(name)]
        elif kind == "bill" and "usage" in config.brings(name):  # a provider that reports what no counter saw
            billed_by.append((name, name))
    shown_only = [bill for bill in bills if config.settings(bill).holds_clusters() is None]
    unproven = [
        (name, bill)
        for name, kind in kinds.items()
        if kind == "cluster" and getattr(config.settings(name), "billed_by", None) is None
        for bill in shown_only
    ]
    rules: list[tuple[int, dict[str, str], str, str | None]] = []
    fixed = []
    for number, rule in enumerate(config.sharing):
        if isinstance(rule.by, Fixed):
            rules.append((number, dict(rule.match), "fixed", None))
            fixed += [(number, names.tenant(tenant), share) for tenant, share in rule.by.fixed.items()]
        elif rule.by in METHODS:
            rules.append((number, dict(rule.match), rule.by, None))
        else:
            rules.append((number, dict(rule.match), "measure", rule.by))
    return Model(
        sources=[(name, kind, config.settings(name).required) for name in kinds for kind in config.brings(name)],
        billed_by=billed_by,
        rates=sorted(config.currency.all_rates().items()),
        aliases=names.keys(),
        rules=rules,
        fixed=fixed,
        dimensions=list(config.dimensions),
        restate_days=config.refresh.restate_days,
        components=[(bill, *pair) for bill in bills for pair in config.components_of(bill).items()],
        scopes=[
            (bill, number, rule.match.get("service"), rule.match.get("category"), rule.scope)
            for bill in bills
            for number, rule in enumerate(getattr(config.settings(bill), "scopes", ()))
        ],
        folding=names.folding,
        unproven=unproven,
        pricing=pricing(config.ai.prices),
        settings=[(name, settings_digest(config, name)) for name in kinds],
    )


def terms(config: Config, directory: Directory) -> Terms:
    """Return what the configuration says of windows, budgets and plans."""
    return Terms(
        windows=config.windows,
        history=config.history,
        months=config.months,
        tenants=config.limits.tenants,
        currency=config.currency.code,
        models=config.limits.models,
        token_units=TOKEN_UNITS,
        directory=[(t.id, t.name, t.plan or None, t.status, t.budget_dollars) for t in directory.tenants],
        targets=[(name, plan.target_margin, plan.price) for name, plan in config.plans.items()],
        budgets=[(name, budget.dollars, budget.share_of_mrr) for name, budget in config.budgets.items()],
        what_if=what_if(config.ai),
    )


def what_if(ai: Ai) -> WhatIf:
    """Return what the configuration says of what AI could cost instead."""
    cache = ai.semantic_cache
    return WhatIf(
        pricing=pricing(ai.prices),
        routes=[(one.feature, one.to, one.from_, one.tokenizer_ratio, one.fallback_share) for one in ai.routing],
        cacheable=[*ai.cacheable_share.items()],
        embedding=None if cache is None else (cache.embedding_tokens, cache.embedding_model),
    )
