"""Renders a film and writes it in the official layout, as JPEG files and mp4 videos, with what the oracle may know.

At the top of a twin's folder lie `twin.json` (what it is) and `truth.npz`: `files` (N,) and `units` (N,A) float16, the
action units that each picture really shows, the resting face included. A picture of a video is `video.mp4#t=SECONDS`,
with its own time stamp.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ferbench.datasets.corpus import TWIN_FILE, DataError, divided
from ferbench.datasets.synthetic.film import Film, Shot, row_picture
from ferbench.datasets.synthetic.identity import sample_identities
from ferbench.datasets.synthetic.landmarks import landmarks
from ferbench.datasets.synthetic.renderer import render
from ferbench.datasets.synthetic.scene import LightLevel, Modality, Style, track_scenes
from ferbench.datasets.video import write_video

TRUTH_FILE = "truth.npz"
FORMATS = {".png": "PNG", ".tiff": "TIFF"}
"""Of files that are no JPEG."""
QUALITY = 92
"""JPEG quality of the files."""
FRAMES_AT_ONCE = 256

Progress = Callable[[int, int], None]
"""Called with frames done and frames in all."""


def write_film(film: Film, folder: Path, progress: Progress | None = None, processes: int = 1) -> None:
    """Writes a twin; the folder appears in one rename, when all of it is there.

    Raises:
        DataError: the folder holds something already, or cannot be written.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(f"{folder}: there is something in this folder already: name an empty or a new one")
    folder = folder.absolute()
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        draft.mkdir(parents=True)
        units = _write_frames(film, draft, progress, processes)
        film.annotate(draft)
        files = np.array([file for shot in film.shots for file in shot.files if file])
        np.savez_compressed(draft / TRUTH_FILE, files=files, units=units)
        about = {"twin_of": film.dataset, "scale": film.scale, "seed": film.seed, "frames": film.num_frames}
        about |= {} if film.test_scale is None else {"test_scale": film.test_scale}
        (draft / TWIN_FILE).write_text(json.dumps(about) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
    except OSError as error:
        raise DataError(f"{folder}: the twin cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_frames(film: Film, folder: Path, progress: Progress | None, processes: int) -> NDArray[np.float16]:
    """Renders every shot, in whole shots to a process; returns the units shown, (N,A)."""
    groups = list(_groups(film.shots))
    shown, done = [], 0
    if processes == 1:
        results: Iterator[NDArray[np.float16]] = (write_shots(g, folder, film.image_size) for g in groups)
        for units in results:
            shown.append(units)
            done += len(units)
            if progress:
                progress(done, film.num_frames)
        return np.concatenate(shown)
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for units in pool.map(write_shots, groups, [folder] * len(groups), [film.image_size] * len(groups)):
            shown.append(units)
            done += len(units)
            if progress:
                progress(done, film.num_frames)
    return np.concatenate(shown)


def _groups(shots: tuple[Shot, ...]) -> Iterator[list[Shot]]:
    """Shots in order, about FRAMES_AT_ONCE frames a group, each group of one kind of scene."""
    group: list[Shot] = []
    for shot in shots:
        if group and (_setting(group[0]) != _setting(shot) or sum(len(s.files) for s in group) >= FRAMES_AT_ONCE):
            yield group
            group = []
        group.append(shot)
    if group:
        yield group


def _setting(shot: Shot) -> tuple[Style, Modality, LightLevel]:
    return shot.style, shot.modality, shot.light


def write_shots(shots: list[Shot], folder: Path, size: int) -> NDArray[np.float16]:
    """Renders shots of one kind of scene and writes their files; returns the units shown in each of them, (N,A)."""
    style, modality, light = _setting(shots[0])
    written = [(i, t) for i, shot in enumerate(shots) for t, file in enumerate(shot.files) if file]
    owner, frames = [i for i, _ in written], [t for _, t in written]
    people = sample_identities([shot.identity for shot in shots])[owner]
    scenes = track_scenes([shots[i].scene for i in owner], frames, style=style, modality=modality, light=light)
    scenes = replace(scenes, yaw=scenes.yaw + torch.tensor([shots[i].yaw for i in owner]))
    units = torch.from_numpy(np.stack([shots[i].units[t] for i, t in written]))
    images = render(people, units, scenes, size).permute(0, 2, 3, 1).numpy()
    videos: dict[str, list[tuple[float, NDArray[np.uint8]]]] = {}
    for image, (i, t) in zip(images, written, strict=True):
        across, down = shots[i].margin
        picture = np.pad(image, ((down, down), (across, across), (0, 0)), mode="edge")
        path, within = divided(shots[i].files[t])
        if within.startswith("#t="):
            videos.setdefault(path, []).append((float(within[3:]), picture))
            continue
        file = row_picture(folder, path, int(within[5:])) if within else folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        shown_as = Image.fromarray(picture).convert("L") if shots[i].grey else Image.fromarray(picture)
        if (form := FORMATS.get(file.suffix)) is None:
            shown_as.save(file, "JPEG", quality=QUALITY)
        else:
            shown_as.save(file, form)
    for video, content in videos.items():
        write_video(folder / video, np.stack([p for _, p in content]), np.array([second for second, _ in content]))
    shown: NDArray[np.float16] = (people.rest + units).clamp(-1, 1).numpy().astype(np.float16)
    return shown


def shown_landmarks(shots: Sequence[Shot], size: int) -> NDArray[np.float32]:
    """(N,68,2) where the points of the face lie in each file of these shots, x and y in pixels of the file."""
    found = []
    for group in _groups(tuple(shots)):
        style, modality, light = _setting(group[0])
        written = [(i, t) for i, shot in enumerate(group) for t, file in enumerate(shot.files) if file]
        owner, frames = [i for i, _ in written], [t for _, t in written]
        people = sample_identities([shot.identity for shot in group])[owner]
        scenes = track_scenes([group[i].scene for i in owner], frames, style=style, modality=modality, light=light)
        scenes = replace(scenes, yaw=scenes.yaw + torch.tensor([group[i].yaw for i in owner]))
        units = torch.from_numpy(np.stack([group[i].units[t] for i, t in written]))
        margin = torch.tensor([group[i].margin for i in owner])[:, None]
        found.append((landmarks(people, units, scenes, size) + margin).numpy())
    return np.concatenate(found)
