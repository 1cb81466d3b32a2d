# The front door of all functions:
#
#   nomad job run jobs/gateway.nomad
#   nomad job run -var type=system -var port=80 jobs/gateway.nomad
#
# It finds functions through Consul and scales them through Nomad. On the node's own addresses other than
# loopback it asks for keys. Make one, and put the file of keys into a Nomad variable, from where the
# running gateway takes each change within seconds:
#
#   drover key new shop >> keys.toml
#   nomad var put nomad/jobs/gateway keys=@keys.toml
#
# Where Nomad asks for tokens, jobs/gateway.policy.hcl says what the gateway's may do.
#
# `nomad job stop gateway` finishes what is in flight first.

variable "type" {
  description = "service: `count` gateways, anywhere. system: one on every node, so that each node's own address leads to the functions."
  type        = string
  default     = "service"
}

variable "count" {
  description = "How many gateways; each on another node, as all have the same port. A job of type system takes 1."
  type        = number
  default     = 1
}

variable "port" {
  description = "The port on each node. 80 and 443 need root or the capability to bind low ports, which raw_exec has where Nomad runs as root."
  type        = number
  default     = 8080
}

variable "open" {
  description = "Everybody who reaches the port may use every function: no keys are asked for."
  type        = bool
  default     = false
}

variable "keys" {
  description = "The Nomad variable whose item `keys` holds the file of keys, and whose items `consul_token`, `nomad_token` and `feedback_key`, if they are there, the tokens and the key of the feedback service. A job may read nomad/jobs/ID without a policy."
  type        = string
  default     = "nomad/jobs/gateway"
}

variable "consul" {
  description = "Consul's agent."
  type        = string
  default     = "http://127.0.0.1:8500"
}

variable "nomad" {
  description = "Nomad's agent."
  type        = string
  default     = "http://127.0.0.1:4646"
}

variable "tls_cert" {
  description = "Certificate and chain on the node, PEM, the same on all nodes; empty for no TLS. Read again when it changes."
  type        = string
  default     = ""
}

variable "tls_key" {
  description = "Private key of the certificate on the node, PEM."
  type        = string
  default     = ""
}

variable "gelf" {
  description = "A Graylog that gets the log too, such as udp://graylog:12201; empty for none."
  type        = string
  default     = ""
}

variable "otlp" {
  description = "Where traces go, such as http://127.0.0.1:4318; empty for nowhere."
  type        = string
  default     = ""
}

variable "config" {
  description = "More settings, as the TOML of a gateway's file."
  type        = string
  default     = ""
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
  description = "Who keeps the list of gateways: consul or nomad."
  type        = string
  default     = "consul"
}

variable "cpu" {
  description = "CPU of one gateway, MHz: shares, not a limit."
  type        = number
  default     = 500
}

variable "memory" {
  description = "Memory of one gateway, MiB. 10,000 connections take about 200."
  type        = number
  default     = 256
}

locals {
  binary = var.binary != "" ? var.binary : abspath("target/release/drover")
}

job "gateway" {
  type        = var.type
  datacenters = var.datacenters

  # The port is taken as long as the old gateway of a node runs, so it leaves first and no canary fits
  # beside it. With a count of two or more, the others serve meanwhile.
  update {
    max_parallel      = 1
    health_check      = "checks"
    min_healthy_time  = "1s"
    healthy_deadline  = "1m"
    progress_deadline = "5m"
    auto_revert       = true
    canary            = 0
  }

  group "gateway" {
    count = var.count

    network {
      port "http" {
        static = var.port
      }
    }

    restart {
      attempts = 10
      interval = "1m"
      delay    = "1s"
      mode     = "delay"
    }

    # Between leaving the catalog and SIGTERM: load balancers and DNS stop sending here.
    shutdown_delay = "3s"

    service {
      name     = "drover-gateway"
      port     = "http"
      provider = var.provider
      tags     = ["gateway", var.tls_cert != "" ? "https" : "http"]

      check {
        name            = "ready"
        type            = "http"
        protocol        = var.tls_cert != "" ? "https" : "http"
        tls_skip_verify = var.tls_cert != ""
        path            = "/health/ready"
        interval        = "2s"
        timeout         = "1s"
      }
    }

    task "gateway" {
      driver      = "raw_exec"
      kill_signal = "SIGTERM"

      # More than limits.drain_timeout, or what is in flight is cut off.
      kill_timeout = "40s"

      config {
        command = local.binary
        args    = ["gateway", "--config", "${NOMAD_SECRETS_DIR}/gateway.toml"]
      }

      env {
        DROVER_GELF                 = var.gelf
        OTEL_EXPORTER_OTLP_ENDPOINT = var.otlp
      }

      # The tokens come in a file, too: an environment is shown by `nomad alloc exec env`.
      template {
        destination = "${NOMAD_SECRETS_DIR}/gateway.toml"
        perms       = "0600"
        change_mode = "restart"
        data        = <<-TOML
          listen = "0.0.0.0:{{ env "NOMAD_PORT_http" }}"
          consul.url = "${var.consul}"
          nomad.url = "${var.nomad}"
          {{- if nomadVarExists "${var.keys}" }}{{ with nomadVar "${var.keys}" }}
          {{- if .consul_token.Value }}
          consul.token = {{ .consul_token.Value | toJSON }}
          {{- end }}
          {{- if .nomad_token.Value }}
          nomad.token = {{ .nomad_token.Value | toJSON }}
          {{- end }}
          {{- if .feedback_key.Value }}
          feedback.key = {{ .feedback_key.Value | toJSON }}
          {{- end }}
          {{- end }}{{ end }}
          ${var.open ? "open = true" : "access.keys = \"{{ env `NOMAD_SECRETS_DIR` }}/keys.toml\""}
          ${var.tls_cert != "" ? "tls = { cert = \"${var.tls_cert}\", key = \"${var.tls_key}\" }" : ""}
          ${var.config}
        TOML
      }

      # The gateway reads its keys again by itself. No key at all lets nobody in.
      template {
        destination = "${NOMAD_SECRETS_DIR}/keys.toml"
        perms       = "0600"
        change_mode = "noop"
        data        = <<-TOML
          {{- if nomadVarExists "${var.keys}" }}{{ with nomadVar "${var.keys}" }}{{ if .keys.Value }}{{ .keys }}{{ end }}{{ end }}{{ end }}
        TOML
      }

      resources {
        cpu    = var.cpu
        memory = var.memory
      }

      logs {
        max_files     = 3
        max_file_size = 10
      }
    }
  }
}
