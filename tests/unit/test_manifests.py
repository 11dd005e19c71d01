"""The Kubernetes manifests against the client's own models: no key that the API does not know, none that lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2] / "containers"
FILES = sorted(
    path for path in (ROOT / "kubernetes").rglob("*.yaml") if path.parent.name != "airflow" or path.stem == "nodes"
)
OBJECTS = [file for file in FILES if file.name != "kustomization.yaml"]


def objects(file: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(file.read_text()) if each]


def everything() -> Iterator[dict[str, Any]]:
    return (each for file in OBJECTS for each in objects(file))


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [each for each in everything() if each["kind"] == kind]


def faults(value: Any, kind: str, where: str) -> Iterator[str]:
    """What a value has that its model in the Kubernetes client has not, and the other way round."""
    from kubernetes.client import models

    if listed := re.fullmatch(r"list\[(.+)\]", kind):
        if not isinstance(value, list):
            yield f"{where}: expected a list"
            return
        for number, each in enumerate(value):
            yield from faults(each, listed[1], f"{where}[{number}]")
    elif mapped := re.fullmatch(r"dict[\[(]str, (.+)[\])]", kind):
        for name, each in value.items():
            yield from faults(each, mapped[1], f"{where}.{name}")
    elif model := getattr(models, kind, None):
        keys = {key: model.openapi_types[name] for name, key in model.attribute_map.items()}
        for key, each in value.items():
            if key in keys:
                yield from faults(each, keys[key], f"{where}.{key}")
            else:
                yield f"{where}: no key {key}"
        try:
            model(**{name: value.get(key) for name, key in model.attribute_map.items()})
        except ValueError as lacks:
            yield f"{where}: {lacks}"
    elif not isinstance(value, {"str": str, "int": int, "bool": bool, "object": object, "datetime": str}[kind]):
        yield f"{where}: {value!r} is no {kind}"


def model_of(manifest: dict[str, Any]) -> str:
    version = manifest["apiVersion"].rpartition("/")[2]
    return f"{version.capitalize()}{manifest['kind']}"


@pytest.mark.parametrize("file", OBJECTS, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_manifest_is_one_that_the_api_knows(file: Path) -> None:
    for manifest in objects(file):
        assert not list(faults(manifest, model_of(manifest), manifest["kind"]))


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ({"spec": {"hard": {"pods": 50}}}, "ResourceQuota.spec.hard.pods: 50 is no str"),
        ({"spec": {"hart": {}}}, "ResourceQuota.spec: no key hart"),
    ],
)
def test_a_broken_manifest_is_found(broken: dict[str, Any], expected: str) -> None:
    manifest = {"apiVersion": "v1", "kind": "ResourceQuota", **broken}
    assert expected in list(faults(manifest, "V1ResourceQuota", "ResourceQuota"))


@pytest.mark.parametrize("folder", ["team", "minio"])
def test_a_kustomization_names_every_file_beside_it(folder: str) -> None:
    home = ROOT / "kubernetes" / folder
    (named,) = objects(home / "kustomization.yaml")
    beside = {file.name for file in home.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(named["resources"]) == beside
    assert all((home / f"{env}.example").is_file() for secret in named["secretGenerator"] for env in secret["envs"])


def test_no_secret_is_in_the_repository() -> None:
    assert not of_kind("Secret")
    for file in (ROOT / "kubernetes").rglob("*.env.example"):
        pairs = dict(line.split("=", 1) for line in file.read_text().splitlines())
        assert not [name for name, value in pairs.items() if value and re.search("SECRET|PASSWORD|ACCESS_KEY", name)]


def rights_of(name: str) -> dict[str, set[str]]:
    (role,) = (role for role in of_kind("Role") if role["metadata"]["name"] == name)
    return {resource: set(rule["verbs"]) for rule in role["rules"] for resource in rule["resources"]}


def test_airflow_may_do_what_its_operators_ask_for_and_no_more() -> None:
    rights = rights_of("nightshift-launcher")
    assert set(rights) == {"pods", "pods/log", "events", "services"}
    assert rights["pods"] == {"create", "get", "list", "watch", "patch", "delete"}
    assert rights["services"] == {"create", "get", "list", "delete"}
    everyones = [subject["name"] for binding in of_kind("RoleBinding") for subject in binding["subjects"]]
    assert "nightshift-worker" not in everyones


def test_spark_may_start_and_end_pods_and_no_more() -> None:
    assert set(rights_of("nightshift-spark")) == {"pods"}
    (binding,) = (each for each in of_kind("RoleBinding") if each["roleRef"]["name"] == "nightshift-spark")
    assert [subject["name"] for subject in binding["subjects"]] == ["nightshift-spark"]


def test_every_pod_of_ours_fulfils_the_standard_that_its_namespace_enforces() -> None:
    for stateful in of_kind("StatefulSet"):
        spec = stateful["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    for namespace in of_kind("Namespace"):
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_network_lets_a_gang_meet_at_its_own_ports() -> None:
    from plugins.gang.layout import PORT

    for policy in of_kind("NetworkPolicy"):
        for rule in [*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])]:
            labels = [
                (peer.get("podSelector") or {}).get("matchLabels", {})
                for each in ("from", "to")
                for peer in rule.get(each, [])
            ]
            if any(each.get("app.kubernetes.io/component") == "train" for each in labels):
                assert [port["port"] for port in rule["ports"]] == [PORT, PORT + 1]


def test_the_network_lets_a_step_and_its_executors_call_each_other() -> None:
    from tasks.config.spark import PART
    from tasks.spark.executors import BLOCKS_PORT, DRIVER_PORT

    policies = {
        each["metadata"]["name"]: each["spec"]
        for each in of_kind("NetworkPolicy")
        if each["metadata"]["name"].startswith("nightshift-spark")
    }
    meeting = policies["nightshift-spark"]
    for rule in (*meeting["ingress"], *meeting["egress"]):
        assert [port["port"] for port in rule["ports"]] == [DRIVER_PORT, BLOCKS_PORT]
    assert meeting["podSelector"]["matchExpressions"] == [{"key": PART, "operator": "Exists"}]
    # The cluster's API is for the step alone.
    assert policies["nightshift-spark-driver"]["podSelector"]["matchLabels"] == {PART: "driver"}


@pytest.mark.parametrize("image", ["image", "pipeline", "trainer", "trainer-gpu", "spark"])
def test_every_library_of_an_image_is_locked_by_its_hash(image: str) -> None:
    text = (ROOT / image / "requirements.txt").read_text()
    pinned = re.findall(r"^([a-z0-9][a-z0-9._\[\],-]*)==(\S+)", text, re.MULTILINE)
    assert pinned
    assert text.count("--hash=sha256:") >= len(pinned)
    assert not re.findall(r"index-url|find-links|[a-z]+://", text)


def test_the_images_have_the_versions_of_the_projects_own_lock() -> None:
    """The id of a training is made of them: an image of other versions would train everything anew."""

    def versions(file: Path) -> set[tuple[str, str]]:
        return set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", file.read_text(), re.MULTILINE))

    own = versions(ROOT.parent / "requirements.txt")
    names = {name for name, _ in own}
    for image in ("pipeline", "trainer", "trainer-gpu", "spark"):
        other = {pin for pin in versions(ROOT / image / "requirements.txt") - own if pin[0] in names}
        assert not other, image


def test_the_gpu_image_brings_the_cuda_libraries() -> None:
    pinned = re.findall(r"^([a-z0-9-]+)", (ROOT / "trainer-gpu" / "requirements.txt").read_text(), re.MULTILINE)
    assert {"tensorflow", "nvidia-cudnn-cu12", "nvidia-nccl-cu12"} <= set(pinned)
    assert "tensorflow-cpu" not in pinned
