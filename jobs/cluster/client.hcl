# A Nomad client: runs functions, as processes of its own machine.

client {
  enabled = true
}

# jobs/predict.nomad runs functions by it unless it is told otherwise; they hold themselves to their CPU.
plugin "raw_exec" {
  config {
    enabled = true
  }
}
