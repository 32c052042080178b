"""The same search for a recipe for every row: as many trials, as long each, on validation parts alone.

It may use whatever runs cells, and knows nothing of boards and gates.
"""
