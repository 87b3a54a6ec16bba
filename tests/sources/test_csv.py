"""The CSV sources: what a file of revenue or usage means, and every way in which one can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.fakes.stored import MemoryStored, asked, rows, utc
from unitcost.errors import SourceError
from unitcost.facts import Batch, Note, Problem, Revenue, Usage
from unitcost.ledger.store import Ledger
from unitcost.sources.base import Context
from unitcost.sources.revenue.csv_revenue import CsvRevenue, CsvRevenueSettings
from unitcost.sources.usage.csv_usage import CsvUsage, CsvUsageSettings

NOW = utc(2026, 11, 18, 12)
TODAY = NOW.date()
FIRST = date(2026, 11, 10)
DAY = timedelta(days=1)

Write = Callable[[str | bytes], Path]


def revenue(path: Path, currency: str = "USD", **settings: Any) -> CsvRevenue:
    return CsvRevenue("revenue", CsvRevenueSettings(path=path, **settings), Context(currency=currency))


def usage(path: Path, **settings: Any) -> CsvUsage:
    return CsvUsage("usage", CsvUsageSettings(path=path, **settings), Context())


def mrr_by_day(stored: MemoryStored) -> dict[date, dict[str, Decimal]]:
    """Return what each known day holds; a record must speak for its batch's day alone."""
    found: dict[date, dict[str, Decimal]] = {}
    for key, batch in stored.batches.items():
        (day,) = batch.days
        assert key == day.isoformat()
        records = rows(Revenue, batch.revenue)
        assert {(one.first_day, one.last_day) for one in records} == {(day, day)}
        found[day] = {one.tenant: one.mrr for one in records}
    return found


def load(source: CsvRevenue, stored: MemoryStored | None = None) -> MemoryStored:
    stored = stored or MemoryStored(NOW)
    assert stored.take(source.batches(asked(stored.now, FIRST, stored))) == []
    return stored


def days(first: date, last: date) -> set[date]:
    return {first + n * DAY for n in range((last - first).days + 1)}


# ------------------------------------------------------------------------------------ revenue without as_of


def test_on_the_first_load_the_present_mrr_counts_for_all_of_the_history(write: Write) -> None:
    stored = load(revenue(write("tenant,mrr\nacme,5000\nbeta,299.00\n")))
    found = mrr_by_day(stored)
    assert found.keys() == days(FIRST, TODAY)
    assert all(held == {"acme": Decimal(5000), "beta": Decimal(299)} for held in found.values())


def test_days_that_got_the_present_mrr_for_want_of_a_history_are_named_in_a_note(write: Write) -> None:
    given = list(revenue(write("tenant,mrr\nacme,1\n")).batches(asked(NOW, FIRST)))
    (note,) = [item.text for item in given if isinstance(item, Note)]
    assert "8 earlier days, 2026-11-10 to 2026-11-17" in note
    assert "as_of" in note


def test_an_unchanged_file_on_the_same_day_yields_nothing(write: Write) -> None:
    source = revenue(write("tenant,mrr\nacme,1\n"))
    stored = load(source)
    assert list(source.batches(asked(NOW + timedelta(hours=3), FIRST, stored))) == []


def test_a_change_counts_from_the_day_it_is_seen(write: Write) -> None:
    stored = load(revenue(write("tenant,mrr\nacme,100\n")))
    stored.now = NOW + DAY
    load(revenue(write("tenant,mrr\nacme,200\n")), stored)
    found = mrr_by_day(stored)
    assert found.pop(TODAY + DAY) == {"acme": Decimal(200)}
    assert all(held == {"acme": Decimal(100)} for held in found.values())


def test_a_correction_on_the_same_day_corrects_all_days_that_were_filled_on_it(write: Write) -> None:
    stored = load(revenue(write("tenant,mrr\nacme,5000000\n")))
    load(revenue(write("tenant,mrr\nacme,5000\n")), stored)
    assert mrr_by_day(stored) == {day: {"acme": Decimal(5000)} for day in days(FIRST, TODAY)}


def test_a_correction_on_a_later_day_leaves_what_was_stored_before_and_as_of_corrects_it(write: Write) -> None:
    stored = load(revenue(write("tenant,mrr\nacme,5000000\n")))
    stored.now = NOW + 2 * DAY
    load(revenue(write("tenant,mrr\nacme,5000\n")), stored)
    assert {day for day, held in mrr_by_day(stored).items() if held["acme"] == 5000000} == days(FIRST, TODAY)
    load(revenue(write("tenant,mrr,as_of\nacme,5000,2026-11-01\n")), stored)
    load(revenue(write("tenant,mrr\nacme,5000\n")), stored)  # as_of may go again
    assert mrr_by_day(stored) == {day: {"acme": Decimal(5000)} for day in days(FIRST, TODAY + 2 * DAY)}


def test_days_on_which_the_file_was_refused_get_the_corrected_amounts(write: Write) -> None:
    with pytest.raises(SourceError, match="line 2: mrr '1e16' is too large, more than 1e\\+15 cannot be counted"):
        load(revenue(write("tenant,mrr\nacme,1e16\n")))
    stored = MemoryStored(NOW + 2 * DAY)
    load(revenue(write("tenant,mrr\nacme,16\n")), stored)
    assert mrr_by_day(stored).keys() == days(FIRST, TODAY + 2 * DAY)


def test_days_on_which_unitcost_did_not_run_get_the_present_mrr_and_stored_ones_stay(write: Write) -> None:
    stored = load(revenue(write("tenant,mrr\nacme,100\n")))
    stored.now = NOW + 3 * DAY
    load(revenue(write("tenant,mrr\nacme,200\n")), stored)
    found = mrr_by_day(stored)
    assert {day for day, held in found.items() if held == {"acme": Decimal(100)}} == days(FIRST, TODAY)
    assert {day for day, held in found.items() if held == {"acme": Decimal(200)}} == days(TODAY + DAY, TODAY + 3 * DAY)


def test_no_day_counts_twice_when_a_file_gets_its_as_of_later(write: Write, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "state")
    contents = ["tenant,mrr\nacme,300\n", "tenant,mrr,as_of\nacme,100,2026-11-01\nacme,300,2026-11-15\n"]
    for settings, content in enumerate(contents):
        given = asked(NOW, FIRST)
        for item in revenue(write(content)).batches(given):
            if isinstance(item, Batch):
                ledger.put("revenue", str(settings), item, NOW, {"USD": Decimal(1)})
    held = ledger.rows("SELECT day, sum(mrr) FROM revenue JOIN known_day USING (source, batch) GROUP BY ALL")
    ledger.close()
    assert dict(held) == {day: 100 if day < date(2026, 11, 15) else 300 for day in days(FIRST, TODAY)}


# --------------------------------------------------------------------------------------- revenue with as_of

HISTORY = """tenant,mrr,as_of
acme,100,2026-11-12
beta,50,2026-11-12
acme,150,2026-11-15
"""


def test_with_changes_an_amount_holds_until_the_tenants_next_line(write: Write) -> None:
    found = mrr_by_day(load(revenue(write(HISTORY))))
    assert found.keys() == days(date(2026, 11, 12), TODAY), "days before the first as_of are unknown"
    assert found[date(2026, 11, 14)] == {"acme": Decimal(100), "beta": Decimal(50)}
    assert found[date(2026, 11, 15)] == {"acme": Decimal(150), "beta": Decimal(50)}
    assert found[TODAY] == found[date(2026, 11, 15)]


def test_with_changes_a_customer_who_left_has_a_line_of_zero(write: Write) -> None:
    found = mrr_by_day(load(revenue(write(HISTORY + "beta,0,2026-11-17\n"))))
    assert found[date(2026, 11, 16)]["beta"] == 50
    assert found[date(2026, 11, 17)]["beta"] == 0


def test_with_snapshots_who_is_absent_in_the_next_one_has_left(write: Write) -> None:
    found = mrr_by_day(load(revenue(write(HISTORY), rows="snapshots")))
    assert found[date(2026, 11, 14)] == {"acme": Decimal(100), "beta": Decimal(50)}
    assert found[TODAY] == {"acme": Decimal(150)}


def test_amounts_from_before_the_history_hold_within_it(write: Write) -> None:
    found = mrr_by_day(load(revenue(write("tenant,mrr,as_of\nacme,7,2019-01-01\n"))))
    assert found == {day: {"acme": Decimal(7)} for day in days(FIRST, TODAY)}


def test_an_as_of_after_today_waits_for_its_day(write: Write) -> None:
    source = revenue(write("tenant,mrr,as_of\nacme,7,2026-11-01\nacme,9,2026-11-19\n"))
    stored = load(source)
    assert mrr_by_day(stored)[TODAY] == {"acme": Decimal(7)}
    stored.now = NOW + DAY
    assert mrr_by_day(load(source, stored))[TODAY + DAY] == {"acme": Decimal(9)}


def test_a_file_of_only_future_amounts_is_refused(write: Write) -> None:
    with pytest.raises(SourceError, match="every as_of is after today"):
        load(revenue(write("tenant,mrr,as_of\nacme,9,2027-01-01\n")))


def test_a_corrected_past_amount_rewrites_only_the_days_it_concerns(write: Write) -> None:
    stored = load(revenue(write(HISTORY)))
    corrected = revenue(write(HISTORY.replace("acme,100", "acme,110")))
    keys = [item.key for item in corrected.batches(asked(NOW, FIRST, stored)) if isinstance(item, Batch)]
    assert keys == ["2026-11-14", "2026-11-13", "2026-11-12"]


# --------------------------------------------------------------------------------------- what a file may be


def test_optional_columns_are_kept_and_others_ignored(write: Write) -> None:
    stored = load(revenue(write("note,plan,currency,mrr,tenant\nx,Pro,eur,12.50,acme\ny,,USD,0,beta\n")))
    assert rows(Revenue, stored.batches["2026-11-18"].revenue) == [
        Revenue(TODAY, TODAY, "acme", Decimal("12.5"), "EUR", "Pro"),
        Revenue(TODAY, TODAY, "beta", Decimal(0), "USD", None),
    ]


def test_a_file_without_currency_is_in_the_configured_one(write: Write) -> None:
    stored = load(revenue(write("tenant,mrr\nacme,1\n"), currency="CHF"))
    assert [one.currency for one in rows(Revenue, stored.batches["2026-11-18"].revenue)] == ["CHF"]


def test_only_who_pays_nothing_may_lack_a_currency(write: Write) -> None:
    stored = load(revenue(write("tenant,mrr,currency\nfree,0.00,\n")))
    assert [one.currency for one in rows(Revenue, stored.batches["2026-11-18"].revenue)] == ["USD"]
    with pytest.raises(SourceError, match="line 2: currency '' is not a currency code"):
        load(revenue(write("tenant,mrr,currency\nacme,10,\n")))


def test_columns_may_have_names_of_their_own(write: Write) -> None:
    path = write("Customer ID;x,MRR (USD)\nacme,5\n")
    stored = load(revenue(path, columns={"tenant": "Customer ID;x", "mrr": "MRR (USD)"}))
    assert mrr_by_day(stored)[TODAY] == {"acme": Decimal(5)}


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbftenant,mrr\r\nacme,5\r\n",
        b"tenant,mrr\nacme,5",
        b"tenant,mrr\racme,5\r",
        b"\n tenant , mrr \n\n acme , 5 \n\n",
        b'"tenant","mrr"\n"acme","5.000"\n',
        b"tenant,mrr\nacme,+5e0\n",
    ],
    ids=["bom and crlf", "no last line break", "cr", "spaces and empty lines", "quoted", "exponent"],
)
def test_a_file_may_be_written_in_several_ways(write: Write, content: bytes) -> None:
    assert mrr_by_day(load(revenue(write(content))))[TODAY] == {"acme": Decimal(5)}


def test_quoted_values_may_hold_commas_quotes_and_line_breaks(write: Write) -> None:
    stored = load(revenue(write('tenant,mrr\n"a ""b"", c\nd",5\n')))
    assert mrr_by_day(stored)[TODAY] == {'a "b", c\nd': Decimal(5)}


def test_amounts_are_exact_to_the_ledgers_last_digit(write: Write) -> None:
    amount = "999999999999999.123456789012"
    assert mrr_by_day(load(revenue(write(f"tenant,mrr\nacme,{amount}\n"))))[TODAY] == {"acme": Decimal(amount)}


# --------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("acme,abc,USD,2026-11-01", "line 3: mrr 'abc' is not a plain number"),
        ("acme,NaN,USD,2026-11-01", "line 3: mrr 'NaN' is not a plain number"),
        ("acme,-Infinity,USD,2026-11-01", "line 3: mrr '-Infinity' is not a plain number"),
        ('acme,"1,000",USD,2026-11-01', "line 3: mrr '1,000' is not a plain number"),
        ("acme,1_000,USD,2026-11-01", "line 3: mrr '1_000' is not a plain number"),
        ("acme,$49,USD,2026-11-01", "line 3: mrr '$49' is not a plain number"),
        ("acme,٤٩,USD,2026-11-01", "line 3: mrr '٤٩' is not a plain number"),
        ("acme,1e400,USD,2026-11-01", "line 3: mrr '1e400' is too large"),
        ("acme,-1,USD,2026-11-01", "line 3: mrr '-1' is negative"),
        ("acme,,USD,2026-11-01", "line 3: mrr is empty"),
        (" ,1,USD,2026-11-01", "line 3: tenant is empty"),
        ("__idle__,1,USD,2026-11-01", "line 3: tenant '__idle__' is a reserved name"),
        ("acme,1,dollars,2026-11-01", "line 3: currency 'dollars' is not a currency code of three letters"),
        ("acme,1,US$,2026-11-01", "line 3: currency 'US$' is not a currency code"),
        ("acme,1,USD,", "line 3: as_of is empty"),
        ("acme,1,USD,01.11.2026", "line 3: as_of '01.11.2026' is not a day written YYYY-MM-DD"),
        ("acme,1,USD,20261101", "line 3: as_of '20261101' is not a day"),
        ("acme,1,USD,2026-02-30", "line 3: as_of '2026-02-30' is not a day"),
        ("ok ,1,USD,2026-11-01", "line 3: tenant 'ok' as of 2026-11-01 stands on line 2 already"),
        ("acme,1,000,USD,2026-11-01", "line 3: has 5 cells and line 1 has 4; quote values that hold commas"),
        ("acme,1", "line 3: has 2 cells and line 1 has 4"),
    ],
)
def test_a_bad_line_refuses_the_whole_file_and_is_named(write: Write, line: str, text: str) -> None:
    path = write(f"tenant,mrr,currency,as_of\nok,1,USD,2026-11-01\n{line}\n")
    with pytest.raises(SourceError) as caught:
        list(revenue(path).batches(asked(NOW, FIRST)))
    assert caught.value.reason == "value"
    assert caught.value.where == str(path)
    assert text in caught.value.text
    assert caught.value.text.startswith("1 bad line:")


def test_all_bad_lines_are_counted_and_the_first_five_named(write: Write) -> None:
    bad = "".join(f"t{n},x\n" for n in range(7))
    with pytest.raises(SourceError) as caught:
        load(revenue(write(f'tenant,mrr\n"a\nb",1\n{bad}')))
    assert caught.value.text.startswith("7 bad lines: line 4: mrr 'x'"), "a line break in quotes is a line of the file"
    assert "line 8:" in caught.value.text
    assert "line 9:" not in caught.value.text
    assert caught.value.text.endswith("; and 2 more")


def test_errors_name_a_renamed_column_as_the_file_does(write: Write) -> None:
    with pytest.raises(SourceError, match="line 2: amount 'x' is not a plain number"):
        load(revenue(write("tenant,amount\nacme,x\n"), columns={"mrr": "amount"}))


def test_a_very_long_value_is_cut_in_the_error(write: Write) -> None:
    with pytest.raises(SourceError) as caught:
        load(revenue(write(f"tenant,mrr\nacme,{'9x' * 30_000}\n")))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("content", "reason", "text"),
    [
        (b"", "format", "is empty"),
        (b"\xef\xbb\xbf \n", "format", "is empty"),
        (b"tenant,mrr\n", "format", "has a header and no lines"),
        (b'tenant,mrr\nacme,1\n"be', "format", "line 3: is not CSV"),
        (b'tenant,mrr\n"ac"me,1\n', "format", "line 2: is not CSV"),
        (b"tenant,mrr\nacm\xe9,1\n", "format", "line 2: is not UTF-8"),
        ("tenant,mrr\nacme,1\n".encode("utf-16-le"), "format", "line 1: holds a zero byte"),
        (b"tenant,mrr\nacme,1\n\0\0\0\0", "format", "line 3: holds a zero byte"),
        (b"tenant,mrr,tenant\nacme,1,b\n", "format", "names the column tenant twice"),
        (b"name,mrr\nacme,1\n", "missing", "has no column tenant; line 1 has 'name,mrr'"),
        (b"tenant;amount\nacme;1\n", "missing", "has no column mrr; line 1 has 'tenant;amount'"),
    ],
)
def test_a_file_that_is_no_such_csv_is_refused_with_its_line(
    write: Write, content: bytes, reason: str, text: str
) -> None:
    path = write(content)
    with pytest.raises(SourceError) as caught:
        list(revenue(path).batches(asked(NOW, FIRST)))
    assert caught.value.reason == reason
    assert caught.value.where == str(path)
    assert text in caught.value.text
    assert caught.value.hint


def test_an_optional_column_that_was_renamed_must_exist(write: Write) -> None:
    with pytest.raises(SourceError, match="has no column valid_from"):
        load(revenue(write("tenant,mrr\nacme,1\n"), columns={"as_of": "valid_from"}))


def test_a_file_that_went_away_is_missing(write: Write) -> None:
    source = revenue(write("tenant,mrr\nacme,1\n"))
    source.batches(asked(NOW, FIRST))
    write("").unlink()
    with pytest.raises(SourceError, match="does not exist any more") as caught:
        list(source.batches(asked(NOW, FIRST)))
    assert caught.value.reason == "missing"


def test_settings_refuse_folders_and_unknown_columns(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="is not a file"):
        CsvRevenueSettings(path=tmp_path)
    with pytest.raises(ValidationError, match="columns"):
        CsvRevenueSettings.model_validate({"path": write("x"), "columns": {"price": "x"}})
    with pytest.raises(ValidationError, match="does not exist"):
        CsvUsageSettings(path=tmp_path / "none.csv")


# --------------------------------------------------------------------------------------------------- usage

USAGE = """day,tenant,measure,quantity
2026-11-15,acme,requests,1200
2026-11-15,acme,ai_tokens,0.5
2026-11-15,beta,requests,3
2026-11-17,acme,requests,7
"""


def used(stored: MemoryStored) -> dict[date, list[Usage]]:
    return {batch.days[0]: rows(Usage, batch.usage) for batch in stored.batches.values()}


def test_usage_is_read_by_day_and_a_day_between_without_lines_is_one_without_usage(write: Write) -> None:
    stored = MemoryStored(NOW)
    assert stored.take(usage(write(USAGE)).batches(asked(NOW, FIRST, stored))) == []
    assert stored.keys() == {"2026-11-15", "2026-11-16", "2026-11-17"}
    day = date(2026, 11, 15)
    assert used(stored) == {
        day: [
            Usage(day, "acme", "ai_tokens", Decimal("0.5")),
            Usage(day, "acme", "requests", Decimal(1200)),
            Usage(day, "beta", "requests", Decimal(3)),
        ],
        date(2026, 11, 16): [],
        date(2026, 11, 17): [Usage(date(2026, 11, 17), "acme", "requests", Decimal(7))],
    }


def test_only_days_whose_usage_changed_are_replaced(write: Write) -> None:
    stored = MemoryStored(NOW)
    stored.take(usage(write(USAGE)).batches(asked(NOW, FIRST, stored)))
    header, *lines = USAGE.splitlines()
    shuffled = "\n".join([header, *reversed(lines)]).replace(",7", ",8")
    changed = list(usage(write(shuffled)).batches(asked(NOW, FIRST, stored)))
    assert [item.key for item in changed if isinstance(item, Batch)] == ["2026-11-17"]


def test_a_file_that_only_holds_the_last_days_leaves_older_ones_stored(write: Write) -> None:
    stored = MemoryStored(NOW)
    stored.take(usage(write(USAGE)).batches(asked(NOW, FIRST, stored)))
    stored.take(usage(write("day,tenant,measure,quantity\n2026-11-18,a,r,1\n")).batches(asked(NOW, FIRST, stored)))
    assert stored.keys() == {"2026-11-15", "2026-11-16", "2026-11-17", "2026-11-18"}


def test_usage_before_the_history_is_left_alone(write: Write) -> None:
    given = usage(write(USAGE)).batches(asked(NOW, date(2026, 11, 17)))
    assert [item.key for item in given if isinstance(item, Batch)] == ["2026-11-17"]


def test_usage_of_days_after_today_is_a_problem_and_waits(write: Write) -> None:
    stored = MemoryStored(NOW)
    content = USAGE + "2026-11-19,acme,requests,5\n2026-11-20,acme,requests,5\n"
    (problem,) = stored.take(usage(write(content)).batches(asked(NOW, FIRST, stored)))
    assert isinstance(problem, Problem)
    assert problem.text == "2 lines are for days after today, up to 2026-11-20"
    assert max(stored.keys()) == "2026-11-18"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("2026-11-15,acme,requests,1", "line 6: 2026-11-15, 'acme', requests stand on line 2 already"),
        ("15/11/2026,acme,requests,1", "line 6: day '15/11/2026' is not a day written YYYY-MM-DD"),
        ("2026-11-15,,requests,1", "line 6: tenant is empty"),
        ("2026-11-15,acme,API requests,1", "line 6: measure 'API requests' is not a name"),
        ("2026-11-15,acme,x,-1", "line 6: quantity '-1' is negative"),
        ("2026-11-15,acme,x,nan", "line 6: quantity 'nan' is not a plain number"),
        ('2026-11-15,acme,x,"1,000"', "line 6: quantity '1,000' is not a plain number"),
    ],
)
def test_a_bad_line_of_usage_refuses_the_file(write: Write, line: str, text: str) -> None:
    with pytest.raises(SourceError) as caught:
        list(usage(write(f"{USAGE}{line}\n")).batches(asked(NOW, FIRST)))
    assert text in caught.value.text


def test_usage_columns_may_have_names_of_their_own(write: Write) -> None:
    path = write("date,tenant,measure,n\n2026-11-18,acme,requests,4\n")
    (batch,) = usage(path, columns={"day": "date", "quantity": "n"}).batches(asked(NOW, FIRST))
    assert isinstance(batch, Batch)
    assert rows(Usage, batch.usage) == [Usage(TODAY, "acme", "requests", Decimal(4))]
