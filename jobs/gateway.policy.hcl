# What the gateway may do in Nomad where that asks for tokens: see the jobs, change their counts, read logs.
#
#   nomad acl policy apply gateway jobs/gateway.policy.hcl
#   nomad acl token create -name gateway -policy gateway
#
# `drover resize` and `loadgen rightsize` change jobs, and ask how fast nodes are: for them, add "submit-job" below, and
#
#   node {
#     policy = "read"
#   }

namespace "default" {
  capabilities = ["list-jobs", "read-job", "scale-job", "read-logs"]
}
