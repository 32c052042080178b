"""What is kept and where it comes from: records, code and machine behind them, the cache, files written whole.

The ground floor: knows no room above it.
"""
