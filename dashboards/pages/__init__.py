"""The pages, one module each: a function `page` from the settings to Grafana's JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dashboards.pages.ai import page as ai
from dashboards.pages.budgets import page as budgets
from dashboards.pages.data_quality import page as data_quality
from dashboards.pages.efficiency import page as efficiency
from dashboards.pages.month_close import page as month_close
from dashboards.pages.tenant import page as tenant
from dashboards.pages.unit_economics import page as unit_economics
from dashboards.panels import Json
from dashboards.style import Settings

PAGES: Mapping[str, Callable[[Settings], Json]] = {
    "unitcost-economics": unit_economics,
    "unitcost-tenant": tenant,
    "unitcost-ai": ai,
    "unitcost-efficiency": efficiency,
    "unitcost-budgets": budgets,
    "unitcost-close": month_close,
    "unitcost-data": data_quality,
}
"""uid → what makes the page. A new page: its module, its line here."""
