"""The files of deploy/ for many replicas: they parse, name the same things, and say what the program understands."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from secagg.cli.demo.throwaway import haproxy_program
from secagg.cli.service.offering import session_parameters
from secagg.cli.service.server_config import load_config
from tests import haproxy
from tests.deploy.test_deploy import DEPLOY, Repeated
from tests.faults.files import roster_of

KUBERNETES: Final = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
SECRET_NAMES: Final = {"PGPASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
SERVER: Final = tomllib.loads((DEPLOY / "server-replicas.toml").read_text(encoding="utf-8"))
PORT: Final = int(SERVER["listen"]["address"].rpartition(":")[2])
HEALTH: Final = int(SERVER["health"]["http"].rpartition(":")[2])


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def kubernetes() -> dict[tuple[str, str], Any]:
    """Kind and name to resource."""
    found = [loaded(path) for path in KUBERNETES]
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def unit() -> Mapping[str, str]:
    parser = Repeated(strict=False)
    parser.read(DEPLOY / "secagg@.service", encoding="utf-8")
    return parser["Service"]


def values(of: Any, key: str) -> Iterator[Any]:
    """Everything that stands under a key, at any depth."""
    if isinstance(of, Mapping):
        if key in of:
            yield of[key]
        for each in of.values():
            yield from values(each, key)
    elif isinstance(of, list):
        for each in of:
            yield from values(each, key)


def test_the_configuration_is_one() -> None:
    config = load_config(DEPLOY / "server-replicas.toml")
    assert config.storage.postgres == SERVER["storage"]["postgres"]
    assert config.storage.blobs == "s3://secagg/service"
    (session,) = config.sessions
    parameters = session_parameters(session, roster_of(tuple(range(50))))
    assert parameters.clients <= config.limits.clients


def test_compose_has_all_parts_and_mounts_what_there_is() -> None:
    compose = loaded(DEPLOY / "compose.yaml")
    services = compose["services"]
    replicas = {name: each for name, each in services.items() if name.startswith("replica-")}
    assert len(replicas) == 3
    assert services.keys() - replicas == {"balancer", "migration", "database", "blobs"}
    used = {name for each in services.values() for name in each.get("secrets", [])}
    assert used == compose["secrets"].keys()
    assert {name for each in services.values() for name in each["networks"]} == compose["networks"].keys()
    mounted = [volume.split(":")[0] for each in services.values() for volume in each["volumes"] if ":" in volume]
    assert {name for name in mounted if not name.startswith("./")} == compose["volumes"].keys()
    assert {name for name in mounted if name.startswith("./")} == {"./haproxy.cfg", "./etc"}
    for each in services.values():
        assert set(each.get("depends_on", {})) <= services.keys()
    assert [name for name, each in services.items() if "ports" in each] == ["balancer"]


def test_the_names_inside_are_those_that_the_configuration_dials() -> None:
    services = loaded(DEPLOY / "compose.yaml")["services"]
    database = re.search(r"@([\w.-]+):(\d+)/(\w+)\?", SERVER["storage"]["postgres"])
    assert database is not None
    assert database[1] in services
    assert services[database[1]]["environment"]["POSTGRES_DB"] == database[3]
    blobs = re.fullmatch(r"https://([\w.-]+):(\d+)", SERVER["storage"]["s3_endpoint"])
    assert blobs is not None
    assert f"-s3.port={blobs[2]}" in services[blobs[1]]["command"]
    assert f"-ip={blobs[1]}" in services[blobs[1]]["command"]
    balanced = re.findall(r"^    server (\S+) (\S+):(\d+)$", haproxy.DEPLOYED.read_text(encoding="utf-8"), re.MULTILINE)
    assert [(name, host, int(port)) for name, host, port in balanced] == [
        (name, name, PORT) for name in services if name.startswith("replica-")
    ]
    assert re.findall(r" check port (\d+) ", haproxy.DEPLOYED.read_text(encoding="utf-8")) == [str(HEALTH)]
    assert all(f":{HEALTH}/ready" in services[name]["healthcheck"]["test"][-1] for name, _, _ in balanced)
    assert services["balancer"]["ports"] == [f"{PORT}:{PORT}"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="compose.sh gives files away, as root only can")
def test_the_script_makes_what_compose_mounts(tmp_path: Path) -> None:
    for name in ("compose.sh", "server-replicas.toml"):
        shutil.copy2(DEPLOY / name, tmp_path)
    subprocess.run(["sh", str(tmp_path / "compose.sh")], check=True)
    compose = loaded(DEPLOY / "compose.yaml")
    assert [each["file"] for each in compose["secrets"].values() if not (tmp_path / each["file"]).is_file()] == []
    (environment,) = {name for each in compose["services"].values() for name in each.get("env_file", [])}
    lines = (tmp_path / environment).read_text(encoding="utf-8").splitlines()
    assert {line.partition("=")[0] for line in lines} == SECRET_NAMES
    assert (tmp_path / "etc/server.toml").read_bytes() == (DEPLOY / "server-replicas.toml").read_bytes()
    authority = re.search(r"sslrootcert=/etc/secagg/(\S+)", SERVER["storage"]["postgres"])
    assert authority is not None
    words = [
        "openssl",
        "verify",
        "-CAfile",
        str(tmp_path / "etc" / authority[1]),
        str(tmp_path / "secrets/database.pem"),
    ]
    assert subprocess.run(words, check=True, capture_output=True).stdout.endswith(b": OK\n")
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    again = subprocess.run(["sh", str(tmp_path / "compose.sh")], check=False, capture_output=True)
    assert (again.returncode, b"exists" in again.stderr) == (2, True)


def test_kubernetes_resources_name_each_other() -> None:
    resources = kubernetes()
    kinds = sorted(kind for kind, _ in resources)
    assert kinds == ["ConfigMap", "Deployment", "Job", "PodDisruptionBudget", "Secret", "Service"]
    deployment, service = resources["Deployment", "secagg"]["spec"], resources["Service", "secagg"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["replicas"] == 3
    assert deployment["selector"]["matchLabels"] == labels == service["selector"]
    assert resources["PodDisruptionBudget", "secagg"]["spec"]["selector"]["matchLabels"] == labels
    assert resources["Job", "secagg-migration"]["spec"]["template"]["metadata"]["labels"] != labels
    (container,) = deployment["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["grpc"] == PORT
    assert {port["targetPort"] for port in service["ports"]} <= ports.keys()
    assert set(values(deployment, "port")) == {"health"}
    assert ports["health"] == HEALTH
    assert {each["name"] for each in values(list(resources.values()), "secretRef")} == {"secagg-environment"}
    assert resources["Secret", "secagg-environment"]["stringData"].keys() == SECRET_NAMES


def test_kubernetes_serves_the_configuration_of_the_others() -> None:
    data = kubernetes()["ConfigMap", "secagg"]["data"]
    assert data == {"server.toml": (DEPLOY / "server-replicas.toml").read_text(encoding="utf-8")}


def test_kubernetes_puts_files_where_the_configuration_looks() -> None:
    resources = kubernetes()
    listed = (DEPLOY / "kubernetes/deployment.yaml").read_text(encoding="utf-8")
    made = set(re.findall(r"--from-file=(\S+)", listed))
    for kind, name in (("Deployment", "secagg"), ("Job", "secagg-migration")):
        pod = resources[kind, name]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["volumeMounts"][0] == {"name": "configuration", "mountPath": "/etc/secagg", "readOnly": True}
        placed = {item["path"] for item in next(values(pod["volumes"], "items"))}
        placed |= {item["path"] for items in values(pod["volumes"], "items") for item in items}
        wanted = {SERVER["listen"]["certificate"], SERVER["listen"]["key"], "tls/internal-ca.pem"}
        assert placed == wanted
        assert f"sslrootcert={container['volumeMounts'][0]['mountPath']}/tls/internal-ca.pem" in str(SERVER["storage"])
    identities = SERVER["identities"]
    assert {identities["roster"], identities["authority"], *identities["operators"]} <= made


def test_the_template_gives_each_instance_its_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (DEPLOY / "secagg@.service").read_text(encoding="utf-8").splitlines()
    settings = [line.partition("=")[2] for line in lines if line.startswith("Environment=")]
    environment = dict(word.split("=", 1) for line in settings for word in shlex.split(line))
    assert environment["SECAGG_LISTEN__ADDRESS"] == "0.0.0.0:847%i"
    assert environment["SECAGG_HEALTH__HTTP"] == "0.0.0.0:848%i"
    assert environment["SECAGG_METRICS__ADDRESS"] == "127.0.0.1:947%i"
    credential, _, _ = unit()["LoadCredential"].partition(":")
    assert environment["SECAGG_LISTEN__KEY"] == f"%d/{credential}"


def test_the_template_is_as_strict_as_the_unit() -> None:
    single = Repeated(strict=False)
    single.read(DEPLOY / "secagg.service", encoding="utf-8")
    own = {"ExecStartPre", "ExecStart", "ExecReload", "Environment", "LoadCredential", "EnvironmentFile", "User"}
    assert {k: v for k, v in unit().items() if k not in own} == {
        k: v for k, v in single["Service"].items() if k not in own
    }


@pytest.mark.skipif(haproxy.missing() != "", reason=haproxy.missing())
def test_haproxy_takes_its_configuration(tmp_path: Path) -> None:
    deployed = subprocess.run(
        [haproxy_program() or "", "-c", "-f", str(haproxy.DEPLOYED)], check=False, capture_output=True, text=True
    )
    # Outside of compose nobody knows the replicas' names; HAProxy then begins without them and asks again.
    assert deployed.returncode == 0, deployed.stderr
    file = tmp_path / "haproxy.cfg"
    file.write_text(haproxy.configured(21_000, 21_001, [(21_002, 21_003), (21_004, 21_005)]), encoding="utf-8")
    strict = [haproxy_program() or "", "-c", "-dW", "-f", str(file)]  # no warnings either
    assert subprocess.run(strict, check=False, capture_output=True).returncode == 0
