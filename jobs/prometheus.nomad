# Prometheus and Alertmanager, with the rules and configuration of this checkout:
#
#   nomad job run jobs/prometheus.nomad
#
# Prometheus finds functions, gateways, loadgen, Nomad and Consul through Consul (grafana/prometheus/consul.yml), or,
# with -var discovery=gateway, functions and gateways through the gateway of its node. Both listen on 127.0.0.1 of
# their node unless `listen` says otherwise: neither asks who is asking.

variable "discovery" {
  description = "consul, or gateway where Prometheus is built without Consul's discovery, as Debian's is from 12 on."
  type        = string
  default     = "consul"
}

variable "config_dir" {
  description = "Where grafana/prometheus is on the node; empty for that of this checkout."
  type        = string
  default     = ""
}

variable "binary" {
  description = "Prometheus on the node."
  type        = string
  default     = "/usr/bin/prometheus"
}

variable "alertmanager" {
  description = "Alertmanager on the node."
  type        = string
  default     = "/usr/bin/prometheus-alertmanager"
}

variable "listen" {
  description = "The address on which both listen."
  type        = string
  default     = "127.0.0.1"
}

variable "port" {
  description = "Prometheus' port."
  type        = number
  default     = 9090
}

variable "alertmanager_port" {
  description = "Alertmanager's port; grafana/prometheus/prometheus.yml knows 9093."
  type        = number
  default     = 9093
}

variable "data_dir" {
  description = "Where Prometheus keeps its data on the node; empty for the allocation's own folder, which goes with it."
  type        = string
  default     = ""
}

variable "retention" {
  description = "How long data is kept. The alerts on budgets look back three days."
  type        = string
  default     = "15d"
}

variable "datacenters" {
  description = "Where it may run."
  type        = list(string)
  default     = ["*"]
}

locals {
  config_dir = var.config_dir != "" ? var.config_dir : abspath("grafana/prometheus")
  config     = var.discovery == "consul" ? "consul.yml" : "prometheus.yml"
}

job "prometheus" {
  type        = "service"
  datacenters = var.datacenters

  group "prometheus" {
    network {
      port "http" {
        static = var.port
      }
      port "alerts" {
        static = var.alertmanager_port
      }
    }

    # Between leaving the catalog and SIGTERM: alerts and questions stop coming.
    shutdown_delay = "1s"

    # What it has is on the node: come back there.
    ephemeral_disk {
      sticky  = true
      migrate = true
      size    = 2000
    }

    service {
      name    = "prometheus"
      port    = "http"
      address = var.listen

      check {
        type     = "http"
        path     = "/-/ready"
        interval = "5s"
        timeout  = "2s"
      }
    }

    service {
      name    = "alertmanager"
      port    = "alerts"
      address = var.listen

      check {
        type     = "http"
        path     = "/-/ready"
        interval = "5s"
        timeout  = "2s"
      }
    }

    task "prometheus" {
      driver = "raw_exec"

      config {
        command = var.binary
        args = [
          "--config.file=${local.config_dir}/${local.config}",
          "--storage.tsdb.path=${var.data_dir != "" ? var.data_dir : "${NOMAD_ALLOC_DIR}/data/prometheus"}",
          "--storage.tsdb.retention.time=${var.retention}",
          "--web.listen-address=${var.listen}:${NOMAD_PORT_http}",
        ]
      }

      resources {
        cpu    = 300
        memory = 512
      }
    }

    task "alertmanager" {
      driver = "raw_exec"

      config {
        command = var.alertmanager
        args = [
          "--config.file=${local.config_dir}/alertmanager.yml",
          "--storage.path=${NOMAD_ALLOC_DIR}/data/alertmanager",
          "--web.listen-address=${var.listen}:${NOMAD_PORT_alerts}",
          "--cluster.listen-address=",
        ]
      }

      resources {
        cpu    = 100
        memory = 128
      }
    }
  }
}
