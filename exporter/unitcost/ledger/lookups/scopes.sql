-- reads: cost, resource, service_component, and of this run: source, dirty
-- writes: resource_scope (the scope that a bill's resource belongs to, as a meter knows it), scoped_day and machine_day of
--         the dirty days

-- A bill's id is that of a resource where it is the same or ends with it; where it ends with several, the longest is it.
-- An id means the same resource on any day.
CREATE OR REPLACE TEMP TABLE resource_scope AS
WITH
spelt AS (SELECT DISTINCT resource FROM cost SEMI JOIN dirty USING (day) WHERE resource IS NOT NULL),
known AS (
    SELECT resource_key(provider_id) AS id, min(scope) AS scope, arg_min(kind, scope) AS kind FROM resource GROUP BY ALL
)
SELECT s.resource, k.id, k.scope, k.kind
FROM spelt s
JOIN known k ON resource_tail(s.resource) = resource_tail(k.id)
    AND ends_with('/' || resource_key(s.resource), '/' || k.id)
WHERE k.id <> ''
QUALIFY row_number() OVER (PARTITION BY s.resource ORDER BY length(k.id) DESC, k.id) = 1;

DELETE FROM scoped_day WHERE day IN (FROM dirty);
INSERT INTO scoped_day
WITH
ruled AS (SELECT * FROM service_component WHERE scope IS NOT NULL),
said AS (
    SELECT c.source, coalesce(r.scope, c.scope) AS scope, c.day, c.charge
    FROM cost c SEMI JOIN dirty USING (day) LEFT JOIN resource_scope r USING (resource)
    UNION ALL
    SELECT c.source, n.scope, c.day, c.charge
    FROM cost c SEMI JOIN dirty USING (day)
    JOIN ruled n ON n.source = c.source AND n.service = c.service AND n.category IS NOT DISTINCT FROM c.category
    LEFT JOIN resource_scope r USING (resource)
    WHERE coalesce(r.scope, c.scope) IS NULL
)
SELECT source, scope, day, bool_or(charge = 'usage') FROM said WHERE scope IS NOT NULL GROUP BY ALL;

-- Machines are what is counted as such, what the meter knows as a node, whatever the bill calls it, and what is tagged
-- with a cluster's name by a bill that has no categories.
DELETE FROM machine_day WHERE day IN (FROM dirty);
INSERT INTO machine_day
SELECT DISTINCT c.source, c.day
FROM cost c SEMI JOIN dirty USING (day)
JOIN source s ON s.source = c.source AND s.kind = 'bill'
JOIN service_component n ON n.source = c.source AND n.service = c.service AND n.category IS NOT DISTINCT FROM c.category
LEFT JOIN resource_scope r USING (resource)
WHERE c.charge = 'usage'
    AND (n.component IN ('compute', 'gpu') OR r.kind = 'node' OR c.category IS NULL AND is_cluster(c.scope) AND c.scope <> 'k8s/');
