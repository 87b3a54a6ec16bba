"""Lines of AWS' CUR 2.0 after its documentation: an instance, and what the split says of the pods on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

NODE = "i-0123456789abcdef0"
POD = "arn:aws:eks:eu-west-1:222222222222:pod/prod/web/web-{}/7b9d"
Row = dict[str, Any]


def line(hour: int = 0, **given: object) -> Row:
    """A line of CUR 2.0: an hour of an instance on demand on 2026-10-05, changed as given."""
    start = datetime(2026, 10, 5) + timedelta(hours=hour)  # noqa: DTZ001 - UTC
    return {
        "bill_billing_period_start_date": "2026-10-01 00:00:00",
        "bill_billing_period_end_date": "2026-11-01 00:00:00",
        "line_item_usage_start_date": f"{start:%Y-%m-%d %H:%M:%S}",
        "line_item_usage_end_date": f"{start + timedelta(hours=1):%Y-%m-%d %H:%M:%S}",
        "line_item_line_item_type": "Usage",
        "line_item_product_code": "AmazonEC2",
        "line_item_usage_type": "EU-BoxUsage:m5.xlarge",
        "line_item_operation": "RunInstances",
        "line_item_usage_account_id": "222222222222",
        "line_item_currency_code": "USD",
        "line_item_resource_id": NODE,
        "line_item_unblended_cost": "1.0",
        "line_item_iam_principal": "",
        "pricing_public_on_demand_cost": "1.0",
        "reservation_effective_cost": "",
        "reservation_reservation_a_r_n": "",
        "reservation_unused_amortized_upfront_fee_for_billing_period": "",
        "reservation_unused_recurring_fee": "",
        "savings_plan_savings_plan_a_r_n": "",
        "savings_plan_savings_plan_effective_cost": "",
        "savings_plan_total_commitment_to_date": "",
        "savings_plan_used_commitment": "",
        "resource_tags": "{}",
        "tags": "{}",
        "split_line_item_parent_resource_id": "",
        "split_line_item_split_cost": "",
        "split_line_item_unused_cost": "",
        "split_line_item_public_on_demand_split_cost": "",
        "split_line_item_public_on_demand_unused_cost": "",
    } | given


def pod(name: str, split: str, unused: str, tags: Mapping[str, str], hour: int = 0, **given: object) -> Row:
    """What the split says of a pod's CPU or memory in an hour."""
    own = {
        "line_item_product_code": "AmazonEKS",
        "line_item_operation": "EKSPod-EC2",
        "line_item_usage_type": "EU-EKS-EC2-vCPU-Hours",
        "line_item_resource_id": POD.format(name),
        "line_item_unblended_cost": "0.0",
        "pricing_public_on_demand_cost": "",
        "split_line_item_parent_resource_id": NODE,
        "split_line_item_split_cost": split,
        "split_line_item_unused_cost": unused,
        "split_line_item_public_on_demand_split_cost": split,
        "split_line_item_public_on_demand_unused_cost": unused,
        "resource_tags": json.dumps({**tags, "aws_eks_cluster_name": "prod"}),
    }
    return line(hour, **{**own, **given})


ACME, BETA = {"user_tenant": "acme"}, {"user_tenant": "beta"}
HOUR = [
    line(),
    pod("a", "0.3", "0.1", ACME),
    pod("a", "0.1", "0.05", ACME, line_item_usage_type="EU-EKS-EC2-GB-Hours"),
    pod("b", "0.2", "0.05", BETA),
    pod("c", "0.1", "0.1", {}),
]
"""A node of a dollar: 0.55 of acme, 0.25 of beta, 0.2 of a pod without a label."""
