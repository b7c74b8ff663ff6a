"""TensorRT's and TensorRT-RTX's builder behind one function.

One way from TensorRT 10.3 to 11.4 and TensorRT-RTX: the precision lies in the graph (see ``export.precision``), the
network is strongly typed, and only names that exist in all of those versions are used: those in ``typings/tensorrt``,
which pyright holds this code to, and a test holds to the bindings of each version.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import onnx

from edge_harmony.errors import BackendUnavailableError, ConfigError, ModelError
from edge_harmony.gpu.detect import Gpu, find_gpu
from edge_harmony.harmonize.tensorrt.engine import MODULES, load_tensorrt
from export import frame_graph, model_file, timing_cache, turing

if TYPE_CHECKING:
    import tensorrt_rtx
    from tensorrt import Builder, IBuilderConfig, ILogger, INetworkDefinition, OnnxParser
    from tensorrt.module import TensorRt
    from tensorrt_rtx.module import TensorRtRtx

TENSORRT = "tensorrt"
RTX = "rtx"
_CANCEL_S = 60.0  # longest wait for a build that was stopped

Progress = Callable[[str, int, int], None]  # phase, steps done, steps in all


@dataclass(frozen=True)
class FrameSizes:
    """The frame sizes (H, W) that an engine takes; all three alike make a static engine."""

    smallest: tuple[int, int]
    usual: tuple[int, int]  # the one that is tuned for
    largest: tuple[int, int]

    def __post_init__(self) -> None:
        for axis in (0, 1):
            if not self.smallest[axis] <= self.usual[axis] <= self.largest[axis]:
                raise ConfigError(
                    "the frame sizes are not in order", "give --min WxH <= --opt WxH <= --max WxH, in both dimensions"
                )

    @property
    def static(self) -> bool:
        return self.smallest == self.largest


@dataclass(frozen=True)
class BuildOptions:
    """How to build; the graph itself says the precision."""

    target: str = TENSORRT
    sizes: FrameSizes | None = None  # needed for a frame graph
    sm: tuple[str, ...] = ()  # TensorRT-RTX only: compute capabilities such as "86"; empty: this machine's GPU
    workspace_mb: int | None = None
    timing_cache: Path | None = None  # TensorRT only
    optimization_level: int | None = None  # 0 (quickest build) to 5


@dataclass(frozen=True)
class BuiltEngine:
    """A serialized engine and what its builder told."""

    data: bytes
    version: str  # of the builder
    gpu: Gpu | None  # that it was built on
    sm: tuple[str, ...]  # that it was built for
    activation_bytes: int | None  # of device memory for one execution, as the builder reports it
    seconds: float
    warnings: tuple[str, ...] = field(default=())

    def facts(self) -> dict[str, Any]:
        """What an engine's sidecar says of the engine itself."""
        return {
            "builder_version": self.version,
            "sm": self.sm,
            "gpu": self.gpu.name if self.gpu else "",
            "cuda": self.gpu.cuda_version if self.gpu else "",
            "engine_sha256": hashlib.sha256(self.data).hexdigest(),
            "engine_bytes": len(self.data),
            "activation_bytes": self.activation_bytes,
        }


def check(options: BuildOptions, graph: str) -> tuple[TensorRt, Gpu | None]:
    """Is everything there that ``build`` needs? Returns the TensorRT module and the GPU; raises as ``build`` does."""
    if graph == model_file.GRAPH_FRAME and options.sizes is None:
        raise ConfigError("a frame graph needs frame sizes", "give --size WxH, or --min, --opt and --max")
    if options.optimization_level is not None and not 0 <= options.optimization_level <= 5:
        raise ConfigError(f"optimization level {options.optimization_level}", "levels go from 0 to 5")
    if options.timing_cache and options.target == RTX:
        raise ConfigError("TensorRT-RTX has no timing cache", "leave out --timing-cache")
    if options.sm and options.target != RTX:
        raise ConfigError("TensorRT builds for the GPU it runs on, --sm is for TensorRT-RTX", "leave out --sm")
    gpu, reason = find_gpu()
    if gpu is None and options.target == TENSORRT:  # the first thing to say, whether TensorRT is there or not
        raise BackendUnavailableError(
            f"TensorRT needs the GPU it builds for: {reason}",
            "build on the machine that will run the engine; for a desktop RTX GPU it can be built here: "
            "--target rtx --sm 86 (TensorRT-RTX, pip install tensorrt-rtx-cu13)",
        )
    trt = load_tensorrt(options.target)
    known = _capabilities(trt) if options.target == RTX else []
    if gpu is None and not options.sm:
        raise BackendUnavailableError(
            f"there is no GPU to build for: {reason}", f"name the GPU generation: --sm {', '.join(known)}"
        )
    for sm in (options.sm or (gpu.sm if gpu else "",)) if options.target == RTX else ():
        if sm not in known:
            raise ConfigError(
                f"TensorRT-RTX {trt.__version__} does not build for SM {sm}",
                f"choose --sm from {', '.join(known)}; for Jetson and Hopper use --target tensorrt",
            )
    return trt, gpu


def _capabilities(trt: TensorRt) -> list[str]:
    """The compute capabilities that TensorRT-RTX builds for."""
    return sorted((n[2:] for n in dir(_rtx(trt).ComputeCapability) if n.startswith("SM")), key=int)


def _rtx(trt: TensorRt) -> TensorRtRtx:
    """The same module, known to be TensorRT-RTX's."""
    return cast("TensorRtRtx", trt)


def build(model: onnx.ModelProto, options: BuildOptions, progress: Progress | None = None) -> BuiltEngine:
    """Build an engine. Takes seconds on a workstation, minutes on a Jetson; Ctrl-C stops it.

    Args:
        model: a transform or frame graph of any precision; left as it is.
        options: see ``BuildOptions``.
        progress: called now and then, from another thread.

    Raises:
        BackendUnavailableError: the builder or a GPU is missing.
        ConfigError: options that do not fit the target or the graph.
        ModelError: the parser or the builder refuses the graph, in its own words.
    """
    return build_checked(model, options, check(options, model_file.inspect(model).graph), progress)


def build_checked(
    model: onnx.ModelProto, options: BuildOptions, found: tuple[TensorRt, Gpu | None], progress: Progress | None = None
) -> BuiltEngine:
    """As ``build``, of any graph without free dimensions, with what ``check`` found."""
    trt, gpu = found
    return _Build(trt, options, gpu, progress).run(model)


class _Build:
    """One run of the builder, in a thread of its own so that Ctrl-C is heard and the progress bar moves."""

    def __init__(self, trt: TensorRt, options: BuildOptions, gpu: Gpu | None, progress: Progress | None) -> None:
        self.trt, self.options, self.gpu = trt, options, gpu
        self.monitor = _monitor(trt, progress or (lambda *_: None))
        self.logger = _logger(trt)

    def run(self, model: onnx.ModelProto) -> BuiltEngine:
        trt, options = self.trt, self.options
        started = time.perf_counter()
        try:
            builder = trt.Builder(self.logger)
        except Exception as error:  # the bindings raise TypeError where the library gives no builder
            raise self._failure(error) from error
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        sizes = options.sizes
        model = frame_graph.for_gpu(model)
        if sizes is not None and sizes.static:
            model = model_file.fix_size(model, sizes.usual)
        if options.target == RTX and "75" in (options.sm or (self.gpu.sm if self.gpu else "",)):
            model = turing.without_matmul(model)
        parser = trt.OnnxParser(network, self.logger)
        if not parser.parse(model.SerializeToString()):
            words = _parser_words(parser) or self._words()
            raise ModelError(f"the graph does not parse: {words}", self._unsupported_hint())
        config = builder.create_builder_config()
        config.progress_monitor = self.monitor
        if options.workspace_mb is not None:
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb << 20)
        if options.optimization_level is not None:
            config.builder_optimization_level = options.optimization_level
        sm = self._set_capabilities(config) if options.target == RTX else (self.gpu.sm if self.gpu else "",)
        if sizes is not None and not sizes.static:
            self._add_profile(builder, network, config, sizes)
        self._load_cache(config)
        data = self._wait(lambda: builder.build_serialized_network(network, config))
        if data is None:
            raise self._failure()
        self._save_cache(config)
        return BuiltEngine(
            bytes(data),
            trt.__version__,
            self.gpu,
            sm,
            self.logger.activation_bytes,
            time.perf_counter() - started,
            tuple(dict.fromkeys(self.logger.warnings)),
        )

    def _set_capabilities(self, any_config: IBuilderConfig) -> tuple[str, ...]:
        trt, config = _rtx(self.trt), cast("tensorrt_rtx.IBuilderConfig", any_config)
        wanted = self.options.sm or ((self.gpu.sm,) if self.gpu else ())
        config.num_compute_capabilities = len(wanted)
        for i, sm in enumerate(wanted):
            config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{sm}"), i)
        return tuple(wanted)

    def _add_profile(
        self, builder: Builder, network: INetworkDefinition, config: IBuilderConfig, sizes: FrameSizes
    ) -> None:
        profile = builder.create_optimization_profile()
        for i in range(network.num_inputs):
            tensor = network.get_input(i)
            if -1 in tuple(tensor.shape):
                shape = tuple(tensor.shape)
                low, usual, high = (_filled(shape, size) for size in (sizes.smallest, sizes.usual, sizes.largest))
                profile.set_shape(tensor.name, low, usual, high)
        config.add_optimization_profile(profile)

    def _load_cache(self, config: IBuilderConfig) -> None:
        path = self.options.timing_cache
        if path is None:
            return
        cache = config.create_timing_cache(timing_cache.read(path))
        if cache is None or not config.set_timing_cache(cache, False):
            raise ConfigError(
                f"{path} is a timing cache of another TensorRT or GPU: {self._words()}",
                "delete it or name another --timing-cache",
            )

    def _save_cache(self, config: IBuilderConfig) -> None:
        """Add what was measured to the file, which another build may have added to meanwhile."""
        path = self.options.timing_cache
        ours = None if path is None else config.get_timing_cache()
        if path is None or ours is None:
            return
        with timing_cache.locked(path):
            kept = timing_cache.read(path)
            whole = config.create_timing_cache(kept)
            if whole is None or not whole.combine(ours, False):
                self.logger.warnings.append(f"{path} was not added to, it is of another TensorRT or GPU by now")
                return
            after = bytes(whole.serialize())
            if after != kept:
                model_file.write_whole(path, after)

    def _wait(self, work: Callable[[], Any]) -> Any:
        results: list[Any] = []
        done = threading.Event()  # not Thread.join, which takes a thread for ended once it was interrupted

        def run() -> None:
            try:
                results.append(work())
            except Exception as error:  # the bindings raise where the library cannot even say no
                self.logger.errors.append(f"{type(error).__name__}: {error}")
            finally:
                done.set()

        threading.Thread(target=run, name="engine build", daemon=True).start()
        try:
            while not done.wait(0.1):
                pass
        except BaseException:  # Ctrl-C or SIGTERM; to leave while the library works would crash the process
            self.monitor.cancelled = True
            done.wait(_CANCEL_S)
            raise
        return results[0] if results else None

    def _words(self, error: Exception | None = None) -> str:
        """The library's own last words."""
        said = [*self.logger.errors[-3:], *([f"{type(error).__name__}: {error}"] if error else [])]
        return "; ".join(said) or "it gave no reason"

    def _failure(self, error: Exception | None = None) -> ModelError:
        words = self._words(error)
        low = words.lower()
        if "memory" in low or "alloc" in low or "workspace" in low:
            hint = "close other programs, give a smaller --max or --size, or another --workspace"
        else:
            hint = self._unsupported_hint()
        return ModelError(f"the engine cannot be built: {words}", hint)

    def _unsupported_hint(self) -> str:
        return f"{MODULES[self.options.target]} {self.trt.__version__} may be too old: upgrade it, or export again"


def _filled(shape: tuple[int, ...], size_hw: tuple[int, int]) -> tuple[int, ...]:
    """A frame tensor's shape with its free dimensions, height first, filled in."""
    free = iter(size_hw)
    return tuple(next(free) if dim == -1 else dim for dim in shape)


def _parser_words(parser: OnnxParser) -> str:
    errors = []
    for i in range(parser.num_errors):
        fault = parser.get_error(i)
        errors.append(f"{fault.node_operator()} at {fault.node_name() or 'the graph'}: {fault.desc()}")
    return "; ".join(errors[:3])


def _logger(trt: TensorRt) -> Any:
    """A logger that keeps what matters and prints nothing."""

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []
            self.warnings: list[str] = []
            self.activation_bytes: int | None = None

        def log(self, severity: ILogger.Severity, msg: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(msg)
            elif severity == trt.ILogger.Severity.WARNING:
                self.warnings.append(msg)
            elif msg.startswith("Total Activation Memory:"):
                self.activation_bytes = int(msg.split(":")[1].split()[0])

    return Logger()


def _monitor(trt: TensorRt, progress: Progress) -> Any:
    """The builder's own progress, handed on; setting ``cancelled`` stops the build at its next step."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.cancelled = False
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.steps[phase_name] = num_steps
            progress(phase_name, 0, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            progress(phase_name, step + 1, self.steps.get(phase_name, 0))
            return not self.cancelled

        def phase_finish(self, phase_name: str) -> None:
            steps = self.steps.pop(phase_name, 0)
            progress(phase_name, steps, steps)

    return Monitor()
