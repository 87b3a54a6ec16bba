-- reads: told_day, usage_day, and of this run: source
-- writes: nothing; the first day since when all required sources of costs, and of revenue, say something, or any
--         source where none is required; and the first day of each measure of usage

WITH
first AS (
    SELECT s.source, CASE WHEN s.kind = 'revenue' THEN 'revenue' ELSE 'costs' END AS need, s.required,
        coalesce(min(k.day), DATE '9999-12-31') AS day
    FROM source s LEFT JOIN told_day k ON k.source = s.source AND k.says = told_kind(s.kind)
    WHERE told_kind(s.kind) IN ('cost', 'revenue')
    GROUP BY ALL
)
SELECT need, coalesce(max(day) FILTER (required), min(day)) FROM first GROUP BY need
UNION ALL
SELECT 'usage ' || measure, min(day) FROM usage_day GROUP BY measure
