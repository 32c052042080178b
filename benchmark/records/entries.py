"""Where rows lie that were not trained here."""

ENTRIES = "entries"
"""In the place of a suite: they join the tables of the suites that ask the same."""
