"""Plots that are hard to draw well: nothing is cut off, nothing is lost, nothing is named that is not there."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import cast
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.transforms import Bbox
from PIL import Image

from ferbench.benchmark.board import forked
from ferbench.benchmark.board.costs import cost
from ferbench.benchmark.board.figures import Label, Labels, lines, panels, save, style
from ferbench.benchmark.board.forked import Job, on_all_cores
from ferbench.benchmark.board.plot_classes import confusions
from ferbench.benchmark.board.plot_costs import latency_front, macs_front, params_front, throughput
from ferbench.benchmark.board.plot_labels import RADIUS, beside
from ferbench.benchmark.board.plot_people import people
from ferbench.benchmark.board.plot_ranks import critical_difference, forest, heat_map
from ferbench.benchmark.board.plot_training import curves
from ferbench.benchmark.board.sections import Section, sections
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.record import read_records
from tests.benchmark.board.test_board_rows import write_regression
from tests.benchmark.written_cells import rewrite_predictions, write_cell


def boxes(figure: Figure) -> list[Bbox]:
    """What is drawn of each panel, its labels and titles included, and of the legend, in pixels."""
    FigureCanvasAgg(figure).draw()
    found = [axis.get_tightbbox() for axis in figure.axes] + [legend.get_window_extent() for legend in figure.legends]
    return [box for box in found if box is not None]


def section_of(results: Path) -> Section:
    return sections(read_records(results))[0]


def test_titles_of_rows_with_many_changes_leave_room_for_what_is_drawn(tmp_path: Path) -> None:
    changes = "batch size 64, class weights none, difference.lr 0.017, disentangle.lr 0.0022, label smoothing 0.2"
    for dataset in ("oulu_casia-twin", "ctbc-twin"):
        for skill, name in ((0.8, "c3d"), (0.6, "tsm"), (0.4, "vit_se")):
            title = f"{name} ({changes}, weight decay 0.{skill})"
            write_cell(tmp_path, name, skill, dataset=dataset, title=title, cost={"macs": 1e6})
    section = section_of(tmp_path)
    drawn = [people(section.tables[0]), forest(section.tables[0]), heat_map(section), critical_difference(section)]
    drawn += [macs_front(section)]
    for figure in drawn:
        assert figure is not None
        width, height = figure.bbox.size
        assert width < 18 * figure.dpi  # two columns of titles
        assert all(box.x0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes(figure))


@pytest.mark.parametrize("plot", [throughput, macs_front, latency_front, curves])
@pytest.mark.parametrize("speed", [0.5, 12_000, 3e6])
def test_no_text_is_cut_off(tmp_path: Path, plot: Callable[[Section], Figure | None], speed: float) -> None:
    for place, name in enumerate(("c3d", "vit_se", "an_architecture_with_quite_a_long_name", "tsm")):
        cost = {
            "throughput_by_batch": {"1": speed, "64": speed * 9.5}, "macs": speed * 1e6 * 2**place,
            "latency_ms_p50": 1e3 * (place + 1) / speed,
        }  # fmt: skip
        write_cell(tmp_path, name, 0.3 + place / 10, cost=cost)
        write_cell(tmp_path, name, 0.3 + place / 10, cost=cost, dataset="ctbc-twin")
    with style():
        figure = plot(section_of(tmp_path))
        assert figure is not None
        found = boxes(figure)
        width, height = figure.canvas.get_width_height()
    assert len(found) == len(figure.axes) + 1
    assert min(min(box.x0, box.y0) for box in found) >= 0
    assert max(box.x1 for box in found) <= width
    assert max(box.y1 for box in found) <= height
    legend = found[-1]
    assert all(box.y0 >= legend.y1 for box in found[:-1])


def test_the_key_names_what_is_shown(tmp_path: Path) -> None:
    for name in ("tsm", "tsm@shuffled", "c3d"):
        write_cell(tmp_path, name, title=f"title of {name}")
    figure = macs_front(section_of(tmp_path))
    assert figure is not None
    assert sorted(text.get_text()[3:] for text in figure.legends[0].get_texts()) == ["title of c3d", "title of tsm"]


FRONTS = {"macs": (macs_front, 1e9), "params": (params_front, 1e6), "latency_ms_p50": (latency_front, 1)}
"""By cost: its plot, and the unit of its axis."""


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Section:
    """27 architectures, eight of them on one backbone that makes them cost the same, and floors and oracle."""
    folder = tmp_path_factory.mktemp("crowded")
    for place in range(27):
        size = 0.0 if place < 8 else place / 9
        cost = {"macs": 8e7 * 4**size, "params": 4e5 * 3**-size, "latency_ms_p50": 3.0 * 1.3**size}
        write_cell(folder, f"model_{place:02d}", 0.45 + 0.02 * (place % 9), cost=cost)
    for name, skill in (("majority", 0.0), ("random", 0.05), ("oracle", 0.9)):
        write_cell(folder, name, skill)
    return section_of(folder)


@pytest.fixture(params=FRONTS)
def front(crowded: Section, request: pytest.FixtureRequest) -> Iterator[tuple[Axes, list[tuple[float, float]]]]:
    """The one panel of a front, and where its marks must be."""
    draw, unit = FRONTS[request.param]
    with style():
        figure = draw(crowded)
        assert figure is not None
        FigureCanvasAgg(figure).draw()
        costs = {row.architecture: getattr(cost(row), request.param) / unit for row in crowded.tables[0].ranked}
        yield figure.axes[0], [(costs[row.architecture], row.score or 0.0) for row in crowded.tables[0].ranked]


def test_marks_are_exactly_at_the_data(front: tuple[Axes, list[tuple[float, float]]]) -> None:
    axis, data = front
    marked = [tuple(at) for line in axis.lines if line.get_marker() != "None" for at in np.asarray(line.get_xydata())]
    assert sorted(marked) == sorted(data)
    assert len(marked) == 27
    # Nothing else has a shape: intervals and leaders are lines, and numbers have no frame.
    assert all(type(each) is LineCollection for each in axis.collections)
    assert not axis.patches


def test_numbers_hide_no_mark_and_no_other_number(front: tuple[Axes, list[tuple[float, float]]]) -> None:
    axis, data = front
    renderer = cast(FigureCanvasAgg, axis.figure.canvas).get_renderer()
    (labels,) = (each for each in axis.get_children() if isinstance(each, Labels))
    assert sorted(int(label.text) for label in labels.labels) == list(range(1, 28))
    tall = renderer.get_text_width_height_descent("0", FontProperties(size=10), ismath=False)[1]
    centres = axis.transData.transform([(label.x, label.y) for label in labels.labels])
    wide = [
        renderer.get_text_width_height_descent(label.text, FontProperties(size=10), False)[0] for label in labels.labels
    ]
    written = [Bbox.from_bounds(x - w / 2, y - tall / 2, w, tall) for (x, y), w in zip(centres, wide, strict=True)]
    radius = max(line.get_markersize() for line in axis.lines) / 2 * axis.figure.dpi / 72
    for number, box in enumerate(written):
        assert not any(box.overlaps(other) for other in written[number + 1 :])
        for x, y in axis.transData.transform(data):
            outside = np.hypot(max(box.x0 - x, 0, x - box.x1), max(box.y0 - y, 0, y - box.y1))
            assert outside > radius


def test_a_number_away_from_its_mark_is_led_to_it() -> None:
    """Ten marks on one spot: one number has room beside it, a line leads to each of the others from the spot."""
    points, sizes = np.full((10, 2), 1.5), np.full((10, 2), (0.2, 0.13))
    nothing = np.zeros((0, 4))
    placed = beside(points, sizes, nothing, nothing, (3.0, 3.0))
    assert len(placed.leaders) == 10
    assert (placed.leaders[:, 0] == 1.5).all()
    inside = np.abs(placed.leaders[:, 1] - placed.centres) <= sizes / 2 + 1e-9
    assert inside.all()
    alone = beside(points[:1], sizes[:1], nothing, nothing, (3.0, 3.0))
    assert alone.leaders.shape == (0, 2, 2)
    assert alone.centres.tolist() == [[pytest.approx(1.5 + RADIUS + 0.1, abs=0.02), 1.5]]


def test_a_number_stays_in_its_panel_and_off_names() -> None:
    points, sizes = np.array([[2.95, 0.05]]), np.array([[0.2, 0.13]])
    placed = beside(points, sizes, np.array([[2.0, 0.0, 2.85, 0.4]]), np.zeros((0, 4)), (3.0, 3.0))
    (x, y), (width, height) = placed.centres[0], sizes[0] / 2
    assert x + width <= 3
    assert y - height >= 0.4 or x - width >= 2.85


def test_a_score_below_zero_is_not_cut_off(tmp_path: Path) -> None:
    """A CCC may be negative, of a row as of a floor."""
    for name in ("good", "opposite", "random"):
        frame = write_regression(tmp_path, name, 0.3)
        if name != "good":
            frame["value"] = -frame["value"]
            rewrite_predictions(tmp_path / f"default/sendv1_valence-twin/{name}/seed0-fold0", frame)
    section = section_of(tmp_path)
    (table,) = section.tables
    opposite = table.row("opposite")
    assert opposite is not None
    assert opposite.score is not None
    assert opposite.score < -0.5
    lowest = table.comparison.intervals["opposite"].low
    for figure, axis in ((macs_front(section), 1), (forest(table), 0)):
        assert figure is not None
        limits = (figure.axes[0].get_xlim(), figure.axes[0].get_ylim())[axis]
        assert min(limits) <= lowest


def test_confusion_titles_that_begin_alike_stay_apart(tmp_path: Path) -> None:
    titles = ["Residual Attention + ED-TCN", "Residual Attention + MS-TCN", "A very long name " * 5 + "one"]
    titles.append(titles[-1].replace("one", "two"))
    for number, title in enumerate(titles):
        write_cell(tmp_path, f"model_{number}", title=title)
    figure = confusions(section_of(tmp_path).tables[0])
    assert figure is not None
    assert len(boxes(figure)) == 1
    shown = [text.get_text() for text in figure.axes[0].texts if "  " in text.get_text() or "\n" in text.get_text()]
    assert len(set(shown)) == len(shown) == 4
    assert all(len(text.split("\n")) <= 2 for text in shown)
    assert sum(text.startswith(("Residual Attention + ED-TCN", "Residual Attention + MS-TCN")) for text in shown) == 2


def test_class_names_stand_below_the_last_matrix_of_each_column(tmp_path: Path) -> None:
    for number in range(4):
        write_cell(tmp_path, f"model_{number}")
    figure = confusions(section_of(tmp_path).tables[0])
    assert figure is not None
    below = [text for text in figure.axes[0].texts if text.get_text() == "Fear" and text.get_rotation()]
    bottom = max(text.get_position()[1] for text in below)
    assert [text.get_position()[1] == bottom for text in sorted(below, key=lambda text: text.get_position()[0])] == [
        True,
        False,
        False,
    ]


def test_numbers_of_a_heat_map_are_places_and_variants_have_none(tmp_path: Path) -> None:
    for dataset in ("oulu_casia-twin", "ctbc-twin"):
        for name, skill in (("c3d", 0.4), ("c3d@shuffled", 0.9), ("tsm", 0.8), ("majority", 0.1), ("oracle", 0.95)):
            write_cell(tmp_path, name, skill, dataset=dataset)
    figure = heat_map(section_of(tmp_path))
    assert figure is not None
    names = [text for text in figure.axes[0].texts if text.get_ha() == "right"][1:]
    assert [text.get_text() for text in names] == ["tsm  1", "c3d  2", "c3d@shuffled", "majority", "oracle"]
    heights = [text.get_position()[1] for text in names]
    assert np.diff(heights).tolist() == [1, 1, 1.5, 1]  # floors and oracle stand apart


@pytest.mark.parametrize("better", [True, False])
def test_bars_of_mean_ranks_are_drawn_only_where_the_test_decides(tmp_path: Path, better: bool) -> None:
    for number in range(6):
        for place, name in enumerate(("c3d", "tsm", "vit")):
            skill = 0.2 + 0.3 * (place if better else (place + number) % 3)
            write_cell(tmp_path, name, skill, dataset=f"data_{number}-twin")
    figure = critical_difference(section_of(tmp_path))
    assert figure is not None
    said = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert ("no two differ" in said) != better
    bars = [line for line in figure.axes[0].lines if line.get_linewidth() == 4]
    assert bool(bars) == better


def test_two_lines_on_each_other_are_both_seen() -> None:
    _, (axis,) = panels(1, 5, 4)
    ys = np.linspace(1, 2, 30).tolist()
    lines(axis, [(0, "below", range(30), ys), (1, "above", range(30), ys)])
    below, above = (set(line.get_markevery()) for line in axis.lines)
    assert below & above == {0}
    assert min(len(below), len(above)) >= 6


def test_a_point_alone_is_marked_and_what_has_no_point_is_not_named() -> None:
    _, (axis,) = panels(1, 5, 4)
    ys = [*np.linspace(1, 2, 12), np.nan, 3.0]
    lines(
        axis,
        [(0, "two stages", [*range(12), np.nan, 12], ys), (1, "nothing", [], []), (7, "a grey one", [1, 2], [1, 2])],
    )
    line, grey = axis.lines
    assert line.get_markevery() == [0, 2, 4, 6, 8, 10, 13]
    assert [each.get_label() for each in (line, grey)] == ["two stages", "the others"]


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_labels_are_where_texts_would_be(scale: str, tmp_path: Path) -> None:
    labels = [Label(0.5, 2, "0.83", "#222222"), Label(3, 1.5, "7", "white"), Label(5, 3, "lg", "#0072B2")]
    found = {}
    with style():
        for kind in ("labels", "texts"):
            figure, (axis,) = panels(1, 5, 4)
            axis.set(xlim=(0.1, 10), ylim=(0, 4), xscale=scale, facecolor="#88aa88")
            if kind == "labels":
                Labels(axis, labels, 12)
            else:
                for each in labels:
                    axis.text(
                        each.x, each.y, each.text, ha="center", va="center_baseline", fontsize=12, color=each.color
                    )
            save(figure, tmp_path / kind)
            drawing = ElementTree.parse(tmp_path / f"{kind}.svg").iter("{http://www.w3.org/2000/svg}text")
            found[kind] = {each.text: each for each in drawing if each.text in ("0.83", "7", "lg")}
    assert found["labels"].keys() == found["texts"].keys() == {"0.83", "7", "lg"}
    for name, text in found["texts"].items():
        label = found["labels"][name]
        assert label.get("style") == text.get("style")
        assert [float(label.get(at, "nan")) for at in "xy"] == pytest.approx(
            [float(text.get(at, "nan")) for at in "xy"], abs=0.01
        )
    one, other = (np.asarray(Image.open(tmp_path / f"{kind}.png"), dtype=int) for kind in ("labels", "texts"))
    assert np.abs(one - other).max() < 64  # of 255: letters stand on 64ths of a pixel
    assert np.abs(one - other).mean() < 0.01


def test_a_label_without_a_place_or_of_a_hidden_artist_is_not_drawn(tmp_path: Path) -> None:
    _, (axis,) = panels(1, 5, 4)
    labels = [Label(0.5, float("nan"), "nowhere", "black"), Label(0.5, 0.5, "here", "black")]
    Labels(axis, labels, 12)
    Labels(axis, [Label(0.2, 0.2, "hidden", "black")], 12).set_visible(False)
    with style():
        save(axis.get_figure(), tmp_path / "labels")
    text = (tmp_path / "labels.svg").read_text()
    assert ("here" in text, "nowhere" in text, "hidden" in text) == (True, False, False)


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forked, "cores", lambda: 2)


@pytest.mark.usefixtures("two_cores")
def test_work_on_all_cores_may_nest_and_says_when_a_process_was_killed() -> None:
    def twice(number: int) -> list[int]:
        return on_all_cores([Job(lambda each=each: each * number) for each in (1, 2)])

    assert on_all_cores([Job(partial(twice, number)) for number in (1, 2, 3, 4)]) == [[1, 2], [2, 4], [3, 6], [4, 8]]
    killed = Job(lambda: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(RequestError, match="was ended"):
        on_all_cores([killed, killed])


@pytest.mark.usefixtures("two_cores")
def test_a_free_core_takes_the_first_job_that_has_what_it_needs(tmp_path: Path) -> None:
    """One core works on the first job until the last one is begun; the other takes those that need nothing of it."""
    begun = [tmp_path / str(number) for number in range(5)]

    def first() -> bool:
        return within_a_minute(begun[4].exists) and begun[1].exists() and not begun[2].exists()

    def other(number: int) -> list[bool]:
        begun[number].touch()
        return [file.exists() for file in begun]

    jobs = [Job(first), *(Job(partial(other, number), (0,) if number in (2, 3) else ()) for number in (1, 2, 3, 4))]
    done = on_all_cores(jobs)
    assert done[0] is True
    assert done[1] == [False, True, False, False, False]
    assert done[4] == [False, True, False, False, True]


@pytest.mark.usefixtures("two_cores")
def test_the_first_job_that_fails_is_told_and_ends_the_others(tmp_path: Path) -> None:
    def failed() -> None:
        raise RequestError("a record cannot be read")

    later = [Job(partial((tmp_path / str(number)).touch)) for number in range(40)]
    with pytest.raises(RequestError, match="a record cannot be read"):
        on_all_cores([Job(failed), *later])
    assert len(list(tmp_path.iterdir())) < 40


@pytest.mark.usefixtures("two_cores")
def test_a_process_that_cannot_be_started_is_told_and_none_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    fork, before = os.fork, multiprocessing.active_children()

    def once() -> int:
        monkeypatch.setattr(os, "fork", never)
        return fork()

    def never() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", once)
    with pytest.raises(RequestError, match="no process can be started to render the board"):
        on_all_cores([Job(str), Job(str)])
    assert within_a_minute(lambda: multiprocessing.active_children() == before)


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    """Killed, so that it can end nothing itself: otherwise they would wait for ever."""
    script = f"""
import os, pathlib, time
from ferbench.benchmark.board import forked
from ferbench.benchmark.board.costs import cost
forked.cores = lambda: 2
def say(number):
    pathlib.Path({str(tmp_path)!r}, str(os.getpid())).touch()
    time.sleep(60)
forked.on_all_cores([forked.Job(lambda: say(0)), forked.Job(lambda: say(1))])
"""
    parent = subprocess.Popen([sys.executable, "-c", script])
    assert within_a_minute(lambda: len(list(tmp_path.iterdir())) == 2)
    parent.kill()
    parent.wait()
    assert within_a_minute(lambda: not any(Path("/proc", file.name).exists() for file in tmp_path.iterdir()))


def within_a_minute(true: Callable[[], bool]) -> bool:
    for _ in range(600):
        if true():
            return True
        time.sleep(0.1)
    return False
