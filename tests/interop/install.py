"""Installs the producers, each by itself, at the versions of `requirements.txt` and `package-lock.json`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
JAVASCRIPT = HERE / "producers" / "javascript"
TIMEOUT_SECONDS = 150


class CannotInstall(Exception):
    """Says why, in a line."""


class Installer:
    """Everything lands in `folder`, and what is there already is not fetched again."""

    def __init__(self, folder):
        self.folder = folder
        self.venv = folder / "venv"
        self.python = self.venv / "bin" / "python"
        self.modules = folder / "javascript"

    def install_python(self, *packages):
        if not self.python.exists():
            run([sys.executable, "-m", "venv", self.venv])
        pip = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
        run([*pip, "--constraint", HERE / "requirements.txt", *packages])

    def install_javascript(self):
        """Into a copy of the package's folder, so that `node_modules` is not among the tests."""
        if shutil.which("npm") is None or shutil.which("node") is None:
            raise CannotInstall("node and npm are not on this machine")
        done = self.modules / "installed.json"
        lock = (JAVASCRIPT / "package-lock.json").read_bytes()
        if not done.exists() or done.read_bytes() != lock:
            done.unlink(missing_ok=True)
            shutil.copytree(JAVASCRIPT, self.modules, dirs_exist_ok=True)
            npm = ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            run(npm, cwd=self.modules)
            done.write_bytes(lock)
        shutil.copy(JAVASCRIPT / "producer.js", self.modules)


def run(command, cwd=None):
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInstall(str(error)) from error
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        errors = [line for line in lines if "error" in line.lower()] or lines
        raise CannotInstall(f"{os.path.basename(command[0])}: {errors[0].strip()}")
