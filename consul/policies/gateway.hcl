# The gateway: sees who runs where, and takes part in the choice of the one that scales.

node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "read"
}

# Registers itself, so that other gateways find it.
service "drover-gateway" {
  policy = "write"
}

# The lock of the gateway that scales.
key_prefix "drover/" {
  policy = "write"
}

# The session that holds the lock; also to end that of a gateway that is gone, which may be on any node.
session_prefix "" {
  policy = "write"
}
