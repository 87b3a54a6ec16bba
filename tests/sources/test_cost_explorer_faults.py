"""What goes wrong with Cost Explorer: nothing stored is lost, nothing is paid for twice, errors say the way out.

Every test holds the counter of paid requests against what the server saw.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.cost_explorer import (
    DAY,
    EC2,
    KEY_ID,
    NOW,
    SECRET,
    TODAY,
    Charged,
    CostExplorerFake,
    Explorer,
    account,
    days,
    exploring,
    once,
    refusal,
)
from tests.fakes.server import Reply, Request, serve
from unitcost.errors import SourceError
from unitcost.facts import Problem

FIRST = TODAY - 5 * DAY
BOOM = refusal("InternalFailure", "boom", 500)


@pytest.fixture(autouse=True)
def _no_credentials_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))


def failed(given: Explorer, **more: Any) -> SourceError:
    """Ask once, and return the error of it; every request that the server saw was counted, and no other."""
    with pytest.raises(SourceError) as caught:
        given.ask(FIRST, **more)
    assert given.paid.count == len(given.fake.asked)
    return caught.value


def pages(fake: CostExplorerFake) -> list[str]:
    """Return the place of each page that was asked for."""
    return [body.get("NextPageToken", ":0").partition(":")[2] for name, body in fake.asked if name == "GetCostAndUsage"]


# ------------------------------------------------------------------------------------------- a page fails


def test_an_error_on_page_three_loses_nothing_and_asks_no_page_again() -> None:
    fake = account(FIRST, TODAY)
    with exploring(fake) as given:
        assert given.ask(FIRST) == []
        before = dict(given.stored.batches)
        given.later(days=1)
        fake.asked.clear()
        given.paid.count = 0
        fake.books.append(Charged(TODAY - DAY, Decimal(9), "AWS Lambda", {"customer": "acme"}))
        fake.fault = lambda _, number: BOOM if number in {2, 3} else None
        error = failed(given)
        assert (error.reason, given.stored.batches) == ("http", before)
        assert given.ask(FIRST)[0].reason == "http", "it is told, and nothing is asked for a while"
        given.later(minutes=16)
        assert given.ask(FIRST) == []
        assert pages(fake) == ["0", "5", "10", "10", "10", "15"], "two tries of the third, then on from there"
        assert given.paid.count == len(fake.asked)
        assert given.stored.total() == fake.total(days(FIRST, TODAY))


def test_a_restart_after_the_error_asks_for_the_answer_anew_and_stores_it_whole() -> None:
    fake = account(FIRST, TODAY)
    fake.fault = lambda _, number: BOOM if number in {2, 3} else None
    with exploring(fake) as given:
        failed(given)
        given.restart()
        assert given.ask(FIRST) == []
        assert pages(fake)[4:] == [str(5 * n) for n in range(8)]
        assert given.stored.total() == fake.total(days(FIRST, TODAY))


def test_pages_of_long_ago_are_not_put_together_with_new_ones() -> None:
    """What AWS has computed anew meanwhile may stand on other pages now."""
    fake = account(FIRST, TODAY)
    fake.fault = lambda _, number: BOOM if number in {2, 3} else None
    with exploring(fake) as given:
        failed(given)
        given.later(hours=3)
        fake.books.insert(0, Charged(FIRST, Decimal(9), "AWS Lambda", {"customer": "acme"}))
        assert given.ask(FIRST) == []
        assert pages(fake)[4:6] == ["0", "5"]
        assert given.stored.total() == fake.total(days(FIRST, TODAY))


def test_a_day_that_began_meanwhile_does_not_cost_the_pages_that_are_there() -> None:
    fake = account(FIRST, TODAY + DAY)
    fake.fault = lambda _, number: BOOM if number in {2, 3} else None
    with exploring(fake) as given:
        given.now = NOW.replace(hour=11, minute=50) + DAY
        failed(given)
        given.later(minutes=20)
        assert given.ask(FIRST) == []
        assert pages(fake)[4:] == ["10", "15", "20", "25", "30", "35", "0", "5"]
        assert given.stored.total() == fake.total(days(FIRST, TODAY + DAY))


def test_failures_in_a_row_are_further_and_further_apart() -> None:
    fake = account(FIRST, TODAY)
    fake.fault = lambda *_: BOOM
    times = []
    with exploring(fake) as given:
        for _ in range(4 * 288):
            seen = len(fake.asked)
            assert [one.reason for one in told(given)] == ["http"], "it is said at each refresh"
            if len(fake.asked) > seen:
                times.append(given.now)
            given.later(minutes=5)
    gaps = [(after - before) / timedelta(minutes=1) for before, after in pairwise(times)]
    assert gaps[:6] == [15, 30, 60, 120, 240, 480]
    assert gaps[-1] == 24 * 60


def told(given: Explorer) -> list[Problem]:
    """Ask once; return the problems, as a refresh sees them."""
    try:
        return given.ask(FIRST)
    except SourceError as error:
        return [Problem.of(error)]


@pytest.mark.parametrize("code", ["LimitExceededException", "ThrottlingException", "TooManyRequestsException"])
def test_throttling_is_waited_for_and_each_try_counts(code: str) -> None:
    fake = account(FIRST, TODAY)
    fake.fault = once(code, "Rate limit exceeded", [1])
    with exploring(fake) as given:
        assert given.ask(FIRST) == []
        assert pages(fake)[:4] == ["0", "5", "5", "10"]
        assert given.paid.count == len(fake.asked) == 9


def test_throttling_without_end_is_left_alone_until_later() -> None:
    fake = account(FIRST, TODAY)
    fake.fault = lambda *_: refusal("LimitExceededException", "Rate limit exceeded")
    with exploring(fake) as given:
        error = failed(given)
        assert (error.reason, len(fake.asked)) == ("retry_later", 2)
        assert "LimitExceededException: Rate limit exceeded" in error.text


def test_a_try_that_would_exceed_the_budget_is_not_made() -> None:
    fake = account(FIRST, TODAY)
    fake.fault = lambda *_: BOOM
    with exploring(fake, request_budget=1) as given:
        assert failed(given).reason == "budget"
        assert len(fake.asked) == 1


# ------------------------------------------------------------------------------------------- what AWS answers


@pytest.mark.parametrize("code", ["RequestChangedException", "InvalidNextTokenException"])
def test_pages_that_changed_are_asked_for_from_the_first(code: str) -> None:
    fake = account(FIRST, TODAY)
    fake.fault = once(code, "Try again without a pagination token.", [2])
    with exploring(fake) as given:
        assert given.ask(FIRST) == []
        assert pages(fake)[:4] == ["0", "5", "10", "0"]
        assert given.stored.total() == fake.total(days(FIRST, TODAY))
        assert given.paid.count == len(fake.asked)


def test_pages_that_change_all_the_time_give_nothing() -> None:
    fake = account(FIRST, TODAY)
    fake.fault = once("RequestChangedException", "changed", range(1, 99))
    with exploring(fake) as given:
        assert failed(given).reason == "partial"
        assert given.stored.keys() == set()
        assert len(fake.asked) == 3


PERMISSIONS = "Give the credentials ce:GetCostAndUsage and, where it may be had, ce:ListCostAllocationTags"


@pytest.mark.parametrize(
    ("code", "message", "reason", "hint"),
    [
        ("AccessDeniedException", "User: x is not authorized to perform: ce:GetCostAndUsage", "auth", PERMISSIONS),
        ("UnrecognizedClientException", "The security token is invalid", "auth", PERMISSIONS),
        ("InvalidSignatureException", "The request signature we calculated does not match", "auth", PERMISSIONS),
        ("InvalidSignatureException", "Signature expired: 20261118 is now earlier than", "auth", "Set the clock"),
        ("RequestExpired", "Request has expired", "auth", "Set the clock of this machine"),
        ("ExpiredTokenException", "The security token included is expired", "auth", "Renew the credentials"),
        ("DataUnavailableException", "Data is not available", "no_data", "Switch Cost Explorer on in the console"),
        ("BillExpirationException", "The requested report expired", "no_data", "Set history to fewer days"),
        ("ValidationException", "Invalid key", "request", "Check tenant and cluster_tag"),
    ],
)
def test_what_aws_refuses_says_what_to_do_and_is_asked_once(code: str, message: str, reason: str, hint: str) -> None:
    fake = account(FIRST, TODAY)
    fake.fault = lambda *_: refusal(code, message)
    with exploring(fake) as given:
        error = failed(given)
    assert (error.reason, error.where) == (reason, "aws, get_cost_and_usage")
    assert f"answered {code}: {message}" in error.text
    assert hint in error.hint
    assert len(fake.asked) == 1


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply('{"ResultsByTime": [{"TimePeriod"'), "format"),
        (Reply('{"ResultsByTime": []}', cut=9), "format"),
        (Reply("<html>please log in</html>"), "format"),
        (Reply("{}"), "format"),
        (Reply('{"ResultsByTime": null}'), "format"),
        (Reply('{"ResultsByTime": [{}]}'), "format"),
        (Reply('{"ResultsByTime": [7]}'), "format"),
        (Reply('{"ResultsByTime": {"a": 1}}'), "format"),
        (Reply('{"ResultsByTime": [{"TimePeriod": {"Start": "2026-11-17", "End": "2026-11-18"}}]}'), "format"),
        (Reply('{"ResultsByTime": [{"TimePeriod": {"Start": "x", "End": "2026-11-18"}, "Groups": []}]}'), "format"),
        (
            Reply('{"ResultsByTime": [{"TimePeriod": {"Start": "2026-11-01", "End": "2026-11-02"}, "Groups": []}]}'),
            "format",
        ),
        (
            Reply('{"ResultsByTime": [{"TimePeriod": {"Start": "2026-11-13", "End": "2026-11-18"}, "Groups": []}]}'),
            "format",
        ),
        (Reply("", status=503), "http"),
        (Reply("<html>bad gateway", status=502), "http"),
        (Reply("<html>forbidden by a proxy", status=403), "auth"),
    ],
)
def test_an_answer_that_is_none_is_refused_in_words_and_the_pages_before_it_are_kept(reply: Reply, reason: str) -> None:
    fake = account(FIRST, TODAY)
    fake.fault = lambda _, number: reply if number in {1, 2} else None
    with exploring(fake) as given:
        assert failed(given).reason == reason
        given.later(minutes=20)
        fake.fault = lambda *_: None
        assert given.ask(FIRST) == []
        assert pages(fake).count("0") == 1
        assert given.stored.total() == fake.total(days(FIRST, TODAY))


def test_a_token_that_leads_to_itself_ends() -> None:
    fake = account(FIRST, TODAY)

    def turning(_: str, number: int) -> Reply | None:
        token = fake.asked[-1][1].get("NextPageToken", "")
        return Reply(json.dumps({"ResultsByTime": [], "NextPageToken": token})) if number else None

    fake.fault = turning
    with exploring(fake) as given:
        assert failed(given).text == "the token of the next page is that of this one"
        assert len(fake.asked) == 2


def test_a_slow_answer_ends_in_time() -> None:
    fake = account(FIRST, TODAY)
    fake.fault = lambda *_: Reply("{}", stall=20)
    with exploring(fake, timeout=0.5) as given:
        error = failed(given)
    assert (error.reason, error.text) == ("timeout", "no complete answer within 0.5 s")


def test_a_server_that_is_not_there_costs_nothing_that_is_not_counted() -> None:
    with exploring(account(FIRST, TODAY)) as given:
        pass
    with pytest.raises(SourceError) as caught:
        given.ask(FIRST)
    assert caught.value.reason == "unreachable"
    assert given.paid.count == 1, "whether a request arrived cannot be known"


def test_a_server_that_hangs_up_is_said_to() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def hang_up() -> None:
            server.accept()[0].close()

        hanging_up = threading.Thread(target=hang_up)
        hanging_up.start()
        given = Explorer(account(FIRST, TODAY), f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(SourceError) as caught:
            given.ask(FIRST)
        hanging_up.join()
    assert caught.value.reason == "truncated"
    assert given.paid.count == 1


# ------------------------------------------------------------------------------------------- values


Edit = Callable[[dict[str, Any]], None]


def edited(fake: CostExplorerFake, edit: Edit) -> None:
    """Change the first group of the second day on its way."""
    answer = fake.costs

    def changed(body: Any) -> Reply:
        said = json.loads(answer(body).body)
        for result in said["ResultsByTime"]:
            if result["TimePeriod"]["Start"] == str(FIRST + DAY) and result["Groups"]:
                edit(result)
        return Reply(json.dumps(said))

    fake.costs = changed  # type: ignore[method-assign]


def amount(value: object, unit: object = "USD") -> Edit:
    def edit(result: dict[str, Any]) -> None:
        result["Groups"][0]["Metrics"]["AmortizedCost"] = {"Amount": value, "Unit": unit}

    return edit


def keys(*given: object) -> Edit:
    def edit(result: dict[str, Any]) -> None:
        result["Groups"][0]["Keys"] = [*given]

    return edit


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (amount(None), "is null, not a number in a text"),
        (amount(12.5), "is 12.5, not a number in a text"),
        (amount("much"), "'much' is not a plain number"),
        (amount("NaN"), "'NaN' is not a plain number"),
        (amount("1e300"), "is too large"),
        (amount(""), "is empty"),
        (amount("1.5", None), "is null, not the code of one"),
        (amount("1.5", "dollars"), 'is "dollars", not the code of one'),
        (amount("1.5", "N/A"), 'is "N/A", not the code of one'),
        (keys("customer$acme"), "has 1 keys where 2 were asked for"),
        (keys("team$acme", EC2), "which is not of the tag customer"),
        (keys("customer$acme", "a\0b"), "zero byte"),
        (keys("customer$acme", ""), "has no service"),
        (keys("customer$acme", 7), "has the keys a list"),
        (lambda result: result["Groups"].append(result["Groups"][0]), "is told twice"),
        (lambda result: result["Groups"][0].pop("Metrics"), "is null, not a number in a text"),
        (lambda result: result["Groups"].append(None), "has the keys null"),
    ],
)
def test_a_value_that_cannot_be_counted_is_a_problem_of_its_day_only(edit: Edit, text: str) -> None:
    fake = account(FIRST, TODAY)
    with exploring(fake) as given:
        given.ask(FIRST)
        before = given.stored.batches[str(FIRST + DAY)]
        edited(fake, edit)
        given.later(days=1)
        given.stored.batches = {key: one for key, one in given.stored.batches.items() if key == before.key}
        given.stored.loaded[before.key] -= 9 * DAY
        problems = [one for one in given.ask(FIRST) if one.reason == "value"]
        assert [(one.where, text in one.text) for one in problems] == [(f"aws, {FIRST + DAY}", True)]
        assert given.stored.batches[before.key] is before
        assert given.stored.keys() == {str(day) for day in days(FIRST, TODAY)}
        asked = len(fake.asked)
        given.restart()
        given.ask(FIRST)
        assert len(fake.asked) == asked, "it is not asked for again at once"


def test_a_day_that_the_answer_leaves_out_is_a_problem_and_not_a_day_of_zero_dollars() -> None:
    fake = account(FIRST, TODAY)
    answer = fake.costs

    def without(body: Any) -> Reply:
        said = json.loads(answer(body).body)
        kept = [one for one in said["ResultsByTime"] if one["TimePeriod"]["Start"] != str(FIRST + DAY)]
        return Reply(json.dumps({**said, "ResultsByTime": kept}))

    fake.costs = without  # type: ignore[method-assign]
    with exploring(fake) as given:
        [problem] = given.ask(FIRST)
    assert problem.text == "the answer does not tell of the day"
    assert str(FIRST + DAY) not in given.stored.batches


def test_more_decimals_than_the_ledger_keeps_are_rounded_half_to_even_and_zero_needs_no_currency() -> None:
    day = TODAY - DAY
    fake = CostExplorerFake([Charged(day, Decimal("1.0000000000005"), EC2, {"customer": "acme"})])
    fake.books.append(Charged(day, Decimal("2.0000000000015"), EC2, {"customer": "beta"}))
    fake.books.append(Charged(day, Decimal(0), EC2, {"customer": "gone"}, "Usage", "N/A"))
    with exploring(fake) as given:
        assert given.ask(day) == []
        found = {one.tenant: one.amount for one in given.stored.costs(str(day))}
    assert found == {"acme": Decimal("1.000000000000"), "beta": Decimal("2.000000000002")}


# ------------------------------------------------------------------------------------------- credentials


def test_without_credentials_nothing_is_counted_and_the_way_out_is_told() -> None:
    fake = account(FIRST, TODAY)
    with exploring(fake, access_key_id=None, secret_access_key=None) as given:
        error = failed(given)
    assert (error.reason, given.paid.count, fake.asked) == ("auth", 0, [])
    assert "Set profile, access_key_id or role_arn" in error.hint


def test_a_profile_that_is_not_there_is_told() -> None:
    fake = account(FIRST, TODAY)
    with exploring(fake, access_key_id=None, secret_access_key=None, profile="nobody") as given:
        error = failed(given)
    assert (error.reason, error.where) == ("auth", "nobody")


def test_a_profile_and_the_environment_are_used_as_boto3_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "no-credentials").write_text(
        f"[work]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n[default]\n"
    )
    fake = account(FIRST, TODAY)
    with exploring(fake, access_key_id=None, secret_access_key=None, profile="work") as given:
        assert given.ask(FIRST) == []
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with exploring(fake, access_key_id=None, secret_access_key=None) as given:
        assert given.ask(FIRST) == []


def test_a_secret_in_a_file_counts_as_it_is_now_and_is_shown_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "secret"
    path.write_text("old-secret-of-file\n")
    fake = account(FIRST, TODAY)
    fake.fault = lambda *_: refusal("AccessDeniedException", f"{SECRET} old-secret-of-file is refused")
    with exploring(fake, secret_access_key=None, secret_access_key_file=path) as given:
        error = failed(given)
        assert "old-secret" not in f"{error} {error!r} {given.settings!r}" + caplog.text
    with exploring(fake) as given:
        fake.asked.clear()
        error = failed(given)
    assert SECRET not in f"{error} {given.settings!r} {given.settings.model_dump_json()}" + caplog.text


STS = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>of-the-role</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
ROLE = "arn:aws:iam::123456789012:role/unitcost"


def test_a_role_is_taken_on_first_and_that_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def sts(request: Request) -> Reply:
        seen.append(request.body.decode())
        return Reply(STS.format(key=KEY_ID), headers={"Content-Type": "text/xml"})

    fake = account(FIRST, TODAY)
    with serve(sts) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        with exploring(fake, access_key_id="AKIAOFSOMEBODYELSE00", role_arn=ROLE, external_id="e-1") as given:
            assert given.ask(FIRST) == []
            assert given.paid.count == len(fake.asked)
    assert len(seen) == 1
    assert "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Funitcost" in seen[0]
    assert "ExternalId=e-1" in seen[0]


def test_a_role_that_may_not_be_taken_on_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    error_xml = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not yours</Message></Error></ErrorResponse>"
    fake = account(FIRST, TODAY)
    with serve(lambda _: Reply(error_xml, 403, {"Content-Type": "text/xml"})) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        with exploring(fake, role_arn=ROLE) as given:
            error = failed(given)
    assert (error.reason, error.where, fake.asked) == ("auth", ROLE, [])
    assert "answered AccessDenied: not yours" in error.text
    assert "trust policy" in error.hint
