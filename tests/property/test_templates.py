"""Templates: plain trees stay as they are, references are bound once, and bad text is refused, never evaluated."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from exporter.model.samples import Json
from exporter.model.template import bind, parse_template, parse_text, references

plain_texts = st.text(max_size=20).filter(lambda text: "{{" not in text)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | plain_texts
trees: st.SearchStrategy[Json] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
names = st.from_regex(r"[_A-Za-z][_0-9A-Za-z]{0,5}(\.[_A-Za-z][_0-9A-Za-z]{0,5}){0,3}", fullmatch=True)


@given(trees)
def test_a_tree_without_references_is_sent_as_it_is(tree: Json) -> None:
    """Variables without references are not touched."""
    template = parse_template(tree)
    assert bind(template, {}) == tree
    assert not list(references(template))


@given(names, trees, st.sampled_from(["", " ", "\n  "]))
def test_a_whole_reference_becomes_exactly_its_value(name: str, value: Json, space: str) -> None:
    """A value keeps its type and is not read again, whatever it is."""
    assert bind(parse_text(f"{{{{{space}{name}{space}}}}}"), {name: value}) == value


@given(st.lists(st.tuples(plain_texts.filter(lambda text: "{" not in text and "}" not in text), names), min_size=1))
def test_references_in_text_are_replaced_where_they_stand(pairs: list[tuple[str, str]]) -> None:
    """The text around references is kept to the letter."""
    template = parse_text("".join(f"{text}{{{{ {name} }}}}" for text, name in pairs) + ".")
    values: dict[str, Json] = {name: f"<{name}>" for _, name in pairs}
    assert bind(template, values) == "".join(f"{text}<{name}>" for text, name in pairs) + "."


@given(st.text(alphabet="{}ab. \n+", max_size=16) | st.text(max_size=16))
def test_any_text_is_a_template_or_is_refused(text: str) -> None:
    """Bad braces are a load error and a text that passes has no reference left unread."""
    with suppress(ValueError):
        template = parse_text(text)
        values: dict[str, Json] = {reference.name: "x" for reference in references(template)}
        assert "{{" not in str(bind(template, values))
