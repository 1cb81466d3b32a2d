# The gateway: sees who runs where and changes nothing.

node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "read"
}
