# Outputs are module.edge.NAME; the provider takes its project from GOOGLE_PROJECT.
module "edge" {
  source = "../.."

  name     = "payflow-staging"
  region   = "europe-west1"
  service  = "payflow-staging"
  domain   = "api.staging.example.com"
  dns_zone = "staging.example.com"
  labels   = { app = "payflow", environment = "staging", cost-center = "payments" }
}
