"""What works on this machine, what does not and why, and what to do next.

``diagnose()`` gives a ``Report`` of one ``Finding`` for each probe. Importing this costs nothing: every library is
probed in a process of its own.
"""

from edge_harmony.doctor.diagnose import diagnose
from edge_harmony.doctor.report import Finding, Report

__all__ = ["Finding", "Report", "diagnose"]
