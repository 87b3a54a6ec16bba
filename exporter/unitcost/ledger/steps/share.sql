-- reads: counted, dimension_set, usage_day, revenue_day, tenant_number, and of this run: rule, fixed_share
-- writes: direct (what each tenant costs by itself, by day and component), kind_rule (the first rule that matches a kind of
--         cost), tenantless (costs that nobody bears alone), shared_pool (these by rule and component), shared_portion
--         (each pool among the tenants of that day, by how much each of them has of a measure, say)

CREATE OR REPLACE TEMP TABLE direct AS
SELECT day, bearer, component, CAST(sum(amount) AS DECIMAL(38, 12)) AS amount
FROM counted WHERE bearer IS NOT NULL GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE direct_all AS
SELECT day, bearer, CAST(sum(amount) AS DECIMAL(38, 12)) AS amount FROM direct GROUP BY ALL;

-- Rules are matched once per kind of cost, not once per line.
CREATE OR REPLACE TEMP TABLE kind_rule AS
SELECT k.source, k.service, k.component, k.scope, k.dims, min(r.rule) AS rule
FROM (SELECT DISTINCT source, service, component, scope, dims FROM counted WHERE bearer IS NULL) k
JOIN dimension_set s ON s.id = k.dims
JOIN rule r ON coalesce(r.source = k.source, true)
    AND coalesce(r.service = k.service, true)
    AND coalesce(r.component = k.component, true)
    AND (r.cluster IS NULL OR k.scope IS NOT DISTINCT FROM 'k8s/' || r.cluster)
    AND len(list_filter(map_entries(r.dimensions), lambda e: s.dimensions[e.key] IS DISTINCT FROM e.value)) = 0
GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE tenantless AS
SELECT c.day, c.source, c.component, k.rule, CAST(sum(c.amount) AS DECIMAL(38, 12)) AS amount
FROM counted c
LEFT JOIN kind_rule k ON k.source = c.source AND k.service = c.service AND k.component = c.component
    AND k.scope IS NOT DISTINCT FROM c.scope AND k.dims = c.dims
WHERE c.bearer IS NULL
GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE shared_pool AS
SELECT row_number() OVER (ORDER BY day, rule, component) AS pool, day, rule, component,
    CAST(sum(amount) AS DECIMAL(38, 12)) AS amount
FROM tenantless WHERE rule IS NOT NULL GROUP BY day, rule, component;

-- Who is there on a day that has something to share evenly: who costs, uses or pays something.
CREATE OR REPLACE TEMP TABLE even_tenant AS
WITH even AS (SELECT DISTINCT p.day FROM shared_pool p JOIN rule r USING (rule) WHERE r.method = 'even')
SELECT day, bearer FROM direct_all SEMI JOIN even USING (day)
UNION
SELECT u.day, t.number FROM usage_day u SEMI JOIN even USING (day) JOIN tenant_number t USING (tenant)
WHERE u.quantity > 0
UNION
SELECT v.day, t.number FROM revenue_day v SEMI JOIN even USING (day) JOIN tenant_number t USING (tenant)
WHERE v.mrr > 0;

CREATE OR REPLACE TEMP TABLE shared_weight AS
WITH needed AS (SELECT p.pool, p.day, r.rule, r.method, r.measure FROM shared_pool p JOIN rule r USING (rule))
SELECT n.pool, d.bearer AS recipient, units(d.amount) AS weight
FROM needed n JOIN direct_all d USING (day) WHERE n.method = 'direct_cost' AND d.amount > 0
UNION ALL
SELECT n.pool, e.bearer, 1::HUGEINT FROM needed n JOIN even_tenant e USING (day) WHERE n.method = 'even'
UNION ALL
SELECT n.pool, t.number, units(u.quantity)
FROM needed n JOIN usage_day u ON u.day = n.day AND u.measure = n.measure JOIN tenant_number t USING (tenant)
WHERE n.method = 'measure' AND u.quantity > 0
UNION ALL
SELECT n.pool, t.number, f.weight
FROM needed n JOIN fixed_share f USING (rule) JOIN tenant_number t USING (tenant)
WHERE n.method = 'fixed' AND f.weight > 0;

CREATE OR REPLACE TEMP TABLE shared_portion AS FROM apportioned('shared_pool', 'shared_weight');
