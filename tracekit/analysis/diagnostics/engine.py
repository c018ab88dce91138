"""Runs every diagnostic on a recorded program and ranks what they found."""

from __future__ import annotations

from dataclasses import dataclass

from tracekit.analysis.diagnostics import DIAGNOSTICS
from tracekit.analysis.diagnostics.evidence import Evidence
from tracekit.analysis.diagnostics.finding import Diagnostic, Finding
from tracekit.analysis.tables import records
from tracekit.core.units import format_ns

MOST_SAID = 5
"""Findings beyond these stay in the tables: who has more than five things to do does none of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the diagnostics found: what is said, most time first, and how many findings are left out."""

    said: tuple[Finding, ...]
    unsaid: int

    def is_about(self, *names: str) -> bool:
        """Whether one of these diagnostics is said."""
        return any(finding.diagnostic in names for finding in self.said)


KINDS = {
    "gil": "the GIL",
    "gil-switch": "the next holder of the GIL",
    "lock": "locks",
    "io-read": "reads",
    "io-write": "writes",
    "poll": "polls",
    "child-wait": "child processes",
}
"""What threads wait for -> its name in a sentence."""


def load_diagnostic(name: str) -> Diagnostic:
    """The diagnostic of that name, or of `module:attribute`. Raises UsageError."""
    found: Diagnostic = DIAGNOSTICS.load(name)
    return found


def diagnose(evidence: Evidence) -> Diagnosis:
    """The findings about one run of a recorded program, as far as they pass the threshold (`Evidence.least_ns`)."""
    if not evidence.wall_ns:
        return Diagnosis(said=(), unsaid=0)
    found = [finding for name in DIAGNOSTICS for finding in load_diagnostic(name).look(evidence)]
    told = [finding for finding in found if finding.weight_ns >= evidence.least_ns]
    ranked = sorted(told, key=lambda finding: -finding.weight_ns)
    return Diagnosis(said=tuple(ranked[:MOST_SAID]), unsaid=len(ranked[MOST_SAID:]))


def describe_longest(evidence: Evidence) -> str:
    """What is said of a run in which nothing was found."""
    waits = evidence.waits
    waits = waits[(~waits["idle"] & (waits["kind"] != "sleep")).to_numpy(bool)]
    sums = waits.groupby(["pid", "tid", "kind"], observed=True)["dur_ns"].sum().reset_index()
    rows = records(sums.sort_values("dur_ns", ascending=False).iloc[:1])
    if not rows:
        return "Its threads waited for nothing but work and sleep."
    longest = rows[0]
    who = f"{evidence.thread(longest['pid'], longest['tid'])}, for {KINDS[longest['kind']]}"
    if longest["dur_ns"] < evidence.least_ns:
        return (
            f"Nothing kept it waiting: apart from work and sleep, no thread waited for one thing longer than "
            f"{format_ns(longest['dur_ns'])} in all ({who})."
        )
    columns = ["pid", "tid", "kind"]
    own = waits.merge(sums.loc[[sums["dur_ns"].idxmax()], columns], on=columns).astype(
        {"function": "str", "file": "str"}
    )
    sites = own.groupby(["function", "file"], dropna=False)["dur_ns"].sum().reset_index()
    (site,) = records(sites.nlargest(1, "dur_ns"))
    where = evidence.site(site["function"], site["file"], leading=", mostly")
    return (
        f"No diagnostic explains this run. Apart from work and sleep, the longest that a thread waited for one thing "
        f"was {format_ns(longest['dur_ns'])} in all ({who}{where}): see the wait sites."
    )
