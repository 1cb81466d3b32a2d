# A Consul agent: registers its own node and sees the others.

node_prefix "" {
  policy = "write"
}

service_prefix "" {
  policy = "read"
}
