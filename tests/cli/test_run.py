"""`lascompile run`, through the command line's own entry, on an artifact that was really built."""

import json
import os
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from lascompile.cli.main import main
from lascompile.compile import build_artifact
from lascompile.models.images import natural_images_uint8, normalize
from tests.masked_nets import masked_network


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with m.onnx, a batch of one, its artifact m.lasc, and pair.lasc for a batch of two."""
    folder = tmp_path_factory.mktemp("run")
    for name, batch, head in (("m", 1, True), ("pair", 2, False)):
        onnx.save(masked_network(batch=batch, head=head), folder / f"{name}.onnx")
        build_artifact(folder / f"{name}.onnx", threads=1)
    return folder


@pytest.fixture
def here(built, tmp_path, monkeypatch):
    """The current folder, with links to what was built."""
    monkeypatch.chdir(tmp_path)
    for name in ("m.onnx", "m.lasc", "pair.lasc"):
        (tmp_path / name).symlink_to(built / name)
    return tmp_path


def image(size=(16, 16), seed=0):
    return normalize(natural_images_uint8(1, size, seed))


def run(*arguments):
    return main(["run", "m.lasc", "--threads", "1", *map(str, arguments)])


def error_of(capsys, code, *arguments):
    """The one line that `run` fails with."""
    assert run(*arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lascompile: error: ")
    assert len(err.splitlines()) == 1
    return err.removeprefix("lascompile: error: ").rstrip()


def test_the_outputs_are_those_of_onnxruntime(here, capsys):
    np.save("x.npy", image())
    assert run("--input", "x.npy", "-o", "y.npz") == 0
    assert "outputs written to y.npz" in capsys.readouterr().out
    session = onnxruntime.InferenceSession("m.onnx", providers=["CPUExecutionProvider"])
    with np.load("y.npz") as outputs:
        assert outputs.files == ["logits"]
        (expected,) = session.run(None, {"x": image()})
        assert np.abs(outputs["logits"] - expected).max() <= 1e-4 * np.ptp(expected)


def test_without_an_input_one_is_generated(here, capsys):
    assert run("--seed", "3") == 0
    first, logits, *_, masks = capsys.readouterr().out.splitlines()
    assert first == "m.lasc on a generated input (seed 3), 1 threads"
    assert logits == "logits [1, 10] float32, best of 10 classes:"
    assert masks.startswith("2 masks, activation rate 0.")


def test_an_image_is_resized_cropped_and_normalised(here, capsys):
    picture = natural_images_uint8(1, (40, 60), seed=1)[0]
    Image.fromarray(picture).save("cat.png")
    assert run("--input", "cat.png", "-o", "y.npz") == 0
    # The crop keeps 7/8 of the shorter side, centred: a plain resize of that box is the same up to rounding.
    box = Image.fromarray(picture).resize((16, 16), Image.Resampling.BILINEAR, (12.5, 2.5, 47.5, 37.5))
    np.save("x.npy", normalize(np.asarray(box)[None]))
    assert run("--input", "x.npy", "-o", "z.npz") == 0
    with np.load("y.npz") as from_image, np.load("z.npz") as from_array:
        assert np.allclose(from_image["logits"], from_array["logits"], atol=1e-3)


def test_an_image_fills_the_batch(here, capsys):
    Image.fromarray(natural_images_uint8(1, 20, seed=1)[0]).convert("L").save("grey.jpg")
    assert main(["run", "pair.lasc", "--input", "grey.jpg", "-o", "y.npz"]) == 0
    with np.load("y.npz") as outputs:
        (output,) = outputs.values()
    assert output.shape == (2, 8, 16, 16)
    assert (output[0] == output[1]).all()


def test_an_archive_holds_the_inputs_by_name(here, capsys):
    np.savez("x.npz", x=image())
    assert run("--input", "x.npz") == 0
    assert capsys.readouterr().out.startswith("m.lasc on x.npz, 1 threads\n")


def test_json_is_all_that_is_printed(here, capsys):
    assert run("--json", "--profile", "--repeats", "2", "--masks", "masks", "-o", "y.npz") == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert err == ""
    assert (report["schema"], report["artifact"], report["threads"]) == (1, "m.lasc", 1)
    assert report["output_file"] == "y.npz"
    assert [mask["granularity"] for mask in report["masks"]] == [[4, 4], [4, 4]]
    assert len(report["outputs"][0]["best"][0]) == 5
    assert report["pictures"][-1] == "masks/masks.png"
    assert report["profile"]["repeats"] == 2


def test_the_profile_agrees_with_the_masks(here, capsys):
    assert run("--json", "--profile", "--repeats", "2") == 0
    report = json.loads(capsys.readouterr().out)
    for mask, block in zip(report["masks"], report["profile"]["blocks"], strict=True):
        assert mask["block"] == block["name"]
        assert block["activation_rate"] == mask["activation_rates"][0]
        assert block["activation_rate"] <= block["halo_rate"] <= 1
        assert 0 < block["flops_ratio"] < 1
        assert block["latency_s"]["scatter"] > 0


@pytest.mark.parametrize("form", ["less_not", "one_minus", "argmax"])
def test_masks_that_are_written_otherwise_are_on_where_work_is_done(here, capsys, form):
    onnx.save(masked_network(form=form, blocks=1), f"{form}.onnx")
    assert main(["build", f"{form}.onnx", "--threads", "1"]) == 0
    capsys.readouterr()
    assert main(["run", f"{form}.lasc", "--json", "--profile", "--repeats", "1"]) == 0
    report = json.loads(capsys.readouterr().out)
    ((rate,),) = (mask["activation_rates"] for mask in report["masks"])
    assert rate == report["profile"]["blocks"][0]["activation_rate"] != 0.5


def test_the_profile_has_a_row_a_block(here, capsys):
    assert run("--profile", "--repeats", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    first_words = [line.split()[0] for line in lines if line]
    assert first_words.index("block1") < first_words.index("block2") < first_words.index("total")
    assert "gather_conv3x3_scatter_add" in first_words
    assert "under it (2 each, 1 threads)" in lines[-1]


def test_pictures_of_the_masks(here, capsys):
    assert run("--masks", "masks") == 0
    files = sorted(path.name for path in (here / "masks").iterdir())
    assert files == ["00_block1.png", "01_block2.png", "masks.png"]
    assert "3 pictures written to masks; masks.png shows all masks" in capsys.readouterr().out
    assert run("--masks", "masks") == 0  # a second time into the same folder


BAD_INPUTS = {
    "nothing.npy": (None, "no such file; give an .npy, .npz, .png or .jpg file"),
    ".": (None, "holds no .jpg, .png or other image"),
    "x.txt": (b"1 2 3", "unknown ending '.txt'; give an .npy, .npz, .png or .jpg file"),
    "x": (b"", "unknown ending ''"),
    "text.npy": (b"1 2 3", "not a NumPy array (it holds Python objects, or is not of this format); write it with"),
    "empty.npy": (b"", "not a NumPy array ("),
    "text.npz": (b"1 2 3", "not a NumPy archive ("),
    "text.png": (b"1 2 3", "cannot be read ("),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_an_input_that_cannot_be_read(here, capsys, name):
    content, says = BAD_INPUTS[name]
    if content is not None:
        (here / name).write_bytes(content)
    what = "image" if name.endswith(".png") else "input"
    assert error_of(capsys, 2, "--input", name).startswith(f"{what} {name}: {says}")


def test_outputs_do_not_replace_a_pipe(here, capsys):
    os.mkfifo("y.npz")
    assert error_of(capsys, 2, "-o", "y.npz") == "output y.npz: is a device, pipe or socket; give the name of a file"
    assert (here / "y.npz").is_fifo()


def test_objects_are_not_unpickled(here, capsys):
    np.save("x.npy", np.array([{}]), allow_pickle=True)
    assert error_of(capsys, 2, "--input", "x.npy").startswith("input x.npy: not a NumPy array (")


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'shape': (",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (9" + b"9" * 40 + b",)}",
        b"\0",
    ],
)
def test_an_array_with_a_malformed_header(here, capsys, header):
    (here / "x.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    assert error_of(capsys, 2, "--input", "x.npy").startswith("input x.npy: not a NumPy array (")


def test_an_archive_under_the_ending_of_an_array(here, capsys):
    np.savez("x.npz", x=image())
    (here / "x.npz").rename("x.npy")
    assert error_of(capsys, 2, "--input", "x.npy") == "input x.npy: holds several arrays; give it the ending .npz"


@pytest.mark.parametrize("ending", [".npz", ".png"])
def test_a_truncated_file(here, capsys, ending):
    if ending == ".npz":
        np.savez("x.npz", x=image())
    else:
        Image.fromarray(natural_images_uint8(1, 64, seed=0)[0]).save("x.png")
    path = here / f"x{ending}"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    what = "image" if ending == ".png" else "input"
    assert error_of(capsys, 2, "--input", path.name).startswith(f"{what} x{ending}: ")


def test_names_in_an_archive_must_be_those_of_the_inputs(here, capsys):
    np.savez("x.npz", image())
    says = error_of(capsys, 2, "--input", "x.npz")
    assert says.startswith("input x.npz: holds arr_0, but the inputs are x; write it with numpy.savez(")


def test_an_array_of_another_shape_or_element_type(here, capsys):
    np.save("x.npy", image((16, 20)))
    says = "input 'x' is 1x3x16x20 float32, but the model was built for 1x3x16x16 float32"
    assert error_of(capsys, 2, "--input", "x.npy").startswith(says)
    np.save("x.npy", image().astype(np.float64))
    says = "input 'x' is 1x3x16x16 float64, but the model was built for 1x3x16x16 float32"
    assert error_of(capsys, 2, "--input", "x.npy").startswith(says)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--repeats", "0"], "repeats 0: must be at least 1"),
        (["--seed", "-1"], "seed -1: must not be negative"),
        (["--threads", "0"], "threads is 0, but at least 1 is needed"),
        (["-o", "y.txt"], "output y.txt: unknown ending '.txt'; give a .npz file"),
        (["-o", "missing/y.npz"], "output missing/y.npz: missing is not a folder; make it first"),
        (["-o", "folder.npz"], "output folder.npz: is a folder; give the name of a file"),
        (["--masks", "file"], "masks file: is a file; give a folder"),
        (["--masks", "missing/masks"], "masks missing/masks: missing is not a folder; make it first"),
    ],
)
def test_arguments_that_do_not_fit(here, capsys, arguments, says):
    (here / "folder.npz").mkdir()
    (here / "file").touch()
    assert error_of(capsys, 2, *arguments) == says


def test_what_is_not_an_artifact(here, capsys):
    (here / "empty").mkdir()
    for name in ("empty", "missing", "m.onnx"):
        assert main(["run", name]) == 6
        assert f"{name} is not an artifact" in capsys.readouterr().err


def test_a_damaged_artifact(here, built, capsys):
    shutil.copytree(built / "m.lasc", here / "broken.lasc")
    (here / "broken.lasc" / "constants.bin").write_bytes(b"")
    assert main(["run", "broken.lasc"]) == 6
    assert "broken.lasc/constants.bin is damaged" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(here, capsys, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.lib.format.write_array", full)
    assert error_of(capsys, 1, "-o", "y.npz") == "y.npz: the disk is full"
    assert sorted(path.name for path in here.iterdir()) == ["m.lasc", "m.onnx", "pair.lasc"]


def test_an_older_file_survives_a_failure(here, capsys, monkeypatch):
    (here / "y.npz").write_bytes(b"older")
    monkeypatch.setattr("numpy.lib.format.write_array", lambda *_args, **_kwargs: 1 / 0)
    assert run("-o", "y.npz") == 1
    assert (here / "y.npz").read_bytes() == b"older"
