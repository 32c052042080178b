"""From a batch to a trained model: recipes, the loop, features of frozen parts, weights that are lent.

Knows models and data sets; knows no suite, no registry and no record.
"""
