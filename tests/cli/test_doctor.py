"""``edge-harmony doctor`` as a process: what it says, its exit code, and that nothing takes it down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import pytest

from edge_harmony.contract import CONTRACT_VERSION, META_GRAPH
from edge_harmony.doctor import Finding, machine, models, nvidia
from edge_harmony.doctor.report import READY_STEP, next_step
from edge_harmony.gpu import detect
from edge_harmony.harmonize.load import find_model
from edge_harmony.harmonize.model_metadata import weights_of
from edge_harmony.harmonize.tensorrt import engine_sidecar
from edge_harmony.run import child_process
from tests.cli.runner import REPOSITORY
from tests.models import write_transform_model

PROBES = [
    "machine", "Python", "OpenCV", "NumPy", "compiled passes", "ONNX Runtime", "PyAV", "models", "main job",
    "NVIDIA driver", "GPU", "CUDA toolkit", "TensorRT", "TensorRT-RTX", "pycuda", "engines", "TensorRT backend",
    "cameras", "virtual cameras", "display",
]  # fmt: skip
FIELDS: dict[str, Any] = {
    "name": str, "status": str, "found": str, "reason": str, "remedy": str, "details": dict, "duration_ms": float,
}  # fmt: skip
NO_GPU = detect.find_gpu()[0] is None


@dataclass(frozen=True)
class Visit:
    """One run of ``doctor --json``."""

    code: int
    report: dict[str, Any]

    def __getitem__(self, name: str) -> dict[str, Any]:
        return next(probe for probe in self.report["probes"] if probe["name"] == name)


def doctor(folder: Path, *arguments: object, packages: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run it in ``folder``, with ``packages`` found before those installed."""
    path = os.pathsep.join(map(str, filter(None, (packages, REPOSITORY))))
    return subprocess.run(
        [sys.executable, "-m", "edge_harmony", "doctor", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


def visit(folder: Path, *arguments: object, packages: Path | None = None) -> Visit:
    done = doctor(folder, "--json", *arguments, packages=packages)
    assert done.stderr == ""
    return Visit(done.returncode, json.loads(done.stdout))


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Visit:
    return visit(tmp_path_factory.mktemp("here"), "--model", model)


def test_json_keeps_to_its_schema(healthy: Visit) -> None:
    report = healthy.report
    assert set(report) == {"format", "version", "ready", "next", "probes"}
    assert report["format"] == "edge_harmony.doctor.1"
    assert [probe["name"] for probe in report["probes"]] == PROBES
    for probe in report["probes"]:
        assert {name: type(probe[name]) for name in probe} == FIELDS
        assert probe["status"] in ("ok", "absent", "warning", "failed")
        assert bool(probe["reason"]) == (probe["status"] != "ok"), probe


def test_model_that_runs_makes_it_ready(healthy: Visit, model: Path) -> None:
    assert healthy.code == 0
    assert healthy.report["ready"] is True
    assert healthy["main job"]["status"] == "ok"
    (chosen, *_) = healthy["models"]["details"]["files"]
    assert chosen["path"] == str(model)
    assert (chosen["contract"], chosen["graph"], chosen["problem"]) == (str(CONTRACT_VERSION), "transform", "")
    assert chosen["sha256"] == engine_sidecar.digest(model)


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
def test_no_gpu_is_a_reason_and_no_fault(healthy: Visit) -> None:
    assert healthy["GPU"]["status"] == "absent"
    assert healthy["GPU"]["reason"]
    assert healthy["TensorRT backend"]["status"] == "absent"


def test_missing_model_is_what_to_do_next(tmp_path: Path) -> None:
    seen = visit(tmp_path, "--model", tmp_path / "lost.onnx")
    assert seen.code == 1
    assert seen.report["ready"] is False
    assert seen["models"]["status"] == seen["main job"]["status"] == "failed"
    assert "lost.onnx" in seen["models"]["reason"]
    assert seen["models"]["remedy"] in seen.report["next"]


@pytest.mark.parametrize("kind", ["corrupt", "other contract"])
def test_bad_model_is_named(kind: str, tmp_path: Path) -> None:
    model = tmp_path / "bad.onnx"
    if kind == "corrupt":
        model.write_bytes(os.urandom(1000))
    else:
        write_transform_model(model, version=99)
    for finding in (models.probe_models(str(model)), models.probe_main_job(str(model))):
        assert finding.status == "failed"
        assert "bad.onnx" in finding.reason
        assert kind == "corrupt" or "99" in finding.reason
        assert finding.remedy


def test_what_crashes_or_raises_is_a_reason_and_hides_nothing(tmp_path: Path, model: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "tensorrt.py").write_text("import os, sys\nprint('boo', file=sys.stderr)\nos.abort()\n")
    (packages / "tensorrt_rtx.py").write_text("raise OSError('libtensorrt_rtx.so.1: cannot open shared object file')\n")
    (packages / "av.py").write_text("import sys\nsys.exit(3)\n")
    seen = visit(tmp_path, "--model", model, packages=packages)
    assert seen.code == 0
    assert "SIGABRT" in seen["TensorRT"]["reason"]
    assert "boo" in seen["TensorRT"]["reason"]
    assert "libtensorrt_rtx.so.1" in seen["TensorRT-RTX"]["reason"]
    assert seen["PyAV"]["status"] == "warning"
    assert [probe["name"] for probe in seen.report["probes"]] == PROBES
    assert seen.report["next"] != READY_STEP


def test_broken_onnxruntime_is_what_to_do_next(tmp_path: Path, model: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "onnxruntime.py").write_text("raise ImportError('DLL load failed')\n")
    seen = visit(tmp_path, "--model", model, packages=packages)
    assert seen.code == 1
    assert seen["ONNX Runtime"]["status"] == "failed"
    assert seen.report["next"].startswith("pip install --force-reinstall onnxruntime")


def test_opencv_built_for_another_numpy_has_its_own_remedy(tmp_path: Path, model: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "cv2.py").write_text("raise ImportError('numpy.core.multiarray failed to import')\n")
    seen = visit(tmp_path, "--model", model, packages=packages)
    assert seen.code == 1
    assert seen.report["next"].startswith("pip install 'numpy<2'")


def test_table_names_every_probe_and_ends_with_the_next_step(tmp_path: Path, model: Path) -> None:
    done = doctor(tmp_path, "--model", model)
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.rstrip().splitlines()
    assert lines[-1].startswith("next: ")
    for name in PROBES:
        assert any(f" {name} " in line for line in lines), name


@pytest.mark.parametrize(
    ("version", "status"),
    [("8.6.1", "warning"), ("10.0.1", "warning"), ("10.3.0", "ok"), ("10.16.1", "ok"), ("11.4.1.9", "ok"),
     ("12.0.0", "warning"), ("", "warning")],
)  # fmt: skip
def test_tensorrt_versions(version: str, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tensorrt.py").write_text(f"__version__ = {version!r}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    finding = nvidia.probe_tensorrt()
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    assert finding.status == status
    assert bool(finding.remedy) == (status != "ok")


def test_cuda_toolkit_is_read_from_its_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.delenv("CUDA_PATH", raising=False)
    monkeypatch.setenv("PATH", "")
    assert nvidia.probe_cuda(tmp_path).status == "absent"
    folder = tmp_path / "usr/local/cuda"
    (folder / "bin").mkdir(parents=True)
    (folder / "version.json").write_text('{"cuda": {"name": "CUDA SDK", "version": "12.6.68"}}')
    assert "no nvcc" in nvidia.probe_cuda(tmp_path).reason
    (folder / "bin/nvcc").touch(mode=0o755)
    found = nvidia.probe_cuda(tmp_path)
    assert (found.status, found.details["version"]) == ("ok", "12.6.68")


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    """A file system with a USB camera of two nodes, a CSI camera and a loopback device."""
    names = {
        0: ("pci0000:00/usb1/video4linux", "HD Webcam", 0),
        1: ("pci0000:00/usb1/video4linux", "HD Webcam", 1),
        10: ("platform/tegra-capture-vi/video4linux", "vi-output, imx219 9-0010", 0),
        2: ("virtual/video4linux", "Dummy video device", 0),
    }
    (tmp_path / "dev").mkdir()
    (tmp_path / "sys/class/video4linux").mkdir(parents=True)
    for number, (place, name, index) in names.items():
        real = tmp_path / "sys/devices" / place / f"video{number}"
        real.mkdir(parents=True)
        (real / "name").write_text(f"{name}\n")
        (real / "index").write_text(f"{index}\n")
        (tmp_path / f"sys/class/video4linux/video{number}").symlink_to(real)
        (tmp_path / f"dev/video{number}").touch()
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's lists are Linux's")
def test_cameras_are_listed_by_name_without_their_second_nodes(devices: Path) -> None:
    found = machine.probe_cameras(devices)
    assert found.status == "ok"
    assert [(Path(d["path"]).name, d["name"]) for d in found.details["devices"]] == [
        ("video0", "HD Webcam"),
        ("video10", "vi-output, imx219 9-0010"),
    ]
    loops = machine.probe_virtual_cameras(devices)
    assert [Path(d["path"]).name for d in loops.details["devices"]] == ["video2"]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's lists are Linux's")
def test_no_camera_and_no_loopback_are_said_with_the_remedy(tmp_path: Path) -> None:
    assert machine.probe_cameras(tmp_path).status == "absent"
    assert "modprobe v4l2loopback" in machine.probe_virtual_cameras(tmp_path).remedy


@pytest.mark.skipif(sys.platform != "linux", reason="X11 and Wayland")
def test_display_is_believed_only_where_something_listens(tmp_path: Path) -> None:
    assert machine.probe_display({}, tmp_path).status == "absent"
    assert "nothing listens" in machine.probe_display({"DISPLAY": ":7"}, tmp_path).reason
    (tmp_path / "tmp/.X11-unix").mkdir(parents=True)
    (tmp_path / "tmp/.X11-unix/X7").touch()
    assert machine.probe_display({"DISPLAY": ":7.0"}, tmp_path).found == "X11 :7.0"
    assert machine.probe_display({"DISPLAY": "localhost:10.0"}, tmp_path).status == "ok"  # ssh -X
    wayland = {"WAYLAND_DISPLAY": "wayland-0", "XDG_RUNTIME_DIR": "/run/user/1000"}
    assert machine.probe_display(wayland, tmp_path).status == "absent"
    (tmp_path / "run/user/1000").mkdir(parents=True)
    (tmp_path / "run/user/1000/wayland-0").touch()
    assert machine.probe_display(wayland, tmp_path).status == "ok"


def test_jetson_is_recognised(tmp_path: Path) -> None:
    assert machine.jetson_model(tmp_path) == ""
    (tmp_path / "etc").mkdir()
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "etc/nv_tegra_release").write_text("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n")
    (tmp_path / "proc/device-tree/model").write_text("NVIDIA Jetson Orin Nano Developer Kit\0")
    found = machine.probe_machine(tmp_path)
    assert found.details["jetson"] == "NVIDIA Jetson Orin Nano Developer Kit"
    assert found.details["l4t"] == "36.4.3"


def engine(folder: Path, **changes: Any) -> Path:
    """An engine of rubbish with a sidecar that fits it."""
    path = folder / "base_fp16.engine"
    path.write_bytes(b"engine" * 100)
    values: dict[str, Any] = {
        "contract": CONTRACT_VERSION, "graph": "frame", "model": "base", "weights_sha256": weights_of(find_model()),
        "onnx": "base.onnx", "onnx_sha256": "",
        "precision": "fp16", "target": "tensorrt", "builder_version": "10.3.0", "sm": ("87",), "gpu": "Orin",
        "cuda": "12.6", "min_size": None, "opt_size": None, "max_size": None,
        "engine_sha256": engine_sidecar.digest(path), "engine_bytes": 600, "activation_bytes": None,
        "rebuild": "python -m export.build_engine --fp16 -o base_fp16.engine",
    }  # fmt: skip
    engine_sidecar.write(path, engine_sidecar.EngineSidecar(**{**values, **changes}))
    return path


ORIN = {"name": "Orin", "sm": "87"}


def test_engine_that_fits(tmp_path: Path) -> None:
    engine(tmp_path)
    assert models.probe_engines([str(tmp_path), f"{tmp_path}/."], ORIN, "10.3.0", "").status == "ok"
    assert models.probe_engines([str(tmp_path)], {"name": None, "sm": None}, "", "").status == "absent"
    other = models.probe_engines([str(tmp_path)], ORIN, "10.3.0", "", "nano")
    assert (other.status, other.reason) == ("absent", "none of them is of nano.onnx")
    assert other.remedy.endswith("nano.onnx")


def test_a_matte_is_no_harmonizing_model_and_no_fault(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matte = onnx.load(str(model))
    onnx.helper.set_model_props(matte, {META_GRAPH: "matte"})
    onnx.save(matte, str(tmp_path / "person.onnx"))
    monkeypatch.setattr(models, "MODEL_FOLDER", tmp_path)
    found = models.probe_models(str(model))
    assert found.status == "ok", found
    assert "person.onnx (matte, fp32, " in found.found
    onnx.helper.set_model_props(matte, {})
    onnx.save(matte, str(tmp_path / "person.onnx"))
    assert "no contract version" in models.probe_models(str(model)).reason


@pytest.mark.parametrize("fault", ["no sidecar", "truncated", "other TensorRT", "other GPU"])
def test_engine_that_does_not_fit_has_the_command_that_builds_it(fault: str, tmp_path: Path) -> None:
    path = engine(tmp_path)
    tensorrt, here = "10.3.0", ORIN
    if fault == "no sidecar":
        engine_sidecar.path_of(path).unlink()
    elif fault == "truncated":
        path.write_bytes(path.read_bytes()[:-1])
    elif fault == "other TensorRT":
        tensorrt = "10.13.3"
    else:
        here = {"name": "Thor", "sm": "110"}
    found = models.probe_engines([str(tmp_path)], here, tensorrt, "")
    assert found.status == "warning"
    assert "python -m export.build_engine" in found.remedy


@pytest.fixture
def jetson_devices() -> Iterator[Path]:
    """Device nodes of a Jetson, one of which belongs to a group that we are not in; we are no root."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others
        root = Path(folder)
        root.chmod(0o755)
        for name in ("dev/nvmap", "dev/nvhost-ctrl", "dev/dri/renderD128"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
            (root / name).chmod(0o666)
        closed = root / "dev/dri/renderD128"
        closed.chmod(0o000)
        if os.geteuid() == 0:
            os.chown(closed, 0, 104)
            os.seteuid(65534)
            try:
                yield root
            finally:
                os.seteuid(0)
        else:
            yield root


@pytest.mark.skipif(not NO_GPU or sys.platform != "linux", reason="there is a GPU, or no such devices")
def test_a_device_node_that_cannot_be_read_is_named(jetson_devices: Path) -> None:
    group = (jetson_devices / "dev/dri/renderD128").stat().st_gid
    found = nvidia.probe_gpu(str(jetson_devices))
    assert found.status == "warning"
    assert f"no permission for {jetson_devices}/dev/dri/renderD128 (group {group})" in found.reason
    assert found.remedy.startswith("sudo usermod -aG ")
    assert next_step([Finding("main job", "ok"), found]).startswith("sudo usermod -aG ")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's device nodes")
def test_in_a_container_the_group_is_given_by_number(jetson_devices: Path) -> None:
    before = os.geteuid()
    if os.getuid() == 0:
        os.seteuid(0)
    (jetson_devices / ".dockerenv").touch()
    os.seteuid(before)
    group = (jetson_devices / "dev/dri/renderD128").stat().st_gid
    assert detect.closed_nodes(jetson_devices)[1].startswith(f"docker run --group-add {group} ")


def test_readable_nodes_and_other_makers_are_no_finding(tmp_path: Path) -> None:
    (tmp_path / "dev/dri").mkdir(parents=True)
    (tmp_path / "dev/dri/renderD128").touch()
    assert detect.closed_nodes(tmp_path) == ("", "")
    (tmp_path / "dev/nvidia0").touch()
    assert detect.closed_nodes(tmp_path) == ("", "")


def test_next_step_puts_first_what_keeps_the_main_job_from_running() -> None:
    fine = [Finding("main job", "ok"), Finding("cameras", "absent", remedy="plug one in")]
    assert next_step(fine) == READY_STEP
    warned = [Finding("cameras", "warning", reason="no permission", remedy="usermod"), *fine]
    assert next_step(warned).startswith("usermod")
    failed = [*warned, Finding("ONNX Runtime", "failed", reason="gone", remedy="pip install onnxruntime")]
    assert next_step(failed).startswith("pip install onnxruntime")
    on_gpu = [*fine, Finding("GPU", "ok"), Finding("TensorRT", "ok"), Finding("pycuda", "absent", remedy="pip pycuda")]
    assert next_step(on_gpu).startswith("pip pycuda")


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    [
        ("os:abort", {}, "crashed (SIGABRT)"),
        ("ctypes:string_at", {"ptr": 1}, "crashed (SIGSEGV)"),
        ("sys:exit", {}, "SystemExit"),
        ("signal:pause", {}, "no answer within 1 s"),
        ("json:loads", {"s": "no JSON"}, "JSONDecodeError"),
        ("no_such_module:any", {}, "ModuleNotFoundError"),
    ],
)
def test_whatever_happens_in_the_other_process_is_a_reason(
    function: str, arguments: dict[str, Any], words: str
) -> None:
    if function == "signal:pause" and sys.platform == "win32":
        pytest.skip("no signals there")
    answer = child_process.call(function, arguments, timeout_s=1.0 if function == "signal:pause" else 20.0)
    assert answer.value is None
    assert words in answer.reason


def test_value_and_deliberate_error_come_back() -> None:
    assert child_process.call("posixpath:basename", {"p": "a/b"}).value == "b"
    answer = child_process.call("edge_harmony.harmonize.load:find_model", {"model": "no/such.onnx"})
    assert "no such model file" in answer.reason
    assert answer.hint
    assert not answer.crashed
