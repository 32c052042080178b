"""Cells -> finished cells: the scheduler, its worker processes, what a run says while it works.

Knows `cell.py` as one function that makes a record; knows no architecture and no metric.
"""
