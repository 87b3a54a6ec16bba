"""The metrics about the exporter itself: each source's state, the age of the numbers, the configuration in use.

See catalogue, which serves them with all others.
"""

from __future__ import annotations

from unitcost import __version__
from unitcost.metrics.metric import FromState, PresentSelect, Served, each_source

SOURCE_UP = Served(
    "unitcost_source_up",
    "1 when the last refresh of the source brought all it was asked for, else 0; its last good data stay in use.",
    ("source",),
    filled=each_source(lambda one: one.up),
)
SOURCE_LAST_SUCCESS = Served(
    "unitcost_source_last_success_timestamp_seconds",
    "Unix time of the last refresh of the source without an error.",
    ("source",),
    unit="seconds",
    filled=each_source(lambda one: None if one.last_success is None else one.last_success.timestamp()),
)
SOURCE_DURATION = Served(
    "unitcost_source_refresh_duration_seconds",
    "How long the last refresh of the source took.",
    ("source",),
    unit="seconds",
    filled=each_source(lambda one: one.duration),
)
SOURCE_ROWS = Served(
    "unitcost_source_rows",
    "Rows of the source in the ledger.",
    ("source",),
    filled=PresentSelect(
        "SELECT source, coalesce(sum(rows), 0) FROM (SELECT DISTINCT source FROM source) LEFT JOIN batch USING (source)"
        " GROUP BY ALL"
    ),
)
SOURCE_FORMER_DAYS = Served(
    "unitcost_source_former_settings",
    "Days of the history that the source told under settings of before and cannot tell again under the present ones;"
    " their costs count, attributed as before, and windows with them are incomplete.",
    ("source",),
    filled=PresentSelect(
        "SELECT source, count(DISTINCT day) FROM source LEFT JOIN former_day USING (source) GROUP BY ALL"
    ),
)
SOURCE_ERRORS = Served(
    "unitcost_source_errors_total",
    "Errors of the source since the start, by reason.",
    ("source", "reason"),
    type="counter",
    filled=FromState(
        lambda state: [
            (name, reason, float(count)) for name, one in state.sources.items() for reason, count in one.errors.items()
        ]
    ),
)
SOURCE_PAID_REQUESTS = Served(
    "unitcost_source_paid_requests_total",
    "Requests of the source that cost money since the start, tries included; only of sources that have such requests.",
    ("source",),
    type="counter",
    filled=each_source(lambda one: None if one.paid is None else float(one.paid)),
)
SOURCE_SIMILAR_TAGS = Served(
    "unitcost_source_similar_tags_dollars",
    "Dollars of the source's billing periods that have no tenant, but a tag whose key differs from tenants.key by case"
    " or separators only.",
    ("source",),
    unit="dollars",
    filled=each_source(lambda one: None if one.duration is None else float(one.similar)),
)
SNAPSHOT_TIMESTAMP = Served(
    "unitcost_snapshot_timestamp_seconds",
    "Unix time the numbers on this page were derived at.",
    unit="seconds",
    filled=FromState(lambda state: [(state.now.timestamp(),)]),
)
CONFIG_RELOAD_SUCCESSFUL = Served(
    "unitcost_config_last_reload_successful",
    "1 when the configuration was right when it was last read, else 0; then the one of before stays in use.",
    filled=FromState(lambda state: [] if state.reload is None else [(float(state.reload.successful),)]),
)
CONFIG_RELOAD_SUCCESS = Served(
    "unitcost_config_last_reload_success_timestamp_seconds",
    "Unix time the configuration in use was read at: at the start, on SIGHUP or by /-/reload.",
    unit="seconds",
    filled=FromState(lambda state: [] if state.reload is None else [(state.reload.succeeded_at.timestamp(),)]),
)
BUILD_INFO = Served(
    "unitcost_build_info",
    "Always 1; the version that serves this page.",
    ("version",),
    filled=FromState(lambda _: [(__version__, 1.0)]),
)

ALL: tuple[Served, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Served))
"""In the order in which they are served."""
