"""Keys that stand in the entries of one section alone."""

from __future__ import annotations

from exporter.config.metric import Metric
from exporter.config.problems import OWN_KEYS
from exporter.config.query import Query
from exporter.config.scalars import Strict
from exporter.config.source import Source


def test_a_key_is_sent_to_the_section_that_has_it() -> None:
    """Whoever writes a key at the wrong place is sent to one where it is known, and known only there."""
    sections: dict[str, type[Strict]] = {"sources": Source, "queries": Query, "metrics": Metric}
    known = {
        name: {field.alias or key for key, field in model.model_fields.items()} for name, model in sections.items()
    }
    assert OWN_KEYS.keys() == sections.keys()
    for section, keys in OWN_KEYS.items():
        elsewhere = set().union(*(others for name, others in known.items() if name != section))
        assert set(keys) <= known[section]
        assert not set(keys) & elsewhere
