# Consul's servers talk with certificates of the cluster's own authority, which `consul tls` makes, and give agents
# theirs:  consul agent -config-file=server.hcl -config-file=server-tls.hcl ...
#
# HTTP stays plain: it answers to its own machine only. Newer Consuls have the same six in `tls { internal_rpc { } }`.

ca_file   = "/etc/consul.d/consul-agent-ca.pem"
cert_file = "/etc/consul.d/consul.pem"
key_file  = "/etc/consul.d/consul-key.pem"

verify_incoming_rpc    = true
verify_outgoing        = true
verify_server_hostname = true

auto_encrypt {
  allow_tls = true
}
