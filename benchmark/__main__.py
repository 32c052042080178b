"""`python -m benchmark`."""

from ferbench.benchmark.cli import main

main()
