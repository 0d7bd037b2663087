"""The doctor of catalogs: `examine` each song, `diagnose` them all, read the report. It judges and stops nothing."""

from jukebox_pl.catalog.doctor.checks import ExaminedSong, Finding
from jukebox_pl.catalog.doctor.diagnose import diagnose
from jukebox_pl.catalog.doctor.duplicates import Duplicate, find_duplicates
from jukebox_pl.catalog.doctor.examine import AudioStats, examine
from jukebox_pl.catalog.doctor.report import Report, SongReport
from jukebox_pl.catalog.doctor.standards import Standards
from jukebox_pl.catalog.doctor.tables import Table, advice, tables

__all__ = [
    "AudioStats",
    "Duplicate",
    "ExaminedSong",
    "Finding",
    "Report",
    "SongReport",
    "Standards",
    "Table",
    "advice",
    "diagnose",
    "examine",
    "find_duplicates",
    "tables",
]
