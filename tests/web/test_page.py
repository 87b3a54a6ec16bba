"""The page: its sums, its words for what is not known, safe from foreign text, readable on a phone."""

from __future__ import annotations

import html
import re
import subprocess
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest

from unitcost.economics.margin import MarginRow
from unitcost.figures import cut, day_range, day_ranges, elapsed, money, percent, plain, unit_cost
from unitcost.web.pages.front import STYLE, WAITING_PAGE, render_page, story
from unitcost.web.pages.view import (
    ComponentCost,
    Gap,
    PageView,
    Reconciliation,
    SourceRow,
    WindowTotals,
)

NOW = datetime(2026, 11, 2, 6, 5, tzinfo=UTC)
NAMED = (
    ("acme", "Acme Corp", "enterprise", 850, 5000),
    ("beta", "Beta Inc", "pro", 120, 299),
    ("gamma", "Gamma LLC", "starter", 68, 49),
    ("delta", "Delta Co", "free", 22, 0),
)


def customer(tenant: str, name: str, plan: str, cost: str | int, revenue: int | None) -> MarginRow:
    dollars, requests = Decimal(cost), Decimal(cost) * 980
    margin = None if revenue is None else revenue - dollars
    ratio = None if margin is None or revenue is None else float(margin / revenue) if revenue else -1.0
    known = None if revenue is None else Decimal(revenue)
    each = float(dollars / requests)
    return MarginRow("tenant", tenant, name, plan, dollars, None, known, margin, ratio, requests, each)


def company(others: int = 96) -> PageView:
    """Return a small company whose customers and components sum to its cost."""
    rows = [customer(*row) for row in NAMED]
    rows += [customer(f"t{n}", f"Tenant {n}", "pro", f"{200 + n}.37", 299) for n in range(others)]
    unallocated = Decimal("1020.50")
    spent = sum((row.cost or Decimal(0) for row in rows), Decimal(0))
    paid = sum((row.revenue or Decimal(0) for row in rows), Decimal(0))
    cost = spent + unallocated
    october = WindowTotals(
        name="last_month",
        first_day=date(2026, 10, 1),
        last_day=date(2026, 10, 31),
        cost=cost,
        revenue=paid,
        margin_ratio=float((paid - cost) / paid),
        requests=Decimal(50_000_000),
        cost_per_request=float(cost) / 50_000_000,
        cost_per_tenant=float(cost) / len(rows),
        active_tenants=len(rows),
        unallocated=unallocated,
    )
    november = replace(
        october,
        name="mtd",
        first_day=date(2026, 11, 1),
        last_day=date(2026, 11, 2),
        estimated=Decimal(312),
        gaps=[Gap("bill", [date(2026, 11, 1)])],
    )
    return PageView(
        made_at=NOW,
        version="1.2.3",
        company="Example Analytics",
        windows=[october, november],
        components=[ComponentCost("compute", spent - 3000), ComponentCost("ai", Decimal(3000))],
        customers=rows,
        sources=[
            SourceRow("bill", "focus", ("bill",), True, NOW - timedelta(minutes=3), 31, 12_345),
            SourceRow("revenue", "csv_revenue", ("revenue",), True, NOW - timedelta(days=2), 31, 500, notes=["a note"]),
        ],
        reconciliations=[Reconciliation("bill", "prod", 0.94), Reconciliation("bill", "edge", 1.0001)],
    )


def main_window(view: PageView) -> WindowTotals:
    assert view.main is not None
    return view.main


def with_main(view: PageView, **changes: object) -> PageView:
    changed = replace(main_window(view), **changes)  # type: ignore[arg-type]
    return replace(view, windows=[changed, *view.windows[1:]])


class Reader(HTMLParser):
    """Reads a page strictly: tags must nest, and every cell of every table is kept as text."""

    VOID = ("meta", "link", "br", "hr", "img")

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag in self.VOID:
            return
        self.open.append(tag)
        if tag == "table":
            self._rows = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in {"td", "th"}:
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "h2":
            self.tables[self.text.rsplit("\x00", 1)[1]] = self._rows

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        if self.open and self.open[-1] == "h2":
            data = "\x00" + data
        self.text += data
        if {"td", "th"} & set(self.open):
            self._rows[-1][-1] += data


def read(view: PageView) -> Reader:
    return Reader(render_page(view))


def dollars(text: str) -> Decimal:
    return Decimal(text.replace("−", "-").replace("$", "").replace(",", ""))


def test_the_first_sentences_tell_the_story_in_numbers() -> None:
    view = company(others=0)
    assert story(view) == (
        "October 2026: 4 customers cost $2,080 and paid $5,348: a margin of 61%.",
        "2 customers lose money, $41 in all.",
    )
    assert "".join(story(view)).replace(".2", ". 2") in html.unescape(re.sub("<[^>]*>", "", render_page(view)))


def test_the_story_adapts_to_what_is_known() -> None:
    view = company(others=0)
    no_revenue = replace(with_main(view, revenue=None, margin_ratio=None), customers=[])
    assert story(no_revenue) == ("October 2026: 4 customers cost $2,080, $520 each.", "")
    assert story(with_main(view, revenue=Decimal(0), margin_ratio=-1.0))[0].endswith("cost $2,080 and paid nothing.")
    assert story(with_main(view, gaps=[Gap("bill", [date(2026, 10, 31)])]))[0].startswith(
        "October 2026 (incomplete): 4"
    )
    assert story(replace(view, customers=view.customers[:2]))[1] == "No customer loses money."
    assert story(replace(view, customers=view.customers[:3]))[1] == "1 customer loses money, $19."
    assert story(PageView(NOW, "1")) == ("No cost is known yet.", "")


def test_the_customers_table_adds_up_to_the_bill() -> None:
    view = company()
    head, *rows, total = read(view).tables["Customers"]

    assert head == ["Customer", "Plan", "Cost", "Revenue", "Margin USD", "Margin %", "Requests", "Cost per request"]
    assert len(rows) == 50 + 2
    assert rows[50][0] == "and 50 more customers"
    assert [row[0] for row in rows[51:]] == ["Unallocated"]
    assert total[0] == "Total"
    cost = sum(dollars(row[2]) for row in rows)
    assert abs(cost - dollars(total[2])) <= Decimal("0.5") * len(rows)
    main = main_window(view)
    assert total[2:4] == [money(main.cost, "USD"), money(main.revenue, "USD")]
    assert total[5] == percent(main.margin_ratio)


def test_with_cents_the_shown_rows_add_up_to_the_shown_total_exactly() -> None:
    view = company(others=20)
    view = replace(view, customers=[*view.customers, customer("tiny", "Tiny", "free", "0.07", 0)])

    _, *rows, total = read(view).tables["Customers"]

    assert sum(dollars(row[2]) for row in rows) == dollars(total[2])


def test_customers_come_by_cost_and_the_folded_ones_last() -> None:
    view = company(others=3)
    view = replace(view, customers=[customer("__other__", "__other__", "", 5000, 20), *view.customers])

    names = [row[0] for row in read(view).tables["Customers"]]

    assert names[1] == "Acme Corp acme enterprise"
    assert names[-3:] == ["All other customers ", "Unallocated", "Total"]
    assert "All other customers" not in [row[0] for row in read(view).tables["Who loses money"]]


def test_components_and_the_unallocated_part_add_up_and_the_largest_comes_first() -> None:
    rows = read(company()).tables["Where each dollar went"]

    assert [row[0] for row in rows] == ["Compute", "AI", "Unallocated", "Total"]
    assert abs(sum(dollars(row[2]) for row in rows[:-1]) - dollars(rows[-1][2])) <= 2
    assert rows[-1][3] == "100%"


def test_who_loses_most_comes_first_and_the_rest_is_summed_up() -> None:
    view = company(others=0)
    losers = [customer(f"loser-{n}", f"Loser {n}", "free", 100 + n, 0) for n in range(20)]
    rows = read(replace(view, customers=[*view.customers, *losers])).tables["Who loses money"]

    assert rows[0] == ["Loser 19 free", "", "−$119"]
    assert rows[-1] == ["14 more", "−$1,307"]


def test_a_margin_has_its_sign_besides_its_colour() -> None:
    page = render_page(company(others=0))
    assert '<span class="chip gain">83%</span>' in page
    assert '<span class="chip loss">−39%</span>' in page
    assert '<span class="chip loss">−100%</span>' in page


def test_what_is_not_known_is_a_dash_with_the_reason_and_never_zero() -> None:
    view = company(others=0)
    silent = replace(
        view.customers[1], revenue=None, margin=None, margin_ratio=None, requests=None, cost_per_request=None
    )
    page = render_page(replace(view, customers=[view.customers[0], silent]))

    row = page[page.index("Beta Inc") :]
    row = row[: row.index("</tr>")]
    assert row.count('title="no revenue is known">–') == 3
    assert row.count('title="no requests are known">–') == 2
    assert "$0" not in row


def test_without_a_revenue_source_margins_are_absent_and_the_page_says_why() -> None:
    view = with_main(company(others=2), revenue=None, margin_ratio=None)
    rows = [replace(row, revenue=None, margin=None, margin_ratio=None) for row in view.customers]
    found = read(replace(view, customers=rows, sources=view.sources[:1], windows=view.windows[:1]))

    assert "Margins are absent. No source of revenue is configured; add one, such as csv_revenue" in found.text
    assert found.tables["Customers"][0] == ["Customer", "Plan", "Cost", "Requests", "Cost per request"]
    assert "Nobody can say without revenue." in found.text
    found = read(replace(view, customers=rows))
    assert "No revenue is known for these days; the sources below say why." in found.text


def test_an_incomplete_window_says_which_source_lacks_which_days() -> None:
    days = [date(2026, 10, 3), date(2026, 10, 30), date(2026, 10, 31)]
    text = read(with_main(company(others=2), gaps=[Gap("bill", days)])).text

    assert "October 2026 is not complete. bill lacks 3 days, 3 October 2026, 30–31 October 2026." in text


def test_the_windows_are_compared_with_their_days_and_whether_they_are_complete() -> None:
    head, october, november = read(company(others=2)).tables["Windows"]

    assert head == (
        [
            "Window",
            "Cost",
            "Revenue",
            "Margin",
            "Customers",
            "Per customer",
            "Per request",
            "Unallocated",
            "Estimated",
            "Data",
        ]
    )
    assert (october[0], october[-2:]) == ("October 2026", ["$0", "complete"])
    assert (november[0], november[-2:]) == ("November 2026 so far1–2 November 2026", ["$312", "incomplete"])


def test_every_source_says_its_state_its_age_and_its_problems() -> None:
    view = company(others=2)
    failing = SourceRow("usage", "prometheus", ("usage",), False, None, 0, 0, problems=[f"line {n}" for n in range(9)])
    fresh = SourceRow("cluster", "opencost", ("cluster",), None, None, 0, 0)
    found = read(replace(view, sources=[*view.sources, failing, fresh]))

    _, bill, revenue, note, usage, problems, cluster = found.tables["Sources"]
    assert bill == ["bill", "focus bill", "fine", "2 November 2026, 06:02 UTC", "31", "12,345"]
    assert revenue[3] == "31 October 2026, 06:05 UTC2 days earlier"
    assert note == ["a note"]
    assert usage == ["usage", "prometheus usage", "failed", "never", "0", "0"]
    assert problems == ["line 0line 1line 2line 3line 4and 4 more; `unitcost check` says them all"]
    assert cluster[2] == "not asked yet"
    assert "1 source failed: usage. The last good data stay in use." in found.text


def test_bill_and_opencost_are_compared_in_words() -> None:
    text = read(company(others=2)).text

    assert "Cluster prod (source bill): 0.940, the bill is 6% less than OpenCost says" in text
    assert "Cluster edge (source bill): 1.000, they agree" in text


def test_without_any_data_the_page_still_says_what_is_wrong() -> None:
    failing = SourceRow("bill", "focus", ("bill",), False, None, 0, 0, problems=["bill.csv: no such file"])
    text = read(PageView(NOW, "1.2.3", sources=[failing])).text

    assert "No data yet. No source has brought a cost. The sources below say why." in text
    assert "bill.csv: no such file" in text
    assert "No source is configured." in read(PageView(NOW, "1.2.3")).text
    assert "unitcost is starting." in Reader(WAITING_PAGE.decode()).text


HOSTILE = "<script>alert('x')</script>\"&\x00\x1b\u202eabc" + "y" * 10_000


def hostile() -> PageView:
    """Return a company in which every foreign text is hostile."""
    view = company(others=60)
    bad = customer(HOSTILE, HOSTILE, HOSTILE, 9000, 49)
    source = SourceRow(HOSTILE, HOSTILE, (HOSTILE,), False, None, 0, 0, [HOSTILE], [HOSTILE])
    return replace(
        with_main(view, gaps=[Gap(HOSTILE, [date(2026, 10, 1)])]),
        company=HOSTILE,
        version=HOSTILE,
        currency="X<Y",
        customers=[bad, *view.customers],
        components=[ComponentCost(HOSTILE, Decimal(5))],
        sources=[source, *view.sources],
        reconciliations=[Reconciliation(HOSTILE, HOSTILE, 0.5)],
        links=[(HOSTILE[:40], 'https://example.com/?a="><script>')],
    )


def test_foreign_text_is_escaped_cut_and_cannot_break_out() -> None:
    page = render_page(hostile())
    found = Reader(page)

    assert "<script" not in page
    assert not {tag for tag, _, _ in found.attributes} & {"script", "img", "iframe", "object", "form"}
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    assert "\x00" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "y" * 1000 not in page.replace("y" * 10_000, "", 1)
    assert "<bdi title=" in page


@pytest.mark.parametrize("view", [company(), hostile(), PageView(NOW, "1")])
def test_nothing_comes_from_elsewhere_and_nothing_runs(view: PageView) -> None:
    page = render_page(view)
    found = Reader(page)

    assert page.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert ("meta", "charset", "utf-8") in found.attributes
    assert not [name for _, name, _ in found.attributes if name in {"src", "srcset", "action"}]
    assert not re.search(r"url\(|@import|https?:|//", STYLE)
    addresses = [value for tag, name, value in found.attributes if name == "href" and tag != "a"]
    assert addresses == []


def test_every_table_has_a_caption_and_scopes_on_its_headings() -> None:
    page = render_page(company())

    assert page.count("<table") == page.count("<caption>") == 5
    assert len(re.findall(r"<th[ >]", page)) == page.count("<th scope=")
    assert page.count("<h1>") == 1


def test_text_is_readable_in_light_and_in_dark() -> None:
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for part in STYLE.split(":root")[1:3])
    for colours in (light, {**light, **dark}):
        for text, ground in (
            ("ink", "paper"), ("ink", "sheet"), ("quiet", "paper"), ("quiet", "sheet"), ("link", "paper"),
            ("loss", "sheet"), ("loss", "paper"), ("loss", "loss-tint"), ("gain", "gain-tint"), ("warn", "warn-tint"),
        ):  # fmt: skip
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground, colours)


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours by WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


HARNESS = """<!DOCTYPE html><head><script>
function measure(frame) {{
  const boxes = [...frame.contentDocument.querySelectorAll("html, section, .cards, h1")];
  const overflow = boxes.map((box) => box.scrollWidth - box.clientWidth);
  document.title = "overflow " + Math.max(...overflow) + " of " + frame.clientWidth;
}}
</script></head>
<iframe onload="measure(this)" style="width:{width}px;height:800px;border:0" srcdoc="{page}"></iframe>"""


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("width", [390, 700, 1280])
@pytest.mark.parametrize("view", [company(), replace(hostile(), currency="CHF")], ids=["company", "hostile"])
def test_neither_the_page_nor_a_part_of_it_scrolls_sideways(tmp_path: Path, view: PageView, width: int) -> None:
    harness = tmp_path / "harness.html"
    harness.write_text(HARNESS.format(width=width, page=html.escape(render_page(view))), encoding="utf-8")

    assert title_of(harness) == f"overflow 0 of {width}"


def title_of(path: Path) -> str:
    """Open a file in a browser without a window, let its scripts run, and return the title they set."""
    quiet = ("--no-first-run", "--disable-background-networking", "--disable-sync", "--disable-gpu", "--no-sandbox")
    command = ["chromium", "--headless", *quiet, f"--user-data-dir={path.parent / 'profile'}", "--dump-dom"]
    done = subprocess.run([*command, path.as_uri()], check=True, capture_output=True, text=True, timeout=60)
    found = re.search("<title>(.*?)</title>", done.stdout)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "–"),
        (Decimal(0), "$0"),
        (Decimal("1234567.89"), "$1,234,568"),
        (Decimal("-39.4"), "−$39"),
        (Decimal("9.994"), "$9.99"),
        (Decimal("0.004"), "$0.00"),
        (Decimal("-0.004"), "$0.00"),
        (102.0, "$102"),
    ],
)
def test_money_has_separators_and_cents_where_it_is_small(amount: Decimal | float | None, text: str) -> None:
    assert money(amount, "USD") == text


def test_other_currencies_have_their_sign_or_their_code() -> None:
    assert [money(Decimal(-1500), code) for code in ("EUR", "GBP", "CHF")] == ["−€1,500", "−£1,500", "−CHF\u00a01,500"]


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "–"),
        (0.00102, "$0.00102"),
        (0.00085, "$0.00085"),
        (0.0000034567, "$0.00000346"),
        (1.5, "$1.50"),
        (0, "$0.00000"),
    ],
)
def test_the_cost_of_a_request_keeps_its_digits(amount: float | None, text: str) -> None:
    assert unit_cost(amount, "USD") == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(None, "–"), (0.454, "45%"), (-0.39, "−39%"), (-1.0, "−100%"), (0, "0%"), (0.004, "0.4%"), (-0.0003, "−0.03%"),
     (-0.0000001, "0.00%"), (-230.5, "−23,050%")],
)  # fmt: skip
def test_percent_has_no_decimals_but_little_is_not_nothing(ratio: float | None, text: str) -> None:
    assert percent(ratio) == text


def test_a_currency_without_a_sign_is_named_above_a_table_and_not_in_each_cell() -> None:
    found = read(replace(company(others=2), currency="CHF"))
    assert found.tables["Customers"][1][2] == "850"
    assert "1–31 October 2026, by cost, in CHF, rounded to whole amounts" in found.text
    assert "CHF\u00a0" in found.text.split("\x00")[0]


def test_days_are_written_as_ranges() -> None:
    assert day_range(date(2026, 10, 1), date(2026, 10, 31)) == "1–31 October 2026"
    assert day_range(date(2026, 10, 24), date(2026, 11, 22)) == "24 October – 22 November 2026"
    assert day_range(date(2025, 12, 31), date(2026, 1, 1)) == "31 December 2025 – 1 January 2026"
    odd = [date(2026, 10, day) for day in (9, 1, 3, 5, 7, 10)]
    assert day_ranges(odd, most=2) == "1 October 2026, 3 October 2026 and 4 days more"


def test_elapsed_time_is_in_its_largest_unit() -> None:
    spans = [timedelta(seconds=30), timedelta(minutes=61), timedelta(hours=50), timedelta(minutes=-5)]
    assert [elapsed(NOW - span, NOW) for span in spans] == ["0 minutes", "1 hour", "2 days", "0 minutes"]


def test_a_cut_text_says_so() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"
    assert cut("a\nb\x00", 6) == "a�b�"


@pytest.mark.parametrize(
    ("ratio", "text"), [(None, "-"), (0.454, "45%"), (-0.39, "-39%"), (-0.004, "0%"), (0.996, "100%")]
)
def test_a_terminal_gets_whole_percents_in_plain_characters(ratio: float | None, text: str) -> None:
    assert plain(percent(ratio, whole=True)) == text
    assert plain(money(Decimal("-1234.5"), "", cents=True)) == "-1,234.50"
