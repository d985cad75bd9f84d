"""Files that would run code, or eat memory, if their readers trusted them: one small file per trick."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from standins.flame_files import sparse
from standins.pickles import Call, Instance, Name, dumps, object_npy

HUGE = 10_000_000_000


def calls(mark: Path) -> dict[str, Call]:
    """Calls that leave a file ``mark`` behind when they are made, by the dotted name they are refused for."""
    return {"os.system": Call(Name("os", "system"), f"touch '{mark}'"),
            "builtins.eval": Call(Name("builtins", "eval"), f"open({str(mark)!r}, 'w')"),
            "__builtin__.eval": Call(Name("__builtin__", "eval"), f"open({str(mark)!r}, 'w')"),
            "numpy.load": Call(Name("numpy", "load"), str(mark)),
            "torch.load": Call(Name("torch", "load"), str(mark)),
            "builtins.getattr": Call(Name("builtins", "getattr"), Name("numpy", "ndarray"), "tofile")}


def array_pickle(shape: Any, data: Any, early_shape: Any = (0,), code: str = "f8") -> Call:
    """An array of any declared shape; ``early_shape`` is given to the function that makes it."""
    array = Call(Name("numpy.core.multiarray", "_reconstruct"), Name("numpy", "ndarray"), early_shape, b"b")
    return _Built(array, (1, shape, Call(Name("numpy", "dtype"), code, 0, 1), False, data))


class _Built(Call):
    """The object of a call, with a state set on it."""

    def __init__(self, call: Call, state: Any) -> None:
        super().__init__(call.function, *call.arguments)
        self.state = state


def _save_built(self: Any, value: _Built) -> None:
    self.save_call(value)
    self.save(value.state)
    self.write(pickle.BUILD)


def _register() -> None:
    from standins.pickles import _Pickler

    _Pickler.dispatch[_Built] = _save_built


_register()


def pickled_models(mark: Path) -> Iterator[tuple[str, bytes, str]]:
    """(trick, generic_model.pkl, words of the refusal)."""
    for name, call in calls(mark).items():
        yield name, dumps({"v_template": call}), rf"refused: the pickle names {name}"
        yield f"{name} in chumpy", dumps({"shapedirs": Instance(Name("chumpy.ch", "Ch"), {"x": call})}), rf"names {name}"
    yield "system in a state", dumps(Instance(Name("chumpy.ch", "Ch"), (None, {"x": calls(mark)["os.system"]}))), "os.system"
    yield "another class of chumpy", dumps({"f": Instance(Name("chumpy.utils", "Thing"), {})}), r"names chumpy\.utils\.Thing"
    yield "a changed type", dumps(_Built(Call(Name("numpy", "dtype"), "V8", 0, 1), ())), "the array type V8"
    yield "a changed function", b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n}U\x01aK\x01sb.", "changed function"
    yield "a changed class", b"\x80\x02cchumpy.ch\nCh\n}U\x01aK\x01sb.", "changed function"
    yield "10 GB at once", dumps({"v_template": array_pickle((0,), b"", early_shape=(HUGE,))}), "declared without its numbers"
    yield "10 GB later", dumps({"v_template": array_pickle((HUGE,), b"\0" * 8)}), "but 8 bytes are there"
    yield "10 GB of objects", dumps({"v_template": array_pickle((HUGE,), [], code="O8")}), "not a readable pickle"
    matrix = sparse(np.zeros((5, 5)))
    matrix.state["_shape"] = (5, HUGE)
    full = {"v_template": np.zeros((5023, 3)), "shapedirs": np.zeros((5023, 3, 400), "f4"), "posedirs": np.zeros((5023, 3, 36))}
    yield "a sparse matrix of 10 G columns", dumps({**full, "J_regressor": matrix}), r"J_regressor .* sparse matrix of shape"
    yield "a memo of 32 GB", b"\x80\x02]r\xff\xff\xff\x7f.", "no dictionary"
    yield "a text memo of 32 GB", b"\x80\x02]p4000000000\n.", "no dictionary"
    yield "10 GB of zeros", b"\x80\x05\x96" + struct.pack("<Q", HUGE) + b".", "not a readable pickle"
    yield "10 GB of bytes", b"\x80\x04\x8e" + struct.pack("<Q", HUGE) + b".", "not a readable pickle"
    yield "a frame of 10 GB", b"\x80\x04\x95" + struct.pack("<Q", HUGE) + b"N.", "no dictionary|not a readable"
    yield "a deep key", b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"Ns.", "a key that is neither text nor number"
    yield "an outside object", b"\x80\x02U\x01aQ.", "outside object"
    yield "an extension", b"\x80\x02\x82\x01.", "not a readable pickle"


def torch_bytes(value: Any, zipped: bool) -> bytes:
    """``torch.save``d; a Touch or anything else that pickle can name goes in as it is."""
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def _legacy(tree: bytes, keys: list[str], numbers: bytes) -> bytes:
    head = [pickle.dumps(0x1950A86A20F9469CFC6C, 2), pickle.dumps(1001, 2),
            pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {}}, 2)]
    return b"".join([*head, tree, pickle.dumps(keys, 2), numbers])


def _storage_pickle(count: int, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> bytes:
    """Protocol 2 of {"E_flame": {"w": tensor}}, the tensor's numbers under the key 0."""
    stream = io.BytesIO()
    pickler = _Persistent(stream, 2)
    pickler.dump({"E_flame": {"w": _View(count, size, stride, offset)}})
    return stream.getvalue()


class _View:
    def __init__(self, count: int, size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> None:
        self.count, self.view = count, (offset, size, stride)

    def __reduce__(self) -> tuple[Any, ...]:
        return torch._utils._rebuild_tensor_v2, (_Outside(self.count), *self.view, False, {})


class _Outside:
    def __init__(self, count: int) -> None:
        self.count = count


class _Persistent(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        return ("storage", torch.FloatStorage, "0", "cpu", value.count) if isinstance(value, _Outside) else None


def zipped_torch(tree: bytes, numbers: bytes, compress: bool = False) -> bytes:
    """A torch zip of one storage."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", tree)
        archive.writestr("archive/data/0", numbers)
        archive.writestr("archive/version", b"3\n")
    return stream.getvalue()


def torch_files(mark: Path, touch: Callable[[Path], Any]) -> Iterator[tuple[str, bytes, str]]:
    """(trick, deca_model.tar, words of the refusal). ``touch`` makes an object whose pickle runs a command."""
    for zipped in (True, False):
        kind = "zip" if zipped else "legacy"
        yield f"system, {kind}", torch_bytes({"E_flame": {"w": touch(mark)}}, zipped), r"refused: the pickle names \w+\.system"
        yield f"system beside, {kind}", torch_bytes({"opt": touch(mark)}, zipped), r"names \w+\.system"
    for name, call in calls(mark).items():
        yield f"{name}, zip", zipped_torch(dumps({"E_flame": {"w": call}}), b""), rf"names {name}"
        yield f"{name}, legacy", _legacy(dumps({"E_flame": {"w": call}}), [], b""), rf"names {name}"
    honest = _storage_pickle(4, (2, 2), (2, 1))
    bomb = _storage_pickle(HUGE, (HUGE,), (1,))
    yield "10 G numbers, zip", zipped_torch(bomb, bytes(16)), "promises 40000000000 bytes"
    yield "10 G numbers, legacy", _legacy(bomb, ["0"], struct.pack("<q", HUGE) + bytes(16)), "more numbers than it holds"
    yield "10 G numbers declared twice", _legacy(honest, ["0"], struct.pack("<q", HUGE) + bytes(16)), "more numbers than it holds"
    yield "negative count", _legacy(honest, ["0"], struct.pack("<q", -1) + bytes(16)), "cut off"
    yield "expanded view", zipped_torch(_storage_pickle(1, (HUGE,), (0,)), bytes(4)), "larger than its 1 stored numbers"
    yield "view beyond the end", zipped_torch(_storage_pickle(4, (2, 2), (200, 1)), bytes(16)), "larger than its 4 stored"
    yield "view before the start", zipped_torch(_storage_pickle(4, (2, 2), (-2, 1)), bytes(16)), "described wrongly"
    yield "compressed", zipped_torch(honest, bytes(50_000_000), compress=True), "compressed zip"
    yield "cut off", zipped_torch(honest, bytes(16))[:-60], "damaged, cut off"
    yield "empty", b"", "does not begin as a torch file does"
    yield "other zip", _zip_of({"a.txt": b"x"}), "zip without data.pkl"


def _zip_of(members: dict[str, bytes], compress: bool = False) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def npy(header: str, data: bytes = b"") -> bytes:
    """An .npy file with any header."""
    text = header.encode("latin1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def npy_of(shape: tuple[int, ...], descr: str = "<f8", data: bytes = b"") -> bytes:
    """An .npy file that declares ``shape``."""
    return npy(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}", data)


def landmark_files(mark: Path, touch: Callable[[Path], Any]) -> Iterator[tuple[str, bytes, str]]:
    """(trick, landmark_embedding.npy, words of the refusal)."""
    def holder(value: Any) -> bytes:
        array = np.empty((), object)
        array[()] = value
        return object_npy(dumps(array, protocol=3))

    def tensor(inner: bytes, size: tuple[int, ...] = (79, 17), stride: tuple[int, ...] = (17, 1)) -> Call:
        return Call(Name("torch._utils", "_rebuild_tensor_v2"), Call(Name("torch.storage", "_load_from_bytes"), inner), 0, size,
                    stride, False, Call(Name("collections", "OrderedDict")))

    def storage(count: int, numbers: bytes) -> bytes:
        stream = io.BytesIO()
        _Persistent(stream, 2).dump(_Outside(count))
        return _legacy(stream.getvalue(), ["0"], struct.pack("<q", count) + numbers)

    for name, call in calls(mark).items():
        yield name, holder({"static_lmk_faces_idx": call}), rf"refused: the pickle names {name}"
        yield f"{name}, bare", object_npy(dumps(call, protocol=3)), rf"names {name}"
    for zipped in (False, True):
        inner = torch_bytes(touch(mark), zipped)
        yield f"system in the inner file, zip {zipped}", holder({"a": tensor(inner)}), r"names \w+\.system"
    yield "10 G numbers within", holder({"a": tensor(storage(HUGE, bytes(16)))}), "more numbers than it holds"
    yield "compressed within", holder({"a": tensor(zipped_torch(dumps(None), bytes(50_000_000), True))}), "compressed zip"
    yield "expanded within", holder({"a": tensor(storage(1, bytes(4)), (HUGE,), (0,))}), "larger than its 1 stored numbers"
    yield "10 G objects", object_npy(dumps(None, protocol=3), (HUGE,)), "one dictionary"
    yield "10 G numbers", npy_of((HUGE,)), "one dictionary"
    yield "code in the header", npy(f"__import__('os').system(\"touch '{mark}'\")"), "header is damaged"
    yield "a deep header", npy("(" * 9000), "header is damaged"
    yield "a strange type", npy_of((), "V10000000000"), "which no such file has"
    yield "a list", holder([1, 2]), "no dictionary"


def albedo_files() -> Iterator[tuple[str, bytes, str]]:
    """(trick, FLAME_texture.npz, words of the refusal)."""
    mean = npy_of((512, 512, 3), "|u1", bytes(512 * 512 * 3))
    yield "10 GB", _zip_of({"mean.npy": npy_of((HUGE, 512, 3), "<f4"), "tex_dir.npy": mean}), r"mean of .* shape \(10000000000"
    yield "10 G components", _zip_of({"mean.npy": mean, "tex_dir.npy": npy_of((512, 512, 3, HUGE), "<f4")}), r"tex_dir of .* shape"
    yield "a promise", _zip_of({"mean.npy": mean, "tex_dir.npy": npy_of((512, 512, 3, 200), "<f4")}), "holds .* bytes where"
    yield "deflated", _zip_of({"mean.npy": npy_of((512, 512, 3), "|u1", bytes(80_000_000))}, True), "holds .* bytes where"
    yield "a false directory", _false_size(_zip_of({"mean.npy": mean[:1000]}), len(mean)), "damaged|cut off"
    yield "objects", _zip_of({"mean.npy": object_npy(dumps(None), (512, 512, 3))}), "Python objects, which are not unpickled"
    yield "no zip", b"PK\x03\x04 nothing", "no .npz archive"
    yield "another zip", _zip_of({"a.npy": mean}), r"lacks mean \(it holds a\)"


def _false_size(data: bytes, size: int) -> bytes:
    """The zip ``data`` of one member, its directory saying that the member has ``size`` bytes."""
    entry = data.rindex(b"PK\x01\x02")
    return data[:entry + 24] + struct.pack("<I", size) + data[entry + 28:]
