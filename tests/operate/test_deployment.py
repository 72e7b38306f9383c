"""The files of deploy/ and what docs say of them: names that exist, and forms that their tools take."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness import http, running_server, upload
from otarium import settings
from otarium.domain.roles import ROLE_NAMES
from otarium.domain.sources import SourceState

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/otarium.json").read_text())
RULES = yaml.safe_load((DEPLOY / "prometheus/otarium.rules.yml").read_text())
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
MANIFESTS = sorted((DEPLOY / "kubernetes").rglob("*.yaml"))
JOBS = {"renewal", "leave-tuf", "feed", "source-refresh", "checkpoint", "sweep", "staging", "orphans"}
GROUPS = (
    settings.StorageSettings,
    settings.HttpSettings,
    settings.UploadSettings,
    settings.MetadataSettings,
    settings.SourceSettings,
    settings.LogSettings,
)
SETTINGS = {field.description for group in GROUPS for field in group.model_fields.values()}


def expressions() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (alert["expr"] for alert in ALERTS)


def names_of(text: str) -> set[str]:
    """Of metrics, but not of labels and legends."""
    return set(re.findall(r"\botarium_\w+", re.sub(r'"[^"]*"', "", text)))


@pytest.fixture(scope="module")
def exposed(tmp_path_factory) -> set[str]:
    """Every name that a server tells Prometheus."""
    directory = tmp_path_factory.mktemp("deployment")
    copied = {"OTARIUM_OFFLOAD_URL": f"file://{directory}/copy"}
    with running_server(directory / "data", env=copied) as server:
        upload(server, "measured", "1", b"x")
        deadline = time.monotonic() + 15
        while True:
            text = http(server, "GET", "/metrics", token=None).body.decode()
            if "otarium_job_last_success_timestamp_seconds{" in text:
                break
            assert time.monotonic() < deadline, "no job was told"
            time.sleep(0.1)
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    parts = {f"{name}_{part}" for name in kinds for part in ("bucket", "sum", "count")}
    return set(kinds) | {name for name in parts if re.search(rf"^{name}[ {{]", text, re.MULTILINE)}


def test_dashboard_and_alerts_name_metrics_that_exist(exposed: set[str]) -> None:
    named = set().union(*map(names_of, expressions()))
    assert len(named) > 20 and named <= exposed, named - exposed


def test_every_metric_is_documented_and_every_documented_one_exists(exposed: set[str]) -> None:
    table = "\n".join(
        line for line in (ROOT / "docs/observability.md").read_text().splitlines() if line.startswith("|")
    )
    documented = names_of(table)
    told = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exposed if name.startswith("otarium_")}
    assert documented == told, documented ^ told


def test_dashboard_and_alerts_name_labels_that_exist() -> None:
    text = "\n".join(expressions())
    words = {
        name: {
            word for value in re.findall(rf'\b{name}(?:=|!=|=~)"([^"]*)"', text) for word in value.split("|")
        }
        for name in ("role", "state", "exported_job")
    }
    assert words["role"] <= set(ROLE_NAMES) and words["exported_job"] <= JOBS
    assert words["state"] <= {state.value for state in SourceState}
    assert all(words.values())


def test_every_alert_says_what_to_do() -> None:
    assert len({alert["alert"] for alert in ALERTS}) == len(ALERTS) > 8
    for alert in ALERTS:
        assert alert["annotations"]["action"] and alert["annotations"]["summary"], alert["alert"]


def test_dashboard_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells


@pytest.mark.parametrize(
    "file", sorted(path for path in DEPLOY.rglob("*") if path.is_file()), ids=lambda p: p.name
)
def test_files_of_deploy_set_only_what_the_server_reads(file: Path) -> None:
    assert set(re.findall(r"\bOTARIUM_[A-Z_]+", file.read_text())) <= SETTINGS


def test_documents_name_only_variables_that_something_reads() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    known = set(re.findall(r"\bOTARIUM_[A-Z_]+", source))
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        named = set(re.findall(r"\bOTARIUM_[A-Z_]+[A-Z]", document.read_text()))
        assert named <= known, f"{document.name}: {named - known}"


def test_every_setting_has_a_row_in_the_table_of_operations() -> None:
    rows = re.findall(r"^\| (OTARIUM_[^|]*)\|", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    assert {name.strip() for row in rows for name in row.split(",")} == SETTINGS


def test_manifests_belong_together() -> None:
    found = {one["kind"]: one for path in MANIFESTS for one in yaml.safe_load_all(path.read_text())}
    pod = found["Deployment"]["spec"]["template"]
    labels = pod["metadata"]["labels"].items()
    assert found["Deployment"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert found["Service"]["spec"]["selector"].items() <= labels
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels
    (container,) = pod["spec"]["containers"]
    keys = {one["valueFrom"]["secretKeyRef"]["key"] for one in container["env"] if "valueFrom" in one}
    (secret,) = (one["secret"] for one in pod["spec"]["volumes"] if "secret" in one)
    assert keys | {item["key"] for item in secret["items"]} == set(found["Secret"]["stringData"])
    given = {one["name"]: one.get("value", "") for one in container["env"]}
    stop = settings.HttpSettings().drain_seconds + float(given["OTARIUM_LEAVE_SECONDS"])
    assert pod["spec"]["terminationGracePeriodSeconds"] > stop
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    assert given["OTARIUM_MASTER_KEY_FILE"] == f"{mounts['master-key']}/master.key"


def test_compose_names_what_it_has() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for name, service in compose["services"].items():
        assert set(service.get("depends_on", ())) <= set(compose["services"]), name
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).is_file(), volume
    replica = compose["services"]["otarium-1"]
    assert (DEPLOY / replica["build"]["context"] / replica["build"]["dockerfile"]).is_file()
    assert {"otarium-1", "otarium-2"} == set(
        re.findall(r"otarium-\d", (DEPLOY / "nginx/otarium.conf").read_text())
    )


def test_the_containerfile_copies_what_there_is() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    ignored = (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
    for names in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
        for name in names.split():
            assert (ROOT / name).exists() and f"!{name}" in ignored, name
    assert "USER 10001" in text


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd here")
    unit = (DEPLOY / "systemd/otarium.service").read_text().replace("/opt/otarium/bin/otarium", "/bin/true")
    (tmp_path / "otarium.service").write_text(unit)
    command = ["systemd-analyze", "verify", str(tmp_path / "otarium.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
