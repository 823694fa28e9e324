"""The loops of compiled code: which instructions run in them, and whether registers are spilled there."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
_INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")
_TARGET = re.compile(r"([0-9a-f]+) <")
_MULTIPLIES = re.compile(r"v?(mul|fn?m(add|sub)\d*)p[sd]")
_VECTOR = re.compile(r"%[xyz]mm")


@dataclass(frozen=True)
class Loop:
    """An innermost loop: the function it stands in, and its instructions as objdump writes them."""

    function: str
    instructions: tuple[str, ...]
    framed: bool  # whether %rbp is the frame's

    @property
    def multiplies(self) -> bool:
        """Whether whole vectors are multiplied in it."""
        return any(_MULTIPLIES.match(line) for line in self.instructions)

    def of_the_stack(self, vectors_only: bool = False) -> list[str]:
        """The instructions that read or write the stack."""
        stack = re.compile(r"\(%r[sb]p[,)]" if self.framed else r"\(%rsp[,)]")
        lines = [line for line in self.instructions if stack.search(line)]
        return [line for line in lines if _VECTOR.search(line)] if vectors_only else lines


def innermost_loops(file: Path) -> list[Loop]:
    """Of all functions in an object file for x86-64."""
    command = ["objdump", "--disassemble", "--demangle", "--no-show-raw-insn", file]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: list[Loop] = []
    name, code = "", {}
    for line in [*text.splitlines(), "0 <>:"]:
        if head := _FUNCTION.match(line):
            framed = "mov %rsp,%rbp" in code.values()
            found += [Loop(name, tuple(code[a] for a in sorted(body)), framed) for body in _innermost(_next(code))]
            name, code = head[1], {}
        elif instruction := _INSTRUCTION.match(line):
            address, operation, operands = instruction.groups()
            code[int(address, 16)] = f"{operation} {operands}".strip()
    return found


def _next(code: dict[int, str]) -> dict[int, list[int]]:
    """Which instructions may follow each, by address."""
    addresses = list(code)
    following: dict[int, list[int]] = {}
    for address, after in zip(addresses, [*addresses, None][1:], strict=True):
        line = code[address]
        target = _TARGET.search(line) if line.startswith("j") else None
        following[address] = [int(target[1], 16)] if target else []
        if after is not None and not line.startswith(("jmp", "ret", "ud2")):
            following[address].append(after)
    return {a: [t for t in to if t in code] for a, to in following.items()}


def _innermost(following: dict[int, list[int]]) -> list[set[int]]:
    """The loops that hold no other: what leads back to a loop's head without passing it."""
    before: dict[int, list[int]] = {a: [] for a in following}
    for address, targets in following.items():
        for target in targets:
            before[target].append(address)
    loops: dict[int, set[int]] = {}
    for end, head in _back_edges(following):
        body, waiting = loops.setdefault(head, {head}), [end]
        while waiting:
            address = waiting.pop()
            if address not in body:
                body.add(address)
                waiting += before[address]
    return [body for head, body in loops.items() if not any(other != head and other in body for other in loops)]


def _back_edges(following: dict[int, list[int]]) -> list[tuple[int, int]]:
    """Jumps to an instruction that is on the way there, by walking from the first one."""
    found: list[tuple[int, int]] = []
    first = next(iter(following), None)
    if first is None:
        return found
    on_the_way, seen, stack = {first}, {first}, [(first, iter(following[first]))]
    while stack:
        address, rest = stack[-1]
        target = next(rest, None)
        if target is None:
            on_the_way.remove(address)
            stack.pop()
        elif target in on_the_way:
            found.append((address, target))
        elif target not in seen:
            on_the_way.add(target)
            seen.add(target)
            stack.append((target, iter(following[target])))
    return found
