"""Foreign weights and commands on a test part: what they answer, what they cost, and what is refused."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from torch import nn

from ferbench.benchmark.commands.evaluate import Request, evaluate_predictor
from ferbench.benchmark.entries.cards import Card, ModelInput, unknown_card
from ferbench.benchmark.entries.command import Command, answers_by
from ferbench.benchmark.entries.onnx_file import OnnxModel, onnx_predictor
from ferbench.benchmark.entries.predictors import Predictor, evaluate
from ferbench.benchmark.entries.questions import Question, question_of
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.registry import architectures
from ferbench.benchmark.records.record import Record, read_records

CLASSES = ("Neutral", "Happiness", "Sadness", "Surprise", "Fear", "Disgust", "Anger", "Contempt")
SIDE = 16


@pytest.fixture(scope="module")
def question(twins: Path) -> Question:
    return question_of("affectnet_small", "smoke", twins, lambda text: None)


def request(twins: Path, results: Path, predictor: str = "", command: str = "", **changes: Any) -> Request:
    asked = {
        "datasets": ("affectnet_small",), "card": None, "suite": "smoke", "size": "tiny", "device": "cpu",
        "data": twins, "results": results, "classes": None, "seconds": 60.0, **changes,
    }  # fmt: skip
    return Request(predictor, command, **asked)


def only_record(results: Path) -> Record:
    (record,) = read_records(results)
    return record


# Models


class Brightness(nn.Module):
    """Answers from the brightness of a picture alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        level = x.float().mean(dim=(1, 2, 3))
        return torch.stack([level * (c + 1) for c in range(8)], dim=1)


class BatchNormed(Brightness):
    """What published code does that forgets `eval()`: the batch decides."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = super().forward(x)
        return (scores - scores.mean(0)) / (scores.std(0, unbiased=False) + 1e-6) * torch.arange(8)


class Ordered(Brightness):
    """Answers to the place in the batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * 0 + torch.arange(len(x))[:, None] * torch.arange(8)


class Random(Brightness):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + torch.randn(len(x), 8) * 5


def predictor(model: nn.Module, **changes: Any) -> Predictor:
    plain: dict[str, Any] = {"model": model, "file": Path("weights"), "classes": None, "outputs": 8, "digest": "0"}
    plain |= {"view": "image", "frames": 1, "image_size": SIDE}
    return Predictor(**{**plain, **changes})


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Brightness(), []),
        (BatchNormed(), ["a sample alone gets another answer than in a batch"]),
        (Ordered(), ["a sample alone gets another answer", "the order of the samples changes the answers"]),
        (Random(), ["the same batch gets other answers when it is asked again"]),
    ],
)
def test_answers_that_depend_on_more_than_their_sample_are_told(
    question: Question, model: nn.Module, said: list[str]
) -> None:
    torch.manual_seed(0)
    _, run = evaluate(predictor(model), question, torch.device("cpu"), lambda text: None)
    faults = [note for note in run.notes if note.startswith("FAULT")]
    assert len(faults) == len(said)
    for fault, words in zip(faults, said, strict=True):
        assert words in fault


def test_answers_follow_the_samples_and_cost_is_measured(question: Question) -> None:
    answers, run = evaluate(predictor(Brightness()), question, torch.device("cpu"), lambda text: None)
    samples = np.concatenate(list(question.samples.values()))
    from ferbench.benchmark.planning.data import open_data
    from ferbench.datasets.augmentation import normalise

    _, store = open_data(question.location, SIDE, lambda text: None)
    pictures = normalise(torch.from_numpy(store.read(question.corpus.stop[samples][:, None] - 1))).squeeze(1)
    expected = torch.softmax(Brightness()(pictures), dim=1).numpy()
    assert np.allclose(answers.scores, expected, atol=1e-6)
    assert run.cost is not None
    assert run.cost["latency_ms_p50"] > 0
    assert run.environment["device_type"] == "cpu"


def test_classes_of_a_predictor_are_matched_by_name(question: Question) -> None:
    turned = predictor(Brightness(), classes=(*CLASSES[::-1],))
    mine, _ = evaluate(turned, question, torch.device("cpu"), lambda text: None)
    plain, _ = evaluate(predictor(Brightness()), question, torch.device("cpu"), lambda text: None)
    assert np.allclose(mine.scores, plain.scores[:, ::-1])
    with pytest.raises(RequestError, match="there is no column for Contempt"):
        evaluate(predictor(nn.Sequential(Brightness(), Columns(7)), classes=CLASSES[:-1]), question,
                 torch.device("cpu"), lambda text: None)  # fmt: skip


class Columns(nn.Module):
    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, : self.count]


# Released checkpoints


def tiny(name: str, classes: int) -> nn.Module:
    torch.manual_seed(3)
    return architectures.get(name).sizes["tiny"].build(classes).eval()


def test_a_checkpoint_is_evaluated_with_its_head(tmp_path: Path, twins: Path, question: Question) -> None:
    model = tiny("cnn", 8)
    save_file(model.state_dict(), tmp_path / "cnn.safetensors")
    evaluate_predictor(request(twins, tmp_path / "r", f"cnn={tmp_path / 'cnn.safetensors'}"))
    record = only_record(tmp_path / "r")
    assert (record.data["tier"], record.data["kind"]) == ("run here", "entry")
    assert record.data["cost"]["params"] == sum(p.numel() for p in model.parameters())
    assert record.data["cost"]["macs"] > 0
    notes = "; ".join(record.data["notes"])
    assert "weights in the names of this project (file sha256 " in notes
    assert "no card says the order of its classes" in notes
    assert "FAULT" not in notes


def test_a_checkpoint_of_other_classes_needs_a_card(tmp_path: Path, twins: Path) -> None:
    save_file(tiny("cnn", 5).state_dict(), tmp_path / "five.safetensors")
    with pytest.raises(RequestError, match="it has 5 classes, the data set 8: say with --card which they are"):
        evaluate_predictor(request(twins, tmp_path / "r", f"cnn={tmp_path / 'five.safetensors'}"))


def test_five_classes_are_scored_on_a_view_of_five(tmp_path: Path, twins: Path) -> None:
    save_file(tiny("cnn", 5).state_dict(), tmp_path / "five.safetensors")
    five = ("Neutral", "Happiness", "Sadness", "Surprise", "Anger")
    asked = request(twins, tmp_path / "r", f"cnn={tmp_path / 'five.safetensors'}", classes=five)
    evaluate_predictor(asked)
    record = only_record(tmp_path / "r")
    assert record.data["classes"] == list(five)
    assert record.data["protocol"]["classes"] == "Neutral Happiness Sadness Surprise Anger"
    whole = question_of("affectnet_small", "smoke", twins, lambda text: None)
    inside = np.isin(whole.corpus.label[whole.parts[0].test], [0, 1, 2, 3, 6])
    assert len(record.predictions()) == inside.sum() < len(inside)


@pytest.mark.parametrize(
    ("only", "said"), [(("Joy", "Grumpy"), "'Grumpy' is no class"), (("Joy",), "name two classes")]
)
def test_a_view_of_unknown_or_too_few_classes_is_refused(twins: Path, only: tuple[str, ...], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        question_of("affectnet_small", "smoke", twins, lambda text: None, only)


@pytest.mark.parametrize(
    ("predictor", "said"),
    [
        ("", "name what answers"),
        ("cnn=nowhere.pt", "nowhere.pt: no such file of weights"),
        ("cnm=nowhere.pt", "unknown architecture 'cnm'"),
        ("weights.bin", "name ARCHITECTURE=FILE, or a file that ends in .onnx"),
        ("nowhere.onnx", "nowhere.onnx: no such file of weights"),
    ],
)
def test_a_predictor_that_is_none_is_refused(tmp_path: Path, twins: Path, predictor: str, said: str) -> None:
    with pytest.raises(RequestError, match=re.escape(said)):
        evaluate_predictor(request(twins, tmp_path, predictor))


def test_a_request_without_a_test_part_is_refused(tmp_path: Path, twins: Path) -> None:
    with pytest.raises(RequestError, match="name the test parts: --datasets"):
        evaluate_predictor(request(twins, tmp_path, "a.onnx", datasets=()))


# ONNX files


def written(
    file: Path,
    batch: int | str = "batch",
    channels: int = 3,
    side: int = SIDE,
    outputs: int = 1,
    domain: str = "",
    layout: str = "NCHW",
    external: str = "",
) -> Path:
    """A file whose logits are the means of red, green and blue, and five zeros."""
    axes = [2, 3] if layout == "NCHW" else [1, 2]
    shape = [batch, channels, side, side] if layout == "NCHW" else [batch, side, side, channels]
    weight = np.zeros((channels, 8), dtype=np.float32)
    weight[np.arange(channels), np.arange(channels)] = 1
    tensor = numpy_helper.from_array(weight, "w")
    if external:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", external), ("offset", "0"), ("length", str(weight.nbytes))):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul" if not domain else "Mine", ["mean", "w"], ["y"], domain=domain),
        *(helper.make_node("Identity", ["y"], [f"y{i}"]) for i in range(1, outputs)),
    ]
    graph = helper.make_graph(
        nodes, "means",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [batch, 8])
         for n in ("y", *(f"y{i}" for i in range(1, outputs)))],
        [numpy_helper.from_array(np.array(axes, dtype=np.int64), "axes"), tensor],
    )  # fmt: skip
    imports = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    file.write_bytes(helper.make_model(graph, opset_imports=imports, ir_version=10).SerializeToString())
    return file


def carded(**model: Any) -> Card:
    plain = {"classes": list(CLASSES), "size": SIDE, "mean": [0.0] * 3, "deviation": [1.0] * 3, **model}
    return unknown_card("x", "affectnet_small").model_copy(update={"model": ModelInput.model_validate(plain)})


PICTURES = torch.randint(0, 256, (5, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("file", "model", "expected"),
    [
        ({}, {}, lambda p: p / 255),
        ({}, {"colour": "BGR"}, lambda p: p.flip(1) / 255),
        ({}, {"range": 255, "mean": [10.0, 20.0, 30.0], "deviation": [2.0, 4.0, 8.0]},
         lambda p: (p - torch.tensor([10.0, 20, 30]).view(3, 1, 1)) / torch.tensor([2.0, 4, 8]).view(3, 1, 1)),
        ({"layout": "NHWC"}, {"layout": "NHWC"}, lambda p: p / 255),
        ({"batch": 1}, {}, lambda p: p / 255),
        ({"batch": 3}, {}, lambda p: p / 255),
        ({"channels": 1}, {"colour": "grey", "mean": [0.0], "deviation": [1.0]},
         lambda p: (p * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True) / 255),
    ],
)  # fmt: skip
def test_a_file_gets_what_its_card_says(
    tmp_path: Path, file: dict[str, Any], model: dict[str, Any], expected: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    found = onnx_predictor(written(tmp_path / "m.onnx", **file), carded(**model)).model(PICTURES)
    means = expected(PICTURES.float()).mean((2, 3))
    assert torch.allclose(found[:, : means.shape[1]], means, atol=1e-4)


def test_probabilities_are_not_taken_for_logits(tmp_path: Path) -> None:
    logits = onnx_predictor(written(tmp_path / "m.onnx"), carded()).model(PICTURES)
    as_probabilities = onnx_predictor(tmp_path / "m.onnx", carded(scores="probabilities")).model(PICTURES)
    assert torch.allclose(torch.softmax(as_probabilities[:, :3], 1), logits[:, :3] / logits[:, :3].sum(1, keepdim=True))


def test_a_file_is_an_entry_with_its_parameters(tmp_path: Path, twins: Path) -> None:
    card = tmp_path / "card.yaml"
    import yaml

    card.write_text(yaml.safe_dump(carded().model_dump()), encoding="utf-8")
    evaluate_predictor(request(twins, tmp_path / "r", str(written(tmp_path / "m.onnx")), card=card))
    record = only_record(tmp_path / "r")
    assert record.data["cost"]["params"] == 3 * 8 + 2
    assert any(note.startswith("ONNX file of 0.0 MB, run by onnxruntime") for note in record.data["notes"])


def test_of_several_outputs_the_card_names_one(tmp_path: Path) -> None:
    file = written(tmp_path / "m.onnx", outputs=2)
    with pytest.raises(RequestError, match=r"it has 2 outputs \(y, y1\): say in the card which one"):
        onnx_predictor(file, carded())
    assert onnx_predictor(file, carded(output="y1")).model(PICTURES).shape == (5, 8)
    with pytest.raises(RequestError, match="it has no output 'z'"):
        onnx_predictor(file, carded(output="z"))


BAD_FILES: dict[str, tuple[Callable[[Path], Path], dict[str, Any], str]] = {
    "no card": (written, {}, "needs a card whose key model says"),
    "cut short": (
        lambda f: f.write_bytes(written(f).read_bytes()[:-40]) and f, {}, "no ONNX file that can be run",
    ),
    "empty": (lambda f: (f.write_bytes(b"") and f) or f, {}, "no ONNX file that can be run"),
    "text": (lambda f: f.write_text("hello") and f, {}, "no ONNX file that can be run"),
    "custom operators": (lambda f: written(f, domain="mine"), {}, "it has operators of its own (mine)"),
    "another size": (lambda f: written(f, side=32), {}, "it takes batchx3x32x32, and by its card it would get"),
    "another layout": (lambda f: written(f, layout="NHWC"), {}, "correct size, colour, layout or frames"),
    "grey": (lambda f: written(f, channels=1), {}, "it takes batchx1x16x16"),
    "outside": (lambda f: written(f, external="../secret.bin"), {}, "it reads a file outside of its folder"),
    "absolute": (lambda f: written(f, external="/etc/passwd"), {}, "it reads a file outside of its folder"),
    "not there": (lambda f: written(f, external="weights.bin"), {}, "no ONNX file that can be run"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    make, model, said = BAD_FILES[case]
    file = make(tmp_path / "m.onnx")
    with pytest.raises(RequestError, match=re.escape(said)) as caught:
        onnx_predictor(file, None if case == "no card" else carded(**model))
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


def test_weights_beside_a_file_are_read(tmp_path: Path) -> None:
    weight = np.zeros((3, 8), dtype=np.float32)
    weight[0, 4] = 1
    (tmp_path / "weights.bin").write_bytes(weight.tobytes())
    found = onnx_predictor(written(tmp_path / "m.onnx", external="weights.bin"), carded()).model(PICTURES)
    assert torch.allclose(found[:, 4], PICTURES[:, 0].float().mean((1, 2)) / 255, atol=1e-5)


def test_a_file_of_other_classes_than_its_card_is_refused(tmp_path: Path) -> None:
    model = OnnxModel(written(tmp_path / "m.onnx"), carded(classes=["a", "b"]).model)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="5 inputs get answers of shape 5x8: the card names 2 classes"):
        model(PICTURES)


def test_a_file_without_operators_of_its_own_declares_none(tmp_path: Path) -> None:
    model = onnx.load(written(tmp_path / "m.onnx"))
    assert {node.domain for node in model.graph.node} == {""}


# Commands


def script(tmp_path: Path, body: str) -> str:
    file = tmp_path / "tool.py"
    file.write_text(
        "import csv, sys, os, time\nrows = list(csv.DictReader(open(sys.argv[1])))\n" + body, encoding="utf-8"
    )
    return f"{sys.executable} {file} {{template}} {{out}}"


ANSWER = """
out = csv.writer(open(sys.argv[2], "w"))
out.writerow(["sample", "predicted"])
for row in rows[{part}]:
    out.writerow([row["sample"], "happy"])
"""


def test_a_command_answers_a_template(tmp_path: Path, twins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate_predictor(request(twins, tmp_path / "r", command=script(tmp_path, ANSWER.format(part=":"))))
    record = only_record(tmp_path / "r")
    assert (record.data["architecture"], record.data["tier"]) == ("tool", "run here")
    assert set(record.predictions()["predicted"]) == {1}
    assert "coverage 100.0%, read as classes" in capsys.readouterr().out


def test_a_command_that_answers_half_has_half_the_coverage(tmp_path: Path, question: Question) -> None:
    command = Command.parse(script(tmp_path, ANSWER.format(part=": len(rows) // 2")))
    answers, _, _ = answers_by(command, question, 60)
    assert answers.coverage == pytest.approx(0.5, abs=0.02)


def test_a_command_sees_the_pictures(tmp_path: Path, question: Question) -> None:
    body = "assert all(os.path.isfile(os.path.join(sys.argv[3], row['last_frame'])) for row in rows)\n"
    command = Command.parse(script(tmp_path, body + ANSWER.format(part=":")) + " {data}")
    assert answers_by(command, question, 60)[0].coverage == 1


BAD_COMMANDS = {
    "fails": ("print('no weights here'); sys.exit(3)", "it failed (exit code 3): it printed\n  no weights here"),
    "binary": (
        "sys.stdout.buffer.write(b'\\xff\\x00\\x1b[2Jbad' * 3); sys.exit(1)",
        "it failed (exit code 1): it printed\n  \N{REPLACEMENT CHARACTER}",
    ),
    "silent": ("sys.exit(1)", "it failed (exit code 1): it printed nothing"),
    "killed": ("os.kill(os.getpid(), 9)", "it failed (signal 9)"),
    "writes nothing": ("", "it ended well and wrote no answers"),
    "writes no answers": ("open(sys.argv[2], 'w').write('sample\\n')", "its answers: "),
    "writes other samples": (
        "open(sys.argv[2], 'w').write('sample,predicted\\nx,happy\\n')",
        "its answers: sample 'x' is not in the test part",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_COMMANDS)
def test_a_command_that_fails_is_told_with_what_it_printed(tmp_path: Path, question: Question, case: str) -> None:
    body, said = BAD_COMMANDS[case]
    with pytest.raises(RequestError, match=re.escape(said)) as caught:
        answers_by(Command.parse(script(tmp_path, body)), question, 60)
    assert "\x1b" not in str(caught.value)
    assert "\x00" not in str(caught.value)


def test_a_command_that_hangs_is_stopped_with_all_that_it_started(tmp_path: Path, question: Question) -> None:
    mark = tmp_path / "child"
    child = f"if os.fork() == 0:\n    time.sleep(4)\n    open({str(mark)!r}, 'w')\n"
    body = f"print('begun', flush=True)\n{child}time.sleep(60)"
    began = time.monotonic()
    with pytest.raises(RequestError, match=re.escape("stopped after 2 s, its time limit (--time-limit)")) as caught:
        answers_by(Command.parse(script(tmp_path, body)), question, 2)
    assert "begun" in str(caught.value)
    time.sleep(max(0.0, 5 - (time.monotonic() - began)))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "it is empty"),
        ("tool {out}", "it must name {template}"),
        ("tool {template}", "it must name {out}"),
        ("tool 'open {template} {out}", "No closing quotation"),
    ],
)
def test_a_command_line_that_is_none_is_refused(line: str, said: str) -> None:
    with pytest.raises(RequestError, match=re.escape(said)):
        Command.parse(line)


def test_a_command_that_is_not_there_is_told(question: Question) -> None:
    with pytest.raises(RequestError, match=re.escape("no-such-tool: cannot be started: No such file")):
        answers_by(Command.parse("no-such-tool {template} {out}"), question, 60)


def test_no_shell_sees_a_command(tmp_path: Path, question: Question) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(RequestError):
        answers_by(Command.parse(f"echo {{template}} {{out}} ; touch {mark}"), question, 60)
    assert not mark.exists()
