"""Kept weights on pictures and videos of people's own: expressions over time.

Knows `learning/` and what lies below it; nothing of it leaves the machine, and pictures are written only where asked.
"""
