# Outputs are module.cache.NAME; the provider takes its project from GOOGLE_PROJECT.
module "cache" {
  source = "../.."

  project_id          = "payflow-example"
  name                = "payflow-staging"
  region              = "europe-west1"
  network_id          = "projects/payflow-example/global/networks/payflow-staging"
  node_type           = "STANDARD_SMALL"
  replicas            = 1
  deletion_protection = true
  labels              = { app = "payflow", environment = "staging", cost-center = "payments" }
}
