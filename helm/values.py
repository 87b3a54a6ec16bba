"""What values.yaml of the chart may hold, typed: the file, its schema and its README's table are made from this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Resource = Mapping[str, Any]
"""A piece of a Kubernetes object, as its API has it."""

Labels = Mapping[str, str]
Port = Annotated[int, Field(ge=1, le=65535)]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?([EPTGMk]i?|m)?$")]
Interval = Annotated[str, Field(pattern=r"^([0-9]+(ms|s|m|h|d))+$")]
MatchLabels = Annotated[Labels, Field(min_length=1)]

STATE_DIR, LISTEN = "/var/lib/unitcost", "0.0.0.0:9488"


class Part(BaseModel):
    """A section of values.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Image(Part):
    """What runs. `digest` wins over `tag`; without either it is the chart's appVersion."""

    repository: str = Field(default="ghcr.io/unitcost/unitcost", description="Where the image is.")
    tag: str = Field(default="", description="Default: the chart's appVersion.")
    digest: str = Field(
        default="",
        pattern=r"^(sha256:[0-9a-f]{64})?$",
        description="sha256:…; counts instead of the tag.",
    )
    pullPolicy: Literal["Always", "IfNotPresent", "Never"] = Field(default="IfNotPresent", description="When to pull.")


class FromObject(Part):
    """A key of a ConfigMap or of a Secret in the release's namespace."""

    name: str = Field(description="The object's name.", min_length=1)
    key: str = Field(description="The key in it.", min_length=1)


class File(Part):
    """Where a file comes from: exactly one of these."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"oneOf": [{"required": [one]} for one in ("configMap", "secret", "content")]},
    )

    configMap: FromObject | None = Field(default=None, description="A key of a ConfigMap that exists.")
    secret: FromObject | None = Field(default=None, description="A key of a Secret that exists.")
    content: str | None = Field(default=None, description="The text itself; for what is no secret.")


class Persistence(Part):
    """The ledger's volume."""

    enabled: bool = Field(
        default=True,
        description="A PersistentVolumeClaim for the ledger. Without it a restart asks every source for its whole"
        " history again, paid requests too, and days that sources have forgotten are lost.",
    )
    existingClaim: str = Field(default="", description="A claim of your own instead.")
    storageClass: str = Field(default="", description="Default: the cluster's. `-`: none, for volumes made by hand.")
    accessModes: tuple[str, ...] = Field(
        default=("ReadWriteOnce",),
        description="One pod writes; ReadWriteOncePod holds it to that.",
    )
    size: Quantity = Field(default="8Gi", description="For the ledger, its copies, bills that are cached, and past.om.")
    retain: bool = Field(default=True, description="Keep the claim when the release is uninstalled.")
    annotations: Labels = Field(default={}, description="Of the claim.")


class Service(Part):
    """The Service in front of the exporter."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(default="ClusterIP", description="Its type.")
    port: Port = Field(default=9488, description="Its port; the container listens at config.web.listen.")
    annotations: Labels = Field(default={}, description="Of the Service.")


class Account(Part):
    """The pod's ServiceAccount."""

    create: bool = Field(default=True, description="Make one.")
    name: str = Field(default="", description="Default: the release's full name, or `default` where none is made.")
    annotations: Labels = Field(
        default={},
        description="Who it is in a cloud: eks.amazonaws.com/role-arn, iam.gke.io/gcp-service-account, or"
        ' azure.workload.identity/client-id (with podLabels azure.workload.identity/use: "true").',
    )
    automount: bool = Field(default=False, description="unitcost asks nothing of Kubernetes' API.")


class Probe(Part):
    """Times of a probe, in seconds."""

    periodSeconds: Annotated[int, Field(ge=1)]
    timeoutSeconds: Annotated[int, Field(ge=1)] = 5
    failureThreshold: Annotated[int, Field(ge=1)] = 3


class Probes(Part):
    """The pod's probes, of paths that need no password.

    It is ready after its first snapshot; a first load of 90 days may take minutes, for which nobody ends it.
    """

    exec: bool = Field(
        default=False,
        description="Ask by `unitcost healthy` in the container, where the server demands client certificates.",
    )
    startup: Probe = Field(
        default=Probe(periodSeconds=5, failureThreshold=120),
        description="/-/healthy: the ledger of an older version is brought up to date before the server listens.",
    )
    liveness: Probe = Field(default=Probe(periodSeconds=15, failureThreshold=4), description="/-/healthy")
    readiness: Probe = Field(default=Probe(periodSeconds=10), description="/-/ready")


class ForPrometheus(Part):
    """What prometheus-operator finds by its labels, and gives to a Prometheus."""

    enabled: bool = Field(default=False, description="Make it; needs prometheus-operator's resources.")
    namespace: str = Field(default="", description="Default: the release's.")
    labels: Labels = Field(default={}, description="What Prometheus selects by, as release: kube-prometheus-stack.")


class Scrape(ForPrometheus):
    """How Prometheus finds and asks the exporter."""

    interval: Interval = Field(default="1m", description="The numbers change every config.refresh.every (5m).")
    scrapeTimeout: Interval = Field(default="10s", description="Less than the interval.")
    tlsConfig: Resource = Field(default={}, description="For tls: ca, serverName, cert and keySecret.")
    basicAuth: Resource = Field(default={}, description="Where it has passwords: username and password, Secrets.")
    relabelings: tuple[Resource, ...] = Field(default=(), description="Before scraping.")
    metricRelabelings: tuple[Resource, ...] = Field(default=(), description="After scraping.")


class Rules(ForPrometheus):
    """Recording rules and alerts as PrometheusRule, by config.alerts."""

    annotations: Labels = Field(default={}, description="Of the PrometheusRules.")
    live: bool = Field(
        default=True, description="Also the live rules over OpenCost's and kube-state-metrics' own series."
    )


class GrafanaOperator(Part):
    """The same pages as GrafanaDashboard, for grafana-operator."""

    enabled: bool = Field(default=False, description="Make them.")
    instanceSelector: Resource = Field(default={"matchLabels": {"dashboards": "grafana"}}, description="Which ones.")
    allowCrossNamespaceImport: bool = Field(default=True, description="Grafanas of other namespaces too.")
    resyncPeriod: Interval = Field(default="10m", description="How often the pages are put back as they are here.")


class Dashboards(Part):
    """Grafana's pages, a ConfigMap each, for the sidecar of Grafana's chart."""

    enabled: bool = Field(default=True, description="Make the ConfigMaps.")
    namespace: str = Field(default="", description="Default: the release's. The sidecar must look there.")
    labels: Labels = Field(default={"grafana_dashboard": "1"}, description="What the sidecar looks for.")
    annotations: Labels = Field(
        default={"grafana_folder": "unitcost"},
        description="The folder, where the sidecar is told of it: grafana.sidecar.dashboards.folderAnnotation.",
    )
    grafanaOperator: GrafanaOperator = Field(default=GrafanaOperator(), description="")


class Alertmanager(Part):
    """Who hears of alerts, as AlertmanagerConfig; which alerts silence others comes with it."""

    enabled: bool = Field(
        default=False,
        description="Make it. Alertmanager adds a matcher on its namespace, unless"
        " alertmanagerConfigMatcherStrategy is None.",
    )
    namespace: str = Field(default="", description="Default: the release's.")
    labels: Labels = Field(default={}, description="What Alertmanager selects by.")
    route: Resource = Field(
        default={
            "receiver": "nobody",
            "groupBy": ["alertname"],
            "repeatInterval": "24h",
            "matchers": [{"name": "alertname", "matchType": "=~", "value": "Unitcost.+"}],
        },
        description="The route: by the labels owner, severity, plan and tenant.",
    )
    receivers: tuple[Resource, ...] = Field(default=({"name": "nobody"},), description="Their secrets are Secrets.")
    inhibit: bool = Field(default=True, description="Let the alert that says more silence the one that says less.")


class Backfill(Part):
    """The past as OpenMetrics, for promtool to import into Prometheus; NOTES.txt says how."""

    enabled: bool = Field(
        default=False,
        description="Before the exporter starts, write it once to past.om in the ledger's volume. Asks all sources.",
    )
    resources: Resource = Field(default={}, description="Default: those of the exporter.")


class Peer(Part):
    """Pods of another namespace, and the port that is reached."""

    enabled: bool = Field(default=True, description="Whether it may be reached.")
    namespace: str = Field(description="Their namespace.", min_length=1)
    podLabels: MatchLabels = Field(description="What they are selected by.")
    port: Port = Field(description="The port of the pods.")


class OpenCostPeer(Peer):
    """OpenCost's pods."""

    allow: bool = Field(
        default=False,
        description="Also make a policy in OpenCost's namespace that lets the exporter in: OpenCost's own chart admits"
        " Prometheus only, where its networkPolicies are on.",
    )


class NetworkPolicy(Part):
    """Who may ask the exporter, and whom it may ask."""

    enabled: bool = Field(default=False, description="Make it; what is not named here is cut off, both ways.")
    ingress: tuple[Resource, ...] = Field(
        default=({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}},),
        description="From where /metrics and the page may be asked, as `from` of a NetworkPolicy.",
    )
    openCost: OpenCostPeer = Field(
        default=OpenCostPeer(namespace="opencost", podLabels={"app.kubernetes.io/name": "opencost"}, port=9003),
        description="",
    )
    prometheus: Peer = Field(
        default=Peer(namespace="monitoring", podLabels={"app.kubernetes.io/name": "prometheus"}, port=9090),
        description="",
    )
    https: bool = Field(
        default=True, description="Port 443 anywhere: clouds' bills, model providers, the instance's credentials."
    )
    egress: tuple[Resource, ...] = Field(default=(), description="Further rules, as `egress` of a NetworkPolicy.")


class Disruption(Part):
    """There is one pod: a budget of 0 holds up every drain of its node."""

    enabled: bool = Field(default=False, description="Make a PodDisruptionBudget.")
    maxUnavailable: int | str = Field(default=0, description="Of the one pod.")


class Values(Part):
    """All of values.yaml."""

    config: Any = Field(
        default={
            "state_dir": STATE_DIR,
            "web": {"listen": LISTEN},
            "sources": {"cluster": {"type": "opencost", "url": "http://opencost.opencost:9003"}},
        },
        description="unitcost.yaml as it is. Secrets are ${NAME} of extraEnv, or *_file of files; the ledger is at"
        " state_dir. A key set to null takes a default away. A change restarts the pod.",
    )
    files: Mapping[Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$")], File] = Field(
        default={},
        description="Files beside unitcost.yaml, by the path that it names them by (tenants.csv, secrets/token):"
        " {configMap: {name, key}}, {secret: {name, key}} or {content: …}. A change is read without a restart.",
    )
    tls: bool = Field(default=False, description="Whether config.web.config_file has TLS: probes and scrapes use it.")
    image: Image = Field(default=Image(), description="")
    imagePullSecrets: tuple[Resource, ...] = Field(default=(), description="[{name: …}]")
    nameOverride: str = Field(default="", max_length=63, description="Instead of the chart's name.")
    fullnameOverride: str = Field(default="", max_length=46, description="Instead of release and chart name.")
    commonLabels: Labels = Field(default={}, description="On everything.")
    persistence: Persistence = Field(default=Persistence(), description="")
    service: Service = Field(default=Service(), description="")
    serviceAccount: Account = Field(default=Account(), description="")
    serviceMonitor: Scrape = Field(default=Scrape(), description="")
    podMonitor: Scrape = Field(default=Scrape(), description="Instead of the ServiceMonitor.")
    prometheusRule: Rules = Field(default=Rules(), description="")
    dashboards: Dashboards = Field(default=Dashboards(), description="")
    alertmanagerConfig: Alertmanager = Field(default=Alertmanager(), description="")
    backfill: Backfill = Field(default=Backfill(), description="")
    networkPolicy: NetworkPolicy = Field(default=NetworkPolicy(), description="")
    podDisruptionBudget: Disruption = Field(default=Disruption(), description="")
    probes: Probes = Field(default=Probes(), description="")
    resources: Resource = Field(
        default={"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
        description="For some 2,000 customers; bills of any size are read in pieces.",
    )
    podSecurityContext: Resource = Field(
        default={
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        description="The image's own user.",
    )
    securityContext: Resource = Field(
        default={"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        description="It writes to its volume and to an emptyDir at /tmp, nowhere else.",
    )
    podLabels: Labels = Field(default={}, description="Of the pod.")
    podAnnotations: Labels = Field(default={}, description="Of the pod.")
    priorityClassName: str = Field(default="", description="Of the pod.")
    nodeSelector: Labels = Field(default={}, description="Of the pod.")
    tolerations: tuple[Resource, ...] = Field(default=(), description="Of the pod.")
    affinity: Resource = Field(default={}, description="Of the pod.")
    topologySpreadConstraints: tuple[Resource, ...] = Field(default=(), description="Of the pod.")
    terminationGracePeriodSeconds: int = Field(default=60, ge=1, description="A refresh ends at a safe point first.")
    extraArgs: tuple[str, ...] = Field(default=(), description="Of `unitcost serve`.")
    extraEnv: tuple[Resource, ...] = Field(
        default=(), description="For ${NAME} in config: [{name, valueFrom: {secretKeyRef: {name, key}}}]."
    )
    extraEnvFrom: tuple[Resource, ...] = Field(default=(), description="[{secretRef: {name}}]")
    extraVolumes: tuple[Resource, ...] = Field(default=(), description="Of the pod.")
    extraVolumeMounts: tuple[Resource, ...] = Field(default=(), description="Of the exporter.")
    extraContainers: tuple[Resource, ...] = Field(default=(), description="Beside the exporter.")
    extraObjects: tuple[Resource | str, ...] = Field(default=(), description="Further objects; texts are templates.")
