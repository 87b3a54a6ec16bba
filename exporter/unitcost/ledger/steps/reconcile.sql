-- reads: cost_fact, unmounted_disk, token_line, pool_scope, and of this run: billed_by
-- writes: meter_line (what a meter says its users, idle included, cost that day), bill_row (the bill's money of a day and
--         scope, by what of the scope it was for), bill_part (the same with what of it the meter knows), bill_pool (the sums of
--         these), bill_portion (each of them among the meter's figures)

-- Summed up first, so that a correction lowers what its own workload weighs, whatever names it was spelt by.
CREATE OR REPLACE TEMP TABLE meter_line AS
WITH
said AS (
    SELECT c.day, c.source, c.scope, c.resource, coalesce(c.bearer, u.bearer) AS bearer, c.service, c.component, c.dims, c.amount
    FROM cost_fact c
    LEFT JOIN unmounted_disk u ON u.day = c.day AND u.scope = c.scope AND u.resource = c.resource AND c.service = 'pv'
    WHERE c.kind = 'cluster'
    UNION ALL BY NAME
    SELECT day, source, scope, bearer, coalesce(split_part(scope, '/', 1), 'ai') AS service, 'ai' AS component, dims, model AS item,
        unit, quantity, amount
    FROM token_line
),
summed AS (
    SELECT day, source, scope, resource, bearer, service, component, dims, item, unit, known_sum(quantity) AS quantity,
        known_sum(amount) AS amount
    FROM said GROUP BY ALL
)
SELECT row_number() OVER (ORDER BY day, scope, source, resource, bearer, component, service, dims, item, unit) AS id, *
FROM summed;

-- The bill's rows by what each is for, the finest first. One of a cluster: its resource, everything of a kind, all of it.
-- One of a provider: the tokens of a model in one direction, the model; what is sold by a unit of no model (searches) by
-- that unit; and all only where it names neither. Where it names a tenant, his alone.
CREATE OR REPLACE TEMP TABLE bill_row AS
WITH
clusters AS (
    SELECT l.day, l.source, p.scope, l.amount,
        CASE WHEN l.component <> 'network' THEN 'resource ' || l.resource END AS finest,
        CASE
            WHEN l.resource_kind = 'load_balancer' OR contains(lower(l.service), 'load balanc') THEN 'load_balancer'
            WHEN l.component = 'network' THEN 'network'
            WHEN l.resource_kind IS NOT NULL THEN l.resource_kind
            WHEN l.component IN ('compute', 'gpu') THEN 'node'
            WHEN l.component = 'storage' THEN 'disk'
            ELSE 'all'
        END AS coarser,
        'all' AS coarsest
    FROM cost_fact l JOIN pool_scope p ON p.bill = l.source AND p.bill_scope = l.scope
    WHERE l.kind = 'bill' AND is_cluster(p.scope)
),
providers AS (
    SELECT l.day, l.source, p.scope, l.amount, l.scope AS bill_scope, l.bearer, l.item, l.unit,
        coalesce('of ' || l.bearer || ' ', '') AS whose,
        whose || CASE WHEN l.item IS NULL THEN 'unit ' ELSE 'item ' || l.item || ' ' END || l.unit AS finest,
        whose || 'model ' || l.item AS coarser,
        CASE WHEN l.item IS NULL AND l.unit IS NULL OR l.bearer IS NOT NULL THEN whose || 'all' END AS coarsest
    FROM cost_fact l JOIN pool_scope p ON p.bill = l.source AND p.bill_scope = l.scope
    WHERE l.kind = 'bill' AND NOT is_cluster(p.scope)
)
SELECT day, source, scope, finest, coarser, coarsest, NULL AS bill_scope, NULL AS bearer, NULL AS item, NULL AS unit,
    sum(amount) AS amount
FROM clusters GROUP BY ALL
UNION ALL BY NAME
SELECT * EXCLUDE (whose, amount), sum(amount) AS amount FROM providers GROUP BY ALL;

-- What of a scope a meter's figure is of: one resource, everything of a kind, and all of it. Tokens of a model in one
-- direction have one price, known or not, so that their number weighs.
CREATE OR REPLACE TEMP TABLE meter_part AS
WITH
metered AS (SELECT b.bill, o.* FROM meter_line o JOIN billed_by b USING (source)),
positive AS (SELECT bill, day, scope, id, resource, service, component, amount FROM metered WHERE amount > 0),
named AS (SELECT DISTINCT source AS bill, day, scope, bearer FROM bill_row WHERE bearer IS NOT NULL),
token AS (
    SELECT m.*, CASE WHEN n.bearer IS NOT NULL THEN 'of ' || m.bearer || ' ' ELSE '' END AS whose
    FROM metered m LEFT JOIN named n ON n.bill = m.bill AND n.day = m.day AND n.scope = m.scope AND n.bearer = m.bearer
    WHERE m.item IS NOT NULL AND m.scope IS NOT NULL
)
SELECT bill, day, scope, 'resource ' || resource AS part, id, amount FROM positive WHERE resource IS NOT NULL
UNION ALL
SELECT bill, day, scope, CASE service WHEN 'pv' THEN 'disk' WHEN 'cpu' THEN 'node' WHEN 'ram' THEN 'node'
        WHEN 'gpu' THEN 'node' ELSE service END AS part, id, amount
FROM positive WHERE is_cluster(scope) AND service IN ('cpu', 'ram', 'gpu', 'pv', 'load_balancer', 'network')
UNION ALL
SELECT bill, day, scope, 'all', id, amount FROM positive WHERE is_cluster(scope)
UNION ALL
SELECT bill, day, scope, whose || unnest(['item ' || item || ' ' || unit, 'unit ' || unit]), id, quantity
FROM token WHERE quantity > 0
UNION ALL
SELECT bill, day, scope, whose || unnest(['model ' || item, 'all']), id, amount FROM token WHERE amount > 0;

-- A bill's row goes to who used its resource, where the meter knows that; else to the users of that kind; else to all.
CREATE OR REPLACE TEMP TABLE bill_part AS
WITH metered AS (SELECT DISTINCT bill AS source, day, scope, part FROM meter_part)
SELECT s.*, coalesce(r.part, k.part, a.part) AS part
FROM bill_row s
LEFT JOIN metered r ON r.source = s.source AND r.day = s.day AND r.scope = s.scope AND r.part = s.finest
LEFT JOIN metered k ON k.source = s.source AND k.day = s.day AND k.scope = s.scope AND k.part = s.coarser
LEFT JOIN metered a ON a.source = s.source AND a.day = s.day AND a.scope = s.scope AND a.part = s.coarsest;

CREATE OR REPLACE TEMP TABLE bill_pool AS
SELECT row_number() OVER (ORDER BY day, source, scope, part) AS pool, day, source, scope, part,
    CAST(sum(amount) AS DECIMAL(38, 12)) AS amount
FROM bill_part WHERE part IS NOT NULL OR is_cluster(scope) GROUP BY day, source, scope, part;

CREATE OR REPLACE TEMP TABLE bill_weight AS
SELECT k.pool, m.id AS recipient, units(m.amount) AS weight
FROM bill_pool k JOIN meter_part m ON m.bill = k.source AND m.day = k.day AND m.scope = k.scope AND m.part = k.part;

CREATE OR REPLACE TEMP TABLE bill_portion AS FROM apportioned('bill_pool', 'bill_weight');
