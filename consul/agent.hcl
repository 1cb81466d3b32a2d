# A Consul client beside each Nomad client:
#   consul agent -config-file=agent.hcl -retry-join=SERVER
#
# Give it a token of policies/agent.hcl: consul acl set-agent-token agent TOKEN

data_dir = "/var/lib/consul"

disable_update_check = true

acl {
  enabled                  = true
  default_policy           = "deny"
  enable_token_persistence = true
}

ports {
  dns  = -1
  grpc = -1
}

# For grafana/prometheus/consul.yml.
telemetry {
  prometheus_retention_time = "1m"
  disable_hostname          = true
}
