"""A catalog of songs made in memory, for whoever has none at hand."""

from datamodules.demo.songs import COLUMNS, PEAK, WORDS, make_song, write_demo_catalog

__all__ = ["COLUMNS", "PEAK", "WORDS", "make_song", "write_demo_catalog"]
