# One job file for every function:
#
#   nomad job run jobs/predict.nomad
#   nomad job run -var function=covertype -var memory=192 jobs/predict.nomad
#   nomad job scale penguins 3
#
# `drover up` reads the same file and runs it on one machine without Nomad.
#
# Register a changed job with `nomad job run -preserve-counts`, or its count starts anew at
# `var.count`.

variable "function" {
  description = "The function to run."
  type        = string
  default     = "penguins"
}

variable "version" {
  description = "What the catalog shows as the version of the function."
  type        = string
  default     = "dev"
}

variable "count" {
  description = "Instances at the start."
  type        = number
  default     = 1
}

variable "min" {
  description = "The fewest instances that scaling may leave."
  type        = number
  default     = 0
}

variable "max" {
  description = "The most instances that scaling may start."
  type        = number
  default     = 10
}

variable "slots" {
  description = "Requests that one instance takes at once. The gateway queues the others, and scales by it."
  type        = number
  default     = 64
}

variable "pure" {
  description = "Whether the same request may be run twice: the gateway then sends it to another instance when one fails it."
  type        = bool
  default     = true
}

variable "feedback" {
  description = "What the gateway keeps for users' verdicts. off: nothing. verdicts: an answer for an hour, and for good once a user has judged it. inputs: what was asked, too."
  type        = string
  default     = "off"
}

variable "gelf" {
  description = "A Graylog that gets the log too, such as udp://graylog:12201; empty for none."
  type        = string
  default     = ""
}

variable "otlp" {
  description = "Where traces go, such as http://127.0.0.1:4318; empty for nowhere. Functions send them that are built with the feature `drover/otlp`; others do not start with it."
  type        = string
  default     = ""
}

variable "hosts" {
  description = "Host names by which the gateway knows the function, beside its own name."
  type        = list(string)
  default     = []
}

variable "utilisation" {
  description = "The share of its slots that the gateway means an instance to have taken: it scales by that."
  type        = number
  default     = 0.7
}

variable "stable_window" {
  description = "The time over which the gateway averages requests in flight when it scales."
  type        = string
  default     = "60s"
}

variable "zero_after" {
  description = "The time without any request after which the last instance is stopped, where min is 0."
  type        = string
  default     = "60s"
}

variable "cpu" {
  description = "CPU of one instance, MHz: a hard limit with raw_exec, where each instance gives itself the quota, and with docker. exec has no hard limit of CPU: the instance warns."
  type        = number
  default     = 500
}

variable "memory" {
  description = "Memory of one instance, MiB."
  type        = number
  default     = 128
}

variable "memory_max" {
  description = "Memory that one instance may take while the node has it to spare, MiB. Counts where the cluster allows memory oversubscription; elsewhere `memory` is the limit."
  type        = number
  default     = 256
}

variable "driver" {
  description = "raw_exec, exec or docker. exec and docker see nothing of the node: give them an artifact."
  type        = string
  default     = "raw_exec"
}

variable "image" {
  description = "The image that driver docker runs the artifact in; it needs the C and C++ libraries only."
  type        = string
  default     = "gcr.io/distroless/cc-debian13"
}

variable "artifact" {
  description = "URL of an archive with the binary NAME, model/ and libonnxruntime.so; empty to run from this checkout."
  type        = string
  default     = ""
}

variable "checksum" {
  description = "Checksum of the artifact, such as sha256:..."
  type        = string
  default     = ""
}

variable "binary_dir" {
  description = "Where the built functions are on the node; empty for target/release of this checkout."
  type        = string
  default     = ""
}

variable "model_dir" {
  description = "Where functions/NAME/model is on the node; empty for functions of this checkout."
  type        = string
  default     = ""
}

variable "datacenters" {
  description = "Where it may run."
  type        = list(string)
  default     = ["*"]
}

variable "provider" {
  description = "Who keeps the list of instances: consul or nomad."
  type        = string
  default     = "consul"
}

variable "max_parallel" {
  description = "0 replaces all instances at once and never blocks scaling. 1 starts one new instance, then replaces the others one by one, goes back if a new one does not become ready, and blocks scaling meanwhile."
  type        = number
  default     = 0
}

locals {
  binary_dir = var.binary_dir != "" ? var.binary_dir : abspath("target/release")
  model_dir  = var.model_dir != "" ? var.model_dir : abspath("functions")
}

job "predict" {
  id          = var.function
  name        = var.function
  type        = "service"
  datacenters = var.datacenters

  # The gateway takes jobs that say so for functions, also those at count 0, which no catalog lists.
  meta {
    drover = "function"
  }

  # Every change of the count is a deployment, and Nomad refuses to scale while one is active. With
  # max_parallel = 0 there are none.
  update {
    max_parallel      = var.max_parallel
    health_check      = "checks"
    min_healthy_time  = "0s"
    healthy_deadline  = "30s"
    progress_deadline = "1m"
    auto_revert       = var.max_parallel > 0
    canary            = var.max_parallel > 0 ? 1 : 0
    auto_promote      = var.max_parallel > 0
  }

  group "function" {
    count = var.count

    scaling {
      enabled = true
      min     = var.min
      max     = var.max

      # For the gateway; docs/scaling.md has all keys.
      policy {
        utilisation   = var.utilisation
        stable_window = var.stable_window
        zero_after    = var.zero_after
      }
    }

    network {
      port "http" {}
    }

    # A crash is answered on the same node first, then on another.
    restart {
      attempts = 3
      interval = "1m"
      delay    = "1s"
      mode     = "fail"
    }

    reschedule {
      delay          = "5s"
      delay_function = "exponential"
      max_delay      = "1m"
      unlimited      = true
    }

    # Between leaving the catalog and SIGTERM: those who have the address still may use it, and a
    # replacement, which starts at the same moment, becomes ready.
    shutdown_delay = "2s"

    service {
      name     = var.function
      port     = "http"
      provider = var.provider
      tags     = concat(["drover", "version-${var.version}"], [for host in var.hosts : "host=${host}"])

      meta {
        function = var.function
        version  = var.version
        slots    = var.slots
        pure     = var.pure
        feedback = var.feedback
      }

      check {
        name     = "ready"
        type     = "http"
        path     = "/health/ready"
        interval = "1s"
        timeout  = "1s"
      }
    }

    task "function" {
      driver       = var.driver
      kill_signal  = "SIGTERM"
      kill_timeout = "20s"

      dynamic "artifact" {
        for_each = var.artifact != "" ? [var.artifact] : []
        content {
          source      = artifact.value
          destination = "local"
          options {
            checksum = var.checksum
          }
        }
      }

      config {
        command = var.artifact != "" ? "${NOMAD_TASK_DIR}/${var.function}" : "${local.binary_dir}/${var.function}"
        image   = var.driver == "docker" ? var.image : null

        network_mode   = var.driver == "docker" ? "host" : null
        cpu_hard_limit = var.driver == "docker" ? true : null
      }

      env {
        DROVER_MODEL    = var.artifact != "" ? "${NOMAD_TASK_DIR}/model" : "${local.model_dir}/${var.function}/model"
        DROVER_CORE_MHZ = "${attr.cpu.frequency}"
        DROVER_SLOTS    = var.slots
        DROVER_GELF     = var.gelf

        OTEL_EXPORTER_OTLP_ENDPOINT = var.otlp

        # A function sets these itself, at the price of a second exec: what loading a model took goes back to the node,
        # and nothing is told to the makers of ONNX Runtime.
        MIMALLOC_PURGE_DELAY  = "50"
        MIMALLOC_ALLOW_THP    = "0"
        ORT_DISABLE_TELEMETRY = "1"
      }

      resources {
        cpu        = var.cpu
        memory     = var.memory
        memory_max = var.memory_max > var.memory ? var.memory_max : var.memory
      }

      logs {
        max_files     = 3
        max_file_size = 10
      }
    }
  }
}
