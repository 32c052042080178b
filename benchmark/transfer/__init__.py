"""Models of one data set tested on others, over the classes that both have: which pairs, how, and the record of each.

Knows `running/` and what lies below it.
"""
