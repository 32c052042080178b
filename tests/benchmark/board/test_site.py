"""The site: what its pages say, and that they work in a real browser, opened from disk."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

import pytest

from ferbench.benchmark.board.markdown import figure
from ferbench.benchmark.board.sections import sections
from ferbench.benchmark.board.site.addresses import between, part
from ferbench.benchmark.board.site.curves import curves
from ferbench.benchmark.board.site.write import MARK, write_site
from ferbench.benchmark.commands.site import site as write
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.record import Record, read_records
from tests.benchmark.board.test_board_rows import write_regression
from tests.benchmark.written_cells import rewrite_predictions, write_cell

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "<script>alert(1)</script>"
LEAVING = "</script><img src=x onerror=alert(2)>"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """Two data sets of twins, a regression, one real data set; an ablation, a failed cell, and hostile names."""
    folder = tmp_path_factory.mktemp("results")
    for dataset in ("oulu_casia-twin", "ctbc-twin"):
        for architecture, skill, params in (("c3d", 0.4, 3e6), ("tsm", 0.8, 2e6), ("vit", 0.6, 1e6)):
            for seed in (0, 1):
                cost = {"params": int(params), "macs": int(params * 20)}
                title = architecture.upper() + (LEAVING if architecture == "vit" else "")
                write_cell(folder, architecture, skill, dataset=dataset, seed=seed, cost=cost, title=title, tracks=True)
        write_cell(folder, "oracle", 0.95, dataset=dataset)
        write_cell(folder, "majority", dataset=dataset)
    write_cell(folder, "c3d@frames=8", 0.3, title="C3D", view="image", notes=[f"note {HOSTILE}"])
    write_cell(folder, "broken", error=f"out of memory at {HOSTILE}", title="Broken")
    write_cell(folder, "c3d", 0.5, dataset="oulu_casia", source="real", title="C3D")
    write_regression(folder, "c3d", 0.3)
    _name_a_sample(folder / "default/oulu_casia-twin/c3d/seed0-fold0")
    return read_records(folder)


def _name_a_sample(cell: Path) -> None:
    """Gives the sample that the cell finds hardest a hostile name."""
    import pandas as pd

    table = pd.read_parquet(cell / "predictions.parquet")
    wrong = table.index[table["label"] != table["predicted"]][0]
    table.loc[wrong, "sample"] = f"!{HOSTILE}"
    table.loc[
        wrong, [f"score_{name}" for name in ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")]
    ] = -1
    rewrite_predictions(cell, table)


@pytest.fixture(scope="module")
def site(records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "site"
    write_site(records, out)
    return out


class _Links(HTMLParser):
    """What a page leads to and loads, and every name of an attribute that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def _pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def test_every_cell_has_a_page(site: Path, records: list[Record]) -> None:
    for record in records:
        data = record.data
        cell = f"{part(data['architecture'])}/seed{data['seed']}-fold{data['fold']}.html"
        text = (site / "cells" / data["suite"] / data["dataset"] / cell).read_text(encoding="utf-8")
        dataset = data["dataset"].removesuffix("-twin")
        assert f"--architectures {data['architecture']} --datasets {dataset}" in text
    assert len(list((site / "cells").rglob("*.html"))) == len(records)


def test_a_cell_page_tells_all_of_the_cell(site: Path, records: list[Record]) -> None:
    text = (site / "cells/default/oulu_casia-twin/tsm/seed0-fold0.html").read_text(encoding="utf-8")
    record = next(r for r in records if r.path.parts[-3:] == ("oulu_casia-twin", "tsm", "seed0-fold0"))
    for said in (
        f"ABAW {record.data['metrics']['abaw']:.3f}",
        "over subjects",
        "validation ABAW",
        "<polyline",
        "Confusion",
        "Hardest samples",
        "first_frame",
        "adamw",
        "AMD EPYC 9555P",
        "0123456789abcdef0123456789abcdef01234567",
        "say nothing about real faces",
    ):
        assert said in text
    counts = re.findall(r'<td style="--share:[\d.]+">(\d+)</td>', text)
    assert [int(n) for n in counts] == [n for line in record.data["metrics"]["confusion"] for n in line]


def test_a_regression_has_its_own_measure_and_hardest_samples(site: Path) -> None:
    text = (site / "cells/default/sendv1_valence-twin/c3d/seed0-fold0.html").read_text(encoding="utf-8")
    assert re.search(r"<strong>CCC 0\.\d{3}</strong>", text)
    errors = [float(each) for each in re.findall(r'<td class="number">(\d\.\d{3})</td>', text)]
    assert len(errors) == 10
    assert errors == sorted(errors, reverse=True)


def test_twins_and_real_data_are_on_different_pages(site: Path) -> None:
    real, twins = (site / "index.html").read_text("utf-8"), (site / "default-twin-tiny.html").read_text("utf-8")
    assert set(re.findall(r'data-dataset="([^"]+)"', real)) == {"oulu_casia"}
    assert set(re.findall(r'data-dataset="([^"]+)"', twins)) == {"ctbc-twin", "oulu_casia-twin", "sendv1_valence-twin"}
    assert "These are twins." in twins
    assert "These are twins." not in real
    assert "Real data." in real
    assert 'href="default-twin-tiny.html"' in real
    cell = (site / "cells/default/oulu_casia/c3d/seed0-fold0.html").read_text("utf-8")
    assert "--data DIR" in cell
    assert "synthetic" not in cell


def test_variants_stand_among_the_ablations(site: Path) -> None:
    twins = (site / "default-twin-tiny.html").read_text(encoding="utf-8")
    board, ablations = twins.split('id="ablations"')
    assert ">C3D</a>" in board
    assert "frames: 8" not in board
    assert re.search(r"frames: 8</a></th>.*(other samples|-|[+-]0\.\d{3} \[)", ablations)


def test_what_people_wrote_is_never_markup(site: Path) -> None:
    texts = {page: page.read_text(encoding="utf-8") for page in _pages(site)}
    assert sum("&lt;script&gt;alert(1)&lt;/script&gt;" in text for text in texts.values()) >= 4  # board, rows and cells
    for page, text in texts.items():
        assert HOSTILE not in text, page
        assert "<img" not in text, page
        assert not {name for name in _Links(text).attributes if name.startswith("on")}, page
    sample = (site / "cells/default/oulu_casia-twin/c3d/seed0-fold0.html").read_text(encoding="utf-8")
    assert "!&lt;script&gt;alert(1)&lt;/script&gt;" in sample
    broken = (site / "cells/default/oulu_casia-twin/broken/seed0-fold0.html").read_text(encoding="utf-8")
    assert "out of memory at &lt;script&gt;" in broken


def test_links_lead_to_pages_and_nothing_leads_outside(site: Path) -> None:
    for page in _pages(site):
        for link in _Links(page.read_text(encoding="utf-8")).links:
            if link in ("data:,", "#main"):
                continue
            assert not re.match(r"[a-z]+:|//", link), f"{page}: {link}"
            assert (page.parent / unquote(link)).resolve().is_file(), f"{page}: {link}"


def test_libraries_are_there_once_and_a_cell_page_is_small(site: Path) -> None:
    assert len(list(site.rglob("plotly.js"))) == len(list(site.rglob("datatables.js"))) == 1
    cell = site / "cells/default/oulu_casia-twin/c3d/seed0-fold0.html"
    assert cell.stat().st_size < 40_000
    assert "plotly.js" not in cell.read_text(encoding="utf-8")


def test_chart_data_are_those_of_the_board(site: Path) -> None:
    twins = (site / "default-twin-tiny.html").read_text(encoding="utf-8")
    found = json.loads(re.search(r'id="charts">(.*?)</script>', twins)[1])  # type: ignore[index]
    oulu = next(each for each in found if each["name"] == "oulu_casia-twin")
    best = max(oulu["points"], key=lambda point: point["score"])
    assert (best["title"], best["params"]) == ("TSM", 2_000_000)
    assert best["low"] < best["score"] < best["high"]
    assert {p["title"] for p in oulu["points"] if "params" in p["front"]} == {"TSM", "VIT" + LEAVING}
    assert {each["title"] for each in oulu["references"]} == {"oracle", "majority"}


def test_the_heat_map_has_all_on_every_data_set(site: Path) -> None:
    twins = (site / "default-twin-tiny.html").read_text(encoding="utf-8")
    heat = twins.split('id="heat-table"')[1].split("</table>")[0]
    heads = ["architecture", "ctbc-twin", "oulu_casia-twin", "sendv1_valence-twin (CCC)"]
    assert re.findall(r'scope="col">([^<]+)<', heat.replace("<wbr>", "")) == heads
    names = [name.split("&lt;")[0] for name in re.findall(r'scope="row">([^<]+)<', heat)]
    assert names == ["1 TSM", "2 VIT", "3 C3D", "C3D", "4 Broken", "majority", "oracle"]


def test_a_score_is_rounded_once(site: Path, records: list[Record]) -> None:
    """Table, chart and heat map say the same figure, made of the score itself."""
    twins = (site / "default-twin-tiny.html").read_text(encoding="utf-8")
    found = json.loads(re.search(r'id="charts">(.*?)</script>', twins)[1])  # type: ignore[index]
    heat = twins.split('id="heat-table"')[1]
    section = next(section for section in sections(records) if section.source == "twin")
    for table, chart in zip(section.tables, found, strict=True):
        assert [point["score"] for point in chart["points"]] == [row.score for row in table.ranked]
        for row, point in zip(table.ranked, chart["points"], strict=True):
            score, interval = point["said"].split(" ", 1)
            assert score == figure(row.score)
            assert f'class="number headline">{score} <span class="aside">{interval}</span>' in twins
            assert f': {score}">{score}</a>' in heat
    script = (site / "assets/board.js").read_text(encoding="utf-8")
    assert "toFixed" not in script
    assert "toPrecision" not in script


def test_the_same_records_give_the_same_bytes(records: list[Record], site: Path, tmp_path: Path) -> None:
    write_site(records, tmp_path / "again")
    files = sorted(p.relative_to(site) for p in site.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file())
    assert all((site / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in files)


def test_an_earlier_site_is_replaced_and_nothing_else_is(records: list[Record], tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_site(records[:1], out)
    (out / "stale.html").touch()
    write_site(records[:1], out)
    assert not (out / "stale.html").exists()
    (out / MARK).unlink()
    with pytest.raises(RequestError, match=r"holds something other than a site: name a new or an empty folder"):
        write_site(records[:1], out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_site_that_holds_records_too_is_not_replaced(records: list[Record], tmp_path: Path) -> None:
    """As of a suite that was named `site` when that was allowed."""
    write_site(records[:1], tmp_path / "site")
    cell = write_cell(tmp_path, "c3d", suite="site")
    with pytest.raises(RequestError, match=r"holds something other than a site"):
        write_site(records[:1], tmp_path / "site")
    assert (cell / "record.json").is_file()


def test_the_verb_tells_what_to_open_and_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no records there"):
        write(tmp_path / "none", tmp_path / "site")
    write_cell(tmp_path / "results", "c3d")
    assert write(tmp_path / "results", tmp_path / "site") == f"3 pages written: open {tmp_path / 'site/index.html'}"
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="the site cannot be written"):
        write(tmp_path / "results", tmp_path / "file" / "site")


def test_names_become_parts_of_a_path_that_stay_apart() -> None:
    assert part("c3d@frames=8") == "c3d@frames=8"
    names = ["a b", "a/b", "a?b", "..", "é", "x" * 300]
    parts = [part(name) for name in names]
    assert len(set(parts)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_=@+.-]{1,90}", each) and each.strip(".") for each in parts)
    assert between("rows/a/b.html", "cells/c@d.html") == "../../cells/c%40d.html"


def test_curves_do_not_join_stages(tmp_path: Path) -> None:
    history = [{"stage": "one", "epoch": 1, "train_loss": 2.0}, {"stage": "one", "epoch": 2, "train_loss": 1.0}]
    history += [{"stage": "two", "epoch": 1, "train_loss": 1.5}]
    found = curves([Record(tmp_path, {"seed": 0, "fold": 0, "history": history})], "train_loss", "loss")
    assert found is not None
    joined, single = found.lines
    assert len(joined.points.split()) == 2
    assert single.single == (found.right, pytest.approx(found.top + 0.25 * (found.bottom - found.top)))
    assert [tick.text for tick in found.y_ticks] == ["0", "0.5", "1", "1.5", "2"]
    assert [tick.text for tick in found.x_ticks] == ["1", "2", "3"]
    assert curves([Record(tmp_path, {"seed": 0, "fold": 0, "history": history})], "val_abaw", "ABAW") is None


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Opened:
    """A page in a context of its own, and all that went wrong on it."""

    def __init__(self, browser: Browser, width: int = 1280, scheme: str = "light") -> None:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
        context.set_default_timeout(60_000)
        self.page: Page = context.new_page()
        self.wrong: list[str] = []
        self.page.on(
            "console", lambda said: self.wrong.append(said.text) if said.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.wrong.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self._asked(request.url))

    def _asked(self, url: str) -> None:
        if not url.startswith(("file:", "blob:", "data:")):
            self.wrong.append(f"request of {url}")

    def board(self, site: Path) -> Page:
        self.page.goto((site / "default-twin-tiny.html").as_uri())
        self.page.wait_for_selector("#board[data-ready]")
        self.page.wait_for_selector("#pareto-chart .main-svg")
        return self.page

    def column(self, number: int) -> list[str]:
        """The text of a column in each visible row."""
        rows = f"#board tbody tr[data-dataset] > :nth-child({number + 1})"
        found: list[str] = self.page.locator(rows).all_inner_texts()
        return found

    def datasets(self) -> list[str]:
        """The data set of each visible row."""
        rows = self.page.locator("#board tbody tr[data-dataset]")
        found: list[str] = rows.evaluate_all("rows => rows.map((row) => row.dataset.dataset)")
        return found

    def in_sight(self, selector: str) -> bool:
        """Whether what there is of it first lies between the left and the right edge of the window."""
        box = self.page.locator(selector).first.bounding_box()
        assert box is not None
        return box["x"] >= 0 and box["x"] + box["width"] <= self.page.evaluate("innerWidth")

    def sort_by(self, name: str, how: Literal["click", "key"]) -> None:
        """Sorts the board by a column, and waits until it says so."""
        header = self.page.locator("#board thead th", has_text=name)
        if how == "click":
            header.click()
        else:
            header.get_by_role("button").focus()
            self.page.keyboard.press("Enter")
        self.page.wait_for_selector(f'#board thead th[aria-sort="ascending"]:has-text("{name}")')

    def index(self, name: str) -> int:
        heads = [text.strip() for text in self.page.locator("#board thead th").all_inner_texts()]
        return heads.index(name)


def test_a_person_sorts_filters_and_follows_links(browser: Browser, site: Path) -> None:
    opened = Opened(browser)
    page = opened.board(site)
    datasets = opened.datasets()
    assert datasets == sorted(datasets)
    assert page.locator("#board tr.dataset").all_inner_texts() == sorted(set(datasets))
    assert opened.column(0)[:5] == ["oracle", "TSM", "VIT" + LEAVING, "C3D", "majority"]

    opened.sort_by("params (M)", "click")
    params = opened.index("params (M)")
    assert opened.datasets() == datasets  # sorting stays within a data set
    assert opened.column(params)[:5] == ["-", "-", "1.00", "2.00", "3.00"]

    page.get_by_label("Data set").first.select_option("oulu_casia-twin")
    assert set(opened.datasets()) == {"oulu_casia-twin"}
    assert page.locator("#board tr.dataset").all_inner_texts() == ["oulu_casia-twin"]
    page.get_by_label("Rows").select_option("reference")
    assert sorted(opened.column(0)) == ["majority", "oracle"]
    page.get_by_label("Rows").select_option("")
    page.get_by_label("on a Pareto front").check()
    assert sorted(opened.column(0)) == ["TSM", "VIT" + LEAVING]
    page.get_by_label("on a Pareto front").uncheck()
    page.get_by_label("Search").fill("tsm")
    assert opened.column(0) == ["TSM"]
    assert page.locator("#shown").inner_text() == "1 of 12 rows"

    page.locator("#board").get_by_role("link", name="TSM").click()
    assert page.locator("h1").inner_text() == "TSM on oulu_casia-twin"
    page.get_by_role("link", name="Seed 1, fold 0").click()
    assert page.locator("h1").inner_text() == "TSM on oulu_casia-twin, seed 1, fold 0"
    page.get_by_role("link", name="ferbench").click()
    page.wait_for_selector("#board[data-ready]")
    assert opened.wrong == []


def test_charts_follow_choice_and_theme(browser: Browser, site: Path) -> None:
    opened = Opened(browser, scheme="dark")
    page = opened.board(site)
    assert page.locator("#pareto-chart .xtitle").text_content() == "parameters (millions)"
    page.locator("#pareto-cost").select_option(label="multiply-adds of one input (billions)")
    assert page.locator("#pareto-chart .xtitle").text_content() == "multiply-adds of one input (billions)"
    page.locator("#pareto-table").select_option(label="sendv1_valence-twin")
    assert page.locator("#pareto-chart .ytitle").text_content() == "CCC"
    assert "<img" in page.locator("#heat-table th").nth(5).inner_text()  # as text

    ink = "getComputedStyle(document.body).color"
    dark = page.evaluate(ink)
    page.get_by_role("button", name="Change to light colours").click()
    assert page.evaluate(ink) != dark
    page.reload()  # the choice is kept
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert opened.wrong == []


def test_it_works_by_keyboard(browser: Browser, site: Path) -> None:
    opened = Opened(browser)
    page = opened.board(site)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        assert page.evaluate(
            "document.activeElement === document.body || document.activeElement.matches(':focus-visible')"
        )
    assert {"theme", "search", "front", "board-scroll"} <= set(reached)
    opened.sort_by("accuracy", "key")
    datasets = opened.datasets()
    accuracies = opened.column(opened.index("accuracy"))[: datasets.count(datasets[0])]
    assert accuracies == sorted(accuracies)
    page.locator("#pareto-key a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/rows/**")
    assert opened.wrong == []


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
@pytest.mark.parametrize(
    "page",
    ["default-twin-tiny.html", "rows/default/twin-tiny/oulu_casia-twin/c3d.html",
     "cells/default/oulu_casia-twin/c3d/seed0-fold0.html"],
)  # fmt: skip
def test_no_page_is_wider_than_its_window(browser: Browser, site: Path, page: str, width: int) -> None:
    opened = Opened(browser, width=width)
    opened.page.goto((site / page).as_uri())
    if "/" not in page:
        opened.board(site)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    assert opened.wrong == []


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_name_score_and_group_are_read_without_scrolling(browser: Browser, site: Path, width: int) -> None:
    opened = Opened(browser, width=width)
    page = opened.board(site)
    scroller = page.locator("#board-scroll")
    assert scroller.evaluate("each => each.scrollWidth - each.clientWidth") == 0
    heads = [text.strip() for text in page.locator("#board thead th").all_inner_texts()]
    assert [head for head in heads if head in ("architecture", "score", "group")] == ["architecture", "score", "group"]
    first = "#board tbody tr[data-dataset] >"
    assert opened.in_sight(f"{first} th")
    assert opened.in_sight(f"{first} td.headline")
    assert opened.in_sight(f"{first} td:nth-child({opened.index('group') + 1})")


def test_a_reader_chooses_columns_and_name_and_score_stay_in_sight(browser: Browser, site: Path) -> None:
    opened = Opened(browser, width=390)
    page = opened.board(site)
    page.locator("#columns summary").click()
    for box in page.locator("#columns input").all():
        box.check()
    heads = len(page.locator("#board thead th").all())
    assert heads >= 18
    page.reload()
    page.wait_for_selector("#board[data-ready]")
    assert len(page.locator("#board thead th").all()) == heads  # the choice is kept
    scroller = page.locator("#board-scroll")
    scroller.evaluate("each => { each.scrollLeft = each.scrollWidth; }")
    assert scroller.evaluate("each => each.scrollLeft") > 1000
    assert opened.in_sight("#board tbody tr[data-dataset] > th")
    assert opened.in_sight("#board tbody tr[data-dataset] > td.headline")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator("#columns summary").click()
    page.get_by_role("button", name="As at first").click()
    assert len(page.locator("#board thead th").all()) == 3
    assert opened.wrong == []


def test_marks_of_the_chart_stand_at_the_data(browser: Browser, site: Path) -> None:
    opened = Opened(browser, width=390)
    page = opened.board(site)
    drawn = page.evaluate(
        "document.getElementById('pareto-chart').data.filter((each) => each.mode === 'markers')"
        ".flatMap((each) => each.x.map((x, index) => [x, each.y[index]]))"
    )
    points = page.evaluate("JSON.parse(document.getElementById('charts').textContent)[0].points")
    assert sorted(map(tuple, drawn)) == sorted((point["params"] / 1e6, point["score"]) for point in points)
    numbers = page.locator("#pareto-chart .annotation-text").all_text_contents()
    assert {"1", "2", "3"} <= set(numbers)


def test_hostile_words_run_nowhere(browser: Browser, site: Path) -> None:
    opened = Opened(browser)
    for page in _pages(site):
        if "broken" in page.parts or "c3d" in page.stem or "c3d" in page.parts or "vit" in str(page):
            opened.page.goto(page.as_uri())
            assert opened.page.locator("img").count() == 0
    assert opened.wrong == []
