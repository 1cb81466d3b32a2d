# Every Nomad of a cluster, server or client:
#   nomad agent -config=nomad.hcl -config=server.hcl -config=tls.hcl -config=local.hcl
#
# local.hcl is what differs between machines: bind_addr, name, the other servers, `consul { token }`. provision.sh
# writes it; docs/cluster.md says what is in it.

data_dir             = "/var/lib/nomad"
disable_update_check = true

# Nobody reads or changes anything without a token; jobs/gateway.policy.hcl is the one for gateways.
acl {
  enabled = true
}

# For grafana/prometheus/consul.yml.
telemetry {
  prometheus_metrics         = true
  publish_allocation_metrics = true
  publish_node_metrics       = true
}
