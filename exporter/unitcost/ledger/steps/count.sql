-- reads: line, opencost_line, kubernetes_pool, portion, pool_cluster, billed_now, and of this run:
--        billed_by, source
-- writes: counted (each dollar of the dirty days once, with its tenant if it has one), counted_day, reconciled_day

-- A pool that OpenCost gave no weights for stays as the bill said it.
CREATE OR REPLACE TEMP TABLE split_pool AS
SELECT k.* FROM kubernetes_pool k WHERE k.pool IN (SELECT pool FROM portion);

CREATE OR REPLACE TEMP TABLE counted AS
SELECT l.day, l.source, l.cluster, l.tenant, l.service, l.component, l.dimensions, false AS estimated, l.amount
FROM line l
LEFT JOIN pool_cluster p ON p.bill = l.source AND p.bill_cluster = l.cluster AND l.kind = 'bill'
LEFT JOIN split_pool k ON k.day = l.day AND k.source = l.source AND k.cluster = p.cluster
WHERE l.kind <> 'cluster' AND k.pool IS NULL
UNION ALL
SELECT k.day, k.source, k.cluster, o.tenant, o.service, o.component, o.dimensions, false, n.amount
FROM portion n JOIN split_pool k USING (pool) JOIN opencost_line o ON o.id = n.recipient
UNION ALL
SELECT o.day, o.source, o.cluster, o.tenant, o.service, o.component, o.dimensions,
    o.source IN (SELECT source FROM billed_by), o.amount
FROM opencost_line o
LEFT JOIN billed_now b ON b.source = o.source AND b.cluster = o.cluster AND b.day = o.day
WHERE b.source IS NULL;

INSERT INTO counted_day
SELECT l.day, l.source, l.component, false, sum(l.amount) FROM line l WHERE l.kind <> 'cluster' GROUP BY ALL
UNION ALL
SELECT c.day, c.source, c.component, c.estimated, sum(c.amount) FROM counted c JOIN source s USING (source)
WHERE s.kind = 'cluster' GROUP BY ALL;

INSERT INTO reconciled_day
WITH
opencost AS (SELECT day, source, cluster, sum(amount) AS amount FROM opencost_line GROUP BY ALL),
billed AS (
    SELECT b.source, k.day, k.cluster, sum(k.amount) AS amount
    FROM kubernetes_pool k JOIN billed_by b ON b.bill = k.source GROUP BY ALL
)
SELECT o.day, o.source, o.cluster, coalesce(b.amount, 0), o.amount
FROM opencost o
JOIN billed_now r ON r.source = o.source AND r.cluster = o.cluster AND r.day = o.day
LEFT JOIN billed b ON b.source = o.source AND b.cluster = o.cluster AND b.day = o.day;
