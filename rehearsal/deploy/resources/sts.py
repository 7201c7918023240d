"""STS."""

from rehearsal.deploy.resources.model import DataFunction

DATA_FUNCTIONS = {
    "aws:index/getCallerIdentity:getCallerIdentity": DataFunction(
        "sts", "get_caller_identity", {},
        {"accountId": "out.Account", "arn": "out.Arn", "userId": "out.UserId", "id": "out.Account"}),
}
