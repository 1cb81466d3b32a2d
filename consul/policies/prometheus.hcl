# Prometheus: sees who runs where, and reads Consul's own figures.

node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "read"
}

agent_prefix "" {
  policy = "read"
}
