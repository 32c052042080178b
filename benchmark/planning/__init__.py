"""What is asked for: suites and their cells, the registries, where data lie, official weights.

Imports neither torch nor an architecture until one is asked for.
"""
