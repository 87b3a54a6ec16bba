-- reads: cost, usage, revenue, and of this run: dirty, alias, component, fixed_share
-- writes: tenant_number (the tenants of the dirty days, numbered in their order), spelling (who is meant by what a source
--         spelt), service_component (the component of a bill's service, and the
--         scope that the configuration says it is of)

-- Each spelling is looked at once, not once a row; the steps count by numbers, which is much faster than by names.
CREATE OR REPLACE TEMP TABLE meant AS
SELECT s.spelt, coalesce(a.tenant, tenant_id(alias_key(s.spelt))) AS tenant
FROM (
    SELECT tenant AS spelt FROM cost SEMI JOIN dirty USING (day)
    UNION SELECT tenant FROM usage SEMI JOIN dirty USING (day)
    UNION SELECT tenant FROM revenue
) s
LEFT JOIN alias a ON a.alias = alias_key(s.spelt)
WHERE s.spelt IS NOT NULL;

CREATE OR REPLACE TEMP TABLE tenant_number AS
SELECT CAST(row_number() OVER (ORDER BY tenant) AS INTEGER) AS number, tenant
FROM (SELECT tenant FROM meant UNION SELECT tenant FROM fixed_share) WHERE tenant IS NOT NULL;

CREATE OR REPLACE TEMP TABLE spelling AS
SELECT m.spelt, t.number, t.tenant FROM meant m JOIN tenant_number t USING (tenant);

-- So is each service, whose name comes before its category. A meter knows its components itself.
CREATE OR REPLACE TEMP TABLE service_component AS
SELECT s.source, s.service, s.category, coalesce(n.component, g.component, 'other') AS component,
    ruled_scope(s.source, s.service, s.category) AS scope
FROM (SELECT DISTINCT c.source, c.service, c.category FROM cost c SEMI JOIN dirty USING (day)) s
LEFT JOIN component n ON n.source = s.source AND n.name = s.service
LEFT JOIN component g ON g.source = s.source AND g.name = s.category;
