# One job file for every function:
#
#   nomad job run jobs/predict.nomad
#   nomad job run -var function=covertype -var memory=192 jobs/predict.nomad
#
# `drover up` reads the same file and runs it on one machine without Nomad.

variable "function" {
  description = "The function to run: a directory below functions/."
  type        = string
  default     = "penguins"
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

variable "cpu" {
  description = "CPU of one instance, MHz."
  type        = number
  default     = 500
}

variable "memory" {
  description = "Memory of one instance, MiB."
  type        = number
  default     = 128
}

variable "memory_max" {
  description = "Memory that one instance may take while the node has it to spare, MiB."
  type        = number
  default     = 256
}

variable "driver" {
  description = "raw_exec, or exec."
  type        = string
  default     = "raw_exec"
}

variable "binary_dir" {
  description = "Where the built functions are; empty for target/release of this checkout."
  type        = string
  default     = ""
}

variable "model_dir" {
  description = "Where functions/NAME/model is; empty for functions of this checkout."
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

locals {
  binary_dir = var.binary_dir != "" ? var.binary_dir : abspath("target/release")
  model_dir  = var.model_dir != "" ? var.model_dir : abspath("functions")
}

job "predict" {
  id          = var.function
  name        = var.function
  type        = "service"
  datacenters = var.datacenters

  # No deployments: Nomad refuses to scale a job while one is active.
  update {
    max_parallel = 0
  }

  group "function" {
    count = var.count

    scaling {
      enabled = true
      min     = var.min
      max     = var.max
    }

    network {
      port "http" {}
    }

    restart {
      attempts = 3
      interval = "1m"
      delay    = "1s"
      mode     = "delay"
    }

    reschedule {
      delay          = "1s"
      delay_function = "exponential"
      max_delay      = "1m"
      unlimited      = true
    }

    shutdown_delay = "1s"

    task "function" {
      driver       = var.driver
      kill_signal  = "SIGTERM"
      kill_timeout = "20s"

      config {
        command = "${local.binary_dir}/${var.function}"
      }

      env {
        DROVER_MODEL    = "${local.model_dir}/${var.function}/model/model.toml"
        DROVER_CORE_MHZ = "${attr.cpu.frequency}"
      }

      resources {
        cpu        = var.cpu
        memory     = var.memory
        memory_max = var.memory_max
      }

      logs {
        max_files     = 3
        max_file_size = 10
      }

      service {
        name     = var.function
        port     = "http"
        provider = var.provider
        tags     = ["drover"]

        meta {
          function = var.function
        }

        check {
          name     = "ready"
          type     = "http"
          path     = "/health/ready"
          interval = "2s"
          timeout  = "1s"
        }
      }
    }
  }
}
