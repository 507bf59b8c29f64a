"""A minimal Debian for tests, in a directory: commands run in it as on a machine without systemd.

It is made by debootstrap once and copied for each test. What runs in it has mounts of its own, ended with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CACHE = PROJECT / "build/debian-root"
SUITE = "bookworm"
OLD, NEW = "0.0.1", "1.0.0"  # the versions in which the package is made

_ENTER = """
mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"
"""
_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}


def why_not() -> str:
    """Say what this machine lacks for it, or nothing."""
    missing = [name for name in ("debootstrap", "unshare", "chroot", "setpriv") if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} missing: apt-get install debootstrap util-linux"
    return "" if os.geteuid() == 0 else "only root can make one"


class DebianRoot:
    """A minimal Debian in a directory."""

    def __init__(self, directory: Path) -> None:
        """Make it at a place where nothing is."""
        if not CACHE.exists():
            CACHE.parent.mkdir(exist_ok=True)
            unfinished = CACHE.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            subprocess.run(["debootstrap", "--variant=minbase", SUITE, unfinished], check=True)
            unfinished.rename(CACHE)
        subprocess.run(["cp", "-a", f"{CACHE.resolve()}/.", directory], check=True)
        self.directory = directory
        shutil.copy("/etc/resolv.conf", directory / "etc/resolv.conf")

    def path(self, inside: str) -> Path:
        """Say where a file of it is for us."""
        return self.directory / inside.lstrip("/")

    def run(
        self,
        *command: str,
        input: str = "",  # noqa: A002  # as subprocess has it
        check: bool = True,
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in it as root; where it fails and that is no answer, its words are in the failure."""
        done = subprocess.run(
            self._entered(command),
            env=self._environment(variables),
            input=input,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def launch(self, *command: str, log: Path, **variables: str) -> subprocess.Popen[bytes]:
        """Start a program in it, in a network of its own where all ports are free."""
        with log.open("ab") as opened:
            alone = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
            return subprocess.Popen(
                [*alone, *self._entered(command)],
                env=self._environment(variables),
                stdin=subprocess.DEVNULL,
                stdout=opened,
                stderr=subprocess.STDOUT,
            )

    def _entered(self, command: Sequence[str]) -> list[str]:
        return ["unshare", "--mount", "sh", "-c", _ENTER, str(self.directory), *command]

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        proxies = {name: text for name, text in os.environ.items() if name.lower().endswith("_proxy")}
        return _ENVIRONMENT | proxies | dict(variables)
