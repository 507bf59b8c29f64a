"""A real S3 storage: SeaweedFS, from its wheel."""

from __future__ import annotations

import asyncio
import contextlib
import json
import platform
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.harness.ports import HOST, free_ports
from tidings.adapters.s3.bucket import BucketPlace, open_bucket

WEED: Final = Path(sysconfig.get_path("scripts")) / "weed"
ACCESS_KEY: Final = "testkey"
SECRET_KEY: Final = "testsecret"
_SECONDS: Final = 40


class Seaweed:
    """A storage with its data in a folder."""

    def __init__(self, folder: Path) -> None:
        """Write its configuration."""
        if not WEED.exists():
            assert platform.machine() != "x86_64", (
                "SeaweedFS is missing: the group `dev` of pyproject.toml has it"
            )
            pytest.skip(f"SeaweedFS comes in no wheel for {platform.machine()}")
        self._folder = folder
        self._port, *self._others = free_ports(8)
        self._process: subprocess.Popen[bytes] | None = None
        self.endpoint = f"http://{HOST}:{self._port}"
        may = ["Admin", "Read", "Write", "List", "Tagging"]
        key = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
        identities = [{"name": "tests", "credentials": [key], "actions": may}]
        (folder / "s3.json").write_text(json.dumps({"identities": identities}))
        (folder / "data").mkdir()

    @contextlib.contextmanager
    def running(self) -> Iterator[Seaweed]:
        """Run it until the end of the block."""
        names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port")
        names += ("filer.port.grpc", "s3.port.grpc")
        ports = [f"-{name}={port}" for name, port in zip(names, self._others, strict=True)]
        places = [f"-dir={self._folder / 'data'}", f"-ip={HOST}", f"-ip.bind={HOST}"]
        s3 = ["-filer", "-s3", f"-s3.port={self._port}", f"-s3.config={self._folder / 's3.json'}"]
        unused = ["-s3.port.iceberg=0", "-s3.port.lance=0"]
        sizes = ["-master.volumeSizeLimitMB=64", "-volume.max=20", "-volume.preStopSeconds=0"]
        with (self._folder / "log").open("wb") as log:
            self._process = process = subprocess.Popen(
                [WEED, "server", *places, *ports, *s3, *unused, *sizes],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )
            try:
                self._wait(process)
                yield self
            finally:
                self.kill()

    def kill(self) -> None:
        """End it at once; its end in order takes 20 seconds."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def place(self, bucket: str, prefix: str = "") -> BucketPlace:
        """Give a bucket, which is made where it is missing."""
        place = BucketPlace(
            name=bucket,
            endpoint=self.endpoint,
            prefix=prefix,
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
        )
        with ThreadPoolExecutor(1) as thread:  # a fixture that asks may have a loop of its own
            thread.submit(lambda: asyncio.run(_make(place))).result()
        return place

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + _SECONDS
        while True:
            with contextlib.suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"{self.endpoint}/healthz", timeout=5).close()
                return
            told = (self._folder / "log").read_text()
            assert process.poll() is None, told
            assert time.monotonic() < until, told
            time.sleep(0.1)


async def _make(place: BucketPlace) -> None:
    async with open_bucket(place) as bucket:
        await bucket._client.create_bucket(Bucket=place.name)
