"""The JSON Schema of the configuration, which editors complete and check a file with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from jsonschema import Draft7Validator, ValidationError

from tests.support.configurations import ROOT

SCHEMA = ROOT / "exporter" / "config" / "config.schema.json"
FILES = ROOT / "tests" / "data" / "config"
GOOD = sorted(
    [
        *(FILES / "good").iterdir(),
        *(ROOT / "docs" / "examples").glob("*/config.yaml"),
        ROOT / "config.example.yaml",
        ROOT / "deploy" / "kubernetes" / "config.yaml",
    ]
)
UNKNOWN_KEYS = ("unknown_key", "several_faults")


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    """What the JSON Schema accepts."""
    schema = json.loads(SCHEMA.read_text("utf-8"))
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


def faults(validator: Draft7Validator, file: Path) -> list[Any]:
    return list(validator.iter_errors(yaml.safe_load(file.read_text("utf-8"))))


@pytest.mark.parametrize("file", GOOD, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_good_file_is_good_in_an_editor_too(validator: Draft7Validator, file: Path) -> None:
    """Nothing that loads is underlined, `${NAME}` included."""
    assert not faults(validator, file)


@pytest.mark.parametrize("guide", ["any-api", "recipes"])
def test_what_a_guide_shows_is_good_in_an_editor_too(validator: Draft7Validator, guide: str) -> None:
    """Nothing that is pasted from there is underlined."""
    text = (ROOT / "docs" / f"{guide}.md").read_text("utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    shown = [sections for block in blocks if "queries" in (sections := yaml.safe_load(block))]
    assert shown
    for sections in shown:
        assert not list(validator.iter_errors({"sources": [{"name": "s", "url": "https://x"}], **sections})), sections


@pytest.mark.parametrize("name", UNKNOWN_KEYS)
def test_an_unknown_key_is_underlined(validator: Draft7Validator, name: str) -> None:
    """A key that the exporter would refuse, the editor refuses."""
    told = faults(validator, FILES / "bad" / f"{name}.yaml")
    assert any(fault.validator == "additionalProperties" for fault in told) or any(
        within.validator == "additionalProperties" for fault in told for within in fault.context
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("interval", "${INTERVAL:-1m}"),
        ("max_calls", "${MAX_CALLS}"),
        ("pack", "${PACK}"),
        ("on_partial", "${ON_PARTIAL:-keep}"),
    ],
)
def test_a_variable_may_stand_for_any_scalar(validator: Draft7Validator, key: str, value: str) -> None:
    """What the environment gives is not known to the editor, and is not underlined."""
    query = {"name": "q", "document": "{ a }", "rows": "a", key: value}
    config = {"sources": [{"name": "s", "url": "https://x"}], "queries": [query]}
    assert validator.is_valid(config)
    assert not validator.is_valid({**config, "queries": [{**query, key: "no such"}]})


@pytest.mark.parametrize(
    ("section", "key", "right", "wrong"),
    [
        ("query", "name", "open-orders", "open orders"),
        ("query", "interval", "1h30m", "5 minutes"),
        ("query", "period", "quarter", "fortnight"),
        ("query", "rows", "orders[0].lines", "orders[*].lines"),
        ("query", "labels", {"place": "city"}, {"the-place": "city"}),
        ("query", "labels", {"place": "CH/{{ shop.city }}"}, {"place": "CH/city"}),
        ("query", "labels", {"place": {"const": "CH"}}, {"place": {"constant": "CH"}}),
        (
            "metric", "labels", {"team": {"lookup": "t", "key": "api.id", "field": "n"}},
            {"team": {"lookup": "t", "key": "api..id", "field": "n"}},
        ),
        ("metric", "where", {"tags[key=x].value": "y"}, {"$.tags": "y"}),
        ("query", "for_each", {"shop": ["s-1"]}, {"a shop": ["s-1"]}),
        ("metric", "name", "shop:orders", "shop-orders"),
        ("metric", "value", 'tags[key=region]["unit price"]', "$.price"),
        ("metric", "value", ".", "price."),
        ("metric", "value", {"const": 1, "of": "lines"}, {"const": 1, "of": "lines[]"}),
        ("metric", "missing", {"rows_of": "q", "labels": {"id": "id"}}, {"rows_of": "q", "labels": {"id": "{{ id }}"}}),
        ("source", "url", "http://localhost:8080/graphql", "localhost:8080/graphql"),
        ("source", "labels", {"shop": "bern"}, {"shop.name": "bern"}),
    ],
)  # fmt: skip
def test_a_name_a_duration_and_a_path_are_checked_while_one_types(
    validator: Draft7Validator, section: str, key: str, right: object, wrong: object
) -> None:
    """The editor underlines what the exporter would refuse, before it is run."""

    def config(value: object) -> dict[str, object]:
        made: dict[str, dict[str, object]] = {
            "source": {"name": "s", "url": "https://x"},
            "query": {"name": "q", "document": "{ a }", "rows": "a"},
            "metric": {"name": "m", "help": "M.", "value": "a"},
        }
        made[section][key] = value
        return {"sources": [made["source"]], "queries": [{**made["query"], "metrics": [made["metric"]]}]}

    assert validator.is_valid(config(right))
    assert not validator.is_valid(config(wrong))


# What an editor can know, in the words of the check.
FORMS: Final = re.compile(
    r"unknown key|is missing|is not a metric name|not a label name|is reserved by Prometheus|the exporter's own"
    r"|a duration|not a period|is not a response path|not one of the words|not a URL|must be a list(?! that)"
    r"|must be a mapping|must be true or false|a whole number|is not a name"
)
# Selections, and the names of queries to be polled for each of, are mappings to anything in the schema.
UNKNOWN_TO_EDITORS: Final = {
    ("for_each_values", "queries.2.for_each.d"),
    ("selection_forms", "queries.0.metrics.2.where"),
}


def stated_forms() -> list[tuple[Path, str]]:
    """The bad files and the keys in them whose form is wrong."""
    found = []
    for file in sorted((FILES / "bad").iterdir()):
        for key, wrong in re.findall(r"^# error: \d+: (\S+): (.*)$", file.read_text("utf-8", "replace"), re.MULTILINE):
            place = re.sub(r"\[(\d+)\]", r".\1", key)
            is_of_document = ".variables." in place  # whose types are those of the API
            if FORMS.search(wrong) and not is_of_document and (file.stem, place) not in UNKNOWN_TO_EDITORS:
                found.append((file, place))
    return found


def underlined(found: Iterable[ValidationError]) -> Iterator[str]:
    """The places of faults, those in alternatives too."""
    for fault in found:
        yield ".".join(map(str, fault.absolute_path))
        yield from underlined(fault.context or ())


def test_what_bad_files_have_of_wrong_forms_is_underlined(validator: Draft7Validator) -> None:
    """Each at its key, or at the mapping whose key it is."""
    missed, stated = [], stated_forms()
    places: dict[Path, set[str]] = {}
    for file, place in stated:
        if file not in places:
            places[file] = set(underlined(faults(validator, file)))
        if not {place, place.rpartition(".")[0]} & places[file]:
            missed.append(f"{file.name}: {place}")
    assert len(stated) > 50
    assert missed == []


def test_every_key_says_what_it_means() -> None:
    """Whoever hovers over a key reads its meaning."""
    schema = json.loads(SCHEMA.read_text("utf-8"))
    sections = {"Config": schema, **schema["definitions"]}
    meanings = {
        (name, key): entry.get("description", "")
        for name, section in sections.items()
        for key, entry in section.get("properties", {}).items()
    }
    assert len(meanings) > 90
    assert not [key for key, meaning in meanings.items() if not meaning.endswith(".")]


def test_the_example_names_the_schema() -> None:
    """Editors with a YAML language server find the schema by the example's first line."""
    line = (ROOT / "config.example.yaml").read_text("utf-8").splitlines()[0]
    assert line == "# yaml-language-server: $schema=exporter/config/config.schema.json"
