"""The container image as who runs it meets it: healthy, ended within its grace, and on its volume again.

`make test-image` runs it: it builds the image from nothing, for which it needs root and the network. The
image runs under buildah's chroot isolation, in a network of its own, with what its configuration says.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.debian_root import PROJECT, why_not

MEBIBYTE = 1024 * 1024
GRACE = 10  # what docker stop and podman stop give
PATIENCE = 60

LACKS = why_not() or ("" if shutil.which("buildah") else "buildah missing: apt-get install buildah")
pytestmark = [pytest.mark.skipif(bool(LACKS), reason=LACKS), pytest.mark.timeout(1800)]


class Engine:
    """buildah, with a storage of its own."""

    def __init__(self, folder: Path) -> None:
        configuration = folder / "storage.conf"
        roots = f'runroot = "{folder}/run"\ngraphroot = "{folder}/storage"\n'
        configuration.write_text(f'[storage]\ndriver = "vfs"\n{roots}')
        self._environment = os.environ | {
            "BUILDAH_ISOLATION": "chroot",
            "CONTAINERS_STORAGE_CONF": str(configuration),
        }

    def run(self, *words: str) -> str:
        done = subprocess.run(
            ["buildah", *words], env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def launch(self, *words: str, log: Path) -> subprocess.Popen[bytes]:
        alone = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
        with log.open("ab") as opened:
            return subprocess.Popen(
                [*alone, "buildah", *words],
                env=self._environment,
                stdout=opened,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


class Image:
    """The image with its configuration, and the container in which it is tried."""

    def __init__(self, engine: Engine, archive: Path, volume: Path) -> None:
        self._engine = engine
        self._log = volume.parent / "server.log"
        self._container = engine.run("from", f"docker-archive:{archive}").strip()
        told = json.loads(engine.run("inspect", self._container))
        self.docker: dict[str, Any] = told["Docker"]["config"]
        self.configuration: dict[str, Any] = told["OCIv1"]["config"]
        [self._place] = self.configuration["Volumes"]
        self._volume = volume

    def run(self, *words: str) -> str:
        return self._engine.run(
            "run", "--volume", f"{self._volume}:{self._place}", self._container, "--", *words
        )

    @contextlib.contextmanager
    def serving(self) -> Iterator[int]:
        """Run its entry point and its command; give the server's process id once it is healthy."""
        words = [*self.configuration["Entrypoint"], *self.configuration["Cmd"]]
        volume = f"{self._volume}:{self._place}"
        outer = self._engine.launch("run", "--volume", volume, self._container, "--", *words, log=self._log)
        try:
            deadline = time.monotonic() + PATIENCE
            while "Stop with Ctrl-C." not in self.log:
                assert outer.poll() is None, self.log
                assert time.monotonic() < deadline, self.log
                time.sleep(0.05)  # there is no event to wait for in another process
            server = self._server_of(outer.pid)
            self.check_health(server)
            yield server
            begin = time.monotonic()
            os.kill(server, signal.Signals[self.configuration["StopSignal"]])
            assert outer.wait(PATIENCE) == 0, self.log
            assert time.monotonic() - begin < GRACE
            assert '"event": "stopped"' in self.log
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(outer.pid, signal.SIGKILL)
            outer.wait()
            self._log.unlink()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def check_health(self, server: int) -> None:
        """Run its health check beside the server: in its root, as its user."""
        kind, *check = self.docker["Healthcheck"]["Test"]
        assert kind == "CMD"
        done = self.beside(server, *check)
        assert done.returncode == 0, done.stdout + done.stderr

    def beside(self, server: int, *words: str, input: str = "") -> subprocess.CompletedProcess[str]:  # noqa: A002
        """Run a command in the container, as docker exec does."""
        environment = dict(each.split("=", 1) for each in self.configuration["Env"])
        owner = Path(f"/proc/{server}").stat()
        ids = [f"--setuid={owner.st_uid}", f"--setgid={owner.st_gid}"]
        return subprocess.run(
            ["nsenter", f"--target={server}", "--mount", "--root", "--wd", *ids, "--", *words],
            env=environment,
            input=input,
            capture_output=True,
            text=True,
            check=False,
        )

    def _server_of(self, process: int) -> int:
        """Find the server among the processes below one."""
        lists = [each.read_text() for each in Path(f"/proc/{process}/task").glob("*/children")]
        for each in " ".join(lists).split():
            words = Path(f"/proc/{each}/cmdline").read_bytes().decode().rstrip("\0").split("\0")
            if words[-1] == "serve" and words[0].endswith("python3"):
                return int(each)
            found = self._server_of(int(each))
            if found:
                return found
        return 0


def test_an_image_is_healthy_ends_in_time_and_keeps_its_data(tmp_path: Path) -> None:
    built = tmp_path / "built"
    subprocess.run([PROJECT / "packaging/image/build", sys.executable, built], check=True)
    [archive] = built.glob("*-docker.tar")
    [for_registries] = built.glob("*-oci.tar")
    assert archive.stat().st_size < 250 * MEBIBYTE
    assert for_registries.stat().st_size < 100 * MEBIBYTE
    volume = tmp_path / "volume"
    volume.mkdir()
    os.chown(volume, 522, 522)  # as an engine does with a new volume
    image = Image(Engine(tmp_path), archive, volume)
    assert image.run("id", "-un").strip() == image.configuration["User"] == "tidings"
    assert set(image.configuration["ExposedPorts"]) == {"5222/tcp", "5223/tcp", "5280/tcp", "5281/tcp"}

    register = ["tidings", "account", "register", "--user", "alice@localhost"]
    with image.serving() as server:
        assert Path(f"/proc/{server}").stat().st_uid == 522
        assert image.beside(server, *register, input="wonderland\n").returncode == 0
    with image.serving() as server:
        listed = image.beside(server, "tidings", "account", "list")
        assert "alice@localhost" in listed.stdout, listed.stderr
    assert (volume / "tidings.sqlite").stat().st_uid == 522
