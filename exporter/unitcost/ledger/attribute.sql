-- reads: cost, usage, revenue, known_day, and of this run: source, alias, rate, dirty
-- writes: line (costs in the configured currency with their tenant), usage_day and revenue_day of the dirty days

-- Each spelling is looked at once, not once a row.
CREATE OR REPLACE TEMP TABLE spelling AS
SELECT s.spelt, coalesce(a.tenant, tenant_id(alias_key(s.spelt))) AS tenant
FROM (SELECT tenant AS spelt FROM cost UNION SELECT tenant FROM usage UNION SELECT tenant FROM revenue) s
LEFT JOIN alias a ON a.alias = alias_key(s.spelt)
WHERE s.spelt IS NOT NULL;

CREATE OR REPLACE TEMP TABLE line AS
SELECT
    c.day, c.source, s.kind, c.cluster, n.tenant, c.service, c.component, c.dimensions,
    CASE WHEN r.rate = 1 THEN c.amount ELSE CAST(c.amount * r.rate AS DECIMAL(38, 12)) END AS amount
FROM cost c
JOIN dirty d ON d.day = c.day
JOIN source s ON s.source = c.source
JOIN rate r ON r.currency = c.currency
LEFT JOIN spelling n ON n.spelt = c.tenant;

INSERT INTO usage_day
SELECT u.day, n.tenant, u.measure, sum(u.quantity)
FROM usage u
JOIN dirty d ON d.day = u.day
JOIN source s ON s.source = u.source
JOIN spelling n ON n.spelt = u.tenant
WHERE n.tenant IS NOT NULL
GROUP BY ALL;

INSERT INTO revenue_day
SELECT k.day, n.tenant, sum(CAST(v.mrr * r.rate AS DECIMAL(38, 12)))
FROM revenue v
JOIN known_day k ON k.source = v.source AND k.batch = v.batch
JOIN dirty d ON d.day = k.day
JOIN source s ON s.source = v.source
JOIN rate r ON r.currency = v.currency
JOIN spelling n ON n.spelt = v.tenant
WHERE n.tenant IS NOT NULL AND k.day >= v.first_day AND (v.last_day IS NULL OR k.day <= v.last_day)
GROUP BY ALL;
