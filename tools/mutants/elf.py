"""The functions of an object file or a program, from its table of symbols."""

import struct

SYMTAB, FUNCTION, LOAD = 2, 2, 1


def functions_of(path):
    """[(address, size, name)], by address. A program's addresses count from where its file begins in memory."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError(f"{path} is no ELF file of 64 bits, low bytes first")
    phoff, shoff = struct.unpack_from("<QQ", data, 32)
    phentsize, phnum, shentsize, shnum = struct.unpack_from("<HHHH", data, 54)
    segments = [struct.unpack_from("<IIQQ", data, phoff + at * phentsize) for at in range(phnum)]
    base = min((address for kind, _, offset, address in segments if kind == LOAD and offset == 0), default=0)
    sections = [struct.unpack_from("<IIQQQQI", data, shoff + at * shentsize) for at in range(shnum)]
    found = []
    for _, kind, _, _, offset, size, link in sections:
        if kind != SYMTAB:
            continue
        names = sections[link][4]
        for name, info, _, section, address, length in struct.iter_unpack("<IBBHQQ", data[offset:offset + size]):
            if info & 15 == FUNCTION and section:
                text = data[names + name:data.index(b"\0", names + name)].decode()
                found.append((address - base, length, text))
    return sorted(found)
