"""Rows that were not trained here: what a test part asks, cards, how answers are checked and scored.

Knows `cell.py` and what lies below it; an entry joins the board as records do.
"""
