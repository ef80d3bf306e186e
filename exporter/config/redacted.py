"""A configuration as people may see it: as it was read, includes and variables put in, and every secret hidden."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import yaml

from exporter.config.confidential import is_confidential, is_url, shown_url
from exporter.config.load import Loaded
from exporter.config.nodes import KeyPath
from exporter.config.scalars import Strict
from exporter.model.secret import SHOWN, FromEnvironment, Secret


def yaml_without_secrets(loaded: Loaded, censored: Callable[[str], str]) -> str:
    """The configuration as YAML. `censored` has the last look at every text."""
    return yaml.dump(
        _without_secrets(loaded.tree, loaded.config, (), censored),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=120,
    )


def _without_secrets(written: Any, meant: Any, path: KeyPath, censored: Callable[[str], str]) -> Any:
    """What was written, without what it means to be secret, or took from the environment for a credential."""
    if isinstance(meant, Secret):
        return SHOWN
    if isinstance(written, dict):
        within = _fields(meant)
        return {
            censored(str(key)): _without_secrets(value, within.get(key), (*path, key), censored)
            for key, value in written.items()
        }
    if isinstance(written, list):
        items = meant if isinstance(meant, tuple | list) and len(meant) == len(written) else [None] * len(written)
        return [
            _without_secrets(value, item, (*path, index), censored)
            for index, (value, item) in enumerate(zip(written, items, strict=True))
        ]
    if not isinstance(written, str):
        return written
    if is_url(path):
        return censored(shown_url(str(written)))
    if isinstance(written, FromEnvironment):
        return censored(written.shown if is_confidential(path) else str(written))
    return censored(written)


def _fields(meant: Any) -> Mapping[Any, Any]:
    if isinstance(meant, Strict):
        return {field.alias or name: getattr(meant, name) for name, field in type(meant).model_fields.items()}
    return meant if isinstance(meant, Mapping) else {}


class _Dumper(yaml.SafeDumper):
    """Documents stay readable: text of several lines as a block, and nothing as an alias of something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
