"""Activation ranges over a calibration set: minmax, entropy, percentile, by ONNX Runtime's own calibraters.

::

    python -m calibration.ranges --onnx base.onnx --data SET -o ranges.json [--method percentile]

A range is the largest magnitude that INT8 is to represent; what is beyond is clamped.

* ``minmax``, the default: nothing seen is clamped, and a quarter more than was seen is left for what was not. (A set of
  one clip's frames is narrow: without this headroom the shipped model lost 0.30 dB on other pictures, with it 0.08, and
  nothing on the clip's own.)
* ``percentile``: 0.01 % of the values are clamped, half of them on each side.
* ``entropy``: the clamping whose quantized histogram diverges least from the true one (Kullback-Leibler; Migacz,
  "8-bit inference with TensorRT", 2017), on 512 bins a side and 128 quantized levels.

Clamping serves classifiers, whose rare activations matter little. Here they carry the colours at the subject's edge:
on the shipped model minmax is 10 dB better than percentile, and that 6 dB or more better than entropy.

**Memory** does not grow with the set. ONNX Runtime's calibraters keep the activations of all samples that one call of
``collect_data`` reads; here each call reads a single sample, and they merge its extremes or its histogram into what
they have. Merging widens a histogram by whole bins when a sample exceeds it, without bound and depending on the order
of samples: therefore a pass for the extremes comes first and lays the histograms' bins.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.quantization import calibrate as ort_calibrate

from calibration.shards import Sample, open_set
from edge_harmony.contract import TRANSFORM_GRAPH_INPUTS, pack_working_view
from edge_harmony.errors import ConfigError, ModelError
from edge_harmony.run.arguments import Parser, add_verbose, whole
from edge_harmony.run.exit_code import exit_code
from export import model_file
from export.precision import convolutions

METHODS: Final = ("minmax", "percentile", "entropy")
DEFAULT_METHOD: Final = "minmax"
PERCENTILE: Final = 99.99
HEADROOM: Final = 1.25  # of minmax
SMALLEST: Final = 2.0**-10  # the range of a tensor that was 0 throughout: any would do, 0 would not

BINS: Final = 1024  # of a histogram, both sides of 0; ONNX Runtime's search costs the square
QUANTIZED_BINS: Final = 256  # both sides of 0: INT8's levels


def feeds(sample: Sample) -> dict[str, NDArray[np.float32]]:
    """A transform graph's inputs for a sample."""
    return dict(zip(TRANSFORM_GRAPH_INPUTS, pack_working_view(*sample), strict=True))


class SampleReader(ort_calibrate.CalibrationDataReader):
    """Hands samples to ONNX Runtime's calibraters one by one, then None."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = iter(samples)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        sample = next(self._samples, None)
        return None if sample is None else feeds(sample)


def measure_ranges(
    model: onnx.ModelProto,
    samples: Callable[[], Iterable[Sample]],
    method: str = DEFAULT_METHOD,
    threads: int = 1,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """The range of every tensor that ``export.precision.to_int8`` asks for.

    Args:
        model: an FP32 transform graph.
        samples: gives the samples from the start, each time it is called; once for minmax, else twice.
        method: one of ``METHODS``.
        threads: for the network.
        advance: called after each sample of each pass.

    Returns:
        Largest magnitude by tensor name, above 0.

    Raises:
        ConfigError: an unknown method. ModelError: no FP32 transform graph, or it gives NaN or infinity.
        SourceError: there is no sample, or one cannot be read.
    """
    if method not in METHODS:
        raise ConfigError(f"there is no calibration method {method!r}", f"use one of: {', '.join(METHODS)}")
    info = model_file.inspect(model)
    if (info.graph, info.precision) != (model_file.GRAPH_TRANSFORM, "fp32"):
        raise ModelError(f"a {info.precision} {info.graph} graph was given", "give the FP32 transform graph")
    tensors = sorted({site.tensor for site in convolutions(model)})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, str(path))
        extremes = _collect(_MinMax(path, tensors, threads), samples(), advance)
        peaks = {name: _magnitude(extremes[name]) for name in tensors}
        bad = [name for name, peak in peaks.items() if not np.isfinite(peak)]
        if bad:
            raise ModelError(f"the model gives NaN or infinity at {bad[0]}", "train or export it again")
        if method == "minmax":
            return {name: max(HEADROOM * peak, SMALLEST) for name, peak in peaks.items()}
        live = [name for name in tensors if peaks[name] > SMALLEST]
        kind = _Entropy if method == "entropy" else _Percentile
        clamped = _collect(kind(path, live, threads, peaks), samples(), advance) if live else {}
    return {name: max(_magnitude(clamped[name]), SMALLEST) if name in live else SMALLEST for name in tensors}


class _OneByOne(ort_calibrate.CalibraterBase):
    """Makes a calibrater watch the given tensors alone, on the given number of threads, and quietly."""

    def __init__(self, path: Path, tensors: Collection[str], threads: int, **options: Any) -> None:
        self._tensors, self._threads = set(tensors), threads
        watched = str(path.with_name("watched.onnx"))
        super().__init__(path, augmented_model_path=watched, **options)
        self.augment_graph()
        self.create_inference_session()

    def select_tensors_to_calibrate(self, model: onnx.ModelProto) -> tuple[set[str], dict[str, onnx.ValueInfoProto]]:
        graph = model.graph
        return self._tensors, {value.name: value for value in (*graph.value_info, *graph.input, *graph.output)}

    def create_inference_session(self) -> None:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        self.infer_session = ort.InferenceSession(self.augmented_model_path, options, providers=providers)


class _MinMax(_OneByOne, ort_calibrate.MinMaxCalibrater):
    pass


class _Histogram(_OneByOne):
    """A histogram calibrater whose bins are laid before the first sample."""

    def __init__(self, path: Path, tensors: Collection[str], threads: int, peaks: dict[str, float], **options: Any):
        super().__init__(path, tensors, threads, num_bins=BINS, **options)
        self.collector = ort_calibrate.HistogramCollector(
            method=self.method,  # pyright: ignore[reportAttributeAccessIssue]
            symmetric=False,
            num_bins=BINS,
            num_quantized_bins=QUANTIZED_BINS,
            percentile=PERCENTILE,
            scenario="same",
        )
        for name in tensors:
            peak, zero = np.float32(peaks[name]), np.float32(0)
            edges = np.linspace(-peak, peak, BINS + 1, dtype=np.float32)
            self.collector.histogram_dict[name] = (np.zeros(BINS, np.int64), edges, zero, zero, peak)


class _Entropy(_Histogram, ort_calibrate.EntropyCalibrater):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args, method="entropy", num_quantized_bins=QUANTIZED_BINS)


class _Percentile(_Histogram, ort_calibrate.PercentileCalibrater):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args, method="percentile", percentile=PERCENTILE)


def _collect(calibrater: Any, samples: Iterable[Sample], advance: Callable[[], None]) -> Any:
    """Feed samples one a call, so that the activations of one alone are held."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():  # the calibraters print
        warnings.simplefilter("ignore", RuntimeWarning)  # NaN is looked for afterwards
        for sample in samples:
            calibrater.collect_data(SampleReader([sample]))
            calibrater.clear_collected_data()
            advance()
        return calibrater.compute_data()


def _magnitude(found: Any) -> float:
    lowest, highest = found.range_value
    return float(max(abs(float(np.min(lowest))), abs(float(np.max(highest)))))


def main(argv: list[str] | None = None) -> int:
    parser = Parser(
        prog="python -m calibration.ranges",
        description="Measure activation ranges over a calibration set.",
    )
    parser.add_argument("--onnx", type=Path, required=True, help="the FP32 transform graph, such as base.onnx")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="from python -m calibration.collect")
    parser.add_argument("--method", choices=METHODS, default=DEFAULT_METHOD, help=f"default: {DEFAULT_METHOD}")
    parser.add_argument("--threads", type=whole(1, 1024), default=1, help="for the network (default: 1)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="JSON", help="for export.precision --int8")
    add_verbose(parser)
    args = parser.parse_args(argv)

    def work() -> None:
        model, _ = model_file.load(args.onnx)
        data = open_set(args.data)
        data.verify()
        ranges = measure_ranges(model, lambda: iter(data), args.method, args.threads)
        model_file.write_whole(args.output, (json.dumps(ranges, indent=1) + "\n").encode())
        print(f"{args.output}: {len(ranges)} ranges, {args.method} over {data.count} samples")

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
