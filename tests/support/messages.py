"""What the program can say about a configuration, read from its source: no list has to be kept.

A text is followed to where it is written: to the variable, the table or the function that it comes from. It becomes a
template, in which `HOLE` stands for what is known only when the program runs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Final, TypeAlias

HOLE: Final = "\0"
_WRONG: Final = "wrong"  # what the parameter is called that takes what is wrong; the remedy comes behind it


@dataclass(frozen=True, slots=True)
class Text:
    """A template, and the line on which it is written."""

    template: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Message:
    """A message that can be written: its template, and where what is wrong is worded (or else the remedy)."""

    template: str
    place: str

    @property
    def shown(self) -> str:
        """The template as people read it."""
        return self.template.replace(HOLE, "…")

    def matches(self, said: str) -> bool:
        """Whether a recorded line, which begins with a line, perhaps of a named file, and a key, is this message."""
        pattern = ".*".join(re.escape(piece) for piece in self.template.split(HOLE))
        return re.fullmatch(rf"(?:(?:[^ ;]+:)?[0-9]+: )?(?:[^ ;]+: )?{pattern}", said) is not None


_LATER: Final = frozenset({Text(HOLE, "", 0)})  # who catches the error may add a remedy
Pair: TypeAlias = tuple[frozenset[Text], frozenset[Text]]
_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(eq=False)
class _Module:
    """A parsed file, with the parent of each of its nodes."""

    file: str
    tree: ast.Module
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            self.parents.update(dict.fromkeys(ast.iter_child_nodes(node), node))

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """The node and all that is around it, inside out."""
        at: ast.AST | None = node
        while at is not None:
            yield at
            at = self.parents.get(at)

    def imports(self) -> Iterator[str]:
        """The modules that it imports, and the names of them, as some of these are modules."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (name.name for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module
                yield from (f"{node.module}.{name.name}" for name in node.names)


class Sources:
    """The source of a package."""

    def __init__(self, package: Path) -> None:
        self._modules: dict[str, _Module] = {}
        for path in sorted(package.rglob("*.py")):
            within = path.relative_to(package.parent)
            name = ".".join(within.with_suffix("").parts).removesuffix(".__init__")
            self._modules[name] = _Module(str(within), ast.parse(path.read_text(encoding="utf-8")))

    def messages(self) -> list[Message]:
        """All messages about a configuration, in the order of the files."""
        found = dict.fromkeys(message for pair in self._pairs() for message in _told(*pair))
        return [message for message in found if message.template.strip(f"{HOLE}; ")]

    def _pairs(self) -> Iterator[Pair]:
        near = self._near
        for name, module in self._modules.items():
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Call):
                    yield from self._of_call(module, node, takes_errors=name in near)
                elif isinstance(node, ast.Yield | ast.Return) and isinstance(node.value, ast.Tuple):
                    yield from self._of_tuple(module, node.value)

    def _of_call(self, module: _Module, call: ast.Call, *, takes_errors: bool) -> Iterator[Pair]:
        name = _called(call)
        arguments = list(self._arguments(module, call))
        if takes_errors and name == "ValueError" and isinstance(module.parents[call], ast.Raise) and arguments:
            yield self.texts(module, arguments[0]), _LATER
        elif name == "SecretUnreadable" and arguments:
            yield self.texts(module, arguments[0]), _LATER  # a check says why a secret cannot be read
        for position in self._reporters.get(name, ()):
            if len(arguments) > position:
                yield self._pair(module, arguments[position:])

    def _of_tuple(self, module: _Module, value: ast.Tuple) -> Iterator[Pair]:
        for position, element in enumerate(value.elts):
            if isinstance(element, ast.Name) and element.id == _WRONG:
                yield self._pair(module, value.elts[position:])

    def _pair(self, module: _Module, arguments: list[ast.expr]) -> Pair:
        wrong = self.texts(module, arguments[0])
        return wrong, self.texts(module, arguments[1]) if len(arguments) > 1 else frozenset()

    def _arguments(self, module: _Module, call: ast.Call) -> Iterator[ast.expr]:
        for argument in call.args:
            if isinstance(argument, ast.Starred) and isinstance(argument.value, ast.Name):
                for value, _ in self._values(module, argument.value):
                    yield from value.elts if isinstance(value, ast.Tuple) else ()
            else:
                yield argument

    @cached_property
    def _reporters(self) -> Mapping[str, frozenset[int]]:
        """The functions and types that take what is wrong, by name, and the positions of that argument."""
        found: dict[str, frozenset[int]] = {}
        for module in self._modules.values():
            for node in ast.walk(module.tree):
                if isinstance(node, _Function):
                    names = [argument.arg for argument in node.args.args if argument.arg != "self"]
                    of = module.parents[node]
                    name = of.name if node.name == "__init__" and isinstance(of, ast.ClassDef) else node.name
                elif isinstance(node, ast.ClassDef):
                    fields = (part.target for part in node.body if isinstance(part, ast.AnnAssign))
                    names = [target.id for target in fields if isinstance(target, ast.Name)]
                    name = node.name
                else:
                    continue
                if _WRONG in names:
                    found[name] = found.get(name, frozenset()) | {names.index(_WRONG)}
        return found

    @cached_property
    def _near(self) -> frozenset[str]:
        """The modules whose errors can become messages: those that make some, and all that they import."""
        near: set[str] = set()
        waiting = [
            name
            for name, module in self._modules.items()
            if any(isinstance(node, ast.Call) and self._reports(node) for node in ast.walk(module.tree))
        ]
        while waiting:
            name = waiting.pop()
            if name not in near:
                near.add(name)
                waiting.extend(other for other in self._modules[name].imports() if other in self._modules)
        return frozenset(near)

    def _reports(self, call: ast.Call) -> bool:
        return any(len(call.args) > position for position in self._reporters.get(_called(call), ()))

    # ------------------------------------------------------------------------------ from an expression to its texts

    def texts(self, module: _Module, node: ast.expr, seen: frozenset[ast.AST] = frozenset()) -> frozenset[Text]:
        """What an expression can be, as far as it is written down."""
        if node in seen:
            return frozenset()
        seen |= {node}
        match node:
            case ast.Constant(value=str(text)):
                return frozenset({Text(text, module.file, node.lineno)})
            case ast.JoinedStr(values=parts):
                return self._formatted(module, node, parts, seen)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                ways = product(self.texts(module, left, seen), self.texts(module, right, seen))
                return _joined(module, node, ((one.template, other.template) for one, other in ways))
            case ast.IfExp(body=body, orelse=orelse):
                return self.texts(module, body, seen) | self.texts(module, orelse, seen)
            case ast.Name() | ast.Call() | ast.Subscript():
                values = [value for value in self._values(module, node) if value[0] is not node]
                if values:
                    return frozenset[Text]().union(*(self.texts(of, value, seen) for value, of in values))
        return frozenset({Text(HOLE, module.file, node.lineno)})

    def _formatted(
        self, module: _Module, node: ast.expr, parts: list[ast.expr], seen: frozenset[ast.AST]
    ) -> frozenset[Text]:
        """An f-string; a name that stands in it twice is the same text both times."""
        names: dict[str, list[str]] = {}
        for part in parts:
            if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name) and part.conversion < 0:
                values = self._values(module, part.value)
                written = not any(isinstance(inner, ast.Call) for value, _ in values for inner in ast.walk(value))
                texts = (self.texts(of, value, seen) for value, of in values if written)
                names[part.value.id] = sorted({text.template for found in texts for text in found}) or [HOLE]
        ways = (dict(zip(names, way, strict=True)) for way in product(*names.values()))
        return _joined(module, node, ([_shown_part(part, way) for part in parts] for way in ways))

    def _values(self, module: _Module, node: ast.expr) -> list[tuple[ast.expr, _Module]]:
        """The expressions that give an expression its value, where they can be found."""
        match node:
            case ast.Name(id=name):
                return self._assigned(module, node, name)
            case ast.Call(func=ast.Attribute(value=table, attr="get"), args=[_, default]):
                return [*self._of_table(module, table), (default, module)]
            case ast.Call():
                return self._returned(module, _called(node))
            case ast.Subscript(value=table):
                return self._of_table(module, table)
        return []

    def _of_table(self, module: _Module, table: ast.expr) -> list[tuple[ast.expr, _Module]]:
        if isinstance(table, ast.Name):
            return [pair for value, of in self._assigned(module, table, table.id) for pair in self._of_table(of, value)]
        return [(value, module) for value in table.values] if isinstance(table, ast.Dict) else []

    def _returned(self, module: _Module, name: str) -> list[tuple[ast.expr, _Module]]:
        """What the function of that name returns: of this module, or else of the one that it comes from."""
        for of in (module, *(self._modules[other] for other in module.imports() if other in self._modules)):
            for function in of.tree.body:
                if isinstance(function, _Function) and function.name == name:
                    returns = (part.value for part in ast.walk(function) if isinstance(part, ast.Return))
                    return [(value, of) for value in returns if value is not None]
        return []

    def _assigned(self, module: _Module, use: ast.AST, name: str) -> list[tuple[ast.expr, _Module]]:
        """What a name was last set to: before its use in the same block, or in one around it, or in the module."""
        inner: ast.AST = use
        for outer in module.around(use):
            if isinstance(outer, ast.For) and (found := self._looped(module, outer, name)):
                return found
            if isinstance(outer, _Function) and name in (argument.arg for argument in outer.args.args):
                if found := self._in_block(module, outer, inner, name):
                    return found
                return []
            if found := self._in_block(module, outer, inner, name):
                return found
            inner = outer
        return []

    def _in_block(self, module: _Module, outer: ast.AST, inner: ast.AST, name: str) -> list[tuple[ast.expr, _Module]]:
        found: list[tuple[ast.expr, _Module]] = []
        for block in (getattr(outer, key, None) for key in ("body", "orelse", "finalbody")):
            if not isinstance(block, list) or inner not in block:
                continue
            before = block if isinstance(outer, ast.Module) else block[: block.index(inner)]
            for statement in before:
                for node in _statements(statement):
                    found.extend(self._set_by(module, node, name))
        return found

    def _set_by(self, module: _Module, node: ast.AST, name: str) -> list[tuple[ast.expr, _Module]]:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr):
            targets = [node.target]
        value = getattr(node, "value", None)
        return [
            found for target in targets if value is not None for found in self._matched(module, target, value, name)
        ]

    def _matched(self, module: _Module, target: ast.expr, value: ast.expr, name: str) -> list[tuple[ast.expr, _Module]]:
        if isinstance(target, ast.Name):
            return [(value, module)] if target.id == name else []
        if not isinstance(target, ast.Tuple):
            return []
        names = [one.id if isinstance(one, ast.Name) else "" for one in target.elts]
        if name not in names:
            return []
        whole = [(value, module)] if isinstance(value, ast.Tuple) else self._values(module, value)
        elements = [(one.elts[names.index(name)], of) for one, of in whole if isinstance(one, ast.Tuple)]
        return elements or [(target.elts[names.index(name)], module)]

    def _looped(self, module: _Module, loop: ast.For, name: str) -> list[tuple[ast.expr, _Module]]:
        """What a loop over a literal gives to a name."""
        if not isinstance(loop.iter, ast.Tuple):
            return []
        return [found for item in loop.iter.elts for found in self._matched(module, loop.target, item, name)]


def _shown_part(part: ast.expr, names: Mapping[str, str]) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    inner = part.value if isinstance(part, ast.FormattedValue) else part
    return names.get(inner.id, HOLE) if isinstance(inner, ast.Name) else HOLE


def _joined(module: _Module, node: ast.expr, ways: Iterable[Iterable[str]]) -> frozenset[Text]:
    templates = {re.sub(f"{HOLE}+", HOLE, "".join(way)) for way in ways}
    return frozenset(Text(template, module.file, node.lineno) for template in templates)


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _statements(statement: ast.AST) -> Iterator[ast.AST]:
    """A statement and what is in it, without what belongs to a function of its own."""
    yield statement
    if not isinstance(statement, _Function | ast.ClassDef | ast.Lambda):
        for inner in ast.iter_child_nodes(statement):
            yield from _statements(inner)


def _told(wrongs: Iterable[Text], remedies: Iterable[Text]) -> Iterator[Message]:
    """Each way to say what is wrong, and each remedy: once at least, not each with each."""
    whats, ways = sorted(wrongs, key=lambda text: text.line), sorted(remedies, key=lambda text: text.line)
    shown = [text for text in ways if text.template != HOLE]
    for wrong in whats:
        rest = f"; {shown[0].template}" if len(ways) == len(shown) == 1 and shown[0].template else HOLE if ways else ""
        yield Message(wrong.template + rest, f"{wrong.file}:{wrong.line}")
    for remedy in shown if len(ways) > 1 else ():
        yield Message(f"{HOLE}; {remedy.template}", f"{remedy.file}:{remedy.line}")
