# One load, put on by several workers:
#
#   nomad var put nomad/jobs/loadgen key=$(openssl rand -hex 32)
#   nomad job run -var workers=4 -var 'args=["--users", "20000", "-t", "5m", "penguins"]' jobs/loadgen.nomad
#   nomad job scale loadgen worker 6
#   nomad alloc logs -f -task master -job loadgen
#
# All options of a run are options of the master. A worker that comes while the run goes on takes its share from
# the others, and one that goes leaves it to them. When the run is over, all of them end: the reports are in the
# master's allocation, `nomad alloc fs ALLOCATION alloc/report.html`.
#
# The workers ask the target themselves: `penguins` is the gateway of each worker's own node unless
# `--gateway` says another, and 127.0.0.1 in a URL is each worker's own node.

variable "args" {
  description = "The options of the run, as `loadgen` takes them, with its target."
  type        = list(string)
}

variable "workers" {
  description = "How many workers. The run begins when all of them are there."
  type        = number
  default     = 2
}

variable "key" {
  description = "The Nomad variable whose item `key` is the fleet's key, 16 characters or more. A job may read nomad/jobs/ID without a policy."
  type        = string
  default     = "nomad/jobs/loadgen"
}

variable "consul" {
  description = "Consul's agent, through which workers find the master."
  type        = string
  default     = "http://127.0.0.1:8500"
}

variable "i_own_this_target" {
  description = "Whether workers load what is neither on their own machine nor in a private network; the master wants the option too."
  type        = bool
  default     = false
}

variable "binary" {
  description = "Where `loadgen` is on the node; empty for target/release of this checkout."
  type        = string
  default     = ""
}

variable "datacenters" {
  description = "Where it may run."
  type        = list(string)
  default     = ["*"]
}

variable "cpu" {
  description = "CPU of one worker, MHz: shares, not a limit."
  type        = number
  default     = 1000
}

variable "memory" {
  description = "Memory of one worker, MiB. 10,000 users take about 100."
  type        = number
  default     = 256
}

locals {
  binary = var.binary != "" ? var.binary : abspath("target/release/loadgen")
  key    = "{{ if nomadVarExists `${var.key}` }}{{ with nomadVar `${var.key}` }}{{ .key }}{{ end }}{{ end }}"
}

job "loadgen" {
  type        = "batch"
  datacenters = var.datacenters

  group "master" {
    count = 1

    network {
      port "fleet" {}
    }

    # A run that has failed is not to be run again.
    restart {
      attempts = 0
      mode     = "fail"
    }

    reschedule {
      attempts  = 0
      unlimited = false
    }

    service {
      name = "loadgen-master"
      port = "fleet"

      check {
        name     = "listens"
        type     = "tcp"
        interval = "2s"
        timeout  = "1s"
      }
    }

    task "master" {
      driver = "raw_exec"

      # As Ctrl-C: it reports what ran so far.
      kill_signal  = "SIGINT"
      kill_timeout = "40s"

      config {
        command = local.binary
        args = concat([
          "master",
          "--bind", "0.0.0.0:${NOMAD_PORT_fleet}",
          "--key-file", "${NOMAD_SECRETS_DIR}/key",
          "--expect-workers", "${var.workers}",
          "--headless",
          "--json", "${NOMAD_ALLOC_DIR}/report.json",
          "--html", "${NOMAD_ALLOC_DIR}/report.html",
        ], var.args)
      }

      template {
        destination = "${NOMAD_SECRETS_DIR}/key"
        perms       = "0600"
        change_mode = "noop"
        data        = local.key
      }

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }

  group "worker" {
    count = var.workers

    # One that is lost comes back, and takes part again.
    restart {
      attempts = 10
      interval = "1m"
      delay    = "1s"
      mode     = "delay"
    }

    spread {
      attribute = "${node.unique.id}"
    }

    task "worker" {
      driver = "raw_exec"

      # It leaves its share to the others, and waits for its answers.
      kill_signal  = "SIGTERM"
      kill_timeout = "40s"

      config {
        command = local.binary
        args = concat(
          ["worker", "--consul", var.consul, "--key-file", "${NOMAD_SECRETS_DIR}/key"],
          var.i_own_this_target ? ["--i-own-this-target"] : [],
        )
      }

      template {
        destination = "${NOMAD_SECRETS_DIR}/key"
        perms       = "0600"
        change_mode = "noop"
        data        = local.key
      }

      resources {
        cpu    = var.cpu
        memory = var.memory
      }
    }
  }
}
