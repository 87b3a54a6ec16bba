-- reads: nothing
-- writes: the empty tables of the ledger; those above the line hold what sources said, those below are derived

CREATE TABLE IF NOT EXISTS meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);

-- One row per batch, and one more per key of which the source had nothing when it was last asked (empty).
-- settings: digest of the source's settings it was fetched under. until, lacks: as of a Batch.
CREATE TABLE IF NOT EXISTS batch (
    source VARCHAR NOT NULL, key VARCHAR NOT NULL, fingerprint VARCHAR NOT NULL, settings VARCHAR NOT NULL,
    empty BOOLEAN NOT NULL, loaded_at TIMESTAMPTZ NOT NULL, rows BIGINT NOT NULL,
    until TIMESTAMPTZ, lacks VARCHAR NOT NULL
);
-- says: cost, usage or revenue.
CREATE TABLE IF NOT EXISTS known_day (
    source VARCHAR NOT NULL, batch VARCHAR NOT NULL, says VARCHAR NOT NULL, day DATE NOT NULL
);
-- Sets of dimensions, told once: facts hold their id. 0 is the empty set.
CREATE TABLE IF NOT EXISTS dimension_set (id INTEGER PRIMARY KEY, dimensions MAP(VARCHAR, VARCHAR) NOT NULL);
CREATE TABLE IF NOT EXISTS cost (
    source VARCHAR NOT NULL, batch VARCHAR NOT NULL,
    day DATE NOT NULL, tenant VARCHAR, service VARCHAR NOT NULL, category VARCHAR,
    amount DECIMAL(38, 12) NOT NULL, currency VARCHAR NOT NULL, scope VARCHAR, dims INTEGER DEFAULT 0,
    charge VARCHAR DEFAULT 'usage', resource VARCHAR, item VARCHAR, unit VARCHAR, quantity DECIMAL(38, 12),
    list_amount DECIMAL(38, 12)
);
CREATE TABLE IF NOT EXISTS usage (
    source VARCHAR NOT NULL, batch VARCHAR NOT NULL,
    day DATE NOT NULL, tenant VARCHAR, measure VARCHAR NOT NULL, quantity DECIMAL(38, 12) NOT NULL,
    item VARCHAR, dims INTEGER DEFAULT 0, unit VARCHAR, scope VARCHAR
);
CREATE TABLE IF NOT EXISTS revenue (
    source VARCHAR NOT NULL, batch VARCHAR NOT NULL,
    first_day DATE NOT NULL, last_day DATE, tenant VARCHAR NOT NULL, mrr DECIMAL(38, 12) NOT NULL,
    currency VARCHAR NOT NULL, plan VARCHAR
);
CREATE TABLE IF NOT EXISTS resource (
    source VARCHAR NOT NULL, batch VARCHAR NOT NULL,
    day DATE NOT NULL, provider_id VARCHAR NOT NULL, scope VARCHAR NOT NULL, kind VARCHAR NOT NULL
);
CREATE TABLE IF NOT EXISTS source_state (source VARCHAR PRIMARY KEY, last_success TIMESTAMPTZ NOT NULL);

-- ---------------------------------------------------------------------------------------------- derived
CREATE TABLE IF NOT EXISTS derived_day (day DATE PRIMARY KEY);
-- When what is said of a day last changed, and in which revision of the ledger: a number that grows with each derivation
-- that changes a day. A day that vanished stays, known no more. Ledgers that were written before this table was thought
-- of have days that are not in it.
CREATE TABLE IF NOT EXISTS changed_day (
    day DATE PRIMARY KEY, changed_at TIMESTAMPTZ NOT NULL, known BOOLEAN NOT NULL, revision BIGINT
);
-- What closed days were counted at before a later delivery changed that, and when it last did.
CREATE TABLE IF NOT EXISTS restated_day (
    day DATE PRIMARY KEY, amount DECIMAL(38, 12) NOT NULL, restated_at TIMESTAMPTZ NOT NULL
);
-- What a source's costs of a month came to when it was first seen settled: all its days known, five days after its end.
CREATE TABLE IF NOT EXISTS settled_month (
    month DATE NOT NULL, source VARCHAR NOT NULL, amount DECIMAL(38, 12) NOT NULL, PRIMARY KEY (month, source)
);
-- Days of a source of which the ledger holds what cannot be counted, in a batch (empty: unknown which); nothing that
-- the source says of such a day counts. reason, text: as of a Problem.
CREATE TABLE IF NOT EXISTS doubt (
    source VARCHAR NOT NULL, day DATE NOT NULL, batch VARCHAR NOT NULL, reason VARCHAR NOT NULL, text VARCHAR NOT NULL
);
-- Of which scopes a source told costs, and whether any was usage.
CREATE TABLE IF NOT EXISTS scoped_day (
    source VARCHAR NOT NULL, scope VARCHAR NOT NULL, day DATE NOT NULL, used BOOLEAN NOT NULL
);
-- What a unit of something costs, from first_day on, before end_day; see prices.PriceRow. used_scope, used_item: as
-- sources say them.
CREATE TABLE IF NOT EXISTS price (
    used_scope VARCHAR NOT NULL, used_item VARCHAR NOT NULL, unit VARCHAR NOT NULL, first_day DATE NOT NULL,
    end_day DATE NOT NULL, scope VARCHAR, model VARCHAR NOT NULL, factor HUGEINT, divisor HUGEINT,
    dollars VARCHAR, list_dollars VARCHAR, per BIGINT, rule VARCHAR
);
-- On which days a bill charged for the use of machines, which clusters run on. Ledgers that were written before this table
-- was thought of are derived anew.
CREATE TABLE IF NOT EXISTS machine_day (source VARCHAR NOT NULL, day DATE NOT NULL);
CREATE TABLE IF NOT EXISTS billed_day (source VARCHAR NOT NULL, scope VARCHAR NOT NULL, day DATE NOT NULL);
-- Each counted dollar once. tenant: who bears it; NULL: nobody alone. via: 0 directly, else the number (from 1) of the
-- sharing rule that divides it. basis: billed, or divided by a meter's values (reconciled); of a meter: until a bill
-- covers the day (estimated), or for good (priced), or without a price, at 0 (unpriced). list_amount: at list prices, NULL if unknown.
CREATE TABLE IF NOT EXISTS line (
    day DATE NOT NULL, tenant VARCHAR, source VARCHAR NOT NULL, component VARCHAR NOT NULL, service VARCHAR NOT NULL,
    item VARCHAR, dims INTEGER NOT NULL, scope VARCHAR, via INTEGER NOT NULL, basis VARCHAR NOT NULL,
    unit VARCHAR, quantity DECIMAL(38, 12), amount DECIMAL(38, 12) NOT NULL, list_amount DECIMAL(38, 12)
);
CREATE TABLE IF NOT EXISTS tenant_day (
    day DATE NOT NULL, tenant VARCHAR NOT NULL, component VARCHAR NOT NULL,
    direct DECIMAL(38, 12) NOT NULL, shared DECIMAL(38, 12) NOT NULL
);
CREATE TABLE IF NOT EXISTS unallocated_day (
    day DATE NOT NULL, source VARCHAR NOT NULL, component VARCHAR NOT NULL, amount DECIMAL(38, 12) NOT NULL
);
-- What a source brought in and was counted, by the source's own components.
CREATE TABLE IF NOT EXISTS counted_day (
    day DATE NOT NULL, source VARCHAR NOT NULL, component VARCHAR NOT NULL, estimated BOOLEAN NOT NULL,
    amount DECIMAL(38, 12) NOT NULL
);
-- What bills say of the use of a component: saved against list prices, where they tell these, and paid for a commitment to
-- it that was not used.
CREATE TABLE IF NOT EXISTS commitment_day (
    day DATE NOT NULL, component VARCHAR NOT NULL, saved DECIMAL(38, 12), unused DECIMAL(38, 12) NOT NULL
);
CREATE TABLE IF NOT EXISTS dimension_day (
    day DATE NOT NULL, dimension VARCHAR NOT NULL, value VARCHAR NOT NULL, component VARCHAR NOT NULL,
    amount DECIMAL(38, 12) NOT NULL
);
CREATE TABLE IF NOT EXISTS usage_day (
    day DATE NOT NULL, tenant VARCHAR NOT NULL, measure VARCHAR NOT NULL, quantity DECIMAL(38, 12) NOT NULL
);
CREATE TABLE IF NOT EXISTS revenue_day (day DATE NOT NULL, tenant VARCHAR NOT NULL, mrr DECIMAL(38, 12) NOT NULL);
-- What a bill and a meter say of a scope. missed: the part of `metered` that the provider reports and no counter saw; NULL
-- where no provider reports.
CREATE TABLE IF NOT EXISTS reconciled_day (
    day DATE NOT NULL, source VARCHAR NOT NULL, scope VARCHAR NOT NULL,
    billed DECIMAL(38, 12) NOT NULL, metered DECIMAL(38, 12) NOT NULL, missed DECIMAL(38, 12)
);
-- What AI was used and what it cost, before sharing. tenant: NULL is nobody; scope, model, feature, unit: NULL where not
-- told. billed: whether a bill alone says it.
-- metered: the part of `amount` that is of `quantity`; unpriced: the part of that without a price.
CREATE TABLE IF NOT EXISTS ai_day (
    day DATE NOT NULL, tenant VARCHAR, scope VARCHAR, model VARCHAR, feature VARCHAR, unit VARCHAR, billed BOOLEAN NOT NULL,
    quantity DECIMAL(38, 12), amount DECIMAL(38, 12) NOT NULL, metered DECIMAL(38, 12), unpriced DECIMAL(38, 12)
);
