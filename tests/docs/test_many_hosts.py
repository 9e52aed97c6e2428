"""The files of the page on several hosts: read by what reads them on a cluster, as far as that is here."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from torch.distributed.run import get_args_parser

from speechxfer.cli.finetune import finetune

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "many-hosts.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def launched(words: list[str]) -> Any:
    """The launcher's options; the command that it starts has to be one of ours."""
    options = get_args_parser().parse_args(words)
    assert (options.module, options.training_script) == (True, "speechxfer")
    command, *rest = options.training_script_args
    assert command == "finetune"
    finetune.make_parser(click.Context(finetune)).parse_args(rest)
    return options


@pytest.mark.parametrize("rank", [0, 1])
def test_the_commands_for_two_hosts_differ_in_the_rank_alone(rank: int) -> None:
    program, *words = shlex.split(blocks("sh")[rank])
    assert program == "torchrun"
    options = launched(words)
    assert (options.nnodes, options.node_rank, options.master_addr) == ("2", rank, "host-a")


def test_the_batch_script_is_one() -> None:
    (script,) = blocks("bash")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    # Dry: the commands of the cluster print what they were given.
    dry = """
        scontrol() { echo host-a; echo host-b; }
        srun() { shift; "$@"; }
        torchrun() { printf '%s\\n' "$@"; }
        export -f torchrun
        SLURM_JOB_NODELIST=host-[a-b]; export SLURM_NNODES=2 SLURM_NODEID=1 SLURM_GPUS_ON_NODE=8
    """
    done = subprocess.run(["bash"], input=dry + script, text=True, check=True, capture_output=True)
    options = launched(done.stdout.splitlines())
    assert (options.nnodes, options.node_rank, options.master_addr) == ("2", 1, "host-a")
    asked = dict(re.findall(r"#SBATCH --([a-z-]+)=(\S+)", script))
    assert (asked["nodes"], asked["ntasks-per-node"]) == ("2", "1")


def test_the_pods_of_the_job_find_each_other() -> None:
    service, job = yaml.safe_load_all(blocks("yaml")[0])
    spec = job["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    (number,) = container["env"]
    words = [word.replace(f"$({number['name']})", "1") for word in container["args"]]
    options = launched(words)
    name = job["metadata"]["name"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] == int(options.nnodes)
    assert service["spec"]["selector"] == {"job-name": name}  # a label that the job gives its pods
    assert options.master_addr == f"{name}-0.{pod['subdomain']}"
    assert pod["subdomain"] == service["metadata"]["name"]
    assert [port["port"] for port in service["spec"]["ports"]] == [options.master_port]
    assert int(options.nproc_per_node) == container["resources"]["limits"]["nvidia.com/gpu"]
    assert {one["name"] for one in pod["volumes"]} == {one["name"] for one in container["volumeMounts"]}
