"""Files that are read through a view: AWS' CUR 2.0 as FOCUS columns, and tags with those of an allocated resource."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from unitcost.errors import SourceError
from unitcost.sources.bills.focus.files import BillFile
from unitcost.sources.bills.focus.options import Options
from unitcost.sources.bills.focus.scan import Schema, literal

PARENT, SPLIT, UNUSED = (
    "split_line_item_parent_resource_id",
    "split_line_item_split_cost",
    "split_line_item_unused_cost",
)
LISTED = ("split_line_item_public_on_demand_split_cost", "split_line_item_public_on_demand_unused_cost")
NEEDED = (
    "bill_billing_period_start_date",
    "line_item_usage_start_date",
    "line_item_line_item_type",
    "line_item_product_code",
    "line_item_currency_code",
    "line_item_unblended_cost",
)
"""By these columns a file is told to be a CUR 2.0."""
AMOUNT = "DECIMAL(38, 18)"
CATEGORIES = {
    "Compute": ("AmazonEC2", "AmazonEKS", "AmazonECS", "AWSLambda", "AmazonLightsail"),
    "Storage": ("AmazonS3", "AmazonEFS", "AmazonFSx", "AWSBackup"),
    "Databases": ("AmazonRDS", "AmazonDynamoDB", "AmazonElastiCache", "AmazonDocDB", "AmazonNeptune"),
    "Networking": ("AmazonVPC", "AmazonCloudFront", "AWSELB", "AmazonRoute53", "AWSDataTransfer"),
    "AI and Machine Learning": ("AmazonBedrock", "AmazonBedrockService", "AmazonSageMaker"),
}
"""ServiceCategory of line_item_product_code, which names none; EBS and transfer are told by the usage type."""
CHARGES = {
    "Usage": ("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage"),
    "Purchase": ("Fee", "RIFee", "SavingsPlanUpfrontFee", "SavingsPlanRecurringFee"),
    "Tax": ("Tax",),
    "Credit": ("Credit",),
}
"""ChargeCategory of line_item_line_item_type; any other (Refund, discounts, negations) is an Adjustment."""


@dataclass(frozen=True)
class View(Schema):
    """A schema whose columns are a SELECT's over what a file holds. select: with {file} for that."""

    below: Schema = field(kw_only=True)
    select: str = field(kw_only=True)

    @cached_property
    def relation(self) -> str:
        """Return the SELECT over one parameter, a list of paths."""
        return f"({self.select.replace('{file}', self.below.relation)})"


def seen(schema: Schema, file: BillFile, options: Options) -> Schema:
    """Return the schema that a file is read by. Raises SourceError `column` without the split costs that are wanted."""
    if all(schema.has(name) for name in NEEDED):
        if options.split and not (schema.has(PARENT) and schema.has(SPLIT)):
            raise SourceError("column", str(file.path), f"has no column {PARENT} and {SPLIT}", SWITCH_ON)
        return _of_cur(schema, options)
    if not options.split or not schema.has("ChargePeriodStart"):
        return schema
    if not schema.has("AllocatedTags"):
        text = "has neither split costs (CUR 2.0) nor AllocatedTags (FOCUS 1.3)"
        raise SourceError("column", str(file.path), text, SWITCH_ON)
    return _with_allocated_tags(schema, file)


SWITCH_ON = "Switch split cost allocation on in the export, or remove split_cost_allocation"


def _with_allocated_tags(schema: Schema, file: BillFile) -> Schema:
    """Let tags of the resource that a cost was allocated to come before those of what was charged."""
    own, allocated, kind = schema.raw("Tags"), schema.raw("AllocatedTags"), schema.type("AllocatedTags")
    if not schema.has("Tags") or kind != schema.type("Tags"):
        found = schema.type("Tags") if schema.has("Tags") else "missing"
        text = f"holds AllocatedTags as {kind}, while Tags is {found}"
        raise SourceError("column", str(file.path), text, "Write both alike")
    if kind.startswith("MAP"):
        merged = f"map_concat(coalesce({own}, MAP {{}}), coalesce({allocated}, MAP {{}}))"
    elif kind.endswith("[]"):
        merged = f"list_concat({allocated}, {own})"
    else:
        valid = f"coalesce(json_valid({allocated}) AND {allocated}[1] = '{{', false)"
        patched = f"CAST(json_merge_patch(coalesce({own}, '{{}}'), {allocated}) AS VARCHAR)"
        merged = f"CASE WHEN {valid} THEN coalesce(TRY({patched}), {own}) ELSE {own} END"
    shape = schema.kind if schema.kind.startswith("csv") else "view"
    select = f"SELECT * REPLACE ({merged} AS {own}) FROM {{file}}"
    return View(shape, schema.columns, schema.mark, schema.lists, below=schema, select=select)


def _of_cur(schema: Schema, options: Options) -> Schema:
    """Return a CUR 2.0 as FOCUS columns.

    EffectiveCost is the amortised cost as AWS' own query library has it. Rows of split cost allocation carry no money
    of the invoice: their parent, the instance, does. Where they are wanted, each gives its pod what is split and
    unused, and takes the same from its parent; so the sum stays the invoice's, whatever the split says.
    """
    split = f"nullif({schema.text(PARENT)}, '')" if schema.has(PARENT) else "NULL::VARCHAR"
    columns = _columns(schema, options)
    names = ", ".join(f"{value} AS {name}" for name, value in columns.items())
    selects = [f"SELECT {names} FROM line WHERE {split} IS NULL"]
    if options.split:
        given = f"({_cost(schema, SPLIT)} + {_cost(schema, UNUSED)})"
        # AWS also tells what no pod used, which its pods' unused cost holds already.
        pods = f"{split} IS NOT NULL AND lower(parse_filename({schema.text('line_item_resource_id')})) <> 'unused'"
        listed = f"({_cost(schema, LISTED[0])} + {_cost(schema, LISTED[1])})" if schema.has(LISTED[0]) else "NULL"
        costs = {"BilledCost": given, "EffectiveCost": given, "ListCost": listed}
        pod = columns | {name: f"CAST({cost} AS {AMOUNT})" for name, cost in costs.items()}
        pod |= {"ChargeCategory": "'Usage'", "CommitmentDiscountStatus": "NULL::VARCHAR"}
        parent = pod | {name: f"CAST(-{cost} AS {AMOUNT})" for name, cost in costs.items()}
        parent |= {"ResourceId": split, "Tags": f"CAST([] AS {PAIRS})", "x_IamPrincipal": "NULL::VARCHAR"}
        parent |= {"ServiceName": "'AmazonEC2'", "ServiceCategory": "'Compute'"}
        for one in (pod, parent):
            chosen = ", ".join(f"{value} AS {name}" for name, value in one.items())
            selects.append(f"SELECT {chosen} FROM line WHERE {pods}")
    select = f"WITH line AS (SELECT * FROM {{file}}) {' UNION ALL '.join(selects)}"
    kinds = {name: _type(schema, name) for name in columns}
    return View("view", tuple(kinds.items()), below=schema, select=select)


PAIRS = "STRUCT(key VARCHAR, value VARCHAR)[]"
TIMES = {
    "BillingPeriodStart": "bill_billing_period_start_date",
    "BillingPeriodEnd": "bill_billing_period_end_date",
    "ChargePeriodStart": "line_item_usage_start_date",
    "ChargePeriodEnd": "line_item_usage_end_date",
}
TEXTS = {
    "BillingCurrency": "line_item_currency_code",
    "SubAccountId": "line_item_usage_account_id",
    "ServiceName": "line_item_product_code",
    "ResourceId": "line_item_resource_id",
    "SkuId": "line_item_usage_type",
    "x_Operation": "line_item_operation",
    "x_IamPrincipal": "line_item_iam_principal",
}


COMMITMENTS = ("savings_plan_savings_plan_a_r_n", "reservation_reservation_a_r_n")


def _type(schema: Schema, name: str) -> str:
    if name in TIMES:
        return schema.type(TIMES[name]) if schema.has(TIMES[name]) else "TIMESTAMP"
    if name.endswith("Cost"):
        return AMOUNT
    return PAIRS if name == "Tags" else "VARCHAR"


def _columns(schema: Schema, options: Options) -> dict[str, str]:
    """Return FOCUS column → SQL over the columns of a CUR 2.0."""
    kind, code, usage = (
        schema.text(name) for name in ("line_item_line_item_type", "line_item_product_code", "line_item_usage_type")
    )
    lines = " ".join(f"WHEN {kind} IN ({_listed(types)}) THEN '{name}'" for name, types in CHARGES.items())
    categories = " ".join(f"WHEN {code} IN ({_listed(codes)}) THEN '{name}'" for name, codes in CATEGORIES.items())
    moved = f"contains({usage}, 'DataTransfer') OR contains({usage}, 'NatGateway')"
    return {
        **{name: schema.raw(given) if schema.has(given) else "NULL::TIMESTAMP" for name, given in TIMES.items()},
        **{name: schema.text(given) for name, given in TEXTS.items()},
        "ServiceCategory": (
            f"CASE WHEN contains({usage}, 'EBS:') THEN 'Storage' WHEN {moved} THEN 'Networking' {categories} END"
        ),
        "ProviderName": "'AWS'",
        "ChargeCategory": f"CASE {lines} ELSE 'Adjustment' END",
        "CommitmentDiscountStatus": (
            f"CASE WHEN {kind} IN ('SavingsPlanRecurringFee', 'RIFee') THEN 'Unused'"
            f" WHEN {kind} IN ('SavingsPlanCoveredUsage', 'DiscountedUsage') THEN 'Used' END"
        ),
        "CommitmentDiscountId": " || ".join(f"coalesce({schema.text(name)}, '')" for name in COMMITMENTS),
        "BilledCost": f"CAST({schema.cost('line_item_unblended_cost')} AS {AMOUNT})",
        "EffectiveCost": f"CAST({_amortised(schema, kind)} AS {AMOUNT})",
        "ListCost": (
            f"CAST({schema.cost('pricing_public_on_demand_cost')} AS {AMOUNT})"
            if schema.has("pricing_public_on_demand_cost")
            else f"NULL::{AMOUNT}"
        ),
        "Tags": _tags(schema, options),
    }


def _amortised(schema: Schema, kind: str) -> str:
    """Return SQL for the amortised cost; a column that the export leaves out is 0."""
    unused_plan = (
        f"{_cost(schema, 'savings_plan_total_commitment_to_date')} - {_cost(schema, 'savings_plan_used_commitment')}"
    )
    unused_reservation = " + ".join(
        _cost(schema, f"reservation_unused_{what}")
        for what in ("amortized_upfront_fee_for_billing_period", "recurring_fee")
    )
    reserved = f"nullif({schema.text('reservation_reservation_a_r_n')}, '') IS NOT NULL"
    return (
        f"CASE {kind} WHEN 'SavingsPlanCoveredUsage' THEN {_cost(schema, 'savings_plan_savings_plan_effective_cost')}"
        f" WHEN 'SavingsPlanRecurringFee' THEN {unused_plan}"
        " WHEN 'SavingsPlanNegation' THEN 0 WHEN 'SavingsPlanUpfrontFee' THEN 0"
        f" WHEN 'DiscountedUsage' THEN {_cost(schema, 'reservation_effective_cost')}"
        f" WHEN 'RIFee' THEN {unused_reservation}"
        f" WHEN 'Fee' THEN CASE WHEN {reserved} THEN 0 ELSE {_cost(schema, 'line_item_unblended_cost')} END"
        f" ELSE {_cost(schema, 'line_item_unblended_cost')} END"
    )


def _cost(schema: Schema, name: str) -> str:
    """Return SQL for an amount, 0 where there is none."""
    return f"coalesce(CAST({schema.cost(name)} AS {AMOUNT}), 0)" if schema.has(name) else f"CAST(0 AS {AMOUNT})"


def _tags(schema: Schema, options: Options) -> str:
    """Return SQL for pairs of key and value.

    resource_tags has user_tenant, in lower case and with _ for other signs; tags has also iamPrincipal/tenant of the
    user or role that asked for it (Bedrock). The keys that are asked for come first, spelt as in the configuration.
    """
    maps = {name: _map(schema, name) for name in ("resource_tags", "tags") if schema.has(name)}
    pairs = []
    for key in options.keys:
        plain = f"regexp_replace(lower({literal(key)}), '[^a-z0-9]', '_', 'g')"
        spelt = (f"'user_' || {plain}", literal(f"user:{key}"), literal(f"resourceTags/user:{key}"), literal(key))
        found = [f"nullif({column}[{name}], '')" for column in maps.values() for name in spelt]
        found += [f"nullif({maps['tags']}[{literal(f'iamPrincipal/{key}')}], '')"] if "tags" in maps else []
        if found:
            pairs.append(f"{{'key': {literal(key)}, 'value': coalesce({', '.join(found)})}}")
    asked = f"list_filter([{', '.join(pairs)}], lambda tag: tag.value IS NOT NULL)" if pairs else "[]"
    others = [f"coalesce(CAST(map_entries({column}) AS {PAIRS}), [])" for column in maps.values()]
    return f"list_concat(CAST({asked} AS {PAIRS}), {', '.join(others)})" if others else f"CAST([] AS {PAIRS})"


def _map(schema: Schema, name: str) -> str:
    raw, text = schema.raw(name), "MAP(VARCHAR, VARCHAR)"
    return raw if schema.type(name).startswith("MAP") else f"TRY(CAST(CAST({raw} AS JSON) AS {text}))"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(literal, names))
