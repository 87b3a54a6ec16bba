-- reads: counted, direct, kind_rule, dimension_set, tenantless, shared_pool, shared_portion, tenant_number, dimension (of
--        this run)
-- writes: line, tenant_day, unallocated_day, dimension_day, ai_day of the dirty days

-- Nothing to share by (no requests that day, say) leaves a pool unallocated, not lost.
CREATE OR REPLACE TEMP TABLE divided AS
SELECT p.day, p.rule, p.component FROM shared_pool p WHERE p.pool IN (SELECT pool FROM shared_portion);

INSERT INTO line BY NAME
SELECT c.* EXCLUDE (bearer), t.tenant, 0 AS via FROM counted c JOIN tenant_number t ON t.number = c.bearer
UNION ALL BY NAME
SELECT c.* EXCLUDE (bearer), CASE WHEN d.rule IS NULL THEN 0 ELSE d.rule + 1 END AS via
FROM counted c
LEFT JOIN kind_rule k ON k.source = c.source AND k.service = c.service AND k.component = c.component
    AND k.scope IS NOT DISTINCT FROM c.scope AND k.dims = c.dims
LEFT JOIN divided d ON d.day = c.day AND d.rule = k.rule AND d.component = c.component
WHERE c.bearer IS NULL;

-- Components of which nothing is shared that day, most often nearly all, need no summing up.
INSERT INTO tenant_day
SELECT d.day, t.tenant, d.component, d.amount, 0
FROM direct d JOIN tenant_number t ON t.number = d.bearer ANTI JOIN shared_pool p ON p.day = d.day AND p.component = d.component
WHERE d.amount <> 0;

INSERT INTO tenant_day
WITH summed AS (
    SELECT day, bearer, component, sum(direct) AS direct, sum(shared) AS shared
    FROM (
        SELECT day, bearer, component, amount AS direct, 0::DECIMAL(38, 12) AS shared
        FROM direct SEMI JOIN shared_pool USING (day, component)
        UNION ALL
        SELECT p.day, n.recipient, p.component, 0::DECIMAL(38, 12), n.amount
        FROM shared_portion n JOIN shared_pool p USING (pool)
    )
    GROUP BY ALL
    HAVING sum(direct) <> 0 OR sum(shared) <> 0
)
SELECT s.day, t.tenant, s.component, s.direct, s.shared FROM summed s JOIN tenant_number t ON t.number = s.bearer;

INSERT INTO unallocated_day
SELECT l.day, l.source, l.component, sum(l.amount)
FROM tenantless l ANTI JOIN divided d ON d.day = l.day AND d.rule = l.rule AND d.component = l.component
GROUP BY ALL;

-- Each set of dimensions is looked into once, not once a row.
CREATE OR REPLACE TEMP TABLE dimension_value AS
SELECT s.id AS dims, d.dimension, coalesce(s.dimensions[d.dimension], '__unallocated__') AS value
FROM dimension_set s CROSS JOIN dimension d;

INSERT INTO dimension_day
SELECT c.day, v.dimension, v.value, c.component, sum(c.amount)
FROM counted c JOIN dimension_value v USING (dims)
GROUP BY ALL
HAVING sum(c.amount) <> 0;

-- The cluster is a dimension of its own, of days on which any is known; a user's dimension of that name comes first.
INSERT INTO dimension_day
SELECT c.day, 'cluster', coalesce(CASE WHEN is_cluster(c.scope) THEN nullif(substr(c.scope, 5), '') END, '__unallocated__'), c.component, sum(c.amount)
FROM counted c
WHERE 'cluster' NOT IN (SELECT dimension FROM dimension)
    AND c.day IN (SELECT day FROM counted WHERE starts_with(scope, 'k8s/') AND scope <> 'k8s/')
GROUP BY ALL
HAVING sum(c.amount) <> 0;

INSERT INTO ai_day
SELECT c.day, t.tenant, c.scope, c.item, s.dimensions['feature'], c.unit, c.basis = 'billed', sum(c.quantity), sum(c.amount),
    sum(c.amount) FILTER (c.quantity IS NOT NULL), sum(c.quantity) FILTER (c.basis = 'unpriced')
FROM counted c JOIN dimension_set s ON s.id = c.dims LEFT JOIN tenant_number t ON t.number = c.bearer
WHERE c.component = 'ai'
GROUP BY ALL;
