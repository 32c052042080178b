"""What a cell is: the key of all that defines its numbers, the cells whose work it takes over, and its words for `run`.

A key is the hash of its parts. Two cells of one key have the same predictions on the same machine, so a finished record
of that key is never made again; when any part of it changes, the cell is run anew and the record says which part it
was.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache
from typing import Any

from ferbench.benchmark.planning.data import Location, faces_key
from ferbench.benchmark.planning.official import foreign_weights, of
from ferbench.benchmark.planning.registry import architectures, data_sets, ensembles
from ferbench.benchmark.planning.suite import CLASSICAL, Cell
from ferbench.benchmark.records.installation import HOME
from ferbench.benchmark.records.provenance import code_hash, commit, hash_of

STARTING_WEIGHTS = HOME / "models" / "weights"

ORIGIN = ("commit", "dirty")
"""Entries of a cell's identity that stand in its record's environment."""

PLANNED = (*ORIGIN, "keys_below")
"""Entries of a cell's identity that are not entries of its record."""


def key_parts(cell: Cell, location: Location, device_type: str) -> dict[str, Any]:
    """All that defines a cell's numbers, by name; imports neither torch nor the architecture."""
    same = {
        "dataset": location.name,
        "data": location.identity,
        "protocol": hash_of(sorted(cell.protocol.as_dict().items())),
        "seed": cell.seed,
        "fold": cell.fold,
        **_own_reader(cell),
        **({"leaks": "allowed"} if cell.allow_leaks else {}),
        **({"faces": hash_of(faces_key(cell.protocol))} if cell.protocol.faces == "found" else {}),
    }
    if cell.architecture in CLASSICAL:
        code = code_hash("ferbench.benchmark.learning.classical")
        weights = {"starting_weights": _starting_weights()} if cell.architecture == "linear_features" else {}
        return {"architecture": cell.architecture, "code": code, **weights, **same}
    if cell.kind in ("floor", "oracle"):
        return {"architecture": cell.architecture, "code": code_hash("ferbench.benchmark.measures.floors"), **same}
    if cell.kind == "ensemble":
        members = keys_below(cell, location, device_type)
        code = code_hash("ferbench.benchmark.measures.fusion")
        return {"architecture": cell.architecture, "code": code, "members": hash_of(sorted(members.items())), **same}
    lenders = architectures.lenders(cell.architecture)
    files = _official_weights(cell, [cell.architecture, *lenders])
    lent = {"lenders": hash_of([(name, code_hash(architectures.module(name))) for name in lenders])} if lenders else {}
    return {
        "architecture": cell.architecture,
        "code": code_hash(architectures.module(cell.architecture)),
        "training_code": code_hash("ferbench.benchmark.learning.training"),
        "starting_weights": _starting_weights(),
        "size": cell.size,
        "epochs": cell.epochs,
        **({"budget": cell.budget} if cell.budget else {}),
        "device_type": device_type,
        **lent,
        **files,
        **same,
    }


def _own_reader(cell: Cell) -> dict[str, str]:
    """Hash of what reads a further task on another data set's folder; a twin's identity knows that of the folder."""
    own = data_sets.get(cell.dataset).folder_name != cell.dataset
    return {"reader": code_hash(data_sets.module(cell.dataset))} if own else {}


def _official_weights(cell: Cell, names: list[str]) -> dict[str, str]:
    """Hash of the given files that the training of these architectures starts from, and of what loads them."""
    files = [(weights.architecture, weights.sha256) for name in names
             for weights in foreign_weights(name, cell.size, cell.weights)]  # fmt: skip
    return {"official_weights": hash_of([code_hash("ferbench.models.official"), *sorted(files)])} if files else {}


def members_of(cell: Cell) -> list[Cell]:
    """The cells whose answers an ensemble's cell fuses; none of any other cell."""
    if cell.kind != "ensemble":
        return []
    return [replace(cell, architecture=name) for name in ensembles.get(cell.architecture).members]


def lenders_of(cell: Cell) -> list[Cell]:
    """The cells whose training may come before this one's; none of a cell that is not trained."""
    if cell.kind != "architecture":
        return []
    own = [lender_of(cell, name) for name in architectures.lenders(cell.architecture)]
    return [*own, *(further for lender in own for further in lenders_of(lender))]


def lender_of(cell: Cell, name: str) -> Cell:
    """The cell of an architecture that this one starts from: under a budget it is trained within a share of it."""
    return replace(cell, architecture=name, budget=share_of_budget(cell))


def share_of_budget(cell: Cell) -> float | None:
    """Seconds of a cell's budget for its own stages, and as many for the training of each row that it starts from."""
    if cell.budget is None:
        return None
    size = architectures.get(cell.architecture).sizes[cell.size]
    return cell.budget / max(1, len({lent.architecture for lent in size.trained}) + bool(size.stages))


def keys_below(cell: Cell, location: Location, device_type: str) -> dict[str, str]:
    """Keys of the cells whose work this one takes over, by architecture: its members, or its lenders."""
    below = [*members_of(cell), *lenders_of(cell)]
    return {other.architecture: key_of(key_parts(other, location, device_type)) for other in below}


@cache
def _starting_weights() -> str:
    """Hash of every file of starting weights."""
    files = sorted(STARTING_WEIGHTS.glob("*.safetensors"))
    return hash_of([(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files])


def key_of(parts: dict[str, Any]) -> str:
    """The key that these parts make."""
    return hash_of(sorted(parts.items()))


def identity(cell: Cell, location: Location, device_type: str) -> dict[str, Any]:
    """What a record says of its cell before anything has run; a failed cell's record is little else.

    It is taken when the run is planned: code that is edited while a cell trains is not the code that trains it.
    """
    parts = key_parts(cell, location, device_type)
    head, dirty = commit()
    return {
        "commit": head,
        "dirty": dirty,
        "key": key_of(parts),
        "key_parts": parts,
        "keys_below": keys_below(cell, location, device_type),
        "architecture": cell.architecture,
        "dataset": location.name,
        "folder": data_sets.get(cell.dataset).folder_name,
        "source": location.source,
        "suite": cell.suite,
        "size": cell.size,
        "seed": cell.seed,
        "fold": cell.fold,
        "kind": cell.kind,
        "protocol": cell.protocol.as_dict(),
        "asked": asked_with(cell, location),
    }


def asked_with(cell: Cell, location: Location) -> list[str]:
    """The words with which `run` makes this cell: DIR stands for the folder of one's own data."""
    words = [*(cell.asked or ("--suite", cell.suite)), "--architectures", cell.architecture, "--datasets", cell.dataset]
    own = ["--data", "DIR"] if location.own_twin is None else []
    own += ["--allow-leaks"] if cell.allow_leaks else []
    return [*words, *own, *(word for given in _weights_asked_with(cell) for word in ("--weights", given))]


def _weights_asked_with(cell: Cell) -> list[str]:
    """The words of `--weights` that matter to a cell: its own, its members', and those of all that they start from."""
    trained = [cell, *members_of(cell)] if cell.weights else []
    names = [other.architecture for each in trained for other in (each, *lenders_of(each))]
    return list(dict.fromkeys(weights.asked for name in names for weights in of(name, cell.weights)))
