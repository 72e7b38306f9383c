"""Proofs too heavy for every test run: kills, races, a full disk, restarts under load.

Each works on real servers over loopback and is seeded; `python -m prove` runs them and prints the seed.
tests/prove runs short versions of them.
"""
