"""Find a Chromium for the browser tests, or install Debian's where that needs no password.

    python3 bootstrap/browser.py [--require]

Without one the browser tests are skipped, so this only prints how to get one; with --require it exits 1.
TRACEKIT_INSTALL_BROWSER=0 keeps it from installing anything.
"""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL = ("apt-get", "install", "-y", "--no-install-recommends", "chromium")
# A machine that has just booted often runs its own apt; a mirror may hang up once.
PATIENCE = ("-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3", "-q")


def is_there() -> bool:
    return any(map(shutil.which, NAMES))


def install() -> str:
    """Install Debian's package; return why that could not be done, or ""."""
    if os.environ.get("TRACEKIT_INSTALL_BROWSER") == "0":
        return "TRACEKIT_INSTALL_BROWSER=0 forbids installing one"
    if shutil.which("apt-get") is None:
        return "there is no apt-get to install one with"
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if sudo and (not shutil.which("sudo") or subprocess.call([*sudo, "true"], stderr=subprocess.DEVNULL)):
        return "installing one needs root"
    sys.stderr.write("browser: installing Debian's chromium, for the browser tests\n")
    # A failed update (one dead mirror of many) need not stop the install.
    for step in (("apt-get", "update"), INSTALL):
        command = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", *step, *PATIENCE]
        apt = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if apt.returncode != 0:
        sys.stderr.write("".join(f"    {line}\n" for line in (apt.stdout + apt.stderr).splitlines()[-10:]))
        return "apt-get install chromium failed"
    return "" if is_there() else "chromium was installed but is not on PATH"


def main(arguments: list[str]) -> int:
    reason = "" if is_there() else install()
    if not reason:
        return 0
    sys.stderr.write(f"browser: none found, and {reason}; to enable the browser tests: sudo {' '.join(INSTALL)}\n")
    return 1 if "--require" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
