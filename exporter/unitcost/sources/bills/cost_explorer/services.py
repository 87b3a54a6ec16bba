"""Cost Explorer's names of services (its dimension SERVICE) → component. What is not here is `other`."""

from __future__ import annotations

from collections.abc import Mapping

_BY_COMPONENT: Mapping[str, tuple[str, ...]] = {
    "compute": (
        "Amazon Elastic Compute Cloud - Compute",
        "Amazon EC2 Container Registry (ECR)",
        "Amazon Elastic Container Service",
        "Amazon Elastic Container Service for Kubernetes",
        "Amazon Elastic Kubernetes Service",
        "Amazon Elastic MapReduce",
        "Amazon Lightsail",
        "AWS App Runner",
        "AWS Batch",
        "AWS Elastic Beanstalk",
        "AWS Fargate",
        "AWS Lambda",
        "Amazon WorkSpaces",
        "Savings Plans for AWS Compute usage",
    ),
    "database": (
        "Amazon Aurora DSQL",
        "Amazon DocumentDB (with MongoDB compatibility)",
        "Amazon DynamoDB",
        "Amazon ElastiCache",
        "Amazon Keyspaces (for Apache Cassandra)",
        "Amazon MemoryDB",
        "Amazon Neptune",
        "Amazon Redshift",
        "Amazon Relational Database Service",
        "Amazon SimpleDB",
        "Amazon Timestream",
        "AWS Database Migration Service",
        "Savings Plans for AWS Database usage",
    ),
    "storage": (
        "Amazon Elastic Block Store",
        "Amazon Elastic File System",
        "Amazon FSx",
        "Amazon Glacier",
        "Amazon S3 Glacier Deep Archive",
        "Amazon Simple Storage Service",
        "AWS Backup",
        "AWS Storage Gateway",
    ),
    "network": (
        "Amazon CloudFront",
        "Amazon Elastic Load Balancing",
        "Amazon Route 53",
        "Amazon VPC Lattice",
        "Amazon Virtual Private Cloud",
        "AWS Cloud WAN",
        "AWS Data Transfer",
        "AWS Direct Connect",
        "AWS Global Accelerator",
        "AWS Network Firewall",
        "AWS Transit Gateway",
    ),
    "ai": (
        "Amazon Bedrock",
        "Amazon Bedrock AgentCore",
        "Amazon Comprehend",
        "Amazon Kendra",
        "Amazon Lex",
        "Amazon Personalize",
        "Amazon Polly",
        "Amazon Q",
        "Amazon Rekognition",
        "Amazon SageMaker",
        "Amazon Textract",
        "Amazon Transcribe",
        "Amazon Translate",
        "Savings Plans for AWS Machine Learning usage",
    ),
    "support": (
        "AWS Premium Support",
        "AWS Support (Business)",
        "AWS Support (Developer)",
        "AWS Support (Enterprise)",
        "AWS Support [Business]",
        "AWS Support [Developer]",
        "AWS Support [Enterprise]",
    ),
}

SERVICES: Mapping[str, str] = {name: component for component, names in _BY_COMPONENT.items() for name in names}

KUBERNETES = ("Amazon Elastic Container Service for Kubernetes", "Amazon Elastic Kubernetes Service")
"""What a cluster's control plane is charged as: it has no node and carries no tag of one."""

BEDROCK = "(Amazon Bedrock Edition)"
"""What the names of models end with that are sold through AWS Marketplace."""


def category(service: str) -> str:
    """Return FOCUS ServiceCategory of a service, as far as its name alone says it."""
    return "AI and Machine Learning" if service.endswith(BEDROCK) else "Other"
