"""The shipped starting weights: their pretraining, the faces for it, and what they know of real faces.

May know how cells are trained; no cell knows how these weights were made.
"""
