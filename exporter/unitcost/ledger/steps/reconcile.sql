-- reads: line, pool_cluster, and of this run: billed_by
-- writes: opencost_line (what OpenCost says its workloads, idle included, cost that day), kubernetes_pool (the bill's
--         Kubernetes money of a day and cluster); pool and weight (for apportion.sql), these weighted by those

-- Summed up first, so that a correction lowers what its own workload weighs, whatever names it was spelt by.
CREATE OR REPLACE TEMP TABLE opencost_line AS
WITH summed AS (
    SELECT day, source, cluster, tenant, service, component, dimensions, CAST(sum(amount) AS DECIMAL(38, 12)) AS amount
    FROM line WHERE kind = 'cluster' GROUP BY ALL
)
SELECT row_number() OVER (ORDER BY day, cluster, source, tenant, component, service, dimensions::VARCHAR) AS id, *
FROM summed;

CREATE OR REPLACE TEMP TABLE kubernetes_pool AS
SELECT row_number() OVER (ORDER BY l.day, l.source, p.cluster) AS pool,
    l.day, l.source, p.cluster, CAST(sum(l.amount) AS DECIMAL(38, 12)) AS amount
FROM line l JOIN pool_cluster p ON p.bill = l.source AND p.bill_cluster = l.cluster
WHERE l.kind = 'bill'
GROUP BY l.day, l.source, p.cluster;

CREATE OR REPLACE TEMP TABLE pool AS SELECT pool, amount FROM kubernetes_pool;

CREATE OR REPLACE TEMP TABLE weight AS
SELECT k.pool, o.id AS recipient, units(o.amount) AS weight
FROM kubernetes_pool k
JOIN opencost_line o ON o.day = k.day AND o.cluster = k.cluster
JOIN billed_by b ON b.source = o.source AND b.bill = k.source
WHERE o.amount > 0;
