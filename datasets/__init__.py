"""Data sets, one file each. A file that defines `DATASET` is found by being here."""
