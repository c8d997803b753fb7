"""Bytes bent by a seeded generator: what disks, editors, other tools and malice do to files."""

import gzip
import io
import random
import re
import tarfile
import zipfile
from collections.abc import Sequence

ODD = (
    *(b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\t", b"\r", b"\n\n", b" ", b"\\", b'"', b"'"),
    *(b"{", b"}", b"[", b"]", b":", b",", b"- ", b"#", b"&a *a", b"<<: *a", b"!!python/name:os.x"),
    *(b"null", b"true", b"nan", b"inf", b"-inf", b"1e999", b"-1", b"0", b"0.5", b"1e-320"),
    *(b"99999999999999999999", b"-2147483649", b"4294967296", b"2020-13-45", b"0x_", b"12:30"),
    *(
        "돼지".encode(),
        "돼지".encode("cp949"),
        b"\xed\xa0\x80",
        b"../../x",
        b"/etc/passwd",
        b"a" * 300,
    ),
    *(b"[" * 2000, b"{'a':" * 500, b"PK\x03\x04", b"%s%n", b"\x1b[31m"),
)
"""What is put in the place of something else."""
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_WORD = re.compile(rb"[A-Za-z_]\w+")


def bend(data: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """`data` changed one to four times; `others` are files to take pieces from."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        data = rng.choice(_WAYS)(data, rng, others)
    return data


def bend_zip(data: bytes, rng: random.Random) -> bytes:
    """A zip with one member's name or bytes changed, one twice or none; the zip itself is whole."""
    with zipfile.ZipFile(io.BytesIO(data)) as whole:
        members = [(info.filename, whole.read(info)) for info in whole.infolist()]
    place, packed = rng.randrange(len(members)), io.BytesIO()
    name, content = members[place]
    kind = rng.random()
    if kind < 0.6:
        members[place] = name, bend(content, rng, [other for _, other in members])
    elif kind < 0.8:
        bent = bend(name.encode(), rng).decode("utf-8", "replace").replace("\x00", "") or "x"
        members[place] = bent[:200], content
    elif kind < 0.9:
        members.append(rng.choice(members))
    else:
        del members[place]
    with zipfile.ZipFile(packed, "w", rng.choice((0, 8, 8, 12, 14))) as target:
        for name, content in members:
            target.writestr(zipfile.ZipInfo(name), content)
    return packed.getvalue()


def bend_gzip(data: bytes, rng: random.Random) -> bytes:
    """What a gzip holds changed; the gzip itself is whole."""
    return gzip.compress(bend(gzip.decompress(data), rng), 1, mtime=0)


def bend_tar(data: bytes, rng: random.Random) -> bytes:
    """A tar with one member's bytes or name changed, one twice or none; the tar itself is whole."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data)) as whole:
        members = [(info, whole.extractfile(info).read()) for info in whole if info.isfile()]
    place, kind = rng.randrange(len(members)), rng.random()
    info, content = members[place]
    if kind < 0.7:
        members[place] = info, bend(content, rng, [other for _, other in members])
    elif kind < 0.85:
        bent = bend(info.name.encode(), rng).decode("utf-8", "replace").replace("\x00", "") or "x"
        members[place] = info.replace(name=bent[:200]), content
    elif kind < 0.95:
        members.append(rng.choice(members))
    else:
        del members[place]
    with tarfile.open(fileobj=packed, mode="w") as target:
        for info, content in members:
            info.size = len(content)
            target.addfile(info, io.BytesIO(content))
    return packed.getvalue()


PACKED = {
    **dict.fromkeys((".zip", ".pt", ".npz"), bend_zip),
    ".gz": bend_gzip,
    ".tar": bend_tar,
}
"""Ending -> what bends the inside, which checksums else hide."""


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 2, 4, 16, 64, 1000)))


def _flip(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    bent = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 20)) if bent else 0):
        bent[rng.randrange(len(bent))] = rng.choice((0, 255, 127, rng.randrange(256)))
    return bytes(bent)


def _cut(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _drop(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def _repeat(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    start, end = _span(data, rng)
    return data[:end] + data[start:end] * rng.choice((1, 2, 30)) + data[end:]


def _insert(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + rng.choice(ODD) + data[rng.choice((start, end)) :]


def _splice(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    other = rng.choice([*others, data])
    start, end = _span(other, rng)
    place = rng.randrange(len(data) + 1)
    return data[:place] + other[start:end] + data[place:]


def _replace(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    found = list(rng.choice((_NUMBER, _WORD)).finditer(data[:100_000]))
    if not found:
        return _insert(data, rng, others)
    match = rng.choice(found)
    new = rng.choice((*ODD, rng.choice(found)[0]))
    return data[: match.start()] + new + data[match.end() :]


def _swap_lines(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    lines = data.split(b"\n")
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return b"\n".join(lines)


def _recode(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    try:
        return data.decode().encode(rng.choice(("utf-16", "cp949", "utf-8-sig", "utf-32")))
    except UnicodeError:
        return _flip(data, rng, others)


_WAYS = (
    _flip,
    _flip,
    _cut,
    _drop,
    _repeat,
    _insert,
    _insert,
    _splice,
    *(_replace,) * 4,
    _swap_lines,
    _recode,
)
