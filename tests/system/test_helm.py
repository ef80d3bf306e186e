"""The Helm chart, rendered by Helm 3: the objects of the kustomization, valid, and what its values change."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
import yaml

from tests.support.configurations import ROOT
from tests.support.go_programs import build_helm_3
from tests.support.manifests import KUBERNETES, faults, manifests, with_numbers_as_numbers

pytestmark = [pytest.mark.long, pytest.mark.timeout(2000)]  # the first build takes minutes

CHART: Final = ROOT / "deploy" / "helm" / "insights-exporter"
IMAGE: Final = "image.repository=insights-exporter"
EVERYTHING: Final = (
    *("serviceMonitor.enabled=true", "prometheusRule.enabled=true", "networkPolicy.enabled=true"),
    *("dashboards.enabled=true", "dashboards.namespace=monitoring"),
)
_OF_HELM: Final = (
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
)
_HASH: Final = re.compile(r"(insights-exporter-config)-[a-z0-9]{10}")

Objects: TypeAlias = Mapping[tuple[str, str], dict[str, Any]]
Render: TypeAlias = Callable[..., Objects]


@pytest.fixture(scope="module")
def helm() -> Path:
    return build_helm_3()


@pytest.fixture
def render(helm: Path) -> Render:
    """Renders the chart with these values, for a release of the chart's name."""

    def made(*values: str, texts: Sequence[str] = (), release: str = "insights-exporter") -> Objects:
        run = templated(helm, *values, texts=texts, release=release)
        assert run.returncode == 0, run.stderr
        found = [each for each in yaml.safe_load_all(run.stdout) if each]
        assert [fault for each in found for fault in faults(each)] == []
        return {(each["kind"], each["metadata"]["name"]): each for each in found}

    return made


def templated(
    helm: Path, *values: str, texts: Sequence[str] = (), release: str = "insights-exporter"
) -> subprocess.CompletedProcess[str]:
    sets = [*(f"--set={value}" for value in values), *(f"--set-string={value}" for value in texts)]
    # a Helm that is built without flags knows no version of Kubernetes
    command = [str(helm), "template", release, str(CHART), "--namespace=insights-exporter", "--kube-version=1.34.0"]
    return subprocess.run([*command, *sets], capture_output=True, text=True, check=False)


def comparable(each: dict[str, Any]) -> dict[str, Any]:
    """An object without the labels that every chart sets, without the hash that kustomize puts into a name, and without
    the annotation that does its work in a chart."""
    copied = json.loads(_HASH.sub(r"\1", json.dumps(each)))
    _drop(copied, _OF_HELM)
    if copied["kind"] == "ConfigMap":
        _drop(copied, ("app.kubernetes.io/name",))
    if copied["kind"] == "PrometheusRule":
        copied["spec"] = with_numbers_as_numbers(copied["spec"])
    return dict(copied)


def _drop(tree: Any, names: tuple[str, ...]) -> None:
    """Drops these keys and the hash of the configuration at any depth, and labels and annotations that become empty."""
    if isinstance(tree, list):
        for item in tree:
            _drop(item, names)
    if isinstance(tree, dict):
        for name in (*names, "checksum/config"):
            tree.pop(name, None)
        for key, value in list(tree.items()):
            _drop(value, names)
            if key in ("labels", "annotations") and not value:
                del tree[key]


def test_the_chart_makes_what_the_kustomization_makes(render: Render) -> None:
    """Object by object and key by key, but for the namespace, which Helm makes by itself."""
    wanted = [*manifests(KUBERNETES), *manifests(ROOT / "grafana" / "dashboards")]
    rendered = render(IMAGE, *EVERYTHING)
    by_name = {(each["kind"], each["metadata"]["name"]): each for each in map(comparable, rendered.values())}
    for each in map(comparable, wanted):
        if each["kind"] != "Namespace":
            assert by_name.pop((each["kind"], each["metadata"]["name"])) == each
    assert not by_name


def test_several_shards_are_the_example(render: Render) -> None:
    """`shards` makes the StatefulSet that the manifests give as an example."""
    made = comparable(render(IMAGE, "shards=3")["StatefulSet", "insights-exporter"])
    example = yaml.safe_load((KUBERNETES / "statefulset-shards.yaml").read_text())
    example["metadata"]["namespace"] = "insights-exporter"
    (container,) = example["spec"]["template"]["spec"]["containers"]
    container["image"] = made["spec"]["template"]["spec"]["containers"][0]["image"]
    assert made == comparable(example)


def test_without_an_image_it_says_what_to_do(helm: Path) -> None:
    """There is no published image; the chart says so in place of a pod that cannot start."""
    run = templated(helm)
    assert run.returncode == 1
    assert "image.repository is missing: there is no published image yet" in run.stderr


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("shards=0", "shards"),
        ("shard=2", "shard"),
        ("serviceMonitor.enable=true", "enable"),
        ("service.port=http", "port"),
        ("image.digest=abc", "digest"),
        ("existingSecret.env[0].name=SHOP_TOKEN", "key"),
        ("existingSecret.env[0]=SHOP_TOKEN", "env"),
    ],
)
def test_a_wrong_value_is_refused(value: str, wrong: str, helm: Path) -> None:
    """A misspelt key and a value of another type are named."""
    run = templated(helm, IMAGE, value)
    assert run.returncode == 1
    assert wrong in run.stderr


def test_values_do_what_they_say(render: Render) -> None:
    """A release of another name has objects of its own and the same job; other credentials and configurations reach
    the pod; what is empty leaves nothing behind."""
    made = render(
        *(
            IMAGE,
            "serviceMonitor.enabled=true",
            "image.tag=2.0",
            "existingSecret.name=",
            "extraArgs={--log.level=debug}",
        ),
        *("config.sources[0].name=a", "config.sources[0].url=https://a.example/graphql", "podLabels.team=b"),
        release="acme",
    )
    pod = made["Deployment", "acme-insights-exporter"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "insights-exporter:2.0"
    assert container["args"][-1] == "--log.level=debug"
    assert "env" not in container
    assert [volume["name"] for volume in pod["spec"]["volumes"]] == ["config"]
    assert pod["metadata"]["labels"]["team"] == "b"
    monitor = made["ServiceMonitor", "acme-insights-exporter"]["spec"]
    service = made["Service", "acme-insights-exporter"]
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "insights-exporter"
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    config = made["ConfigMap", "acme-insights-exporter-config"]["data"]["config.yaml"]
    assert yaml.safe_load(config) == {"sources": [{"name": "a", "url": "https://a.example/graphql"}]}
    digest = f"sha256:{'0' * 64}"
    pinned = render(IMAGE, f"image.digest={digest}")["Deployment", "insights-exporter"]
    assert pinned["spec"]["template"]["spec"]["containers"][0]["image"] == f"insights-exporter@{digest}"


@pytest.mark.parametrize(
    "env",
    [
        ("existingSecret.env[0].name=SHOP_TOKEN", "existingSecret.env[0].key=token"),
        ("existingSecret.env.SHOP_TOKEN=token",),
    ],
    ids=["list", "mapping"],
)
def test_the_secret_of_another_api_needs_no_key_of_choreo(env: tuple[str, ...], render: Render) -> None:
    """The pod takes the variables that you name, and no key that your Secret lacks; those of `extraEnv` follow."""
    own = ("existingSecret.name=shop", "existingSecret.files={certificate}", *env)
    made = render(IMAGE, *own, "extraEnv[0].name=A", "extraEnv[0].value=b")
    pod = made["Deployment", "insights-exporter"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["env"] == [
        {"name": "SHOP_TOKEN", "valueFrom": {"secretKeyRef": {"name": "shop", "key": "token"}}},
        {"name": "A", "value": "b"},
    ]
    assert pod["volumes"][1]["secret"]["items"] == [{"key": "certificate", "path": "certificate"}]


def test_your_relabelings_come_last(render: Render) -> None:
    """Relabelings of the values are added to those that make `instance` stable."""
    monitor = "ServiceMonitor", "insights-exporter"
    (shipped,) = render(IMAGE, "serviceMonitor.enabled=true")[monitor]["spec"]["endpoints"]
    own = "serviceMonitor.relabelings[0]"
    values = (IMAGE, "serviceMonitor.enabled=true", f"{own}.targetLabel=team", f"{own}.replacement=b")
    (endpoint,) = render(*values)[monitor]["spec"]["endpoints"]
    assert endpoint["relabelings"] == [*shipped["relabelings"], {"targetLabel": "team", "replacement": "b"}]


def test_the_chart_is_linted(helm: Path) -> None:
    """`helm lint --strict` has nothing against it."""
    run = subprocess.run(
        [helm, "lint", "--strict", CHART, f"--set={IMAGE}"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout


def test_the_notes_name_the_keys_of_the_secret(helm: Path, tmp_path: Path) -> None:
    """Whoever creates the Secret as they say has every key that the pod asks for."""
    chart = shutil.copytree(CHART, tmp_path / "chart")
    notes = (chart / "templates" / "NOTES.txt").read_text()  # `helm template` prints none
    (chart / "templates" / "notes.yaml").write_text(
        f'{{{{ define "notes" }}}}{notes}{{{{ end }}}}'
        'kind: ConfigMap\nmetadata: {name: notes}\ndata: {notes: {{ include "notes" . | quote }}}\n'
    )
    command = [str(helm), "template", "acme", str(chart), "--kube-version=1.34.0", f"--set={IMAGE}"]
    mapping = ("--set-json", 'existingSecret.env={"A": "first", "B": null}')
    for more, keys in (
        ((), ["consumer-key", "consumer-secret", "org-handle", "org-id"]),
        (mapping, ["consumer-key", "consumer-secret", "first"]),
    ):
        run = subprocess.run(
            [*command, "--show-only=templates/notes.yaml", *more], capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        assert re.findall(r"--from-literal=(\S*)=…", run.stdout) == keys


@pytest.mark.parametrize("name", ["nameOverride", "fullnameOverride"])
def test_the_job_is_the_same_by_any_name(name: str, render: Render) -> None:
    """The alerts know the exporter by it. A StatefulSet's label has room for what it puts behind a long name."""
    made = render(IMAGE, "serviceMonitor.enabled=true", "shards=2", f"{name}={'x' * 70}", release="2024")
    by_kind = {kind: each for (kind, _), each in made.items()}
    job = by_kind["ServiceMonitor"]["spec"]["jobLabel"]
    assert by_kind["Service"]["metadata"]["labels"][job] == "insights-exporter"
    assert by_kind["StatefulSet"]["metadata"]["labels"]["app.kubernetes.io/instance"] == "2024"
    assert len(by_kind["StatefulSet"]["metadata"]["name"]) == 52


def test_names_that_look_like_numbers_are_text(render: Render) -> None:
    """A Secret, its keys and a namespace may be digits alone; a path of the metrics is scraped."""
    secret = ("name=1", "files={2}", "env[0].name=A", "env[0].key=true")
    texts = (*(f"existingSecret.{each}" for each in secret), "networkPolicy.prometheusNamespace=3")
    made = render(
        *(IMAGE, "networkPolicy.enabled=true", "serviceMonitor.enabled=true", "serviceMonitor.path=/x/metrics"),
        texts=texts,
    )
    assert made["ServiceMonitor", "insights-exporter"]["spec"]["endpoints"][0]["path"] == "/x/metrics"
    volumes = made["Deployment", "insights-exporter"]["spec"]["template"]["spec"]["volumes"]
    assert volumes[1]["secret"]["items"] == [{"key": "2", "path": "2"}]
