"""YAML with its line numbers: every error names the key and the line."""

import re
from collections.abc import Callable, Collection
from difflib import get_close_matches
from enum import Enum
from typing import NoReturn, TypeVar

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from detectors.errors import ConfigError

LARGEST_BYTES = 262_144
LONGEST_LIST = 10_000
NULL_TAG = "tag:yaml.org,2002:null"
BOOL_TAG = "tag:yaml.org,2002:bool"
INT_TAG = "tag:yaml.org,2002:int"
FLOAT_TAG = "tag:yaml.org,2002:float"
_SURROGATE = re.compile("[\ud800-\udfff]")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?[0-9]{1,15}\.[0-9]{1,15}")

T = TypeVar("T")
E = TypeVar("E", bound=Enum)


def read_document(text: str, source: str) -> "Value":
    """The one YAML document in this text. Raises: ConfigError."""
    half = _SURROGATE.search(text)
    if half:
        _fail_half(source, text.count("\n", 0, half.start()) + 1)
    if len(text.encode()) > LARGEST_BYTES:
        raise ConfigError(f"{source}: larger than {LARGEST_BYTES} bytes")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{source} line {line}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError) as error:
        words = str(error).splitlines()[0] if isinstance(error, yaml.YAMLError) else "nested too deeply"
        raise ConfigError(f"{source}: not valid YAML: {words}") from None
    if node is None:
        raise ConfigError(f"{source}: is empty")
    _refuse_halves(node, source)
    return Value(source, "", node)


def _refuse_halves(top: Node, source: str) -> None:
    """Half a character, as an escape gives it, can be neither stored nor shown. Raises: ConfigError."""
    seen, left = set[int](), [top]
    while left:
        node = left.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, ScalarNode):
            if _SURROGATE.search(node.value):
                _fail_half(source, node.start_mark.line + 1)
        elif isinstance(node, MappingNode):
            left += [part for pair in node.value for part in pair]
        else:
            left += node.value


def _fail_half(source: str, line: int) -> NoReturn:
    raise ConfigError(f"{source} line {line}: holds half a character (U+D800 to U+DFFF)")


class Value:
    """One value of the document, with its path and line."""

    def __init__(self, source: str, path: str, node: Node) -> None:
        self._source = source
        self.path = path
        self._node = node

    def fail(self, what: str) -> NoReturn:
        """Raises: ConfigError with this value's line and key."""
        raise ConfigError(f"{self.where}: {what}")

    @property
    def where(self) -> str:
        """`policy.yaml line 4: channels.team.url_env`."""
        return f"{self._source} line {self.line}" + (f": {self.path}" if self.path else "")

    @property
    def is_null(self) -> bool:
        """Whether nothing stands here."""
        return isinstance(self._node, ScalarNode) and self._node.tag == NULL_TAG

    @property
    def line(self) -> int:
        """Where it begins, counted from 1."""
        return self._node.start_mark.line + 1

    @property
    def is_mapping(self) -> bool:
        """Whether keys and values stand here."""
        return isinstance(self._node, MappingNode)

    @property
    def is_list(self) -> bool:
        """Whether a list stands here."""
        return isinstance(self._node, SequenceNode)

    def members(self, known: Collection[str]) -> dict[str, "Value"]:
        """The values of a mapping by key; nothing at all is an empty one.

        An unknown key and a key that stands twice are errors on their own line.
        """
        return {name: value for name, (key, value) in self.entries().items() if key.must_be_in(known)}

    def entries(self) -> dict[str, tuple["Value", "Value"]]:
        """The keys and values of a mapping by key, whatever the keys; nothing at all is an empty one."""
        if self.is_null:
            return {}
        if not isinstance(self._node, MappingNode):
            self.fail("must be a mapping of keys to values")
        found: dict[str, tuple[Value, Value]] = {}
        for key_node, node in self._node.value:
            name = key_node.value if isinstance(key_node, ScalarNode) else "(not a name)"
            path = f"{self.path}.{name}" if self.path else name
            here = Value(self._source, path, key_node)
            if name in found:
                here.fail("stands here a second time")
            found[name] = here, Value(self._source, path, node)
        return found

    def must_be_in(self, known: Collection[str], what: str = "key") -> bool:
        """True for a key that is known; else an error that names the nearest."""
        name = self._node.value if isinstance(self._node, ScalarNode) else "(not a name)"
        if name not in known:
            near = get_close_matches(name, sorted(known), n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            self.fail(f"unknown {what}; {hint}")
        return True

    def text(self) -> str:
        """A single value as it is written."""
        if not isinstance(self._node, ScalarNode) or self.is_null or not self._node.value.strip():
            self.fail("needs one value")
        return str(self._node.value).strip()

    def verbatim(self) -> str:
        """A single value with its blanks, as a text to compare with."""
        if not isinstance(self._node, ScalarNode) or self.is_null or not self._node.value:
            self.fail("needs one value")
        return str(self._node.value)

    def scalar(self) -> str | int | float | bool:
        """A single value of the type that YAML sees in it."""
        text = self.verbatim()
        tag = self._node.tag
        if tag == BOOL_TAG:
            return self.boolean()
        if tag == INT_TAG and _INTEGER.fullmatch(text):
            return int(text)
        if tag == FLOAT_TAG and _DECIMAL.fullmatch(text):
            return float(text)
        return text

    def parse(self, parse: Callable[[str], T]) -> T:
        """The value through a parser whose ValueError is made for people."""
        try:
            return parse(self.text())
        except ValueError as error:
            self.fail(str(error))

    def integer(self, low: int, high: int) -> int:
        """A whole number in a range."""
        text = self.text()
        if not text.isdecimal() or len(text) > 12 or not low <= int(text) <= high:
            self.fail(f"{text!r} is not a whole number between {low:,} and {high:,}")
        return int(text)

    def boolean(self) -> bool:
        """true or false."""
        if not isinstance(self._node, ScalarNode) or self._node.tag != BOOL_TAG:
            self.fail("must be true or false")
        return str(self._node.value).lower() in ("true", "yes", "on")

    def choice(self, kind: type[E]) -> E:
        """One member of an enumeration, by its value."""
        text = self.text()
        names = [str(member.value) for member in kind]
        if text not in names:
            near = get_close_matches(text, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(names)}"
            self.fail(f"unknown {text!r}; {hint}")
        return kind(text)

    def each(self) -> list["Value"]:
        """The entries of a list; a single value is a list of one."""
        if not isinstance(self._node, SequenceNode):
            self.text()
            return [self]
        return self.listed()

    def listed(self) -> list["Value"]:
        """The entries of a list."""
        if not isinstance(self._node, SequenceNode):
            self.fail("must be a list")
        if len(self._node.value) > LONGEST_LIST:
            self.fail(f"more than {LONGEST_LIST:,} entries")
        return [Value(self._source, f"{self.path}[{i}]", node) for i, node in enumerate(self._node.value)]

    def choices(self, kind: type[E]) -> tuple[E, ...]:
        """One or more different members of an enumeration, in the order written."""
        found = [(value, value.choice(kind)) for value in self.each()]
        if not found:
            self.fail("needs at least one value")
        for index, (value, member) in enumerate(found):
            if member in [earlier for _, earlier in found[:index]]:
                value.fail(f"{member.value!r} stands here a second time")
        return tuple(member for _, member in found)
