-- reads: cost_fact, meter_line, token, token_line, bill_row, bill_part, bill_pool, bill_portion, pool_scope, billed_now,
--        and of this run: billed_by
-- writes: counted (each dollar of the dirty days once, with who bears it, if anybody), counted_day, commitment_day,
--         reconciled_day

-- A pool that the meter gave no weights for stays as the bill said it.
CREATE OR REPLACE TEMP TABLE split_pool AS
SELECT k.* FROM bill_pool k WHERE k.pool IN (SELECT pool FROM bill_portion);
CREATE OR REPLACE TEMP TABLE split_cluster AS
SELECT DISTINCT p.day, p.source, p.scope FROM split_pool p WHERE is_cluster(p.scope);
CREATE OR REPLACE TEMP TABLE split_row AS
SELECT b.day, b.source, b.bill_scope, b.bearer, b.item, b.unit
FROM bill_part b JOIN split_pool p ON p.day = b.day AND p.source = b.source AND p.scope = b.scope AND p.part = b.part
WHERE NOT is_cluster(b.scope);

CREATE OR REPLACE TEMP TABLE counted AS
SELECT l.day, l.bearer, l.source, l.component, l.service, l.item, l.dims, l.scope, 'billed' AS basis, l.unit, l.quantity,
    l.amount, l.list_amount
FROM cost_fact l
LEFT JOIN pool_scope p ON p.bill = l.source AND p.bill_scope = l.scope AND l.kind = 'bill'
LEFT JOIN split_cluster k ON k.day = l.day AND k.source = l.source AND k.scope = p.scope
LEFT JOIN split_row r ON r.day = l.day AND r.source = l.source AND r.bill_scope = l.scope
    AND r.bearer IS NOT DISTINCT FROM l.bearer AND r.item IS NOT DISTINCT FROM l.item
    AND r.unit IS NOT DISTINCT FROM l.unit
WHERE l.kind <> 'cluster' AND k.day IS NULL AND r.day IS NULL
UNION ALL
SELECT k.day, o.bearer, k.source, o.component, o.service, o.item, o.dims, k.scope, 'reconciled', o.unit,
    known_sum(CASE WHEN k.nth = 1 THEN o.quantity WHEN o.quantity IS NOT NULL THEN 0 END),
    CAST(sum(k.amount) AS DECIMAL(38, 12)), known_sum(CASE WHEN k.nth = 1 THEN o.amount ELSE 0 END)
FROM (
    SELECT *, row_number() OVER (PARTITION BY recipient ORDER BY source) AS nth FROM (
        SELECT p.day, p.source, p.scope, n.recipient, sum(n.amount) AS amount
        FROM bill_portion n JOIN split_pool p USING (pool) GROUP BY ALL
    )
) k JOIN meter_line o ON o.id = k.recipient
GROUP BY ALL
UNION ALL
SELECT o.day, o.bearer, o.source, o.component, o.service, o.item, o.dims, o.scope,
    CASE
        WHEN o.amount IS NULL THEN 'unpriced'
        WHEN b.day IS NOT NULL THEN 'reconciled'
        WHEN is_cluster(o.scope) AND o.source IN (SELECT source FROM billed_by) THEN 'estimated'
        WHEN o.scope IN (SELECT scope FROM pool_scope) THEN 'estimated'
        ELSE 'priced'
    END AS basis,
    o.unit, known_sum(o.quantity),
    CAST(sum(CASE WHEN b.day IS NULL THEN coalesce(o.amount, 0) ELSE 0 END) AS DECIMAL(38, 12)), known_sum(o.amount)
FROM meter_line o
LEFT JOIN billed_now b ON b.source = o.source AND b.scope = o.scope AND b.day = o.day
WHERE b.source IS NULL OR o.quantity IS NOT NULL AND o.id NOT IN (SELECT recipient FROM bill_portion)
GROUP BY ALL;

INSERT INTO counted_day
SELECT l.day, l.source, l.component, false, sum(l.amount) FROM cost_fact l WHERE l.kind <> 'cluster' GROUP BY ALL
UNION ALL
SELECT c.day, c.source, c.component, c.basis = 'estimated', sum(c.amount) FROM counted c
WHERE c.basis IN ('estimated', 'priced') GROUP BY ALL;

INSERT INTO commitment_day
SELECT day, coalesce(unused_of, component),
    CAST(sum(list_amount - amount) FILTER (unused_of IS NULL) AS DECIMAL(38, 12)),
    CAST(coalesce(sum(amount) FILTER (unused_of IS NOT NULL), 0) AS DECIMAL(38, 12))
FROM cost_fact WHERE kind = 'bill' AND (list_amount IS NOT NULL OR unused_of IS NOT NULL) GROUP BY ALL;

INSERT INTO reconciled_day
WITH
metered AS (
    SELECT o.day, min(o.source) AS source, o.scope, sum(o.amount) AS amount
    FROM meter_line o JOIN billed_now r ON r.source = o.source AND r.scope = o.scope AND r.day = o.day
    GROUP BY ALL
),
billed AS (SELECT day, scope, sum(amount) AS amount FROM bill_row GROUP BY ALL),
missed AS (SELECT day, scope, sum(amount) AS amount FROM token_line WHERE missed GROUP BY ALL),
reported AS (SELECT DISTINCT day, scope FROM token WHERE reported)
SELECT m.day, m.source, m.scope, coalesce(b.amount, 0), m.amount,
    CASE WHEN r.day IS NOT NULL THEN coalesce(x.amount, 0) END
FROM metered m LEFT JOIN billed b USING (day, scope) LEFT JOIN reported r USING (day, scope)
LEFT JOIN missed x USING (day, scope)
WHERE m.amount IS NOT NULL;
