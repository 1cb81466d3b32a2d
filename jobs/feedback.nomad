# Users' verdicts on answers, kept for all gateways:
#
#   nomad var put nomad/jobs/feedback key=$(openssl rand -hex 32)
#   nomad job run jobs/feedback.nomad
#   nomad job run -var store=postgres://drover@db.example/feedback jobs/feedback.nomad
#
# Gateways find it in the catalog and show the same key: give it to them as the item `feedback_key` of their Nomad
# variable, see jobs/gateway.nomad. A function takes part with `-var feedback=verdicts` of jobs/predict.nomad.

variable "store" {
  description = "PostgreSQL, postgres://USER@HOST/NAME; its password may stand in the item `store` of the Nomad variable, as a whole URL. Empty for SQLite on the node's disk, which moves along with the job where Nomad can move it, and is lost with the node."
  type        = string
  default     = ""
}

variable "keep" {
  description = "Verdicts on older answers are deleted."
  type        = string
  default     = "90days"
}

variable "rows" {
  description = "The most verdicts: the oldest are deleted."
  type        = number
  default     = 1000000
}

variable "binary" {
  description = "Where `drover` is on the node; empty for target/release of this checkout."
  type        = string
  default     = ""
}

variable "datacenters" {
  description = "Where it may run."
  type        = list(string)
  default     = ["*"]
}

variable "provider" {
  description = "Who keeps the list of services: consul or nomad."
  type        = string
  default     = "consul"
}

locals {
  binary = var.binary != "" ? var.binary : abspath("target/release/drover")
}

job "feedback" {
  type        = "service"
  datacenters = var.datacenters

  group "feedback" {
    # One: SQLite is one file, and PostgreSQL needs no second one.
    count = 1

    network {
      port "http" {}
    }

    ephemeral_disk {
      sticky  = true
      migrate = true
      size    = 1000
    }

    restart {
      attempts = 10
      interval = "1m"
      delay    = "1s"
      mode     = "delay"
    }

    service {
      name     = "feedback"
      port     = "http"
      provider = var.provider
      tags     = ["drover"] # for the catalog of the gateways

      check {
        name     = "ready"
        type     = "http"
        path     = "/health/ready"
        interval = "2s"
        timeout  = "2s"
      }
    }

    task "feedback" {
      driver       = "raw_exec"
      kill_signal  = "SIGTERM"
      kill_timeout = "20s"

      config {
        command = local.binary
        args = [
          "feedback", "--listen", "${NOMAD_ADDR_http}", "--key-file", "${NOMAD_SECRETS_DIR}/key",
          "--keep", var.keep, "--rows", format("%d", var.rows),
        ]
      }

      template {
        destination = "${NOMAD_SECRETS_DIR}/key"
        perms       = "0600"
        change_mode = "restart"
        data        = "{{ with nomadVar \"nomad/jobs/feedback\" }}{{ .key }}{{ end }}"
      }

      template {
        destination = "${NOMAD_SECRETS_DIR}/store.env"
        perms       = "0600"
        env         = true
        change_mode = "restart"
        data        = <<-ENV
          {{ with nomadVar "nomad/jobs/feedback" }}{{ if .store.Value }}DROVER_FEEDBACK_STORE={{ .store.Value | toJSON }}
          {{ else }}DROVER_FEEDBACK_STORE=${var.store != "" ? var.store : "sqlite:{{ env \"NOMAD_ALLOC_DIR\" }}/data/feedback.sqlite"}
          {{ end }}{{ end }}
        ENV
      }

      resources {
        cpu    = 100
        memory = 96
      }

      logs {
        max_files     = 3
        max_file_size = 10
      }
    }
  }
}
