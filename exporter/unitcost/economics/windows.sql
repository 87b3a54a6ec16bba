-- reads: tenant_day, unallocated_day, counted_day, settled_month, commitment_day, dimension_day, usage_day, revenue_day, reconciled_day, revenue,
--        told_day, recent_cost, current_day, and of this run: window_span, clock, source, tenant_limit, directory, alias
-- writes: the temporary tables that snapshot rows are read from, with tenants beyond the limit summed up in __other__:
--         the windows that are shown and what they lack (shown_window, missing_day), which days lie in the same ones
--         (day_part, part_window), the sums of each (window_counted, window_usage, window_dimension,
--         window_unallocated, window_restated, window_commitment, window_reconciled), who is shown apart, and what for (shown, shown_cost, shown_usage,
--         own_margin, own_commitment, margin), MRR and plan (mrr_now, newest_mrr, profile, tenant_profile), the company as a whole
--         (platform), what a window is compared with (compared_margin, compared_usage), tenants that are spelt alike
--         (window_similar, similar_tenant), and the report (report_line)

CREATE OR REPLACE TEMP TABLE missing_day AS
SELECT DISTINCT w.name AS span, s.source, d.day
FROM window_span w
CROSS JOIN (SELECT * FROM source WHERE required) s
CROSS JOIN LATERAL (SELECT CAST(unnest(generate_series(w.first_day, w.needs_until - 1, INTERVAL 1 DAY)) AS DATE) AS day) d
ANTI JOIN current_day k ON k.source = s.source AND k.says = told_kind(s.kind) AND k.day = d.day;

-- What a window is compared with counts whole or not at all: half of it would be a change that never was. Each kind for
-- itself, by its required sources, or by all of them where none is required.
CREATE OR REPLACE TEMP TABLE shown_window AS
WITH
said AS (SELECT source, required, told_kind(kind) AS kind FROM source),
needed AS (FROM said QUALIFY required OR NOT bool_or(required) OVER (PARTITION BY kind)),
lacking AS (
    SELECT w.name, n.kind
    FROM window_span w CROSS JOIN needed n LEFT JOIN current_day k
        ON k.source = n.source AND k.says = n.kind AND k.day >= w.first_day AND k.day < w.end_day
    WHERE is_earlier(w.name)
    GROUP BY w.name, n.kind, n.source, w.first_day, w.end_day
    HAVING count(k.day) < date_diff('day', w.first_day, w.end_day)
)
SELECT w.name, k.kind, w.first_day, w.end_day
FROM window_span w CROSS JOIN (VALUES ('cost'), ('usage'), ('revenue')) k(kind)
ANTI JOIN lacking l ON l.name = w.name AND l.kind = k.kind;

-- Days that lie in the same windows are summed up once: windows overlap, and most of the time goes into adding up.
CREATE OR REPLACE TEMP TABLE day_part AS
WITH
day AS (
    SELECT CAST(unnest(generate_series(min(first_day), max(end_day) - 1, INTERVAL 1 DAY)) AS DATE) AS day
    FROM shown_window
),
inside AS (
    SELECT d.day, list(w.kind || ' ' || w.name ORDER BY w.kind, w.name) AS windows
    FROM day d JOIN shown_window w ON d.day >= w.first_day AND d.day < w.end_day GROUP BY d.day
)
SELECT day, dense_rank() OVER (ORDER BY windows)::INTEGER AS part FROM inside;

CREATE OR REPLACE TEMP TABLE part_window AS
SELECT DISTINCT p.part, w.kind, w.name AS span
FROM day_part p JOIN shown_window w ON p.day >= w.first_day AND p.day < w.end_day;

CREATE OR REPLACE TEMP TABLE window_tenant_component AS
WITH summed AS (
    SELECT p.part, t.tenant, t.component, sum(t.direct) AS direct, sum(t.shared) AS shared
    FROM tenant_day t JOIN day_part p USING (day) GROUP BY ALL
)
SELECT w.span, s.tenant, s.component,
    CAST(sum(s.direct + s.shared) AS DECIMAL(38, 12)) AS cost, CAST(sum(s.shared) AS DECIMAL(38, 12)) AS shared
FROM summed s JOIN part_window w ON w.part = s.part AND w.kind = 'cost'
GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE window_usage AS
WITH summed AS (
    SELECT p.part, u.tenant, u.measure, sum(u.quantity) AS quantity
    FROM usage_day u JOIN day_part p USING (day) GROUP BY ALL
)
SELECT w.span, s.tenant, s.measure, CAST(sum(s.quantity) AS DECIMAL(38, 12)) AS quantity
FROM summed s JOIN part_window w ON w.part = s.part AND w.kind = 'usage'
GROUP BY ALL;

-- MRR(day) ÷ days in its month, summed: the days of one month are added before dividing, so a whole month of an
-- unchanged MRR is that MRR to the last digit.
CREATE OR REPLACE TEMP TABLE window_revenue AS
WITH
summed AS (
    SELECT p.part, v.tenant, last_day(v.day) AS month, sum(v.mrr) AS mrr
    FROM revenue_day v JOIN day_part p USING (day) GROUP BY ALL
),
month AS (
    SELECT w.span, s.tenant, day(s.month) AS days, sum(units(CAST(s.mrr AS DECIMAL(38, 12)))) AS total
    FROM summed s JOIN part_window w ON w.part = s.part AND w.kind = 'revenue'
    GROUP BY w.span, s.tenant, s.month
)
SELECT span, tenant, CAST(sum(dollars((2 * total + days) // (2 * days))) AS DECIMAL(38, 12)) AS revenue
FROM month GROUP BY ALL;

-- The cheapest tenants over all windows together give up their own series first. Who has cost in no window can still
-- have some that budgets and the forecast count.
CREATE OR REPLACE TEMP TABLE shown AS
WITH
every AS (
    SELECT tenant, cost, 0::DECIMAL(38, 12) AS revenue FROM window_tenant_component
    UNION ALL SELECT tenant, 0, revenue FROM window_revenue
    UNION ALL SELECT tenant, 0, 0 FROM window_usage WHERE quantity > 0
    UNION ALL SELECT DISTINCT tenant, 0, 0 FROM recent_cost
),
ranked AS (
    SELECT tenant, row_number() OVER (ORDER BY sum(cost) DESC, sum(revenue) DESC, tenant) AS rank
    FROM every GROUP BY tenant
)
SELECT tenant, CASE WHEN rank <= (SELECT tenants FROM tenant_limit) THEN tenant ELSE '__other__' END AS label
FROM ranked;

CREATE OR REPLACE TEMP TABLE shown_cost AS
SELECT c.span, s.label AS tenant, c.component,
    CAST(sum(c.cost) AS DECIMAL(38, 12)) AS cost, CAST(sum(c.shared) AS DECIMAL(38, 12)) AS shared
FROM window_tenant_component c JOIN shown s USING (tenant) GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE shown_usage AS
SELECT u.span, s.label AS tenant, u.measure, CAST(sum(u.quantity) AS DECIMAL(38, 12)) AS quantity
FROM window_usage u JOIN shown s USING (tenant) GROUP BY ALL;

-- Windows in which revenue, or cost, is known on at least one day; elsewhere it is unknown and not zero, and so is
-- the margin.
CREATE OR REPLACE TEMP TABLE kind_window AS
SELECT DISTINCT w.name AS span, w.kind
FROM told_day k
SEMI JOIN source s ON s.source = k.source
JOIN shown_window w ON w.kind = k.says AND k.day >= w.first_day AND k.day < w.end_day;
CREATE OR REPLACE TEMP TABLE revenue_window AS SELECT span FROM kind_window WHERE kind = 'revenue';
CREATE OR REPLACE TEMP TABLE cost_window AS SELECT span FROM kind_window WHERE kind = 'cost';

-- One row a tenant and window: what reports, the page and the ratios are made of.
CREATE OR REPLACE TEMP TABLE margin AS
WITH
cost AS (
    SELECT span, tenant, sum(cost) AS cost, sum(shared) AS shared FROM shown_cost GROUP BY ALL
),
revenue AS (
    SELECT r.span, s.label AS tenant, sum(r.revenue) AS revenue
    FROM window_revenue r JOIN shown s USING (tenant) GROUP BY ALL
),
request AS (SELECT span, tenant, quantity AS requests FROM shown_usage WHERE measure = 'requests' AND quantity > 0),
present AS (
    SELECT span, tenant FROM cost UNION SELECT span, tenant FROM revenue UNION SELECT span, tenant FROM shown_usage
),
known AS (
    SELECT
        b.span, b.tenant,
        CASE WHEN k.span IS NOT NULL THEN CAST(coalesce(c.cost, 0) AS DECIMAL(38, 12)) END AS cost,
        CASE WHEN k.span IS NOT NULL THEN CAST(coalesce(c.shared, 0) AS DECIMAL(38, 12)) END AS shared,
        CASE WHEN w.span IS NOT NULL THEN CAST(coalesce(r.revenue, 0) AS DECIMAL(38, 12)) END AS revenue,
        q.requests
    FROM present b
    LEFT JOIN cost c USING (span, tenant)
    LEFT JOIN revenue r USING (span, tenant)
    LEFT JOIN request q USING (span, tenant)
    LEFT JOIN revenue_window w USING (span)
    LEFT JOIN cost_window k USING (span)
)
SELECT
    span, tenant, cost, shared, revenue, CAST(revenue - cost AS DECIMAL(38, 12)) AS margin,
    margin_ratio(revenue, cost) AS margin_ratio, requests, per_unit(cost, requests) AS cost_per_request
FROM known;

CREATE OR REPLACE TEMP TABLE newest_mrr AS
SELECT tenant, mrr FROM revenue_day
WHERE day = (SELECT max(day) FROM revenue_day WHERE day <= (SELECT today FROM clock));

-- Tenants that are told apart only by case, Unicode form or white space of their names, which are seldom two customers.
CREATE OR REPLACE TEMP TABLE similar_tenant AS
SELECT tenant, folded(tenant) AS name FROM shown QUALIFY count(*) OVER (PARTITION BY folded(tenant)) > 1;

CREATE OR REPLACE TEMP TABLE window_similar AS
SELECT k.span, CAST(coalesce(sum(c.cost), 0) AS DECIMAL(38, 12)) AS cost
FROM cost_window k
LEFT JOIN (SELECT c.* FROM window_tenant_component c SEMI JOIN similar_tenant USING (tenant)) c USING (span)
GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE mrr_now AS
SELECT s.label AS tenant, CAST(sum(m.mrr) AS DECIMAL(38, 12)) AS mrr
FROM newest_mrr m JOIN shown s USING (tenant) GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE profile AS
SELECT s.tenant, s.label, coalesce(d.name, s.tenant) AS name, coalesce(d.plan, p.plan, '') AS plan,
    coalesce(d.status, 'unknown') AS status, d.tenant IS NOT NULL AS known
FROM shown s
LEFT JOIN directory d USING (tenant)
LEFT JOIN (
    SELECT coalesce(a.tenant, tenant_id(alias_key(v.tenant))) AS tenant, arg_max(v.plan, v.first_day) AS plan
    FROM revenue v JOIN source USING (source) LEFT JOIN alias a ON a.alias = alias_key(v.tenant)
    WHERE v.plan IS NOT NULL AND v.first_day <= (SELECT today FROM clock) GROUP BY ALL
) p USING (tenant);

-- The folded rest has a row too, so that whoever joins names and plans to costs loses no dollar.
CREATE OR REPLACE TEMP TABLE tenant_profile AS
SELECT tenant, name, plan, status, known FROM profile WHERE label <> '__other__'
UNION ALL
SELECT DISTINCT label, 'All other tenants', '', '', true FROM profile WHERE label = '__other__';

CREATE OR REPLACE TEMP TABLE window_counted AS
SELECT w.name AS span, c.source, c.component, c.estimated, CAST(sum(c.amount) AS DECIMAL(38, 12)) AS amount
FROM counted_day c JOIN shown_window w ON w.kind = 'cost' AND c.day >= w.first_day AND c.day < w.end_day GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE window_unallocated AS
SELECT w.name AS span, u.source, u.component, CAST(sum(u.amount) AS DECIMAL(38, 12)) AS amount
FROM unallocated_day u JOIN shown_window w ON w.kind = 'cost' AND u.day >= w.first_day AND u.day < w.end_day GROUP BY ALL;

-- What a closed month is counted at now, less what it came to when it was settled.
CREATE OR REPLACE TEMP TABLE window_restated AS
SELECT w.name AS span, m.source, CAST(coalesce(sum(c.amount), 0) - m.amount AS DECIMAL(38, 12)) AS change
FROM settled_month m
JOIN window_span w ON is_month(w.name) AND w.first_day = m.month
SEMI JOIN source s ON s.source = m.source
LEFT JOIN window_counted c ON c.span = w.name AND c.source = m.source
GROUP BY w.name, m.source, m.amount;

CREATE OR REPLACE TEMP TABLE window_commitment AS
SELECT w.name AS span, c.component, CAST(sum(c.saved) AS DECIMAL(38, 12)) AS saved,
    CAST(sum(c.unused) AS DECIMAL(38, 12)) AS unused
FROM commitment_day c JOIN shown_window w ON w.kind = 'cost' AND c.day >= w.first_day AND c.day < w.end_day GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE window_dimension AS
SELECT w.name AS span, d.dimension, d.value, d.component, CAST(sum(d.amount) AS DECIMAL(38, 12)) AS amount
FROM dimension_day d JOIN shown_window w ON w.kind = 'cost' AND d.day >= w.first_day AND d.day < w.end_day GROUP BY ALL;

-- Only days that the bill has Kubernetes rows for are compared; a cluster the bill never shows has ratio 0.
CREATE OR REPLACE TEMP TABLE window_reconciled AS
SELECT w.name AS span, r.source, r.scope, CAST(sum(r.billed) AS DOUBLE) / CAST(sum(r.metered) AS DOUBLE) AS ratio,
    1 - CAST(sum(r.missed) AS DOUBLE) / CAST(sum(r.metered) AS DOUBLE) AS coverage
FROM reconciled_day r JOIN shown_window w ON w.kind = 'cost' AND r.day >= w.first_day AND r.day < w.end_day
GROUP BY ALL HAVING sum(r.metered) > 0;

-- The whole company in a window. Unallocated costs belong to it, tenants or not.
CREATE OR REPLACE TEMP TABLE platform AS
WITH
tenants AS (
    SELECT span, CAST(sum(cost) AS DECIMAL(38, 12)) AS cost, sum(revenue) AS revenue FROM margin GROUP BY ALL
),
unallocated AS (SELECT span, sum(amount) AS amount FROM window_unallocated GROUP BY ALL),
active AS (
    SELECT span, count(DISTINCT tenant) AS tenants FROM (
        SELECT span, tenant FROM window_tenant_component GROUP BY ALL HAVING sum(cost) <> 0
        UNION ALL SELECT span, tenant FROM window_revenue WHERE revenue > 0
        UNION ALL SELECT span, tenant FROM window_usage WHERE quantity > 0
    ) GROUP BY span
),
request AS (SELECT span, sum(quantity) AS requests FROM window_usage WHERE measure = 'requests' GROUP BY span),
known AS (
    SELECT
        w.name AS span,
        CASE WHEN k.span IS NOT NULL
            THEN CAST(coalesce(t.cost, 0) + coalesce(u.amount, 0) AS DECIMAL(38, 12)) END AS cost,
        CASE WHEN k.span IS NOT NULL THEN CAST(coalesce(u.amount, 0) AS DECIMAL(38, 12)) END AS unallocated,
        CAST(CASE WHEN r.span IS NOT NULL THEN coalesce(t.revenue, 0) END AS DECIMAL(38, 12)) AS revenue,
        CASE WHEN w.name IN (SELECT name FROM shown_window GROUP BY name HAVING count(*) = 3)
            THEN coalesce(a.tenants, 0) END AS tenants,
        CASE WHEN q.requests > 0 THEN CAST(q.requests AS DECIMAL(38, 12)) END AS requests
    FROM window_span w
    LEFT JOIN tenants t ON t.span = w.name
    LEFT JOIN unallocated u ON u.span = w.name
    LEFT JOIN active a ON a.span = w.name
    LEFT JOIN request q ON q.span = w.name
    LEFT JOIN revenue_window r ON r.span = w.name
    LEFT JOIN cost_window k ON k.span = w.name
)
SELECT *, margin_ratio(revenue, cost) AS margin_ratio, per_unit(cost, requests) AS cost_per_request,
    per_unit(cost, tenants) AS cost_per_tenant
FROM known;

-- The margin table: a line a tenant, one for what nobody can be charged for, one for the company.
CREATE OR REPLACE TEMP TABLE report_line AS
SELECT m.span, 'tenant' AS kind, m.tenant, coalesce(p.name, m.tenant) AS name, coalesce(p.plan, '') AS plan,
    m.cost, m.shared, m.revenue, m.margin, m.margin_ratio, m.requests, m.cost_per_request
FROM margin m LEFT JOIN tenant_profile p USING (tenant)
UNION ALL
SELECT span, 'unallocated', '', 'Unallocated', '', unallocated, NULL, NULL, NULL, NULL, NULL, NULL
FROM platform WHERE cost IS NOT NULL
UNION ALL
SELECT span, 'total', '', 'Total', '', cost, NULL, revenue, revenue - cost, margin_ratio, requests, cost_per_request
FROM platform WHERE cost IS NOT NULL OR revenue IS NOT NULL;

-- What is served of the configured windows only, and of those and what they are compared with; of closed months there
-- are costs and revenue alone.
CREATE OR REPLACE TEMP VIEW compared_margin AS FROM margin WHERE NOT is_month(span);
CREATE OR REPLACE TEMP VIEW own_commitment AS FROM window_commitment WHERE is_own(span);
CREATE OR REPLACE TEMP VIEW own_margin AS FROM margin WHERE is_own(span);
CREATE OR REPLACE TEMP VIEW compared_usage AS
FROM shown_usage WHERE NOT is_month(span);
