"""Hatchling's build hook: compiles the probes into the package, for a wheel and for an editable install.

Without a compiler tracekit is whole but for the captures `waits` and `stages`, whose preflights say what is missing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Comes with hatchling, which depends on it.
from packaging.tags import platform_tags


class ProbeHook(BuildHookInterface[BuilderConfig]):
    """See the module."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        sys.path.insert(0, self.root)
        try:
            from tracekit.measure.probe import compile as probe  # noqa: PLC0415 - the root is on the path only now
        finally:
            sys.path.remove(self.root)
        reason = probe.supported()
        try:
            for each in () if reason else probe.PROBES:
                if not probe.is_current(each.library, each):
                    probe.compile_probe(each.library, probe=each)
        except probe.CannotCompile as error:
            reason = str(error)
        if reason:
            self.app.display_warning(f"tracekit is built without its probes: {reason}")
            return
        root = Path(self.root)
        build_data["artifacts"] += [str(each.library.relative_to(root)) for each in probe.PROBES]
        if version != "editable":
            # Any Python 3, this machine's kind: the libraries are not tied to a Python's ABI.
            build_data["pure_python"] = False
            platform = next(tag for tag in platform_tags() if tag.startswith("linux_"))
            build_data["tag"] = f"py3-none-{platform}"
