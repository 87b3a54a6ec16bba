"""What panels say where nothing is known."""

from __future__ import annotations

from dashboards.panels import Unknown

NO_COSTS = Unknown("no figures", "No figures of this time are known: is the exporter up, and is its history loaded?")
NO_CUSTOMER = Unknown("not known", "Nothing is known of this customer in this time.")
NO_EARLIER = Unknown("nothing before", "Nothing earlier is known to compare with.")
NO_DIMENSION = Unknown("no such label", "No cost with this label is known: name it under dimensions in unitcost.yaml.")
NO_REQUESTS = Unknown("no requests", "No requests are known: name the measure requests in a source of usage.")
NO_AI_REQUESTS = Unknown("no requests", "No AI requests are known: name the measure ai_requests in a source of usage.")
NO_AI = Unknown("no AI cost", "No AI cost of the chosen customers is known in this time.")
NO_MEASURES = Unknown("no measures", "No measure but requests is known.")
NO_USAGE = Unknown("no usage", "No usage is known: add a source of usage to unitcost.yaml.")
NO_REVENUE = Unknown("no revenue", "No revenue of this time is known, so no ratio.")
NO_BUDGET = Unknown("no budget", "No budget of the chosen customers is known: name budgets in unitcost.yaml.")
NO_FORECAST = Unknown("no forecast", "No forecast is known yet: it needs 7 complete days.")
NO_EXPORTER = Unknown("no exporter", "Only a running exporter is known to tell this: Prometheus has scraped none then.")
NOT_COMPARED = Unknown("no overlap", "No days are known of which both a bill and a cluster speak.")
NO_RULES = Unknown("no rules", "Whether an alert fires is not known: the rules are not loaded.")
NOTHING_LIVE = Unknown(
    "nothing live",
    "Nothing live is known: scrape OpenCost and kube-state-metrics, and load the rule file unitcost-opencost.yml.",
)
NO_USE = Unknown(
    "no use", "No use is known: scrape cAdvisor (the kubelet) and load the rule file unitcost-opencost.yml."
)
