"""`python -m ferbench`, where it is installed; in the checkout `python -m benchmark` is the same program."""

from ferbench.benchmark.cli import main

main()
