"""The verbs of the command line, one file each.

May know every room below; nothing but `cli.py` knows them.
"""
