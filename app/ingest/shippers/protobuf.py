"""Protobuf bodies, read by protobuf's own runtime from schemas that are written here.

A generated class refuses the whole body when one `string` in it is not UTF-8, and such bytes are an attacker's
to choose: a User-Agent would hide everything that was sent along with it. So every text is declared `bytes` here,
which is the same on the wire. A part that an attacker can nest may be declared `bytes` as well: it then comes
undecoded, and its depth cannot sink the body either (the runtime gives up at 100 levels).
Source: protobuf.dev, "Encoding" and "Proto limits"; measured: 0.1 us a log record to parse, 1 to 3 us to look at it.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError as DamagedMessage

from app.ingest.body import BodyTooLarge
from detectors.errors import DecodeError

MESSAGES_LIMIT = 4_000_000
"""Two bytes on the wire become a message of 60 bytes in memory: this keeps one body below 256 MiB."""

_SCALARS = {
    name: getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{name.upper()}")
    for name in ("bytes", "bool", "int32", "int64", "uint32", "uint64", "sint64", "fixed32", "fixed64", "double")
}  # fmt: skip
_LENGTH_DELIMITED = 2
"""The wire type of messages."""


class Field(NamedTuple):
    """One field of a message."""

    number: int
    name: str
    kind: str
    """A scalar type of protobuf, `bytes` for `string`; or the name of a message in the same schema."""
    is_repeated: bool = False


Schema = Mapping[str, tuple[Field, ...]]
"""The fields of each message. Those that are left out are skipped, whatever they hold."""


def reader(package: str, schema: Schema, root: str) -> Callable[[bytes], Any]:
    """A function that reads a body as the message `root`; `package` is any name that no other schema has.

    A field that is absent reads as empty, 0 or False. What the function raises: DecodeError for what is no such
    message, BodyTooLarge for what could become too many messages.
    """
    parse = _classes(package, schema)[root].FromString
    tags = tuple(sorted(_repeated_tags(schema, root)))

    def read(body: bytes) -> Any:
        if len(body) > MESSAGES_LIMIT and sum(map(body.count, tags)) > MESSAGES_LIMIT:
            raise BodyTooLarge(f"the body may have more than {MESSAGES_LIMIT} parts")
        try:
            return parse(body)
        except DamagedMessage as error:
            raise DecodeError(
                "the body is not the protobuf message of this protocol, or is damaged"
            ) from error

    return read


def _classes(package: str, schema: Schema) -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for message, fields in schema.items():
        described = file.message_type.add(name=message)
        for field in fields:
            made = described.field.add(name=field.name, number=field.number)
            made.label = made.LABEL_REPEATED if field.is_repeated else made.LABEL_OPTIONAL
            if field.kind in _SCALARS:
                made.type = _SCALARS[field.kind]
            else:
                made.type_name = f".{package}.{field.kind}"
                made.type = made.TYPE_MESSAGE
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = (pool.FindMessageTypeByName(f"{package}.{message}") for message in schema)
    return {described.name: message_factory.GetMessageClass(described) for described in found}


def _repeated_tags(schema: Schema, root: str) -> set[bytes]:
    """The bytes before each message of a list: they occur at least as often as there are such messages."""
    reached = [root]
    for name in reached:
        reached.extend({f.kind for f in schema[name] if f.kind in schema} - set(reached))
    return {
        _varint(field.number << 3 | _LENGTH_DELIMITED)
        for name in reached
        for field in schema[name]
        if field.is_repeated and field.kind in schema
    }


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
