# A Nomad agent: registers the instances that it runs, with their checks, and finds other Nomads.

agent_prefix "" {
  policy = "read"
}

node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "write"
}
