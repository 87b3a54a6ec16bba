"""Requests to Cost Explorer: each is counted before it is sent, throttling is waited for, errors are put in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from unitcost.days import month_after
from unitcost.errors import SourceError
from unitcost.facts import Paid
from unitcost.sources.aws import AGAIN, SERVER, code, status, translated
from unitcost.sources.base import Waiting
from unitcost.sources.bills.cost_explorer.settings import CostExplorerSettings
from unitcost.sources.exchange import Exchange, OverdueError, within

REGION = "us-east-1"
"""Where Cost Explorer is, but for China (cn-northwest-1)."""
PRICE = "$0.01"
PERMISSIONS = "Give the credentials ce:GetCostAndUsage and, where it may be had, ce:ListCostAllocationTags"
SENT_BEFORE = "before-send.cost-explorer"
"""The event of boto3 just before a request goes out: what fails earlier, for want of credentials say, costs nothing."""
UNREADABLE = (AttributeError, TypeError, LookupError, RecursionError)
"""What boto3 raises for JSON of another shape: a text where there should be a map."""
START_OVER = ("RequestChangedException", "InvalidNextTokenException", "ExpiredNextTokenException")
"""Codes after which the pages have to be asked for from the first."""


class StartOverError(SourceError):
    """The token of the next page is good no more."""


class Api:
    """Cost Explorer, as long as one refresh asks it. backoff: seconds before the first further try; they double."""

    def __init__(
        self, name: str, settings: CostExplorerSettings, paid: Paid, waiting: Waiting, *, tries: int, backoff: float
    ) -> None:
        self._name = name
        self._settings = settings
        self._paid = paid
        self._waiting = waiting
        self._tries = tries
        self._backoff = backoff
        self._client = settings.client("ce", REGION)
        self._client.meta.events.register(SENT_BEFORE, self._count)

    def ask(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a page of an answer.

        Raises SourceError: `budget` where it would be one request too many, `partial` (StartOverError), `auth`,
        `retry_later`, `no_data`, `timeout`, `unreachable`, `truncated`, `format`, `http` and `request`.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as boto3

        limit = self._settings.timeout
        where = f"{self._name}, {operation}"
        try:
            with self._waiting.on(where):
                return within(limit, lambda exchange: self._exchange(exchange, operation, request))
        except OverdueError:
            hint = "Raise timeout; it is asked again later"
            raise SourceError("timeout", where, f"no complete answer within {limit:g} s", hint) from None
        except ClientError as error:
            found = _of_cost_explorer(error, where, limit)
            if code(error) in START_OVER:
                raise StartOverError("partial", where, found.text, "It is asked again later") from None
            raise found from None
        except UNREADABLE:
            hint = "See what changes the answer on its way"
            raise SourceError("format", where, "the answer is not of the shape that AWS says", hint) from None
        except (BotoCoreError, OSError, ValueError) as error:
            raise translated(error, where, PERMISSIONS, limit) from None

    def _exchange(self, exchange: Exchange, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Ask, and ask again where that may help, until there is an answer."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - as boto3

        tries = 1
        while True:
            try:
                answer: dict[str, Any] = getattr(self._client, operation)(**request)
            except ClientError as error:
                pause = self._backoff * 2 ** (tries - 1)
                again = code(error) in AGAIN or status(error) >= SERVER
                if not again or tries >= self._tries or pause >= exchange.left:
                    raise
                exchange.pause(pause)
                tries += 1
            else:
                return answer

    def _count(self, **_: object) -> None:
        if not self._paid.spend(self._settings.request_budget):
            raise over_budget(self._name, self._settings.request_budget, *self._paid.spent())


def over_budget(name: str, budget: int, month: date, spent: int) -> SourceError:
    """Say that a month's requests are spent, when the next one begins, and what allows more."""
    return SourceError(
        "budget",
        name,
        f"{spent:,} paid requests were sent in {month:%Y-%m}, request_budget allows {budget:,}; none is sent before"
        f" {month_after(month)} 00:00 UTC",
        f"Raise sources.{name}.request_budget to go on sooner; AWS charges {PRICE} for each",
    )


def _of_cost_explorer(error: Exception, where: str, limit: float) -> SourceError:
    found = translated(error, where, PERMISSIONS, limit)
    hint = _HINTS.get(code(error))
    return found if hint is None else SourceError(hint[0], where, found.text, hint[1])


_HINTS: Mapping[str, tuple[str, str]] = {
    "DataUnavailableException": (
        "no_data",
        "Switch Cost Explorer on in the console of the management account; its first data take 24 hours",
    ),
    "BillExpirationException": ("no_data", "Set history to fewer days: Cost Explorer keeps these no more"),
    "BillingViewHealthStatusException": ("no_data", "It is asked again later; see Billing views in the console"),
    "ValidationException": (
        "request",
        "Check tenant and cluster_tag, and set history to what Cost Explorer keeps",
    ),
}
