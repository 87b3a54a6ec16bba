-- reads: shown_cost, window_dimension, window_counted, window_unallocated, told_day, shown_window, and of this run:
--        source, window_span
-- writes: zero_window (windows of which zeros are known), served_cost, served_dimension, served_platform, served_unallocated, served_bill: costs by window with the zeros
--         that are known

-- A cost that ends must fall to 0, not vanish: who reads a range of samples would still see its last value. Only what
-- some window shows gets zeros, and only where it is known: a bill that comes late has not said 0.
CREATE OR REPLACE TEMP TABLE source_window AS
SELECT DISTINCT w.name AS span, k.source
FROM told_day k JOIN shown_window w ON w.kind = 'cost' AND k.says = 'cost' AND k.day >= w.first_day AND k.day < w.end_day
WHERE k.source IN (SELECT source FROM source WHERE told_kind(kind) = 'cost');

CREATE OR REPLACE TEMP TABLE zero_window AS
SELECT DISTINCT span FROM source_window WHERE span NOT IN (
    SELECT w.name FROM window_span w
    CROSS JOIN (SELECT source FROM source WHERE required AND told_kind(kind) = 'cost') s
    ANTI JOIN source_window k ON k.span = w.name AND k.source = s.source
);

CREATE OR REPLACE TEMP TABLE served_cost AS
SELECT tenant, component, span, CAST(sum(cost) AS DECIMAL(38, 12)) AS cost FROM (
    SELECT tenant, component, span, cost FROM shown_cost
    UNION ALL
    SELECT tenant, component, z.span, 0
    FROM (SELECT DISTINCT tenant, component FROM shown_cost) CROSS JOIN zero_window z
) GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE served_dimension AS
SELECT dimension, value, component, span, CAST(sum(amount) AS DECIMAL(38, 12)) AS amount FROM (
    SELECT dimension, value, component, span, amount FROM window_dimension
    UNION ALL
    SELECT dimension, value, component, z.span, 0
    FROM (SELECT DISTINCT dimension, value, component FROM window_dimension) CROSS JOIN zero_window z
) GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE served_unallocated AS
SELECT source, component, span, CAST(sum(amount) AS DECIMAL(38, 12)) AS amount FROM (
    SELECT source, component, span, amount FROM window_unallocated
    UNION ALL
    SELECT source, component, k.span, 0
    FROM (SELECT DISTINCT source, component FROM window_unallocated) JOIN source_window k USING (source)
) GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE served_bill AS
SELECT source, component, span, CAST(sum(amount) AS DECIMAL(38, 12)) AS amount FROM (
    SELECT source, component, span, amount FROM window_counted
    UNION ALL
    SELECT source, component, k.span, 0
    FROM (SELECT DISTINCT source, component FROM window_counted) JOIN source_window k USING (source)
) GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE served_platform AS
SELECT component, span, CAST(sum(amount) AS DECIMAL(38, 12)) AS amount FROM (
    SELECT component, span, cost AS amount FROM served_cost
    UNION ALL SELECT component, span, amount FROM served_unallocated
) GROUP BY ALL;
