#!/usr/bin/env python3
"""Records the two fixtures beside this file, before.jsonl and after.jsonl, from real SDKs: `python3 record.py`.

Needs Python 3.10 or newer with venv, Node 20.6 or newer with npm, and the two package registries. Everything it
installs and runs lives in a temporary folder; every port is a free one of the loopback address. Takes about three
minutes, most of it the load itself.
"""

import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import check
import load

HERE = Path(__file__).resolve().parent
SEED = 10
SECONDS = 75
REQUESTS_PER_SECOND = 2.4
LARGEST_FIXTURE_BYTES = 950_000
RELEASE_BY_SIDE = {"before": "1.4.0", "after": "1.5.0"}


class Shop:
    """The processes of one side: the collector and the three services. Leaving the `with` stops those still running."""

    def __init__(self, folder, side, port_by_service):
        self.folder = folder
        self.side = side
        # The first side takes free ports and the second takes the same, so that no `server.port` tells the sides apart.
        self.port_by_service = port_by_service
        self.processes = {}

    def __enter__(self):
        python = str(self.folder / "venv" / "bin" / "python")
        release = RELEASE_BY_SIDE[self.side]
        self.output = self.folder / f"{self.side}.jsonl"
        self.collector_port = self.start(
            "collector", [python, str(HERE / "collector.py"), str(self.output)], {"HIDDEN_PATH": str(self.folder / "shop")}
        )
        pricing_port = self.start_service("pricing", release, [python, "pricing.py"], {"SHOP_RELEASE": release})
        catalog_port = self.start_service(
            "catalog",
            "3.1.2",
            [python, "catalog.py"],
            {"PRICING_PORT": pricing_port, "DATABASE_PATH": self.folder / "catalog.sqlite"},
        )
        self.start_service(
            "storefront",
            "2.3.0",
            ["node", "--require", "./storefront/tracing.js", "storefront/server.js"],
            {"PRICING_PORT": pricing_port, "CATALOG_PORT": catalog_port},
        )
        return self

    def start_service(self, name, version, command, variables):
        resource = {
            "service.version": version,
            "service.instance.id": f"{name}-0",
            "deployment.environment.name": "demo",
            "host.name": "demo-host",
        }
        port = self.start(
            name,
            command,
            {
                "OTEL_SERVICE_NAME": name,
                "OTEL_RESOURCE_ATTRIBUTES": ",".join(f"{key}={value}" for key, value in resource.items()),
                # Only what is named here: no detector may look at the machine.
                "OTEL_NODE_RESOURCE_DETECTORS": "env",
                "OTEL_METRICS_EXPORTER": "none",
                "OTEL_LOGS_EXPORTER": "none",
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.collector_port}",
                "OTEL_SEMCONV_STABILITY_OPT_IN": "http,database",
                "PORT": self.port_by_service.get(name, 0),
                **variables,
            },
        )
        self.port_by_service[name] = port
        return port

    def start(self, name, command, variables):
        """Starts a process and waits until it has printed the port that it serves."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
        environment.update({key: str(value) for key, value in variables.items()})
        log_path = self.folder / f"{self.side}-{name}.log"
        with open(log_path, "wb") as log:
            process = subprocess.Popen(
                command, cwd=self.folder / "shop", env=environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.processes[name] = process
        said = process.stdout.readline()
        match = re.fullmatch(r"listening on (\d+)\n", said)
        if match is None:
            self.__exit__()
            sys.exit(f"{name} did not start (it said {said!r}): {self.errors()}")
        return int(match[1])

    def stop(self):
        """Stops the services from the front door on, each sending its last spans, and the collector when all have."""
        for name in ["storefront", "catalog", "pricing", "collector"]:
            process = self.processes.pop(name)
            process.send_signal(signal.SIGTERM)
            if process.wait(timeout=30) != 0:
                sys.exit(f"{name} did not stop well (exit code {process.returncode}): {self.errors()}")

    def errors(self):
        """What the processes of this side wrote to stderr, the collector's first: it is often the cause."""
        logs = sorted(self.folder.glob(f"{self.side}-*.log"))
        return "the processes' errors follow\n" + "".join(f"--- {log.stem}\n{log.read_text()}" for log in logs)

    def __exit__(self, *_):
        for process in self.processes.values():
            process.kill()


def install(folder):
    """Installs what both languages need, at the pinned versions, into `folder` alone."""
    shutil.copytree(HERE / "shop", folder / "shop", ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pip = [folder / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--requirement", HERE / "requirements.txt"], check=True)
    npm = ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(npm, cwd=folder / "shop" / "storefront", check=True)


def record_side(folder, side, port_by_service):
    plan = load.plan_requests(SEED, SECONDS, REQUESTS_PER_SECOND, with_vouchers=side == "after")
    with Shop(folder, side, port_by_service) as shop:
        port = port_by_service["storefront"]
        load.warm_up(port, plan)
        print(f"{side}: sending {len(plan)} requests in {SECONDS} s", flush=True)
        print(f"{side}: answers by status {load.drive(port, plan)}", flush=True)
        shop.stop()
        return shop.output


def refuse_traces_of_this_machine(path, folder):
    """Stops before a fixture is written that names the machine, its user or a folder."""
    text = path.read_text(encoding="utf-8")
    words = {socket.gethostname(), getpass.getuser(), str(Path.home()), str(folder), str(HERE), tempfile.gettempdir()}
    words -= {"localhost"}
    for word in sorted(words):
        if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text):
            sys.exit(f"{path.name} holds {word!r}, which tells of this machine: find the attribute and override it")
    if re.search(r'"key":"process\.', text):
        sys.exit(f"{path.name} holds process attributes, which tell of this machine: turn their detector off")
    if len(text) > LARGEST_FIXTURE_BYTES:
        sys.exit(f"{path.name} has {len(text)} bytes, over {LARGEST_FIXTURE_BYTES}: lower REQUESTS_PER_SECOND in record.py")


def main():
    with tempfile.TemporaryDirectory(prefix="recording-") as name:
        folder = Path(name).resolve()
        print("installing both SDKs", flush=True)
        install(folder)
        os.sync()  # else the disk is still busy with the installed files while the first side is recorded
        port_by_service = {}
        recorded = [record_side(folder, side, port_by_service) for side in RELEASE_BY_SIDE]
        for path in recorded:
            refuse_traces_of_this_machine(path, folder)
        for path in recorded:
            shutil.copyfile(path, HERE / path.name)
    check.main()


if __name__ == "__main__":
    main()
