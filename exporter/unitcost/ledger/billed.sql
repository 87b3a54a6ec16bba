-- reads: cost, known_day, and of this run: source, billed_by
-- writes: pool_cluster (which OpenCost cluster a bill's Kubernetes rows belong to), billed_now (the span of days in
--         which the bill, not OpenCost, says what a cluster cost)

CREATE OR REPLACE TEMP TABLE opencost_cluster AS
SELECT DISTINCT c.source, c.cluster FROM cost c JOIN source s USING (source)
WHERE s.kind = 'cluster' AND c.cluster IS NOT NULL;

-- A bill that says "Kubernetes" but not which cluster ('') means the only one there is; with several, none.
CREATE OR REPLACE TEMP TABLE pool_cluster AS
WITH reachable AS (
    SELECT b.bill, o.cluster, count(DISTINCT o.cluster) OVER (PARTITION BY b.bill) AS clusters
    FROM billed_by b JOIN opencost_cluster o USING (source)
)
SELECT DISTINCT c.source AS bill, c.cluster AS bill_cluster, r.cluster
FROM (SELECT DISTINCT source, cluster FROM cost WHERE cluster IS NOT NULL) c
JOIN reachable r ON r.bill = c.source AND (r.cluster = c.cluster OR (c.cluster = '' AND r.clusters = 1));

CREATE OR REPLACE TEMP TABLE billed_now AS
WITH
marked AS (
    SELECT b.source, p.cluster, min(c.day) AS first_day, max(c.day) AS last_day
    FROM cost c
    JOIN pool_cluster p ON p.bill = c.source AND p.bill_cluster = c.cluster
    JOIN billed_by b ON b.bill = c.source
    JOIN opencost_cluster o ON o.source = b.source AND o.cluster = p.cluster
    GROUP BY ALL
),
covered AS (
    SELECT b.source, min(k.day) AS first_day, max(k.day) AS last_day
    FROM billed_by b JOIN known_day k ON k.source = b.bill GROUP BY ALL
)
SELECT o.source, o.cluster,
    coalesce(m.first_day, c.first_day) AS first_day, coalesce(m.last_day, c.last_day) AS last_day
FROM opencost_cluster o
LEFT JOIN marked m USING (source, cluster)
LEFT JOIN covered c USING (source)
WHERE coalesce(m.first_day, c.first_day) IS NOT NULL;
