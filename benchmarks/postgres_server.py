"""A PostgreSQL server of its own on loopback, for the tests and the benchmark of shared studies."""

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl: Debian's newest, else what is on PATH; None where there is
    no PostgreSQL."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: int(path.parts[-3].split(".")[0]),
    )
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


def account() -> str | None:
    """The account that the server runs under: this one, or where this is root (which it refuses)
    postgres or nobody."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), None)


def missing() -> str | None:
    """Why no server can be started here, or None."""
    if binaries() is None:
        return "PostgreSQL is not installed"
    return None if account() else "no account other than root to run PostgreSQL under"


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Start a server with an empty database; yields its URL (with a password) and removes all of it
    after."""
    folder, name, password = (
        Path(tempfile.mkdtemp(prefix="livestock-pg-")),
        account(),
        secrets.token_hex(8),
    )
    bin_folder = binaries()
    if bin_folder is None or name is None:
        raise RuntimeError(missing())
    as_account = {"user": name} if os.geteuid() == 0 else {}
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "HOME": str(folder)}

    def call(*command: str) -> None:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            **as_account,
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {done.stdout[-500:]} {done.stderr[-500:]}")

    try:
        (folder / "password").write_text(password)
        if as_account:
            for path in (folder, folder / "password"):
                shutil.chown(path, user=name)
        data, port = folder / "data", _free_port()
        call(
            str(bin_folder / "initdb"),
            "-D",
            str(data),
            "-U",
            "worker",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            f"--pwfile={folder / 'password'}",
            "--no-sync",
        )
        options = (
            f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c "
            "fsync=off"
        )
        call(
            str(bin_folder / "pg_ctl"),
            "-D",
            str(data),
            "-w",
            "-t",
            "60",
            "-l",
            str(folder / "log"),
            "-o",
            options,
            "start",
        )
        try:
            yield f"postgresql://worker:{password}@127.0.0.1:{port}/postgres"
        finally:
            call(str(bin_folder / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
