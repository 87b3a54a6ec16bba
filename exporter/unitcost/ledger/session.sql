-- reads: nothing
-- writes: macros of one connection: whole units of the ledger's last digit (1e-12), tenant ids, ratios

CREATE OR REPLACE TEMP MACRO units(amount) AS
    CAST(CAST(amount AS DECIMAL(38, 12)) * 1000000000000::DECIMAL(13, 0) AS HUGEINT);
-- The same for quantities, which grow beyond the 1e14 where units() would overflow: 140 TB are 1.4e14 bytes.
CREATE OR REPLACE TEMP MACRO quantity_units(quantity) AS
    CAST(trunc(quantity) AS HUGEINT) * 1000000000000::HUGEINT + units(quantity - trunc(quantity));
CREATE OR REPLACE TEMP MACRO dollars(count) AS
    CAST(CAST(count AS DECIMAL(26, 0)) * 0.000000000001::DECIMAL(12, 12) AS DECIMAL(38, 12));

-- What names have in common that differ only by case, Unicode form or white space; as names.fold.
CREATE OR REPLACE TEMP MACRO folded(spelt) AS
    lower(nfc_normalize(trim(regexp_replace(
        regexp_replace(spelt, '\p{Cf}+', '', 'g'), '[\t\n\x{0b}\x{0c}\r\x{85}\p{Z}]+', ' ', 'g'
    ))));

-- A tenant's id from what a source spelt: reserved and empty names are nobody; a very long one is cut, with a
-- digest so that two long ones stay two tenants (Mimir and others refuse label values beyond 2,048 bytes).
CREATE OR REPLACE TEMP MACRO tidy(spelt) AS trim(spelt, chr(9) || chr(10) || chr(13) || ' ');
CREATE OR REPLACE TEMP MACRO tenant_id(spelt) AS
    CASE
        WHEN spelt IS NULL OR tidy(spelt) = '' THEN NULL
        WHEN tidy(spelt) IN ('__idle__', '__unallocated__', '__unmounted__', '__other__') THEN NULL
        WHEN length(spelt) > 200 THEN left(tidy(spelt), 200) || '~' || left(md5(tidy(spelt)), 8)
        ELSE tidy(spelt)
    END;

-- What is NULL is unknown, and so is the ratio; 0 units give no cost of one.
CREATE OR REPLACE TEMP MACRO margin_ratio(revenue, cost) AS
    CASE
        WHEN revenue > 0 THEN CAST(revenue - cost AS DOUBLE) / CAST(revenue AS DOUBLE)
        WHEN revenue = 0 AND cost > 0 THEN -1.0
    END;
CREATE OR REPLACE TEMP MACRO per_unit(cost, count) AS
    CASE WHEN count > 0 THEN CAST(cost AS DOUBLE) / CAST(count AS DOUBLE) END;
