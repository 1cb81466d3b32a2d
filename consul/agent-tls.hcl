# Consul's agents know the authority only, and get certificates from the servers:
#   consul agent -config-file=agent.hcl -config-file=agent-tls.hcl ...

ca_file = "/etc/consul.d/consul-agent-ca.pem"

verify_incoming_rpc    = true
verify_outgoing        = true
verify_server_hostname = true

auto_encrypt {
  tls = true
}
