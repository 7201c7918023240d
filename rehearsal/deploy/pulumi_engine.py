"""The program deployed by Pulumi's own engine, which reaches the rehearsal's resources through their provider.

Everything is in the folder of a run: the engine's home, the state, and copies of the project's and the stack's files.
The user's own are neither read nor changed.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from rehearsal.aws.clients import EmulatorClients
from rehearsal.aws.processes import end, undisturbed
from rehearsal.deploy import gaps
from rehearsal.deploy.monitor import Step
from rehearsal.deploy.project import Project
from rehearsal.deploy.provider.handlers import Resource, short_name
from rehearsal.deploy.provider.values import shown
from rehearsal.deploy.resources import RESOURCE_TYPES
from rehearsal.deploy.resources.model import DeployTarget, Scope
from rehearsal.errors import DeploymentError

PROGRAM = "pulumi"
COPIED = "Pulumi"  # files whose names begin so are copied; everything else of the project is linked
PROVIDER = (sys.executable, "-m", "rehearsal.deploy.provider.server")
YES = ("--yes", "--skip-preview", "--suppress-outputs")
CHANGES = ("create", "update", "delete", "replace")
# Without this the file backend keeps a second file beside the state. Who reads while it is written finds it empty, and
# so does everyone once its writer was killed.
BACKEND = "file://{}?metadata=skip"
LAST = 8  # lines


class PulumiCommand:
    """Pulumi's command line for one project and stack, and the process of the provider, from `open` until `close`.

    `folder`, `environment`: where and with which variables commands run. `seconds`: how long each command took, by its
    name, the latest.
    """

    project: Project

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="rehearsal-pulumi-"))
        self.seconds: dict[str, float] = {}
        self.folder = self._home / "project"
        self.environment: Mapping[str, str] = {}
        self._provider: subprocess.Popen[bytes] | None = None
        self._served: tuple[str, ...] = ()

    def open(self, project: Project, clients: EmulatorClients, target: DeployTarget) -> None:
        """Make a stack, and start the provider of its resources. Raises DeploymentError."""
        self.project = project
        self.folder.mkdir()
        for path in project.folder.iterdir():
            if path.name == "Pulumi.yaml":
                shutil.copy(path, self.folder)
            elif not path.name.startswith(COPIED):
                (self.folder / path.name).symlink_to(path)
        self.configure({})
        self._served = clients.endpoint, json.dumps(asdict(target))
        self.serve()
        self("stack", "init", project.stack)

    def serve(self) -> None:
        """Start the provider. One that runs ends first, once it has done what it has begun. Raises DeploymentError."""
        if self._provider:
            self._provider.terminate()
            self._provider.wait()
        with undisturbed():
            self._provider = subprocess.Popen(  # pylint: disable=consider-using-with
                [*PROVIDER, *self._served], cwd=self.project.folder, stdout=subprocess.PIPE, start_new_session=True)
        with self._provider.stdout or nullcontext() as stdout:
            port = stdout.readline().decode().strip() if stdout else ""
        if not port:
            raise DeploymentError("the provider of the resources did not start")
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")},
            "PULUMI_HOME": str(self._home / "home"), "PULUMI_BACKEND_URL": BACKEND.format(self._home),
            "PULUMI_CONFIG_PASSPHRASE": "", "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true", "PULUMI_ERROR_OUTPUT_STRING": "1",
            "PULUMI_DEBUG_PROVIDERS": f"aws:{port},random:{port}"}

    def configure(self, changes: Mapping[str, str]) -> None:
        """Write the stack's file: the project's configuration with these changes, by full keys."""
        values = {key: json.loads(text) if text[:1] in ("{", "[") else text
                  for key, text in {**self.project.config, **changes}.items() if text}
        path = self.folder / f"Pulumi.{self.project.stack}.yaml"
        kept = yaml.safe_load(path.read_text()) if path.exists() else {}  # the salt of its secrets
        path.write_text(yaml.safe_dump({**kept, "config": values}))

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command on the stack."""
        stack = () if "init" in words else ("--stack", self.project.stack)
        return subprocess.Popen(
            [PROGRAM, *words, *stack, "--non-interactive"], cwd=self.folder, env=self.environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def __call__(self, *words: str, text: str | None = None) -> str:
        """Run a command with this text on stdin, and return its output. Raises DeploymentError with its errors."""
        began = time.monotonic()
        with undisturbed():
            process = self.start(*words)
        try:
            printed, errors = process.communicate(text)
        except KeyboardInterrupt:
            process.terminate()  # once: the engine ends what it has begun, and writes down what exists
            process.wait()
            raise
        self.seconds[" ".join(word for word in words if word not in YES)] = time.monotonic() - began
        if process.returncode:
            raise DeploymentError(f"pulumi {' '.join(words)}: {_errors(printed + errors)}")
        return printed

    def refresh(self) -> list[str]:
        """Bring the state up to date with what exists; a line for each resource that differed."""
        events = map(json.loads, self("refresh", *YES, "--json").splitlines())
        found = [event["resOutputsEvent"]["metadata"] for event in events if "resOutputsEvent" in event]
        return [_change(each["op"], each["urn"], each.get("diffs")) for each in found if each["op"] in CHANGES]

    def preview(self) -> list[str]:
        """A line for each resource that a deployment would change."""
        steps = json.loads(self("preview", "--json"))["steps"]
        return [_change(each["op"], each["urn"], each.get("diffReasons")) for each in steps if each["op"] != "same"]

    def state(self) -> dict[str, Any]:
        """The stack's state with its secrets: its resources, and the operations that were not finished."""
        deployment: dict[str, Any] = shown(json.loads(self("stack", "export", "--show-secrets"))["deployment"])
        return deployment

    def close(self) -> None:
        """End the provider, and remove the folder."""
        if self._provider:
            end(self._provider)
        shutil.rmtree(self._home, ignore_errors=True)


class PulumiDeployment:
    """As `deployment.Deployment`, by Pulumi's own engine. Each method raises DeploymentError."""

    def __init__(self, clients: EmulatorClients, target: DeployTarget, step: Step = nullcontext) -> None:
        self._clients, self._target, self._step = clients, target, step
        self.pulumi = PulumiCommand()
        self.outputs: dict[str, Any] = {}
        self.resources: list[Resource] = []
        self.gaps: set[str] = set()

    def up(self, project: Project) -> None:
        """Preview and deploy the program, and deploy it a second time, which must change nothing."""
        self.pulumi.open(project, self._clients, self._target)
        for words in (("preview", "--policy-pack", "policy"), ("up", *YES), ("up", *YES, "--expect-no-changes")):
            with self._step(f"pulumi {' '.join(words)}"):
                self.pulumi(*words)
        self._load()
        self.outputs = json.loads(self.pulumi("stack", "output", "--json"))

    def drift(self, _project: Project) -> list[str]:
        """A line for each thing that differs from the state, and for each that another deployment would change."""
        return [*self.pulumi.refresh(), *self.pulumi.preview()]

    def scopes(self, token: str) -> list[Scope]:
        """What the state says of the resources of a type: inputs, outputs, id and region."""
        return [resource.scope for resource in self.resources if resource.token == token]

    def lift_protection(self) -> list[Resource]:
        """Release the stack as its operator does: by the settings, and one more deployment. Nothing outlives it."""
        protected = [resource for resource in self.resources if resource.protected]
        if protected:
            name = self.pulumi.project.name
            self.pulumi.configure({f"{name}:{key}": "false" for key in ("deletionProtection", "retainData")})
            self.pulumi("up", *YES)
        return protected

    def down(self) -> list[str]:
        """Destroy the stack; returns a line for each resource that is left in its state."""
        if not self.pulumi.environment:  # there is no provider, so nothing was created
            return []
        self.pulumi("destroy", *YES)
        self._load()
        return [resource.label for resource in self.resources]

    def seconds(self) -> dict[str, float]:
        """How long each command took, the latest time."""
        return self.pulumi.seconds

    def close(self) -> None:
        """End the provider, and remove the run's folder."""
        self.pulumi.close()

    def _load(self) -> None:
        self.resources = [resource_of(each) for each in self.pulumi.state().get("resources") or ()
                          if each.get("type") in RESOURCE_TYPES]
        self.gaps = {line for each in self.resources for line in gaps.of(each.type_name, each.scope["in"])}


def resource_of(record: Mapping[str, Any]) -> Resource:
    """A resource as the state has it."""
    token, name, outputs = record["type"], record["urn"].rpartition("::")[2], record.get("outputs", {})
    return Resource(token, name, RESOURCE_TYPES[token], {
        "name": name, "id": record["id"],
        "in": record.get("inputs", {}), "out": outputs, "region": outputs.get("region", "")},
        record.get("protect", False))


def _change(operation: str, urn: str, inputs: Sequence[str] | None) -> str:
    """What an operation of the engine changes: `update Role NAME: assumeRolePolicy`."""
    _, _, types, name = urn.split("::", 3)
    return f"{operation} {short_name(types)} {name}" + (f": {', '.join(sorted(inputs))}" if inputs else "")


def _errors(text: str) -> str:
    """The errors in a command's output, in one line; if there are none, the end of the output."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = (line for line in lines if "error:" in line.lower() or line.startswith(("* ", "- ")))  # one of several
    return " | ".join(dict.fromkeys(told)) or " | ".join(lines[-LAST:])
