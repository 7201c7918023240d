"""Finds what an interrupted `up` has created and not recorded, and takes it into the stack's state.

Pulumi notes each creation before it begins. Of an interrupted one it knows the inputs, and id and outputs only if the
answer came just before the interrupt. The next `up` would create the resource again, and fail where its name is taken.
`make adopt STACK=prod` says which of them exist; with ARGS=--yes it puts those into the state, removes the notes, and
lets `pulumi refresh` read the rest.
"""
import argparse
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from rehearsal.deploy.provider.handlers import Handlers, Resource, short_name
from rehearsal.deploy.provider.values import NO_PROVIDER, provider_config, shown
from rehearsal.deploy.resources import RESOURCE_TYPES
from rehearsal.deploy.resources.model import DeployTarget
from rehearsal.errors import DeploymentError
from tools.clients import WrongAccount, require_account
from tools.pulumi_cli import Pulumi, PulumiFailed, run

CREATING = "creating"
REPLACED = "pendingReplacement"  # marks what was deleted to make room for the resource that replaces it


class AwsClients:
    """boto3 clients of AWS, or of an emulator at `endpoint`."""

    def __init__(self, endpoint: str | None) -> None:
        self.endpoint = endpoint

    def __call__(self, service: str, region: str) -> Any:
        """The client of a service in a region."""
        return boto3.client(service, region_name=region, endpoint_url=self.endpoint)


@dataclass(frozen=True)
class Interrupted:
    """An interrupted creation: what the state notes of it, and the state of what exists, if anything does.

    `known`: whether it can be looked for.
    """

    note: Mapping[str, Any]
    record: Mapping[str, Any] | None
    known: bool = True

    def __str__(self) -> str:
        noted = self.note["resource"]
        return f"{short_name(noted['type'])} {noted['urn'].rpartition('::')[2]}: " + (
            f"exists, {self.record['id']}" if self.record else "does not exist" if self.known
            else "cannot be looked for; if `up` says that it exists, delete it")


def interrupted(state: Mapping[str, Any], clients: Callable[[str | None], Any] = AwsClients) -> Iterator[Interrupted]:
    """The interrupted creations in a state.

    Raises WrongAccount, and DeploymentError or the errors of boto3 if AWS cannot be asked.
    """
    resources = [each for each in state.get("resources") or () if not each.get(REPLACED)]
    providers: dict[str, Mapping[str, Any]] = {
        each["urn"]: each.get("inputs", {}) for each in resources if each["type"].startswith("pulumi:providers:")}

    def provider(each: Mapping[str, Any]) -> Mapping[str, Any]:
        """The inputs of a resource's provider."""
        return providers.get(each.get("provider", "").rpartition("::")[0], {})

    def place(each: Mapping[str, Any]) -> tuple[str, str]:
        """Type and region: the same id in another region is another resource."""
        return each["type"], provider(each).get("region", "")

    creations = [each for each in state.get("pending_operations") or ()
                 if each["type"] == CREATING and each["resource"]["type"] in RESOURCE_TYPES]
    taken = {(place(each), each.get("id", "")) for each in (*resources, *(note["resource"] for note in creations))}
    for note in creations:
        noted, token = note["resource"], note["resource"]["type"]
        if noted.get("id"):  # AWS has answered, and the engine was interrupted before it removed the note
            yield Interrupted(note, noted)
            continue
        others = {identifier for where, identifier in taken if where == place(noted)}
        found = _look_for(noted, provider(noted), others, clients)
        if found:
            taken.add((place(noted), found.scope["id"]))
        # AWS's provider reads the rest by the id that it imports by.
        record = {**noted, "id": found.evaluate(found.type.adoption.import_id or "id")} if found else None
        yield Interrupted(note, record, known=bool(RESOURCE_TYPES[token].read) or not RESOURCE_TYPES[token].service)


def _look_for(noted: Mapping[str, Any], inputs: Mapping[str, Any], others: Collection[str],
              clients: Callable[[str | None], Any]) -> Resource | None:
    """Look in AWS for a resource by its noted inputs and its provider's; the ids `others` belong to other resources."""
    token = noted["type"]
    config = provider_config(token, inputs) if "region" in inputs else NO_PROVIDER
    aws = clients(config.endpoints.get(RESOURCE_TYPES[token].service))
    for account in config.accounts:
        require_account(account, aws, config.region)
    handlers = Handlers(aws, DeployTarget())
    resource = handlers.resource(token, noted["urn"].rpartition("::")[2], config, shown(noted["inputs"]))
    return resource if handlers.find(resource, others) else None


def adopt(stack: str, *, yes: bool, pulumi: Pulumi = run,
          find: Callable[[Mapping[str, Any]], Iterator[Interrupted]] = interrupted) -> list[str]:
    """List the interrupted creations of a stack, one line each; if `yes`, adopt what exists of them.

    Raises PulumiFailed, and what `find` raises.
    """
    document = json.loads(pulumi("stack", "export", "--show-secrets", "--stack", stack))
    state = document["deployment"]
    creations = list(find(state))
    if creations and yes:
        found = [each.record for each in creations if each.record]
        names = {each["urn"] for each in found}  # what one of them replaces is gone, or the next `up` deletes it
        state["resources"] = [
            *({**each, "delete": True} if each["urn"] in names else each for each in state["resources"]
              if each["urn"] not in names or not each.get(REPLACED)), *found]
        state["pending_operations"] = [note for note in state["pending_operations"] if note["type"] != CREATING]
        pulumi("stack", "import", "--stack", stack, text=json.dumps(document))
        if found:
            targets = (part for each in found for part in ("--target", each["urn"]))
            pulumi("refresh", "--yes", "--skip-preview", *targets, "--stack", stack)
    return list(map(str, creations))


def main(arguments: Sequence[str]) -> int:
    """Run the command line. Returns the exit code: 0 nothing is left to adopt, 1 something is or it failed."""
    parser = argparse.ArgumentParser(prog="adopt", description=__doc__)
    parser.add_argument("stack")
    parser.add_argument("--yes", action="store_true", help="take what exists into the state")
    given = parser.parse_args(arguments)
    try:
        lines = adopt(given.stack, yes=given.yes)
    except (PulumiFailed, DeploymentError, WrongAccount, ClientError, BotoCoreError) as error:
        print(f"adopt: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines) or "no creation was interrupted")
    if lines and not given.yes:
        print(f"to adopt what exists: make adopt STACK={given.stack} ARGS=--yes")
    return int(bool(lines) and not given.yes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
