"""The doctor of catalogs: `examine` each song, `diagnose` them all, read the report. It judges and stops nothing."""

from jukebox_pl.catalog.doctor.advice import advice
from jukebox_pl.catalog.doctor.checks import Finding, Patient
from jukebox_pl.catalog.doctor.diagnose import diagnose
from jukebox_pl.catalog.doctor.duplicates import Duplicate, find_duplicates
from jukebox_pl.catalog.doctor.examine import Checkup, examine
from jukebox_pl.catalog.doctor.report import Report
from jukebox_pl.catalog.doctor.standards import Standards
from jukebox_pl.catalog.doctor.tables import Table, tables

__all__ = [
    "Checkup",
    "Duplicate",
    "Finding",
    "Patient",
    "Report",
    "Standards",
    "Table",
    "advice",
    "diagnose",
    "examine",
    "find_duplicates",
    "tables",
]
