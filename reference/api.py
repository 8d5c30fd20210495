"""The pages of the API: one a proto, with the comments that stand in it."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

from benchmarks.tables import table
from reference.markdown import MADE_BY, cell

PROTOS = Path("vitrine/v1")
_PACKAGE = ".vitrine.v1."
_MESSAGES, _ENUMS, _SERVICES = 4, 5, 6
"""Numbers of the lists of a file, which paths of comments begin with; in a message the next two and a service's last."""
_FIELDS, _NESTED_MESSAGES, _NESTED_ENUMS, _METHODS, _VALUES = 2, 3, 4, 2, 2

_Place = tuple[int, ...]


def pages() -> dict[str, list[str]]:
    """Return the lines of each page by its name, the list of all of them among it."""
    protos = _read()
    homes = {name: file.name for file in protos for name in _named(file)}
    made = {f"api/{_stem(file.name)}.md": list(_File(file, homes).page()) for file in protos}
    listed = [
        f"- [{_stem(file.name)}]({_stem(file.name)}.md): {', '.join(_services(file))}" for file in protos
    ]
    made["api/index.md"] = [
        "# The API",
        "",
        MADE_BY,
        "",
        "gRPC, package `vitrine.v1`. A page a file of [`vitrine/v1`](../../../vitrine/v1/search.proto):",
        "",
        *listed,
        "",
        "Shops call `SearchService`, `FeedbackService`, `CatalogueService`, `DocumentService`, `DataService` and `ReportService` on the gateway; the others are its own.",
        "The service describes itself too: health (`grpc.health.v1`) and reflection are served beside them.",
    ]
    return made


def _read() -> list[FileDescriptorProto]:
    """Parse the protos with their comments."""
    # What compiles protos is no part of the serving environment.
    from grpc_tools import protoc  # type: ignore[import-untyped] # noqa: PLC0415 - it has no types

    names = sorted(path.as_posix() for path in PROTOS.glob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        options = [
            "protoc",
            "-I.",
            f"-I{files('grpc_tools') / '_proto'}",
            "--include_source_info",
            f"--descriptor_set_out={out}",
        ]
        if status := protoc.main([*options, *names]):
            raise RuntimeError(f"protoc ended with {status}")
        return list(FileDescriptorSet.FromString(out.read_bytes()).file)


def _stem(name: str) -> str:
    return Path(name).stem


def _services(file: FileDescriptorProto) -> list[str]:
    named = [f"`{each.name}`" for each in file.service]
    return named or ["messages that others use"]


def _named(file: FileDescriptorProto) -> Iterator[str]:
    """Yield the full name of each message and enum of a file."""

    def below(prefix: str, message: DescriptorProto) -> Iterator[str]:
        yield prefix + message.name
        for nested in message.nested_type:
            yield from below(f"{prefix}{message.name}.", nested)
        for enum in message.enum_type:
            yield f"{prefix}{message.name}.{enum.name}"

    for message in file.message_type:
        yield from below(_PACKAGE, message)
    yield from (_PACKAGE + enum.name for enum in file.enum_type)


@dataclass(frozen=True)
class _File:
    """A proto with its comments."""

    file: FileDescriptorProto
    homes: Mapping[str, str]
    """The file of each message and enum by its full name."""

    def page(self) -> Iterator[str]:
        """Yield the page's lines."""
        yield from [f"# {self.file.name}", "", MADE_BY]
        for number, service in enumerate(self.file.service):
            yield from self._service(service, (_SERVICES, number))
        for number, message in enumerate(self.file.message_type):
            yield from self._message(message, (_MESSAGES, number), "")
        for number, enum in enumerate(self.file.enum_type):
            yield from self._enum(enum, (_ENUMS, number), "")

    def _comment(self, place: _Place) -> str:
        """Return what stands above a thing, or beside it."""
        for each in self.file.source_code_info.location:
            if tuple(each.path) == place:
                return " ".join(f"{each.leading_comments} {each.trailing_comments}".split())
        return ""

    def _heading(self, name: str, place: _Place) -> list[str]:
        comment = self._comment(place)
        return ["", f"## {name}", *(["", comment.replace("<", "&lt;")] if comment else [])]

    def _service(self, service: ServiceDescriptorProto, place: _Place) -> Iterator[str]:
        yield from self._heading(service.name, place)
        rows = [
            self._method(method, (*place, _METHODS, number)) for number, method in enumerate(service.method)
        ]
        yield from ["", *table(["call", "request", "answer", "what it does"], rows)]

    def _method(self, method: MethodDescriptorProto, place: _Place) -> Sequence[str]:
        request = "stream of " * method.client_streaming + self._link(method.input_type)
        answer = "stream of " * method.server_streaming + self._link(method.output_type)
        return [f"`{method.name}`", request, answer, cell(self._comment(place))]

    def _message(self, message: DescriptorProto, place: _Place, prefix: str) -> Iterator[str]:
        if message.options.map_entry:
            return
        name = prefix + message.name
        yield from self._heading(name, place)
        rows = [
            [
                f"`{field.name}`",
                str(field.number),
                self._type(field, message),
                cell(self._comment((*place, _FIELDS, i))),
            ]
            for i, field in enumerate(message.field)
        ]
        yield from (
            ["", *table(["field", "number", "type", "what it is"], rows)] if rows else ["", "No fields."]
        )
        for number, nested in enumerate(message.nested_type):
            yield from self._message(nested, (*place, _NESTED_MESSAGES, number), f"{name}.")
        for number, enum in enumerate(message.enum_type):
            yield from self._enum(enum, (*place, _NESTED_ENUMS, number), f"{name}.")

    def _enum(self, enum: EnumDescriptorProto, place: _Place, prefix: str) -> Iterator[str]:
        yield from self._heading(prefix + enum.name, place)
        rows = [
            [f"`{value.name}`", str(value.number), cell(self._comment((*place, _VALUES, number)))]
            for number, value in enumerate(enum.value)
        ]
        yield from ["", *table(["value", "number", "what it means"], rows)]

    def _type(self, field: FieldDescriptorProto, message: DescriptorProto) -> str:
        """Return a field's type, with the choice that it belongs to."""
        entry = next(
            (each for each in message.nested_type if field.type_name.endswith(f".{each.name}")), None
        )
        if entry is not None and entry.options.map_entry:
            key, value = entry.field
            return f"map of {self._scalar(key)} to {self._scalar(value)}"
        text = "list of " * (field.label == field.LABEL_REPEATED) + self._scalar(field)
        if field.proto3_optional:
            return f"{text}, optional"
        if field.HasField("oneof_index"):
            return f"{text}, one of `{message.oneof_decl[field.oneof_index].name}`"
        return text

    def _scalar(self, field: FieldDescriptorProto) -> str:
        if field.type_name:
            return self._link(field.type_name)
        return FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()

    def _link(self, full_name: str) -> str:
        """Return a message's name, as a link to where it is described."""
        name = full_name.removeprefix(_PACKAGE)
        if full_name not in self.homes:
            return f"`{name.removeprefix('.')}`"
        home = self.homes[full_name]
        page = "" if home == self.file.name else f"{_stem(home)}.md"
        return f"[{name}]({page}#{name.replace('.', '').lower()})"
