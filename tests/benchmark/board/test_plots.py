"""Plots that are hard to draw well: nothing is cut off, nothing is lost, nothing is named that is not there."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image

from ferbench.benchmark.board import forked
from ferbench.benchmark.board.figures import Label, Labels, lines, panels, save, style
from ferbench.benchmark.board.forked import Job, on_all_cores
from ferbench.benchmark.board.plot_costs import latency_front, macs_front, throughput
from ferbench.benchmark.board.plot_training import curves
from ferbench.benchmark.board.sections import Section, sections
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.record import read_records
from tests.benchmark.written_cells import write_cell


def boxes(figure: Figure) -> list[Bbox]:
    """What is drawn of each panel, its labels and titles included, and of the legend, in pixels."""
    FigureCanvasAgg(figure).draw()
    found = [axis.get_tightbbox() for axis in figure.axes] + [legend.get_window_extent() for legend in figure.legends]
    return [box for box in found if box is not None]


def section_of(results: Path) -> Section:
    return sections(read_records(results))[0]


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
