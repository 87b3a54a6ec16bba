-- reads: cost_fact, pool_scope, and of this run: billed_by
-- writes: meter_line (what a meter says its users, idle included, cost that day), bill_pool (the bill's money of a day and
--         scope, by what of the scope it was for), bill_portion (each of these among the meter's figures)

-- Summed up first, so that a correction lowers what its own workload weighs, whatever names it was spelt by.
CREATE OR REPLACE TEMP TABLE meter_line AS
WITH summed AS (
    SELECT day, source, scope, resource, bearer, service, component, dims, CAST(sum(amount) AS DECIMAL(38, 12)) AS amount
    FROM cost_fact WHERE kind = 'cluster' GROUP BY ALL
)
SELECT row_number() OVER (ORDER BY day, scope, source, resource, bearer, component, service, dims) AS id, *
FROM summed;

-- What of a scope a meter's figure is of: one resource, everything of a kind, and all of it.
CREATE OR REPLACE TEMP TABLE meter_part AS
WITH positive AS (
    SELECT b.bill, o.* FROM meter_line o JOIN billed_by b USING (source) WHERE o.amount > 0
)
SELECT bill, day, scope, 'resource ' || resource AS part, id, amount FROM positive WHERE resource IS NOT NULL
UNION ALL
SELECT bill, day, scope, CASE service WHEN 'pv' THEN 'disk' WHEN 'cpu' THEN 'node' WHEN 'ram' THEN 'node'
        WHEN 'gpu' THEN 'node' ELSE service END AS part, id, amount
FROM positive WHERE service IN ('cpu', 'ram', 'gpu', 'pv', 'load_balancer', 'network')
UNION ALL
SELECT bill, day, scope, 'all', id, amount FROM positive;

-- A bill's row goes to who used its resource, where the meter knows that; else to the users of that kind; else to all.
CREATE OR REPLACE TEMP TABLE bill_pool AS
WITH
said AS (
    SELECT l.day, l.source, p.scope, l.amount,
        CASE WHEN l.component <> 'network' THEN 'resource ' || l.resource END AS resource,
        CASE
            WHEN l.resource_kind = 'load_balancer' OR contains(lower(l.service), 'load balanc') THEN 'load_balancer'
            WHEN l.component = 'network' THEN 'network'
            WHEN l.resource_kind IS NOT NULL THEN l.resource_kind
            WHEN l.component IN ('compute', 'gpu') THEN 'node'
            WHEN l.component = 'storage' THEN 'disk'
            ELSE 'all'
        END AS kind
    FROM cost_fact l JOIN pool_scope p ON p.bill = l.source AND p.bill_scope = l.scope
    WHERE l.kind = 'bill'
),
summed AS (SELECT day, source, scope, resource, kind, sum(amount) AS amount FROM said GROUP BY ALL),
metered AS (SELECT DISTINCT bill AS source, day, scope, part FROM meter_part),
chosen AS (
    SELECT s.*, coalesce(r.part, k.part, a.part) AS part
    FROM summed s
    LEFT JOIN metered r ON r.source = s.source AND r.day = s.day AND r.scope = s.scope AND r.part = s.resource
    LEFT JOIN metered k ON k.source = s.source AND k.day = s.day AND k.scope = s.scope AND k.part = s.kind
    LEFT JOIN metered a ON a.source = s.source AND a.day = s.day AND a.scope = s.scope AND a.part = 'all'
)
SELECT row_number() OVER (ORDER BY day, source, scope, part) AS pool, day, source, scope, part,
    CAST(sum(amount) AS DECIMAL(38, 12)) AS amount
FROM chosen GROUP BY day, source, scope, part;

CREATE OR REPLACE TEMP TABLE bill_weight AS
SELECT k.pool, m.id AS recipient, units(m.amount) AS weight
FROM bill_pool k JOIN meter_part m ON m.bill = k.source AND m.day = k.day AND m.scope = k.scope AND m.part = k.part;

CREATE OR REPLACE TEMP TABLE bill_portion AS FROM apportioned('bill_pool', 'bill_weight');
