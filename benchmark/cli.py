"""The verbs of `python -m benchmark`. Starts fast: what is heavy is imported by the verb that needs it.

Exit codes: 0 all well; 1 some cell failed, or the gate found a regression; 2 the request itself was wrong;
3 the gate had nothing it could compare; 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from ferbench.benchmark.commands.terminal import show_any_text
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.installation import PROGRAM

STOPPED = 130

app = typer.Typer(
    help="Benchmark leaderboard for facial expression recognition.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
list_app = typer.Typer(help="What there is.", no_args_is_help=True, rich_markup_mode=None)
data_app = typer.Typer(
    help="Write a twin, check a real copy, look at the faces.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(list_app, name="list")
app.add_typer(data_app, name="data")

Results = Annotated[Path, typer.Option("--results", help="Folder of the records.")]
OfficialWeights = Annotated[
    list[str] | None,
    typer.Option(help="Official weights as ARCHITECTURE=FILE, or imagenet to fetch them; may be repeated."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.callback()
def options(debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False) -> None:
    os.environ["FERBENCH_DEBUG"] = "1" if debug else os.environ.get("FERBENCH_DEBUG", "")


@app.command()
def run(
    suite: Annotated[str, typer.Option(help="Name of a suite, or a YAML file.")] = "default",
    architectures: Annotated[str, typer.Option(help="Only these, as A,B.")] = "",
    datasets: Annotated[str, typer.Option(help="Only these, as D,E.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seeds: Annotated[int, typer.Option(min=0, help="With how many seeds; 0: as the suite says.")] = 0,
    budget: Annotated[
        str, typer.Option(help="Training time of each cell, as 90s, 10m or 1h; else as the suite says.")
    ] = "",
    workers: Annotated[int, typer.Option(min=0, help="Cells side by side; 0: one a core, or one a GPU.")] = 0,
    results: Results = Path("results"),
    data: Annotated[Path | None, typer.Option(help="Folder with one folder a data set; else FERBENCH_DATA.")] = None,
    backend: Annotated[str, typer.Option(help="Where cells run: local, or ray.")] = "local",
    address: Annotated[str, typer.Option(help="With --backend ray: of the cluster, or auto; none: this machine.")] = "",
    weights: OfficialWeights = None,
    allow_leaks: Annotated[
        bool, typer.Option("--allow-leaks", help="Run where parts share pictures or people; every row says so.")
    ] = False,
    keep: Annotated[
        str, typer.Option(help="Trained weights to keep: best (of each data set), all or none; else as the suite says.")
    ] = "",
    transfer: Annotated[str, typer.Option(help="Train on each of these, as D,E,F, and test it on the others.")] = "",
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Say what it would take on --device, from earlier records; run nothing.")
    ] = False,
) -> None:
    """Run what is missing, then render the board."""
    from ferbench.benchmark.commands.run import RunRequest, run_suite

    asked = RunRequest(
        suite, results, _names(architectures), _names(datasets), seeds=seeds, budget=budget, device=device,
        workers=workers, data=data, weights=weights, allow_leaks=allow_leaks, keep=keep, transfer=_names(transfer),
        backend=backend, address=address, estimate=estimate,
    )  # fmt: skip
    raise typer.Exit(run_suite(asked))


@app.command()
def tune(
    architectures: Annotated[list[str] | None, typer.Argument(help="Rows; none: all that have a choice.")] = None,
    datasets: Annotated[str, typer.Option(help="On which a recipe is chosen, as D,E; each on its own.")] = "",
    trials: Annotated[int, typer.Option(help="Recipes to try of each row, beside its own.")] = 20,
    budget: Annotated[str, typer.Option(help="Training time of each trial, as 30s or 5m.")] = "30s",
    suite: Annotated[str, typer.Option(help="A suite or a file: how large a twin, which protocol.")] = "default",
    size: Annotated[str, typer.Option(help="tiny, small or full; else as the suite says.")] = "",
    seed: Annotated[int, typer.Option(help="Another one searches otherwise.")] = 0,
    study: Annotated[Path, typer.Option(help="Folder of the studies; what is there goes on.")] = Path("results/tuning"),
    workers: Annotated[int, typer.Option(min=0, help="Trials side by side; 0: one a core, or one a GPU.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    data: Annotated[Path | None, typer.Option(help="Folder with one folder a data set; else FERBENCH_DATA.")] = None,
    together: Annotated[bool, typer.Option("--together", help="Also one recipe a row for all the data sets.")] = False,
    backend: Annotated[str, typer.Option(help="Where trials run: local.")] = "local",
    address: Annotated[str, typer.Option(help="None: a search runs on this machine.", hidden=True)] = "",
) -> None:
    """Search for recipes, the same for every row. On validation parts alone: the test part stays closed."""
    from ferbench.benchmark.commands.tune import TuneRequest
    from ferbench.benchmark.commands.tune import tune as search

    asked = TuneRequest(
        list(architectures or []), _names(datasets) or [], trials, budget, suite=suite, size=size, seed=seed,
        study=study, workers=workers, device=device, data=data, together=together, backend=backend,
        address=address,
    )  # fmt: skip
    raise typer.Exit(search(asked))


@app.command("tune-report")
def tune_report(
    folders: Annotated[list[Path], typer.Argument(help="Folders of studies, as `tune --study` wrote them.")],
    out: Annotated[Path, typer.Option(help="The page, a .md file; its plot lies beside it.")] = Path(
        "results/tuning/report.md"
    ),
    boards: Annotated[
        str, typer.Option(help="Suites whose boards to compare, as A,B,C: that of the recipes by hand first.")
    ] = "",
    results: Results = Path("results"),
) -> None:
    """Say what tuning was worth. Expected best scores over the number of trials, and how ranks change."""
    from ferbench.benchmark.commands.tune_report import write_report

    for file in write_report(folders, out, _names(boards) or [], results):
        print(f"{file} written")


@app.command()
def leaderboard(
    results: Results = Path("results"),
    out: Annotated[
        Path | None, typer.Option(help="The markdown file to write; leaderboard.md beside the records when not named.")
    ] = None,
) -> None:
    """Render the board from records: same records, same bytes."""
    from ferbench.benchmark.commands.leaderboard import render_board

    print(f"{render_board(results, out).out} rendered")


@app.command()
def site(
    results: Results = Path("results"),
    out: Annotated[Path, typer.Option(help="Folder to write; an earlier site there is replaced.")] = Path(
        "results/site"
    ),
) -> None:
    """Write the board as web pages that open from disk. Tables to sort and filter, charts, a page for each cell."""
    from ferbench.benchmark.commands.site import site as write

    print(write(results, out))


@app.command()
def show(
    cell: Annotated[str, typer.Argument(help="A cell's folder, or [SUITE/]DATASET/ARCHITECTURE[/seedS-foldF].")],
    results: Results = Path("results"),
) -> None:
    """Show a cell, or all cells of an architecture on a data set."""
    from ferbench.benchmark.commands.leaderboard import folder_of
    from ferbench.benchmark.commands.show import show as show_cell

    print(show_cell(folder_of(results), cell))


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="A cell's folder, or [SUITE/]DATASET/ARCHITECTURE[/seedS-foldF].")],
    b: Annotated[str, typer.Argument(help="The other one.")],
    results: Results = Path("results"),
) -> None:
    """Compare two cells of the board. What differs, by how much the second is better, and where they disagree."""
    from ferbench.benchmark.commands.compare import compare_cells
    from ferbench.benchmark.commands.leaderboard import folder_of

    print(compare_cells(folder_of(results), a, b))


@app.command()
def export(
    kind: Annotated[
        str, typer.Option("--format", help="csv, json, latex, cite, every-eval-ever or huggingface.")
    ] = "csv",
    out: Annotated[
        Path | None, typer.Option(help="The file (of the last two the folder) to write; printed when not named.")
    ] = None,
    results: Results = Path("results"),
) -> None:
    """The board as CSV, JSON, a LaTeX table, or a line to cite. Also for Every Eval Ever and the Hugging Face Hub."""
    from ferbench.benchmark.commands.export import export as export_board

    print(export_board(results, kind, out))


@app.command()
def check(
    base: Annotated[str, typer.Option(help="A git ref to measure times against, or a folder of records.")] = "",
    suite: Annotated[str, typer.Option(help="Name of the gate's suite, or a YAML file.")] = "gate",
    only: Annotated[str, typer.Option(help="accuracy (with cost) or latency; both when not named.")] = "",
    architectures: Annotated[str, typer.Option(help="Only these, as A,B.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Cells side by side; 0: one a core, or one a GPU.")] = 0,
    data: Annotated[Path | None, typer.Option(help="Folder with one folder a data set; else FERBENCH_DATA.")] = None,
    baseline: Annotated[Path | None, typer.Option(help="Folder of the baseline; the committed one.")] = None,
    work: Annotated[Path | None, typer.Option(help="Folder of reports and raw samples: results/check.")] = None,
    results: Annotated[Path, typer.Option(help="With a folder as --base: the records to compare.")] = Path("results"),
) -> None:
    """Regression gate: say whether anything got worse. Accuracy and cost against the committed baseline, times against
    a git ref."""
    from ferbench.benchmark.commands.check import BASELINE, WORK, Request, check_folders, check_gate, refuse_saved_times

    if only not in ("", "accuracy", "latency"):
        raise RequestError(f"--only {only}: use accuracy or latency")
    if base and Path(base).is_dir():
        raise typer.Exit(check_folders(results, Path(base)))
    if base and Path(base).is_file():
        raise typer.Exit(refuse_saved_times(Path(base)))
    names = tuple(_names(architectures) or ())
    request = Request(
        base, suite, only, names, device, workers, data, work or WORK, baseline or BASELINE,  # type: ignore[arg-type]
    )  # fmt: skip
    raise typer.Exit(check_gate(request))


@app.command()
def baseline(
    suite: Annotated[str, typer.Option(help="Name of the gate's suite, or a YAML file.")] = "gate",
    seeds: Annotated[int, typer.Option(min=2, help="With how many seeds each cell is run.")] = 3,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Cells side by side; 0: one a core.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder of the baseline; the committed one.")] = None,
    work: Annotated[Path | None, typer.Option(help="Folder of the records: results/check.")] = None,
) -> None:
    """Accept the present state as what `check` compares with. Runs the gate's cells several times over and keeps them,
    with their spread."""
    from ferbench.benchmark.commands.baseline import Request, make_baseline
    from ferbench.benchmark.commands.check import BASELINE, WORK

    raise typer.Exit(make_baseline(Request(suite, seeds, device, workers, None, work or WORK, out or BASELINE)))


@app.command()
def publish(
    suite: Annotated[str, typer.Option(help="Name of the suite.")] = "default", results: Results = Path("results")
) -> None:
    """Publish the local records of a suite. They replace its published ones, and the committed board is rendered."""
    from ferbench.benchmark.commands.publish import publish_records

    print(f"{publish_records(results, suite)} records published: commit results/published and leaderboard.md")


@app.command()
def profile(
    names: Annotated[list[str] | None, typer.Argument(help="Architectures; all when none is named.")] = None,
    size: Annotated[str, typer.Option(help="full, small or tiny.")] = "tiny",
    counts: Annotated[
        bool,
        typer.Option("--counts", help="Parameters and multiply-adds alone: no weights are made, nothing is timed."),
    ] = False,
    utilisation: Annotated[
        bool,
        typer.Option("--utilisation", help="How much of the device's arithmetic inference and training use."),
    ] = False,
    compiled: Annotated[bool, typer.Option("--compile", help="With --utilisation: by torch.compile, too.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: AsJson = False,
    weights: OfficialWeights = None,
) -> None:
    """Parameters, multiply-adds, throughput, latency and memory."""
    from ferbench.benchmark.commands.profile import profile_rows, told_on_standard_error, utilisation_rows

    if utilisation and (counts or weights):
        raise RequestError("--utilisation measures the models as they are built: leave --counts and --weights out")
    if compiled and not utilisation:
        raise RequestError("--compile belongs to --utilisation: name both")
    with told_on_standard_error() as report:
        if utilisation:
            _print_rows(list(utilisation_rows(names or [], size, device, compiled, report)), as_json)
            return
        rows = profile_rows(names or [], size, device, weights, counts, report)
    _print_rows(rows, as_json)


@app.command()
def weights(
    cell: Annotated[str, typer.Argument(help="A cell's folder, [SUITE/]DATASET/ARCHITECTURE, or a file of weights.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    kind: Annotated[str, typer.Option("--format", help="safetensors or onnx.")] = "safetensors",
    batch: Annotated[int, typer.Option(min=0, max=64, help="Of an ONNX file: the only batch it takes; 0: any.")] = 0,
    results: Results = Path("results"),
) -> None:
    """Hand out the trained model of a cell. As ONNX it is compared with torch first."""
    from ferbench.benchmark.commands.weights import hand_out

    print(hand_out(results, cell, out, kind, batch))


@app.command()
def faces(
    folder: Annotated[Path, typer.Argument(help="Folder of pictures and videos.")],
    out: Annotated[Path, typer.Option(help="A new or an empty folder for the faces and their table.")],
    size: Annotated[int, typer.Option(min=32, max=1024, help="Pixels of a side.")] = 224,
    rate: Annotated[float, typer.Option(min=0.1, max=60, help="Frames of a video a second.")] = 8,
) -> None:
    """Find, follow and cut out faces. The main one of each picture and video, in the layout of the data set folder."""
    from ferbench.benchmark.commands.faces import cut_faces

    cut_faces(folder, out, size, rate)


@app.command()
def explain(
    cell: Annotated[
        str,
        typer.Argument(help="A cell with kept weights, or a file of weights; with --measure also all rows of a suite."),
    ],
    inputs: Annotated[list[Path] | None, typer.Argument(help="Pictures, videos, and folders of them.")] = None,
    out: Annotated[Path, typer.Option(help="The sheet, a .png file.")] = Path("explained.png"),
    faces: Annotated[str, typer.Option(help="found, or whole: each picture is a face.")] = "found",
    rate: Annotated[float, typer.Option(min=0.1, max=60, help="Frames of a video a second.")] = 8,
    measure: Annotated[
        bool, typer.Option("--measure", help="Of cells on twins: how much of it lies where the faces move.")
    ] = False,
    results: Results = Path("results"),
) -> None:
    """What of a face counts for an answer, as a sheet of pictures. On twins, how well that hits what moves."""
    from ferbench.benchmark.commands.explain import explain as explain_inputs
    from ferbench.benchmark.commands.explain import measure as measure_cell

    if not measure and not inputs:
        raise RequestError("name pictures or videos to explain, or --measure for a cell on a twin")
    if inputs:
        explain_inputs(cell, inputs, out, faces, rate, results)
    if measure:
        measure_cell(cell, results)


@app.command()
def predict(
    cell: Annotated[str, typer.Argument(help="A cell with kept weights, or a file of weights.")],
    inputs: Annotated[list[Path], typer.Argument(help="Pictures, videos, and folders of them.")],
    out: Annotated[Path | None, typer.Option(help="A .csv or .parquet file; none: printed as CSV.")] = None,
    faces: Annotated[str, typer.Option(help="found, or whole: each picture is a face.")] = "found",
    rate: Annotated[float, typer.Option(min=0.1, max=60, help="Frames of a video a second.")] = 8,
    window: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds that a clip shows around a time.")] = 2,
    plot: Annotated[Path | None, typer.Option(help="Draw the classes over time: a .png or .svg file.")] = None,
    overlay: Annotated[
        Path | None, typer.Option(help="A folder for the inputs with boxes and classes on them.")
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Expressions in one's own pictures and videos. A row a face and time with calibrated probabilities."""
    from ferbench.benchmark.commands.predict import Request
    from ferbench.benchmark.commands.predict import predict as predict_inputs

    predict_inputs(Request(cell, tuple(inputs), out, faces, rate, window, plot, overlay, results))


@app.command()
def pretrain(
    pretext: Annotated[str, typer.Option(help="geometry or identity; both when none is named.")] = "",
    only: Annotated[str, typer.Option(help="One file of the recipe.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder of the weights; the shipped ones when not named.")] = None,
    workers: Annotated[int, typer.Option(help="Backbones side by side.", min=1)] = 2,
) -> None:
    """Make the tiny starting weights again."""
    from ferbench.benchmark.pretexts.pretraining import pretrain_all

    pretrain_all(pretext, only, out, workers)


@app.command()
def probe(
    folder: Annotated[Path | None, typer.Argument(help="Photographs of one's own; a twin when not named.")] = None,
    dataset: Annotated[str, typer.Option(help="Reader of the folder.")] = "affectnet_small",
    seeds: Annotated[int, typer.Option(help="How many seeds.", min=1)] = 3,
    as_json: AsJson = False,
) -> None:
    """Measure how real the renderer is. Frozen pretext features and a linear head on one's own photographs."""
    from ferbench.benchmark.pretexts.probing import probe_rows

    _print_rows(probe_rows(folder, dataset, seeds), as_json)


@list_app.command("architectures")
def list_architectures(as_json: AsJson = False) -> None:
    """Every architecture, then every ensemble, and its source."""
    from ferbench.benchmark.planning.registry import architectures as registry
    from ferbench.benchmark.planning.registry import ensembles

    fields = ("title", "view", "source")
    rows: list[dict[str, Any]] = [
        {"name": name, **{field: registry.stated(name, field) for field in fields}} for name in registry.names()
    ]
    rows += [
        {"name": fused.name, "title": fused.title, "view": "-", "source": fused.source}
        for fused in map(ensembles.get, ensembles.names())
    ]
    _print_rows(rows, as_json)


@list_app.command("datasets")
def list_datasets(as_json: AsJson = False) -> None:
    """Every data set with its classes and where it comes from."""
    from ferbench.benchmark.planning.registry import data_sets

    entries = [data_sets.get(name) for name in data_sets.names()]
    rows = [
        {"name": e.name, "title": e.title, "classes": len(e.classes), "folds": e.protocol.folds, "source": e.source}
        for e in entries
    ]
    _print_rows(rows, as_json)


@list_app.command("suites")
def list_suites(as_json: AsJson = False) -> None:
    """Every suite with the number of its cells."""
    from ferbench.benchmark.planning.suite import cells_of, load_suite, suite_names

    rows = []
    for name in suite_names():
        suite = load_suite(name)[1]
        rows.append({"name": name, "cells": len(cells_of(name, suite)), "description": suite.description})
    _print_rows(rows, as_json)


@list_app.command("cells")
def list_cells(
    suite: Annotated[str, typer.Option(help="A suite or a file.")] = "default", as_json: AsJson = False
) -> None:
    """Every cell of a suite."""
    from ferbench.benchmark.planning.suite import cells_of, load_suite

    rows = [
        {"dataset": c.dataset, "architecture": c.architecture, "size": c.size, "seed": c.seed, "fold": c.fold}
        for c in cells_of(*load_suite(suite))
    ]
    _print_rows(rows, as_json)


@list_app.command("entries")
def list_entries(
    results: Annotated[Path, typer.Option(help="Folder of records.")] = Path("results"), as_json: AsJson = False
) -> None:
    """Every entry with its data set and its score."""
    from ferbench.benchmark.commands.score import entries_in

    _print_rows(entries_in(results), as_json)


@app.command()
def template(
    dataset: Annotated[str, typer.Argument(help="Data set.")],
    out: Annotated[Path | None, typer.Option(help="A .csv or .parquet file; none: printed as CSV.")] = None,
    suite: Annotated[
        str, typer.Option(help="A suite or a file: it says which folds and how large a twin.")
    ] = "default",
    data: Annotated[Path | None, typer.Option(help="Folder with one folder a data set (or FERBENCH_DATA).")] = None,
    classes: Annotated[str, typer.Option(help="Only the samples of these classes, as A,B.")] = "",
    hash_ids: Annotated[
        bool, typer.Option("--hash-ids", help="Hashes instead of names, where a licence does not let names out.")
    ] = False,
) -> None:
    """Write what a test part asks. Samples, files, frames and class names to be filled in; no labels."""
    from ferbench.benchmark.commands.template import write_template

    write_template(dataset, suite, data, out, _names(classes), hash_ids)


@app.command()
def score(
    file: Annotated[Path, typer.Argument(help="Answers: CSV, .parquet or .jsonl, one column a class name.")],
    dataset: Annotated[str, typer.Option(help="The data set that they answer.")] = "",
    card: Annotated[Path | None, typer.Option(help="card.yaml: whose answers they are, and what was seen.")] = None,
    suite: Annotated[str, typer.Option(help="The suite that the template was made with.")] = "default",
    data: Annotated[Path | None, typer.Option(help="Folder with one folder a data set (or FERBENCH_DATA).")] = None,
    results: Annotated[Path, typer.Option(help="Where the entry is kept.")] = Path("results"),
    classes: Annotated[str, typer.Option(help="Only the samples of these classes, as A,B.")] = "",
    format_only: Annotated[
        bool, typer.Option("--format-only", help="Check a file, or a folder of submissions, without the data.")
    ] = False,
) -> None:
    """Check a file of predictions against a test part. It is scored as trained rows are, and kept as an entry."""
    from ferbench.benchmark.commands.score import check_format, check_submissions, score_file

    if format_only and file.is_dir():
        check_submissions(file)
        return
    if not dataset:
        raise RequestError("name the data set: --dataset NAME")
    if format_only:
        check_format(file, dataset, card)
        return
    score_file(file, dataset, card, suite, data, results, _names(classes))


@app.command()
def evaluate(
    predictor: Annotated[str, typer.Argument(help="ARCHITECTURE=FILE, or an .onnx file.")] = "",
    command: Annotated[
        str, typer.Option(help="A command with {template} and {out} (and {data}, the pictures) instead of a file.")
    ] = "",
    datasets: Annotated[str, typer.Option(help="Test parts to answer, as D,E.")] = "",
    card: Annotated[
        Path | None, typer.Option(help="card.yaml: whose weights they are, what they take and what was seen.")
    ] = None,
    suite: Annotated[str, typer.Option(help="A suite or a file: it says which folds.")] = "default",
    size: Annotated[str, typer.Option(help="Of the architecture: full, small or tiny.")] = "full",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    data: Annotated[Path | None, typer.Option(help="Folder with one folder a data set (or FERBENCH_DATA).")] = None,
    results: Annotated[Path, typer.Option(help="Where the entries are kept.")] = Path("results"),
    classes: Annotated[str, typer.Option(help="Only the samples of these classes, as A,B.")] = "",
    time_limit: Annotated[float, typer.Option(min=1, help="Seconds that a command may take.")] = 3600,
) -> None:
    """Run foreign weights on a test part: nothing is trained. Released checkpoints, ONNX files, or any command."""
    from ferbench.benchmark.commands.evaluate import Request, evaluate_predictor

    names = tuple(_names(datasets) or ())
    chosen = tuple(_names(classes) or ()) or None
    evaluate_predictor(Request(predictor, command, names, card, suite, size, device, data, results, chosen, time_limit))


@data_app.command("twin")
def data_twin(
    name: Annotated[str, typer.Argument(help="Data set.")],
    folder: Annotated[Path, typer.Argument(help="Where to write it: a new or an empty folder.")],
    scale: Annotated[float, typer.Option(help="Share of the original counts, up to 1.")] = 1.0,
    test_scale: Annotated[float | None, typer.Option(help="Of the test part; as the rest when not named.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed shows other people.")] = 0,
    layout: Annotated[str, typer.Option(help="One of the official layouts; the first when not named.")] = "",
    protocol: Annotated[list[str] | None, typer.Option(help="Protocol option as KEY=VALUE; may be repeated.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one a core.")] = 0,
) -> None:
    """Write the synthetic stand-in of a data set in its official layout."""
    from ferbench.benchmark.commands.data import write_twin

    write_twin(name, folder, scale, test_scale, seed, layout, protocol or [], workers)


@data_app.command("verify")
def data_verify(
    name: Annotated[str, typer.Argument(help="Data set.")],
    folder: Annotated[Path, typer.Argument(help="The copy to check.")],
    protocol: Annotated[list[str] | None, typer.Option(help="Another protocol, KEY=VALUE; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check a copy: counts, missing frames, duplicates, subject overlap. Exit code 0 only when it can be used."""
    from ferbench.benchmark.commands.data import verify

    report = verify(name, folder, protocol)
    print(json.dumps(report.as_dict(), indent=1)) if as_json else print(report)
    raise typer.Exit(0 if report.usable else 2)


@data_app.command("sheet")
def data_sheet(
    file: Annotated[Path, typer.Argument(help="The PNG to write.")] = Path("docs/contact-sheet.png"),
    seed: Annotated[int, typer.Option(help="Another seed shows other people.")] = 0,
) -> None:
    """Draw the contact sheet of the face renderer. Identities by expressions, and one sequence over time."""
    from ferbench.datasets.synthetic.contact_sheet import contact_sheet

    contact_sheet(file, seed=seed)
    print(f"{file} drawn")


def _names(text: str) -> list[str] | None:
    return [name.strip() for name in text.split(",") if name.strip()] or None


def _print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    from tabulate import tabulate

    print(tabulate(rows, headers="keys", floatfmt=".3f"))


def main() -> NoReturn:
    """Runs the command line; an error for people is one line on standard error."""
    show_any_text()
    try:
        code = app(standalone_mode=False)
        if code == STOPPED:  # typer turns Ctrl-C into this code
            raise KeyboardInterrupt
    except RequestError as error:
        code = _fail(str(error), 2)
    except KeyboardInterrupt:
        code = _fail("stopped: finished cells are kept; the same command goes on from here", STOPPED)
    except Exception as error:
        code = _told(error)
    sys.exit(code if isinstance(code, int) else 0)


def _told(error: Exception) -> int:
    """Exit code of an error that is for people; any other goes on with its traceback."""
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # a usage error of the command line
        message = error.format_message()
        if message.startswith("Usage: "):  # no verb: the whole help
            print(message)
            return 2
        return _fail(f"{message} (see {PROGRAM} --help)", 2)
    from ferbench.datasets.corpus import DataError

    if isinstance(error, DataError):
        return _fail(str(error), 2)
    raise error


def _fail(line: str, code: int) -> int:
    if os.environ.get("FERBENCH_DEBUG"):
        import traceback

        traceback.print_exc()
    print(f"error: {line}" if code != STOPPED else line, file=sys.stderr)
    return code
