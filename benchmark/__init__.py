"""The harness: what happens to an architecture and a data set (start with `cell.py`, the way of one cell from top to
bottom).

Imports go down this list only; `make lint` sees to it: cli, commands, gate, board, pretexts, transfer, tuning, running,
entries, cell, explaining, predicting, learning, measures, planning, records, errors.
"""
