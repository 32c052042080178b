"""The measures against scikit-learn, on random cases in which classes are absent."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from ferbench.benchmark.measures.metrics import (
    METRICS,
    concordance,
    confusion_matrix,
    measure,
    regression_scores,
    scores,
    tallies,
)


def random_case(seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Labels and predictions over 2..9 classes, of which some are absent from truth, from prediction, or from both."""
    rng = np.random.default_rng(seed)
    num_classes = int(rng.integers(2, 10))
    in_truth = rng.permutation(num_classes)[: rng.integers(1, num_classes + 1)]
    in_prediction = rng.permutation(num_classes)[: rng.integers(1, num_classes + 1)]
    size = int(rng.integers(1, 60))
    labels, predicted = rng.choice(in_truth, size), rng.choice(in_prediction, size)
    right = rng.random(size) < rng.random()
    return labels, np.where(right, labels, predicted), num_classes


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
def test_scores_equal_scikit_learn(seed: int) -> None:
    labels, predicted, num_classes = random_case(seed)
    found = scores(confusion_matrix(labels, predicted, num_classes))

    f1_macro = sklearn_metrics.f1_score(labels, predicted, average="macro", zero_division=0)
    accuracy = sklearn_metrics.accuracy_score(labels, predicted)
    assert found.accuracy == pytest.approx(accuracy)
    assert found.f1_macro == pytest.approx(f1_macro)
    weighted = sklearn_metrics.f1_score(labels, predicted, average="weighted", zero_division=0)
    assert found.f1_weighted == pytest.approx(weighted)
    assert found.abaw == pytest.approx(0.67 * f1_macro + 0.33 * accuracy)
    assert found.uar == pytest.approx(sklearn_metrics.balanced_accuracy_score(labels, predicted))

    present = set(labels) | set(predicted)
    each = sklearn_metrics.f1_score(labels, predicted, average=None, labels=list(range(num_classes)), zero_division=0)
    for index, f1 in enumerate(found.f1_per_class):
        assert f1 == (pytest.approx(each[index]) if index in present else None)


def test_confusion_has_truth_in_rows() -> None:
    assert confusion_matrix([0, 0, 1, 2], [0, 2, 1, 2], 4).tolist() == [
        [1, 0, 1, 0],
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 0],
    ]


@pytest.mark.parametrize("metric", METRICS)
def test_a_stack_is_measured_like_its_members(metric: str) -> None:
    members = [confusion_matrix(*random_case(seed)[:2], 9) for seed in range(6)]
    stack = np.stack(members).reshape(2, 3, 9, 9)
    expected = [getattr(scores(member), metric) for member in members]
    np.testing.assert_allclose(measure(tallies(stack), metric).ravel(), expected)  # type: ignore[arg-type]


def test_a_member_without_samples_is_not_a_number() -> None:
    stack = np.stack([np.eye(3), np.zeros((3, 3))])
    np.testing.assert_equal(measure(tallies(stack), "abaw"), [1.0, np.nan])


def test_nothing_to_score_is_an_error() -> None:
    with pytest.raises(ValueError, match="no samples"):
        confusion_matrix([], [], 3)
    with pytest.raises(ValueError, match="nothing was scored"):
        scores(np.zeros((3, 3)))


def test_inputs_that_do_not_fit_are_errors() -> None:
    with pytest.raises(ValueError, match="equally long"):
        confusion_matrix([0, 1], [0], 3)
    with pytest.raises(ValueError, match=r"0\.\.2, found -1\.\.5"):
        confusion_matrix([0, 5], [0, -1], 3)
    with pytest.raises(ValueError, match="unknown metric 'mcc'"):
        measure(tallies(np.eye(3)), "mcc")  # type: ignore[arg-type]


def test_concordance_is_that_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=50), rng.normal(0.3, 2, size=50)
    pearson = np.corrcoef(x, y)[0, 1]
    wanted = 2 * pearson * x.std() * y.std() / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert concordance(x, y) == pytest.approx(wanted)
    assert concordance(x, x) == pytest.approx(1)
    assert concordance(x, -x + 2 * x.mean()) == pytest.approx(-1)
    assert concordance(np.ones(5), np.zeros(5)) == 0


def test_regression_is_judged_video_by_video() -> None:
    rng = np.random.default_rng(1)
    target, value = rng.normal(size=30), rng.normal(size=30)
    video = np.array(["b", "a", "c"] * 10)
    found = regression_scores(target, value, video)
    each = {v: concordance(target[video == v], value[video == v]) for v in "abc"}
    assert found.ccc_per_video == pytest.approx(each)
    assert found.ccc == pytest.approx(np.mean(list(each.values())))
    assert found.rmse == pytest.approx(np.sqrt(((target - value) ** 2).mean()))
    with pytest.raises(ValueError, match="nothing was scored"):
        regression_scores(target[:0], value[:0], video[:0])
