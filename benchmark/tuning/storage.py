"""Where a search is kept: a journal that several processes append to, and from which a search goes on."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ferbench.benchmark.errors import RequestError

if TYPE_CHECKING:
    import optuna

JOURNAL = "study.journal"
FIRST_AT_RANDOM = 8
"""Trainings of a row, that of its recipe by hand among them, before the sampler models anything."""
UNPRUNED = 4
"""Trainings of a row, by hand among them, that end by themselves before any is compared with their median."""
UNPRUNED_STEPS = 2
"""Of the first stage's ten looks, those at which nothing is decided yet."""


def refuse_without_optuna() -> None:
    """Raises RequestError where Optuna is not installed, which is an extra."""
    if find_spec("optuna") is None:
        raise RequestError("tune needs Optuna, which is not installed: pip install 'ferbench[tune]'")


@lru_cache(maxsize=4)  # a worker tries many recipes of one study, and reads on in its journal
def storage_in(journal: Path) -> optuna.storages.JournalStorage:
    """The storage of a journal, which is made when it is not there.

    Raises:
        RequestError: the file cannot be read or written, or is no journal.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        return optuna.storages.JournalStorage(JournalFileBackend(str(journal)))
    except OSError as error:
        raise RequestError(f"{journal}: the study cannot be kept there ({error.strerror}): use --study DIR") from None
    except Exception as error:
        raise RequestError(f"{journal}: not a journal of a search ({error}): use another --study DIR") from None


def study_in(journal: Path, name: str) -> optuna.Study:
    """The study of a name, which is made when it is not there."""
    import optuna

    pruner = optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED, n_warmup_steps=UNPRUNED_STEPS)
    return optuna.create_study(
        storage=storage_in(journal), study_name=name, load_if_exists=True, direction="maximize", pruner=pruner,
        sampler=sampler(0),
    )  # fmt: skip


def sampler(seed: int) -> optuna.samplers.TPESampler:
    """What proposes the next recipe. One dimension at a time: what a few trials say of pairs is chance."""
    import optuna

    return optuna.samplers.TPESampler(
        seed=seed % 2**32, n_startup_trials=FIRST_AT_RANDOM, multivariate=False, constant_liar=True
    )
