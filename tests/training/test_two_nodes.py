"""Training on two nodes that share no folder, each in a network of its own where that is permitted."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.test_train import ROOT, arguments, assert_same_run, environment

pytestmark = pytest.mark.slow
ADDRESSES = ("10.77.0.1", "10.77.0.2")


class Node:
    """One machine: a prefix of its commands, and its settings."""

    def __init__(self, number: int, prefix: list[str], interface: str, address: str) -> None:
        self.number, self.prefix, self.interface, self.address = number, prefix, interface, address


def _namespaces() -> tuple[list[Node], list[subprocess.Popen[bytes]]]:
    """Two networks with a cable between them; none where that is not permitted."""
    holders = [subprocess.Popen(["unshare", "--net", "sleep", "600"], stderr=subprocess.DEVNULL) for _ in ADDRESSES]
    deadline = time.monotonic() + 10
    while any(_network_of(h.pid) in ("", _network_of(os.getpid())) for h in holders) and time.monotonic() < deadline:
        if any(holder.poll() is not None for holder in holders):
            return [], holders
        time.sleep(0.05)
    first, second = (str(holder.pid) for holder in holders)
    commands = [
        ["ip", "link", "add", "cable", "netns", first, "type", "veth", "peer", "name", "cable", "netns", second]
    ]
    nodes = []
    for number, (holder, address) in enumerate(zip((first, second), ADDRESSES, strict=True)):
        inside = ["nsenter", "--target", holder, "--net"]
        commands += [[*inside, "ip", "addr", "add", f"{address}/24", "dev", "cable"]]
        commands += [[*inside, "ip", "link", "set", name, "up"] for name in ("cable", "lo")]
        nodes.append(Node(number, inside, "cable", ADDRESSES[0]))
    for command in commands:
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            return [], holders
    return nodes, holders


def _network_of(process: int) -> str:
    try:
        return os.readlink(f"/proc/{process}/ns/net")
    except OSError:
        return ""


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Node]]:
    """Two networks; or, where those are not permitted, this machine's loopback twice."""
    made: list[Node] = []
    holders: list[subprocess.Popen[bytes]] = []
    if all(shutil.which(name) for name in ("unshare", "nsenter", "ip")):
        made, holders = _namespaces()
    yield made or [Node(number, [], "lo", "127.0.0.1") for number in range(2)]
    for holder in holders:
        holder.kill()
        holder.wait()


def _train(nodes: list[Node], runs: list[list[str]], timeout_s: float = 300) -> list[tuple[int, str]]:
    """Exit code and messages of the same run on each node."""
    port = 20_000 + os.getpid() % 10_000
    processes = []
    for node, words in zip(nodes, runs, strict=True):
        command = [
            *node.prefix, sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1",
            "--node-rank", str(node.number), "--master-addr", node.address, "--master-port", str(port),
            "-m", "training.train", *words,
        ]  # fmt: skip
        settings = {**environment(), "GLOO_SOCKET_IFNAME": node.interface}
        processes.append(subprocess.Popen(command, cwd=ROOT, env=settings, stderr=subprocess.PIPE, text=True))
    limit = time.monotonic() + timeout_s
    try:
        said = [process.communicate(timeout=max(1, limit - time.monotonic()))[1] for process in processes]
    finally:
        for process in processes:
            process.terminate()  # it ends what it began
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(45)
            process.kill()
    return [(process.returncode, words) for process, words in zip(processes, said, strict=True)]


def test_two_nodes_without_a_common_folder_are_one_node_with_two_processes(
    nodes: list[Node], photos: Path, config_file: Path, tmp_path: Path
) -> None:
    one = tmp_path / "one"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run = [*command, "-m", "training.train", *arguments(photos, config_file, one, "--stop-after", "8")]
    done = subprocess.run(run, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    folders = [tmp_path / f"node{number}" for number in range(2)]
    for stop in ("4", "8"):  # the second is a resumption, and node 1 has nothing to resume from
        runs = [arguments(photos, config_file, folder, "--stop-after", stop) for folder in folders]
        for code, words in _train(nodes, runs):
            assert code == 0, words
        assert not folders[1].exists()
    assert_same_run(one, folders[0])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "lr=0.5"], "process 1 on {host} has another configuration than process 0"),
        (["--stop-after", "6"], "process 1 on {host} has another --stop-after than process 0"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_nodes_that_disagree_all_end_with_the_error(
    nodes: list[Node], photos: Path, config_file: Path, tmp_path: Path, more: list[str], message: str
) -> None:
    import platform

    runs = [arguments(photos, config_file, tmp_path / f"node{number}", "--stop-after", "4") for number in range(2)]
    runs[1] += more
    for code, words in _train(nodes, runs, timeout_s=240):
        assert code != 0
        errors = [line for line in words.splitlines() if line.startswith("error: ")]
        assert any(message.format(host=platform.node()) in line for line in errors), words
    assert not (tmp_path / "node0" / "last.safetensors").exists()
