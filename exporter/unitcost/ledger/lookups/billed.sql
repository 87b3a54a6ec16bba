-- reads: scoped_day, machine_day, told_day, price, and of this run: source, billed_by, priced_use
-- writes: pool_scope (which scope of a meter a bill's rows belong to), billed_now (the days of which the bill, not the
--         meter, says what a scope cost)

CREATE OR REPLACE TEMP TABLE metered_scope AS
SELECT DISTINCT d.source, d.scope FROM scoped_day d JOIN source s USING (source) WHERE s.kind = 'cluster'
UNION
SELECT DISTINCT u.source, p.scope
FROM (SELECT DISTINCT source, used_scope, used_item FROM priced_use WHERE unit <> '') u
JOIN price p ON p.used_scope = u.used_scope AND p.used_item = u.used_item AND p.unit = ''
JOIN source s ON s.source = u.source
WHERE p.scope IS NOT NULL;

-- A bill that says "Kubernetes" but not which cluster ('k8s/') means the only one there is; with several, none. So it is
-- with a provider and the account.
CREATE OR REPLACE TEMP TABLE pool_scope AS
WITH reachable AS (
    SELECT b.bill, o.scope, split_part(o.scope, '/', 1) || '/' AS family,
        count(DISTINCT o.scope) OVER (PARTITION BY b.bill, split_part(o.scope, '/', 1)) AS scopes
    FROM billed_by b JOIN metered_scope o USING (source)
)
SELECT DISTINCT c.source AS bill, c.scope AS bill_scope, r.scope
FROM (SELECT DISTINCT source, scope FROM scoped_day) c
JOIN reachable r ON r.bill = c.source AND (r.scope = c.scope OR (c.scope = r.family AND r.scopes = 1));

-- A day is the bill's where the bill was delivered and has usage of the scope. Delivered, since a charge of a month is
-- spread over days that are still to come; usage, since a fee says nothing of what else the day cost; and day by day,
-- since a span has holes. A cluster that the bill never shows is the bill's on every day that was delivered; a provider's
-- account need not be in it at all. Unless the configuration says which bill holds the clusters, a bill speaks for them on
-- days that it charges for machines only: a vendor's bill for monitoring was delivered too, and says nothing of nodes.
CREATE OR REPLACE TEMP TABLE billed_now AS
WITH
delivered AS (
    SELECT DISTINCT b.source, b.bill, k.day, b.named OR m.day IS NOT NULL AS of_machines
    FROM billed_by b JOIN told_day k ON k.source = b.bill AND k.says = 'cost'
    LEFT JOIN machine_day m ON m.source = b.bill AND m.day = k.day
),
marked AS (
    SELECT DISTINCT b.source, p.scope, d.day
    FROM (SELECT DISTINCT source, scope, day FROM scoped_day WHERE used) c
    JOIN pool_scope p ON p.bill = c.source AND p.bill_scope = c.scope
    JOIN billed_by b ON b.bill = c.source
    JOIN metered_scope o ON o.source = b.source AND o.scope = p.scope
    LEFT JOIN machine_day m ON m.source = b.bill AND m.day = c.day
    LEFT JOIN delivered d ON d.source = b.source AND d.bill = b.bill AND d.day = c.day
    WHERE b.named OR m.day IS NOT NULL OR NOT is_cluster(p.scope)
)
SELECT source, scope, day FROM marked WHERE day IS NOT NULL
UNION
SELECT o.source, o.scope, d.day
FROM metered_scope o JOIN delivered d USING (source)
ANTI JOIN marked m ON m.source = o.source AND m.scope = o.scope
WHERE is_cluster(o.scope) AND d.of_machines;
