"""The one name of this project when it is installed: `ferbench.benchmark`, `ferbench.models`, `ferbench.datasets`.

In the checkout the three are links to the folders beside this one. Code imports them by these names only: no
module is ever loaded twice, and nothing of this project is in the way of another package named `datasets` or `models`.
"""

import sys

from ferbench.namesakes import leave_names

leave_names(sys.path)
