"""The resources that must exist before either region."""
import json

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from contract import API_KEY_LENGTH
from lib.component import Component
from lib.errors import BadSetting, SettingsError
from lib.names import Names
from lib.region.database import ENGINE, Writer
from lib.settings import Settings, client_keys

USERNAME = "ledger_admin"
WRITER = "writer"  # the output that there is once the first cluster exists


def login(secret: str, arn: str) -> dict[str, str]:
    """Username and password in the JSON text of a database secret. Raises SettingsError if they are not in it."""
    try:
        content = json.loads(secret)
        return {"username": str(content["username"]), "password": str(content["password"])}
    except (ValueError, KeyError, TypeError):
        # The cause would quote the secret.
        raise SettingsError(BadSetting("databaseSecretArn", arn, "must hold JSON with username and password")) from None


class GlobalFoundation(Component, type_name="GlobalFoundation"):
    """The empty global database, the writer's login, the values of the API keys, and the secret paths of health checks.

    Separate from `GlobalResources` because of the order that AWS demands: both clusters join the global database when
    they are created, whereas the table, the copies and DNS need both regions to exist.
    """

    def __init__(self, name: str, *, settings: Settings, names: Names, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        profile = settings.profile
        self.cluster = aws.rds.GlobalCluster(
            f"{name}-database", global_cluster_identifier=names.global_cluster, engine=ENGINE.value,
            engine_version=settings.database.engine_version, storage_encrypted=True,
            deletion_protection=profile.protect, opts=self.durable())
        self.secret_arn = settings.database.secret_arn
        self.writer = self._writer(self.secret_arn)
        self.api_keys = {
            key: pulumi.Output.concat(key.owner, random.RandomPassword(
                f"{name}-api-key{key.label}", length=API_KEY_LENGTH, special=False,
                opts=pulumi.ResourceOptions(parent=self)).result)
            for key in client_keys(settings.api)}
        asked = settings.health_check.path
        self.segments = {number: random.RandomPassword(
            f"{name}-{number}-check-path", length=40, special=False, opts=pulumi.ResourceOptions(parent=self)).result
            for number in (asked - 1, asked)}

    def has_writer(self, cluster_arn: pulumi.Input[str]) -> None:
        """Keep in the stack's state that the first cluster exists."""
        self.register_outputs({"cluster_id": self.cluster.id, WRITER: cluster_arn})

    def _writer(self, secret_arn: str | None) -> Writer:
        """The login of an existing secret, or a new one.

        The first cluster takes it when it is created, and never again. So an existing secret is not read later: its
        region may be dead, and its password may have been rotated under the other cluster.
        """
        if secret_arn is None:
            password = random.RandomPassword(f"{self.name}-database-password", length=40, special=False,
                                             opts=pulumi.ResourceOptions(parent=self))
            return Writer(username=USERNAME, password=password.result)
        if WRITER in self.earlier_outputs():
            return Writer(username=USERNAME, password="")
        existing = aws.secretsmanager.get_secret_version_output(
            secret_id=secret_arn, opts=pulumi.InvokeOutputOptions(parent=self))
        secret: pulumi.Output[str] = pulumi.Output.secret(existing.secret_string)
        found = secret.apply(lambda text: login(text, secret_arn))
        return Writer(username=found["username"], password=found["password"])
