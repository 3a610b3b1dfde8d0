"""A MariaDB of the tests' own, where its server is installed: Debian's package is `mariadb-server-core`."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from demo.layout import free_port

SERVER, INSTALL = (
    shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("mariadbd", "mariadb-install-db")
)
needs_mariadb = pytest.mark.skipif(
    SERVER is None and not os.environ.get("CI"),
    reason="no MariaDB: install Debian's package `mariadb-server-core` (in CI this is no reason to skip)",
)
# refuses to run as root; this user exists everywhere and owns nothing
USER = ["--user=nobody"] if os.geteuid() == 0 else []


@contextlib.contextmanager
def server() -> Iterator[sa.URL]:
    """Starts it, and yields the address of somebody who may do everything there."""
    assert SERVER, "CI must have a MariaDB"
    assert INSTALL, f"{SERVER} came without mariadb-install-db"
    with tempfile.TemporaryDirectory(prefix="o2o-mariadb-") as folder:
        data, port = Path(folder) / "data", free_port()
        data.mkdir()
        for place in (Path(folder), data):
            if USER:
                shutil.chown(place, "nobody")
        install = [INSTALL, "--no-defaults", *USER, f"--datadir={data}", "--auth-root-authentication-method=normal"]
        subprocess.run([*install, "--skip-test-db"], check=True, capture_output=True)
        network = ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={folder}/socket"]
        command = [SERVER, "--no-defaults", *USER, f"--datadir={data}", *network, "--skip-log-bin"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            url = sa.make_url(f"mysql+pymysql://root@127.0.0.1:{port}")
            _wait_for(url, process)
            yield url
        finally:
            process.terminate()
            process.wait(30)


def _wait_for(url: sa.URL, process: subprocess.Popen[bytes]) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    deadline = time.monotonic() + 60
    while True:
        try:
            engine.connect().close()
        except sa.exc.OperationalError:
            assert process.poll() is None, "MariaDB ended"
            assert time.monotonic() < deadline, "MariaDB does not come up"
            time.sleep(0.2)
        else:
            return
