"""What a PromQL expression reads: every metric and label, held against the catalogue, through aggregations and joins.

It finds the faults that make a panel or an alert silently empty: a metric nobody serves, a label that a metric has not
or that an aggregation has already taken away, a join on a label that one side has not. Variables of Grafana must be
filled in first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import promql_parser as pp

from unitcost.metrics import catalogue, external, recorded
from unitcost.metrics.metric import Metric

SET_OPERATORS = ("and", "or", "unless")
KEEP_LABELS = ("topk", "bottomk", "limitk", "limit_ratio")
LABELLESS = ("scalar", "vector", "time", "pi", "day_of_month", "days_in_month", "hour", "month", "year", "minute")

Labels = frozenset[str]


def everything() -> dict[str, Metric]:
    """Return every metric that a rule or a page may read, by name; scraped ones with job and instance."""
    known = {metric.name: metric for metric in (*catalogue.ALL, *external.EXTERNAL)}
    return known | {metric.name: metric for metric in recorded.RECORDED}


class Reading:
    """One expression, read against the known metrics.

    metrics: name → labels that matchers use. labels: those the result can have. problems: what is wrong, in words.
    """

    def __init__(self, promql: str, known: Mapping[str, Metric]) -> None:
        self.promql = promql
        self.metrics: dict[str, set[str]] = {}
        self.problems: list[str] = []
        self._known = known
        self.labels = self._visit(pp.parse(promql))

    def _visit(self, node: pp.Expr) -> Labels:
        """Return the labels that the result of this node can have."""
        match node:
            case pp.VectorSelector():
                labels = self._selector(node)
            case pp.MatrixSelector():
                labels = self._selector(node.vector_selector)
            case pp.ParenExpr() | pp.UnaryExpr() | pp.SubqueryExpr():
                labels = self._visit(node.expr)
            case pp.AggregateExpr():
                labels = self._aggregate(node)
            case pp.BinaryExpr():
                labels = self._binary(node)
            case pp.Call():
                labels = self._call(node)
            case _:
                labels = frozenset()
        return labels

    def _selector(self, node: pp.VectorSelector) -> Labels:
        name = node.name or ""
        metric = self._known.get(name)
        matched = {matcher.name for matcher in node.matchers.matchers if matcher.name != "__name__"}
        if metric is None:
            self.problems.append(f"{name or node} is not in the catalogue")
            return frozenset()
        self.metrics.setdefault(name, set()).update(matched)
        labels = frozenset(self._stored(metric))
        self._expect(matched, labels, name)
        return labels

    def _stored(self, metric: Metric) -> tuple[str, ...]:
        """Return the labels that a metric has in Prometheus."""
        if ":" in metric.name or metric in (external.ALERTS, external.ALERTS_FOR_STATE):
            return metric.labels
        if metric in external.EXTERNAL:
            return external.stored_labels(metric)
        return (*metric.labels, *external.SCRAPED_LABELS)

    def _aggregate(self, node: pp.AggregateExpr) -> Labels:
        inner = self._visit(node.expr)
        if node.param is not None and isinstance(node.param, pp.Expr):
            self._visit(node.param)
        if str(node.op) in KEEP_LABELS:
            if node.modifier is not None:
                self._expect(node.modifier.labels, inner, f"{node.op} by")
            return inner
        if node.modifier is None:
            return frozenset()
        named = frozenset(node.modifier.labels)
        self._expect(named, inner, f"{node.op} by")
        return named if node.modifier.type == pp.AggModifierType.By else inner - named

    def _binary(self, node: pp.BinaryExpr) -> Labels:
        left, right = self._visit(node.lhs), self._visit(node.rhs)
        modifier = node.modifier
        if modifier is None or modifier.matching is None:
            return left | right if str(node.op) == "or" or not left else left
        named = frozenset(modifier.matching.labels)
        include = modifier.matching.type == pp.LabelModifierType.Include
        if include:
            self._expect(named, left, f"left of {node.op} on")
            self._expect(named, right, f"right of {node.op} on")
        if str(node.op) in SET_OPERATORS:
            return left | right if str(node.op) == "or" else left
        carried = frozenset(modifier.group_labels or ())
        if modifier.card == pp.VectorMatchCardinality.ManyToOne:
            self._expect(carried, right, "group_left")
            return left | carried
        if modifier.card == pp.VectorMatchCardinality.OneToMany:
            self._expect(carried, left, "group_right")
            return right | carried
        return named if include else left - named

    def _call(self, node: pp.Call) -> Labels:
        name = node.func.name
        if name == "label_replace":
            inner = self._visit(node.args[0])
            target, source = (self._text(node.args[place]) for place in (1, 3))
            self._expect({source} - {""}, inner, "label_replace from")
            return inner | {target}
        if name == "label_join":
            inner = self._visit(node.args[0])
            self._expect(map(self._text, node.args[3:]), inner, "label_join from")
            return inner | {self._text(node.args[1])}
        inner = frozenset[str]().union(*(self._visit(arg) for arg in node.args))
        if name in ("absent", "absent_over_time"):
            selector = node.args[0]
            found = getattr(selector, "vector_selector", selector)
            matchers = getattr(found, "matchers", None)
            return frozenset(m.name for m in matchers.matchers if m.op == pp.MatchOp.Equal) if matchers else inner
        return frozenset() if name in LABELLESS else inner

    def _text(self, node: pp.Expr) -> str:
        assert isinstance(node, pp.StringLiteral)
        return node.val

    def _expect(self, wanted: Iterable[str], there: Labels, where: str) -> None:
        missing = sorted(set(wanted) - there)
        if missing:
            self.problems.append(f"{where}: no label {', '.join(missing)} among {', '.join(sorted(there)) or 'none'}")
