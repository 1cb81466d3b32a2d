# Grafana with the dashboards and alerts of this checkout, nothing of it made by clicks:
#
#   nomad var put nomad/jobs/grafana admin_password=...
#   nomad job run jobs/grafana.nomad
#
# It looks at the Prometheus of its own node (jobs/prometheus.nomad) unless `prometheus` says otherwise.

variable "binary" {
  description = "Grafana on the node."
  type        = string
  default     = "/usr/sbin/grafana"
}

variable "home" {
  description = "Grafana's home on the node: its pages and defaults."
  type        = string
  default     = "/usr/share/grafana"
}

variable "config_dir" {
  description = "Where grafana/ is on the node; empty for that of this checkout."
  type        = string
  default     = ""
}

variable "prometheus" {
  description = "Where Prometheus answers."
  type        = string
  default     = "http://127.0.0.1:9090"
}

variable "listen" {
  description = "The address on which it listens."
  type        = string
  default     = "127.0.0.1"
}

variable "port" {
  description = "Its port."
  type        = number
  default     = 3000
}

variable "datacenters" {
  description = "Where it may run."
  type        = list(string)
  default     = ["*"]
}

locals {
  config_dir = var.config_dir != "" ? var.config_dir : abspath("grafana")
}

job "grafana" {
  type        = "service"
  datacenters = var.datacenters

  group "grafana" {
    network {
      port "http" {
        static = var.port
      }
    }

    shutdown_delay = "1s"

    service {
      name    = "grafana"
      port    = "http"
      address = var.listen

      check {
        type     = "http"
        path     = "/api/health"
        interval = "5s"
        timeout  = "2s"
      }
    }

    task "grafana" {
      driver = "raw_exec"

      config {
        command = var.binary
        args    = ["server", "--homepath", var.home]
      }

      env {
        DROVER_PROMETHEUS_URL          = var.prometheus
        DROVER_DASHBOARDS              = "${local.config_dir}/dashboards"
        GF_PATHS_PROVISIONING          = "${local.config_dir}/provisioning"
        GF_PATHS_DATA                  = "${NOMAD_ALLOC_DIR}/data"
        GF_PATHS_LOGS                  = "${NOMAD_ALLOC_DIR}/logs"
        GF_SERVER_HTTP_ADDR            = var.listen
        GF_SERVER_HTTP_PORT            = "${NOMAD_PORT_http}"
        GF_ANALYTICS_REPORTING_ENABLED = "false"
        GF_ANALYTICS_CHECK_FOR_UPDATES = "false"
      }

      # Without the variable, Grafana's own first password holds and must be changed at the first sign-in.
      template {
        destination = "${NOMAD_SECRETS_DIR}/admin.env"
        env         = true
        data        = <<-ENV
          {{- if nomadVarExists "nomad/jobs/grafana" }}{{ with nomadVar "nomad/jobs/grafana" }}
          GF_SECURITY_ADMIN_PASSWORD={{ .admin_password.Value | toJSON }}
          {{- end }}{{ end }}
        ENV
      }

      resources {
        cpu    = 300
        memory = 512
      }
    }
  }
}
