"""`lascompile.build`: its arguments, and how it reports what it does."""

import numpy as np
import onnx
import pytest

import lascompile
from lascompile.compile import build, build_artifact
from lascompile.cpu import physical_cores
from lascompile.errors import DeviceError, LascompileError, UnsupportedModelError, UsageError
from tests.masked_nets import Network, masked_network


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An ONNX file whose batch is left open."""
    path = tmp_path_factory.mktemp("compile") / "m.onnx"
    network = masked_network(blocks=1, size=8)
    network.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"
    network.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.save(network, path)
    return path


@pytest.fixture(scope="module")
def built(model):
    """Its artifact for a batch of two, and what was told on the way."""
    told = []
    shapes = {"x": (2, 3, 8, 8)}
    artifact = build(model, threads=1, shapes=shapes, require_dynamic=True, progress=lambda *now: told.append(now))
    return artifact, told


def test_the_artifact_is_loaded_and_lies_beside_the_model(built, model):
    artifact, _ = built
    assert artifact.path == model.with_suffix(".lasc")
    assert (artifact.threads, artifact.manifest.threads) == (1, 1)


def test_shapes_are_overridden(built):
    artifact, _ = built
    assert artifact.manifest.inputs[0].shape == (2, 3, 8, 8)
    assert artifact.manifest.masks[0].shape == (2, 1, 2, 2)
    assert artifact(np.ones((2, 3, 8, 8), np.float32)).shape == (2, 8, 8, 8)


def test_progress_rises_from_nothing_to_all(built):
    _, told = built
    shares = [share for _, share in told]
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert shares == sorted(shares)
    phases = [phase.split(" kernel ")[0] for phase, _ in told]
    assert list(dict.fromkeys(phases)) == [
        "reading",
        "simplifying",
        "analysing",
        "lowering",
        "scheduling",
        "writing weights",
        "done",
    ]
    assert phases.count("scheduling") > 5


def test_it_is_the_packages_own(model):
    assert lascompile.build is build


@pytest.fixture
def no_write(monkeypatch):
    """A build that gets as far as writing succeeds at once."""
    written = []

    def write_artifact(folder, source, program, scheduler, *_rest):
        written.append(scheduler)
        return folder

    monkeypatch.setattr("lascompile.artifact_writer.write_artifact", write_artifact)
    return written


def test_threads_are_the_physical_cores_unless_given(model, tmp_path, no_write):
    for threads in (None, 3):
        build_artifact(model, tmp_path / "m.lasc", threads=threads, shapes={"x": (1, 3, 8, 8)})
    assert [scheduler.threads for scheduler in no_write] == [physical_cores(), 3]


def test_code_for_another_machine_is_written_but_not_loaded(model, tmp_path, no_write):
    shapes = {"x": (1, 3, 8, 8)}
    folder = tmp_path / "m.lasc"
    target = "llvm -mtriple=aarch64-linux-gnu"
    assert build_artifact(model, folder, target=target, mcpu="cortex-a72", shapes=shapes) == folder
    assert no_write[0].target.mtriple == "aarch64-linux-gnu"


SHAPES = {"x": (1, 3, 8, 8)}


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"target": "cuda -arch=sm_70"}, DeviceError, "code is generated for CPUs only so far: use --target llvm$"),
        ({"target": "abacus"}, UsageError, r"^target 'abacus': no such kind 'abacus' \(allowed: llvm, cuda\)$"),
        ({"mcpu": "z80"}, UsageError, "^CPU 'z80': LLVM knows none of that name for "),
        ({"threads": 0}, UsageError, "^--threads is 0, but at least 1 is needed$"),
        ({"threads": -1}, UsageError, "^--threads is -1, but at least 1 is needed$"),
        ({"shapes": None}, UsageError, "^input 'x' has the dynamic shape nx3x8x8; name a static one"),
        ({"shapes": {"y": (1, 3, 8, 8)}}, UsageError, "names 'y', but the model's inputs are x"),
        ({"shapes": {"x": (1, 3, 8)}}, UsageError, "^--shape x=1,3,8 does not fit the model's input"),
        ({"shapes": {"x": (0, 3, 8, 8)}}, UsageError, "^--shape x=0,3,8,8 does not fit the model's input"),
    ],
)
def test_arguments_that_do_not_fit(model, tmp_path, no_write, options, error, says):
    with pytest.raises(error, match=says) as caught:
        build_artifact(model, tmp_path / "m.lasc", **{"shapes": SHAPES, **options})
    assert "\n" not in str(caught.value)
    assert no_write == []
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file(tmp_path):
    with pytest.raises(UsageError, match=r"none\.onnx: no such file"):
        build(tmp_path / "none.onnx")


def test_a_dense_model_is_refused_if_a_dynamic_one_is_required(tmp_path, no_write):
    net = Network(size=8)
    x = net.add("Relu", [net.conv("x", "stem", (3, 8), 3)], "relu")
    inner = net.conv(x, "conv", (8, 8), 3)
    onnx.save(net.model(net.add("Add", [x, inner], "sum"), [1, 8, 8, 8]), tmp_path / "dense.onnx")
    with pytest.raises(UnsupportedModelError, match="^--require-dynamic: 1 of 1 blocks stay dense; .+: .+inspect"):
        build_artifact(tmp_path / "dense.onnx", require_dynamic=True)
    assert no_write == []
    build_artifact(tmp_path / "dense.onnx")
    assert len(no_write) == 1


def test_so_is_one_without_any_block(tmp_path, no_write):
    net = Network(size=8)
    onnx.save(net.model(net.conv("x", "stem", (3, 8), 3), [1, 8, 8, 8]), tmp_path / "dense.onnx")
    with pytest.raises(
        UnsupportedModelError, match="^--require-dynamic: the model has neither residual blocks nor masks$"
    ):
        build_artifact(tmp_path / "dense.onnx", require_dynamic=True)


def test_all_errors_have_one_root():
    for error in (DeviceError, UnsupportedModelError, UsageError):
        assert issubclass(error, LascompileError)
