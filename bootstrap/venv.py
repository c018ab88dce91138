"""Makes .venv from a hash-locked file, adds to it or repairs it; does nothing when it is as it should be.

    python3 -I bootstrap/venv.py runtime|dev [--check]

Standard library only, no root. A stamp `.venv/.tracekit-<runtime|dev>` is written last; what it holds (lock,
pyproject.toml, Python, place) says what the folder was made from, so an interrupted, moved or outdated .venv
is seen without looking at its packages. Progress goes to stderr, pip's own words to .venv/set-up.log.

Written so that any `python3` from 3.6 on can read it, and look for another one or say that it is too old.
"""

import os
import sys

# What the locks hold for: each package has a wheel for these.
OLDEST, NEWEST = (3, 11), (3, 14)
OTHER_NAMES = ("python3.14", "python3.13", "python3.12", "python3.11")


def fail(what: str, remedy: str) -> None:
    """Ends the set-up with two lines: what, then the command that fixes it."""
    sys.stderr.write(f"set-up: {what}\n  {remedy}\n")
    sys.exit(4)


def use_other_python() -> None:
    """Starts this script again under the first fitting Python on PATH that really runs."""
    import shutil  # noqa: PLC0415  (only where `python3` does not fit)
    import subprocess  # noqa: PLC0415

    for name in OTHER_NAMES:
        path = shutil.which(name)
        # A version manager puts names on PATH that only print an error.
        if path and subprocess.call([path, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            os.execv(path, [path, "-I", os.path.abspath(__file__)] + sys.argv[1:])  # noqa: PTH100, RUF005
    version = "{}.{}".format(*sys.version_info[:2])
    fail(
        f"Python {version} at {sys.executable} does not fit: tracekit is set up with Python 3.11 to 3.14",
        "apt install python3 (Debian 12 or newer), or: make BOOTSTRAP_PYTHON=/path/to/python3.13 ...",
    )


if __name__ == "__main__" and not OLDEST <= sys.version_info[:2] <= NEWEST:
    use_other_python()

import fcntl  # noqa: E402
import hashlib  # noqa: E402
import re  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Callable  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {"runtime": "requirements.lock", "dev": "requirements-dev.lock"}
# What else satisfies a kind: the dev lock holds everything of the runtime lock, at the same versions.
SATISFIED_BY = {"runtime": ("runtime", "dev"), "dev": ("dev",)}
MADE = ".tracekit-made"

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

# Prints what a stamp needs to know of an interpreter; -I -S: without its site-packages, which may be broken.
ASK = "import os, sys; print(sys.implementation.cache_tag + getattr(sys, 'abiflags', ''), os.uname().machine)"


class SetUpError(Exception):
    """The set-up cannot go on: what, then the remedy."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


def say(text: str) -> None:
    sys.stderr.write(f"set-up {text}\n")
    sys.stderr.flush()


# -- is it as it should be? ----------------------------------------------------------------------------------


def python_of(venv: Path) -> Path:
    return venv / "bin" / "python"


def ask_python(python: Path) -> str:
    """What `python` is, or "" if it does not run."""
    try:
        done = subprocess.run(
            [str(python), "-I", "-S", "-c", ASK],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.decode().strip() if done.returncode == 0 else ""


def made_by(venv: Path, answer: str) -> str:
    """What `.tracekit-made` holds: the Python and the place, as scripts in bin/ name the place."""
    return f"{answer}\n{venv}\n"


def is_usable(venv: Path) -> bool:
    """Whether `venv` was made here, completely, by a Python that still runs and is still the same."""
    answer = ask_python(python_of(venv))
    try:
        return bool(answer) and (venv / MADE).read_text() == made_by(venv, answer)
    except OSError:
        return False


def stamp_text(root: Path, venv: Path, kind: str) -> str:
    digest = hashlib.sha256()
    # The probe is compiled when tracekit is installed.
    probe = sorted((root / "tracekit" / "probe").glob("*.[ch]"))
    for part in (root / LOCKS[kind], root / "pyproject.toml", venv / MADE, *probe):
        content = part.read_bytes()
        digest.update(b"%d\n" % len(content) + content)
    return f"{digest.hexdigest()}\n"


def stamp_of(venv: Path, kind: str) -> Path:
    return venv / f".tracekit-{kind}"


def is_current(root: Path, venv: Path, kind: str) -> bool:
    for satisfying in SATISFIED_BY[kind]:
        try:
            stamped = stamp_of(venv, satisfying).read_text() == stamp_text(root, venv, satisfying)
        except OSError:
            continue
        if stamped:
            return is_usable(venv)
    return False


# -- making it -----------------------------------------------------------------------------------------------


def clean_environment() -> "dict[str, str]":
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


def run_logged(command: "list[str]", log: Path) -> int:
    with log.open("ab") as out:
        return subprocess.call(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=clean_environment())


def remove(path: Path) -> None:
    import shutil  # noqa: PLC0415  (a set-up that has nothing to do stays quick)

    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def create(venv: Path) -> None:
    """An empty environment with pip in it, at `venv`, in place of whatever is there."""
    import venv as stdlib_venv  # noqa: PLC0415

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
    import configparser  # noqa: PLC0415

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
    import html  # noqa: PLC0415
    import ssl  # noqa: PLC0415
    import urllib.parse  # noqa: PLC0415
    import urllib.request  # noqa: PLC0415

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


# -- filling it ----------------------------------------------------------------------------------------------


def site_packages(venv: Path) -> Path:
    return next((venv / "lib").glob("python3*/site-packages"))


def drop_damaged(packages: Path) -> "list[str]":
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
    import csv  # noqa: PLC0415

    try:
        with (info / "RECORD").open(newline="") as record:
            for name, _hash, size in csv.reader(record):
                if size and (info.parent / name).stat().st_size != int(size):
                    return False
    except (OSError, ValueError):
        return False
    return (info / "METADATA").is_file() and (info / "INSTALLER").is_file()


class Progress:
    """pip's many lines as one that counts up on a terminal, as a line now and then elsewhere."""

    def __init__(self, packages: Path, total: int) -> None:
        self.packages = packages
        self.total = total
        self.there = self.count()
        self.fetched = 0
        self.installing = False
        self.live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.shown = ""
        self.shown_at = time.monotonic()

    def count(self) -> int:
        return sum(1 for _ in self.packages.glob("*.dist-info"))

    def line(self, text: str) -> None:
        """Takes one line of pip's output."""
        if text.startswith(("Collecting ", "Requirement already satisfied")):
            self.fetched += 1
            self.show(f"fetching {self.fetched}/{self.total}")
        elif text.startswith("Ignoring "):
            self.total -= 1
        elif text.startswith("Installing collected packages"):
            self.installing = True
        elif "Retrying (" in text:
            self.show("the package index does not answer, trying again", now=True)

    def tick(self) -> None:
        """Called while pip says nothing: it installs without a word."""
        if self.installing:
            self.show(f"installing, {self.count() - self.there} done")

    def show(self, text: str, now: bool = False) -> None:
        if text == self.shown or not (self.live or now or time.monotonic() - self.shown_at > 3):
            return
        self.shown, self.shown_at = text, time.monotonic()
        if self.live:
            sys.stderr.write(f"\r\033[Kset-up 2/3: {text}")
            sys.stderr.flush()
        else:
            say(f"2/3: {text}")

    def close(self) -> None:
        if self.live and self.shown:
            sys.stderr.write("\r\033[K")


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


def watch(pip: "subprocess.Popen[bytes]", keep: "Callable[[bytes], object]", progress: Progress) -> None:
    import selectors  # noqa: PLC0415

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


def set_up(root: Path, kind: str) -> None:
    """Makes `root`/.venv what `kind` asks for, one process at a time."""
    venv = root / ".venv"
    if is_current(root, venv, kind):
        return
    # Beside .venv, not in it, as .venv itself may be removed and made anew.
    with (root / ".venv.lock").open("a") as turn:
        try:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting for another set-up of this folder to finish")
            fcntl.flock(turn, fcntl.LOCK_EX)
        if not is_current(root, venv, kind):
            bring_up(root, venv, kind, turn.fileno())


def main(arguments: "list[str]") -> int:
    kinds = [word for word in arguments if word in LOCKS]
    if len(kinds) != 1 or set(arguments) - {*LOCKS, "--check"}:
        sys.stderr.write("usage: venv.py runtime|dev [--check]\n")
        return 2
    if "--check" in arguments:
        return 0 if is_current(ROOT, ROOT / ".venv", kinds[0]) else 1
    try:
        set_up(ROOT, kinds[0])
    except SetUpError as failure:
        fail(failure.what, failure.remedy)
    except KeyboardInterrupt:
        say("interrupted; the same command goes on from here")
        return 130
    except OSError as error:
        fail(str(error), "make room or allow writing there, then run the same command again")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
