"""What the fixtures need of 8-bit RGB PNG files: read the examples, cut them, fade noise over them."""
import random
import struct
import zlib


def read(file):
    """Rows of RGB bytes of a PNG file that is not interlaced."""
    data = open(file, "rb").read()
    at, packed = 8, b""
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colours, *_, interlaced = struct.unpack(">IIBBBBB", body)
            assert (depth, colours, interlaced) == (8, 2, 0), file
        elif kind == b"IDAT":
            packed += body
        at += size + 12
    plain, rows, above = zlib.decompress(packed), [], bytes(3 * width)
    for y in range(height):
        start = y * (3 * width + 1)
        kind, row = plain[start], bytearray(plain[start + 1:start + 1 + 3 * width])
        for i in range(len(row) if kind else 0):
            left, up, corner = (row[i - 3], above[i], above[i - 3]) if i >= 3 else (0, above[i], 0)
            match kind:
                case 1: guess = left
                case 2: guess = up
                case 3: guess = (left + up) // 2
                case 4: guess = min((left, up, corner), key=lambda value: abs(left + up - corner - value))
            row[i] = (row[i] + guess) & 255
        rows.append(bytes(row))
        above = rows[-1]
    return rows


def write(rows):
    """The bytes of a PNG file."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", len(rows[0]) // 3, len(rows), 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
            + chunk(b"IEND", b""))


def cut(rows, x, y, width, height):
    return [row[3 * x:3 * (x + width)] for row in rows[y:y + height]]


def faded(rows, share, seed):
    """Mixes noise into a picture, so that it looks like an unfinished training."""
    dice, keep = random.Random(seed), round(256 * (1 - share))
    return [bytes((keep * a + (256 - keep) * b) >> 8 for a, b in zip(row, dice.randbytes(len(row)))) for row in rows]
