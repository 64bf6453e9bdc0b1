"""Links one object of `clang -target bpfel` into a Solana program for SBPF v3.

usage: python3 programs/dvesp_root/link.py OBJECT PROGRAM

Source: SIMD-0178 and SIMD-0189 (static system calls, the strict ELF header of SBPF v3), SIMD-0377; the ELF and BPF relocations
of LLVM. Needs nothing but Python, and writes the same bytes for the same object on every machine.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from pathlib import Path

ENTRY = "entrypoint"
RODATA_ADDRESS, TEXT_ADDRESS = 0, 1 << 32
PROGBITS, SYMTAB, RELA, NOBITS, REL = 1, 2, 4, 8, 9
WRITE, ALLOC, EXEC = 1, 2, 4
R_BPF_64_64, R_BPF_64_32 = 1, 10
SECTION_SYMBOL = 3
EM_BPF, ET_DYN, SBPF_V3 = 247, 3, 3
INSTRUCTION_BYTES = 8
MASK = 0xFFFFFFFF


class LinkError(Exception):
    """The object has something that a program of this kind cannot have."""


@dataclass
class Section:
    """A section of the object, with its content."""

    name: str
    kind: int
    flags: int
    info: int
    link: int
    align: int
    data: bytes


@dataclass
class Symbol:
    """A symbol of the object; `section` 0 = it is a system call."""

    name: str
    kind: int
    section: int
    value: int


def murmur3(data: bytes) -> int:
    """MurmurHash3 x86 32 with seed 0: the number by which a system call is known."""

    def rotate(value: int, bits: int) -> int:
        return ((value << bits) | (value >> (32 - bits))) & MASK

    def scramble(word: int) -> int:
        return rotate(word * 0xCC9E2D51 & MASK, 15) * 0x1B873593 & MASK

    result = 0
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        result = (rotate(result ^ scramble(int.from_bytes(data[at : at + 4], "little")), 13) * 5 + 0xE6546B64) & MASK
    if whole < len(data):
        result ^= scramble(int.from_bytes(data[whole:], "little"))
    result ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        result = (result ^ result >> shift) * factor & MASK
    return result


def read_object(data: bytes) -> tuple[list[Section], list[Symbol]]:
    """Sections and symbols of a little-endian ELF64 object."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise LinkError("not a little-endian ELF64 object")
    (table,) = struct.unpack_from("<Q", data, 40)
    count, names_index = struct.unpack_from("<HH", data, 60)
    rows = [struct.unpack_from("<IIQQQQIIQQ", data, table + 64 * index) for index in range(count)]

    def text(offset: int) -> str:
        return data[offset : data.index(0, offset)].decode()

    sections = []
    for name, kind, flags, _, offset, size, link, info, align, _ in rows:
        content = b"" if kind == NOBITS else data[offset : offset + size]
        sections.append(Section(text(rows[names_index][4] + name), kind, flags, info, link, align, content))
    symbols = []
    for section in (one for one in sections if one.kind == SYMTAB):
        strings = rows[section.link][4]
        for at in range(0, len(section.data), 24):
            name, info, _, index, value, _ = struct.unpack_from("<IBBHQQ", section.data, at)
            symbols.append(Symbol(text(strings + name), info & 15, index, value))
    return sections, symbols


def place(sections: list[Section], first: int) -> tuple[bytearray, bytearray, dict[int, tuple[bool, int]]]:
    """Lays out code and constants. Returns both and, per section, (is it code, its offset); section `first` leads."""
    code, constants = bytearray(), bytearray()
    places: dict[int, tuple[bool, int]] = {}
    for index in sorted(range(len(sections)), key=lambda index: index != first):
        section = sections[index]
        if section.kind == NOBITS and section.flags & ALLOC and section.data:
            raise LinkError(f"{section.name}: a program has no variables")
        if section.kind != PROGBITS or not section.flags & ALLOC or not section.data:
            continue
        if section.flags & EXEC:
            places[index] = (True, len(code))
            code += section.data
            continue
        if section.flags & WRITE:
            raise LinkError(f"{section.name}: a program has no variables")
        constants += bytes(-len(constants) % max(8, section.align))
        places[index] = (False, len(constants))
        constants += section.data
    constants += bytes(-len(constants) % 8)
    return code, constants, places


def relocate(code: bytearray, sections: list[Section], symbols: list[Symbol], places: dict[int, tuple[bool, int]]) -> None:
    """Fills in the targets of calls and the addresses of constants."""
    for section in sections:
        if section.kind not in (REL, RELA) or section.info not in places:
            continue
        is_code, base = places[section.info]
        if section.kind != REL or not is_code:
            raise LinkError(f"{section.name}: only code is relocated, by entries without addends")
        for entry in range(0, len(section.data), 16):
            offset, info = struct.unpack_from("<QQ", section.data, entry)
            kind, symbol, at = info & MASK, symbols[info >> 32], base + offset
            (addend,) = struct.unpack_from("<i", code, at + 4)
            if kind == R_BPF_64_32 and symbol.section == 0:
                code[at + 1] &= 0x0F  # source register 0: a static system call
                struct.pack_into("<I", code, at + 4, murmur3(symbol.name.encode()))
            elif kind == R_BPF_64_32:
                target = (places[symbol.section][1] + symbol.value) // INSTRUCTION_BYTES
                target += addend + 1 if symbol.kind == SECTION_SYMBOL else 0
                struct.pack_into("<i", code, at + 4, target - at // INSTRUCTION_BYTES - 1)
            elif kind == R_BPF_64_64:
                is_target_code, target_base = places[symbol.section]
                address = (TEXT_ADDRESS if is_target_code else RODATA_ADDRESS) + target_base + symbol.value + addend
                struct.pack_into("<I", code, at + 4, address & MASK)
                struct.pack_into("<I", code, at + 12, address >> 32)
            else:
                raise LinkError(f"{section.name}: relocations of type {kind} are unknown")


def link(data: bytes) -> bytes:
    """The program of an object: an ELF header, one or two program headers, constants, code; no sections."""
    sections, symbols = read_object(data)
    entry = next((symbol for symbol in symbols if symbol.name == ENTRY and symbol.section), None)
    if entry is None:
        raise LinkError(f"the object does not define {ENTRY}")
    code, constants, places = place(sections, entry.section)
    relocate(code, sections, symbols, places)
    count = 2 if constants else 1
    content_at = 64 + 56 * count
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    start = TEXT_ADDRESS + places[entry.section][1] + entry.value
    header += struct.pack("<HHIQQQIHHHHHH", ET_DYN, EM_BPF, 1, start, 64, 0, SBPF_V3, 64, 56, count, 64, 0, 0)

    def segment(flags: int, offset: int, address: int, size: int) -> bytes:
        return struct.pack("<IIQQQQQQ", 1, flags, offset, address, address, size, size, 8)

    if constants:
        header += segment(4, content_at, RODATA_ADDRESS, len(constants))
    header += segment(1, content_at + len(constants), TEXT_ADDRESS, len(code))
    return bytes(header + constants + code)


def main() -> int:
    """Links argv[1] into argv[2]."""
    if len(sys.argv) != 3:
        print("usage: link.py OBJECT PROGRAM", file=sys.stderr)
        return 2
    try:
        program = link(Path(sys.argv[1]).read_bytes())
    except LinkError as error:
        print(f"link.py: {sys.argv[1]}: {error}", file=sys.stderr)
        return 1
    Path(sys.argv[2]).write_bytes(program)
    return 0


if __name__ == "__main__":
    sys.exit(main())
