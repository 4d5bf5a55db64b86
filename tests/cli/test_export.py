"""`lascompile export`, through the command line's own entry."""

import json
import os

import numpy as np
import onnxruntime
import pytest
import torch

from lascompile.cli.main import main
from lascompile.models import create_model, natural_images

TINY = ["export", "lasnet_resnet_tiny", "--granularity", "4,4,2,1", "--input-size", "64x96"]


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small gain nothing from a second thread, and wait for it where the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(path, images):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"images": images})[0]


def test_json_describes_the_file(tmp_path, capsys):
    path = tmp_path / "m.onnx"
    options = ["--activation-rate", "0.3", "--batch", "2", "--exporter", "torchscript", "--json"]
    assert main([*TINY, *options, "-o", str(path)]) == 0
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert summary["schema"] == 1
    assert summary["onnx"] == str(path)
    assert summary["bytes"] == path.stat().st_size
    assert summary["input"] == [2, 3, 64, 96]
    assert summary["exporter"] == "torchscript"
    assert not summary["static"]
    assert [block["granularity"] for block in summary["blocks"]] == [4, 4, 4, 4, 2, 2, 1, 1]
    assert all(abs(block["activation_rate"] - 0.3) < 0.03 for block in summary["blocks"])
    assert summary["blocks"][2]["name"] == "layer2.0"
    assert run(path, natural_images(2, (64, 96), seed=0)).shape == (2, 10)
    assert err == ""


def test_the_text_has_a_row_a_stage(tmp_path, capsys):
    assert main([*TINY, "--exporter", "torchscript", "-o", str(tmp_path / "m.onnx")]) == 0
    out = capsys.readouterr().out
    assert "lasnet_resnet_tiny, with maskers, input 1x3x64x96" in out
    assert "activation rates on 32 images (generated):" in out
    assert "0.50" in next(line for line in out.splitlines() if "layer3" in line)


def test_static_is_the_same_network_with_every_mask_on(tmp_path, capsys):
    static, all_on = tmp_path / "static.onnx", tmp_path / "on.onnx"
    common = [*TINY, "--exporter", "torchscript", "--seed", "4"]
    assert main([*common, "--static", "-o", str(static)]) == 0
    assert "static" in capsys.readouterr().out
    assert main([*common, "--activation-rate", "1", "-o", str(all_on)]) == 0
    x = natural_images(1, (64, 96), seed=2)
    np.testing.assert_allclose(run(static, x), run(all_on, x), atol=1e-5)
    assert static.stat().st_size < all_on.stat().st_size


def test_checkpoint_and_default_exporter(tmp_path, capsys):
    model = create_model("lasnet_resnet_tiny", input_size=(64, 96), seed=9)
    torch.save(model.state_dict(), tmp_path / "c.pth")
    path = tmp_path / "m.onnx"
    assert main([*TINY, "--checkpoint", str(tmp_path / "c.pth"), "--json", "-o", str(path)]) == 0
    summary = json.loads(capsys.readouterr().out)
    # The maskers of the file are left as they are: untrained, with every patch on.
    assert {block["activation_rate"] for block in summary["blocks"]} == {1.0}
    assert summary["exporter"] == "dynamo"
    x = natural_images(1, (64, 96), seed=2)
    with torch.no_grad():
        expected = model(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(run(path, x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["nonet"],
            "unknown architecture 'nonet': the zoo has lasnet_resnet18, lasnet_resnet50, lasnet_resnet101",
        ),
        (["lasnet_resnet50", "--granularity", "4,4,2"], "give 4, one a stage, or 16, one a block"),
        (
            ["lasnet_resnet50", "--granularity", "4,0,2,1"],
            "granularity 0 of block layer2.0: must be from 1 to 4",
        ),
        (["lasnet_resnet50", "--granularity", "99,4,2,1"], "feature map is 8x8 for images of 32x32"),
        (["lasnet_resnet50", "--granularity", "4,x"], "granularity '4,x': must be whole numbers and commas"),
        (["lasnet_resnet50", "--input-size", "224x"], "input size '224x': must be N or HxW in pixels"),
        (["lasnet_resnet50", "--input-size", "1x2x3"], "must be N or HxW in pixels"),
        (["lasnet_resnet50", "--input-size", "0"], "must be N or HxW in pixels"),
        (
            ["lasnet_resnet50", "--activation-rate", "1.5"],
            "activation rate 1.5: must be above 0 and at most 1",
        ),
        (["lasnet_resnet50", "--activation-rate", "0"], "activation rate 0: must be above 0"),
        (["lasnet_resnet50", "--batch", "0"], "batch 0: must be at least 1"),
        (["lasnet_resnet50", "--seed", "-1"], "seed -1: must not be negative"),
        (["lasnet_resnet50", "--mask-channel-group", "7"], "does not divide the 256 channels"),
        (["lasnet_resnet50", "--checkpoint", "none.pth"], "checkpoint none.pth: no such file"),
        (["lasnet_resnet50", "--calibration", "no/images"], "image folder no/images: no such folder"),
        (["lasnet_resnet50", "--exporter", "onnx"], "invalid choice: 'onnx'"),
        (
            ["resnet50", "--activation-rate", "0.5"],
            "resnet50 has no maskers to calibrate: use lasnet_resnet50",
        ),
        (["resnet50", "--granularity", "4,4,2,1"], "use lasnet_resnet50"),
    ],
)
def test_mistakes_are_one_line_and_code_2(tmp_path, capsys, arguments, message):
    path = tmp_path / "m.onnx"
    assert main(["export", "--input-size", "32", *arguments, "-o", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lascompile: error: ")
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_missing_output_folder_is_said_before_any_work(tmp_path, capsys):
    assert main(["export", "lasnet_resnet50", "-o", str(tmp_path / "no" / "m.onnx")]) == 2
    assert "no is not a folder; make it first" in capsys.readouterr().err


def test_a_pipe_is_not_replaced_by_a_file(tmp_path, capsys):
    os.mkfifo(tmp_path / "m.onnx")
    assert main(["export", "lasnet_resnet50", "-o", str(tmp_path / "m.onnx")]) == 2
    assert "is a device, pipe or socket; give the name of a file" in capsys.readouterr().err
    assert (tmp_path / "m.onnx").is_fifo()
