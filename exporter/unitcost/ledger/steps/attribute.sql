-- reads: cost, usage, revenue, mrr_day, doubt, resource_scope, and of this run: source, alias, rate, component, dirty
-- writes: cost_fact (costs in the configured currency with their tenant, component, scope and the resource of it), usage_day and revenue_day
--         of the dirty days

-- What a source says of a dirty day counts, unless the ledger holds of it what cannot be counted.
CREATE OR REPLACE TEMP TABLE heard AS
SELECT d.day, s.source, s.kind, told_kind(s.kind) AS says
FROM dirty d CROSS JOIN source s ANTI JOIN doubt x ON x.source = s.source AND x.day = d.day;

-- Each spelling is looked at once, not once a row.
CREATE OR REPLACE TEMP TABLE spelling AS
SELECT s.spelt, coalesce(a.tenant, tenant_id(alias_key(s.spelt))) AS tenant
FROM (SELECT tenant AS spelt FROM cost UNION SELECT tenant FROM usage UNION SELECT tenant FROM revenue) s
LEFT JOIN alias a ON a.alias = alias_key(s.spelt)
WHERE s.spelt IS NOT NULL;

-- So is each service, whose name comes before its category. A meter knows its components itself.
CREATE OR REPLACE TEMP TABLE service_component AS
SELECT s.source, s.service, s.category, coalesce(n.component, g.component, 'other') AS component
FROM (SELECT DISTINCT c.source, c.service, c.category FROM cost c SEMI JOIN dirty USING (day)) s
LEFT JOIN component n ON n.source = s.source AND n.name = s.service
LEFT JOIN component g ON g.source = s.source AND g.name = s.category;

CREATE OR REPLACE TEMP TABLE cost_fact AS
WITH counted AS (
    SELECT
        c.day, c.source, h.kind, c.scope, c.resource, n.tenant, c.service, c.item, c.dims, c.unit, c.quantity,
        CASE WHEN h.kind = 'cluster' THEN c.category ELSE s.component END AS component,
        CASE WHEN r.plain THEN c.amount ELSE converted(c.amount, r.factor, r.divisor) END AS amount,
        CASE WHEN r.plain THEN c.list_amount ELSE converted(c.list_amount, r.factor, r.divisor) END AS list_amount
    FROM cost c
    JOIN heard h ON h.day = c.day AND h.source = c.source AND h.says = 'cost'
    JOIN rate r ON r.currency = c.currency
    JOIN service_component s ON s.source = c.source AND s.service = c.service AND s.category IS NOT DISTINCT FROM c.category
    LEFT JOIN spelling n ON n.spelt = c.tenant
)
SELECT *, NULL::VARCHAR AS resource_kind FROM counted WHERE resource IS NULL
UNION ALL
SELECT c.day, c.source, c.kind, coalesce(r.scope, c.scope) AS scope, r.id AS resource, c.tenant, c.service, c.item, c.dims, c.unit,
    CAST(sum(c.quantity) AS DECIMAL(38, 12)) AS quantity, c.component, CAST(sum(c.amount) AS DECIMAL(38, 12)) AS amount,
    CAST(sum(c.list_amount) AS DECIMAL(38, 12)) AS list_amount, r.kind AS resource_kind
FROM counted c LEFT JOIN resource_scope r USING (resource)
WHERE c.resource IS NOT NULL
GROUP BY ALL;

INSERT INTO usage_day
SELECT u.day, n.tenant, u.measure, sum(u.quantity)
FROM usage u
JOIN heard h ON h.day = u.day AND h.source = u.source AND h.says = 'usage'
JOIN spelling n ON n.spelt = u.tenant
WHERE n.tenant IS NOT NULL
GROUP BY ALL;

INSERT INTO revenue_day
SELECT v.day, n.tenant, sum(CASE WHEN r.plain THEN v.mrr ELSE converted(v.mrr, r.factor, r.divisor) END)
FROM mrr_day v
JOIN heard h ON h.day = v.day AND h.source = v.source AND h.says = 'revenue'
JOIN rate r ON r.currency = v.currency
JOIN spelling n ON n.spelt = v.tenant
WHERE n.tenant IS NOT NULL
GROUP BY ALL;
