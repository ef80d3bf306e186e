"""Credentials are taken out of what others say."""

from __future__ import annotations

import base64
import html
import json
import re
import secrets
import tracemalloc
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from exporter.model.censor import EVERYTHING, Censor
from exporter.model.secret import Secret, remember_unused, use_variables
from tests.support.effort import least_seconds

CREDENTIAL = 'kept-"under"/wraps\\and=more+7'
FORMS = {
    "raw": CREDENTIAL,
    "JSON": json.dumps(CREDENTIAL)[1:-1],
    "JSON with slashes": json.dumps(CREDENTIAL)[1:-1].replace("/", "\\/"),
    "percent-encoded": quote(CREDENTIAL, safe=""),
    "percent-encoded but for slashes": quote(CREDENTIAL),
    "percent-encoded in lower case": re.sub("%..", lambda code: code[0].lower(), quote(CREDENTIAL, safe="")),
    "form-encoded": quote_plus(CREDENTIAL),
    "Base64": base64.b64encode(CREDENTIAL.encode()).decode(),
    "Base64 for URLs": base64.urlsafe_b64encode(CREDENTIAL.encode()).decode().rstrip("="),
    "HTML": html.escape(CREDENTIAL),
}


def known() -> Censor:
    """A censor that knows the credential."""
    secret = Secret(inline=CREDENTIAL)
    secret.reveal()
    return Censor([secret])


def test_a_credential_with_marks_of_html_is_found_on_a_page() -> None:
    """Each of the characters that HTML writes in another way."""
    secret = Secret(inline="kept&under<wraps>\"and'more")
    shown = html.escape(secret.reveal())
    assert Censor([secret]).clean(f"<p>{shown}</p>") == "<p><secret></p>"


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_credential_is_found_in_each_form(form: str) -> None:
    """Raw, encoded for URLs, for JSON, for HTML, in Base64: it becomes `<secret>`, and what is around it stays."""
    assert known().clean(f"before {form} after") == "before <secret> after"
    assert EVERYTHING.clean(f"before {form} after") == "before <secret> after"


@pytest.mark.parametrize("before", ["", "i", "id", "id:", "name:"])
def test_a_credential_is_found_in_base64_of_more(before: str) -> None:
    """Base64 of a credential with something before and after it has no readable part of the credential left."""
    text = base64.b64encode(f"{before}{CREDENTIAL}:x".encode()).decode()
    left = known().clean(text).replace("<secret>", "")
    assert len(left) <= len(text) - len(CREDENTIAL) * 8 // 6 + 1


def test_a_credential_that_is_cut_is_found() -> None:
    """Whoever quotes the first part of a credential, with or without dots, has quoted too much."""
    assert known().clean(f"no {CREDENTIAL[:20]}… here") == "no <secret>… here"
    assert known().clean(f"no {CREDENTIAL[:20]}") == "no <secret>"


def test_tokens_that_begin_alike_are_all_found() -> None:
    """Of two tokens with one header, neither hides the rest of the other."""
    censor, header = Censor(), "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9."
    for part in ("first", "second", "second.longer"):
        censor.add(header + part)
    text = " ".join(header + part for part in ("second.longer", "first", "second"))
    assert censor.clean(text) == "<secret> <secret> <secret>"


def test_tokens_that_are_dead_take_no_memory() -> None:
    """Of twenty sources whose long tokens were renewed nine times, the last few tokens are kept, and little more:
    neither their many forms nor what was looked for before each renewal."""
    censors, tokens = [Censor() for _ in range(20)], []
    tracemalloc.start()
    try:
        for _renewal in range(9):
            tokens = [secrets.token_urlsafe(3000) for _ in censors]
            for censor, token in zip(censors, tokens, strict=True):
                censor.add(token)
                censor.clean_json(b'{"data": 1}')
                EVERYTHING.clean("nothing")
        used_bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert used_bytes < 20 * 6 * 10_000
    assert EVERYTHING.clean(" ".join(tokens)) == " ".join(["<secret>"] * 20)


def test_a_censor_for_some_texts_finds_what_is_in_them() -> None:
    """Whatever credential is in one of them, in whatever form, is found in each of them; others are not sought."""
    censor, others = Censor(), [f"{number}-{secrets.token_urlsafe(20)}" for number in range(6)]
    for other in others:
        censor.add(other)
    texts = ["nothing", f"a {quote(others[1])} b", f"cut {others[2][:18]}"]
    within = censor.within(texts)
    assert [within.clean(text) for text in texts] == ["nothing", "a <secret> b", "cut <secret>"]
    assert censor.clean_fields({"x-a": texts[1], "x-b": "c"}) == {"x-a": "a <secret> b", "x-b": "c"}


def test_a_rotated_secret_is_still_found(tmp_path: Path) -> None:
    """What was a secret once, and may still be good, is found after the rotation too."""
    file = tmp_path / "secret"
    secret = Secret(file=file)
    for text in ("first-of-two-secrets", "second-of-two-secrets"):
        file.write_text(text)
        secret.reveal()
    assert Censor([secret]).clean("first-of-two-secrets second-of-two-secrets") == "<secret> <secret>"


def test_what_the_environment_gave_to_a_credentials_place_is_found() -> None:
    """A variable in the query of a URL is found in answers, although the URL is no secret."""
    use_variables(["from-the-environment"])
    assert Censor().clean("?key=from-the-environment&x") == "?key=<secret>&x"


def test_a_credential_of_a_configuration_that_is_not_in_use_is_plain_text_in_answers(tmp_path: Path) -> None:
    """A configuration that was refused, or has been replaced, changes no label; what we say quotes none of it."""
    file = tmp_path / "secret"
    file.write_text("from-a-file\n")
    secret = Secret(file=file)
    said = "from-the-environment from-a-file"

    def of_answers() -> str:
        return Censor().clean(said)

    remember_unused("from-the-environment")
    assert secret.try_reading() == "from-a-file"
    assert of_answers() == said
    assert EVERYTHING.clean(said) == "<secret> <secret>"
    use_variables(["from-the-environment", "from-a-file"])
    assert of_answers() == "<secret> <secret>"
    use_variables([])
    assert of_answers() == said
    assert EVERYTHING.clean(said) == "<secret> <secret>"
    secret.reveal()
    assert of_answers() == "from-the-environment <secret>"
    use_variables(["from-a-file"])
    use_variables([])
    assert of_answers() == "from-the-environment <secret>"


def test_a_short_text_is_not_searched_for_in_answers() -> None:
    """A password such as `demo` does not spoil every name that has it in it."""
    secret = Secret(inline="demo")
    secret.reveal()
    assert Censor([secret]).clean("a demo") == "a demo"


BODIES = {
    "a message": {"errors": [{"message": f"bad {CREDENTIAL}", "path": [CREDENTIAL, 1]}]},
    "a value": {"data": {"rows": [{"id": CREDENTIAL, "value": 1.5}]}},
    "a key": {"data": {CREDENTIAL: [1, True, None]}},
    "Base64": {"data": FORMS["Base64"]},
    "a nested text": {"data": json.dumps({"text": CREDENTIAL})},
}


@pytest.mark.parametrize("content", BODIES.values(), ids=BODIES)
def test_a_body_is_cleaned_before_it_is_read(content: object) -> None:
    """Whatever a body says back, and wherever: what it means is the same but for the credential."""
    body = json.dumps(content).encode()
    cleaned = known().clean_json(body)
    assert b"wraps" not in cleaned
    read = json.dumps(json.loads(cleaned))
    assert "<secret>" in read
    assert read.count('"') >= json.dumps(content).count('"') - 8


def test_a_body_cannot_hide_a_credential_behind_escapes() -> None:
    """Letters as escapes are the same letters."""
    text = "".join(f"\\u{ord(letter):04x}" for letter in CREDENTIAL)
    assert known().clean_json(f'{{"data": "{text}"}}'.encode()) == b'{"data": "<secret>"}'
    half = CREDENTIAL[:5].replace('"', '\\"') + "".join(f"\\u{ord(letter):04X}" for letter in CREDENTIAL[5:])
    assert known().clean_json(f'{{"data": "{half}"}}'.encode()) == b'{"data": "<secret>"}'


def _in_capitals(text: str) -> str:
    """JSON's escapes as .NET and Java write them: of all that is not ASCII, of quotes and of plus signs."""
    escapes = re.sub(r"\\u[0-9a-f]{4}", lambda code: "\\u" + code[0][2:].upper(), json.dumps(text)[1:-1])
    return escapes.replace('\\"', "\\u0022").replace("+", "\\u002B")


@pytest.mark.parametrize(
    "credential", ["grüße-aus-köln", "key-😀-key-of-all", 'a\\b"c+d/ü-credential', "ключ-от-всего"]
)
@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "cut"])
def test_escapes_in_capitals_hide_nothing(credential: str, levels: int, is_whole: bool) -> None:
    """Letters beyond ASCII, and others, may be escaped in many ways, in JSON and in the JSON that a text of it is."""
    censor = Censor()
    censor.add(credential + "-and-the-rest-of-it")
    said = _in_capitals(credential + ("-and-the-rest-of-it" if is_whole else "-and-"))
    if levels == 2:
        said = json.dumps(said)[1:-1]
    assert json.loads(censor.clean_json(f'{{"data": "so: {said}!"}}'.encode())) == {"data": "so: <secret>!"}


def test_a_text_with_escapes_is_cleaned() -> None:
    """What is quoted of JSON, such as a header or a message."""
    censor = Censor()
    censor.add("grüße-aus-köln")
    assert censor.clean('{"a": "gr\\u00FC\\u00DFe-aus-k\\u00F6ln"}') == '{"a": "<secret>"}'
    fields = {"x": '{"a": "gr\\u00FC\\u00DFe-aus-k\\u00F6ln"}'}
    assert censor.clean_fields(fields) == {"x": '{"a": "<secret>"}'}
    assert censor.clean('{"a": "k\\u00F6ln"}') == '{"a": "k\\u00F6ln"}'


def test_a_body_without_a_credential_stays_as_it_is() -> None:
    """Nothing is made of a body that says nothing back, with or without escapes; numbers are never touched."""
    body = b'{"data": {"\\u0041": "\\u003cb\\u003e", "n": 12345678901}}'
    assert known().clean_json(body) is body
    secret = Secret(inline="12345678901")
    secret.reveal()
    assert Censor([secret]).clean_json(body) == body


def test_a_hostile_body_is_cleaned_in_time() -> None:
    """A hundred kilobytes of escapes, or of text without an end, take no long time and do not overflow."""
    secret = json.dumps(CREDENTIAL).encode()
    for part in (b'\\"', b"\\u0041", b"\\u00FCa", b"\\\\u00FC", b"\\\\", b"a", b'"",'):
        for end in (b'"]', b""):
            body = b"[" + secret + b',"' + part * (2**17 // len(part)) + end
            assert b"wraps" not in known().clean_json(body)


SAID: dict[str, bytes] = {
    "escapes in one text": b'{"x": "\\u0041' + b"\\nab" * 2**15 + b'"}',
    "short texts": b'["many-are-said"' + b',""' * 2**14 + b"]",
    "short texts with escapes": b'["many-are-said"' + b',"\\n"' * 2**14 + b"]",
    "short texts with letters as escapes": b'["many-are-said"' + b',"\\u0041"' * 2**13 + b"]",
    "one text that says it again and again": b'["' + b"many-are-said, " * 2**16 + b'"]',
    "a long text beyond ASCII": b'["many-are-said' + "é".encode() * 2**17 + b'"]',
}


@pytest.mark.parametrize("body", SAID.values(), ids=SAID)
def test_a_body_is_cleaned_in_little_memory(body: bytes) -> None:
    """An answer of the allowed size does not become many times as much while it is searched, whatever is in it."""
    censor = Censor()
    censor.add("many-are-said")
    tracemalloc.start()
    try:
        cleaned = censor.clean_json(body)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert b"many-are-said" not in cleaned
    assert json.loads(cleaned) == json.loads(body.replace(b"many-are-said", b"<secret>"))
    assert peak_bytes < 6 * len(body)


def test_a_clean_text_is_passed_over_whatever_is_escaped_in_it() -> None:
    """Very many texts with a line end, and one with a credential, take about as long as texts without escapes."""
    censor = Censor()
    for number in range(6):
        censor.add(f"credential-{number}-{secrets.token_urlsafe(20)}")
    censor.add("many-are-said")
    escaped, plain = (b'["many-are-said"' + text * 10_000 + b"]" for text in (b',"\\n"', b',"nn"'))
    assert least_seconds(lambda: censor.clean_json(escaped)) < 5 * least_seconds(lambda: censor.clean_json(plain))


def test_a_lone_half_beside_a_credential_stays() -> None:
    """Half of a surrogate pair has no letter of its own: it stays the escape that it was."""
    censor = Censor()
    censor.add("many-are-said")
    assert censor.clean_json(b'["many-are-said \\ud83d"]') == b'["<secret> \\ud83d"]'


@pytest.mark.parametrize(
    "said",
    [
        "%7Etilde%21*%27%28%29%2F%3F%3A%40%26%3D%2B%24+abc%7E",
        "~tilde!*'()%2F%3F%3A%40%26%3D%2B%24%20abc~",
        "~tilde!*'()/?:@&=+$%20abc~",
        "~tilde%21%2A%27%28%29%2F%3F:@&=+$%20abc~",
    ],
    ids=["Java", "encodeURIComponent", "encodeURI", "Go"],
)
def test_a_credential_is_found_as_each_language_writes_it_in_urls(said: str) -> None:
    """Languages differ in which letters they leave as they are."""
    censor = Censor()
    censor.add("~tilde!*'()/?:@&=+$ abc~")
    assert censor.clean(f"https://api.example/?key={said}#x") == "https://api.example/?key=<secret>#x"
    lower = re.sub("%..", lambda code: code[0].lower(), said)
    assert censor.clean(f"https://api.example/?key={lower}#x") == "https://api.example/?key=<secret>#x"
