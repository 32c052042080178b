"""The renderer: same inputs, same bytes, whatever the batch; action units act where they should."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ferbench.datasets.synthetic.action_units import ACTION_UNITS, unit_vector
from ferbench.datasets.synthetic.identity import Identities, sample_identities
from ferbench.datasets.synthetic.landmarks import BROWS, EYES, INNER_LIPS, NUM_LANDMARKS, OUTER_LIPS
from ferbench.datasets.synthetic.renderer import landmarks, render
from ferbench.datasets.synthetic.scene import Scenes, sample_scenes

# rows of a 64-pixel picture of a frontal face, from the top: where a unit may change pixels
BROW_ROWS, EYE_ROWS, NOSE_ROWS, MOUTH_ROWS = (2, 29), (14, 40), (18, 56), (30, 64)
REGIONS = {
    "AU1": BROW_ROWS, "AU2": BROW_ROWS, "AU4": (2, 36), "AU5": EYE_ROWS, "AU6": (14, 54), "AU7": EYE_ROWS,
    "AU9": (8, 60), "AU10": NOSE_ROWS, "AU12": (24, 64), "AU14": MOUTH_ROWS, "AU15": MOUTH_ROWS, "AU17": MOUTH_ROWS,
    "AU18": MOUTH_ROWS, "AU20": MOUTH_ROWS, "AU23": MOUTH_ROWS, "AU24": MOUTH_ROWS, "AU25": MOUTH_ROWS,
    "AU26": MOUTH_ROWS, "AU43": EYE_ROWS,
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors: more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def plain_faces(count: int) -> Identities:
    """Identities without resting expression, glasses or beard."""
    faces = sample_identities(range(count))
    zero = torch.zeros_like(faces.glasses)
    return replace(faces, rest=torch.zeros_like(faces.rest), glasses=zero, beard=zero, moustache=zero, stubble=zero)


def frontal(count: int) -> Scenes:
    scenes = sample_scenes([5] * count, "lab")
    zero = torch.zeros(count)
    return replace(scenes, yaw=zero, pitch=zero, roll=zero, shift_x=zero, shift_y=zero, zoom=zero + 1, noise=zero)


def units(**intensities: float) -> Tensor:
    return torch.from_numpy(unit_vector(**intensities))[None]


def random_units(count: int) -> Tensor:
    return torch.rand((count, len(ACTION_UNITS)), generator=torch.Generator().manual_seed(0))


def test_same_inputs_give_the_same_bytes() -> None:
    inputs = (sample_identities(range(6)), random_units(6), sample_scenes(range(6), "wild"))
    assert torch.equal(render(*inputs, 48), render(*inputs, 48))


@pytest.mark.parametrize("size", [64, 48, (40, 56)])
def test_a_face_does_not_depend_on_its_batch_mates(size: int | tuple[int, int]) -> None:
    count = 21  # more than one chunk, and a last chunk that is not full
    faces, vectors, scenes = (
        sample_identities(range(count)),
        random_units(count),
        sample_scenes(range(count), "wild"),
    )
    together = render(faces, vectors, scenes, size)
    for item in (0, 3, 17, 20):
        one = slice(item, item + 1)
        assert torch.equal(render(faces[one], vectors[one], scenes[one], size)[0], together[item])
    order = torch.arange(count - 1, -1, -1)
    assert torch.equal(render(faces[order], vectors[order], scenes[order], size), together[order])


def test_the_global_random_state_is_neither_read_nor_changed() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    render(sample_identities([0]), random_units(1), sample_scenes([0]), 32)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", sorted(REGIONS))
def test_an_action_unit_changes_its_own_region(name: str) -> None:
    faces = plain_faces(4)
    vectors = torch.cat([torch.zeros(4, len(ACTION_UNITS)), units(**{name: 1.0}).expand(4, -1)])
    twice = torch.arange(8) % 4
    pictures = render(faces[twice], vectors, frontal(8), 64).float()
    change = (pictures[4:] - pictures[:4]).abs().sum(dim=(0, 1, 3))
    first, last = REGIONS[name]
    assert change.sum() > 64 * 20, "the unit can hardly be seen"
    assert change[first:last].sum() > 0.9 * change.sum()


@pytest.mark.parametrize("name", sorted(REGIONS))
def test_intensities_can_be_told_apart_at_48_pixels(name: str) -> None:
    vectors = torch.cat([units(**{name: strength}) for strength in (0.0, 0.5, 1.0)])
    pictures = render(plain_faces(1)[[0, 0, 0]], vectors, frontal(3), 48).float()
    to_half, to_full = (pictures[1] - pictures[0]).abs().sum(), (pictures[2] - pictures[0]).abs().sum()
    assert 0 < to_half < to_full


def test_extreme_inputs_stay_finite() -> None:
    faces = sample_identities(range(4))
    scenes = sample_scenes(range(4), "wild")
    far = replace(
        scenes, yaw=scenes.yaw * 0 + 9, pitch=scenes.pitch * 0 - 9, zoom=scenes.zoom * 0, blur=scenes.blur + 9
    )
    for vectors in (torch.full((4, len(ACTION_UNITS)), 9.0), torch.full((4, len(ACTION_UNITS)), -9.0)):
        assert torch.isfinite(landmarks(faces, vectors, far)).all()
        assert render(faces, vectors, far, 32).float().std() >= 0
    assert torch.isfinite(landmarks(faces, torch.full((4, len(ACTION_UNITS)), torch.nan), scenes)).all()


def test_near_infrared_pictures_are_monochrome() -> None:
    pictures = render(sample_identities(range(4)), random_units(4), sample_scenes(range(4), "lab", modality="NI"), 48)
    assert torch.equal(pictures[:, 0], pictures[:, 1])
    assert torch.equal(pictures[:, 0], pictures[:, 2])


def test_light_levels_of_the_lab_go_from_strong_to_dark() -> None:
    brightness = [
        render(sample_identities(range(4)), random_units(4), sample_scenes(range(4), "lab", light=level), 48)
        .float()
        .mean()
        for level in ("Strong", "Weak", "Dark")
    ]
    assert brightness[0] > 1.3 * brightness[1] > 1.3 * 1.3 * brightness[2]


def test_smiling_raises_and_widens_the_corners_of_the_mouth() -> None:
    rest, smile = points(), points(AU12=1.0)
    left, right = OUTER_LIPS.start, OUTER_LIPS.start + 6
    assert smile[left, 1] < rest[left, 1] - 1
    assert smile[right, 1] < rest[right, 1] - 1
    assert smile[right, 0] - smile[left, 0] > rest[right, 0] - rest[left, 0] + 2


def test_one_sided_smile_moves_one_corner() -> None:
    rest, smile = points(), points(AU12=1.0, ASYM=1.0)
    left, right = OUTER_LIPS.start, OUTER_LIPS.start + 6
    assert smile[right, 1] < rest[right, 1] - 1
    assert torch.allclose(smile[left], rest[left], atol=0.3)


def test_closing_the_eyes_brings_the_lids_together() -> None:
    def opening(shape: Tensor) -> float:
        return float((shape[EYES.start + 5] - shape[EYES.start + 1])[1])

    assert opening(points(AU43=1.0)) < 0.3 < 1.0 < opening(points()) < opening(points(AU5=1.0))


def test_brows_and_jaw_follow_their_units() -> None:
    rest = points()
    assert (points(AU1=1.0, AU2=1.0)[BROWS, 1] < rest[BROWS, 1] - 1).all()
    assert points(AU4=1.0)[BROWS.start + 4, 1] > rest[BROWS.start + 4, 1] + 1
    dropped = points(AU26=1.0)
    assert dropped[8, 1] > rest[8, 1] + 3
    inner = INNER_LIPS.start
    assert dropped[inner + 6, 1] - dropped[inner + 2, 1] > 5


def test_landmarks_follow_the_pose() -> None:
    scenes = frontal(1)
    faces, still = plain_faces(1), units()
    rest = landmarks(faces, still, scenes)[0]
    shifted = landmarks(faces, still, replace(scenes, shift_x=scenes.shift_x + 0.125))[0]
    assert torch.allclose(shifted, rest + torch.tensor([8.0, 0.0]), atol=1e-3)
    rolled = landmarks(faces, still, replace(scenes, roll=scenes.roll + 0.3))[0]
    between = rolled[45] - rolled[36]
    assert float(torch.atan2(between[1], between[0])) == pytest.approx(0.3, abs=0.03)
    turned = landmarks(faces, still, replace(scenes, yaw=scenes.yaw + 0.4))[0]
    to_left, to_right = turned[30, 0] - turned[36, 0], turned[45, 0] - turned[30, 0]
    assert to_left > 1.3 * to_right  # the nose goes to the right of the picture


def test_landmarks_scale_with_the_picture() -> None:
    faces, vectors, scenes = sample_identities(range(3)), random_units(3), sample_scenes(range(3), "wild")
    small, large = landmarks(faces, vectors, scenes, 48), landmarks(faces, vectors, scenes, 96)
    assert small.shape == (3, NUM_LANDMARKS, 2)
    assert torch.allclose((small + 0.5) * 2, large + 0.5, atol=1e-3)


def points(**intensities: float) -> Tensor:
    return landmarks(plain_faces(1), units(**intensities), frontal(1), 64)[0]
