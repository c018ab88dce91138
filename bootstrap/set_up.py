"""The set-up: an empty environment in .venv, pip, the packages of a lock file, tracekit itself.

A stamp in .venv, removed while pip installs and written last, says what .venv was made from. So a .venv that is half
installed, was moved or has lost its Python is made anew (pip keeps what it fetched), and an outdated one is completed.
Progress goes to stderr, pip's own output to .venv/set-up.log.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

LOCKS = {"runtime": "requirements.lock", "dev": "requirements-dev.lock"}

# For a Debian without python3-venv, whose Python cannot put pip into a new environment.
PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"

# The user decides how an index is reached; pip's other settings (user, target, no-binary) would break the set-up.
PIP_KEPT = re.compile(
    "PIP_(INDEX_URL|EXTRA_INDEX_URL|NO_INDEX|FIND_LINKS|TRUSTED_HOST|KEYRING_PROVIDER|CONFIG_FILE|CERT|CLIENT_CERT|PROXY"
    "|TIMEOUT|DEFAULT_TIMEOUT|RETRIES|CACHE_DIR|NO_CACHE_DIR)$"
)
DROPPED = re.compile("PIP_|PYTHON|CONDA_|VIRTUAL_ENV|__PYVENV")
PIP_SETTINGS = {
    "PIP_USER": "0",
    "PIP_REQUIRE_VIRTUALENV": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
}

# What pip prints when it has fetched everything.
INSTALLING = "\nInstalling collected packages"


class SetUpError(Exception):
    """The set-up cannot go on. Its arguments: what happened, and the remedy."""


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in LOCKS:
        sys.stderr.write("usage: venv.py runtime|dev\n")
        return 2
    try:
        set_up(Path(__file__).resolve().parent.parent, arguments[0])
    except SetUpError as failure:
        sys.stderr.write("set-up: {}\n  {}\n".format(*failure.args))
        return 4
    except OSError as error:
        sys.stderr.write(f"set-up: {error}\n  make room or allow writing there, then run the same command again\n")
        return 4
    except KeyboardInterrupt:
        say("interrupted; the same command starts it again")
        return 130
    return 0


def say(text: str) -> None:
    sys.stderr.write(f"set-up {text}\n")


def set_up(root: Path, kind: str) -> None:
    """Bring `root`/.venv up to date for `kind`, one process at a time."""
    if is_current(root, kind):
        return
    # Beside .venv, not in it, as .venv itself may be removed and made anew.
    with (root / ".venv.lock").open("a") as turn:
        try:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting for another set-up of this folder to finish")
            fcntl.flock(turn, fcntl.LOCK_EX)
        if not is_current(root, kind):
            bring_up_to_date(root, kind, turn)


def bring_up_to_date(root: Path, kind: str, turn: IO[str]) -> None:
    started = time.monotonic()
    venv = root / ".venv"
    if is_usable(venv):
        say("1/3: completing .venv")
    else:
        create(venv)
    stamp_of(venv).unlink(missing_ok=True)
    try:
        install_packages(venv, root / LOCKS[kind], turn)
    except SetUpError:
        # While it fetches, pip changes nothing: a lost network costs no more than another try.
        if INSTALLING not in (venv / "set-up.log").read_text(errors="replace"):
            write_stamp(venv, describe_origin(venv))
        raise
    write_stamp(venv, describe_origin(venv))
    install_tracekit(root)
    write_stamp(venv, make_stamp(root, kind))
    say(f"done in {time.monotonic() - started:.0f} s")


# -- what .venv was made from; read at every `make`, so it must be quick ----------------------------------------------


def stamp_of(venv: Path) -> Path:
    return venv / ".tracekit-stamp"


def write_stamp(venv: Path, text: str) -> None:
    unfinished = venv / ".tracekit-unfinished"
    unfinished.write_text(text)
    unfinished.replace(stamp_of(venv))


def is_current(root: Path, kind: str) -> bool:
    """Whether `root`/.venv is up to date. One for `dev` holds every package of `runtime`, in the same version."""
    with contextlib.suppress(OSError):
        return stamp_of(root / ".venv").read_text() in {make_stamp(root, each) for each in (kind, "dev")}
    return False


def is_usable(venv: Path) -> bool:
    """Whether `venv` was completed at this place by a Python that still runs and is still the same."""
    with contextlib.suppress(OSError):
        return stamp_of(venv).read_text().startswith(describe_origin(venv))
    return False


def make_stamp(root: Path, kind: str) -> str:
    # The probes are compiled when tracekit is installed: again when a source changes or a compiler is there now.
    digest = hashlib.sha256(b"compiler" if find_compiler() else b"")
    for part in (
        root / LOCKS[kind],
        root / "pyproject.toml",
        *sorted((root / "tracekit/measure/probe").glob("*.[ch]")),
    ):
        content = part.read_bytes()
        digest.update(b"%d\n" % len(content) + content)
    return f"{describe_origin(root / '.venv')}{kind} {digest.hexdigest()}\n"


def describe_origin(venv: Path) -> str:
    """The version of `venv`'s Python, and the folder, which its scripts name. Raises OSError if it does not run."""
    code = "import os, sys; print(sys.implementation.cache_tag + getattr(sys, 'abiflags', ''), os.uname().machine)"
    # -I -S: without its site-packages, which may be broken.
    run = subprocess.run([venv / "bin/python", "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise OSError(f"{venv}/bin/python does not run")
    return f"{run.stdout}{venv}\n"


def find_compiler() -> str | None:
    return next(filter(None, map(shutil.which, [*os.environ.get("CC", "").split()[:1], "cc", "gcc", "clang"])), None)


# -- an environment with pip ------------------------------------------------------------------------------------------


def create(venv: Path) -> None:
    """Make an empty environment with pip at `venv`, in place of whatever is there."""
    version = "{}.{}.{}".format(*sys.version_info[:3])
    say(f"1/3: {'making anew' if os.path.lexists(venv) else 'creating'} .venv (Python {version} at {sys.executable})")
    try:
        from venv import EnvBuilder  # noqa: PLC0415 - a `make` with nothing to do does not pay for it
    except ImportError as error:
        raise SetUpError(f"this Python has no venv: {error}", "apt install python3-venv, then again") from error
    if venv.is_dir() and not venv.is_symlink():
        shutil.rmtree(venv)
    else:
        venv.unlink(missing_ok=True)
    EnvBuilder(with_pip=False, symlinks=True).create(venv)
    if run_logged(venv, "-m", "ensurepip", "--default-pip") == 0:
        # Python 3.11 adds setuptools, whose .pth file runs code at the start of every measured process.
        run_logged(venv, "-m", "pip", "uninstall", "--yes", "setuptools")
        return
    say(f"1/3: this Python has no ensurepip (Debian's python3-venv); fetching {PIP_WHEEL}")
    wheel = venv / PIP_WHEEL
    wheel.write_bytes(download_pip(os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple"))
    if run_logged(venv, f"{wheel}/pip", "install", "--no-index", "--no-deps", str(wheel)) != 0:
        raise explain_failure(venv)
    wheel.unlink()


def download_pip(index: str) -> bytes:
    """Fetch the pinned pip from a package index and check its hash."""
    import urllib.parse  # noqa: PLC0415 - only where ensurepip is missing
    import urllib.request  # noqa: PLC0415 - the same

    page = f"{index.rstrip('/')}/pip/"
    try:
        import ssl  # noqa: PLC0415 - a Python may be built without it

        context = ssl.create_default_context(cafile=os.environ.get("PIP_CERT") or None)
        with urllib.request.urlopen(page, timeout=30, context=context) as response:
            link = re.search(rf'href="([^"]*{re.escape(PIP_WHEEL)})[#"]', response.read().decode())
        if link is None:
            raise SetUpError(f"{page} has no {PIP_WHEEL}", "apt install python3-venv, then run the same command again")
        url = urllib.parse.urljoin(page, link[1].replace("&amp;", "&"))
        with urllib.request.urlopen(url, timeout=60, context=context) as response:
            wheel: bytes = response.read()
    except (ImportError, OSError, ValueError) as error:
        raise explain_no_answer(f"{page}: {error}", "apt install python3-venv, or ") from error
    if hashlib.sha256(wheel).hexdigest() != PIP_SHA256:
        raise SetUpError(f"{url} is not the file it should be: its sha256 is not {PIP_SHA256}", "try another index")
    return wheel


# -- the packages -----------------------------------------------------------------------------------------------------


def clean_environment() -> dict[str, str]:
    """The environment for pip: without other Pythons, an activated environment, or pip options."""
    kept = {key: value for key, value in os.environ.items() if PIP_KEPT.match(key) or not DROPPED.match(key)}
    return {**kept, **PIP_SETTINGS}


def run_logged(venv: Path, *arguments: str) -> int:
    with (venv / "set-up.log").open("ab") as log:
        command = [str(venv / "bin/python"), "-I", *arguments]
        return subprocess.call(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment())


def install_packages(venv: Path, lock: Path, turn: IO[str]) -> None:
    """Install what `lock` names. pip inherits the locked file `turn`, so that no other set-up begins while it runs."""
    total = len(re.findall(r"^[A-Za-z0-9].*==", lock.read_text(), re.MULTILINE))
    say(f"2/3: installing {total} packages from {lock.name}")
    # --no-deps: the lock is complete; --only-binary: nothing is built, so nothing unlocked is run.
    options = [
        "--require-hashes",
        "--no-deps",
        "--only-binary=:all:",
        "--no-compile",
        "--progress-bar=off",
        "--no-color",
    ]
    command = [str(venv / "bin/python"), "-I", "-m", "pip", "install", *options, "-r", str(lock)]
    log, present, shown, shown_at = venv / "set-up.log", count_packages(venv), "", time.monotonic()
    live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    with (
        log.open("wb") as out,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=clean_environment(),
            pass_fds=(turn.fileno(),),
        ) as pip,
    ):
        while pip.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                pip.wait(timeout=0.5)
            text = describe_progress(log.read_text(errors="replace"), total, count_packages(venv) - present)
            # One line that counts up on a terminal, a line now and then elsewhere.
            if text != shown and (live or time.monotonic() - shown_at > 3):
                shown, shown_at = text, time.monotonic()
                sys.stderr.write(f"\r\033[Kset-up 2/3: {text}" if live else f"set-up 2/3: {text}\n")
                sys.stderr.flush()
    sys.stderr.write("\r\033[K" if live else "")
    if pip.returncode != 0:
        raise explain_failure(venv)


def count_packages(venv: Path) -> int:
    return sum(1 for _ in venv.glob("lib/python3*/site-packages/*.dist-info"))


def describe_progress(output: str, total: int, installed: int) -> str:
    """How far pip is, by its output and the number of packages that are new."""
    if INSTALLING in output:
        return f"installing, {installed} done"
    if "Retrying (" in output.rpartition("\nCollecting")[2]:
        return "the package index does not answer, trying again"
    words = [line.split(" ", 1)[0] for line in output.splitlines()]
    return f"fetching {words.count('Collecting') + words.count('Requirement')}/{total - words.count('Ignoring')}"


def explain_failure(venv: Path) -> SetUpError:
    """Why pip failed, from its own output."""
    log = venv / "set-up.log"
    output = log.read_text(errors="replace")
    lost = re.findall(r"Retrying \(.*?broken by '(.*)': ", output)
    if (lost and "Could not find a version" in output) or "Max retries exceeded" in output:
        return explain_no_answer(re.sub(r"^.*?: ", "", lost[-1]).rstrip("')") if lost else "no answer")
    end = "\n".join(f"    {line}" for line in output.splitlines()[-15:])
    return SetUpError(f"pip failed; the end of {log}:\n{end}", "run the same command again when that is mended")


def explain_no_answer(reason: str, otherwise: str = "") -> SetUpError:
    remedy = "check the network (or PIP_INDEX_URL, HTTPS_PROXY), then run the same command again"
    return SetUpError(f"the package index cannot be reached: {reason}", otherwise + remedy)


def install_tracekit(root: Path) -> None:
    venv = root / ".venv"
    say("3/3: installing tracekit itself, compiling")
    # --no-index: what it needs to be built came with the lock.
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--editable", str(root)]
    if run_logged(venv, "-m", "pip", "install", *options) != 0:
        raise explain_failure(venv)
    # The exit code does not matter: packages ship files for other Pythons. Their tests are never imported here.
    run_logged(venv, "-m", "compileall", "-q", "-j", "0", "-x", r"/site-packages/.*/tests?/", str(venv / "lib"))
    if not find_compiler():
        say("3/3: there is no C compiler, so the captures waits and stages are unavailable;")
        sys.stderr.write("  to enable them: apt install gcc libc6-dev, then run the same command again\n")
