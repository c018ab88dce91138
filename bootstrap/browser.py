"""Makes sure of a Chromium for the browser tests; installs Debian's where that needs nobody's password.

    python3 bootstrap/browser.py [--require]

Without one the browser tests are skipped, so this says how to get it and exits 0; with --require it exits 1.
TRACEKIT_INSTALL_BROWSER=0 keeps it from installing anything.
"""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGE = "chromium"
COMMAND = f"sudo apt-get install --no-install-recommends {PACKAGE}"
# The first boot of a machine often has its own apt running; a mirror may hang up once.
PATIENCE = ("-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3", "-q")


def found() -> str | None:
    """The path of a browser that the tests can drive."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def becoming_root() -> list[str] | None:
    """What to put before a command to run it as root without a password; None if that cannot be done."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.call(["sudo", "-n", "true"], stderr=subprocess.DEVNULL) == 0:
        return ["sudo", "-n"]
    return None


def install() -> str:
    """Installs Debian's package; "" or why that could not be done."""
    as_root = becoming_root()
    if os.environ.get("TRACEKIT_INSTALL_BROWSER") == "0":
        return "TRACEKIT_INSTALL_BROWSER=0 says not to install one"
    if shutil.which("apt-get") is None:
        return "there is no apt-get to install one with"
    if as_root is None:
        return "installing one needs root"
    sys.stderr.write(f"browser: installing Debian's {PACKAGE}, for the browser tests\n")
    apt = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *PATIENCE]
    for step in (["update"], ["install", "-y", "--no-install-recommends", PACKAGE]):
        done = subprocess.run(
            [*apt, *step],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        # A failed update (one dead mirror of many) need not stop the install.
        if done.returncode != 0 and step[0] == "install":
            sys.stderr.write("".join(f"    {line}\n" for line in done.stdout.decode().splitlines()[-10:]))
            return f"apt-get install {PACKAGE} failed"
    return "" if found() else f"{PACKAGE} was installed but is not on PATH"


def main(arguments: list[str]) -> int:
    if found():
        return 0
    why = install()
    if not why:
        return 0
    sys.stderr.write(f"browser: none found, and {why}; this enables the browser tests: {COMMAND}\n")
    return 1 if "--require" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
