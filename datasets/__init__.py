"""Data sets, one file each. A file that defines `DATASET` is found by being here."""

if __name__ != "ferbench.datasets":
    from ferbench.namesakes import give_way

    give_way(__name__)
