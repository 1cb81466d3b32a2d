# A Consul server. One alone, as it stands; for three, on each of them:
#   consul agent -config-file=server.hcl -hcl='bootstrap_expect = 3' -retry-join=...
#
# Where to listen depends on the machine: give -bind and -client.

data_dir = "/var/lib/consul"

server           = true
bootstrap_expect = 1

disable_update_check = true

# Fail over in about a second: servers of a small cluster are near each other.
performance {
  raft_multiplier = 1
}

# Nobody reads or changes anything without a token; policies/ has one for each who needs one.
acl {
  enabled                  = true
  default_policy           = "deny"
  enable_token_persistence = true
}

# Neither the mesh nor DNS is used here.
ports {
  dns  = -1
  grpc = -1
}

# For grafana/prometheus/consul.yml.
telemetry {
  prometheus_retention_time = "1m"
  disable_hostname          = true
}
