-- reads: cost_fact, pool_scope, and of this run: billed_by
-- writes: opencost_line (what OpenCost says its workloads, idle included, cost that day), kubernetes_pool (the bill's
--         Kubernetes money of a day and cluster); pool and weight (for apportion.sql), these weighted by those

-- Summed up first, so that a correction lowers what its own workload weighs, whatever names it was spelt by.
CREATE OR REPLACE TEMP TABLE opencost_line AS
WITH summed AS (
    SELECT day, source, scope, tenant, service, component, dims, CAST(sum(amount) AS DECIMAL(38, 12)) AS amount
    FROM cost_fact WHERE kind = 'cluster' GROUP BY ALL
)
SELECT row_number() OVER (ORDER BY day, scope, source, tenant, component, service, dims) AS id, *
FROM summed;

CREATE OR REPLACE TEMP TABLE kubernetes_pool AS
SELECT row_number() OVER (ORDER BY l.day, l.source, p.scope) AS pool,
    l.day, l.source, p.scope, CAST(sum(l.amount) AS DECIMAL(38, 12)) AS amount
FROM cost_fact l JOIN pool_scope p ON p.bill = l.source AND p.bill_scope = l.scope
WHERE l.kind = 'bill'
GROUP BY l.day, l.source, p.scope;

CREATE OR REPLACE TEMP TABLE pool AS SELECT pool, amount FROM kubernetes_pool;

CREATE OR REPLACE TEMP TABLE weight AS
SELECT k.pool, o.id AS recipient, units(o.amount) AS weight
FROM kubernetes_pool k
JOIN opencost_line o ON o.day = k.day AND o.scope = k.scope
JOIN billed_by b ON b.source = o.source AND b.bill = k.source
WHERE o.amount > 0;
