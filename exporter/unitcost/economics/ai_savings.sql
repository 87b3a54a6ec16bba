-- reads: ai_use, ai_total, ai_day, recent_cost, usage, usage_day, shown_window, told_day, complete_day, newest_mrr, profile,
--        shown_model, shown_feature, window_usage, and of this run: clock, source, rate, token_unit, plan, route,
--        cacheable, embedding, model_price, target_price
-- writes: what AI could cost instead in each window (routing, cache_saved, cache_missed, semantic_cache, opportunity),
--         and how many AI requests a price carries (break_even of a tenant, plan_break_even)

-- A product of floating point is rounded to the ledger's last digit before it is summed: sums of these do not depend on
-- the order in which threads add them.
CREATE OR REPLACE TEMP MACRO worth(quantity, price) AS CAST(CAST(quantity AS DOUBLE) * price AS DECIMAL(38, 12));

-- Whole dollars of the configured currency for one unit. Models of one's own have no price here: their machines cost.
CREATE OR REPLACE TEMP TABLE used_price AS
SELECT m.scope, m.model, m.unit, m.first_day, m.end_day,
    CAST(m.factor AS DOUBLE) / CAST(m.divisor AS DOUBLE) * CAST(r.factor AS DOUBLE) / CAST(r.divisor AS DOUBLE) AS price
FROM model_price m JOIN rate r ON r.currency = 'USD'
WHERE m.unit <> '' AND m.factor IS NOT NULL AND NOT starts_with(coalesce(m.scope, ''), 'self-hosted/');
CREATE OR REPLACE TEMP TABLE other_price AS
SELECT m.model, m.unit, m.first_day, m.end_day,
    CAST(m.factor AS DOUBLE) / CAST(m.divisor AS DOUBLE) * CAST(r.factor AS DOUBLE) / CAST(r.divisor AS DOUBLE) AS price
FROM target_price m JOIN rate r ON r.currency = 'USD'
WHERE m.unit <> '' AND m.factor IS NOT NULL;

-- What is told of no past window and no closed month.
CREATE OR REPLACE TEMP TABLE asked_window AS
SELECT name AS span, first_day, end_day FROM shown_window
WHERE kind = 'cost' AND is_own(name);

-- Days of a window that are over and that any source of costs knows: what a month's rate is told by.
CREATE OR REPLACE TEMP TABLE over_day AS
SELECT DISTINCT w.span, k.day
FROM asked_window w JOIN told_day k ON k.says = 'cost' AND k.day >= w.first_day AND k.day < w.end_day
SEMI JOIN source s ON s.source = k.source
WHERE k.day < (SELECT today FROM clock);
CREATE OR REPLACE TEMP MACRO a_month(amount, days) AS CASE WHEN days > 0 THEN amount / days * 365 / 12 END;

-- Potential saving of another model: sum q p(model) - r sum q p(other) - fallback share sum q p(model), at both models'
-- prices of the day for each unit, input and output alike; r: how many tokens the other makes of one.
CREATE OR REPLACE TEMP TABLE routed AS
WITH
matched AS (
    SELECT u.*, r.target, r.ratio, r.fallback, u.unit IN (SELECT unit FROM token_unit) AS is_token
    FROM ai_use u JOIN route r ON r.feature = u.feature AND (r.pattern IS NULL OR lower(u.model) GLOB lower(r.pattern))
    QUALIFY row_number() OVER (PARTITION BY u.day, u.scope, u.model, u.feature, u.unit ORDER BY r.number) = 1
)
SELECT m.day, m.feature, m.model, m.target, m.ratio, m.fallback, m.unit, m.quantity, m.is_token,
    worth(m.quantity, p.price) AS cost,
    worth(m.quantity, o.price * CASE WHEN m.is_token THEN m.ratio ELSE 1 END) AS other_cost,
    CASE
        WHEN p.price IS NULL THEN m.model || ' has no price of ' || m.unit
        WHEN o.price IS NULL THEN m.target || ' has no price of ' || m.unit
    END AS lack
FROM matched m
LEFT JOIN used_price p ON p.scope IS NOT DISTINCT FROM m.scope AND p.model = m.model AND p.unit = m.unit
    AND m.day >= p.first_day AND m.day < p.end_day
LEFT JOIN other_price o ON o.model = m.target AND o.unit = m.unit AND m.day >= o.first_day AND m.day < o.end_day
ANTI JOIN target_price t ON t.model = m.target AND t.unit = '' AND t.name = m.model
    AND m.day >= t.first_day AND m.day < t.end_day
WHERE m.quantity > 0;

CREATE OR REPLACE TEMP TABLE routing AS
WITH summed AS (
    SELECT w.span, r.feature, r.model, r.target, r.ratio, r.fallback,
        CAST(sum(r.quantity) FILTER (r.is_token) AS DOUBLE) AS tokens, CAST(sum(r.cost) AS DOUBLE) AS cost,
        CAST(sum(r.other_cost) AS DOUBLE) AS other_cost, string_agg(DISTINCT r.lack, '; ' ORDER BY r.lack) AS lacks,
        CAST(sum(r.cost) FILTER (o.day IS NOT NULL) AS DOUBLE) AS cost_over,
        CAST(sum(r.other_cost) FILTER (o.day IS NOT NULL) AS DOUBLE) AS other_cost_over
    FROM routed r JOIN asked_window w ON r.day >= w.first_day AND r.day < w.end_day
    LEFT JOIN over_day o ON o.span = w.span AND o.day = r.day
    GROUP BY ALL
),
days AS (SELECT span, count(*) AS days FROM over_day GROUP BY span)
SELECT s.span, s.feature, s.model, s.target, s.ratio, s.fallback, s.tokens, s.lacks,
    CASE WHEN s.lacks IS NULL THEN s.cost END AS cost, CASE WHEN s.lacks IS NULL THEN s.other_cost END AS other_cost,
    CASE WHEN s.lacks IS NULL THEN s.cost * (1 - s.fallback) - s.other_cost END AS saving,
    CASE WHEN s.lacks IS NULL THEN a_month(s.cost_over * (1 - s.fallback) - s.other_cost_over, d.days) END AS monthly
FROM summed s LEFT JOIN days d USING (span);

-- What input would have cost without the prompt cache: q_read (p_in - p_read) - q_write (p_write - p_in), which is
-- q (p_in - p) of either unit.
CREATE OR REPLACE TEMP TABLE cache_saved AS
SELECT w.span, u.model, CAST(coalesce(sum(u.quantity) FILTER (u.unit = 'cache_read'), 0) AS DOUBLE) AS read_tokens,
    CAST(coalesce(sum(u.quantity) FILTER (u.unit <> 'cache_read'), 0) AS DOUBLE) AS written_tokens,
    CASE WHEN count(p.price) = count(*) AND count(i.price) = count(*)
        THEN CAST(sum(worth(u.quantity, i.price - p.price)) AS DOUBLE) END AS saved
FROM ai_use u JOIN asked_window w ON u.day >= w.first_day AND u.day < w.end_day
LEFT JOIN used_price p ON p.scope IS NOT DISTINCT FROM u.scope AND p.model = u.model AND p.unit = u.unit
    AND u.day >= p.first_day AND u.day < p.end_day
LEFT JOIN used_price i ON i.scope IS NOT DISTINCT FROM u.scope AND i.model = u.model AND i.unit = 'input'
    AND u.day >= i.first_day AND u.day < i.end_day
WHERE u.unit IN ('cache_read', 'cache_write', 'cache_write_1h') AND u.quantity > 0
GROUP BY w.span, u.model;

-- At most that: the part of a feature's input that could be cached, less what was read from the cache, had all of it
-- been read and writing cost nothing more. Of models that the price book has a price for that which is below input.
CREATE OR REPLACE TEMP TABLE cache_missed AS
WITH
input_day AS (
    SELECT u.day, u.scope, u.model, u.feature, c.share, sum(u.quantity) AS tokens,
        coalesce(sum(u.quantity) FILTER (u.unit = 'input'), 0) AS fresh_tokens,
        coalesce(sum(u.quantity) FILTER (u.unit = 'cache_read'), 0) AS read_tokens
    FROM ai_use u JOIN cacheable c USING (feature)
    WHERE u.unit IN ('input', 'cache_read', 'cache_write', 'cache_write_1h')
    GROUP BY ALL
),
missed AS (
    SELECT d.day, d.feature, d.model, d.share, d.tokens, d.read_tokens,
        least(greatest(worth(d.tokens, d.share) - d.read_tokens, 0), d.fresh_tokens) AS missed_tokens,
        worth(missed_tokens, i.price - p.price) AS dollars
    FROM input_day d
    JOIN used_price i ON i.scope IS NOT DISTINCT FROM d.scope AND i.model = d.model AND i.unit = 'input'
        AND d.day >= i.first_day AND d.day < i.end_day
    JOIN used_price p ON p.scope IS NOT DISTINCT FROM d.scope AND p.model = d.model AND p.unit = 'cache_read'
        AND d.day >= p.first_day AND d.day < p.end_day
    WHERE p.price < i.price
),
days AS (SELECT span, count(*) AS days FROM over_day GROUP BY span)
SELECT w.span, m.feature, m.model, m.share, CAST(sum(m.tokens) AS DOUBLE) AS tokens,
    CAST(sum(m.read_tokens) AS DOUBLE) AS read_tokens, CAST(sum(m.missed_tokens) AS DOUBLE) AS missed_tokens,
    CAST(sum(m.dollars) AS DOUBLE) AS dollars,
    a_month(CAST(sum(m.dollars) FILTER (o.day IS NOT NULL) AS DOUBLE), any_value(d.days)) AS monthly
FROM missed m JOIN asked_window w ON m.day >= w.first_day AND m.day < w.end_day
LEFT JOIN over_day o ON o.span = w.span AND o.day = m.day LEFT JOIN days d ON d.span = w.span
GROUP BY w.span, m.feature, m.model, m.share;

-- Hits of one's own cache of answers, times what a tenant's AI request costs on average, less what embedding costs.
CREATE OR REPLACE TEMP TABLE semantic_cache AS
WITH
hit AS (
    SELECT w.span, CAST(sum(u.quantity) AS DOUBLE) AS hits
    FROM usage u SEMI JOIN source s ON s.source = u.source
    JOIN asked_window w ON u.day >= w.first_day AND u.day < w.end_day
    WHERE u.measure = 'ai_cache_hits' GROUP BY w.span
),
asked AS (
    SELECT span, CAST(sum(quantity) AS DOUBLE) AS requests FROM window_usage WHERE measure = 'ai_requests' GROUP BY span
),
spent AS (SELECT span, CAST(sum(amount) AS DOUBLE) AS cost FROM ai_total WHERE tenant IS NOT NULL GROUP BY span),
embedded AS (
    SELECT w.span, CASE WHEN count(p.price) = count(*) THEN CAST(sum(worth(u.quantity, p.price)) AS DOUBLE) END AS cost
    FROM usage u SEMI JOIN source s ON s.source = u.source JOIN embedding e ON e.measure = u.measure
    JOIN asked_window w ON u.day >= w.first_day AND u.day < w.end_day
    LEFT JOIN other_price p ON p.model = e.model AND p.unit = 'input' AND u.day >= p.first_day AND u.day < p.end_day
    GROUP BY w.span
)
SELECT h.span, h.hits, per_unit(p.cost, a.requests) AS mean, e.cost AS embedding,
    hits * mean - CASE WHEN (SELECT count(*) FROM embedding) > 0 THEN e.cost ELSE 0 END AS saved
FROM hit h LEFT JOIN asked a USING (span) LEFT JOIN spent p USING (span) LEFT JOIN embedded e USING (span);

-- What nothing would be saved by is no opportunity of less than nothing.
CREATE OR REPLACE TEMP TABLE opportunity AS
SELECT 'model_routing' AS kind, f.feature || ': ' || m.model || ' → ' || r.target AS target, r.span,
    greatest(sum(r.monthly), 0) AS dollars
FROM routing r JOIN shown_model m ON m.spelt = r.model JOIN shown_feature f ON f.spelt = r.feature
WHERE r.monthly IS NOT NULL GROUP BY ALL
UNION ALL
SELECT 'prompt_cache_missed', f.feature || ': ' || m.model, c.span, sum(c.monthly)
FROM cache_missed c JOIN shown_model m ON m.spelt = c.model JOIN shown_feature f ON f.spelt = c.feature
WHERE c.monthly IS NOT NULL GROUP BY ALL;

-- How many AI requests a price carries: N = floor((price - base cost) / mean cost of an AI request), of this calendar
-- month. base: what a tenant costs but for its own AI, its complete days as they are and the others like the last 7. mean:
-- of the complete days on which AI requests are counted, this month's and the last 28; the tenant's own, else its plan's.
CREATE OR REPLACE TEMP TABLE request_mean AS
WITH
counted AS (SELECT d.day FROM complete_day d WHERE d.day IN (SELECT day FROM usage_day WHERE measure = 'ai_requests')),
asked AS (
    SELECT u.tenant, sum(u.quantity) AS requests FROM usage_day u SEMI JOIN counted USING (day)
    WHERE u.measure = 'ai_requests' GROUP BY u.tenant
),
spent AS (
    SELECT a.tenant, sum(a.amount) AS cost, coalesce(sum(a.unpriced), 0) AS unpriced
    FROM ai_day a SEMI JOIN counted USING (day) GROUP BY a.tenant
)
SELECT a.tenant, p.plan, a.requests, s.cost
FROM asked a JOIN spent s USING (tenant) JOIN profile p USING (tenant)
WHERE a.requests > 0 AND s.cost > 0 AND s.unpriced = 0;

CREATE OR REPLACE TEMP TABLE base_cost AS
WITH
month AS (
    SELECT c.month_days, count(*) FILTER (d.this_month) AS over, count(*) AS complete
    FROM complete_day d CROSS JOIN clock c GROUP BY c.month_days
),
cost AS (
    SELECT tenant, day, sum(amount) AS amount FROM (
        SELECT tenant, day, cost AS amount FROM recent_cost
        UNION ALL SELECT tenant, day, -amount FROM ai_day WHERE tenant IS NOT NULL
    ) SEMI JOIN complete_day USING (day) GROUP BY ALL
),
summed AS (
    SELECT c.tenant, coalesce(sum(c.amount) FILTER (d.this_month), 0) AS past,
        coalesce(sum(c.amount) FILTER (d.number <= 7), 0) AS week
    FROM cost c JOIN complete_day d USING (day) GROUP BY c.tenant
)
SELECT p.tenant, p.plan, coalesce(s.past, 0) + worth(coalesce(s.week, 0), (m.month_days - m.over) / 7) AS base
FROM profile p CROSS JOIN month m LEFT JOIN summed s USING (tenant)
WHERE m.complete >= 7 AND p.label = p.tenant;

-- A floor of what floating point misses by less than a millionth is the number that was missed.
CREATE OR REPLACE TEMP MACRO carried_requests(price, base, mean) AS
    CASE WHEN price < base THEN 0 ELSE floor(round((price - base) / mean, 6)) END;

CREATE OR REPLACE TEMP TABLE break_even AS
WITH
plan_mean AS (
    SELECT plan, per_unit(sum(cost), sum(requests)) AS mean FROM request_mean WHERE plan <> '' GROUP BY plan
),
this_month AS (
    SELECT u.tenant, CAST(sum(u.quantity) AS DOUBLE) AS used,
        CAST(coalesce(sum(u.quantity) FILTER (d.day IS NOT NULL), 0) AS DOUBLE) AS used_over
    FROM usage_day u JOIN clock c ON u.day BETWEEN c.month_first AND c.today LEFT JOIN complete_day d ON d.day = u.day
    WHERE u.measure = 'ai_requests' GROUP BY u.tenant
),
over AS (
    SELECT count(*) AS days FROM complete_day
    WHERE this_month AND day IN (SELECT day FROM usage_day WHERE measure = 'ai_requests')
),
known AS (
    SELECT b.tenant, b.plan, CAST(coalesce(m.mrr, p.price) AS DOUBLE) AS price,
        CAST(b.base AS DOUBLE) AS base, coalesce(per_unit(r.cost, r.requests), n.mean) AS mean,
        coalesce(t.used, 0) AS used,
        per_unit(coalesce(t.used_over, 0), o.days) AS rate
    FROM base_cost b CROSS JOIN over o LEFT JOIN newest_mrr m USING (tenant) LEFT JOIN plan p ON p.plan = b.plan
    LEFT JOIN request_mean r ON r.tenant = b.tenant LEFT JOIN plan_mean n ON n.plan = b.plan
    LEFT JOIN this_month t ON t.tenant = b.tenant
)
SELECT k.tenant, k.plan, k.price, k.base, k.mean,
    carried_requests(k.price, k.base, k.mean) AS carried, carried - k.used AS until_loss,
    CASE
        WHEN until_loss <= 0 THEN 0
        WHEN until_loss <= k.rate * (date_diff('day', c.today, c.month_last) + 1) THEN until_loss / k.rate
    END AS loss_in_days
FROM known k CROSS JOIN clock c
WHERE k.price > 0 AND k.mean IS NOT NULL;

CREATE OR REPLACE TEMP TABLE plan_break_even AS
WITH
base AS (SELECT plan, avg(base) AS base, count(*) AS tenants FROM base_cost GROUP BY plan),
mean AS (SELECT plan, per_unit(sum(cost), sum(requests)) AS mean FROM request_mean GROUP BY plan)
SELECT p.plan, CAST(p.price AS DOUBLE) AS price, b.base, b.tenants, m.mean,
    carried_requests(CAST(p.price AS DOUBLE), b.base, m.mean) AS carried
FROM plan p LEFT JOIN base b USING (plan) LEFT JOIN mean m USING (plan);
