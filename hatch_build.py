"""Hatchling's build hook: compiles the probes for an editable install and for a wheel.

A wheel says what it needs: its tag is manylinux_2_17 if no symbol of its libraries is newer than glibc 2.17, else
linux. Without a compiler, or with TRACEKIT_WHEEL=pure, it is py3-none-any: tracekit then compiles the probes on first
use into the user's cache (tracekit/measure/probe/compile.py).
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

# Comes with hatchling, which depends on it.
from packaging.tags import platform_tags

MANYLINUX_GLIBC = (2, 17)
"""The oldest glibc that a wheel for the index may need: that of manylinux_2_17, also known as manylinux2014."""

_GLIBC = re.compile(r"GLIBC_(\d+(?:\.\d+)+)")


def read_needed_glibc(library: Path) -> tuple[int, ...]:
    """The newest version of glibc that a symbol of the library needs."""
    with library.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".gnu.version_r")
        assert isinstance(section, GNUVerNeedSection), library
        names = [version.name for _, versions in section.iter_versions() for version in versions]
    found = [_GLIBC.fullmatch(name) for name in names]
    # A name of another kind (GLIBC_ABI_DT_RELR) is of a new glibc too.
    return max(tuple(int(part) for part in match[1].split(".")) if match else (sys.maxsize,) for match in found)


def choose_tag(libraries: list[Path]) -> str:
    """The wheel's tag: any Python 3, as the libraries are not tied to a Python's ABI, and this kind of machine."""
    linux = next(tag for tag in platform_tags() if tag.startswith("linux_"))
    machine = linux.removeprefix("linux_")
    if max(read_needed_glibc(library) for library in libraries) <= MANYLINUX_GLIBC:
        return f"py3-none-manylinux_2_17_{machine}.manylinux2014_{machine}"
    return f"py3-none-{linux}"


class ReadmeHook(MetadataHookInterface):
    """The package's long description: README.md without its pictures and its links into the repository."""

    def update(self, metadata: dict[str, Any]) -> None:
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = re.sub(r"^!\[.*\]\(.*\)\n\n?", "", text, flags=re.MULTILINE)
        text = re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", text)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


class ProbeHook(BuildHookInterface[BuilderConfig]):
    """See the module."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        sys.path.insert(0, self.root)
        try:
            from tracekit.measure.probe import compile as probe  # noqa: PLC0415 - the root is on the path only now
        finally:
            sys.path.remove(self.root)
        if os.environ.get("TRACEKIT_WHEEL") == "pure":
            return
        editable = version == "editable"
        # A wheel's libraries are compiled for it: those in the tree fit this machine only.
        self._scratch = None if editable else tempfile.TemporaryDirectory()
        folder = Path(self._scratch.name) if self._scratch else probe.LIBRARIES
        reason = probe.explain_unsupported()
        libraries: list[Path] = []
        try:
            for each in () if reason else probe.PROBES:
                library = folder / each.installed.name
                libraries.append(library)
                if not probe.is_current(library, each):
                    probe.compile_probe(library, wanted=each)
        except probe.CannotCompile as error:
            reason = str(error)
        if reason:
            self.app.display_warning(f"tracekit is built without its probes: {reason}")
        elif not editable:
            target = probe.LIBRARIES.relative_to(self.root)
            build_data["force_include"].update({str(library): str(target / library.name) for library in libraries})
            build_data["pure_python"] = False
            build_data["tag"] = choose_tag(libraries)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if self._scratch is not None:
            self._scratch.cleanup()

    _scratch: tempfile.TemporaryDirectory[str] | None = None
