# The penguins function in FastAPI, as a plain process: any HTTP service can be sized, not only functions.
#
#   python3 -m venv target/bench-venv
#   target/bench-venv/bin/pip install -r functions/penguins/train/requirements.txt \
#     -r runtime/sdk/benches/serve/requirements.txt
#   drover up loadgen/examples/fastapi/fastapi.nomad &
#   loadgen rightsize fastapi --users 50 --counts 1

variable "model" {
  description = "sklearn or onnx: the same forest in scikit-learn or in ONNX Runtime."
  type        = string
  default     = "sklearn"
}

variable "python" {
  description = "The Python of the virtual environment; empty for target/bench-venv of this checkout."
  type        = string
  default     = ""
}

variable "cpu" {
  description = "CPU of one instance, MHz."
  type        = number
  default     = 1000
}

variable "memory" {
  description = "Memory of one instance, MiB."
  type        = number
  default     = 512
}

job "fastapi" {
  type = "service"

  meta {
    drover = "function"
  }

  group "service" {
    scaling {
      enabled = true
      min     = 1
      max     = 5
    }

    network {
      port "http" {}
    }

    service {
      name = "fastapi"
      port = "http"

      # As a function says it of itself: what it takes at once, and that it may be asked again.
      meta {
        slots = 64
        pure  = true
      }

      check {
        type     = "http"
        path     = "/openapi.json"
        interval = "1s"
        timeout  = "5s"
      }
    }

    task "service" {
      driver      = "raw_exec"
      kill_signal = "SIGTERM"

      config {
        command = var.python != "" ? var.python : abspath("target/bench-venv/bin/python")
        args    = [abspath("runtime/sdk/benches/serve/peers.py"), var.model]
      }

      resources {
        cpu    = var.cpu
        memory = var.memory
      }
    }
  }
}
