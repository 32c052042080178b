"""`evaluate`: foreign weights, or a command, on test parts; nothing is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ferbench.benchmark.commands.run import choose_device
from ferbench.benchmark.commands.score import keep, name_of
from ferbench.benchmark.commands.terminal import say_aside
from ferbench.benchmark.entries.answers import Answers
from ferbench.benchmark.entries.cards import Card, read_card, unknown_card
from ferbench.benchmark.entries.command import Command, answers_by
from ferbench.benchmark.entries.questions import Question, question_of
from ferbench.benchmark.entries.scoring import RunHere
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import data_folder
from ferbench.benchmark.planning.registry import architectures

if TYPE_CHECKING:
    import torch

    from ferbench.benchmark.entries.predictors import Predictor


@dataclass(frozen=True)
class Request:
    """What is asked of the verb."""

    predictor: str
    """`ARCHITECTURE=FILE` or an ONNX file; empty with a command."""
    command: str
    datasets: tuple[str, ...]
    card: Path | None
    suite: str
    size: str
    device: str
    data: Path | None
    results: Path
    classes: tuple[str, ...] | None
    seconds: float


def evaluate_predictor(request: Request) -> None:
    """Answers the test part of each data set, keeps an entry of each, and prints what they score.

    Raises:
        RequestError: the request, the card, the file or the command is wrong.
        DivergedError: the weights answer what is no number.
    """
    if bool(request.predictor) == bool(request.command):
        raise RequestError("name what answers: ARCHITECTURE=FILE, an .onnx file, or --command '... {template} {out}'")
    if not request.datasets:
        raise RequestError("name the test parts: --datasets D,E")
    command = Command.parse(request.command) if request.command else None
    cards = {name: read_card(request.card, name) if request.card else None for name in request.datasets}
    if command is None:
        _refuse_nothing(request.predictor)
    folder = data_folder(request.data)
    answer = _by_command(command, request.seconds) if command else _by_weights(request, cards[request.datasets[0]])
    for name in request.datasets:
        question = question_of(name, request.suite, folder, say_aside, request.classes)
        card = cards[name] or unknown_card(name_of(_called(request, command)), name)
        answers, run, digest = answer(question)
        keep(request.results, question, answers, card, digest, run)


Answer = Callable[[Question], tuple[Answers, RunHere, str]]
"""Answers, how they were made, and the digest of what made them."""


def _by_command(command: Command, seconds: float) -> Answer:
    return lambda question: answers_by(command, question, seconds)


def _by_weights(request: Request, card: Card | None) -> Answer:
    """Reads the weights once, for whichever questions."""
    from ferbench.benchmark.entries.predictors import evaluate

    device = _device(request.device)
    predictor = _predictor(request, card, device)
    return lambda question: (*evaluate(predictor, question, device, say_aside), predictor.digest)


def _refuse_nothing(predictor: str) -> None:
    """Raises RequestError where the predictor is no file that is there."""
    name, equals, file = predictor.partition("=")
    place = Path(file if equals else predictor)
    if equals:
        architectures.get(name)
    elif place.suffix != ".onnx":
        raise RequestError(f"{predictor}: name ARCHITECTURE=FILE, or a file that ends in .onnx")
    if not place.is_file():
        raise RequestError(f"{place}: no such file of weights")


def _called(request: Request, command: Command | None) -> str:
    if command is not None:
        return next((Path(w).stem for w in command.words if w.endswith(".py")), Path(command.words[0]).stem)
    name, equals, file = request.predictor.partition("=")
    return f"{name}-{Path(file).stem}" if equals else Path(request.predictor).stem


def _device(asked: str) -> torch.device:
    import torch

    from ferbench.benchmark.learning.training import make_deterministic

    make_deterministic()
    return torch.device(choose_device(asked))


def _predictor(request: Request, card: Card | None, device: torch.device) -> Predictor:
    name, equals, file = request.predictor.partition("=")
    if equals:
        from ferbench.benchmark.entries.checkpoint import checkpoint_predictor

        return checkpoint_predictor(name, Path(file), request.size, card, device)
    from ferbench.benchmark.entries.onnx_file import onnx_predictor

    return onnx_predictor(Path(request.predictor), card)
