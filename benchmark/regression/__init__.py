"""The regression gate: did a change make an architecture worse, dearer or slower?

Numbers in, verdicts out. `accuracy` and `cost` read records, `latency` reads timed samples, `chance` turns reruns into
margins, `baseline` is what is committed and compared with, `report` says the outcome. Nothing here runs a model:
`benchmark.gate` runs the cells and `benchmark.side_by_side` takes the times.
"""

from benchmark.regression.accuracy import Limits, compare_cells, compare_groups, judge
from benchmark.regression.baseline import Baseline, NoBaselineError, read_baseline
from benchmark.regression.cost import compare_costs
from benchmark.regression.latency import compare_times
from benchmark.regression.verdict import Mark, Outcome, Verdict

__all__ = [
    "Baseline",
    "Limits",
    "Mark",
    "NoBaselineError",
    "Outcome",
    "Verdict",
    "compare_cells",
    "compare_costs",
    "compare_groups",
    "compare_times",
    "judge",
    "read_baseline",
]
