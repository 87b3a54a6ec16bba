-- reads: cost, told_day, and of this run: source, billed_by
-- writes: pool_cluster (which OpenCost cluster a bill's Kubernetes rows belong to), billed_now (the days of which the
--         bill, not OpenCost, says what a cluster cost)

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

-- A day is the bill's where the bill was delivered and has usage of the cluster. Delivered, since a charge of a month is
-- spread over days that are still to come; usage, since a fee says nothing of what else the day cost; and day by day,
-- since a span has holes. A cluster that the bill never shows is the bill's on every day that was delivered.
CREATE OR REPLACE TEMP TABLE billed_now AS
WITH
delivered AS (
    SELECT DISTINCT b.source, b.bill, k.day FROM billed_by b JOIN told_day k ON k.source = b.bill
),
marked AS (
    SELECT DISTINCT b.source, p.cluster, d.day
    FROM (SELECT DISTINCT source, cluster, day FROM cost WHERE cluster IS NOT NULL AND charge = 'usage') c
    JOIN pool_cluster p ON p.bill = c.source AND p.bill_cluster = c.cluster
    JOIN billed_by b ON b.bill = c.source
    JOIN opencost_cluster o ON o.source = b.source AND o.cluster = p.cluster
    LEFT JOIN delivered d ON d.source = b.source AND d.bill = b.bill AND d.day = c.day
)
SELECT source, cluster, day FROM marked WHERE day IS NOT NULL
UNION
SELECT o.source, o.cluster, d.day
FROM opencost_cluster o JOIN delivered d USING (source)
ANTI JOIN marked m ON m.source = o.source AND m.cluster = o.cluster;
