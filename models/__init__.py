"""Architectures, one file each. A file that defines `ARCHITECTURE` is found by being here."""
