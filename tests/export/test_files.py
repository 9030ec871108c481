"""What is in a file, and what is refused?  Bytes, checksums, structures, programs that are traps."""

from __future__ import annotations

import collections
import dataclasses
import json
import subprocess
import sys

import numpy as np
import optree
import pytest

import funcgrad as fg
from funcgrad.dtypes import BFLOAT16
from funcgrad.export import ExportError, deserialize, export
from funcgrad.export.container import FORMAT, MAGIC, PREFIX
from funcgrad.ir.check import check
from tests.export import files, mutations

S = fg.ShapeDtypeStruct


def plain():
    return bytearray(export(fg.jit(lambda x: np.sin(x) + 1))(np.zeros(3)).serialize())


# Bytes ----------------------------------------------------------------------------------------------------------------


def test_the_layout_is_the_documented_one():
    data = files.data()["constant"]
    magic, version, zero, header, arrays, _ = PREFIX.unpack(data[:64])
    assert (magic, version, zero) == (MAGIC, FORMAT, 0)
    assert len(data) == 64 + header + arrays
    assert header % 64 == 0
    described, raw = mutations.parts(data)
    code, shape, offset = described["arrays"][0]
    table = np.frombuffer(raw, np.dtype("<" + code), count=int(np.prod(shape)), offset=offset).reshape(shape)
    np.testing.assert_array_equal(table, np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))


def test_writing_again_gives_the_same_bytes():
    for name, data in files.data().items():
        assert bytes(deserialize(data).serialize(vjp_order=1)) == data, name


def test_every_truncation_is_refused():
    data = plain()
    for length in range(len(data)):
        with pytest.raises(ExportError):
            deserialize(data[:length])
    with pytest.raises(ExportError, match="truncated or damaged"):
        deserialize(data + b" ")


def test_every_damaged_byte_is_refused():
    data = plain()
    for place in range(len(data)):
        data[place] ^= 1
        with pytest.raises(ExportError):
            deserialize(data)
        data[place] ^= 1
    deserialize(data)


@pytest.mark.parametrize(("version", "reads"), [(FORMAT + 1, "version 2"), (0, "version 0"), (2**32 - 1, "version")])
def test_another_version_is_refused_by_name(version, reads):
    data = plain()
    data[8:12] = version.to_bytes(4, "little")
    with pytest.raises(ExportError, match=rf"{reads}.* reads version {FORMAT}"):
        deserialize(data)


def test_what_is_no_file_is_refused():
    for data in (b"", b"\x80\x04\x95pickle", b"PK\x03\x04" + bytes(100), MAGIC + bytes(56)):
        with pytest.raises(ExportError):
            deserialize(data)
    for data in ("text", None, 3):
        with pytest.raises(TypeError, match="deserialize takes bytes"):
            deserialize(data)


def test_errors_are_value_errors():
    assert issubclass(ExportError, ValueError)


def test_any_buffer_is_taken():
    data = plain()
    for form in (data, bytes(data), memoryview(data), np.frombuffer(data, np.uint8)):
        np.testing.assert_array_equal(deserialize(form).call(np.zeros(3)), 1)


# Values ---------------------------------------------------------------------------------------------------------------

EVERY = ["b1", *(f"{k}{n}" for k in "iu" for n in (1, 2, 4, 8)), "f2", "f4", "f8", "c8", "c16", BFLOAT16]


@pytest.mark.parametrize("kind", EVERY, ids=str)
def test_constants_keep_every_bit(kind):
    dtype = np.dtype(kind)
    size = 48 // dtype.itemsize
    bits = np.random.default_rng(1).integers(0, 256, (2, 48), np.uint8)
    table = (bits > 127)[:, :size] if dtype.kind == "b" else bits.view(dtype)
    assert table.shape == (2, size)
    made = export(fg.jit(lambda i: fg.numpy.take(table, i, axis=0)))(1)
    assert deserialize(made.serialize()).call(1).tobytes() == table[1].tobytes()


@pytest.mark.parametrize(
    "number", [np.nan, np.inf, -np.inf, -0.0, 1e-310, np.float32(0.1), np.float16(7), 1 - 2j, 2**62]
)
def test_numbers_in_programs_keep_every_bit(number):
    def f(x):
        return fg.numpy.where(x, number, number * 0)

    read = deserialize(export(fg.jit(f))(True).serialize())
    expected = fg.jit(f)(True)
    assert read.call(True).dtype == expected.dtype
    assert read.call(True).tobytes() == expected.tobytes()


def test_weak_types_are_kept():
    made = deserialize(export(fg.jit(lambda x, n: x * n))(S((2,), np.float32), 2.0).serialize())
    assert made.out_avals[0].dtype == np.float32
    assert made.as_text().startswith("{ lambda ; a:f32[2] b:f64[]*. let")


def test_lines_are_kept_as_text():
    def f(x, i):
        return x[i]

    made = deserialize(export(fg.jit(f))(np.zeros(3), 1).serialize())
    with pytest.raises(IndexError, match=r"test_files.py:\d+ \(in test_lines_are_kept_as_text.<locals>.f\)"):
        made.call(np.zeros(3), 3)


# Structures -----------------------------------------------------------------------------------------------------------

Pair = collections.namedtuple("Pair", "first second")


@fg.tree_util.register_dataclass
@dataclasses.dataclass
class Layer:
    w: object
    name: str = dataclasses.field(metadata={"static": True})


class Sealed:
    def __init__(self, x, kind):
        self.x, self.kind = x, kind


fg.tree_util.register_pytree_node(Sealed, lambda s: ((s.x,), s.kind), lambda kind, children: Sealed(*children, kind))


@pytest.fixture
def names():
    """The classes above with names."""
    fg.export.register_namedtuple_serialization(Pair, serialized_name="tests.Pair")
    fg.export.register_pytree_node_serialization(Layer, serialized_name="tests.Layer")
    fg.export.register_pytree_node_serialization(
        Sealed,
        serialized_name="tests.Sealed",
        serialize_auxdata=lambda kind: json.dumps(kind).encode(),
        deserialize_auxdata=lambda data: json.loads(data),
    )


TREES = [
    (1.0,),
    ({"b": [1.0, (2.0, None)], "a": ()},),
    (collections.OrderedDict(z=1.0, a={1: 2.0, 7: 3.0}),),
    (Pair(1.0, Layer([2.0], "dense")), {(1, "x", None): Sealed(1.0, "{}"), (2, "y", None): 0.5}),
    (fg.optim.adam(1e-3).init({"w": np.zeros(2)}),),
]


@pytest.mark.parametrize("args", TREES, ids=range(len(TREES)))
def test_structures_are_restored(names, args):
    made = export(fg.jit(lambda *xs, **kw: {"r": xs, "kw": kw}))(*args, key=[1.0])
    read = deserialize(made.serialize())
    assert (read.in_tree, read.out_tree) == (made.in_tree, made.out_tree)
    out = read.call(*args, key=[1.0])
    assert fg.tree.structure(out["r"]) == fg.tree.structure(args)
    assert fg.tree.leaves(out["r"])[-1].dtype == np.asarray(fg.tree.leaves(args)[-1]).dtype


class Stranger(Pair):
    pass


@fg.tree_util.register_pytree_node_class
class Unnamed:
    def __init__(self, x):
        self.x = x

    def tree_flatten(self):
        return (self.x,), None

    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*children)


@pytest.mark.parametrize(("node", "remedy"), [(Stranger(1.0, 2.0), "namedtuple"), (Unnamed(1.0), "pytree_node")])
def test_classes_without_a_name_are_refused_with_the_remedy(node, remedy):
    with pytest.raises(ExportError, match=f"has no name in files.*register_{remedy}_serialization"):
        export(fg.jit(lambda x: 1.0))(node).serialize()


def test_unknown_classes_in_files_are_refused(names):
    data = bytes(export(fg.jit(lambda p: p.first))(Pair(1.0, 2.0)).serialize())
    header, arrays = mutations.parts(data)
    text = json.dumps(header)
    for name in (
        "tests.Other",
        "os:stat_result",
        "funcgrad.ir.types:ArrayType",
        "funcgrad.errors:os",
        "collections:namedtuple",
    ):
        with pytest.raises(ExportError, match=r"is not known here|has other fields"):
            deserialize(mutations.signed(text.replace("tests.Pair", name).encode(), arrays))
    with pytest.raises(ExportError, match="has other fields"):
        deserialize(mutations.signed(text.replace('"second"', '"third"').encode(), arrays))


def test_registrations_are_checked(names):
    register = fg.export.register_namedtuple_serialization
    with pytest.raises(ValueError, match=r"belongs to .*Pair"):
        register(Stranger, serialized_name="tests.Pair")
    with pytest.raises(ValueError, match=r"has the name 'tests.Pair' already"):
        register(Pair, serialized_name="tests.Other")
    with pytest.raises(ValueError, match="is no named tuple"):
        register(dict, serialized_name="tests.dict")
    with pytest.raises(ValueError, match="must be a text"):
        register(Stranger, serialized_name="")
    with pytest.raises(ValueError, match="belong together"):
        fg.export.register_pytree_node_serialization(Layer, serialized_name="tests.Layer", serialize_auxdata=bytes)
    register(Pair, serialized_name="tests.Pair")  # once more is no mistake


def test_a_static_field_without_a_form_is_refused(names):
    with pytest.raises(ExportError, match=r"has no form in files.*serialize_auxdata"):
        export(fg.jit(lambda x: x.w))(Layer(1.0, frozenset())).serialize()


def test_optree_has_what_trees_rely_on():
    assert optree.register_pytree_node.get(Layer, namespace="funcgrad") is not None


# Traps ----------------------------------------------------------------------------------------------------------------


def rewritten(name, change):
    """A file whose header was changed, under a checksum that fits."""
    header, arrays = mutations.parts(files.data()[name])
    change(header, header["functions"][0]["body"])
    return mutations.signed(header, arrays)


def eq(body, primitive):
    number = body["primitives"].index(primitive)
    return next(e for p in body["programs"] for e in p["equations"] if e[0] == number)


def f(header):
    return header["functions"][0]


def bomb(header, body):
    """Programs that call the one before twice: 2**60 equations, if they are written out."""
    jit, kind = len(body["primitives"]), body["programs"][-1]
    body["primitives"].append("jit")
    body["types"].append(["f8", [], 0])
    t = len(body["types"]) - 1
    inner = {"inputs": [t], "constants": [], "equations": [], "outputs": [0]}
    chain = [inner]
    for number in range(60):
        calls = [[jit, [k], [t], {"program": number, "name": "f"}, None] for k in (0, 1)]
        chain.append({"inputs": [t], "constants": [], "equations": calls, "outputs": [2]})
    body["programs"] = [*chain, kind]


def recursion(header, body):
    body["primitives"].append("jit")
    program = body["programs"][-1]
    program["equations"].append([len(body["primitives"]) - 1, [], [], {"program": 0, "name": "f"}, None])


TRAPS = {
    "a callback": ("network", lambda h, b: b["primitives"].__setitem__(0, "pure_callback"), "is no operation"),
    "an unknown operation": ("network", lambda h, b: b["primitives"].__setitem__(0, "exec"), "is no operation"),
    "no value": ("network", lambda h, b: b["programs"][-1]["equations"][0][1].append(99), "is no value"),
    "a negative number": ("network", lambda h, b: b["programs"][-1]["outputs"].__setitem__(0, -1), "is no value"),
    "another type": ("network", lambda h, b: b["types"][0][1].__setitem__(0, 7), "types|is wrong"),
    "a giant array": ("network", lambda h, b: b["types"].append(["f8", [2**40, 2**40], 0]), "larger than any memory"),
    "a giant extent": ("network", lambda h, b: b["types"].append(["f8", [2**70], 0]), "is no extent"),
    "a negative extent": ("network", lambda h, b: b["types"].append(["f8", [-1], 0]), "is no extent"),
    "objects": ("network", lambda h, b: b["types"].append(["O", [1], 0]), "is no dtype"),
    "an extra operand": ("network", lambda h, b: eq(b, "tanh")[1].append(0), "takes 1 operands"),
    "another parameter": ("network", lambda h, b: eq(b, "reduce_sum")[3].update(x=1), "parameters of reduce_sum"),
    "no parameter": ("network", lambda h, b: eq(b, "reduce_sum")[3].clear(), "lacks the parameter axes"),
    "a float among axes": ("network", lambda h, b: eq(b, "reduce_sum")[3].update(axes=[0.0]), "is not an integer"),
    "true as an axis": ("network", lambda h, b: eq(b, "reduce_sum")[3].update(axes=[True]), "is not an integer"),
    "an axis too far": ("network", lambda h, b: eq(b, "reduce_sum")[3].update(axes=[9]), "is wrong"),
    "a length": ("loops", lambda h, b: eq(b, "scan")[3].update(length=10**30), "is not an integer"),
    "no branches": ("loops", lambda h, b: eq(b, "cond")[3].update(branches=[]), "without branches"),
    "a bomb": ("network", bomb, "too many or too deep"),
    "recursion": ("network", recursion, "is no program"),
    "a number's bytes": ("constant", lambda h, b: h["arrays"][0].__setitem__(2, 64), "does not lie where it should"),
    "an array": ("constant", lambda h, b: h["arrays"][0].__setitem__(1, [2**30, 3]), "does not lie where it should"),
    "two solvers": ("solves", lambda h, b: eq(b, "custom_linear_solve")[3]["solvers"].__setitem__(1, 2), "do not fit"),
    "a hole": ("sizes", lambda h, b: f(h).update(holes=[]), "a hole is damaged"),
    "a power": ("sizes", lambda h, b: f(h)["holes"].__setitem__(0, ["n", [[1, 1, [["b", 10**9]]]]]), "out of range"),
    "a guard": ("decisions", lambda h, b: f(h)["guards"][0].__setitem__(0, "import"), "a guard is damaged"),
    "another example": ("sizes", lambda h, b: f(h).update(example=[5000]), "cannot be told"),
    "a name": ("network", lambda h, b: f(h).update(name="\x1b[2J"), "name is damaged"),
    "another pullback": ("rules", lambda h, b: h["functions"].insert(1, f(h)), "does not fit its function"),
    "another function": ("network", lambda h, b: h["functions"].append(1), "not what should be"),
    "nothing": ("network", lambda h, b: h["functions"].clear(), "no function"),
}  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS)
def test_traps_are_refused(trap):
    name, change, message = TRAPS[trap]
    with pytest.raises(ExportError, match=message):
        deserialize(rewritten(name, change))


def test_giant_attention_is_refused():
    shape = S((1, 2048, 1, 8), np.float32)
    made = export(fg.jit(lambda x: fg.nn.dot_product_attention(x, x, x, is_causal=True)))(shape)
    assert "attention[" in made.as_text()
    data = bytes(made.serialize())
    assert deserialize(data).as_text() == made.as_text()
    header, arrays = mutations.parts(data)
    for size in (2**30, 2**40):
        text = json.dumps(header).replace("2048", str(size))
        with pytest.raises(ExportError, match=r"too many heads or positions|larger than any memory"):
            deserialize(mutations.signed(text.encode(), arrays))


@pytest.mark.parametrize("depth", [900, 100_000])
def test_deep_nesting_is_refused(depth):
    header, arrays = mutations.parts(files.data()["network"])
    text = json.dumps(header).replace('"name": "network"', f'"name": {"[" * depth}{"]" * depth}', 1)
    with pytest.raises(ExportError):
        deserialize(mutations.signed(text.encode(), arrays))


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_a_header_is_strict_json(constant):
    header, arrays = mutations.parts(files.data()["network"])
    text = json.dumps(header).replace("[0]", f"[{constant}]", 1)
    with pytest.raises(ExportError, match="in the header"):
        deserialize(mutations.signed(text.encode(), arrays))


def test_places_without_a_check_get_one():
    """A file that lacks the check of an index reads nothing out of bounds."""

    def unchecked(header, body):
        number = body["primitives"].index("check_index")
        body["primitives"][number] = "stop_gradient"
        for program in body["programs"]:
            for one in program["equations"]:
                if one[0] == number:
                    one[3] = {}

    read = deserialize(rewritten("constant", unchecked))
    assert "check_index" in read.as_text()
    with pytest.raises(IndexError, match="out of bounds for axis with size 5"):
        read.call(np.array([0, 1 << 40]), np.float32(2))
    windows = deserialize(rewritten("loops", unchecked))
    with pytest.raises(IndexError):
        windows.call(np.zeros((4, 3)), 1 << 40)


def test_what_funcgrad_writes_needs_no_more_checks():
    for name in ("network", "loops", "constant"):
        made = files.exported()[name]
        header, _ = mutations.parts(files.data()[name])
        count = sum(len(p["equations"]) for p in header["functions"][0]["body"]["programs"])
        programs = [made._program({})]
        found = 0
        while programs:
            program = programs.pop()
            found += len(program.equations)
            for one in program.equations:
                for value in one.params.values():
                    programs += [
                        p for p in (value if isinstance(value, tuple) else (value,)) if hasattr(p, "equations")
                    ]
        assert found <= count, name


def test_programs_that_are_read_keep_the_rules_of_the_ir():
    for name, data in files.data().items():
        made = deserialize(data)
        check(made._program(made._content.example))
        assert str(made._program(made._content.example)) == str(files.exported()[name]._program(made._content.example))


# Elsewhere ------------------------------------------------------------------------------------------------------------


def test_another_process_runs_and_differentiates_a_file(tmp_path):
    path = tmp_path / "network.fgx"
    path.write_bytes(files.data()["sizes"])
    np.savez(tmp_path / "arguments.npz", x=np.linspace(0, 1, 15).reshape(5, 3), **files.PARAMS)
    script = (
        "import sys, numpy as np, funcgrad as fg\n"
        "made = fg.export.deserialize(open(sys.argv[1], 'rb').read())\n"
        "given = np.load(sys.argv[2])\n"
        "params = {'w': given['w'], 'b': given['b']}\n"
        "loss = lambda p: np.sum(made.call(p, given['x'])['mean'])\n"
        "print(repr(float(np.sum(fg.jit(fg.grad(loss))(params)['w']))))\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", script, path, tmp_path / "arguments.npz"], capture_output=True, text=True, check=True
    )
    x = np.linspace(0, 1, 15).reshape(5, 3)
    own = fg.jit(fg.grad(lambda p: np.sum(files.network(p, x)["mean"])))(files.PARAMS)
    assert float(out.stdout) == float(np.sum(own["w"]))
