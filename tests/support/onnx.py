"""A tiny model in ONNX's format, written byte by byte: no test needs the package that makes them."""

SIDE = 320  # of what rembg gives a custom model


def _field(number: int, value: int | bytes) -> bytes:
    """Return a field of a protocol buffer: a number, or bytes."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    more, low = value >> 7, value & 0x7F
    return bytes([low | 0x80]) + _varint(more) if more else bytes([low])


def _tensor(name: str, shape: tuple[int, ...]) -> bytes:
    sides = b"".join(_field(1, _field(1, side)) for side in shape)
    kind = _field(1, _field(1, 1) + _field(2, sides))  # of floats
    return _field(1, name.encode()) + _field(2, kind)


def brightness() -> bytes:
    """Return a model that takes the mean over channels: a mask that is white where the photograph is bright."""
    axes = _field(1, b"axes") + _field(20, 7) + _field(8, 1)  # whole numbers: the channels
    node = _field(1, b"photograph") + _field(2, b"mask") + _field(4, b"ReduceMean") + _field(5, axes)
    inputs, outputs = _tensor("photograph", (1, 3, SIDE, SIDE)), _tensor("mask", (1, 1, SIDE, SIDE))
    graph = _field(1, node) + _field(2, b"brightness") + _field(11, inputs) + _field(12, outputs)
    return _field(1, 8) + _field(8, _field(1, b"") + _field(2, 13)) + _field(7, graph)
