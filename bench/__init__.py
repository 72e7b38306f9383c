"""Benchmarks: figures measured beside the limit of the machine they run on.

Absolute numbers of a shared machine say little, so everything that has a target is a ratio to something
measured in the same run, in alternation; medians are reported. `python -m bench` runs them.
"""
