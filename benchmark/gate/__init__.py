"""Regressions: did a change make an architecture worse, dearer or slower? Numbers in, verdicts out.

`runs` runs the cells and `side_by_side` takes the times; all else here reads records and samples and runs no model.
"""
