"""What the doctor found, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from edge_harmony import __version__

FORMAT: Final = "edge_harmony.doctor.1"

OK: Final = "ok"  # there, and works
ABSENT: Final = "absent"  # not there; nothing that is needed
WARNING: Final = "warning"  # something is wrong with it, the main job does without
FAILED: Final = "failed"  # the main job needs it and cannot have it

READY_STEP: Final = "edge-harmony image COMPOSITE --mask MASK -o OUT   (all that is needed works)"


@dataclass(frozen=True)
class Finding:
    """What one probe came to.

    Attributes:
        name: of the probe, the same in every report.
        status: ``ok``, ``absent``, ``warning`` or ``failed``.
        found: what is there, such as a version; empty when nothing is.
        reason: why the status is not ``ok``; empty when it is.
        remedy: the one thing to do about it; empty when there is none.
        details: more, for programs: only what JSON holds.
        duration_ms: how long the probe took.
    """

    name: str
    status: str
    found: str = ""
    reason: str = ""
    remedy: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    duration_ms: float = 0.0


@dataclass(frozen=True)
class Report:
    """Every finding, in the order of the table."""

    findings: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        """Whether the main job can run: our model on ONNX Runtime, on the CPU."""
        return self["main job"].status == OK

    @property
    def next_step(self) -> str:
        """The one thing to do next."""
        return next_step(self.findings)

    def __getitem__(self, name: str) -> Finding:
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(name)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``; see ``edge_harmony.commands.doctor``."""
        return {
            "format": FORMAT,
            "version": __version__,
            "ready": self.ready,
            "next": self.next_step,
            "probes": [asdict(finding) for finding in self.findings],
        }


def next_step(findings: Sequence[Finding]) -> str:
    """What comes first: what keeps the main job from running; then what is wrong; then what a GPU still lacks."""
    for status in (FAILED, WARNING):
        for finding in findings:
            if finding.status == status and finding.remedy:
                return f"{finding.remedy}   ({finding.name}: {finding.reason})"
    by_name = {finding.name: finding for finding in findings}
    if "GPU" in by_name and by_name["GPU"].status == OK:
        for name in ("TensorRT", "pycuda", "engines", "TensorRT backend"):
            finding = by_name.get(name)
            if finding is not None and finding.status == ABSENT and finding.remedy:
                return f"{finding.remedy}   (so that the GPU does the work: {finding.reason})"
    return READY_STEP
