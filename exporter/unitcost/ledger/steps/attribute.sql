-- reads: cost, usage, revenue, mrr_day, doubt, and of this run: source, alias, rate, dirty
-- writes: line (costs in the configured currency with their tenant), usage_day and revenue_day of the dirty days

-- What a source says of a dirty day counts, unless the ledger holds of it what cannot be counted.
CREATE OR REPLACE TEMP TABLE heard AS
SELECT d.day, s.source, s.kind FROM dirty d CROSS JOIN source s ANTI JOIN doubt x ON x.source = s.source AND x.day = d.day;

-- Each spelling is looked at once, not once a row.
CREATE OR REPLACE TEMP TABLE spelling AS
SELECT s.spelt, coalesce(a.tenant, tenant_id(alias_key(s.spelt))) AS tenant
FROM (SELECT tenant AS spelt FROM cost UNION SELECT tenant FROM usage UNION SELECT tenant FROM revenue) s
LEFT JOIN alias a ON a.alias = alias_key(s.spelt)
WHERE s.spelt IS NOT NULL;

CREATE OR REPLACE TEMP TABLE line AS
SELECT
    c.day, c.source, h.kind, c.cluster, n.tenant, c.service, c.component, c.dimensions,
    CASE WHEN r.plain THEN c.amount ELSE converted(c.amount, r.factor, r.divisor) END AS amount
FROM cost c
JOIN heard h ON h.day = c.day AND h.source = c.source
JOIN rate r ON r.currency = c.currency
LEFT JOIN spelling n ON n.spelt = c.tenant;

INSERT INTO usage_day
SELECT u.day, n.tenant, u.measure, sum(u.quantity)
FROM usage u
JOIN heard h ON h.day = u.day AND h.source = u.source
JOIN spelling n ON n.spelt = u.tenant
WHERE n.tenant IS NOT NULL
GROUP BY ALL;

INSERT INTO revenue_day
SELECT v.day, n.tenant, sum(CASE WHEN r.plain THEN v.mrr ELSE converted(v.mrr, r.factor, r.divisor) END)
FROM mrr_day v
JOIN heard h ON h.day = v.day AND h.source = v.source
JOIN rate r ON r.currency = v.currency
JOIN spelling n ON n.spelt = v.tenant
WHERE n.tenant IS NOT NULL
GROUP BY ALL;
