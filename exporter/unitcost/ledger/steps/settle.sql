-- reads: counted, tenantless, shared_pool, portion, tenant_number, dimension (of this run)
-- writes: tenant_day, unallocated_day, dimension_day of the dirty days

INSERT INTO tenant_day
SELECT day, tenant, component, sum(direct), sum(shared)
FROM (
    SELECT day, tenant, component, amount AS direct, 0::DECIMAL(38, 12) AS shared
    FROM counted WHERE tenant IS NOT NULL
    UNION ALL
    SELECT p.day, t.tenant, p.component, 0::DECIMAL(38, 12), n.amount
    FROM portion n JOIN shared_pool p USING (pool) JOIN tenant_number t ON t.id = n.recipient
)
GROUP BY ALL
HAVING sum(direct) <> 0 OR sum(shared) <> 0;

-- Nothing to share by (no requests that day, say) leaves the pool unallocated, not lost.
INSERT INTO unallocated_day
SELECT l.day, l.source, l.component, sum(l.amount)
FROM tenantless l
LEFT JOIN shared_pool p ON p.day = l.day AND p.rule = l.rule AND p.component = l.component
WHERE p.pool IS NULL OR p.pool NOT IN (SELECT pool FROM portion)
GROUP BY ALL;

INSERT INTO dimension_day
SELECT c.day, d.dimension, coalesce(c.dimensions[d.dimension], '__unallocated__'), c.component, sum(c.amount)
FROM counted c CROSS JOIN dimension d
GROUP BY ALL
HAVING sum(c.amount) <> 0;

-- The cluster is a dimension of its own, of days on which any is known; a user's dimension of that name comes first.
INSERT INTO dimension_day
SELECT c.day, 'cluster', coalesce(nullif(c.cluster, ''), '__unallocated__'), c.component, sum(c.amount)
FROM counted c
WHERE 'cluster' NOT IN (FROM dimension) AND c.day IN (SELECT day FROM counted WHERE cluster <> '')
GROUP BY ALL
HAVING sum(c.amount) <> 0;
