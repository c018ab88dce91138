"""Making a .venv, or completing it: an empty environment, pip, the locked packages, tracekit itself."""

from __future__ import annotations

import configparser
import csv
import hashlib
import html
import os
import re
import selectors
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import venv as stdlib_venv
from collections.abc import Callable
from pathlib import Path

from bootstrap.saying import Progress, SetUpError, say
from bootstrap.stamps import LOCKS, MADE, ask_python, is_current, is_usable, made_by, python_of, stamp_of, stamp_text

# For a Debian without python3-venv, whose Python cannot put pip into a new environment.
PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
PUBLIC_INDEX = "https://pypi.org/simple"

# How to reach an index is the user's to say; other PIP_ settings (user, target, no-binary) break the set-up.
PIP_KEPT = {
    *(
        "INDEX_URL",
        "EXTRA_INDEX_URL",
        "NO_INDEX",
        "FIND_LINKS",
        "TRUSTED_HOST",
        "KEYRING_PROVIDER",
        "CONFIG_FILE",
    ),
    *("CERT", "CLIENT_CERT", "PROXY", "TIMEOUT", "DEFAULT_TIMEOUT", "RETRIES", "CACHE_DIR", "NO_CACHE_DIR"),
}


def bring_up(root: Path, venv: Path, kind: str, held: int) -> None:
    """Makes `venv` what `kind` asks for; the caller holds the lock whose file descriptor is `held`."""
    started = time.monotonic()
    stamps = [stamp_of(venv, each) for each in LOCKS]
    if not is_usable(venv):
        create(venv)
    elif not is_current(root, venv, "runtime"):
        say("1/3: completing .venv")
        damaged = drop_damaged(site_packages(venv))
        if damaged:
            say(f"1/3: to be installed again: {', '.join(sorted(damaged))}")
        if any(name.startswith("pip-") for name in damaged) or not list(site_packages(venv).glob("pip-*.dist-info")):
            put_pip_into(venv)
    for stamp in stamps:
        remove(stamp)
    (venv / "set-up.log").write_bytes(b"")
    pip_install(venv, root / LOCKS[kind], held)
    install_tracekit(root, venv)
    unfinished = venv / ".tracekit-unfinished"
    unfinished.write_text(stamp_text(root, venv, kind))
    unfinished.replace(stamp_of(venv, kind))
    say(f"done in {time.monotonic() - started:.0f} s")


def create(venv: Path) -> None:
    """An empty environment with pip in it, at `venv`, in place of whatever is there."""
    say("1/3: {} .venv ({} at {})".format("making anew" if venv.exists() else "creating", version(), sys.executable))
    remove(venv)
    stdlib_venv.EnvBuilder(with_pip=False, symlinks=True).create(venv)
    put_pip_into(venv)
    (venv / MADE).write_text(made_by(venv, ask_python(python_of(venv))))


def version() -> str:
    return "Python {}.{}.{}".format(*sys.version_info[:3])


def put_pip_into(venv: Path) -> None:
    log = venv / "set-up.log"
    python = str(python_of(venv))
    if run_logged([python, "-I", "-m", "ensurepip", "--default-pip"], log) == 0:
        # Python 3.11 adds setuptools, whose .pth file runs code at the start of every measured process.
        run_logged([python, "-I", "-m", "pip", "uninstall", "--yes", "setuptools"], log)
        return
    say(f"1/3: this Python has no ensurepip (Debian's python3-venv); fetching {PIP_WHEEL}")
    wheel = venv / PIP_WHEEL
    wheel.write_bytes(download_pip(index_url()))
    command = [python, "-I", f"{wheel}/pip", "install", "--no-index", "--no-deps", str(wheel)]
    if run_logged(command, log) != 0:
        raise SetUpError(f"pip could not be put into .venv\n{tail(log)}", "apt install python3-venv, then again")
    wheel.unlink()


def index_url() -> str:
    """The index that pip itself would ask: PIP_INDEX_URL, pip's configuration files, the public one."""
    if os.environ.get("PIP_INDEX_URL"):
        return os.environ["PIP_INDEX_URL"]
    files = configparser.RawConfigParser()
    config_home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    places = [Path("/etc/pip.conf"), Path.home() / ".pip" / "pip.conf", config_home / "pip" / "pip.conf"]
    try:
        files.read([*places, os.environ.get("PIP_CONFIG_FILE", os.devnull)])
    except configparser.Error:
        return PUBLIC_INDEX
    return files.get("global", "index-url", fallback=PUBLIC_INDEX)


def download_pip(index: str) -> bytes:
    """The pinned pip wheel from `index`, checked against the hash above."""
    try:
        import ssl  # noqa: PLC0415 - a Python may be built without it, and have ensurepip
    except ImportError as error:
        raise SetUpError(f"this Python cannot download {PIP_WHEEL}: {error}", "apt install python3-venv") from error
    page = f"{index.rstrip('/')}/pip/"
    trust = ssl.create_default_context(cafile=os.environ.get("PIP_CERT") or None)
    try:
        with urllib.request.urlopen(page, timeout=30, context=trust) as answer:
            text = answer.read().decode()
        link = re.search(rf'href="([^"]*{re.escape(PIP_WHEEL)})[#"]', text)
        if link is None:
            raise SetUpError(f"{page} has no {PIP_WHEEL}", "apt install python3-venv, then run the same command again")
        url = urllib.parse.urljoin(page, html.unescape(link.group(1)))
        with urllib.request.urlopen(url, timeout=60, context=trust) as answer:
            wheel: bytes = answer.read()
    except (OSError, ValueError) as error:
        raise unreachable(str(error)) from error
    if hashlib.sha256(wheel).hexdigest() != PIP_SHA256:
        raise SetUpError(f"{url} is not the file it should be: its sha256 is not {PIP_SHA256}", "try another index")
    return wheel


def unreachable(why: str) -> SetUpError:
    return SetUpError(
        f"the package index cannot be reached: {why}",
        "check the network (or PIP_INDEX_URL, HTTPS_PROXY), then run the same command again",
    )


def clean_environment() -> dict[str, str]:
    """The environment for pip: without other Pythons, an activated environment, or pip options."""
    kept = {}
    for key, value in os.environ.items():
        if key.startswith("PIP_") and key[4:] not in PIP_KEPT:
            continue
        if key.startswith(("PYTHON", "CONDA_", "VIRTUAL_ENV")) or key == "__PYVENV_LAUNCHER__":
            continue
        kept[key] = value
    # A configuration file may say the same things.
    kept.update(PIP_USER="0", PIP_REQUIRE_VIRTUALENV="0", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1")
    return kept


def run_logged(command: list[str], log: Path) -> int:
    with log.open("ab") as out:
        return subprocess.call(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=clean_environment())


def site_packages(venv: Path) -> Path:
    return next((venv / "lib").glob("python3*/site-packages"))


def drop_damaged(packages: Path) -> list[str]:
    """Makes pip forget, and so install again, every package with a file missing or cut short; their names.

    A killed pip leaves packages that it would take for installed, as their metadata is there.
    """
    damaged = []
    for info in packages.glob("*.dist-info"):
        if not is_whole(info):
            remove(info)
            damaged.append(info.name[: -len(".dist-info")])
    for leftover in packages.glob("~*"):
        remove(leftover)
    return damaged


def is_whole(info: Path) -> bool:
    try:
        with (info / "RECORD").open(newline="") as record:
            for name, _hash, size in csv.reader(record):
                if size and (info.parent / name).stat().st_size != int(size):
                    return False
    except (OSError, ValueError):
        return False
    return (info / "METADATA").is_file() and (info / "INSTALLER").is_file()


def pip_install(venv: Path, lock: Path, held: int) -> None:
    """Installs `lock`; pip keeps the file descriptor `held`, so that it never outlives our lock."""
    total = len(re.findall(r"^[A-Za-z0-9].*==", lock.read_text(), re.MULTILINE))
    say(f"2/3: installing {total} packages from {lock.name}")
    # --no-deps: the lock is complete; --only-binary: nothing is built, so nothing unlocked is run.
    command = [str(python_of(venv)), "-I", "-m", "pip", "install", "--require-hashes", "--no-deps"]
    command += ["--only-binary=:all:", "--no-compile", "--progress-bar=off", "--no-color", "-r", str(lock)]
    log = venv / "set-up.log"
    progress = Progress(site_packages(venv), total)
    with log.open("ab") as out:
        pip = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=clean_environment(),
            pass_fds=(held,),
        )
        watch(pip, out.write, progress)
    progress.close()
    if pip.returncode != 0:
        raise explain(log)


def watch(pip: subprocess.Popen[bytes], keep: Callable[[bytes], object], progress: Progress) -> None:
    assert pip.stdout is not None
    output = pip.stdout.fileno()
    rest = b""
    with pip, selectors.DefaultSelector() as ready:
        ready.register(output, selectors.EVENT_READ)
        while True:
            if not ready.select(timeout=0.5):
                progress.tick()
                continue
            chunk = os.read(output, 65536)
            if not chunk:
                break
            keep(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                progress.line(line.decode(errors="replace").strip())


def tail(log: Path, lines: int = 15) -> str:
    return "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-lines:])


def explain(log: Path) -> SetUpError:
    """Why pip failed, from its own words."""
    words = log.read_text(errors="replace")
    lost = re.findall(r"Retrying \(.*?broken by '(.*)': ", words)
    if (lost and "Could not find a version" in words) or "Max retries exceeded" in words:
        return unreachable(re.sub(r"^.*?: ", "", lost[-1]) if lost else "no answer")
    return SetUpError(f"pip failed; the end of {log}:\n{tail(log)}", "run the same command again: it goes on from here")


def install_tracekit(root: Path, venv: Path) -> None:
    say("3/3: installing tracekit itself, compiling")
    log = venv / "set-up.log"
    python = [str(python_of(venv)), "-I", "-m"]
    # --no-index: what it needs to be built came with the lock.
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--editable", str(root)]
    if run_logged([*python, "pip", "install", *options], log) != 0:
        raise explain(log)
    # Its exit code is not asked: packages ship files for other Pythons. Their tests are never imported here.
    run_logged(
        [
            *python,
            "compileall",
            "-q",
            "-j",
            "0",
            "-x",
            r"/site-packages/.*/tests?/",
            str(site_packages(venv)),
        ],
        log,
    )


def remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
