-- reads: ai_day, usage, day_part, part_window, shown, shown_window, shown_usage, zero_window, and of this run: source,
--        token_unit, model_limit
-- writes: what AI was used for in each window: ai_total (all of it); with models, features and tenants beyond their limits
--         (shown_model, shown_feature) summed up, window_ai (of the whole company), tenant_ai (of each tenant), served_ai
--         and served_ai_cost (the costs of both with the zeros that are known), ai_request (what a request cost); ai_use
--         (what was metered each day, and in which scope), window_unmapped

CREATE OR REPLACE TEMP TABLE ai_total AS
WITH summed AS (
    SELECT p.part, a.tenant, a.model, a.feature, a.unit, sum(a.quantity) AS quantity, sum(a.amount) AS amount,
        sum(a.metered) AS metered, sum(a.unpriced) AS unpriced
    FROM ai_day a JOIN day_part p USING (day) GROUP BY ALL
)
SELECT w.span, s.tenant, coalesce(s.model, '__unknown__') AS model, coalesce(s.feature, '__unknown__') AS feature,
    coalesce(s.unit, '__unknown__') AS direction, s.unit IN (FROM token_unit) AS is_token, sum(s.quantity) AS quantity,
    sum(s.amount) AS amount, sum(s.metered) AS metered, sum(s.unpriced) AS unpriced
FROM summed s JOIN part_window w ON w.part = s.part AND w.kind = 'cost' AND NOT is_month(w.span)
GROUP BY ALL;

-- The dearest models and features over all windows have series of their own.
CREATE OR REPLACE TEMP TABLE shown_model AS
SELECT model AS spelt, CASE WHEN row_number() OVER (ORDER BY sum(amount) DESC, sum(quantity) DESC, model)
    <= (SELECT models FROM model_limit) THEN model ELSE '__other__' END AS model
FROM ai_total GROUP BY ai_total.model;
CREATE OR REPLACE TEMP TABLE shown_feature AS
SELECT feature AS spelt, CASE WHEN row_number() OVER (ORDER BY sum(amount) DESC, sum(quantity) DESC, feature)
    <= (SELECT models FROM model_limit) THEN feature ELSE '__other__' END AS feature
FROM ai_total GROUP BY ai_total.feature;

CREATE OR REPLACE TEMP TABLE window_ai AS
SELECT t.span, m.model, f.feature, t.direction, t.is_token, CAST(sum(t.quantity) AS DECIMAL(38, 12)) AS quantity,
    CAST(sum(t.amount) AS DECIMAL(38, 12)) AS amount, CAST(sum(t.metered) AS DECIMAL(38, 12)) AS metered,
    CAST(sum(t.unpriced) AS DECIMAL(38, 12)) AS unpriced
FROM ai_total t JOIN shown_model m ON m.spelt = t.model JOIN shown_feature f ON f.spelt = t.feature
GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE tenant_ai AS
SELECT t.span, s.label AS tenant, m.model, f.feature, t.direction, t.is_token,
    CAST(sum(t.quantity) AS DECIMAL(38, 12)) AS quantity, CAST(sum(t.amount) AS DECIMAL(38, 12)) AS amount
FROM ai_total t JOIN shown s USING (tenant) JOIN shown_model m ON m.spelt = t.model
JOIN shown_feature f ON f.spelt = t.feature
WHERE is_own(t.span)
GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE served_ai_cost AS
SELECT tenant, model, feature, span, CAST(sum(amount) AS DECIMAL(38, 12)) AS amount FROM (
    SELECT tenant, model, feature, span, amount FROM tenant_ai
    UNION ALL
    SELECT tenant, model, feature, z.span, 0
    FROM (SELECT DISTINCT tenant, model, feature FROM tenant_ai) CROSS JOIN zero_window z
    WHERE is_own(z.span)
) GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE served_ai AS
SELECT model, feature, direction, span, CAST(sum(amount) AS DECIMAL(38, 12)) AS amount FROM (
    SELECT model, feature, direction, span, amount FROM window_ai
    UNION ALL
    SELECT model, feature, direction, z.span, 0
    FROM (SELECT DISTINCT model, feature, direction FROM window_ai) CROSS JOIN zero_window z
    WHERE NOT is_month(z.span)
) GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE ai_request AS
SELECT a.span, a.tenant, per_unit(sum(a.amount), u.quantity) AS dollars
FROM tenant_ai a JOIN shown_usage u ON u.span = a.span AND u.tenant = a.tenant AND u.measure = 'ai_requests'
GROUP BY a.span, a.tenant, u.quantity;

CREATE OR REPLACE TEMP TABLE window_unmapped AS
SELECT w.name AS span, u.source, sum(u.quantity) AS quantity
FROM usage u SEMI JOIN source s ON s.source = u.source
JOIN shown_window w ON w.kind = 'cost' AND u.day >= w.first_day AND u.day < w.end_day
WHERE u.measure = 'ai_unmapped' AND is_own(w.name)
GROUP BY ALL;

-- By whose prices each of it goes: what a bill alone says has no number that a price could be multiplied by.
CREATE OR REPLACE TEMP TABLE ai_use AS
SELECT day, scope, model, coalesce(feature, '__unknown__') AS feature, unit, sum(quantity) AS quantity
FROM ai_day
WHERE NOT billed AND model IS NOT NULL AND unit IS NOT NULL AND quantity IS NOT NULL
    AND day >= (SELECT min(first_day) FROM shown_window WHERE kind = 'cost')
    AND day < (SELECT max(end_day) FROM shown_window WHERE kind = 'cost')
GROUP BY ALL;
