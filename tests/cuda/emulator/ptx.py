"""Inline PTX to C++: each statement that the emulator knows becomes a call of its runtime; any other is an error.

asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, …}, …;" : "=f"(d[0]), … : "r"(a[0]), …)
→
{ unsigned a_[4] = {…}, b_[2] = {…}; float c_[4] = {…}, d_[4]; emu_mma_m16n8k16_f16(…); d[0] = d_[0]; … }
"""

from __future__ import annotations

import re
from collections.abc import Callable

_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_GROUPS = re.compile(r"\{([^}]*)\}|\[([^\]]*)\]|([^,\s{}\[\]]+)")


class UnknownPtx(ValueError):
    """A statement that the emulator does not know."""


def translate(body: str, line: int) -> str:
    """What stands between the parentheses of an asm statement, as a C++ block.

    Raises:
        UnknownPtx: It holds a statement that the emulator does not know.
    """
    sections = _split(body, ":")
    text = "".join(_STRING.findall(sections[0])).replace("\\n", " ").replace("\\t", " ")
    operands = [operand for section in sections[1:3] for operand in _operands(section)]
    statements = [part.strip() for part in _unwrapped(text).split(";")]
    code = [_statement(part, operands, line) for part in statements if part]
    return "{ " + " ".join(code) + " }"


def _unwrapped(text: str) -> str:
    """Without the braces around several statements, which are no operand's."""
    text = text.strip()
    return text[1:].rstrip("; ").removesuffix("}") if text.startswith("{") else text


def _split(text: str, separator: str) -> list[str]:
    """At `separator` outside strings and brackets."""
    parts, depth, quoted, begin = [], 0, False, 0
    for at, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif not quoted:
            depth += (character in "([{") - (character in ")]}")
            if character == separator and depth == 0:
                parts.append(text[begin:at])
                begin = at + 1
    return [*parts, text[begin:]]


def _operands(section: str) -> list[str]:
    """The expressions of `"=r"(x), "l"(y)`."""
    found = []
    for operand in filter(str.strip, _split(section, ",")):
        begin, end = operand.index("("), operand.rindex(")")
        found.append(operand[begin : end + 1])
    return found


def _statement(text: str, operands: list[str], line: int) -> str:
    guard = re.match(r"@(!?)(\w+)\s+", text)
    if guard:
        return f"if ({guard[1]}{guard[2]}) {{ {_statement(text[guard.end() :], operands, line)} }}"
    name = re.split(r"[\s{\[]", text, maxsplit=1)[0]
    groups = [next(part for part in match if part) for match in _GROUPS.findall(text[len(name) :])]
    arguments = [[_value(word, operands) for word in _split(group, ",")] for group in groups]
    for pattern, emit in _STATEMENTS.items():
        if re.fullmatch(pattern, name):
            return emit(name, arguments, line)
    raise UnknownPtx(f"PTX that the emulator does not know: {text!r}")


def _value(word: str, operands: list[str]) -> str:
    """%2 as its expression; numbers and predicates as they are."""
    word = word.strip()
    return operands[int(word[1:])] if word.startswith("%") else word


def _ldmatrix(name: str, groups: list[list[str]], line: int) -> str:
    to, (address,) = groups
    stores = " ".join(f"{register} = r_[{i}];" for i, register in enumerate(to))
    transposed = int(".trans" in name)
    return f"{{ unsigned r_[4]; emu_ldmatrix({line}, r_, {len(to)}, {transposed}, {address}); {stores} }}"


def _mma(function: str) -> Callable[[str, list[list[str]], int], str]:
    def emit(name: str, groups: list[list[str]], line: int) -> str:
        d, a, b, c = groups
        stores = " ".join(f"{register} = d_[{i}];" for i, register in enumerate(d))
        return (
            f"{{ unsigned a_[4] = {{{', '.join(a)}}}, b_[2] = {{{', '.join(b)}}}; "
            f"float c_[4] = {{{', '.join(c)}}}, d_[4]; {function}({line}, d_, a_, b_, c_); {stores} }}"
        )

    return emit


def _cp_async(name: str, groups: list[list[str]], line: int) -> str:
    shared, source, count, *filled = (group[0] for group in groups)
    return f"emu_cp_async({shared}, (const void*){source}, {count}, {filled[0] if filled else count});"


def _store_shared(name: str, groups: list[list[str]], line: int) -> str:
    (address,), words = groups
    return f"{{ unsigned w_[] = {{{', '.join(words)}}}; emu_store_shared({address}, w_, {len(words)}); }}"


_STATEMENTS: dict[str, Callable[[str, list[list[str]], int], str]] = {
    r"ldmatrix\.sync\.aligned\.m8n8\.x[124](\.trans)?\.shared(::cta)?\.b16": _ldmatrix,
    r"mma\.sync\.aligned\.m16n8k16\.row\.col\.f32\.f16\.f16\.f32": _mma("emu_mma_m16n8k16_f16"),
    r"mma\.sync\.aligned\.m16n8k8\.row\.col\.f32\.tf32\.tf32\.f32": _mma("emu_mma_m16n8k8_tf32"),
    r"cvt\.rna\.tf32\.f32": lambda name, groups, line: f"{groups[0][0]} = emu_round_tf32({groups[1][0]});",
    r"cp\.async\.c[ag]\.shared(::cta)?\.global(\.L2::\d+B)?": _cp_async,
    r"cp\.async\.commit_group": lambda name, groups, line: "emu_cp_async_commit();",
    r"cp\.async\.wait_group": lambda name, groups, line: f"emu_cp_async_wait({groups[0][0]});",
    r"cp\.async\.wait_all": lambda name, groups, line: "emu_cp_async_commit(); emu_cp_async_wait(0);",
    r"st\.shared(\.v[24])?\.[ub]32": _store_shared,
    r"\.reg": lambda name, groups, line: f"bool {groups[-1][0]};",
    r"setp\.ne\.[bsu]32": lambda name, groups, line: f"{groups[0][0]} = {groups[1][0]} != {groups[2][0]};",
    r"setp\.eq\.[bsu]32": lambda name, groups, line: f"{groups[0][0]} = {groups[1][0]} == {groups[2][0]};",
}
"""By name, as regular expressions: (name, operands in their brackets, line) → C++."""
