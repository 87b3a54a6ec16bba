-- reads: cost_fact, meter_line, bill_pool, bill_portion, pool_scope, billed_now, and of this run:
--        billed_by, source
-- writes: counted (each dollar of the dirty days once, with who bears it, if anybody), counted_day, reconciled_day

-- A pool that the meter gave no weights for stays as the bill said it.
CREATE OR REPLACE TEMP TABLE split_pool AS
SELECT k.* FROM bill_pool k WHERE k.pool IN (SELECT pool FROM bill_portion);
CREATE OR REPLACE TEMP TABLE split_day AS SELECT DISTINCT day, source, scope FROM split_pool;

CREATE OR REPLACE TEMP TABLE counted AS
SELECT l.day, l.bearer, l.source, l.component, l.service, l.item, l.dims, l.scope, 'billed' AS basis, l.unit, l.quantity,
    l.amount, l.list_amount
FROM cost_fact l
LEFT JOIN pool_scope p ON p.bill = l.source AND p.bill_scope = l.scope AND l.kind = 'bill'
LEFT JOIN split_day k ON k.day = l.day AND k.source = l.source AND k.scope = p.scope
WHERE l.kind <> 'cluster' AND k.day IS NULL
UNION ALL
SELECT k.day, o.bearer, k.source, o.component, o.service, NULL, o.dims, k.scope, 'reconciled', NULL, NULL,
    CAST(sum(k.amount) AS DECIMAL(38, 12)), CAST(sum(o.amount) AS DECIMAL(38, 12))
FROM (
    SELECT p.day, p.source, p.scope, n.recipient, sum(n.amount) AS amount
    FROM bill_portion n JOIN split_pool p USING (pool) GROUP BY ALL
) k JOIN meter_line o ON o.id = k.recipient
GROUP BY ALL
UNION ALL
SELECT o.day, o.bearer, o.source, o.component, o.service, NULL, o.dims, o.scope,
    CASE WHEN o.source IN (SELECT source FROM billed_by) THEN 'estimated' ELSE 'priced' END, NULL, NULL,
    CAST(sum(o.amount) AS DECIMAL(38, 12)), CAST(sum(o.amount) AS DECIMAL(38, 12))
FROM meter_line o
LEFT JOIN billed_now b ON b.source = o.source AND b.scope = o.scope AND b.day = o.day
WHERE b.source IS NULL
GROUP BY ALL;

INSERT INTO counted_day
SELECT l.day, l.source, l.component, false, sum(l.amount) FROM cost_fact l WHERE l.kind <> 'cluster' GROUP BY ALL
UNION ALL
SELECT c.day, c.source, c.component, c.basis = 'estimated', sum(c.amount) FROM counted c JOIN source s USING (source)
WHERE s.kind = 'cluster' GROUP BY ALL;

INSERT INTO reconciled_day
WITH
opencost AS (SELECT day, source, scope, sum(amount) AS amount FROM meter_line GROUP BY ALL),
billed AS (
    SELECT b.source, k.day, k.scope, sum(k.amount) AS amount
    FROM bill_pool k JOIN billed_by b ON b.bill = k.source GROUP BY ALL
)
SELECT o.day, o.source, o.scope, coalesce(b.amount, 0), o.amount
FROM opencost o
JOIN billed_now r ON r.source = o.source AND r.scope = o.scope AND r.day = o.day
LEFT JOIN billed b ON b.source = o.source AND b.scope = o.scope AND b.day = o.day;
