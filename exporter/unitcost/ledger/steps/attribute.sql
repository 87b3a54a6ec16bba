-- reads: cost, usage, mrr_day, doubt, price, resource_scope, spelling, service_component, and of this run: source,
--        rate, dirty
-- writes: heard (what counts of what sources said), cost_fact (costs in the configured currency with the number of who
--         bears them, if anybody, their component, scope and the resource of it, and of a commitment's unused part the
--         component it was bought for), unmounted_disk (disks that are a tenant's by the bill alone), usage_day and
--         revenue_day of the dirty days

-- What a source says of a dirty day counts, unless the ledger holds of it what cannot be counted.
CREATE OR REPLACE TEMP TABLE heard AS
SELECT d.day, s.source, s.kind, told_kind(s.kind) AS says
FROM dirty d CROSS JOIN source s ANTI JOIN doubt x ON x.source = s.source AND x.day = d.day;

-- What a commitment was not used for is of no scope, whatever names it. foreign_units: what is to be converted; NULL in
-- the configured currency.
CREATE OR REPLACE TEMP TABLE cost_fact AS
WITH
said AS (
    SELECT c.* REPLACE (
            coalesce(p.model, c.item) AS item,
            CASE WHEN NOT is_unused(h.kind, c.charge) THEN coalesce(c.scope, s.scope) END AS scope,
            CASE WHEN NOT is_unused(h.kind, c.charge) THEN c.resource END AS resource
        ),
        h.kind, n.number AS bearer, r.factor, r.divisor,
        CASE
            WHEN h.kind = 'cluster' THEN c.category
            WHEN is_unused(h.kind, c.charge) THEN 'commitment'
            ELSE s.component
        END AS component,
        CASE WHEN is_unused(h.kind, c.charge) THEN s.component END AS unused_of,
        CASE WHEN NOT r.plain THEN units(c.amount) END AS foreign_units,
        CASE WHEN NOT r.plain THEN units(c.list_amount) END AS foreign_list_units
    FROM cost c
    JOIN heard h ON h.day = c.day AND h.source = c.source AND h.says = 'cost'
    JOIN rate r ON r.currency = c.currency
    JOIN service_component s
        ON s.source = c.source AND s.service = c.service AND s.category IS NOT DISTINCT FROM c.category
    LEFT JOIN price p ON p.used_scope = c.scope AND p.used_item = c.item AND p.unit = ''
        AND c.day >= p.first_day AND c.day < p.end_day
    LEFT JOIN spelling n ON n.spelt = c.tenant
),
exchanged AS (
    SELECT day, source, kind, scope, resource, bearer, service, item, dims, unit, quantity, component, unused_of,
        CASE WHEN foreign_units IS NULL THEN amount ELSE converted(foreign_units, factor, divisor) END AS amount,
        CASE WHEN foreign_list_units IS NULL THEN list_amount ELSE converted(foreign_list_units, factor, divisor) END
            AS list_amount
    FROM said
)
SELECT *, NULL::VARCHAR AS resource_kind FROM exchanged WHERE resource IS NULL
UNION ALL BY NAME
SELECT c.* EXCLUDE (resource, scope, quantity, amount, list_amount), coalesce(r.scope, c.scope) AS scope,
    r.id AS resource, r.kind AS resource_kind, known_sum(c.quantity) AS quantity,
    CAST(sum(c.amount) AS DECIMAL(38, 12)) AS amount, known_sum(c.list_amount) AS list_amount
FROM exchanged c LEFT JOIN resource_scope r USING (resource)
WHERE c.resource IS NOT NULL
GROUP BY ALL;

-- A disk that the bill says is a tenant's, and that no tenant's workload has mounted, is that tenant's alone. Only where the
-- meter tells disks apart that day: else who uses volumes divides the money of all disks.
CREATE OR REPLACE TEMP TABLE unmounted_disk AS
WITH
disk AS (SELECT * FROM cost_fact WHERE resource_kind = 'disk'),
metered AS (
    SELECT day, scope, resource, count(bearer) AS bearers FROM disk WHERE kind = 'cluster' GROUP BY ALL
),
tagged AS (
    SELECT day, scope, resource, min(bearer) AS bearer FROM disk WHERE kind = 'bill' AND bearer IS NOT NULL
    GROUP BY ALL HAVING count(DISTINCT bearer) = 1
)
SELECT t.*, m.resource IS NOT NULL AS metered
FROM tagged t LEFT JOIN metered m USING (day, scope, resource)
SEMI JOIN metered d ON d.day = t.day AND d.scope = t.scope
WHERE coalesce(m.bearers, 0) = 0;

-- What the meter knows nothing of at all is the bill's own, of no scope.
UPDATE cost_fact SET scope = NULL, resource = NULL
FROM unmounted_disk u
WHERE NOT u.metered AND kind = 'bill' AND u.day = cost_fact.day AND u.scope = cost_fact.scope AND u.resource = cost_fact.resource;

INSERT INTO usage_day
SELECT u.day, n.tenant, u.measure, sum(u.quantity)
FROM usage u
JOIN heard h ON h.day = u.day AND h.source = u.source AND h.says = 'usage'
JOIN spelling n ON n.spelt = u.tenant
WHERE u.unit IS NULL
GROUP BY ALL;

INSERT INTO revenue_day
WITH said AS (
    SELECT v.day, n.tenant, v.mrr, r.factor, r.divisor, CASE WHEN NOT r.plain THEN units(v.mrr) END AS foreign_units
    FROM mrr_day v
    JOIN heard h ON h.day = v.day AND h.source = v.source AND h.says = 'revenue'
    JOIN rate r ON r.currency = v.currency
    JOIN spelling n ON n.spelt = v.tenant
)
SELECT day, tenant,
    sum(CASE WHEN foreign_units IS NULL THEN mrr ELSE converted(foreign_units, factor, divisor) END)
FROM said GROUP BY ALL;
