"""STS."""

from rehearsal.deploy.resources.model import DataFunction

DATA_FUNCTIONS = {
    "aws:index/getCallerIdentity:getCallerIdentity": DataFunction(
        service="sts", operation="get_caller_identity",
        outputs={"accountId": "out.Account", "arn": "out.Arn", "userId": "out.UserId", "id": "out.Account"}),
}
