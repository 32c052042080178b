"""Two classical rows beside every board, as floors that deserve the name: what needs no training of a network.

`hog_svm` is a linear support vector machine on histograms of oriented gradients (Dalal and Triggs 2005), and
`linear_features` a linear classifier on what the smallest shipped network, of rendered faces, makes of a frame and is
never trained further. A row below one of them has gained nothing by its training.

Both see of a sample the frames that the view `image` shows, averaged, and where the protocol names a frame of the same
person as the neutral one, the difference to that. One strength of regularisation is chosen on the validation part; a
value is answered by ridge regression in place of a classifier.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ferbench.benchmark.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ferbench.benchmark.learning.material import Material

    Describe = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    """(n,H,W,3) frames -> (n,F) descriptions."""

TITLES = {"hog_svm": "HOG and a linear SVM", "linear_features": "Linear on frozen features"}
STRENGTHS = {"hog_svm": (1e-5, 1e-4, 1e-3, 1e-2), "linear_features": (1e-4, 1e-3, 1e-2, 1e-1)}
"""What is chosen from for classes: C of the classifier, over standardised numbers."""
RIDGES = (1e2, 1e3, 1e4, 1e5)
"""What is chosen from for values."""
CELLS, CELLS_OF_BLOCK, ORIENTATIONS = 6, 2, 9
"""Of HOG: cells a side of the picture, whatever its size; 900 numbers."""
GREY = (0.299, 0.587, 0.114)
MAPS = 3
"""Side of the network's maps that stay apart, 128 of them: where in a face something is, counts."""
BATCH = 64


def classical_answers(name: str, material: Material) -> NDArray[np.float64]:
    """(S,C) probabilities of the test samples, or (S,1) values.

    Raises:
        RequestError: scikit-image is not installed.

    Source: Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005.
    """
    described = _descriptions(name, material)
    split, task = material.split, material.task
    train, chosen_on, test = (described(part) for part in (split.train, split.validation, split.test))
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    deviation[deviation < 1e-6] = 1.0
    train, chosen_on, test = ((part - mean) / deviation for part in (train, chosen_on, test))
    best: tuple[tuple[float, float], Callable[[NDArray[np.float32]], NDArray[np.float64]]] | None = None
    for answer in _fitted(name, train, material):
        quality = task.quality(split.validation, answer(chosen_on))
        if best is None or quality > best[0]:
            best = quality, answer
    assert best is not None
    return best[1](test)


def _fitted(name: str, train: NDArray[np.float32], material: Material) -> Any:
    """What each strength of regularisation gives, as a function from numbers to answers."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.svm import LinearSVC

    corpus, rows = material.corpus, material.split.train
    if corpus.target is not None:
        for alpha in RIDGES:
            ridge = Ridge(alpha=alpha, solver="cholesky").fit(train, corpus.target[rows])
            yield lambda found, ridge=ridge: ridge.predict(found)[:, None].astype(np.float64)
        return
    label, classes = corpus.label[rows], len(corpus.classes)
    if len(set(label.tolist())) == 1:
        yield lambda found: np.tile(np.eye(classes)[label[0]], (len(found), 1))
        return
    for strength in STRENGTHS[name]:
        with warnings.catch_warnings():  # what has not converged is judged by its answers like all else
            warnings.simplefilter("ignore", ConvergenceWarning)
            if name == "hog_svm":
                model = LinearSVC(C=strength, dual=False, tol=1e-2, class_weight="balanced", random_state=0)
            else:
                model = LogisticRegression(C=strength, max_iter=200, tol=1e-3, class_weight="balanced")
            model.fit(train, label)
        yield lambda found, model=model: _probabilities(model.decision_function(found), model.classes_, classes)


def _probabilities(margins: NDArray[np.float64], known: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """(S,C) softmax of margins; a class that the training part lacks has no chance."""
    margins = np.stack([-margins, margins], axis=1) / 2 if margins.ndim == 1 else margins
    scores = np.exp(margins - margins.max(axis=1, keepdims=True)).astype(np.float64)
    answers = np.zeros((len(scores), classes))
    answers[:, known] = scores / scores.sum(axis=1, keepdims=True)
    return answers


def _descriptions(name: str, material: Material) -> Callable[[NDArray[np.int64]], NDArray[np.float32]]:
    """What describes samples (S,) -> (S,F); each frame is read once."""
    describe: Describe = _hog if name == "hog_svm" else _network()
    own = material.protocol.neutral != "training_neutral"  # another's face says nothing of this one's change
    shown = material.under("pair" if own else "image")
    seen = shown.frames_seen(np.sort(np.concatenate(list(material.split.parts.values()))))
    chunks = np.array_split(seen, math.ceil(len(seen) / BATCH))
    table = np.concatenate([describe(material.store.read(frames)) for frames in chunks])

    def described(samples: NDArray[np.int64]) -> NDArray[np.float32]:
        inputs = shown.instances(samples)
        found = table[np.searchsorted(seen, inputs.frames)]
        target = found[:, -1]
        if own:
            target = np.concatenate([target, target - found[:, 0]], axis=1, dtype=np.float32)
        place = np.searchsorted(samples, inputs.sample)
        total = np.zeros((len(samples), target.shape[1]), dtype=np.float32)
        np.add.at(total, place, target)
        total /= np.bincount(place, minlength=len(samples))[:, None]
        return total

    return described


def _hog(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Histograms of oriented gradients of grey pictures."""
    try:
        from skimage.feature import hog
    except ModuleNotFoundError:
        raise RequestError("hog_svm needs scikit-image: pip install scikit-image") from None
    side = max(1, frames.shape[1] // CELLS)
    grey = frames[:, : CELLS * side, : CELLS * side] @ np.array(GREY)
    found = [hog(face, ORIENTATIONS, (side, side), (CELLS_OF_BLOCK, CELLS_OF_BLOCK)) for face in grey]
    return np.stack(found).astype(np.float32)


def _network() -> Describe:
    """The maps of the shipped network of rendered faces, in single precision on this machine's processor."""
    import torch

    from ferbench.benchmark.learning.folding import folded
    from ferbench.datasets.augmentation import normalise
    from ferbench.models.parts.resnet import resnet_tiny
    from ferbench.models.weights import FOLDER, load_into

    network = resnet_tiny()
    load_into(network, FOLDER / "geometry-resnet.safetensors")
    encoder: Any = folded(network)

    def describe(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            maps = encoder.maps(normalise(torch.from_numpy(frames)))
            pooled = torch.nn.functional.adaptive_avg_pool2d(maps, MAPS).flatten(1)
            found: NDArray[np.float32] = pooled.numpy()
        return found

    return describe
