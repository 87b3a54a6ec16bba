-- reads: current_day, derived_day, tenant_day, usage_day, revenue_day, dimension_day, counted_day, restated_day,
--        mrr_day, revenue, doubt, shown, and of this run: clock, source, directory, alias
-- writes: happening: what changed on complete days of the history: a row a tenant, new value or run of restated days

-- The complete days on which what a kind of source says can be held against other days: none of its sources has a hole
-- there (knows an earlier and a later day, but not this one). Numbered within a stretch of days of the same sources: a
-- source that begins or ends brings and takes tenants without that anything has happened.
CREATE OR REPLACE TEMP TABLE compared_day AS
WITH
known AS (
    SELECT DISTINCT k.says AS kind, k.source, k.day
    FROM current_day k
    SEMI JOIN source s USING (source) JOIN derived_day USING (day) CROSS JOIN clock c
    WHERE k.day >= c.first_day AND k.day < c.today
),
life AS (SELECT kind, source, min(day) AS first_day, max(day) AS last_day FROM known GROUP BY ALL),
whole AS (
    SELECT k.kind, k.day, list(k.source ORDER BY k.source) AS sources FROM known k GROUP BY k.kind, k.day
    HAVING count(*) = (
        SELECT count(*) FROM life l WHERE l.kind = k.kind AND k.day BETWEEN l.first_day AND l.last_day
    )
),
begun AS (
    SELECT *, lag(sources) OVER (PARTITION BY kind ORDER BY day) IS DISTINCT FROM sources AS begins FROM whole
),
stretch AS (SELECT kind, day, sum(begins::INTEGER) OVER (PARTITION BY kind ORDER BY day) AS stretch FROM begun)
SELECT kind, day, stretch, row_number() OVER (PARTITION BY kind, stretch ORDER BY day) AS number,
    count(*) OVER (PARTITION BY kind, stretch) AS days
FROM stretch;

-- A tenant is there on a day on which it has MRR, uses something or costs something: a refund is none of them.
CREATE OR REPLACE TEMP TABLE presence AS
WITH every AS (
    SELECT 'cost' AS kind, tenant, day FROM tenant_day WHERE direct + shared > 0
    UNION ALL SELECT 'usage', tenant, day FROM usage_day WHERE quantity > 0
    UNION ALL SELECT 'revenue', tenant, day FROM revenue_day WHERE mrr > 0
)
SELECT kind, tenant, min(day) AS first_day, max(day) AS last_day
FROM every WHERE day < (SELECT today FROM clock) GROUP BY ALL;

-- Costs and usage come and go by the day: only a week of known days without them says that they began or have ended.
-- MRR says so the next day.
CREATE OR REPLACE TEMP TABLE patience AS
SELECT * FROM (VALUES ('cost', 7), ('usage', 7), ('revenue', 1)) p(kind, days);

CREATE OR REPLACE TEMP TABLE came AS
SELECT DISTINCT f.tenant, f.day
FROM (SELECT tenant, min(first_day) AS day FROM presence GROUP BY ALL) f
JOIN presence p ON p.tenant = f.tenant AND p.first_day = f.day
JOIN patience w USING (kind)
JOIN compared_day c ON c.kind = p.kind AND c.day = f.day AND c.number > w.days;

-- Costs may outlive a customer (what it stored): they do not keep one whose revenue and usage are known to have ended.
CREATE OR REPLACE TEMP TABLE went AS
WITH
judged AS (
    SELECT * FROM presence
    QUALIFY kind <> 'cost' OR count(*) FILTER (kind <> 'cost') OVER (PARTITION BY tenant) < 2
),
quiet AS (
    SELECT j.tenant, j.last_day, c.days - c.number >= w.days AS ended, n.day AS next_day
    FROM judged j
    JOIN patience w USING (kind)
    ASOF LEFT JOIN compared_day c ON c.kind = j.kind AND c.day <= j.last_day
    LEFT JOIN compared_day n ON n.kind = c.kind AND n.stretch = c.stretch AND n.number = c.number + 1
)
SELECT tenant, arg_max(next_day, last_day) AS day FROM quiet GROUP BY tenant HAVING bool_and(coalesce(ended, false));

-- MRR of compared days that follow each other; a day without a line of the tenant is one of 0.
CREATE OR REPLACE TEMP TABLE mrr_change AS
WITH
line AS (
    SELECT r.tenant, r.mrr, c.stretch, c.number, c.days
    FROM revenue_day r JOIN compared_day c ON c.kind = 'revenue' AND c.day = r.day
),
moved AS (
    SELECT tenant FROM line GROUP BY tenant
    HAVING min(mrr) <> max(mrr) OR count(*) < (SELECT count(*) FROM compared_day WHERE kind = 'revenue')
),
beside AS (
    SELECT *, lag(number) OVER tenants AS number_before, lag(mrr) OVER tenants AS mrr_before,
        lead(number) OVER tenants AS number_after
    FROM line SEMI JOIN moved USING (tenant) WINDOW tenants AS (PARTITION BY tenant, stretch ORDER BY number)
),
change AS (
    SELECT tenant, stretch, number, CASE WHEN number_before = number - 1 THEN mrr_before ELSE 0 END AS before,
        mrr AS after
    FROM beside WHERE number > 1
    UNION ALL
    SELECT tenant, stretch, number + 1, mrr, 0
    FROM beside WHERE number < days AND number_after IS DISTINCT FROM number + 1
)
SELECT x.tenant, c.day, CAST(x.before AS DECIMAL(38, 12)) AS before, CAST(x.after AS DECIMAL(38, 12)) AS after
FROM change x JOIN compared_day c ON c.kind = 'revenue' AND c.stretch = x.stretch AND c.number = x.number
WHERE abs(x.after - x.before) >= 0.005;

-- Plans as the sources of revenue say them; the directory says only the present one. Several subscriptions are one plan
-- together.
CREATE OR REPLACE TEMP TABLE plan_change AS
WITH
spelt AS (
    SELECT DISTINCT v.source, v.tenant AS spelt, coalesce(a.tenant, tenant_id(alias_key(v.tenant))) AS tenant
    FROM revenue v JOIN source USING (source) LEFT JOIN alias a ON a.alias = alias_key(v.tenant)
),
several AS (
    SELECT n.tenant FROM revenue v JOIN spelt n ON n.source = v.source AND n.spelt = v.tenant
    GROUP BY n.tenant HAVING count(DISTINCT v.plan) > 1
),
held AS (
    SELECT n.tenant, c.stretch, c.number, c.day, string_agg(DISTINCT v.plan, ' + ' ORDER BY v.plan) AS plan
    FROM (SELECT * FROM mrr_day ANTI JOIN doubt USING (source, day)) v
    JOIN spelt n ON n.source = v.source AND n.spelt = v.tenant
    JOIN several s ON s.tenant = n.tenant
    JOIN compared_day c ON c.kind = 'revenue' AND c.day = v.day
    WHERE v.plan IS NOT NULL
    GROUP BY ALL
)
SELECT tenant, day, lag(plan) OVER tenants AS before, plan AS after
FROM held WINDOW tenants AS (PARTITION BY tenant, stretch ORDER BY number)
QUALIFY before <> after AND lag(number) OVER tenants = number - 1;

-- dollars: how much a month it is about; the largest are told. named: whether the tenant has series of its own.
CREATE OR REPLACE TEMP TABLE happening AS
WITH
subscription AS (
    SELECT 'subscription_changed' AS kind, day, tenant, m.before, m.after, p.before AS plan_before,
        p.after AS plan_after, coalesce(abs(m.after - m.before), 0) AS dollars
    FROM mrr_change m FULL JOIN plan_change p USING (tenant, day)
    ANTI JOIN (FROM came UNION ALL FROM went) USING (tenant, day)
),
arrival AS (
    SELECT 'tenant_new' AS kind, e.day, e.tenant, NULL AS before, any_value(r.mrr) AS after,
        greatest(coalesce(any_value(r.mrr), 0), coalesce(sum(s.direct + s.shared), 0)) AS dollars
    FROM came e
    LEFT JOIN revenue_day r ON r.tenant = e.tenant AND r.day = e.day AND r.mrr > 0
    LEFT JOIN tenant_day s ON s.tenant = e.tenant AND s.day BETWEEN e.day AND e.day + 29
    GROUP BY e.day, e.tenant
),
paid AS (
    SELECT tenant, arg_max(mrr, day) AS mrr FROM revenue_day SEMI JOIN went USING (tenant) WHERE mrr > 0 GROUP BY ALL
),
departure AS (
    SELECT 'tenant_gone' AS kind, e.day, e.tenant, any_value(r.mrr) AS before, NULL AS after,
        greatest(coalesce(any_value(r.mrr), 0), coalesce(sum(s.direct + s.shared), 0)) AS dollars
    FROM went e
    LEFT JOIN paid r USING (tenant)
    LEFT JOIN tenant_day s ON s.tenant = e.tenant AND s.day BETWEEN e.day - 30 AND e.day - 1
    GROUP BY e.day, e.tenant
),
customer AS (
    SELECT * FROM subscription
    UNION ALL BY NAME SELECT * FROM arrival
    UNION ALL BY NAME SELECT * FROM departure
),
folding AS (SELECT count(*) > 0 AS some FROM shown WHERE label = '__other__'),
value_day AS (
    SELECT dimension, value, day, sum(amount) AS amount FROM dimension_day
    WHERE value NOT IN ('__unallocated__', '') AND day < (SELECT today FROM clock)
    GROUP BY ALL HAVING sum(amount) > 0
),
value_first AS (SELECT dimension, value, min(day) AS day FROM value_day GROUP BY ALL),
dimension_first AS (SELECT dimension, min(day) AS day FROM dimension_day GROUP BY ALL),
appearance AS (
    SELECT v.dimension, v.value, v.day, arg_min(a.amount, a.day) AS after, sum(a.amount) AS dollars
    FROM value_first v
    JOIN dimension_first d USING (dimension)
    JOIN compared_day c ON c.kind = 'cost' AND c.day = v.day
    JOIN patience w ON w.kind = 'cost'
    JOIN compared_day b ON b.kind = 'cost' AND b.stretch = c.stretch AND b.number = c.number - w.days AND b.day >= d.day
    JOIN value_day a ON a.dimension = v.dimension AND a.value = v.value AND a.day BETWEEN v.day AND v.day + 29
    GROUP BY v.dimension, v.value, v.day
),
counted AS (SELECT day, sum(amount) AS amount FROM counted_day GROUP BY ALL),
restated AS (
    SELECT r.day, r.restated_at::DATE AS told_on, r.amount AS before, c.amount AS after,
        r.day - row_number() OVER (PARTITION BY r.restated_at::DATE ORDER BY r.day)::INTEGER AS run
    FROM restated_day r JOIN counted c USING (day) CROSS JOIN clock k
    WHERE r.day BETWEEN k.first_day AND k.today - 1 AND abs(c.amount - r.amount) >= 0.005
),
restatement AS (
    SELECT 'day_restated' AS kind, min(day) AS day, max(day) AS last_day, told_on, sum(before) AS before,
        sum(after) AS after, sum(abs(after - before)) AS dollars
    FROM restated GROUP BY told_on, run
),
every AS (
    SELECT e.*, coalesce(d.name, e.tenant) AS name,
        coalesce(s.label = e.tenant, NOT f.some) AS named
    FROM customer e CROSS JOIN folding f LEFT JOIN shown s USING (tenant) LEFT JOIN directory d USING (tenant)
    UNION ALL BY NAME SELECT 'value_new' AS kind, * FROM appearance
    UNION ALL BY NAME SELECT * FROM restatement
)
SELECT kind, day, last_day, told_on, tenant, name, coalesce(named, false) AS named, dimension, value, plan_before,
    plan_after, CAST(before AS DECIMAL(38, 12)) AS before, CAST(after AS DECIMAL(38, 12)) AS after,
    CAST(dollars AS DECIMAL(38, 12)) AS dollars
FROM every;
