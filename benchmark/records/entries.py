"""Where rows lie that were not trained here."""

ENTRIES = "entries"
"""In the place of a suite: they join the tables of the suites that ask the same."""
CARD = "card.json"
"""Of an entry, beside its folds."""
ENTRY, SEEN_TEST = "entry", "entry that has seen the test part"
"""Kinds of such rows; the second has no rank."""

TRAINED_HERE, RUN_HERE, SCORED_HERE = "trained here", "run here", "scored here"
"""Tiers: how the numbers of a row came to be. Trained here; foreign weights that this harness ran; foreign answers that
it scored."""
