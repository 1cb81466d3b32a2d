# Nomads talk to each other with certificates of the cluster's own authority, which `nomad tls` makes; a server's says
# that it is one. HTTP stays plain here: give it to a trusted network only, or set http = true and see docs/cluster.md.

tls {
  http = false
  rpc  = true

  ca_file   = "/etc/nomad.d/nomad-agent-ca.pem"
  cert_file = "/etc/nomad.d/nomad.pem"
  key_file  = "/etc/nomad.d/nomad-key.pem"

  verify_server_hostname = true
}
