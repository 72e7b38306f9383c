"""Otarium: a self-hosted package repository for over-the-air updates."""

__version__ = "0.1.0"
