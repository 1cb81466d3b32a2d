# A Nomad server. `bootstrap_expect`, 1 or 3, and the key of the gossip are in local.hcl.

server {
  enabled = true

  # Fail over in about a second: servers of a small cluster are near each other.
  raft_multiplier = 1

  # Instances of a function on different machines, so that one machine's end is not the function's. Memory may be used
  # beyond what is reserved, up to the job's memory_max. Both hold for a new cluster only; later:
  #   nomad operator scheduler set-config -scheduler-algorithm=spread -memory-oversubscription=true
  default_scheduler_config {
    scheduler_algorithm             = "spread"
    memory_oversubscription_enabled = true
  }
}
