-- reads: cost, usage, price, told_day, doubt, pool_scope, dimension_set, and of this run: rate, audit_day, audit_source
-- writes: what each source says of the use of models on the days that are looked at: audit_used (units), audit_billed (rows of
--         a bill), audit_told (of which days a provider's bill, and its report, are known), audit_unmapped (tokens of no known
--         model or kind)

CREATE OR REPLACE TEMP TABLE audit_heard AS
SELECT s.source, s.role, d.day FROM audit_source s CROSS JOIN audit_day d
ANTI JOIN doubt x ON x.source = s.source AND x.day = d.day;

CREATE OR REPLACE TEMP TABLE audit_said AS
SELECT u.day, u.source, h.role, u.scope AS used_scope, u.item, u.measure, u.unit,
    coalesce(d.dimensions['service_tier'] = 'batch', false) AS batch, u.quantity
FROM usage u JOIN audit_heard h USING (source, day) LEFT JOIN dimension_set d ON d.id = u.dims;

CREATE OR REPLACE TEMP TABLE audit_used AS
SELECT u.day, u.source, u.role, coalesce(p.scope, u.used_scope) AS scope, coalesce(p.model, u.item, '') AS model,
    u.measure, u.unit, u.batch,
    arg_max({'factor': p.factor, 'divisor': p.divisor}, u.quantity) AS price,
    CAST(sum(u.quantity) AS DECIMAL(38, 12)) AS quantity
FROM audit_said u
LEFT JOIN price p ON p.used_scope = u.used_scope AND p.used_item = u.item AND p.unit = u.unit
    AND u.day >= p.first_day AND u.day < p.end_day
WHERE u.unit IS NOT NULL AND u.used_scope IS NOT NULL
GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE audit_unmapped AS
SELECT day, source, role, item AS label, CAST(sum(quantity) AS DECIMAL(38, 12)) AS quantity
FROM audit_said WHERE measure = 'ai_unmapped' GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE audit_billed AS
WITH
ruled AS (
    SELECT c.*, coalesce(c.scope, ruled_scope(c.source, c.service, c.category)) AS bill_scope
    FROM cost c JOIN audit_heard h USING (source, day) WHERE h.role = 'bill'
),
said AS (
    SELECT c.day, c.source, coalesce(o.scope, c.bill_scope) AS scope, coalesce(p.model, c.item, '') AS model,
        c.unit, c.charge, c.amount, r.factor, r.divisor, r.plain
    FROM ruled c
    JOIN rate r ON r.currency = c.currency
    LEFT JOIN pool_scope o ON o.bill = c.source AND o.bill_scope = c.bill_scope
    LEFT JOIN price p ON p.used_scope = c.scope AND p.used_item = c.item AND p.unit = ''
        AND c.day >= p.first_day AND c.day < p.end_day
    WHERE c.bill_scope IS NOT NULL AND NOT is_cluster(c.bill_scope)
)
SELECT day, source, scope, model, unit, charge, count(*) AS rows,
    CAST(sum(CASE WHEN plain THEN amount ELSE converted(units(amount), factor, divisor) END) AS DECIMAL(38, 12)) AS amount
FROM said GROUP BY ALL;

-- A day of a scope without a row is known to be 0 where its source was heard of that day, and speaks of that scope at all.
CREATE OR REPLACE TEMP TABLE audit_told AS
SELECT DISTINCT t.scope, k.day, k.says
FROM (
    SELECT DISTINCT source, scope, 'cost' AS says FROM audit_billed
    UNION ALL
    SELECT DISTINCT source, scope, unnest(['cost', 'usage']) FROM audit_used WHERE role = 'bill'
) t
JOIN told_day k ON k.source = t.source AND k.says = t.says JOIN audit_day d ON d.day = k.day;
