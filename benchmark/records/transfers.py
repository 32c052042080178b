"""How the records of models that are tested on another data set are called."""

from __future__ import annotations

SUITE_ENDING = "-transfer"
"""What the name of the suite ends in that such records are in."""
TWIN = "-twin"
IN_DOMAIN = "in_domain"
"""Column of the predictions: what the same architecture answers that was trained on the data set itself; -1 where it
did not test the sample."""


def transfer_name(source: str, target: str) -> str:
    """`raf_db-to-ck_plus-twin`, of the names on the board; both are twins or neither is."""
    ending = TWIN if target.endswith(TWIN) else ""
    return f"{source.removesuffix(TWIN)}-to-{target.removesuffix(TWIN)}{ending}"
