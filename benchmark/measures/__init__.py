"""What a number means: metrics, intervals and tests, cost of a model, floors and oracle, fusion.

Functions of arrays and models.
"""
