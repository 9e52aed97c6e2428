"""What is trained and how fast: shown, and left in the run's folder with what it is computed by."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import torch

from speechxfer.report.environment import environment
from speechxfer.runs import Environment, PlanTable
from speechxfer.training.job import Job
from speechxfer.training.starting_point import StartingPoint
from speechxfer.transfer.plan import COLUMNS


def show_plan(job: Job, start: StartingPoint) -> None:
    """Say what moves and how fast, and leave it in the run's folder with what it is computed by."""
    model, plan, columns = start.model, start.plan, COLUMNS
    trained, total = plan.num_trained(model), sum(parameter.numel() for parameter in model.parameters())
    rows = plan.rows(model.encoder, model.head)
    job.progress.table(f"{trained:,} of {total:,} parameters are trained", columns, rows)
    if not job.world.is_main:
        return
    job.folder.write(PlanTable(trained, total, columns, rows))
    facts = {"precision": str(job.precision).removeprefix("torch."), "threads": str(torch.get_num_threads())}
    facts |= {"processes": str(job.world.size)}
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    job.folder.write(Environment(environment(str(job.device)) | facts, command))
