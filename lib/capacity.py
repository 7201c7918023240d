"""What one database instance holds, by its class: memory in GiB, and how many connections that allows."""
GENERATIONS = ("r6g", "r7g", "r8g")  # Graviton; a global database takes no smaller class than these
_GIBIBYTES = {"large": 16, "xlarge": 32, "2xlarge": 64, "4xlarge": 128, "8xlarge": 256, "12xlarge": 384,
              "16xlarge": 512}
CLASSES = {f"db.{generation}.{size}": memory for generation in GENERATIONS for size, memory in _GIBIBYTES.items()}

ACU_GIBIBYTES = 2
GLOBAL_ACUS, INSIGHTS_ACUS = 8, 2  # the least that AWS recommends in a global database, and with Performance Insights
SPARE_CONNECTIONS = 10  # for repair, migrations, people and RDS itself
MOST_CONNECTIONS = 5000


def connections(instance_class: str, least_acus: float) -> int:
    """The connections that an instance allows; a serverless one while it has its least capacity.

    AWS's table has 189 for 1 ACU, 823 for 4, 1,669 for 8 and 3,360 for 16: a line.
    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html
    """
    memory = CLASSES.get(instance_class, least_acus * ACU_GIBIBYTES)
    return min(MOST_CONNECTIONS, int(memory * 105.7 - 22))
