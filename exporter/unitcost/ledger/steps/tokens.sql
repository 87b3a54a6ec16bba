-- reads: usage, price, heard, spelling, tenant_number, and of this run: rate
-- writes: token (what each source says of each unit), token_line (what is sold by the unit: how much counters saw of it, and what a provider reports besides, at the
--         price of the day; without one the amount is NULL), usage_day of the dirty days

CREATE OR REPLACE TEMP TABLE token AS
SELECT u.day, u.source, h.kind = 'bill' AS reported, p.scope, p.model, u.measure, u.unit, u.dims, n.number AS bearer,
    p.factor, p.divisor, CAST(sum(u.quantity) AS DECIMAL(38, 12)) AS quantity
FROM usage u
JOIN heard h ON h.day = u.day AND h.source = u.source AND h.kind IN ('tokens', 'bill')
JOIN price p ON p.used_scope = u.scope AND p.used_item = u.item AND p.unit = u.unit
    AND u.day >= p.first_day AND u.day < p.end_day
LEFT JOIN spelling n ON n.spelt = u.tenant
WHERE u.unit IS NOT NULL
GROUP BY ALL;

-- What a provider reports and no counter saw is nobody's, as what runs idle is, unless the provider says whose key it was
-- asked with. It counts under the name of who counts in that scope.
CREATE OR REPLACE TEMP TABLE unmetered AS
WITH
metered AS (
    SELECT day, scope, model, unit, bearer, sum(quantity) AS quantity FROM token WHERE NOT reported GROUP BY ALL
),
reported AS (
    SELECT day, min(source) AS source, scope, model, measure, unit, bearer, sum(quantity) AS quantity,
        arg_max({'factor': factor, 'divisor': divisor}, quantity) AS price
    FROM token WHERE reported AND scope IS NOT NULL GROUP BY ALL
),
own AS (
    SELECT r.* REPLACE (greatest(r.quantity - coalesce(m.quantity, 0), 0) AS quantity)
    FROM reported r LEFT JOIN metered m USING (day, scope, model, unit, bearer)
    WHERE r.bearer IS NOT NULL
),
all_reported AS (
    SELECT day, min(source) AS source, scope, model, measure, unit, sum(quantity) AS quantity,
        arg_max(price, quantity) AS price
    FROM reported GROUP BY ALL
),
accounted AS (
    SELECT day, scope, model, unit, sum(quantity) AS quantity
    FROM (SELECT day, scope, model, unit, quantity FROM metered UNION ALL SELECT day, scope, model, unit, quantity FROM own)
    GROUP BY ALL
),
missing AS (
    SELECT * FROM own
    UNION ALL BY NAME
    SELECT r.* REPLACE (r.quantity - coalesce(a.quantity, 0) AS quantity), NULL::INTEGER AS bearer
    FROM all_reported r LEFT JOIN accounted a USING (day, scope, model, unit)
),
counter AS (SELECT day, scope, min(source) AS source FROM token WHERE NOT reported GROUP BY ALL)
SELECT m.day, coalesce(c.source, m.source) AS source, m.scope, m.model, m.measure, m.unit, 0 AS dims, m.bearer,
    m.price.factor AS factor, m.price.divisor AS divisor, CAST(m.quantity AS DECIMAL(38, 12)) AS quantity
FROM missing m LEFT JOIN counter c USING (day, scope)
WHERE m.quantity > 0;

CREATE OR REPLACE TEMP TABLE token_line AS
WITH
counted AS (
    SELECT * EXCLUDE (reported), false AS missed FROM token WHERE NOT reported
    UNION ALL BY NAME
    SELECT *, true AS missed FROM unmetered
),
priced AS (
    SELECT *, CASE WHEN factor IS NOT NULL THEN converted(units(quantity), factor, divisor) END AS dollars FROM counted
)
SELECT p.* EXCLUDE (factor, divisor, dollars),
    CASE WHEN r.plain THEN p.dollars WHEN p.dollars IS NOT NULL THEN converted(units(p.dollars), r.factor, r.divisor) END
        AS amount
FROM priced p LEFT JOIN (SELECT * FROM rate WHERE currency = 'USD') r ON true;

INSERT INTO usage_day
SELECT l.day, t.tenant, l.measure, sum(l.quantity)
FROM token_line l JOIN tenant_number t ON t.number = l.bearer
GROUP BY ALL;
