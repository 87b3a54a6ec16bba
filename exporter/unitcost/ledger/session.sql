-- reads: known_day, batch, revenue, doubt
-- writes: the views told_day, settings_day and mrr_day, and macros of one connection: whole units of the ledger's last digit (1e-12), exact products, tenant ids, kinds of windows, ratios

-- DuckDB divides whole numbers of 128 bits bit by bit. Floating point is ten times faster, and misses the quotient by one
-- at the most while that is below 2^51; what was missed can be told exactly, and be divided again.
CREATE OR REPLACE TEMP MACRO guessed(dividend, divisor) AS
    CAST(CAST(dividend AS DOUBLE) / CAST(divisor AS DOUBLE) AS HUGEINT);

-- Both ways for every number a DECIMAL(38, 12) holds; the first branch is what nearly all take, and much faster.
CREATE OR REPLACE TEMP MACRO small_dollars(count) AS
    CAST(CAST(count AS DECIMAL(26, 0)) * 0.000000000001::DECIMAL(12, 12) AS DECIMAL(38, 12));
CREATE OR REPLACE TEMP MACRO near_units(amount, guess) AS
    guess + CAST(CAST(CAST(amount - small_dollars(guess) AS DECIMAL(18, 12)) AS DOUBLE) * 1e12 AS HUGEINT);
CREATE OR REPLACE TEMP MACRO units(amount) AS
    CASE
        WHEN amount BETWEEN -10000000000000::DECIMAL(38, 12) AND 10000000000000::DECIMAL(38, 12)
            THEN near_units(amount, CAST(CAST(amount AS DOUBLE) * 1e12 AS HUGEINT))
        ELSE CAST(trunc(amount) AS HUGEINT) * 1000000000000::HUGEINT
            + CAST(CAST(amount - trunc(amount) AS DECIMAL(38, 12)) * 1000000000000::DECIMAL(13, 0) AS HUGEINT)
    END;
CREATE OR REPLACE TEMP MACRO dollars(count) AS
    CASE
        WHEN count BETWEEN -10000000000000000000000000::HUGEINT AND 10000000000000000000000000::HUGEINT
            THEN small_dollars(count)
        ELSE CAST(count // 1000000000000::HUGEINT AS DECIMAL(38, 12)) + small_dollars(count % 1000000000000::HUGEINT)
    END;

-- An amount times factor / divisor, exact, then rounded to the last digit, half away from zero. A rate of 1.0837 is
-- 10837 / 10000: whole numbers, factor below 1e18, divisor a power of ten up to 1e25 (rate_parts of derive.py). Where
-- the product might not fit, the units are divided limb by limb of 12 digits, as on paper.
CREATE OR REPLACE TEMP MACRO next_limb(rest, limb, factor) AS rest * 1000000000000::HUGEINT + factor * limb;
CREATE OR REPLACE TEMP MACRO wide_quotient(top, mid, low, divisor) AS
    (top // divisor) * 1000000000000000000000000::HUGEINT + (mid // divisor) * 1000000000000::HUGEINT + low // divisor
    + CASE WHEN 2 * (low % divisor) >= divisor THEN 1 ELSE 0 END;
CREATE OR REPLACE TEMP MACRO wide_from_mid(top, mid, u, factor, divisor) AS
    wide_quotient(top, mid, next_limb(mid % divisor, u % 1000000000000::HUGEINT, factor), divisor);
CREATE OR REPLACE TEMP MACRO wide_from_top(top, u, factor, divisor) AS
    wide_from_mid(
        top, next_limb(top % divisor, u // 1000000000000::HUGEINT % 1000000000000::HUGEINT, factor), u, factor, divisor
    );
CREATE OR REPLACE TEMP MACRO scaled(u, factor, divisor) AS
    CASE
        WHEN u <= 50000000000000000000::HUGEINT THEN (2 * u * factor + divisor) // (2 * divisor)
        ELSE wide_from_top(u // 1000000000000000000000000::HUGEINT * factor, u, factor, divisor)
    END;
-- Through lists: what scaled() and dollars() name several times would be planned as often, which is most of a short
-- derivation.
CREATE OR REPLACE TEMP MACRO converted(u, factor, divisor) AS
    list_transform(
        list_transform([u], lambda count: sign(count) * scaled(abs(count), factor, divisor)), lambda count: dollars(count)
    )[1];

-- The days that a source knows, without those of which it said what cannot be counted.
CREATE OR REPLACE TEMP VIEW told_day AS
SELECT k.* FROM known_day k ANTI JOIN doubt d ON d.source = k.source AND d.day = k.day;

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

-- What ids of cloud resources are compared by, and the last part of it.
CREATE OR REPLACE TEMP MACRO resource_key(id) AS lower(trim(trim(id), '/'));
CREATE OR REPLACE TEMP MACRO resource_tail(id) AS parse_filename(resource_key(id), false, 'forward_slash');

-- What a kind of source tells: clusters, bills and priced tokens are costs.
CREATE OR REPLACE TEMP MACRO told_kind(kind) AS CASE WHEN kind IN ('cluster', 'bill', 'tokens') THEN 'cost' ELSE kind END;
CREATE OR REPLACE TEMP MACRO is_unused(kind, charge) AS kind = 'bill' AND charge = 'unused';
CREATE OR REPLACE TEMP MACRO is_cluster(scope) AS starts_with(scope, 'k8s/');

-- Windows by their names: one that a configured window is compared with, a closed calendar month, and those of one's own.
CREATE OR REPLACE TEMP MACRO is_earlier(span) AS starts_with(span, 'prev_');
CREATE OR REPLACE TEMP MACRO is_month(span) AS regexp_full_match(span, '\d{4}-\d{2}');
CREATE OR REPLACE TEMP MACRO is_own(span) AS NOT is_earlier(span) AND NOT is_month(span);

-- A sum of which a part is unknown is unknown.
CREATE OR REPLACE TEMP MACRO known_sum(amount) AS
    CAST(CASE WHEN count(amount) = count(*) THEN sum(amount) END AS DECIMAL(38, 12));

-- What is NULL is unknown, and so is the ratio; 0 units give no cost of one.
CREATE OR REPLACE TEMP MACRO margin_ratio(revenue, cost) AS
    CASE
        WHEN revenue > 0 THEN CAST(revenue - cost AS DOUBLE) / CAST(revenue AS DOUBLE)
        WHEN revenue = 0 AND cost > 0 THEN -1.0
    END;
CREATE OR REPLACE TEMP MACRO per_unit(cost, count) AS
    CASE WHEN count > 0 THEN CAST(cost AS DOUBLE) / CAST(count AS DOUBLE) END;

-- Under which settings (a digest of them) a source told of each day it knows.
CREATE OR REPLACE TEMP VIEW settings_day AS
SELECT k.source, k.says, k.day, b.settings FROM known_day k JOIN batch b ON b.source = k.source AND b.key = k.batch
WHERE NOT b.empty;

-- Each line of MRR on each day it holds of those that its batch knows.
CREATE OR REPLACE TEMP VIEW mrr_day AS
SELECT v.*, k.day FROM revenue v JOIN known_day k USING (source, batch)
WHERE k.says = 'revenue' AND k.day >= v.first_day AND (v.last_day IS NULL OR k.day <= v.last_day);
