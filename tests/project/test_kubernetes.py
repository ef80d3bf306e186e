"""The manifests: valid by the published schemas, restricted, and of one piece with the rules, dashboards and image."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from exporter import __version__
from exporter.daemon.check import check
from exporter.simulator import Simulator
from tests.conftest import StartExporter
from tests.support.configurations import ROOT, choreo_environ
from tests.support.manifests import KUBERNETES, faults, manifests, with_numbers_as_numbers
from tests.support.processes import program

DASHBOARDS = ROOT / "grafana" / "dashboards"
# What the Prometheus Operator itself makes of a ServiceMonitor, before the relabelings of its endpoint.
RELABELLING_BY_THE_OPERATOR = [
    {"source_labels": [f"__meta_kubernetes_{name}"], "target_label": label}
    for name, label in (
        ("namespace", "namespace"),
        ("service_name", "service"),
        ("pod_name", "pod"),
        ("pod_container_name", "container"),
        ("service_label_app_kubernetes_io_name", "job"),
    )
]


@pytest.fixture(scope="module")
def objects() -> dict[tuple[str, str], dict[str, Any]]:
    """The manifests of the exporter, by kind and name."""
    return {(each["kind"], each["metadata"]["name"]): each for each in manifests(KUBERNETES)}


def test_every_manifest_is_valid(objects: Mapping[tuple[str, str], dict[str, Any]]) -> None:
    """Kubernetes and the Prometheus Operator would take them: every key exists, and has what belongs there."""
    assert len(objects) >= 11
    assert [fault for each in objects.values() for fault in faults(each)] == []


def test_the_schemas_find_faults(objects: Mapping[tuple[str, str], dict[str, Any]]) -> None:
    """A misspelt key, a missing one and a value of another type are found at any depth."""
    deployment = json.dumps(objects["Deployment", "insights-exporter"])
    monitor = json.dumps(objects["ServiceMonitor", "insights-exporter"])
    rule = json.dumps(objects["PrometheusRule", "insights-exporter-exporter"])
    for broken in (
        deployment.replace("readOnlyRootFilesystem", "readOnlyRootFileSystem"),
        deployment.replace('"replicas": 1', '"replicas": "one"'),
        deployment.replace('"containers"', '"container"'),
        monitor.replace("honorLabels", "honourLabels"),
        rule.replace('"expr"', '"expression"'),
        rule.replace('"for": "5m"', '"for": "5 minutes"'),
    ):
        assert faults(json.loads(broken))


def test_the_pod_is_restricted(objects: Mapping[tuple[str, str], dict[str, Any]]) -> None:
    """What the pod security standard "restricted" asks for, and a root file system that nobody can write to."""
    namespace = objects["Namespace", "insights-exporter"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = objects["Deployment", "insights-exporter"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert {"hostNetwork", "hostPID", "hostIPC"}.isdisjoint(pod)
    assert all(set(volume) <= {"name", "configMap", "secret"} for volume in pod["volumes"])
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert container["resources"]["limits"]["memory"]


def test_one_replica_that_is_never_two(objects: Mapping[tuple[str, str], dict[str, Any]]) -> None:
    """A roll-out ends the old pod before the new one polls."""
    spec = objects["Deployment", "insights-exporter"]["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_the_example_of_shards_is_the_same_pod(objects: Mapping[tuple[str, str], dict[str, Any]]) -> None:
    """Sharded or not, the pod is the same but for its shard, and there are as many pods as shards."""
    example = yaml.safe_load((KUBERNETES / "statefulset-shards.yaml").read_text())
    assert faults(example) == []
    (deployment,) = (
        each
        for each in yaml.safe_load_all((KUBERNETES / "deployment.yaml").read_text())
        if each["kind"] == "Deployment"
    )
    spec, pod = example["spec"], deployment["spec"]["template"]
    pod["spec"]["containers"][0]["args"] += ["--shard=auto", f"--shards={spec['replicas']}"]
    assert spec["template"] == pod
    assert spec["serviceName"] == objects["Service", "insights-exporter"]["metadata"]["name"]


def test_what_belongs_together_has_one_name(objects: Mapping[tuple[str, str], dict[str, Any]]) -> None:
    """Service, monitor and policy find the pod; the job is the one that the alerts name; the image has our version."""
    deployment, service = objects["Deployment", "insights-exporter"], objects["Service", "insights-exporter"]
    monitor = objects["ServiceMonitor", "insights-exporter"]
    policy = objects["NetworkPolicy", "insights-exporter"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for selector in (
        deployment["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        policy["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["honorLabels"] is True
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    assert f'job="{service["metadata"]["name"]}"' in json.dumps(list(objects.values())).replace('\\"', '"')
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"insights-exporter:{__version__}"
    assert container["ports"] == [{"name": "metrics", "containerPort": 10093}]
    config = deployment["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"]
    assert ("ConfigMap", config) in objects
    assert not any(kind == "Secret" for kind, _ in objects)


def target(pod: str, address: str, controller: str) -> dict[str, Any]:
    """A target as Prometheus discovers it behind the Service, for a pod of that kind of controller."""
    meta = {
        "namespace": "insights-exporter",
        "service_name": "insights-exporter",
        "service_label_app_kubernetes_io_name": "insights-exporter",
        "pod_name": pod,
        "pod_container_name": "insights-exporter",
        "pod_controller_kind": controller,
    }
    return {"targets": [address], "labels": {f"__meta_kubernetes_{name}": value for name, value in meta.items()}}


def labels_after_relabelling(
    relabelings: list[dict[str, Any]], targets: list[dict[str, Any]], folder: Path
) -> dict[str, dict[str, str]]:
    """The labels of the series of each target, by its address, after the relabelings of a ServiceMonitor."""
    ours = [{re.sub("[A-Z]", lambda a: f"_{a[0].lower()}", key): to for key, to in one.items()} for one in relabelings]
    job = {
        "job_name": "discovered",
        "static_configs": targets,
        "relabel_configs": [*RELABELLING_BY_THE_OPERATOR, *ours],
    }
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump({"scrape_configs": [job]}))
    command = [program("promtool"), "check", "service-discovery", "--timeout=2s", str(file), "discovered"]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    return {
        each["labels"]["__address__"]: {
            name: value for name, value in each["labels"].items() if not name.startswith("__")
        }
        for each in json.loads(run.stdout)
    }


def test_a_new_pod_continues_the_series(objects: Mapping[tuple[str, str], dict[str, Any]], tmp_path: Path) -> None:
    """A pod of the Deployment with a new name and address has the labels of the one before it, so that `increase` sees
    one counter; each shard of a StatefulSet has its own, wherever it runs."""
    (endpoint,) = objects["ServiceMonitor", "insights-exporter"]["spec"]["endpoints"]
    name = "insights-exporter"
    targets = {
        "10.0.0.1:10093": (f"{name}-6d9f-abcde", "ReplicaSet", name),
        "10.0.0.2:10093": (f"{name}-77c8-fghij", "ReplicaSet", name),
        "10.0.0.3:10093": (f"{name}-0", "StatefulSet", f"{name}-0"),
        "10.0.0.4:10093": (f"{name}-1", "StatefulSet", f"{name}-1"),
        "10.0.0.5:10093": (f"{name}-1", "StatefulSet", f"{name}-1"),
    }
    discovered = [target(pod, address, controller) for address, (pod, controller, _) in targets.items()]
    common = {"namespace": name, "service": name, "container": name, "job": name}
    wanted = {address: common | {"instance": instance} for address, (_, _, instance) in targets.items()}
    assert labels_after_relabelling(endpoint["relabelings"], discovered, tmp_path) == wanted


def test_the_rules_are_those_of_prometheus(objects: Mapping[tuple[str, str], dict[str, Any]]) -> None:
    """Each rule file is a PrometheusRule with the same groups; if not: `make manifests`."""
    for file in sorted((ROOT / "prometheus" / "rules").glob("*.yaml")):
        made = objects["PrometheusRule", f"insights-exporter-{file.stem}"]
        assert with_numbers_as_numbers(made["spec"]) == with_numbers_as_numbers(yaml.safe_load(file.read_text()))
    command = [sys.executable, str(ROOT / "scripts" / "prometheus_rules.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0


def test_every_dashboard_is_a_config_map() -> None:
    """Grafana's sidecar finds all of them, each small enough for `kubectl apply`."""
    made = manifests(DASHBOARDS)
    assert [fault for each in made for fault in faults(each)] == []
    texts = {name: text for each in made for name, text in each["data"].items()}
    assert texts == {file.name: file.read_text() for file in DASHBOARDS.glob("*.json")}
    assert all(each["metadata"]["labels"] == {"grafana_dashboard": "1"} for each in made)
    assert max(len(text) for text in texts.values()) < 250_000  # the annotation of `kubectl apply` ends at 256 KiB


def mounted(objects: Mapping[tuple[str, str], dict[str, Any]], credentials: Path, insights: Simulator) -> Iterator[str]:
    """The configuration as the pod has it, for credentials in that folder and the simulated API."""
    for (kind, name), each in objects.items():
        if kind == "ConfigMap" and name.startswith("insights-exporter-config"):
            yield (
                each["data"]["config.yaml"]
                .replace("/run/secrets/choreo", str(credentials))
                .replace("https://choreocontrolplane.choreo.dev/93tu/insights/1.0.0/query-api", insights.url)
                .replace("https://sts.choreo.dev/oauth2/token", insights.token_url)
            )


def test_the_pods_configuration_works(
    objects: Mapping[tuple[str, str], dict[str, Any]],
    insights: Simulator,
    start_exporter: StartExporter,
    tmp_path: Path,
) -> None:
    """With the Secret's keys as files and variables, the exporter starts, polls and publishes."""
    environ = choreo_environ(insights)
    pod = objects["Deployment", "insights-exporter"]["spec"]["template"]["spec"]
    secret = {
        "consumer-key": environ["CHOREO_CONSUMER_KEY"],
        "consumer-secret": environ["CHOREO_CONSUMER_SECRET"],
        "org-handle": environ["CHOREO_ORG_HANDLE"],
        "org-id": environ["CHOREO_ORG_ID"],
    }
    for item in pod["volumes"][1]["secret"]["items"]:
        (tmp_path / item["path"]).write_text(secret[item["key"]])
    variables = {each["name"]: secret[each["valueFrom"]["secretKeyRef"]["key"]] for each in pod["containers"][0]["env"]}
    (config,) = mounted(objects, tmp_path, insights)
    (tmp_path / "checked.yaml").write_text(config)
    assert check(tmp_path / "checked.yaml", variables).unmet == ()
    arguments = [each for each in pod["containers"][0]["args"] if not each.startswith("--config.file")]
    exporter = start_exporter(insights, "", *arguments, source=config).wait_until_ready()
    assert exporter.value("choreo_environment_info")


def test_the_chart_has_its_values_explained() -> None:
    """README.md and the schema of the Helm chart are those of its values.yaml; if not: `make manifests`. The values
    themselves are valid."""
    command = [sys.executable, str(ROOT / "scripts" / "helm_values.py"), "--check"]
    assert subprocess.run(command, check=False).returncode == 0
    chart = ROOT / "deploy" / "helm" / "insights-exporter"
    values = yaml.safe_load((chart / "values.yaml").read_text())
    schema = jsonschema.Draft7Validator(json.loads((chart / "values.schema.json").read_text()))
    schema.validate(values)
    for env in ([], [{"name": "SHOP_TOKEN", "key": "token"}], {"SHOP_TOKEN": "token"}):
        schema.validate({"existingSecret": {"env": env}})
    for wrong in (["SHOP_TOKEN"], [{"name": "SHOP_TOKEN"}], {"SHOP_TOKEN": 1}, "SHOP_TOKEN"):
        assert not schema.is_valid({"existingSecret": {"env": wrong}})
    assert yaml.safe_load((chart / "Chart.yaml").read_text())["appVersion"] == __version__
