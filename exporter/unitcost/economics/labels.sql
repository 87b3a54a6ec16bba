-- reads: cost, resource_scope, spelling, and of this run: source
-- writes: label_conflict (resources that a bill's tag gives to one tenant and a cluster's labels to others, on the days that
--         both speak of)

CREATE OR REPLACE TEMP TABLE label_conflict AS
WITH
said AS (
    SELECT c.day, s.kind, r.id AS resource, r.kind AS what, n.tenant, c.currency, sum(c.amount) AS amount
    FROM cost c
    JOIN source s USING (source)
    JOIN resource_scope r USING (resource)
    JOIN spelling n ON n.spelt = c.tenant
    WHERE s.kind IN ('bill', 'cluster')
    GROUP BY ALL
),
tagged AS (
    SELECT t.resource, t.what, t.tenant, t.currency, sum(t.amount) AS amount
    FROM said t
    SEMI JOIN said u ON u.kind = 'cluster' AND u.resource = t.resource AND u.day = t.day AND u.tenant <> t.tenant
    WHERE t.kind = 'bill'
    GROUP BY ALL
),
used AS (
    SELECT u.resource, u.tenant, sum(u.amount) AS amount
    FROM said u SEMI JOIN said t ON t.kind = 'bill' AND t.resource = u.resource AND t.day = u.day
    WHERE u.kind = 'cluster'
    GROUP BY ALL HAVING sum(u.amount) > 0
),
share AS (SELECT resource, tenant, CAST(amount / sum(amount) OVER (PARTITION BY resource) AS DOUBLE) AS share FROM used)
SELECT t.resource, t.what, t.tenant AS tag, t.currency, CAST(t.amount AS DECIMAL(38, 12)) AS amount,
    list(s.tenant ORDER BY s.share DESC, s.tenant) AS tenants, list(s.share ORDER BY s.share DESC, s.tenant) AS shares
FROM tagged t JOIN share s USING (resource)
GROUP BY t.resource, t.what, t.tenant, t.currency, t.amount
ORDER BY abs(t.amount) DESC, t.resource, t.tenant;
