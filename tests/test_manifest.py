"""The manifest: what is written is read again, and nothing else is taken for one."""

import copy
import hashlib
import json
from dataclasses import fields, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lascompile.errors import ArtifactError
from lascompile.manifest import (
    Manifest,
    MaskSpec,
    StepSpec,
    StoredTensor,
    TensorSpec,
    ViewSpec,
    check_files,
    sealed,
    sha256,
)

MANIFEST = Manifest(
    versions={"lascompile": "1", "tvm": "2", "tvm_ffi": "3"},
    onnx={"name": "m.onnx", "sha256": "00"},
    target={"kind": "llvm", "mcpu": "generic", "mtriple": "x86_64-linux-gnu", "features": ["avx"], "vector_bits": 256},
    threads=2,
    inputs=(TensorSpec("x", (1, 3, 8, 8), "float32"),),
    outputs=(TensorSpec("y", (), "float32"), TensorSpec("z", (0, 2), "int64")),
    masks=(MaskSpec("m0", (1, 1, 2, 2), "bool", "block1", (4, 4), (8, 8), workspace=1, index=0, inverted=False),),
    blocks=({"name": "block1", "dynamic": True, "reason": None},),
    flops={"dense": 2, "at_rate": 1.5, "activation_rate": 0.5},
    dense_operators=("Gather",),
    input_views=(ViewSpec(0, (3, 8, 8)),),
    output_views=(),
    constants=(StoredTensor(64, (1, 64), "int32"),),
    workspace=(
        StoredTensor(0, (2, 2), "float32"),
        StoredTensor(64, (1, 1, 2, 2), "bool"),
        StoredTensor(128, (1,), "int32"),
    ),
    workspace_bytes=192,
    steps=(
        StepSpec("conv", "n", "block1", "conv", True, 64, 2, "direct", ({"algorithm": "direct", "cost": 1.5},)),
        StepSpec("pool", "p", "", "masker", False),
    ),
    library="model-0.so",
    files={"model-0.so": "11", "constants.bin": "22"},
    verification={"tolerance": 1e-4, "blocks": []},
)
STORED = json.loads(MANIFEST.to_json())


@pytest.fixture
def read(tmp_path):
    """Read a JSON value as the manifest of a folder."""

    def store(value, seal=True):
        whole = sealed(value) if seal and isinstance(value, dict) else value
        (tmp_path / "manifest.json").write_text(json.dumps(whole))
        return Manifest.read(tmp_path)

    return store


def plain(manifest):
    """Without the difference between tuples and lists that JSON does not keep."""
    return json.loads(manifest.to_json())


def test_a_round_trip(read):
    again = read(STORED)
    assert plain(again) == STORED
    # Specs come back as they were, tuples included.
    assert (again.inputs, again.outputs, again.masks) == (MANIFEST.inputs, MANIFEST.outputs, MANIFEST.masks)
    assert (again.input_views, again.constants, again.workspace) == (
        MANIFEST.input_views,
        MANIFEST.constants,
        MANIFEST.workspace,
    )
    assert again.steps == MANIFEST.steps


def test_names_of_any_language(read):
    named = replace(MANIFEST, inputs=(TensorSpec('вход/"1"\n', (1, 3, 8, 8), "float32"),))
    assert read(json.loads(named.to_json())).inputs == named.inputs


@pytest.mark.parametrize("name", [entry.name for entry in fields(Manifest) if entry.name != "schema"])
def test_a_field_that_is_missing(read, tmp_path, name):
    with pytest.raises(ArtifactError) as caught:
        read({key: value for key, value in STORED.items() if key != name})
    path = tmp_path / "manifest.json"
    assert str(caught.value) == f"{path} is damaged (field {name!r} is missing); build the artifact again"


@pytest.mark.parametrize("where", ["", "inputs", "masks", "input_views", "constants", "workspace", "steps"])
def test_a_field_that_is_unknown(read, where):
    stored = copy.deepcopy(STORED)
    (stored[where][0] if where else stored)["novel"] = 1
    with pytest.raises(ArtifactError, match=r"is damaged \(field 'novel' is unknown\); build the artifact again$"):
        read(stored)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("threads",), "2", "field 'threads' is no int"),
        (("threads",), True, "field 'threads' is no int"),
        (("workspace_bytes",), -1, "field 'workspace_bytes' is no int"),
        (("target",), None, "field 'target' is no Mapping[str, Any]"),
        (("versions",), {"lascompile": 1}, "field 'versions' is no Mapping[str, str]"),
        (("inputs",), 3, "field 'inputs' is no Sequence[TensorSpec]"),
        (("inputs", 0), [1], "field 'inputs' is no Sequence[TensorSpec]"),
        (("inputs", 0, "shape"), [1, "3"], "field 'shape' is no tuple[int, ...]"),
        (("inputs", 0, "shape"), [1, -3], "field 'shape' is no tuple[int, ...]"),
        (("constants", 0, "offset"), 0.5, "field 'offset' is no int"),
        (("masks", 0, "size"), [8], "field 'size' is no tuple[int, int]"),
        (("steps", 0, "forced"), 1, "field 'forced' is no bool"),
        (("steps", 0, "count"), "x", "field 'count' is no int | None"),
        (("steps", 0, "algorithm"), 3, "field 'algorithm' is no str | None"),
        (("steps", 0, "candidates"), [3], "field 'candidates' is no Sequence[Mapping[str, Any]]"),
        (("verification",), [], "field 'verification' is no Mapping[str, Any] | None"),
    ],
)
def test_a_field_of_another_type(read, tmp_path, path, value, says):
    stored = copy.deepcopy(STORED)
    place = stored
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(ArtifactError) as caught:
        read(stored)
    assert str(caught.value) == f"{tmp_path / 'manifest.json'} is damaged ({says}); build the artifact again"


def places(value, path=()):
    """Where in a JSON value something can be put in the place of something else."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=st.sampled_from(list(places(STORED))),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=4,
    ),
)
def test_anything_anywhere_is_refused_in_one_line_or_read(read, where, value):
    stored = copy.deepcopy(STORED)
    if where:
        place = stored
        for key in where[:-1]:
            place = place[key]
        place[where[-1]] = value
    else:
        stored = value
    try:
        manifest = read(stored)
    except ArtifactError as error:
        assert "\n" not in str(error)
    else:
        assert plain(manifest) == sealed(stored)


def test_files_are_checked(tmp_path):
    (tmp_path / "model-0.so").write_bytes(b"library")
    (tmp_path / "constants.bin").write_bytes(b"")
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    manifest = replace(MANIFEST, files=sums)
    check_files(tmp_path, manifest)
    (tmp_path / "model-0.so").write_bytes(b"librarY")
    with pytest.raises(ArtifactError, match=r"model-0\.so is damaged: its checksum is not the manifest's"):
        check_files(tmp_path, manifest)
    (tmp_path / "model-0.so").unlink()
    with pytest.raises(ArtifactError, match=r"model-0\.so is missing; build the artifact again$"):
        check_files(tmp_path, manifest)


FILES = {"model-0.so": b"library", "constants.bin": b""}


@pytest.mark.parametrize("where", ["elsewhere", "inside"])
def test_a_file_that_is_a_link(tmp_path, where):
    folder = tmp_path / "m.lasc"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    kept = (tmp_path if where == "elsewhere" else folder) / "kept"
    (folder / "model-0.so").rename(kept)
    (folder / "model-0.so").symlink_to(kept)
    manifest = replace(MANIFEST, files={name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()})
    if where == "inside":
        check_files(folder, manifest)
        return
    with pytest.raises(ArtifactError, match=r"model-0\.so is a link that leads out of the artifact"):
        check_files(folder, manifest)


DISAGREE = {
    "a library elsewhere": (("library",), "/usr/lib/libc.so.6", "'/usr/lib/libc.so.6' is no name of a file in the"),
    "a library above": (("library",), "../model-0.so", "'../model-0.so' is no name of a file in the folder"),
    "a library of another name": (("library",), "model-1.so", "model-0.so is no file of an artifact"),
    "a file elsewhere": (("files",), {"../../secret": "0"}, "'../../secret' is no name of a file in the folder"),
    "one file more": (("files", "more.so"), "0", "more.so is no file of an artifact"),
    "no threads": (("threads",), 0, "threads is 0"),
    "an element type": (("workspace", 0, "dtype"), "float31", "workspace: unknown element type 'float31'"),
    "an input of any size": (("inputs", 0, "shape"), [10**30], "inputs: a tensor of 4000000000000000000000000000000"),
    "two masks": (("masks",), [STORED["masks"][0]] * 2, "two of masks have one name"),
    "a view of nothing": (("input_views", 0, "position"), 1, "input_views: there is no position 1"),
    "a view of another size": (("input_views", 0, "shape"), [3, 8], "input_views: [3, 8] is no shape of 'x'"),
    "an odd offset": (("workspace", 1, "offset"), 65, "workspace[1] lies at byte 65 of 192"),
    "an offset beyond": (("workspace", 1, "offset"), 192, "workspace[1] lies at byte 192 of 192"),
    "a workspace without end": (("workspace_bytes",), 2**60, "workspace_bytes is 1152921504606846976"),
    "a mask nowhere": (("masks", 0, "workspace"), 3, "workspace: there is no position 3"),
    "a mask of another type": (("masks", 0, "dtype"), "float32", "mask 'm0' is not what stands in the workspace"),
    "a mask of another map": (("masks", 0, "size"), [8, 9], "mask 'm0' has no index of its pixels"),
    "a mask of no patches": (("masks", 0, "granularity"), [0, 4], "mask 'm0' has patches of no pixels"),
    "a count of nothing": (("steps", 0, "rows"), 0, "step 'conv' has a count of no rows"),
    "a count that is none": (("steps", 0, "count"), 0, "the count of step 'conv' is no int32"),
    "features that are none": (("target", "features"), [3], "target: features are no list of names"),
    "no CPU": (("target", "mcpu"), 3, "target: mcpu is no text"),
}


@pytest.mark.parametrize("what", DISAGREE)
def test_fields_that_disagree(read, what):
    path, value, says = DISAGREE[what]
    stored = copy.deepcopy(STORED)
    place = stored
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(ArtifactError) as caught:
        read(stored)
    assert f"manifest.json is damaged ({says}" in str(caught.value)


def leaves(value, path=()):
    """The places of a JSON value that hold nothing else, and what they hold."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not children:
        yield path, value
    for key, child in children:
        yield from leaves(child, (*path, key))


OTHERS: tuple[object, ...] = (None, True, 0, 1, -1, 63, 2**40, 0.5, "", "x", "../x", [], [0], {}, {"a": 1})


def test_every_edit_of_a_leaf_is_found(tmp_path):
    """The checksum within it says so, whatever the edit makes of the manifest."""
    whole = json.loads(MANIFEST.to_json())
    edits = 0
    for path, value in leaves(whole):
        for other in OTHERS:
            if type(other) is type(value) and other == value:
                continue
            stored = copy.deepcopy(whole)
            place = stored
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = other
            (tmp_path / "manifest.json").write_text(json.dumps(stored))
            with pytest.raises(ArtifactError):
                Manifest.read(tmp_path)
            edits += 1
    assert edits > 1145


@pytest.mark.parametrize("checksum", [None, "", 3, "0" * 64])
def test_a_checksum_of_something_else(read, checksum):
    with pytest.raises(ArtifactError, match="is damaged"):
        read({**STORED, "checksum": checksum}, seal=False)


def test_checksums_of_large_files(tmp_path):
    """Longer than what is read at once."""
    content = bytes(range(256)) * (20 << 10)
    (tmp_path / "large").write_bytes(content)
    assert len(content) > 1 << 22
    assert sha256(tmp_path / "large") == hashlib.sha256(content).hexdigest()
