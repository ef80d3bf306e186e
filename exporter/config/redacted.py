"""A configuration as people may see it: as it was read, includes and variables put in, and every secret hidden."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Set
from typing import Any

import yaml
from msgspec import Struct

from exporter.config.confidential import is_confidential, is_url, shown_url
from exporter.config.load import Loaded
from exporter.config.nodes import KeyPath
from exporter.config.scalars import Strict
from exporter.model.background import give_way
from exporter.model.secret import SHOWN, FromEnvironment, Secret


class Redacted(Struct, frozen=True):
    """A configuration without its secrets, packed: it is rendered when somebody asks for it, and what it was read from
    would take 7 KB for each query until then."""

    packed: bytes

    @classmethod
    def of(cls, loaded: Loaded) -> Redacted:
        tree = _without_secrets(loaded.tree, loaded.config, (), loaded.typed)
        return cls(zlib.compress(json.dumps(tree).encode(), 1))

    def yaml(self, censored: Callable[[str], str]) -> str:
        """It as YAML. `censored` has the last look at every text. Keeps nothing, so it may run in any thread."""
        return yaml.dump(
            _map_texts(json.loads(zlib.decompress(self.packed)), censored),
            Dumper=_Dumper,
            sort_keys=False,
            allow_unicode=True,
            width=120,
        )


def _map_texts(value: Any, of_text: Callable[[str], str]) -> Any:
    """The same value with other texts and keys. Half of a surrogate pair, which YAML cannot carry, is replaced."""
    if isinstance(value, dict):
        return {_map_texts(key, of_text): _map_texts(item, of_text) for key, item in value.items()}
    if isinstance(value, list):
        return [_map_texts(item, of_text) for item in value]
    return of_text(value).encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _without_secrets(written: Any, meant: Any, path: KeyPath, typed: Set[KeyPath]) -> Any:
    """What was written, without what it means to be secret, or took from the environment for a credential. `typed` are
    the places to which a variable gave what is no text."""
    give_way()
    if isinstance(meant, Secret) or (path in typed and is_confidential(path)):
        return SHOWN
    if isinstance(written, dict):
        within = _fields(meant)
        return {
            str(key): _without_secrets(value, within.get(key), (*path, key), typed) for key, value in written.items()
        }
    if isinstance(written, list):
        items = meant if isinstance(meant, tuple | list) and len(meant) == len(written) else [None] * len(written)
        return [
            _without_secrets(value, item, (*path, index), typed)
            for index, (value, item) in enumerate(zip(written, items, strict=True))
        ]
    if not isinstance(written, str):
        return written
    if is_url(path):
        return shown_url(str(written))
    if isinstance(written, FromEnvironment):
        return written.shown if is_confidential(path) else str(written)
    return written


def _fields(meant: Any) -> Mapping[Any, Any]:
    if isinstance(meant, Strict):
        return {field.alias or name: getattr(meant, name) for name, field in type(meant).model_fields.items()}
    return meant if isinstance(meant, Mapping) else {}


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # chosen at run time
    """Documents stay readable: text of several lines as a block, and nothing as an alias of something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
