"""``nightshift executor``: what Spark starts in a pod of the image ``spark``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import click

from tasks.errors import BadInput
from tasks.spark import java

_MAIN = "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"
_ARGUMENTS = {
    "--driver-url": "SPARK_DRIVER_URL",
    "--executor-id": "SPARK_EXECUTOR_ID",
    "--cores": "SPARK_EXECUTOR_CORES",
    "--app-id": "SPARK_APPLICATION_ID",
    "--hostname": "SPARK_EXECUTOR_POD_IP",
    "--resourceProfileId": "SPARK_RESOURCE_PROFILE_ID",
    "--podName": "SPARK_EXECUTOR_POD_NAME",
}
_OPTION = re.compile(r"SPARK_JAVA_OPT_(\d+)")


def executor_command(environment: Mapping[str, str], jars: Path) -> list[str]:
    """The command of the executor that Spark describes in the environment of a pod.

    Raises:
        BadInput: it is no such environment.
    """
    needed = [*_ARGUMENTS.values(), "SPARK_EXECUTOR_MEMORY"]
    if missing := [name for name in needed if name not in environment]:
        raise BadInput(f"executors are started by Spark, in pods: no {', '.join(missing)} in the environment")
    options = sorted((int(match[1]), name) for name in environment if (match := _OPTION.fullmatch(name)))
    memory = environment["SPARK_EXECUTOR_MEMORY"]
    paths = [environment.get("SPARK_CLASSPATH", ""), f"{jars}/*", environment.get("SPARK_EXTRA_CLASSPATH", "")]
    return java.command(
        environment,
        [
            *(environment[name] for _, name in options),
            *(f"-Xms{memory}", f"-Xmx{memory}"),
            *("-cp", os.pathsep.join(each for each in paths if each)),
            _MAIN,
            *(part for option, name in _ARGUMENTS.items() for part in (option, environment[name])),
        ],
    )


@click.command("executor")
def command() -> None:
    """Run as an executor: Spark itself calls this in a pod, with all that it takes in the environment."""
    import pyspark

    try:
        made = executor_command(os.environ, Path(pyspark.__file__).parent / "jars")
    except BadInput as error:
        raise click.ClickException(str(error)) from error
    # Nothing stays in between: signals, exit code and memory are Java's own.
    os.execv(made[0], made)
