"""Statistics and training on digits under secure aggregation, in NVFLARE's simulator, while one site dies.

python job.py --workspace /a/new/folder [--threat-model active] [--stage masked_input] [--hybrid]
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from nvflare.app_common.np.np_model_persistor import NPModelPersistor
from nvflare.job_config.api import FedJob
from sites import DigitsLearner, LeavingExecutor, scores, statistics
from sklearn.datasets import load_digits
from workflow import DigitStatistics

import secagg
from secagg.integrations.nvflare import SecureFedAvg, SumSettings

SITES = [f"site-{number}" for number in range(1, 6)]
LEAVING = "site-3"
# What a site's owner lets be counted, and up to where: another count is refused before anything is counted.
COUNTS = "[integers]\ndigits = [0, 2000]\npixels = [0, 32000]\n"


def main() -> None:
    """Make the job, run it, and hold the sums against the plain ones."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workspace", type=Path, required=True, help="a new folder for the simulator")
    parser.add_argument("--threat-model", choices=["semi-honest", "active"], default="semi-honest")
    parser.add_argument("--stage", default="masked_input", help="the round in which a site dies")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0, help="for each round of the protocol")
    parser.add_argument("--hybrid", action="store_true", help="ML-KEM-768 beside X25519, which sites insist on")
    options = parser.parse_args()
    if options.workspace.exists() and any(options.workspace.iterdir()):
        parser.error(
            f"--workspace {options.workspace} is not empty, and the simulator would delete it; name a new folder"
        )
    local = options.workspace / "local"
    local.mkdir(parents=True)
    floor = "hybrid = true\n" if options.hybrid else ""
    (local / "secagg.toml").write_text(floor + COUNTS)
    if options.threat_model == "active":
        enroll(local, floor)

    settings = SumSettings(
        threat_model=options.threat_model,
        max_dropout=0.2,
        max_corrupt=0.0,
        attendance_timeout=120.0,
        round_timeout=options.seconds,
        learning_timeout=options.seconds,
        suite=0x0101 if options.hybrid else 0x0001,
    )
    job = FedJob(name="digits", min_clients=3)
    job.set_app_packages(["secagg"])  # it is installed everywhere, and does not travel with the job
    job.to_server({"server": {"task_request_interval": 0.2}})
    job.to_server(DigitStatistics(settings), id="statistics")
    job.to_server(SecureFedAvg(options.rounds, clip=1.0, max_weight=1000, settings=settings), id="training")
    job.to_server(NPModelPersistor(model=np.zeros((65, 10)).tolist()), id="persistor")
    for site in SITES:
        job.to(LeavingExecutor(DigitsLearner(len(SITES)), LEAVING, options.stage), site)
    job.simulator_run(str(options.workspace), threads=len(SITES))
    report(options.workspace / "server" / "simulate_job")


def enroll(local: Path, floor: str) -> None:
    """Keys and roster of the active model, in the one folder that the simulator gives all its sites.

    Real sites make their own key, and the authority's key stays with whoever keeps the roster, off-line.
    """
    program = str(Path(sys.executable).with_name("secagg"))
    files = ["--roster", str(local / "roster.json"), "--authority", str(local / "authority.key")]
    command = [program, "enroll", *files, "--create-authority"]
    for site in SITES:
        run([program, "keygen", "--out", str(local / f"{site}.key")])
        command += ["--add", f"{secagg.client_id(site)}={local / site}.pub"]
        (local / f"secagg-{site}.toml").write_text(
            'threat_model = "active"\nminimum_cohort = 4\nmax_corrupt = 0.0\n'
            f'{floor}identity = "{site}.key"\nroster = "roster.json"\nauthority = "authority.pub"\n{COUNTS}'
        )
    (local / "secagg.toml").write_text('roster = "roster.json"\nauthority = "authority.pub"\n')  # the server's
    run(command)


def run(command: list[str]) -> None:
    """Run one of secagg's own commands."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603


def report(folder: Path) -> None:
    """Compare with what the contributors have."""
    found = np.load(folder / "statistics.npz")
    contributors = [str(site) for site in found["contributors"]]
    plain = [statistics(site, len(SITES)) for site in contributors]
    exact = all(np.array_equal(found[name], sum(each[name] for each in plain)) for name in ("digits", "pixels"))
    print(f"statistics of {', '.join(contributors)}: {'exact' if exact else 'WRONG'}")
    images, labels = load_digits(return_X_y=True)
    weights = np.load(folder / "models" / "server.npy")
    print(f"accuracy of the model: {np.mean(scores(weights, images).argmax(axis=1) == labels):.4f}")


if __name__ == "__main__":
    main()
