"""Architectures, one file each. A file that defines `ARCHITECTURE` is found by being here."""

if __name__ != "ferbench.models":
    from ferbench.namesakes import give_way

    give_way(__name__)
