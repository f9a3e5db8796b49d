# tflint's own rules. Those of its google ruleset repeat what the provider checks while it plans.
config {
  call_module_type = "none"
}

plugin "terraform" {
  enabled = true
  preset  = "all"
}

# Files are named for what they hold: jobs.tf beside main.tf.
rule "terraform_standard_module_structure" {
  enabled = true
}
