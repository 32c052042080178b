"""The scripts of `tools/predictors`: each on a stand-in with the interface of its library, which answers by colour.

A red face is angry, a green one happy, a blue one sad: a script that hands colours over in the wrong order, or names
the classes in another, answers something else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from ferbench.benchmark.entries.cards import read_card
from ferbench.benchmark.entries.classes import meaning
from ferbench.benchmark.records.installation import CHECKOUT

PREDICTORS = CHECKOUT / "tools" / "predictors"
COLOURS = {"anger": (255, 0, 0), "happiness": (0, 255, 0), "sadness": (0, 0, 255)}

BY_COLOUR = """
import numpy as np
WORDS = ("anger", "happiness", "sadness")
def which(face, order):
    face = np.asarray(face)
    assert face.dtype == np.uint8 and face.ndim == 3 and face.shape[2] == 3, (face.dtype, face.shape)
    means = face.reshape(-1, 3).mean(0)
    return WORDS[int(means[::-1].argmax() if order == "BGR" else means.argmax())]
def shares(names, meant, high=0.9):
    return [high if name.lower()[:3] == meant[:3] else (1 - high) / (len(names) - 1) for name in names]
"""

STAND_INS: dict[str, dict[str, str]] = {
    "fer": {
        "fer/__init__.py": "",
        "fer/fer.py": """
from by_colour import which, shares
NAMES = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
class FER:
    def __init__(self, mtcnn=False): pass
    def detect_emotions(self, img, face_rectangles=None):
        (box,) = face_rectangles
        assert list(box) == [0, 0, img.shape[1], img.shape[0]]
        meant = {"anger": "angry", "happiness": "happy", "sadness": "sad"}[which(img, "BGR")]
        rounded = [round(v, 2) for v in shares(NAMES, meant)]
        return [{"box": box, "emotions": dict(zip(NAMES, rounded))}]
""",
    },
    "deepface": {
        "deepface/__init__.py": """
from by_colour import which, shares
NAMES = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
class DeepFace:
    @staticmethod
    def analyze(img_path, actions, detector_backend, enforce_detection, silent):
        assert (actions, detector_backend) == (["emotion"], "skip")
        meant = {"anger": "angry", "happiness": "happy", "sadness": "sad"}[which(img_path, "BGR")]
        return [{"emotion": {n: 100 * v for n, v in zip(NAMES, shares(NAMES, meant))}, "dominant_emotion": meant}]
""",
    },
    "emotiefflib": {
        "emotiefflib/__init__.py": "",
        "emotiefflib/facial_analysis.py": """
from by_colour import which, shares
import numpy as np
def EmotiEffLibRecognizer(engine="torch", model_name="", device="cpu"):
    assert engine == "onnx"
    return Recognizer()
class Recognizer:
    idx_to_emotion_class = dict(enumerate(
        ["Anger", "Contempt", "Disgust", "Fear", "Happiness", "Neutral", "Sadness", "Surprise"]))
    def predict_emotions(self, face, logits=True):
        assert not logits
        names = list(self.idx_to_emotion_class.values())
        return [which(face, "RGB")], np.array([shares(names, which(face, "RGB"))])
""",
    },
    "hsemotion_onnx": {
        "hsemotion_onnx/__init__.py": "",
        "hsemotion_onnx/facial_emotions.py": """
from by_colour import which, shares
import numpy as np
class HSEmotionRecognizer:
    def __init__(self, model_name="enet_b0_8_best_vgaf"):
        self.idx_to_class = dict(enumerate(
            ["Anger", "Contempt", "Disgust", "Fear", "Happiness", "Neutral", "Sadness", "Surprise"]))
    def predict_emotions(self, face, logits=True):
        assert not logits
        return which(face, "RGB"), np.array(shares(list(self.idx_to_class.values()), which(face, "RGB")))
""",
    },
    "py_feat": {
        "feat/__init__.py": """
from by_colour import which, shares
import numpy as np, pandas as pd
from PIL import Image
NAMES = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
class Detectorv1:
    def __init__(self, device="cpu"): pass
    def detect(self, inputs, data_type="image", progress_bar=True):
        (file,) = inputs
        face = np.array(Image.open(file))
        best = dict(zip(NAMES, shares(NAMES, which(face, "RGB"))), FaceRectWidth=9.0, FaceRectHeight=9.0)
        other = dict(zip(NAMES, shares(NAMES, "neutral")), FaceRectWidth=2.0, FaceRectHeight=2.0)
        return pd.DataFrame([other, best])
""",
    },
    "rmn": {
        "rmn/__init__.py": """
from by_colour import which, shares
NAMES = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
class RMN:
    def __init__(self, face_detector=True): assert not face_detector
    def detect_emotion_for_single_face_image(self, face):
        meant = {"anger": "angry", "happiness": "happy", "sadness": "sad"}[which(face, "BGR")]
        values = shares(NAMES, meant)
        return meant, max(values), [{n: v} for n, v in zip(NAMES, values)]
""",
    },
    "openface": {
        "openface/__init__.py": "",
        "openface/multitask_model.py": """
from by_colour import which
import torch
PLACES = {"anger": 5, "happiness": 1, "sadness": 2}  # as it was trained
class MultitaskPredictor:
    def __init__(self, model_path, device="cpu"): assert model_path.endswith("MTL_backbone.pth")
    def predict(self, face):
        logits = torch.full((1, 8), -1.0)
        logits[0, PLACES[which(face, "BGR")]] = 4.0
        return logits, None, None
""",
    },
    "libreface": {
        "libreface/__init__.py": "",
        "libreface/Facial_Expression_Recognition/__init__.py": "",
        "libreface/Facial_Expression_Recognition/inference.py": """
from by_colour import which
import numpy as np
from PIL import Image
def get_facial_expression(image_path, device="cpu", weights_download_dir="./weights_libreface"):
    return which(np.array(Image.open(image_path)), "RGB").capitalize()
""",
    },
    "uniface": {
        "uniface/__init__.py": "",
        "uniface/constants.py": """
import enum
class EmotionWeights(str, enum.Enum):
    AFFECNET7 = "7"
    AFFECNET8 = "8"
""",
        "uniface/attribute/__init__.py": "",
        "uniface/attribute/emotion.py": """
import torch
from uniface.constants import EmotionWeights
class Emotion:
    def __init__(self, model_name=EmotionWeights.AFFECNET7):
        assert model_name == EmotionWeights.AFFECNET8
        self.input_size, self.device = (112, 112), torch.device("cpu")
        self.emotion_labels = ["Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Angry", "Contempt"]
    def model(self, x):
        assert x.shape == (1, 3, 112, 112) and x.dtype == torch.float32
        means = x.mean((0, 2, 3))
        logits = torch.full((1, 8), -1.0)
        logits[0, {0: 6, 1: 1, 2: 2}[int(means.argmax())]] = 4.0
        return (logits, None)
""",
    },
}  # fmt: skip
"""Files of each, below a folder that Python looks into; `by_colour` lies beside them."""


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """A template of three faces in a folder of pictures; the last is a box within a larger picture."""
    data = tmp_path / "data"
    data.mkdir()
    rows = []
    for name, colour in COLOURS.items():
        picture = np.full((60, 40, 3), colour, dtype=np.uint8)
        box = {"face_x": 0, "face_y": 0, "face_width": 40, "face_height": 60}
        if name == "sadness":
            whole = np.full((100, 90, 3), (255, 255, 0), dtype=np.uint8)
            whole[30:90, 20:60] = picture
            picture, box = whole, {"face_x": 20, "face_y": 30, "face_width": 40, "face_height": 60}
        Image.fromarray(picture).save(data / f"{name}.png")
        rows.append({"sample": name, "last_frame": f"{name}.png", **box})
    pd.DataFrame(rows).to_csv(tmp_path / "template.csv", index=False)
    return tmp_path


def answers(asked: Path, script: str, *words: str, beside: Path | None = None) -> pd.DataFrame:
    environment = {**os.environ, **({"PYTHONPATH": str(beside)} if beside else {})}
    files = [asked / "template.csv", asked / "out.csv", asked / "data"]
    done = subprocess.run(
        [sys.executable, PREDICTORS / f"run_{script}.py", *files, *words],
        env=environment, capture_output=True, text=True, cwd=asked,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    return pd.read_csv(asked / "out.csv").set_index("sample")


def assert_answered(found: pd.DataFrame) -> None:
    assert list(found.index) == list(COLOURS)
    if "predicted" in found:
        assert [meaning(name) for name in found["predicted"]] == list(COLOURS)
        return
    assert [meaning(name) for name in found.idxmax(axis=1)] == list(COLOURS)
    assert len(found.columns) in (7, 8)


@pytest.mark.parametrize("script", STAND_INS)
def test_a_script_hands_over_faces_and_names_classes_as_its_library_does(asked: Path, script: str) -> None:
    beside = asked / "packages"
    for name, text in {"by_colour.py": BY_COLOUR, **STAND_INS[script]}.items():
        (beside / name).parent.mkdir(parents=True, exist_ok=True)
        (beside / name).write_text(text, encoding="utf-8")
    found = answers(asked, script, beside=beside)
    assert_answered(found)
    if script == "fer":
        assert np.allclose(found.sum(axis=1), 1, atol=1e-6)


def network(file: Path, shape: tuple[int, ...], nodes: list[onnx.NodeProto], **tensors: np.ndarray) -> None:
    graph = helper.make_graph(
        nodes, "stand_in",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    file.write_bytes(model.SerializeToString())


def test_the_network_of_opencv_zoo_gets_colours_of_minus_one_to_one(asked: Path) -> None:
    weight = np.zeros((3, 7), dtype=np.float32)
    weight[[0, 1, 2], [0, 3, 5]] = 1  # red: angry, green: happy, blue: sad
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "w"], ["y"]),
    ]
    network(asked / "m.onnx", (1, 3, 112, 112), nodes, axes=np.array([2, 3], dtype=np.int64), w=weight)
    found = answers(asked, "opencv_zoo", "--model", "m.onnx")
    assert_answered(found)
    assert found.loc["anger", "angry"] == pytest.approx(1, abs=1e-3)
    assert found.loc["anger", "happy"] == pytest.approx(-1, abs=1e-3)


def test_emotion_ferplus_gets_a_grey_picture_of_0_to_255(asked: Path) -> None:
    # Grey of pure red is 76, of green 150, of blue 29: the class is the nearest of these.
    levels = np.full(8, 1000.0, dtype=np.float32)
    levels[[4, 1, 3]] = 76, 150, 29
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "levels"], ["far"]),
        helper.make_node("Abs", ["far"], ["distance"]),
        helper.make_node("Neg", ["distance"], ["y"]),
    ]
    network(asked / "m.onnx", (1, 1, 64, 64), nodes, axes=np.array([2, 3], dtype=np.int64), levels=levels)
    assert_answered(answers(asked, "emotion_ferplus", "--model", "m.onnx"))


@pytest.mark.parametrize("script", ["opencv_zoo", "emotion_ferplus"])
def test_a_script_that_needs_a_file_asks_for_it(asked: Path, script: str) -> None:
    files = [asked / "template.csv", asked / "out.csv", asked / "data"]
    done = subprocess.run([sys.executable, PREDICTORS / f"run_{script}.py", *files], capture_output=True, text=True)
    assert done.returncode
    assert done.stderr.startswith("name the file: --model ")


def test_a_face_that_is_not_found_has_no_answer(asked: Path) -> None:
    beside = asked / "packages" / "fer"
    beside.mkdir(parents=True)
    (beside / "__init__.py").write_text("")
    (beside / "fer.py").write_text(
        "class FER:\n    def __init__(self, mtcnn): pass\n"
        "    def detect_emotions(self, img, face_rectangles): return []\n"
    )
    found = answers(asked, "fer", beside=asked / "packages")
    assert list(found.index) == list(COLOURS)
    assert not len(found.columns)


def test_a_frame_of_a_video_is_the_one_that_is_shown_then(tmp_path: Path) -> None:
    import av

    file = tmp_path / "v.mp4"
    with av.open(str(file), "w") as out:
        stream = out.add_stream("libx264", rate=10, options={"crf": "0"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv444p"
        for i in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 8 * i, dtype=np.uint8), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    sys.path.insert(0, str(PREDICTORS))
    try:
        from faces import picture  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(PREDICTORS))
    for second, number in ((0.0, 0), (0.1, 1), (0.95, 9), (1.5, 15), (2.9, 29), (9.0, 29)):
        assert abs(int(picture(tmp_path, f"v.mp4#t={second:.3f}").mean()) - 8 * number) <= 3, second


def test_every_script_has_a_card() -> None:
    scripts = {file.stem.removeprefix("run_") for file in PREDICTORS.glob("run_*.py")}
    assert scripts == {file.stem for file in (PREDICTORS / "cards").glob("*.yaml")}
    for name in scripts:
        assert read_card(PREDICTORS / "cards" / f"{name}.yaml", "affectnet_small").relationship == "ferbench"
