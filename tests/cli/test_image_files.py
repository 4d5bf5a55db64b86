"""What is done with images: by kinds of file, and by the options of `run`."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnx
import pytest
from PIL import Image

from lascompile.cli.main import main
from lascompile.compile import build_artifact
from lascompile.errors import UsageError
from lascompile.models.images import natural_images_uint8, normalize
from lascompile.models.picture_file import read_picture
from tests.masked_nets import masked_network

PIXELS = natural_images_uint8(1, 20, 3)[0]
GREY = PIXELS[..., 0]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """m.lasc takes one image and gives ten scores, pair.lasc takes two."""
    folder = tmp_path_factory.mktemp("images")
    for name, batch in (("m", 1), ("pair", 2)):
        onnx.save(masked_network(batch=batch, head=True, blocks=1), folder / f"{name}.onnx")
        build_artifact(folder / f"{name}.onnx", threads=1)
    return folder


@pytest.fixture
def here(built, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("m.lasc", "pair.lasc"):
        shutil.copytree(built / name, tmp_path / name)
    (tmp_path / "photos").mkdir()
    for number in range(3):
        Image.fromarray(natural_images_uint8(1, 24, number)[0]).save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    return tmp_path


def run(*arguments, artifact="m.lasc"):
    return main(["run", artifact, "--threads", "1", *map(str, arguments)])


def error_of(capsys, *arguments):
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err.removeprefix("lascompile: error: ").rstrip()


def test_sixteen_bits_become_the_nearest_eight(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "8.png")
    for shift in (0, 100, -100):
        steps = np.clip(GREY.astype(np.int64) * 257 + shift, 0, 65535).astype(np.uint16)
        Image.fromarray(steps).save(tmp_path / "16.png")
        assert np.array_equal(read_picture(tmp_path / "16.png"), read_picture(tmp_path / "8.png"))


@pytest.mark.parametrize(("kind", "what"), [(np.float32, "floats"), (np.int32, "32 bits a pixel")])
def test_numbers_without_a_range_are_refused(tmp_path, kind, what):
    numbers = GREY / 255 if kind is np.float32 else GREY.astype(np.int32) * 1000
    Image.fromarray(numbers.astype(kind)).save(tmp_path / "x.tiff")
    with pytest.raises(UsageError, match=f"has {what}, of which nobody can tell black from white"):
        read_picture(tmp_path / "x.tiff")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency(tmp_path, mode):
    opaque = Image.fromarray(PIXELS).convert(mode)
    opaque.save(tmp_path / "opaque.png")
    assert read_picture(tmp_path / "opaque.png").mode == "RGB"
    clear = opaque.copy()
    if mode == "P":
        clear.info["transparency"] = clear.getpixel((3, 3))
        clear.save(tmp_path / "clear.png", transparency=clear.info["transparency"])
    else:
        clear.putpixel((3, 3), (*clear.getpixel((3, 3))[:-1], 254))
        clear.save(tmp_path / "clear.png")
    with pytest.raises(UsageError, match="has transparent pixels"):
        read_picture(tmp_path / "clear.png")


@pytest.mark.parametrize("artifact", ["m.lasc", "pair.lasc"])
def test_a_folder_of_images(here, capsys, artifact):
    """Three images, in one batch after another, are as each alone."""
    assert run("--input", "photos", "-o", "all.npz", "--json", "--masks", "masks", artifact=artifact) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["images"] == ["0.png", "1.png", "2.png"]
    assert report["outputs"][0]["shape"] == [3, 10]
    assert [len(mask["activation_rates"]) for mask in report["masks"]] == [3]
    with np.load("all.npz") as outputs:
        together = outputs["logits"]
    for number in range(3):
        assert run("--input", f"photos/{number}.png", "-o", "one.npz") == 0
        with np.load("one.npz") as outputs:
            assert np.allclose(together[number], outputs["logits"][0], atol=1e-5)


def test_several_files_by_name(here, capsys):
    assert run("--input", "photos/2.png", "photos/0.png", "--top", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "m.lasc on 2 images, 1 threads"
    assert lines[2].startswith("  2.png: class ")
    assert lines[3].startswith("  0.png: class ")
    assert lines[2].count("class") == 2


def test_labels(here, capsys):
    (here / "names.txt").write_text("".join(f"kind {number}\n" for number in range(10)))
    assert run("--input", "photos/1.png", "--labels", "names.txt", "--top", "1", "--json") == 0
    ((best,),) = json.loads(capsys.readouterr().out)["outputs"][0]["best"]
    assert best["label"] == f"kind {best['class']}"


def test_mean_std_and_resize(here):
    picture = Image.fromarray(PIXELS)
    picture.save("x.png")
    options = ("--mean", "0.5,0.4,0.3", "--std", "0.25", "--resize", "20")
    assert run("--input", "x.png", *options, "-o", "image.npz") == 0
    cropped = PIXELS[2:18, 2:18]  # 20 pixels are resized to 20
    np.save("x.npy", normalize(cropped[None], (0.5, 0.4, 0.3), (0.25, 0.25, 0.25)))
    assert run("--input", "x.npy", "-o", "array.npz") == 0
    with np.load("image.npz") as one, np.load("array.npz") as other:
        assert np.allclose(one["logits"], other["logits"], atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--input", "photos", "x.npy"], "input x.npy: no such file"),
        (["--input", "photos/0.png", "photos/notes.txt"], "input photos/notes.txt: no image; several files may be"),
        (["--input", "m.lasc"], "input m.lasc: holds no .jpg, .png or other image"),
        (["--mean", "0.5"], "--mean, --std and --resize are for images; give some with --input"),
        (["--input", "photos", "--std", "0"], "--std 0.0,0.0,0.0: must be positive"),
        (["--input", "photos", "--mean", "1,2"], "argument --mean: '1,2': must be one number or three"),
        (["--input", "photos", "--mean", "nan"], "argument --mean: 'nan': must be one number or three"),
        (["--input", "photos", "--resize", "8"], "--resize 8: photos/0.png is then smaller than the 16x16 that are"),
        (["--labels", "photos/notes.txt"], "labels photos/notes.txt: has 1 lines, but the model has 10 classes"),
        (["--labels", "none"], "labels none: cannot be read"),
        (["--top", "0"], "top 0: must be at least 1"),
        (["--threads", "1000000000"], "argument --threads: 1000000000 is too large, at most 1024 is possible"),
        (["--seed", "9" * 40], "argument --seed: " + "9" * 40 + " is too large"),
    ],
)
def test_what_does_not_fit(here, capsys, arguments, says):
    assert error_of(capsys, *arguments).startswith(says)
