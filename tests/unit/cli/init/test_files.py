"""The configuration that `init` writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from exporter.cli.init.files import Account, Found, SecretPlace, config_text
from exporter.daemon.check import check
from exporter.model.secret import Secret

ACCOUNT = Account(
    "https://api.example/graphql", "https://sts.example/token", "https://sts.example/revoke", "acme", "key",
    Secret(inline="s3cret"),
)  # fmt: skip
FOUND = Found(
    "o-1", "Acme", (("Development", "CLOUD"), ("On our own", "ON_PREM"), ("Shop", "ON_PREM")), ("carbon.super",)
)
IN_THE_ENVIRONMENT = SecretPlace()


def text(account: Account = ACCOUNT, found: Found = FOUND, place: SecretPlace = IN_THE_ENVIRONMENT) -> str:
    return config_text(account, found, place, "config.schema.json")


def test_it_runs_with_the_secret_in_the_environment(tmp_path: Path) -> None:
    """Everything that was found is in it, the secret is not, and it says what it needs."""
    file = tmp_path / "c.yaml"
    file.write_text(text())
    found = check(file, {"CHOREO_CONSUMER_SECRET": "s3cret"})
    (source,) = found.plan.sources
    assert found.unmet == ()
    assert source.oauth2 is not None
    assert source.oauth2.key_secret.reveal() == "s3cret"
    assert source.oauth2.id_secret.reveal() == "key"
    assert (source.url, source.oauth2.token_url) == (ACCOUNT.url, ACCOUNT.token_url)
    assert source.oauth2.revocation_url == ACCOUNT.revocation_url
    assert source.oauth2.endpoint_params == {"orgHandle": "acme"}
    assert (source.labels, source.values) == ({"organization": "acme"}, {"org_id": "o-1"})
    assert source.schema_ == "choreo"
    assert len(found.plan.queries) > 10
    assert "# Needs:     CHOREO_CONSUMER_SECRET in the environment\n" in text()
    assert "s3cret" not in text()
    assert text().startswith("# yaml-language-server: $schema=config.schema.json\n")


def test_a_secret_in_a_file_needs_no_variable(tmp_path: Path) -> None:
    """The file is named, beside the configuration or by its whole path."""
    place = SecretPlace(file=Path("my secret: file"))
    (tmp_path / "my secret: file").write_text("s3cret\n")
    file = tmp_path / "c.yaml"
    file.write_text(text(place=place))
    (source,) = check(file, {}).plan.sources
    assert source.oauth2 is not None
    assert source.oauth2.key_secret.reveal() == "s3cret"
    assert "CHOREO_CONSUMER_SECRET" not in text(place=place)
    assert "# Needs" not in text(place=place)


def test_names_cannot_break_out_of_their_places() -> None:
    """Whatever an organization is called, and whatever stands in its handle, is read as that text."""
    nasty = 'a"b: {c}\n# ${HOME} $${X}'
    account = Account(ACCOUNT.url, ACCOUNT.token_url, ACCOUNT.revocation_url, nasty, nasty, ACCOUNT.secret)
    found = Found(nasty, nasty, FOUND.environments, FOUND.tenants)
    read = yaml.safe_load(text(account, found))["sources"][0]
    written = nasty.replace("${", "$${")
    assert read["labels"]["organization"] == written
    assert read["oauth2"]["client_id"] == written
    assert read["oauth2"]["endpoint_params"]["orgHandle"] == written
    assert read["values"]["org_id"] == written


@pytest.mark.parametrize(
    ("environments", "said"),
    [
        (FOUND.environments, "by country; for on-premise environments: On our own, Shop\n"),
        (FOUND.environments[:1], "by country; for on-premise environments\n"),
    ],
)
def test_groups_that_need_more_are_explained(environments: tuple[tuple[str, str], ...], said: str) -> None:
    """What only on-premise environments have names those that there are."""
    assert said in text(found=Found("o-1", "Acme", environments, ()))
