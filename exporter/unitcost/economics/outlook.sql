-- reads: recent_cost, complete_day, unallocated_day, told_day, newest_mrr, shown, profile, and of this run: clock,
--        source, directory, budget
-- writes: tenant_budget and forecast, both of the calendar month; tenants beyond the limit are summed up in __other__

-- A tenant's own budget, else its plan's, else the default one. A share of an MRR that is 0 or unknown is no budget.
CREATE OR REPLACE TEMP TABLE tenant_budget AS
WITH
agreed AS (
    SELECT p.label AS tenant,
        coalesce(d.budget_dollars, b.dollars, converted(units(greatest(m.mrr, 0)), b.factor, b.divisor)) AS dollars
    FROM profile p
    LEFT JOIN directory d USING (tenant)
    LEFT JOIN budget b ON b.plan = CASE WHEN p.plan IN (SELECT plan FROM budget) THEN p.plan ELSE 'default' END
    LEFT JOIN newest_mrr m USING (tenant)
),
whole AS (SELECT tenant, CAST(sum(dollars) AS DECIMAL(38, 12)) AS dollars FROM agreed WHERE dollars > 0 GROUP BY ALL),
spent AS (
    SELECT r.tenant, sum(r.cost) AS cost FROM recent_cost r JOIN clock c ON r.day BETWEEN c.month_first AND c.today
    GROUP BY ALL
),
-- As with windows: the month's cost is known when a cost source knows one of its days.
known AS (
    SELECT count(*) > 0 AS cost FROM told_day k SEMI JOIN source s USING (source) CROSS JOIN clock c
    WHERE k.says = 'cost' AND k.day BETWEEN c.month_first AND c.today
)
SELECT w.tenant, w.dollars,
    CASE WHEN k.cost AND w.tenant <> '__other__' THEN per_unit(coalesce(s.cost, 0), w.dollars) END AS used_ratio
FROM whole w CROSS JOIN known k LEFT JOIN spent s USING (tenant);

-- The complete days of the month as they are, and for each other one (today, days to come, days a source lacks) the
-- average of 7 complete days in a row: the last ones (expected), the cheapest (low) or the dearest (high) of the last
-- 28, but no credits; or what is said of that day already, where that is more: a bill knows of fees on days to come.
-- The whole company has tenant NULL: all tenants and what is unallocated.
CREATE OR REPLACE TEMP TABLE forecast AS
WITH
tenant_cost AS (
    SELECT s.label AS tenant, c.number, sum(r.cost) AS cost
    FROM recent_cost r JOIN complete_day c USING (day) JOIN shown s USING (tenant) GROUP BY ALL
),
-- A day without a cost is a 0 in its row of seven.
every_day AS (
    SELECT tenant, number, sum(cost) AS cost FROM (
        SELECT tenant, number, cost FROM tenant_cost
        UNION ALL SELECT l.label, c.number, 0 FROM (SELECT DISTINCT label FROM shown) l CROSS JOIN complete_day c
        UNION ALL SELECT NULL, number, cost FROM tenant_cost
        UNION ALL SELECT NULL, c.number, u.amount FROM unallocated_day u JOIN complete_day c USING (day)
        UNION ALL SELECT NULL, number, 0 FROM complete_day
    ) GROUP BY ALL
),
week AS (
    SELECT tenant, number, cost,
        sum(cost) OVER (PARTITION BY tenant ORDER BY number ROWS BETWEEN CURRENT ROW AND 6 FOLLOWING) AS seven
    FROM every_day
),
-- A day to come that a source knows is one that has come since: who looks back must not see it (backfill).
open_day AS (
    SELECT unnest(generate_series(month_first, month_last, INTERVAL 1 DAY))::DATE AS day FROM clock
    EXCEPT SELECT day FROM complete_day
    EXCEPT SELECT k.day FROM told_day k SEMI JOIN source s USING (source) CROSS JOIN clock c
    WHERE k.says = 'cost' AND k.day > c.today
),
open_cost AS (
    SELECT tenant, day, CAST(sum(cost) AS DECIMAL(38, 12)) AS cost FROM (
        SELECT s.label AS tenant, r.day, r.cost FROM recent_cost r JOIN shown s USING (tenant)
        UNION ALL SELECT NULL, day, cost FROM recent_cost
        UNION ALL SELECT NULL, day, amount FROM unallocated_day
    ) JOIN open_day USING (day) GROUP BY ALL
),
month AS (
    SELECT c.month_days - count(*) FILTER (d.this_month) AS days_left, least(28, count(*)) - 6 AS weeks
    FROM complete_day d CROSS JOIN clock c GROUP BY c.month_days
),
basis AS (
    SELECT w.tenant, m.days_left,
        coalesce(sum(w.cost) FILTER (d.this_month), 0) AS past,
        min(w.seven) FILTER (w.number <= m.weeks) AS low,
        max(w.seven) FILTER (w.number = 1) AS expected,
        max(w.seven) FILTER (w.number <= m.weeks) AS high
    FROM week w JOIN complete_day d USING (number) CROSS JOIN month m
    WHERE m.weeks >= 1 GROUP BY ALL
)
SELECT b.tenant, b.bound,
    CAST(b.past + dollars((
        (b.days_left - count(o.day)) * b.seven
        + coalesce(sum(greatest(b.seven, 7 * units(o.cost))) FILTER (o.day IS NOT NULL), 0)
    ) // 7) AS DECIMAL(38, 12)) AS dollars
FROM (
    SELECT * REPLACE (greatest(units(seven), 0) AS seven) FROM basis UNPIVOT (seven FOR bound IN (low, expected, high))
) b
LEFT JOIN open_cost o ON o.tenant IS NOT DISTINCT FROM b.tenant
GROUP BY b.tenant, b.bound, b.past, b.days_left, b.seven;
