"""Where a trained model looks: relevance of each pixel, as pictures, and measured on twins, where the truth is known.

Knows `learning/` and what lies below it.
"""
