"""read_pth.py IN.pth OUT.safetensors: the float32 tensors of a PyTorch state dict, without PyTorch.

Reads both of PyTorch's formats, the zip archive and the older stream of pickles. The unpickler knows tensors, storages
and ordered dictionaries, and refuses to look up anything else, so no code of the file can run.
"""
import collections
import json
import pickle
import struct
import sys
import zipfile


class Storage:
    def __init__(self, key, count):
        self.key, self.count = key, count


class Tensor:
    def __init__(self, storage, offset, shape, stride, *_):
        self.storage, self.offset, self.shape, self.stride = storage, offset, tuple(shape), tuple(stride)


class Reader(pickle.Unpickler):
    known = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor"): Tensor,
        ("torch._utils", "_rebuild_tensor_v2"): Tensor,
        ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
        ("torch", "FloatStorage"): "float32",
    }

    def find_class(self, module, name):
        if (module, name) not in self.known:
            raise ValueError(f"it refers to {module}.{name}, which no plain float32 state dict does")
        return self.known[module, name]

    def persistent_load(self, id):
        kind, dtype, key, _, count = id[:5]
        if kind != "storage" or dtype != "float32":
            raise ValueError("it holds something else than float32 tensors")
        return Storage(key, count)


def read(path):
    """(state dict of Tensors, {storage key: bytes})"""
    if zipfile.is_zipfile(path):
        archive = zipfile.ZipFile(path)
        [index] = [n for n in archive.namelist() if n.endswith("/data.pkl")]
        root = index[: -len("data.pkl")]
        with archive.open(index) as f:
            state = Reader(f).load()
        keys = {t.storage.key for t in state.values() if isinstance(t, Tensor)}
        return state, {k: archive.read(f"{root}data/{k}") for k in keys}
    with open(path, "rb") as f:
        magic, version, system = (Reader(f).load() for _ in range(3))
        if magic != 0x1950A86A20F9469CFC6C or not system.get("little_endian", True):
            raise ValueError("it is not a PyTorch checkpoint")
        state = Reader(f).load()
        storages = {}
        for key in Reader(f).load():
            [count] = struct.unpack("<q", f.read(8))
            storages[key] = f.read(4 * count)
            if len(storages[key]) != 4 * count:
                raise ValueError("it is truncated")
        return state, storages


def main(source, target):
    state, storages = read(source)
    header, data, offset = {}, [], 0
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor):
            continue
        count, expected = 1, []
        for extent in reversed(tensor.shape):
            expected.insert(0, count)
            count *= extent
        if list(tensor.stride) != expected:
            raise ValueError(f"{name} is not stored contiguously")
        values = storages[tensor.storage.key][4 * tensor.offset : 4 * (tensor.offset + count)]
        if len(values) != 4 * count:
            raise ValueError(f"{name} reaches beyond its storage")
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, offset + 4 * count]}
        data.append(values)
        offset += 4 * count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(target, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for values in data:
            f.write(values)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:
        sys.exit(f"not a checkpoint that texloom reads: {error}")
