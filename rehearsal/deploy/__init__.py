"""The program deployed without Pulumi's engine: project, deployment, drift, and the resources of each service."""
