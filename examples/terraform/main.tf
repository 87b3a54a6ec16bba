# The pages in Grafana, by Terraform or OpenTofu:
#   terraform init && TF_VAR_grafana_url=https://... TF_VAR_grafana_token=... terraform apply

terraform {
  required_version = ">= 1.5"
  required_providers {
    grafana = {
      source  = "grafana/grafana"
      version = ">= 3.0"
    }
  }
}

variable "grafana_url" {
  description = "Address of Grafana"
  type        = string
}

variable "grafana_token" {
  description = "Token of a service account that may create folders and write pages: the role Editor"
  type        = string
  sensitive   = true
}

variable "pages" {
  description = "Folder of the pages, from this module on"
  type        = string
  default     = "../../dashboards/json"
}

locals {
  pages = "${path.module}/${var.pages}"
}

provider "grafana" {
  url  = var.grafana_url
  auth = var.grafana_token
}

resource "grafana_folder" "unitcost" {
  uid   = "unitcost"
  title = "unitcost"
}

resource "grafana_dashboard" "page" {
  for_each = fileset(local.pages, "*.json")

  folder      = grafana_folder.unitcost.uid
  config_json = file("${local.pages}/${each.value}")
  overwrite   = true
}

output "urls" {
  description = "Page → where it is"
  value       = { for name, page in grafana_dashboard.page : trimsuffix(name, ".json") => page.url }
}
