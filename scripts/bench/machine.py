"""Where and with what a figure was measured, written beside every figure."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import sys
from pathlib import Path, PurePath
from typing import Any

import torch

_PACKAGES = ("speechxfer", "torch", "transformers", "accelerate")


def describe() -> dict[str, Any]:
    """Processor, memory, GPU and versions, as plain values for JSON."""
    found: dict[str, Any] = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
        found["cuda"] = torch.version.cuda
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def describe_briefly(machine: dict[str, Any]) -> str:
    """What `describe` found, in a line."""
    gpu = f", {machine['gpu']} (CUDA {machine['cuda']})" if "gpu" in machine else ""
    versions = ", ".join(f"{package} {machine[package]}" for package in _PACKAGES if machine.get(package))
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, {machine['memory_gb']:g} GB"
        f"{gpu}; {machine['system']}, Python {machine['python']}, {versions}"
    )


def command() -> str:
    """The command line of this process as others can repeat it: of paths from the root only the last two names."""
    name = PurePath(sys.argv[0]).stem
    arguments = ["/".join(PurePath(item).parts[-2:]) if item.startswith("/") else item for item in sys.argv[1:]]
    return " ".join([f"python -m scripts.bench.{name}", *arguments])


def peak_memory_gb() -> dict[str, float]:
    """The most memory this process has held so far: resident, and on the GPU where there is one."""
    peaks = {"resident": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 3)}
    if torch.cuda.is_available():
        peaks["gpu"] = round(torch.cuda.max_memory_allocated() / 1e9, 3)
    return peaks


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
