"""compose.yaml and the Dockerfile: no Docker runs here, but what they name must exist, fit together and be valid."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo import cluster_metrics, notices
from demo.compose import text as compose_alertmanager
from demo.settings import Ports
from tests.fakes.pages import UIDS
from unitcost.cli import healthy
from unitcost.config.sections import Web

ROOT = Path(__file__).resolve().parents[2]
LASTING = {"exporter", "cluster", "prometheus", "alertmanager", "notices", "grafana"}
ONCE = {"history", "import"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    text = (ROOT / "compose.yaml").read_text()
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def config(name: str) -> Any:
    return yaml.safe_load((ROOT / "compose" / name).read_text())


def mounts(compose: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return service → where in the container → what is mounted there."""
    return {
        name: {volume.split(":")[1]: volume.split(":")[0] for volume in service.get("volumes", ())}
        for name, service in compose["services"].items()
    }


def listening_on(compose: dict[str, Any], target: str) -> bool:
    """Tell whether service:port is where that service's command listens."""
    name, _, port = target.partition(":")
    service = compose["services"][name]
    defaults = {"exporter": Web().listen, "alertmanager": ":9093", "prometheus": ":9090"}
    listens = defaults.get(name) or service["entrypoint"][service["entrypoint"].index("--listen") + 1]
    return str(listens).rpartition(":")[2] == port


@pytest.mark.needs("docker-compose")
def test_compose_accepts_the_file() -> None:
    done = subprocess.run(
        ["docker-compose", "config", "--quiet"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.needs("docker-compose")
def test_compose_refuses_a_mistake_in_it(tmp_path: Path) -> None:
    text = (ROOT / "compose.yaml").read_text()
    wrong = text.replace("service_completed_successfully", "service_completed_sometimes", 1)
    assert wrong != text
    (tmp_path / "compose.yaml").write_text(wrong)
    command = ["docker-compose", "-f", "compose.yaml", "config", "--quiet"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode


def test_the_services_are_the_ones_known_here(compose: dict[str, Any]) -> None:
    assert compose["services"].keys() == LASTING | ONCE


def test_everything_that_is_mounted_exists_and_every_volume_is_declared(compose: dict[str, Any]) -> None:
    named = set()
    for places in mounts(compose).values():
        for source in places.values():
            if source.startswith("."):
                assert (ROOT / source).exists(), source
            else:
                named.add(source)
    assert named == compose["volumes"].keys()


def test_what_is_of_this_tree_is_mounted_read_only(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            assert not volume.startswith(".") or volume.endswith(":ro"), volume


def test_what_is_built_here_writes_to_its_volume_and_tmp_only_and_may_do_nothing_else(compose: dict[str, Any]) -> None:
    ours = [service for service in compose["services"].values() if "build" in service]
    assert len(ours) == 4
    for service in ours:
        assert service["read_only"] is True
        assert service["tmpfs"] == ["/tmp"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_servers_are_published_on_loopback_only(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert len(published) == 4
    assert all(port.startswith("127.0.0.1:") for port in published), published


def test_images_are_pinned_and_what_lasts_has_a_check_of_its_health_and_starts_again(compose: dict[str, Any]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    for name, service in compose["services"].items():
        assert "build" in service or re.search(r":v?\d+\.\d+\.\d+$", service["image"]), service["image"]
        if name in LASTING:
            assert service["restart"] == "unless-stopped", name
            assert "healthcheck" in service or ("build" in service and "HEALTHCHECK" in dockerfile), name
            assert service.get("healthcheck") != {"disable": True}, name


def test_history_is_imported_before_prometheus_and_the_exporter_start(compose: dict[str, Any]) -> None:
    done = {"condition": "service_completed_successfully"}
    services = compose["services"]
    assert services["import"]["depends_on"] == {"history": done}
    assert services["prometheus"]["depends_on"] == {"import": done}
    assert services["exporter"]["depends_on"] == {"history": done}
    places = mounts(compose)
    written = services["history"]["command"][-1]
    folder, _, file = written.rpartition("/")
    [script] = services["import"]["command"]
    [read] = re.findall(rf"\S+/{re.escape(file)}", script)
    assert places["history"][folder] == places["import"][read.rpartition("/")[0]]
    assert places["import"]["/prometheus"] == places["prometheus"]["/prometheus"]


def test_prometheus_scrapes_ports_that_are_listened_on_and_reaches_alertmanager(compose: dict[str, Any]) -> None:
    settings = config("prometheus.yml")
    jobs = {job["job_name"]: job for job in settings["scrape_configs"]}
    for job in jobs.values():
        [targets] = [target["targets"] for target in job["static_configs"]]
        assert all(listening_on(compose, target) for target in targets), targets
    assert {job.get("metrics_path") for job in jobs.values()} == {None, *cluster_metrics.PATHS}
    assert all(job.get("honor_labels") for name, job in jobs.items() if name != "unitcost")
    [manager] = settings["alerting"]["alertmanagers"]
    assert all(listening_on(compose, target) for target in manager["static_configs"][0]["targets"])


def test_prometheus_finds_every_rule_file_of_this_tree(compose: dict[str, Any]) -> None:
    [pattern] = config("prometheus.yml")["rule_files"]
    folder, _, files = pattern.rpartition("/")
    mounted = ROOT / mounts(compose)["prometheus"][folder]
    found = [path.name for path in mounted.iterdir() if fnmatch.fnmatch(path.name, files)]
    assert sorted(found) == sorted(path.name for path in (ROOT / "rules/prometheus").iterdir())
    assert len(found) >= 3


@pytest.mark.needs("promtool")
def test_promtool_accepts_the_configuration_with_its_rules(tmp_path: Path, compose: dict[str, Any]) -> None:
    places = mounts(compose)["prometheus"]
    text = (ROOT / places["/etc/prometheus/prometheus.yml"]).read_text()
    assert "/etc/prometheus/rules" in text
    (tmp_path / "prometheus.yml").write_text(text.replace("/etc/prometheus/rules", str(ROOT / "rules/prometheus")))
    done = subprocess.run(
        ["promtool", "check", "config", "prometheus.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout


@pytest.mark.needs("amtool")
def test_amtool_accepts_the_alertmanager_configuration_and_its_receivers_are_the_notices(
    tmp_path: Path, compose: dict[str, Any]
) -> None:
    places = mounts(compose)["alertmanager"]
    for place, source in places.items():
        if source.startswith("."):
            inside = tmp_path / place.removeprefix("/etc/alertmanager/")
            path = ROOT / source
            shutil.copytree(path, inside) if path.is_dir() else shutil.copy(path, inside)
    command = ["amtool", "check-config", str(tmp_path / "alertmanager.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "alertmanager.yml").read_text()
    urls = re.findall(r"http://([\w.-]+:\d+)", text)
    assert urls
    assert all(listening_on(compose, target) for target in urls), urls


def test_the_alertmanager_configuration_is_the_example_of_now() -> None:
    assert (ROOT / "compose/alertmanager.yml").read_text() == compose_alertmanager(), "make golden writes it"


def test_grafana_gets_the_datasource_that_pages_ask_for_and_every_page(compose: dict[str, Any]) -> None:
    places = mounts(compose)["grafana"]
    [source] = config("grafana/datasources/prometheus.yaml")["datasources"]
    assert (source["uid"], source["type"], source["isDefault"]) == ("prometheus", "prometheus", True)
    assert source["url"] == "http://prometheus:9090"
    [provider] = config("grafana/dashboards/unitcost.yaml")["providers"]
    pages = ROOT / places[provider["options"]["path"]]
    uids = {json.loads(path.read_text())["uid"] for path in pages.glob("*.json")}
    assert uids == set(UIDS)
    home = compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    folder, _, file = home.rpartition("/")
    assert (ROOT / places[folder] / file).is_file()


def test_grafana_gets_the_alertmanager_that_prometheus_sends_to() -> None:
    [manager] = config("grafana/datasources/alertmanager.yaml")["datasources"]
    assert (manager["uid"], manager["type"]) == ("alertmanager", "alertmanager")
    assert manager["jsonData"] == {"implementation": "prometheus", "handleGrafanaManagedAlerts": False}
    [sent_to] = config("prometheus.yml")["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    assert manager["url"] == f"http://{sent_to}"
    [prometheus] = config("grafana/datasources/prometheus.yaml")["datasources"]
    assert prometheus["jsonData"]["alertmanagerUid"] == manager["uid"]


def test_alerts_are_evaluated_once(compose: dict[str, Any]) -> None:
    """Grafana's own rules are there to be mounted instead of Prometheus', with the uid of the data source there is."""
    assert not any("alerting" in place for place in mounts(compose)["grafana"])
    text = (ROOT / "compose.yaml").read_text()
    [(folder, place)] = re.findall(r"# - \./(rules/grafana):(\S+):ro", text)
    assert place == "/etc/grafana/provisioning/alerting"
    [source] = config("grafana/datasources/prometheus.yaml")["datasources"]
    [file] = (ROOT / folder).iterdir()
    rules = [rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
    assert {one["datasourceUid"] for rule in rules for one in rule["data"]} == {source["uid"], "__expr__"}


def test_made_up_servers_listen_where_the_demo_has_them(compose: dict[str, Any]) -> None:
    ports = Ports()
    for name, module, port in (("cluster", cluster_metrics, ports.cluster), ("notices", notices, ports.notices)):
        entry = compose["services"][name]["entrypoint"]
        assert entry[:3] == ["python", "-m", module.__name__]
        assert entry[-1] == f"0.0.0.0:{port}"


# the Dockerfile


def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def test_the_image_copies_what_the_package_needs_and_the_builder_may_see_it() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        source
        for name, rest in instructions()
        if name == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    ]
    assert sorted(copied) == sorted(allowed)
    assert all((ROOT / source).exists() for source in copied)
    project = (ROOT / "pyproject.toml").read_text()
    [packages] = re.findall(r'^packages = \["(.*)"\]$', project, re.MULTILINE)
    [readme] = re.findall(r'^readme = "(.*)"$', project, re.MULTILINE)
    assert {packages, readme, "pyproject.toml"} <= set(copied)


def test_the_image_runs_unitcost_as_nobody_in_particular_and_asks_it_whether_it_is_healthy() -> None:
    given = dict(instructions())  # the last of each
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", given["USER"])
    assert json.loads(given["ENTRYPOINT"]) == ["unitcost"]
    command, option, config = json.loads(given["CMD"])
    assert (command, option) == ("serve", "--config")
    assert Path(config) in healthy.PLACES
    assert given["EXPOSE"] == Web().listen.rpartition(":")[2]
    assert given["HEALTHCHECK"].endswith('CMD ["unitcost", "healthy"]')


def test_the_image_is_built_from_hashes_and_wheels_alone() -> None:
    given = " ".join(rest for name, rest in instructions() if name in {"ENV", "RUN"})
    for setting in ("PIP_REQUIRE_HASHES=1", "PIP_ONLY_BINARY=:all:"):
        assert setting in given
    # Where no hash is asked for, nothing is fetched: the package itself, by what is there already.
    unhashed = re.findall(r"PIP_REQUIRE_HASHES=0 (.*?)(?: &&|$)", given)
    assert len(unhashed) == 2
    assert all("--no-deps" in command for command in unhashed)
    assert "--no-build-isolation" in unhashed[0]


def test_the_configuration_that_compose_would_mount_is_where_the_image_looks_for_it() -> None:
    text = (ROOT / "compose.yaml").read_text()
    [mounted] = re.findall(r"# - \./unitcost\.yaml:(\S+):ro", text)
    assert Path(mounted) in healthy.PLACES
    assert f'["serve", "--config", "{mounted}"]' in text
