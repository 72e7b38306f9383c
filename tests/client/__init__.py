"""Tests of torizon_io_api against a small server that answers what it is told to."""
